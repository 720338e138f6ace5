//! What can be done with the keyboard.

use egui::{RichText, Ui};

use super::hint;
use crate::theme::{Palette, Type};
use crate::wish::Wish;

/// Keys, and what they do.
const ALL: [(&str, &str); 13] = [
    ("Ctrl+K", "Go to a chat or a person"),
    ("Ctrl+N", "Write to somebody new"),
    ("Alt+Up, Alt+Down", "The chat above, below"),
    ("Alt+Shift+Up, Alt+Shift+Down", "The unread chat above, below"),
    ("Page Up, Page Down", "Scroll"),
    ("Ctrl+End", "To the newest message"),
    ("Enter", "Send"),
    ("Shift+Enter", "A new line"),
    ("Up, in an empty field", "Edit your last message"),
    ("Esc", "Close; cancel an edit; to the newest message"),
    ("Ctrl+Comma", "Settings"),
    ("Ctrl+Slash", "This list"),
    ("Ctrl+Plus, Ctrl+Minus, Ctrl+0", "Larger, smaller, normal text"),
];

/// Draws it.
pub(super) fn ui(ui: &mut Ui, palette: &Palette) -> Vec<Wish> {
    egui::Grid::new("shortcuts").num_columns(2).show(ui, |ui| {
        for (keys, what) in ALL {
            ui.label(RichText::new(keys).font(Type::Strong.font()));
            hint(ui, palette, what);
            ui.end_row();
        }
    });
    Vec::new()
}
