//! The bar above the messages in which a person looks for a text.
//!
//! Owns: what is typed there. Driven by: `timeline`. Invariants: an Enter that an input method
//! takes steps nowhere; whatever was not looked at is said. Does not: search (`find` does), scroll.

use egui::{Id, InputState, Key, Modifiers, Rect, RichText, Stroke, Ui, UiBuilder, vec2};
use holdfast_common::client::ConnectionState;
use holdfast_common::client::model::{self, Model};
use holdfast_common::ids::Seq;

use super::find::Search;
use crate::controls;
use crate::keys::Composing;
use crate::paint::Icon;
use crate::theme::{GAP, PAD, Palette, TOUCH, Type, UNIT};
use crate::words::Clock;

/// The bar with its field, and the line below it.
const BAR: f32 = TOUCH + 4.0 * UNIT;
const NOTE: f32 = 8.0 * UNIT;

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Bar {
    text: String,
    pub(super) search: Search,
    pub(super) wants_focus: bool,
    composing: Composing,
}

/// What came of a frame of the bar.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// This message is to be shown.
    pub(super) show: Option<Seq>,
    /// The bar is to be closed.
    pub(super) closes: bool,
}

fn id() -> Id {
    Id::unique("find")
}

impl Bar {
    /// With the focus.
    pub(super) fn open() -> Bar {
        Bar { wants_focus: true, ..Bar::default() }
    }

    /// How high it is.
    pub(super) fn height(&self, messages: Option<&model::Timeline>) -> f32 {
        BAR + if self.missing(messages).is_some() { NOTE } else { 0.0 }
    }

    /// The oldest message that is there, if there are older ones that were not looked at.
    fn missing<'m>(
        &self,
        messages: Option<&'m model::Timeline>,
    ) -> Option<&'m holdfast_common::client::MessageRecord> {
        let messages = messages.filter(|_| !self.search.is_idle() && self.search.is_done())?;
        messages.message(messages.older_than()?)
    }

    /// Draws it into all of `ui`, and searches on.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        messages: Option<&model::Timeline>,
        clock: &Clock,
    ) -> Found {
        let palette = Palette::of(ui);
        let full = ui.max_rect();
        ui.painter().rect_filled(full, 0.0, palette.surface);
        ui.painter().hline(full.x_range(), full.bottom(), Stroke::new(1.0, palette.line));
        let mut found = Found::default();
        let step = self.takes_step(ui);
        let bar = full.with_max_y(full.top() + BAR).shrink2(vec2(PAD, 2.0 * UNIT));
        let pressed = self.bar_ui(ui, palette, bar);
        found.closes = pressed.closes;
        if let Some(messages) = messages {
            self.search.look_for(&self.text);
            found.show = self.search.advance(messages);
            if let Some(is_older) = step.or(pressed.step) {
                found.show = self.search.step(is_older);
            }
            if !self.search.is_done() && !self.search.is_idle() {
                ui.ctx().request_repaint();
            }
        }
        if let Some(oldest) = self.missing(messages) {
            let day = clock.long(oldest.view.ts);
            let note = full.with_min_y(full.top() + BAR - UNIT).shrink2(vec2(PAD, 0.0));
            self.note_ui(ui, palette, note, model, &day);
        }
        found
    }

    fn bar_ui(&mut self, ui: &mut Ui, palette: &Palette, rect: Rect) -> Pressed {
        let mut pressed = Pressed::default();
        let layout = egui::Layout::right_to_left(egui::Align::Center);
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), |ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            if controls::icon_button(ui, Icon::Close, "Close find", palette.weak).clicked() {
                pressed.closes = true;
            }
            let newer = controls::icon_button(ui, Icon::Down, "Next newer", palette.weak);
            let older = controls::icon_button(ui, Icon::Up, "Next older", palette.weak);
            pressed.step = match (older.clicked(), newer.clicked()) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            };
            ui.add_space(GAP);
            let font = Type::Small.font();
            ui.label(RichText::new(self.count()).font(font).color(palette.weak));
            ui.add_space(GAP);
            let field = controls::field(ui, id(), &mut self.text, "Find in this chat", false);
            if std::mem::take(&mut self.wants_focus) {
                field.request_focus();
            }
        });
        pressed
    }

    /// How many there are, in words.
    fn count(&self) -> String {
        match (self.search.is_idle(), self.search.is_done(), self.search.place()) {
            (true, ..) => String::new(),
            (false, true, Some((at, of))) => format!("{at} of {of}"),
            (false, false, Some((at, of))) => format!("{at} of {of}\u{2026}"),
            (false, true, None) => "Nothing found".to_owned(),
            (false, false, None) => "Searching\u{2026}".to_owned(),
        }
    }

    /// What was not looked at.
    fn note_ui(&mut self, ui: &mut Ui, palette: &Palette, rect: Rect, model: &Model, day: &str) {
        let layout = egui::Layout::left_to_right(egui::Align::Center);
        ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), |ui| {
            let is_connected = matches!(model.connection(), ConnectionState::Connected { .. });
            let text = match (self.search.wants_older(), is_connected) {
                (true, true) => format!("Searching before {day}\u{2026}"),
                (true, false) => "Older messages are searched when a server answers.".to_owned(),
                (false, _) => format!("Not searched yet: before {day}"),
            };
            ui.label(RichText::new(text).font(Type::Small.font()).color(palette.weak));
            if !self.search.wants_older() && controls::link(ui, "Search older").clicked() {
                self.search.want_older();
            }
        });
    }

    /// Enter and Up lead to older ones, Shift+Enter and Down to newer ones.
    fn takes_step(&mut self, ui: &Ui) -> Option<bool> {
        let has_focus = ui.ctx().memory(|memory| memory.has_focus(id()));
        ui.input_mut(|input| {
            self.composing.note(input);
            if !has_focus || self.composing.is_composing() {
                return None;
            }
            let mut takes = |modifiers, key| InputState::consume_key(input, modifiers, key);
            let newer =
                takes(Modifiers::SHIFT, Key::Enter) || takes(Modifiers::NONE, Key::ArrowDown);
            let older = takes(Modifiers::NONE, Key::Enter) || takes(Modifiers::NONE, Key::ArrowUp);
            match (newer, older) {
                (true, _) => Some(false),
                (false, true) => Some(true),
                (false, false) => None,
            }
        })
    }
}

/// What was pressed in the bar.
#[derive(Debug, Default)]
struct Pressed {
    step: Option<bool>,
    closes: bool,
}
