//! What keys do anywhere in the window.
//!
//! Owns: the list of shortcuts. Driven by: `window`, before anything is drawn, so that no field
//! takes them. Invariant: a key that is taken here reaches nobody else. Does not: move the cursor
//! in a text.

use egui::{InputState, Key, Modifiers};

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
        (ctrl, Key::Plus, Shortcut::Zoom(true)),
        (ctrl, Key::Equals, Shortcut::Zoom(true)),
        (ctrl, Key::Minus, Shortcut::Zoom(false)),
        (ctrl, Key::Num0, Shortcut::ZoomReset),
        (none, Key::Escape, Shortcut::Escape),
    ];
    let taken = all.into_iter().filter(|(modifiers, key, _)| input.consume_key(*modifiers, *key));
    taken.map(|(.., shortcut)| shortcut).collect()
}
