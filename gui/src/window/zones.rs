//! The parts of the window that F6 goes through: list, messages, composer.
//!
//! Owns: their order. Driven by: `window`. Invariant: wherever the focus is, or nowhere, F6 leads
//! to a part that is there. Does not: move inside of one.

use egui::Id;

use super::Window;
use crate::composer;

/// The parts, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Zone {
    List,
    Messages,
    Composer,
}

impl Window {
    /// Brings the focus to the next part, or to the one before.
    pub(super) fn go_to_zone(&mut self, focused: Option<Id>, is_forward: bool) {
        let Some(chat) = &mut self.chat else {
            self.list.take_focus();
            return;
        };
        let at = match focused {
            Some(id) if id == composer::id() => Zone::Composer,
            focused if chat.timeline.has_focus(focused) => Zone::Messages,
            _ => Zone::List,
        };
        let next = match (at, is_forward) {
            (Zone::List, true) | (Zone::Composer, false) => Zone::Messages,
            (Zone::Messages, true) | (Zone::List, false) => Zone::Composer,
            (Zone::Composer, true) | (Zone::Messages, false) if !self.is_narrow => Zone::List,
            // Where one pane is shown at a time, the list is not there.
            (Zone::Composer, true) => Zone::Messages,
            (Zone::Messages, false) => Zone::Composer,
        };
        match next {
            Zone::List => self.list.take_focus(),
            Zone::Messages => chat.timeline.take_focus(),
            Zone::Composer => chat.composer.wants_focus = true,
        }
    }
}
