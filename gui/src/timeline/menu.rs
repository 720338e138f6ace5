//! A message on the screen: what the pointer and the keyboard do with it.
//!
//! Owns: its menu. Driven by: `timeline`. Invariant: whatever the pointer can do here, the keyboard
//! can. Does not: carry anything out.

use egui::{Id, Popup as Floating, Rect, Response, Role, Sense, SetOpenCommand, Ui, WidgetInfo};
use holdfast_common::client::Command;
use holdfast_common::client::model::{Model, OwnState};
use holdfast_common::protocol::{Scope, Target};

use super::bubble::{self, Laid, Lit};
use super::conversation;
use super::items::{Bubble, Key};
use crate::theme::{Palette, SPACE};
use crate::wish::{Popup, Wish};
use crate::words::{self, Clock};

/// A message's place in egui's memory.
pub(super) fn id(key: Key) -> Id {
    Id::unique(("bubble", key))
}

/// Draws a message into its room. `lit`: what of it is marked; `opens_menu`: the keyboard wants it.
pub(super) fn bubble_ui(
    ui: &mut Ui,
    (model, to, clock): (&Model, &Target, &Clock),
    (bubble, laid, room): (&Bubble, &Laid, Rect),
    (lit, opens_menu): (&Lit, bool),
) -> (Response, Vec<Wish>) {
    let mut wishes = Vec::new();
    let palette = Palette::of(ui);
    let rect = bubble::rect(laid, bubble, room);
    let response = ui.interact(rect, id(bubble.key), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &laid.sentence));
    let lit = Lit { is_focused: response.has_focus(), ..lit.clone() };
    bubble::paint(ui.painter(), palette, bubble, laid, rect, &lit);
    let pointer = response.hover_pos();
    if let Some(link) = pointer.and_then(|point| bubble::link_at(laid, rect, point)) {
        ui.ctx().set_cursor_icon(egui::CursorIcon::PointingHand);
        if response.clicked() {
            wishes.push(Wish::Browse(link.to_owned()));
        }
        response.clone().on_hover_text(link);
    } else if let Some((at, state)) = pointer.zip(bubble.state.as_ref())
        && at.y > rect.bottom() - SPACE
    {
        response.clone().on_hover_text(words::state(state, clock.wall_ms).1);
    }
    let popup = Floating::default_response_id(&response);
    let is_by_key = opens_menu
        || Floating::is_id_open(ui.ctx(), popup)
            && Floating::position_of_id(ui.ctx(), popup).is_none();
    let menu = match is_by_key {
        true => {
            let set = opens_menu.then_some(SetOpenCommand::Bool(true));
            Floating::menu(&response).open_memory(set)
        }
        false => Floating::context_menu(&response),
    };
    // The frame in which a menu opens only measures it.
    let takes_focus = is_by_key && response.has_focus();
    menu.show(|ui| wishes.extend(menu_ui(ui, (model, to), bubble, takes_focus)));
    (response, wishes)
}

fn menu_ui(
    ui: &mut Ui,
    (model, to): (&Model, &Target),
    bubble: &Bubble,
    mut takes_focus: bool,
) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let mut entry = |ui: &mut Ui, label: &str, wish: &dyn Fn() -> Wish| {
        let button = ui.button(label);
        if std::mem::take(&mut takes_focus) {
            button.request_focus();
        }
        if button.clicked() {
            wishes.push(wish());
            ui.close();
        }
    };
    if !bubble.is_deleted {
        entry(ui, "Copy", &|| Wish::Copy(bubble.text.clone()));
    }
    match bubble.key {
        Key::Message(seq) => {
            let Some(conv) = conversation(model, to) else { return wishes };
            if bubble.is_own && !bubble.is_deleted {
                entry(ui, "Edit", &|| Wish::Edit(seq));
            }
            let delete = |scope| Wish::Do(Command::Delete { conv, seq, scope });
            entry(ui, "Delete for me", &|| delete(Scope::Me));
            if bubble.is_own && !bubble.is_deleted {
                entry(ui, "Delete for both", &|| Wish::Show(Popup::DeleteForBoth(conv, seq)));
            }
            entry(ui, "Details", &|| Wish::Show(Popup::Details(conv, seq)));
        }
        Key::Outgoing(txn) => {
            if matches!(bubble.state, Some(OwnState::Refused(_) | OwnState::Stale)) {
                entry(ui, "Try again", &|| Wish::Do(Command::Retry(txn)));
            }
            entry(ui, "Discard", &|| Wish::Do(Command::Discard(txn)));
        }
        Key::Day(_) | Key::DayOfOutgoing(_) | Key::New => {}
    }
    wishes
}
