//! The keyboard among the messages: one of them is chosen, and what can be done with it is done.
//!
//! Owns: which message that is. Driven by: `timeline`. Invariants: arrows go from message to
//! message and nowhere else; the chosen one is on the screen; when its menu closes the focus is
//! back at it. Does not: know what the menu holds.

use egui::{Event, EventFilter, Key as Button, Modifiers, Popup, Response, Ui};

use super::Timeline;
use super::items::{Item, Key};
use super::menu;
use crate::theme::GAP;
use crate::wish::Wish;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    at: Option<Key>,
    /// It is to have the focus as soon as it is drawn.
    takes_focus: bool,
    /// Its menu is to open.
    opens_menu: bool,
    /// Its menu is open.
    has_menu: bool,
    /// It is another one than in the last frame.
    has_moved: bool,
}

impl Cursor {
    pub(super) fn has_moved(&self) -> bool {
        self.has_moved
    }

    /// Whether the menu of this message is to open; once.
    pub(super) fn opens_menu_of(&mut self, key: Key) -> bool {
        self.at == Some(key) && std::mem::take(&mut self.opens_menu)
    }

    /// Follows the focus, or brings it.
    pub(super) fn follow(&mut self, ui: &Ui, key: Key, response: &Response) {
        if response.has_focus() && !self.takes_focus {
            self.at = Some(key);
            let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        }
        if self.at != Some(key) {
            return;
        }
        let has_menu = Popup::is_id_open(ui.ctx(), Popup::default_response_id(response));
        let is_closed = std::mem::replace(&mut self.has_menu, has_menu) && !has_menu;
        if std::mem::take(&mut self.takes_focus) || is_closed {
            response.request_focus();
        }
    }
}

impl Timeline {
    /// Brings the keyboard to the messages: to where it was, else to the newest that is seen.
    pub fn take_focus(&mut self) {
        self.cursor.takes_focus = true;
    }

    /// Whether the keyboard is at a message.
    pub fn has_focus(&self, focused: Option<egui::Id>) -> bool {
        self.cursor.at.is_some_and(|key| focused == Some(menu::id(key)))
    }

    /// Takes what was pressed while a message has the focus; `offset` is where the view is to
    /// stand then.
    pub(super) fn keys(
        &mut self,
        ui: &Ui,
        is_paged: bool,
        offset: &mut f32,
        (height, total): (f32, f32),
    ) -> Vec<Wish> {
        self.cursor.has_moved = false;
        if self.cursor.takes_focus {
            self.choose(offset, (height, total));
        }
        if !self.has_focus(ui.memory(egui::Memory::focused)) || Popup::is_any_open(ui.ctx()) {
            return Vec::new();
        }
        if is_paged {
            self.cursor.at = None;
            self.choose(offset, (height, total));
        }
        let none = Modifiers::NONE;
        let steps = [
            (Button::ArrowUp, Step::By(false)),
            (Button::ArrowDown, Step::By(true)),
            (Button::Home, Step::ToEnd(false)),
            (Button::End, Step::ToEnd(true)),
        ];
        let pressed = ui.input_mut(|input| {
            steps.into_iter().find(|(button, _)| input.consume_key(none, *button))
        });
        if let Some((_, step)) = pressed {
            self.move_cursor(step, offset, (height, total));
        }
        self.cursor.opens_menu = ui.input_mut(|input| {
            input.consume_key(Modifiers::SHIFT, Button::F10)
                || input.consume_key(none, Button::Menu)
                || input.consume_key(none, Button::Enter)
                || input.consume_key(none, Button::Space)
        });
        let copies = ui.input(|input| input.events.contains(&Event::Copy));
        let text = self.laid.get(&self.cursor.at.unwrap_or(Key::New)).filter(|_| copies);
        text.map(|(bubble, _)| Wish::Copy(bubble.text.clone())).into_iter().collect()
    }

    /// Brings the keyboard to a message, where it is at none that is there.
    fn choose(&mut self, offset: &mut f32, (height, total): (f32, f32)) {
        let known = self.cursor.at.and_then(|key| self.position(key));
        if let Some(at) = known.or_else(|| self.last_seen(*offset, height)) {
            self.go_to(at, offset, (height, total));
        }
    }

    fn position(&self, key: Key) -> Option<usize> {
        self.items.iter().position(|item| item.key() == key)
    }

    /// The last message that is seen as a whole.
    fn last_seen(&self, offset: f32, height: f32) -> Option<usize> {
        let below = self.tops.partition_point(|top| *top <= offset + height);
        let is_bubble = |at: &usize| matches!(self.items.get(*at), Some(Item::Bubble(_)));
        let whole = (0..below.saturating_sub(1)).rev().find(is_bubble);
        whole.or_else(|| (0..self.items.len()).find(is_bubble))
    }

    fn move_cursor(&mut self, step: Step, offset: &mut f32, (height, total): (f32, f32)) {
        let is_bubble = |at: &usize| matches!(self.items.get(*at), Some(Item::Bubble(_)));
        let count = self.items.len();
        let at = self.cursor.at.and_then(|key| self.position(key)).unwrap_or(count);
        let next = match step {
            Step::By(true) => (at + 1..count).find(is_bubble),
            Step::By(false) => (0..at).rev().find(is_bubble),
            Step::ToEnd(true) => (0..count).rev().find(is_bubble),
            Step::ToEnd(false) => (0..count).find(is_bubble),
        };
        if let Some(next) = next {
            self.go_to(next, offset, (height, total));
        }
    }

    /// Chooses a message, and scrolls as little as shows it.
    fn go_to(&mut self, at: usize, offset: &mut f32, (height, total): (f32, f32)) {
        self.cursor.at = Some(self.items[at].key());
        self.cursor.takes_focus = true;
        self.cursor.has_moved = true;
        let is_last = at + 1 == self.items.len();
        let lowest = self.tops[at] - GAP;
        let highest = if is_last { total } else { self.tops[at + 1] + GAP } - height;
        *offset = offset.max(highest).min(lowest).clamp(0.0, (total - height).max(0.0));
    }
}

/// How the keyboard moves among messages.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// To the next one; `true`: the one below.
    By(bool),
    /// To the first or last one that is measured; `true`: the last.
    ToEnd(bool),
}
