//! Signing in, and creating an account.
//!
//! Owns: what is typed into the form. Driven by: `window`. Invariants: the password is dropped as
//! soon as it was handed over; a rule that is broken is said before anything is sent; a failure
//! stands under the field that caused it. Does not: keep a password.

use egui::{Id, Key, RichText, Ui, vec2};
use holdfast_common::client::model::Model;
use holdfast_common::client::{Failure, SessionState, SignedOut};
use holdfast_common::config::Secret;
use holdfast_common::protocol::{ErrorCode, check_name, check_password};

use crate::controls::{self, Kind};
use crate::paint::{self, Icon};
use crate::theme::{self, GAP, PAD, Palette, Type, UNIT};
use crate::wish::Wish;
use crate::words;

/// See the module's page.
#[derive(Debug)]
pub struct SignIn {
    name: String,
    /// Why somebody who was signed in must do so again.
    note: Option<String>,
    pass: String,
    is_new: bool,
    reveals: bool,
    /// What came of the last try.
    pub failure: Option<Failure>,
    wants_focus: Option<Id>,
    /// Something was tried: from now on broken rules are shown.
    has_tried: bool,
}

/// The fields' places in egui's memory.
fn name_id() -> Id {
    Id::unique("sign-in name")
}

fn pass_id() -> Id {
    Id::unique("sign-in password")
}

impl Default for SignIn {
    fn default() -> SignIn {
        SignIn {
            name: String::new(),
            note: None,
            pass: String::new(),
            is_new: false,
            reveals: false,
            failure: None,
            wants_focus: Some(name_id()),
            has_tried: false,
        }
    }
}

impl SignIn {
    /// For somebody who was signed in and must do so again: why.
    pub fn again(user: String, note: String) -> SignIn {
        let (note, wants_focus) = (Some(note), Some(pass_id()));
        SignIn { name: user, note, wants_focus, ..SignIn::default() }
    }

    /// Draws the screen.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model) -> Vec<Wish> {
        let palette = Palette::of(ui);
        let full = ui.available_rect_before_wrap();
        ui.painter().rect_filled(full, 0.0, palette.surface);
        let width = theme::CARD.min(full.width() - 2.0 * PAD);
        let height = 440.0;
        let top = ((full.height() - height) / 2.0).max(PAD);
        let rect = egui::Rect::from_min_size(
            egui::pos2(full.center().x - width / 2.0, full.top() + top),
            vec2(width, height),
        );
        let mut wishes = Vec::new();
        ui.scope_builder(egui::UiBuilder::new().max_rect(rect), |ui| {
            ui.spacing_mut().item_spacing.y = GAP;
            wishes = self.card_ui(ui, palette, model);
        });
        wishes
    }

    fn card_ui(&mut self, ui: &mut Ui, palette: &Palette, model: &Model) -> Vec<Wish> {
        let mut wishes = Vec::new();
        ui.vertical_centered(|ui| {
            logo(ui);
            ui.add_space(GAP);
            ui.label(RichText::new("Holdfast").font(Type::Title.font()));
            let line = match (model.session(), self.is_new, &self.note) {
                (SessionState::SignedOut(SignedOut::Ended), ..) => {
                    "You were signed out elsewhere. Drafts and unsent messages are kept.".to_owned()
                }
                (_, true, _) => "Create an account on this cluster".to_owned(),
                (_, false, Some(note)) => note.clone(),
                (_, false, None) => "Sign in to your account".to_owned(),
            };
            ui.label(RichText::new(line).color(palette.weak));
        });
        ui.add_space(PAD);
        let busy = matches!(model.session(), SessionState::SigningIn { .. });
        ui.add_enabled_ui(!busy, |ui| self.fields_ui(ui, palette));
        ui.add_space(GAP);
        let label = match (busy, self.is_new) {
            (true, _) => "One moment\u{2026}",
            (false, true) => "Create account",
            (false, false) => "Sign in",
        };
        let width = ui.available_width();
        let main = ui
            .add_enabled_ui(!busy, |ui| controls::button(ui, label, Kind::Main, Some(width)))
            .inner;
        let enter = ui.input(|input| input.key_pressed(Key::Enter));
        let typed = ui.ctx().memory(|m| m.has_focus(pass_id()) || m.has_focus(name_id()));
        // A field of one line gives the focus up on Enter, in this very frame.
        let gave_up = self.wants_focus.is_none()
            && enter
            && ui.ctx().memory(|memory| memory.focused().is_none());
        if main.clicked() || (enter && (typed || gave_up)) && !busy {
            wishes.extend(self.submit());
        }
        ui.vertical_centered(|ui| {
            let other = match self.is_new {
                true => "I have an account: sign in",
                false => "New here? Create an account",
            };
            if ui.add_enabled_ui(!busy, |ui| controls::link(ui, other)).inner.clicked() {
                self.is_new = !self.is_new;
                self.failure = None;
                self.has_tried = false;
                self.wants_focus = Some(name_id());
            }
        });
        wishes
    }

    fn fields_ui(&mut self, ui: &mut Ui, palette: &Palette) {
        let name = controls::field(ui, name_id(), &mut self.name, "Name", false);
        let name_fault = self.name_fault();
        if let Some(fault) = &name_fault {
            fault_ui(ui, palette, fault);
        }
        let shown = ui.horizontal(|ui| {
            let width = ui.available_width() - theme::TOUCH - GAP;
            let field = ui
                .scope(|ui| {
                    ui.set_max_width(width);
                    controls::field(ui, pass_id(), &mut self.pass, "Password", !self.reveals)
                })
                .inner;
            let label = if self.reveals { "Hide the password" } else { "Show the password" };
            if controls::icon_button(ui, Icon::Eye, label, palette.weak).clicked() {
                self.reveals = !self.reveals;
            }
            field
        });
        if name.changed() || shown.inner.changed() {
            self.failure = None;
        }
        if let Some(fault) = self.pass_fault().filter(|_| name_fault.is_none()) {
            fault_ui(ui, palette, &fault);
        } else if self.is_new && !self.has_tried {
            hint_ui(ui, palette, "8 to 71 characters, and not the name");
        }
        if let Some(wanted) = self.wants_focus.take() {
            ui.ctx().memory_mut(|memory| memory.request_focus(wanted));
        }
    }

    /// What stands under the name.
    fn name_fault(&self) -> Option<String> {
        let code = refusal(self.failure.as_ref());
        if let (Some(ErrorCode::UserExists | ErrorCode::InvalidName), Some(failure)) =
            (code, &self.failure)
        {
            return Some(words::failure(failure));
        }
        let broken = check_name(self.name.trim()).err().filter(|_| self.shows_rules(&self.name))?;
        Some(holdfast_common::protocol::ErrorReply::from(broken).text)
    }

    /// What stands under the password: all other failures too, for it is the last thing typed.
    fn pass_fault(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            let is_of_name = matches!(
                refusal(Some(failure)),
                Some(ErrorCode::UserExists | ErrorCode::InvalidName)
            );
            return (!is_of_name).then(|| words::failure(failure));
        }
        let broken = check_password(self.name.trim(), &self.pass);
        let broken = broken.err().filter(|_| self.shows_rules(&self.pass) && self.is_new)?;
        Some(holdfast_common::protocol::ErrorReply::from(broken).text)
    }

    /// Rules are shown while typing a new account, else after a try.
    fn shows_rules(&self, text: &str) -> bool {
        self.has_tried || self.is_new && !text.is_empty()
    }

    fn submit(&mut self) -> Option<Wish> {
        self.has_tried = true;
        self.failure = None;
        let user = self.name.trim().to_owned();
        if check_name(&user).is_err() {
            self.wants_focus = Some(name_id());
            return None;
        }
        let is_broken = self.is_new && check_password(&user, &self.pass).is_err();
        if self.pass.is_empty() || is_broken {
            self.wants_focus = Some(pass_id());
            return None;
        }
        let pass = Secret::new(std::mem::take(&mut self.pass));
        self.wants_focus = Some(pass_id());
        Some(Wish::SignIn { user, pass, is_new: self.is_new })
    }
}

fn refusal(failure: Option<&Failure>) -> Option<ErrorCode> {
    match failure? {
        Failure::Refused(error) => Some(error.code),
        Failure::NoServer(_)
        | Failure::IdentityChanged
        | Failure::IdentityRejected
        | Failure::NotSignedIn
        | Failure::AlreadySignedIn
        | Failure::Cancelled
        | Failure::NoSuchItem => None,
    }
}

fn fault_ui(ui: &mut Ui, palette: &Palette, text: &str) {
    ui.label(RichText::new(text).font(Type::Small.font()).color(palette.danger));
}

fn hint_ui(ui: &mut Ui, palette: &Palette, text: &str) {
    ui.label(RichText::new(text).font(Type::Small.font()).color(palette.weak));
}

/// The sign.
fn logo(ui: &mut Ui) {
    let (rect, _) = ui.allocate_exact_size(vec2(14.0 * UNIT, 14.0 * UNIT), egui::Sense::hover());
    paint::sign(ui.painter(), rect);
}
