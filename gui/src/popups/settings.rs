//! Settings: how the window looks and acts, and the account.
//!
//! Owns: [`Preferences`] and their form as text, what is typed into the password fields, and the
//! sessions as last heard. Driven by: `popups`. Invariants: a choice holds at once; passwords are
//! dropped as soon as they were handed over. Does not: keep anything (`window` does).

use egui::{Id, RichText, ThemePreference, Ui};
use holdfast_common::client::{Command, ConnectionState, Question};
use holdfast_common::config::Secret;
use holdfast_common::protocol::{ErrorReply, RevokeTarget, SessionView, check_password};

use super::{Seen, hint};
use crate::controls::{self, Kind};
use crate::theme::{GAP, Palette, SPACE, Type};
use crate::wish::{Popup, Preference, Wish};

/// The sizes that can be chosen, in percent.
const ZOOM: [u16; 8] = [80, 90, 100, 110, 125, 150, 175, 200];

/// What a person has chosen about the window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preferences {
    /// Dark, light, or as the system.
    pub theme: ThemePreference,
    /// All sizes, in percent.
    pub zoom_percent: u16,
    /// Whether Enter sends.
    pub enter_sends: bool,
    /// Whether to notify of messages.
    pub notifies: bool,
    /// Whether with a sound.
    pub sounds: bool,
    /// Whether without the text.
    pub hides_text: bool,
    /// How wide the list is, in points.
    pub list_width: f32,
}

impl Default for Preferences {
    fn default() -> Preferences {
        Preferences {
            theme: ThemePreference::System,
            zoom_percent: 100,
            enter_sends: true,
            notifies: true,
            sounds: false,
            hides_text: false,
            list_width: crate::theme::LIST,
        }
    }
}

impl Preferences {
    /// Takes one choice.
    pub fn set(&mut self, preference: Preference) {
        match preference {
            Preference::Theme(theme) => self.theme = theme,
            Preference::Zoom(percent) => self.zoom_percent = percent.clamp(80, 200),
            Preference::EnterSends(sends) => self.enter_sends = sends,
            Preference::Notify(notifies) => self.notifies = notifies,
            Preference::Sound(sounds) => self.sounds = sounds,
            Preference::HideText(hides) => self.hides_text = hides,
            Preference::ListWidth(width) => {
                self.list_width = width.clamp(crate::theme::LIST_MIN, crate::theme::LIST_MAX);
            }
        }
    }

    /// The next larger or smaller size.
    pub fn zoomed(&self, is_larger: bool) -> u16 {
        let mut larger = ZOOM.iter().copied().filter(|zoom| *zoom > self.zoom_percent);
        let mut smaller = ZOOM.iter().rev().copied().filter(|zoom| *zoom < self.zoom_percent);
        let next = if is_larger { larger.next() } else { smaller.next() };
        next.unwrap_or(self.zoom_percent)
    }

    /// As it is kept: words and numbers.
    pub fn to_text(self) -> String {
        let theme = match self.theme {
            ThemePreference::Dark => "dark",
            ThemePreference::Light => "light",
            ThemePreference::System => "system",
        };
        let flags = [self.enter_sends, self.notifies, self.sounds, self.hides_text];
        let flags: String = flags.map(|flag| if flag { '1' } else { '0' }).iter().collect();
        format!("{theme} {} {flags} {}", self.zoom_percent, self.list_width)
    }

    /// As it was kept; what cannot be read is as at first.
    pub fn from_text(text: &str) -> Preferences {
        let mut preferences = Preferences::default();
        let mut words = text.split(' ');
        match words.next() {
            Some("dark") => preferences.theme = ThemePreference::Dark,
            Some("light") => preferences.theme = ThemePreference::Light,
            _ => {}
        }
        if let Some(percent) = words.next().and_then(|word| word.parse().ok()) {
            preferences.set(Preference::Zoom(percent));
        }
        let flags: Vec<bool> = words.next().unwrap_or("").chars().map(|c| c == '1').collect();
        if let [enter, notifies, sounds, hides] = flags[..] {
            preferences.enter_sends = enter;
            preferences.notifies = notifies;
            preferences.sounds = sounds;
            preferences.hides_text = hides;
        }
        if let Some(width) = words.next().and_then(|word| word.parse().ok()) {
            preferences.set(Preference::ListWidth(width));
        }
        preferences
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) sessions: Option<Vec<SessionView>>,
    pub(super) told: Option<(bool, String)>,
    has_asked: bool,
    old: String,
    new: String,
}

impl Settings {
    pub(super) fn ui(&mut self, ui: &mut Ui, palette: &Palette, seen: Seen<'_>) -> Vec<Wish> {
        let mut wishes = look_ui(ui, seen.preferences);
        wishes.extend(act_ui(ui, seen.preferences));
        wishes.extend(self.account_ui(ui, palette, seen));
        section(ui, "Servers");
        let connection = match seen.model.connection() {
            ConnectionState::Connected { server, address, .. } => {
                format!("Connected to server {server} at {address}.")
            }
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Switching { .. }
            | ConnectionState::NotConnected { .. }
            | ConnectionState::Unconfirmed { .. }
            | ConnectionState::IdentityChanged { .. } => "Not connected.".to_owned(),
        };
        hint(ui, palette, connection);
        if controls::link(ui, "Show the cluster").clicked() {
            wishes.push(Wish::Show(Popup::Cluster));
        }
        section(ui, "About");
        hint(
            ui,
            palette,
            concat!(
                "Holdfast ",
                env!("CARGO_PKG_VERSION"),
                ". MIT or Apache-2.0; the typeface is Inter, SIL Open Font License."
            ),
        );
        if !seen.logs.is_empty() {
            hint(ui, palette, format!("The log is in {}.", seen.logs));
        }
        ui.horizontal(|ui| {
            if controls::link(ui, "Keyboard shortcuts").clicked() {
                wishes.push(Wish::Show(Popup::Shortcuts));
            }
            if controls::link(ui, "Copy diagnostics").clicked() {
                wishes.push(Wish::CopyDiagnostics);
            }
        });
        wishes
    }

    fn account_ui(&mut self, ui: &mut Ui, palette: &Palette, seen: Seen<'_>) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if !std::mem::replace(&mut self.has_asked, true) {
            wishes.push(Wish::Ask(Question::Sessions));
        }
        section(ui, "Account");
        let user = seen.model.user().unwrap_or_default();
        hint(ui, palette, format!("Signed in as {user}."));
        for session in self.sessions.iter().flatten() {
            ui.horizontal(|ui| {
                let this = if session.this { ", this one" } else { "" };
                let since = seen.clock.short(session.created);
                hint(ui, palette, format!("{}{this}, since {since}", session.device));
                if !session.this && controls::link(ui, "Sign out there").clicked() {
                    let command = Command::Revoke(RevokeTarget::Session(session.session));
                    wishes.push(Wish::Do(command));
                    self.has_asked = false;
                }
            });
        }
        ui.add_space(GAP);
        controls::field(ui, Id::unique("old password"), &mut self.old, "Present password", true);
        controls::field(ui, Id::unique("new password"), &mut self.new, "New password", true);
        let broken = check_password(user, &self.new).err().filter(|_| !self.new.is_empty());
        if let Some(broken) = &broken {
            let text = ErrorReply::from(broken.clone()).text;
            ui.label(RichText::new(text).font(Type::Small.font()).color(palette.danger));
        }
        if let Some((is_good, sentence)) = &self.told {
            let color = if *is_good { palette.good } else { palette.danger };
            ui.label(RichText::new(sentence).font(Type::Small.font()).color(color));
        }
        let is_ready = !self.old.is_empty() && !self.new.is_empty() && broken.is_none();
        let pressed = ui.add_enabled_ui(is_ready, |ui| {
            controls::button(ui, "Change password", Kind::Plain, None)
        });
        if pressed.inner.clicked() {
            let (old, new) = (std::mem::take(&mut self.old), std::mem::take(&mut self.new));
            wishes.push(Wish::ChangePassword { old: Secret::new(old), new: Secret::new(new) });
        }
        ui.add_space(GAP);
        ui.horizontal(|ui| {
            if controls::button(ui, "Sign out", Kind::Plain, None).clicked() {
                wishes.push(Wish::Show(Popup::SignOut));
            }
            if controls::button(ui, "Delete account", Kind::Danger, None).clicked() {
                wishes.push(Wish::Show(Popup::DeleteAccount));
            }
        });
        wishes
    }
}

fn section(ui: &mut Ui, title: &str) {
    ui.add_space(SPACE - GAP);
    ui.label(RichText::new(title).font(Type::Strong.font()));
}

fn look_ui(ui: &mut Ui, preferences: &Preferences) -> Vec<Wish> {
    let mut wishes = Vec::new();
    ui.label(RichText::new("Appearance").font(Type::Strong.font()));
    ui.horizontal(|ui| {
        for (label, theme) in [
            ("System", ThemePreference::System),
            ("Light", ThemePreference::Light),
            ("Dark", ThemePreference::Dark),
        ] {
            if controls::choice(ui, label, preferences.theme == theme).clicked() {
                wishes.push(Wish::Set(Preference::Theme(theme)));
            }
        }
    });
    ui.horizontal_wrapped(|ui| {
        for percent in ZOOM {
            let label = format!("{percent} %");
            if controls::choice(ui, &label, preferences.zoom_percent == percent).clicked() {
                wishes.push(Wish::Set(Preference::Zoom(percent)));
            }
        }
    });
    wishes
}

fn act_ui(ui: &mut Ui, preferences: &Preferences) -> Vec<Wish> {
    let mut wishes = Vec::new();
    section(ui, "Messages");
    let mut switch = |ui: &mut Ui, label: &str, is_on: bool, wish: fn(bool) -> Preference| {
        if controls::switch(ui, label, is_on).clicked() {
            wishes.push(Wish::Set(wish(!is_on)));
        }
    };
    let sends = preferences.enter_sends;
    switch(ui, "Enter sends (Shift+Enter begins a line)", sends, Preference::EnterSends);
    switch(ui, "Notify me of new messages", preferences.notifies, Preference::Notify);
    switch(ui, "With a sound", preferences.sounds, Preference::Sound);
    switch(ui, "Without the text", preferences.hides_text, Preference::HideText);
    wishes
}
