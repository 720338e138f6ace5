//! Whether the servers are who they should be: the first contact, and the full stop.
//!
//! Owns: nothing. Driven by: `window`, instead of any other screen. Invariants: nothing was sent
//! before a person has said yes; a changed key is never accepted by one key press. Does not:
//! decide.

use egui::{Key, RichText, Ui, vec2};
use holdfast_common::client::{Command, ConnectionState, Identity};
use holdfast_common::net::tls::Fingerprint;

use crate::controls::{self, Kind};
use crate::theme::{self, GAP, PAD, Palette, Type};
use crate::wish::Wish;

/// Draws the question, if there is one to be answered; else nothing happens.
pub fn ui(ui: &mut Ui, connection: &ConnectionState) -> Option<Vec<Wish>> {
    match connection {
        ConnectionState::Unconfirmed { address, identity } => {
            Some(card(ui, |ui, palette| first_ui(ui, palette, address, *identity)))
        }
        ConnectionState::IdentityChanged { address, pinned, presented } => {
            Some(card(ui, |ui, palette| changed_ui(ui, palette, address, (*pinned, *presented))))
        }
        ConnectionState::Idle
        | ConnectionState::Connecting
        | ConnectionState::Connected { .. }
        | ConnectionState::Switching { .. }
        | ConnectionState::NotConnected { .. } => None,
    }
}

fn card(ui: &mut Ui, content: impl FnOnce(&mut Ui, &Palette) -> Vec<Wish>) -> Vec<Wish> {
    let palette = Palette::of(ui);
    let full = ui.available_rect_before_wrap();
    ui.painter().rect_filled(full, 0.0, palette.surface);
    let width = (theme::CARD + 2.0 * theme::SPACE).min(full.width() - 2.0 * PAD);
    let min = egui::pos2(full.center().x - width / 2.0, full.top() + full.height() * 0.2);
    let rect = egui::Rect::from_min_size(min, vec2(width, full.height() * 0.7));
    let builder = egui::UiBuilder::new().max_rect(rect);
    ui.scope_builder(builder, |ui| {
        ui.spacing_mut().item_spacing.y = GAP;
        content(ui, palette)
    })
    .inner
}

fn first_ui(ui: &mut Ui, palette: &Palette, address: &str, identity: Identity) -> Vec<Wish> {
    let mut wishes = Vec::new();
    ui.label(RichText::new("Is this your cluster?").font(Type::Title.font()));
    text(
        ui,
        palette,
        &format!(
            "You have not been at {address} before. It shows the fingerprint below. Whoever runs \
             the servers can tell you whether it is the right one; you are asked only once."
        ),
    );
    fingerprint_ui(ui, palette, identity);
    ui.add_space(GAP);
    ui.horizontal(|ui| {
        let yes = controls::button(ui, "Yes, go on", Kind::Main, None);
        let enter = ui.input(|input| input.key_pressed(Key::Enter));
        if yes.clicked() || enter {
            wishes.push(Wish::Do(Command::AcceptIdentity(identity)));
        }
        if controls::button(ui, "No", Kind::Plain, None).clicked() {
            wishes.push(Wish::Do(Command::RejectIdentity));
        }
    });
    wishes
}

fn changed_ui(
    ui: &mut Ui,
    palette: &Palette,
    address: &str,
    (pinned, presented): (Identity, Identity),
) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let title = RichText::new("Stop: this may not be your server").font(Type::Title.font());
    ui.label(title.color(palette.danger));
    text(
        ui,
        palette,
        &format!(
            "{address} shows another key than before. Somebody may be in between who wants to read \
         your password, or the servers were set up anew. Nothing was sent, and nothing will be. \
         Your messages here are safe. Ask whoever runs the servers before you go on."
        ),
    );
    text(ui, palette, "Known until now:");
    fingerprint_ui(ui, palette, pinned);
    text(ui, palette, "Shown now:");
    fingerprint_ui(ui, palette, presented);
    ui.add_space(GAP);
    ui.horizontal(|ui| {
        if controls::button(ui, "Stay disconnected", Kind::Main, None).clicked() {
            wishes.push(Wish::Do(Command::RejectIdentity));
        }
        if controls::button(ui, "The new key is right", Kind::Danger, None).clicked() {
            wishes.push(Wish::Do(Command::AcceptIdentity(presented)));
        }
    });
    wishes
}

fn text(ui: &mut Ui, palette: &Palette, text: &str) {
    ui.label(RichText::new(text).color(palette.weak));
}

fn fingerprint_ui(ui: &mut Ui, palette: &Palette, identity: Identity) {
    let shown = match identity {
        Identity::Cluster(key) => Fingerprint(key).to_string(),
        Identity::Ordinary => "an ordinary web certificate".to_owned(),
        Identity::Plain => "no encryption".to_owned(),
    };
    egui::Frame::new()
        .fill(palette.raised)
        .corner_radius(theme::RADIUS)
        .inner_margin(egui::Margin::same(16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.add(egui::Label::new(RichText::new(shown).monospace()).selectable(true));
        });
}
