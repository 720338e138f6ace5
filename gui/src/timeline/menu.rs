//! Where a message's menu opens: at the pointer, or below the message when keys asked for it.
//!
//! Owns: nothing. Driven by: `timeline`, for each message that is seen. Does not: know the entries.

use egui::{Key, Modifiers, Popup, PopupAnchor, Response, Ui};

/// The menu of a message that was drawn as `response`.
pub(super) fn menu(ui: &Ui, response: &Response) -> Popup<'static> {
    let id = Popup::default_response_id(response);
    let by_keys = response.has_focus()
        && ui.input_mut(|input| {
            input.consume_key(Modifiers::NONE, Key::Menu)
                || input.consume_key(Modifiers::SHIFT, Key::F10)
        });
    if by_keys {
        Popup::open_id(ui.ctx(), id);
    }
    let menu = Popup::context_menu(response);
    // The pointer leaves a position behind, the keys do not.
    match Popup::is_id_open(ui.ctx(), id) && Popup::position_of_id(ui.ctx(), id).is_none() {
        true => menu.anchor(PopupAnchor::from(response)),
        false => menu,
    }
}
