//! What stands between the messages, and where there are none: days, the line "New messages".
//!
//! Owns: nothing. Driven by: `timeline`. Invariant: what is painted has a name for who cannot see
//! it. Does not: know where it stands.

use egui::{Align2, Id, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use holdfast_common::client::model::Model;
use holdfast_common::protocol::Target;

use super::conversation;
use super::items::Key;
use crate::theme::{GAP, Palette, Type, UNIT};

/// The chip of a day.
pub(super) fn chip(ui: &Ui, palette: &Palette, room: Rect, key: Key, label: &str) {
    named(ui, room, key, label);
    let painter = ui.painter();
    let galley = painter.layout_no_wrap(label.to_owned(), Type::Tiny.font(), palette.weak);
    let size = galley.size() + vec2(5.0 * UNIT, 2.0 * UNIT);
    let center = pos2(room.center().x, room.center().y + UNIT);
    let rect = Rect::from_center_size(center, size);
    painter.rect_filled(rect, size.y / 2.0, palette.surface);
    painter.galley(center - galley.size() / 2.0, galley, palette.weak);
}

/// The line above the first unread message.
pub(super) fn new_line(ui: &Ui, palette: &Palette, room: Rect) {
    named(ui, room, Key::New, "New messages");
    let painter = ui.painter();
    let center = pos2(room.center().x, room.center().y + UNIT);
    let text = painter.text(
        center,
        Align2::CENTER_CENTER,
        "New messages",
        Type::TinyStrong.font(),
        palette.accent,
    );
    let stroke = Stroke::new(1.0, palette.accent.gamma_multiply(0.5));
    painter.hline(room.left()..=text.left() - GAP, center.y, stroke);
    painter.hline(text.right() + GAP..=room.right(), center.y, stroke);
}

/// What is said where there is no message.
pub(super) fn empty(ui: &Ui, palette: &Palette, full: Rect, model: &Model, to: &Target) {
    let is_loading = conversation(model, to)
        .is_some_and(|conv| model.timeline(conv).is_none_or(|timeline| timeline.is_loading()));
    let name = model.name(to).unwrap_or("this account");
    let text = match is_loading {
        true => "Loading messages\u{2026}".to_owned(),
        false => format!("Nothing here yet. Say hello to {name}."),
    };
    named(ui, full, Key::New, &text);
    let center = full.center();
    ui.painter().text(center, Align2::CENTER_CENTER, text, Type::Body.font(), palette.weak);
}

/// Its name, for who cannot see it.
fn named(ui: &Ui, room: Rect, key: Key, label: &str) {
    let response = ui.interact(room, Id::unique(("sign", key)), Sense::empty());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, label));
}
