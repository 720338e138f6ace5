//! Before anything else: which server? And what keeps the window from starting.
//!
//! Owns: what is typed as an address. Driven by: `main`, when neither the command line nor the
//! settings nor an earlier sign-in names a server. Invariant: one address is enough: the others are
//! learned from the servers. Does not: dial.

use egui::{Id, Key, RichText, Ui, vec2};

use crate::controls::{self, Kind};
use crate::theme::{self, GAP, PAD, Palette, Type};

/// See the module's page.
#[derive(Debug, Default)]
pub struct Address {
    typed: String,
    has_tried: bool,
    had_focus: bool,
}

impl Address {
    /// Draws the question; gives the answer once.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<String> {
        let mut answer = None;
        card(ui, |ui, palette| {
            ui.label(RichText::new("Where is your server?").font(Type::Title.font()));
            let text = "Its address and port, as whoever runs it told you.";
            ui.label(RichText::new(text).color(palette.weak));
            ui.add_space(GAP);
            let id = Id::unique("address");
            let field = controls::field(ui, id, &mut self.typed, "192.0.2.7:8091 or a name", false);
            if !std::mem::replace(&mut self.had_focus, true) {
                field.request_focus();
            }
            if self.has_tried && !is_address(self.typed.trim()) {
                let text = "An address, a colon, and a port: chat.example.org:8091";
                ui.label(RichText::new(text).font(Type::Small.font()).color(palette.danger));
            }
            ui.add_space(GAP);
            let enter = ui.input(|input| input.key_pressed(Key::Enter));
            let width = ui.available_width();
            let pressed = controls::button(ui, "Go on", Kind::Main, Some(width)).clicked();
            if enter || pressed {
                self.has_tried = true;
                field.request_focus();
                answer = Some(self.typed.trim().to_owned()).filter(|typed| is_address(typed));
            }
        });
        answer
    }
}

fn is_address(typed: &str) -> bool {
    let Some((host, port)) = typed.rsplit_once(':') else { return false };
    let is_host = !host.is_empty() && !host.contains(char::is_whitespace);
    is_host && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// Says why there is no chat.
pub fn failed_ui(ui: &mut Ui, sentence: &str) {
    card(ui, |ui, palette| {
        ui.label(RichText::new("Holdfast cannot start").font(Type::Title.font()));
        ui.label(RichText::new(sentence).color(palette.weak));
        ui.add_space(GAP);
        if controls::button(ui, "Close", Kind::Main, None).clicked() {
            ui.ctx().send_viewport_cmd(egui::ViewportCommand::Close);
        }
    });
}

fn card(ui: &mut Ui, content: impl FnOnce(&mut Ui, &Palette)) {
    let palette = Palette::of(ui);
    let full = ui.available_rect_before_wrap();
    ui.painter().rect_filled(full, 0.0, palette.surface);
    let width = theme::CARD.min(full.width() - 2.0 * PAD);
    let min = egui::pos2(full.center().x - width / 2.0, full.top() + full.height() * 0.25);
    let rect = egui::Rect::from_min_size(min, vec2(width, full.height() * 0.7));
    ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| {
        ui.spacing_mut().item_spacing.y = GAP;
        content(ui, palette);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_host_and_a_port() {
        assert!(is_address("127.0.0.1:8091") && is_address("chat.example.org:1"));
        assert!(is_address("[::1]:8091"));
        for wrong in ["", "host", ":80", "host:", "host:0", "host:99999", "a b:80"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
