//! What can be done with the keyboard.

use egui::{RichText, Ui, vec2};

use super::hint;
use crate::theme::{PAD, Palette, Type, UNIT};
use crate::wish::Wish;

/// Keys, and what they do.
const ALL: [(&str, &str); 17] = [
    ("Ctrl+K", "Go to a chat or a person"),
    ("Ctrl+N", "Write to somebody new"),
    ("Ctrl+F", "Find in this chat"),
    ("Enter, Shift+Enter", "In find: the hit before, after"),
    ("F6, Shift+F6", "List, messages, field; and back"),
    ("Up, Down", "Choose a chat, a message"),
    ("Enter, Menu", "What can be done with a message"),
    ("Alt+Up, Alt+Down", "The chat above, below"),
    ("Alt+Shift+Up, +Down", "The unread chat above, below"),
    ("Page Up, Page Down", "Scroll"),
    ("Ctrl+End", "To the newest message"),
    ("Enter, Shift+Enter", "Send; a new line"),
    ("Up in an empty field", "Edit your last message"),
    ("Esc", "Close, cancel, to the newest"),
    ("Ctrl+Comma", "Settings"),
    ("Ctrl+Slash", "This list"),
    ("Ctrl+Plus, +Minus, +0", "Larger, smaller, normal text"),
];

/// Draws it.
pub(super) fn ui(ui: &mut Ui, palette: &Palette) -> Vec<Wish> {
    // Lines to be read, not to be pressed.
    ui.spacing_mut().interact_size.y = 0.0;
    let grid = egui::Grid::new("shortcuts").num_columns(2).min_row_height(6.0 * UNIT);
    grid.spacing(vec2(PAD, UNIT)).show(ui, |ui| {
        for (keys, what) in ALL {
            ui.label(RichText::new(keys).font(Type::Strong.font()));
            hint(ui, palette, what);
            ui.end_row();
        }
    });
    Vec::new()
}
