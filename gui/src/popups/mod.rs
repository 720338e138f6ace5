//! What stands above the panes, one thing at a time.
//!
//! Owns: [`Shown`], the thing that is open with its own state, and the frame around it. Driven by:
//! `window`. Invariants: Esc and a click beside it close it; the focus is inside; only what cannot
//! be undone asks before it does something. Does not: carry anything out.

mod cluster;
mod confirm;
mod details;
mod settings;
mod shortcuts;
mod switcher;

use egui::{Id, RichText, Ui, vec2};
use holdfast_common::client::model::Model;
use holdfast_common::protocol::{SessionView, UserView};

use crate::controls;
use crate::paint::Icon;
use crate::theme::{self, GAP, Palette, Type};
use crate::wish::{Popup, Wish};
use crate::words::Clock;
pub use cluster::Changes;
pub use settings::Preferences;
use settings::Settings;
use switcher::Switcher;

/// What is open.
#[derive(Debug)]
pub struct Shown {
    popup: Popup,
    switcher: Switcher,
    settings: Settings,
    password: String,
}

/// What the things above the panes look at.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What a person sees.
    pub model: &'a Model,
    /// The clock of this frame.
    pub clock: &'a Clock,
    /// What the person has chosen.
    pub preferences: &'a Preferences,
    /// What happened to the cluster while the window was open.
    pub changes: &'a Changes,
    /// Where the program's log is; empty if there is none.
    pub logs: &'a str,
}

impl Shown {
    /// Opens something.
    pub fn new(popup: Popup) -> Shown {
        Shown {
            popup,
            switcher: Switcher::default(),
            settings: Settings::default(),
            password: String::new(),
        }
    }

    /// Names that a server has sent for what is typed in the switcher.
    pub fn users_came(&mut self, prefix: &str, users: Vec<UserView>) {
        self.switcher.users_came(prefix, users);
    }

    /// The account's sessions.
    pub fn sessions_came(&mut self, sessions: Vec<SessionView>) {
        self.settings.sessions = Some(sessions);
    }

    /// What came of something that was wished here, in a sentence.
    pub fn told(&mut self, is_good: bool, sentence: String) {
        self.settings.told = Some((is_good, sentence));
    }

    /// Draws it.
    pub fn ui(&mut self, ui: &mut Ui, seen: Seen<'_>) -> Vec<Wish> {
        let palette = Palette::of(ui);
        let frame = egui::Frame::new()
            .fill(palette.surface)
            .corner_radius(theme::RADIUS_LARGE)
            .shadow(ui.visuals().window_shadow)
            .inner_margin(0);
        let modal = egui::Modal::new(Id::unique("popup"))
            .frame(frame)
            .backdrop_color(palette.shade)
            .show(ui.ctx(), |ui| self.inner_ui(ui, palette, seen));
        let mut wishes = modal.inner;
        if modal.backdrop_response.clicked()
            || ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, egui::Key::Escape))
        {
            wishes.push(Wish::Hide);
        }
        wishes
    }

    fn inner_ui(&mut self, ui: &mut Ui, palette: &Palette, seen: Seen<'_>) -> Vec<Wish> {
        let screen = ui.ctx().content_rect();
        let width = match self.popup {
            Popup::Settings | Popup::Cluster | Popup::Shortcuts => 120.0 * theme::UNIT,
            Popup::Switcher
            | Popup::Details(..)
            | Popup::DeleteForBoth(..)
            | Popup::DeleteAccount
            | Popup::SignOut => theme::CARD + 2.0 * theme::SPACE,
        };
        ui.set_width(width.min(screen.width() - 4.0 * theme::UNIT));
        ui.set_max_height(screen.height() - 2.0 * theme::SPACE);
        ui.spacing_mut().item_spacing = vec2(GAP, GAP);
        match &self.popup {
            Popup::Switcher => self.switcher.ui(ui, palette, seen),
            Popup::Cluster => titled(ui, palette, "Cluster", |ui| cluster::ui(ui, palette, seen)),
            Popup::Settings => {
                titled(ui, palette, "Settings", |ui| self.settings.ui(ui, palette, seen))
            }
            Popup::Shortcuts => titled(ui, palette, "Keyboard", |ui| shortcuts::ui(ui, palette)),
            Popup::Details(conv, seq) => {
                let (conv, seq) = (*conv, *seq);
                titled(ui, palette, "Message", |ui| details::ui(ui, palette, seen, (conv, seq)))
            }
            Popup::DeleteForBoth(conv, seq) => {
                let (conv, seq) = (*conv, *seq);
                titled(ui, palette, "Delete for both?", |ui| {
                    confirm::delete_for_both(ui, palette, (conv, seq))
                })
            }
            Popup::DeleteAccount => titled(ui, palette, "Delete your account?", |ui| {
                confirm::delete_account(ui, palette, &mut self.password, &self.settings.told)
            }),
            Popup::SignOut => {
                titled(ui, palette, "Sign out?", |ui| confirm::sign_out(ui, palette, seen.model))
            }
        }
    }
}

/// A title with a button that closes, and what stands below.
fn titled(
    ui: &mut Ui,
    palette: &Palette,
    title: &str,
    content: impl FnOnce(&mut Ui) -> Vec<Wish>,
) -> Vec<Wish> {
    let mut wishes = Vec::new();
    let margin = egui::Margin { left: 24, right: 16, top: 12, bottom: 0 };
    egui::Frame::new().inner_margin(margin).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(RichText::new(title).font(Type::Heading.font()));
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if controls::icon_button(ui, Icon::Close, "Close", palette.weak).clicked() {
                    wishes.push(Wish::Hide);
                }
            });
        });
    });
    let margin = egui::Margin { left: 24, right: 24, top: 4, bottom: 24 };
    egui::ScrollArea::vertical().id_salt("popup").show(ui, |ui| {
        egui::Frame::new().inner_margin(margin).show(ui, |ui| {
            ui.set_width(ui.available_width());
            wishes.extend(content(ui));
        });
    });
    wishes
}

/// A line of text that stands back.
fn hint(ui: &mut Ui, palette: &Palette, text: impl Into<String>) {
    ui.label(RichText::new(text).font(Type::Small.font()).color(palette.weak));
}
