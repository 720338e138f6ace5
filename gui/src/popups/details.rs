//! All about one message.

use egui::{RichText, Ui};
use holdfast_common::client::model::Model;
use holdfast_common::ids::{ConversationId, Seq};

use super::{Seen, hint};
use crate::theme::{Palette, Type};
use crate::wish::Wish;
use crate::words;

/// Draws it.
pub(super) fn ui(
    ui: &mut Ui,
    palette: &Palette,
    seen: Seen<'_>,
    (conv, seq): (ConversationId, Seq),
) -> Vec<Wish> {
    for (name, value) in rows(seen, conv, seq) {
        hint(ui, palette, name);
        ui.label(RichText::new(value).font(Type::Body.font()));
    }
    Vec::new()
}

fn rows(seen: Seen<'_>, conv: ConversationId, seq: Seq) -> Vec<(&'static str, String)> {
    let model: &Model = seen.model;
    let Some(message) = model.timeline(conv).and_then(|timeline| timeline.message(seq)) else {
        return vec![("Message", "It is not loaded any more.".to_owned())];
    };
    let from = match (message.own, &message.view.from) {
        (true, _) => "You".to_owned(),
        (false, Some(name)) => name.clone(),
        (false, None) => "A deleted account".to_owned(),
    };
    let mut rows = vec![("From", from), ("Taken by the servers", seen.clock.full(message.view.ts))];
    if let Some(edited) = message.view.edited {
        rows.push(("Edited", seen.clock.full(edited)));
    }
    if let Some(state) = model.own_state(conv, message) {
        rows.push(("State", words::state(&state, seen.clock.wall_ms).1));
        if message.of > 0 {
            let copies = format!("{} of {}", message.copies, message.of);
            rows.push(("Servers that held it when it was acknowledged", copies));
        }
    }
    rows.push(("Place in this chat", format!("number {seq}")));
    rows
}
