//! What keys do anywhere in the window.
//!
//! Owns: the list of shortcuts. Driven by: `window`, before anything is drawn, so that no field
//! takes them. Invariant: a key that is taken here reaches nobody else. Does not: move the cursor
//! in a text.

use egui::{Event, ImeEvent, InputState, Key, Modifiers};

/// What a person wants by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortcut {
    /// People and chats.
    Switcher,
    /// The chat above or below: `true` for below; the second says whether only unread ones count.
    Step(bool, bool),
    /// Scroll the messages by a page: `true` for down.
    Page(bool),
    /// To the newest message.
    End,
    /// Settings.
    Settings,
    /// The list of shortcuts.
    Sheet,
    /// Larger or smaller text.
    Zoom(bool),
    /// Text as at first.
    ZoomReset,
    /// Find in the open chat.
    Find,
    /// To the next part of the window: list, messages, composer; `false` for the one before.
    Zone(bool),
    /// Away from here, one step.
    Escape,
}

/// Takes the shortcuts out of what was typed.
pub fn take(input: &mut InputState) -> Vec<Shortcut> {
    let ctrl = Modifiers::COMMAND;
    let alt = Modifiers::ALT;
    let unread = Modifiers::ALT | Modifiers::SHIFT;
    let none = Modifiers::NONE;
    let all = [
        (ctrl, Key::K, Shortcut::Switcher),
        (ctrl, Key::N, Shortcut::Switcher),
        (unread, Key::ArrowUp, Shortcut::Step(false, true)),
        (unread, Key::ArrowDown, Shortcut::Step(true, true)),
        (alt, Key::ArrowUp, Shortcut::Step(false, false)),
        (alt, Key::ArrowDown, Shortcut::Step(true, false)),
        (none, Key::PageUp, Shortcut::Page(false)),
        (none, Key::PageDown, Shortcut::Page(true)),
        (ctrl, Key::End, Shortcut::End),
        (ctrl, Key::Comma, Shortcut::Settings),
        (ctrl, Key::Slash, Shortcut::Sheet),
        (ctrl, Key::F, Shortcut::Find),
        (Modifiers::SHIFT, Key::F6, Shortcut::Zone(false)),
        (none, Key::F6, Shortcut::Zone(true)),
        (ctrl, Key::Plus, Shortcut::Zoom(true)),
        (ctrl, Key::Equals, Shortcut::Zoom(true)),
        (ctrl, Key::Minus, Shortcut::Zoom(false)),
        (ctrl, Key::Num0, Shortcut::ZoomReset),
        (none, Key::Escape, Shortcut::Escape),
    ];
    // As often as it was pressed: a slow machine has several in one frame.
    let taken = all.into_iter().flat_map(|(modifiers, key, shortcut)| {
        let count = input.count_and_consume_key(modifiers, key);
        std::iter::repeat_n(shortcut, count)
    });
    taken.collect()
}

/// Of what was typed since the last frame, what must wait for the next one: whatever is behind a
/// key that may move the focus or send, for it belongs to what has the focus then. People are
/// slower than frames, but neither password managers nor busy machines are.
pub fn hold_back(events: &mut Vec<Event>) -> Vec<Event> {
    let moves = |event: &Event| {
        let Event::Key { key, pressed: true, .. } = event else { return false };
        matches!(key, Key::Tab | Key::Enter | Key::Escape)
    };
    let is_typed = |event: &Event| {
        matches!(event, Event::Key { pressed: true, .. } | Event::Text(_) | Event::Paste(_))
    };
    let Some(at) = events.iter().position(moves) else { return Vec::new() };
    let next = events[at + 1..].iter().position(is_typed);
    next.map(|next| events.split_off(at + 1 + next)).unwrap_or_default()
}

/// Whether an input method is composing: then Enter and the arrows are its own.
#[derive(Debug, Default)]
pub struct Composing {
    is_composing: bool,
}

impl Composing {
    /// Takes notice of what was typed in this frame.
    pub fn note(&mut self, input: &InputState) {
        for event in &input.events {
            if let Event::Ime(ime) = event {
                self.is_composing =
                    matches!(ime, ImeEvent::Preedit { text, .. } if !text.is_empty());
            }
        }
    }

    /// Whether it does.
    pub fn is_composing(&self) -> bool {
        self.is_composing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: Key, pressed: bool) -> Event {
        let (physical_key, repeat, modifiers) = (None, false, Modifiers::NONE);
        Event::Key { key, physical_key, pressed, repeat, modifiers }
    }

    #[test]
    fn what_is_typed_behind_a_tab_or_an_enter_waits_for_the_next_frame() {
        let text = |text: &str| Event::Text(text.to_owned());
        let all = [
            text("alice"),
            key(Key::Tab, true),
            key(Key::Tab, false),
            text("correct horse"),
            key(Key::Enter, true),
            text("hello"),
        ];
        let mut rest = all.to_vec();
        let mut frames = Vec::new();
        while !rest.is_empty() {
            let held = hold_back(&mut rest);
            frames.push(std::mem::replace(&mut rest, held));
        }
        assert_eq!(frames, [&all[..3], &all[3..5], &all[5..]]);
    }
}
