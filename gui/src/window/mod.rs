//! The window: what happened goes in, the model is drawn, wishes come out and are carried out.
//!
//! Owns: the model, which chat is open, what stands above the panes, what was chosen. Driven by:
//! `main` (eframe), and by tests, which feed it by hand. Invariants: no socket, file or wait in a
//! frame; one model, drawn; whatever a view wants is a `Wish`, carried out after drawing. Does
//! not: know how to reach a server.

mod act;
mod chat;
mod kept;
mod panes;
mod zones;

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::Receiver;
use egui::Ui;
use holdfast_common::client::driver::Happening;
use holdfast_common::client::model::Model;
use holdfast_common::client::{
    Command, CommandId, ConnectionState, OutboxState, SessionState, Update, Work,
};
use holdfast_common::ids::ConversationId;
use holdfast_common::protocol::Target;
use jiff::tz::TimeZone;

use crate::list::List;
use crate::place::Place;
use crate::popups::{Changes, Preferences, Seen, Shown};
use crate::sign_in::SignIn;
use crate::words::{self, Clock};
use crate::{identity, keys, strip};
use act::Asked;
use chat::Chat;
pub use kept::KEY_PLACE;
use kept::{KEY_OPEN, KEY_PREFERENCES, KEY_SCROLL, Resting};

/// Tells a person outside of the window: a title, a text, and whether with a sound.
pub type Notify = Box<dyn FnMut(&str, &str, bool)>;

/// How the window speaks to the world.
pub struct Doors {
    /// Tells the engine what a person wants.
    pub command: Box<dyn FnMut(CommandId, Command)>,
    /// What happened.
    pub happened: Receiver<Happening>,
    /// Tells a person outside of the window: a title and a text.
    pub notify: Notify,
    /// The wall clock, milliseconds since the Unix epoch.
    pub wall_ms: Box<dyn Fn() -> u64>,
    /// Where the person is.
    pub zone: TimeZone,
}

/// See the module's page.
pub struct Window {
    doors: Doors,
    model: Model,
    next_command: u64,
    asked: BTreeMap<CommandId, Asked>,
    /// Texts that were handed over and are not known to be kept, with the chat.
    handed: Vec<(Target, String)>,
    sign_in: SignIn,
    list: List,
    chat: Option<Chat>,
    popup: Option<Shown>,
    changes: Changes,
    preferences: Preferences,
    place: Option<Place>,
    kept_place: Resting,
    kept_scroll: Resting,
    /// The preferences and the open chat of an earlier life have been taken up.
    is_restored: bool,
    /// Why the engine has ended, in a sentence.
    ended: Option<String>,
    title: String,
    /// One pane is shown at a time.
    is_narrow: bool,
    /// Where the program's log is.
    logs: String,
}

impl Window {
    /// A window over an engine that has just started.
    pub fn new(doors: Doors) -> Window {
        Window {
            doors,
            model: Model::default(),
            next_command: 0,
            asked: BTreeMap::new(),
            handed: Vec::new(),
            sign_in: SignIn::default(),
            list: List::default(),
            chat: None,
            popup: None,
            changes: Changes::default(),
            preferences: Preferences::default(),
            place: None,
            kept_place: Resting::new(KEY_PLACE),
            kept_scroll: Resting::new(KEY_SCROLL),
            is_restored: false,
            ended: None,
            title: String::new(),
            is_narrow: false,
            logs: String::new(),
        }
    }

    /// This person was signed in and must do so again: why.
    pub fn signs_in_again(&mut self, user: String, why: String) {
        self.sign_in = SignIn::again(user, why);
    }

    /// Where the program's log is.
    pub fn logs_in(&mut self, folder: String) {
        self.logs = folder;
    }

    /// What is drawn.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Takes what has happened; draws nothing. Also called while the window is hidden.
    pub fn logic(&mut self, ctx: &egui::Context) {
        while let Ok(happening) = self.doors.happened.try_recv() {
            match happening {
                Happening::Update(_, Update::Answer(id, outcome)) => self.answered(id, outcome),
                Happening::Update(_, update) => self.take(ctx, update),
                Happening::Ended(_, why) => self.ended(why),
            }
        }
        self.restore(ctx);
        let title = match self.model.unread_total() {
            0 => "Holdfast".to_owned(),
            unread => format!("({unread}) Holdfast"),
        };
        if title != self.title {
            ctx.send_viewport_cmd(egui::ViewportCommand::Title(title.clone()));
            self.title = title;
        }
    }

    fn take(&mut self, ctx: &egui::Context, update: Update) {
        if let Some(chat) = &mut self.chat {
            chat.timeline.note(&update);
        }
        match &update {
            Update::Cluster(status) => self.changes.note(status, (self.doors.wall_ms)()),
            Update::CacheDropped => {
                if let Some(chat) = &mut self.chat {
                    chat.forget();
                }
            }
            Update::Message(conv, message) if !message.own && self.model.is_listed() => {
                let (conv, from) = (*conv, message.view.from.clone().unwrap_or_default());
                let text = message.view.text.clone();
                self.model.apply(update);
                self.notify(ctx, conv, &from, &text);
                return;
            }
            Update::Outbox(item) => {
                let is_kept = |(_, text): &(Target, String)| match &item.work {
                    Work::Send { text: kept, .. } => kept == text,
                    Work::Edit { .. } | Work::Delete { .. } => false,
                };
                if let Some(at) = self.handed.iter().position(is_kept) {
                    self.handed.remove(at);
                }
            }
            Update::Session(SessionState::SignedOut(_)) => {
                self.is_restored = false;
                self.popup = None;
                self.chat = None;
            }
            Update::Connection(_)
            | Update::Session(_)
            | Update::Conversation(_)
            | Update::Listed
            | Update::Opened { .. }
            | Update::Older { .. }
            | Update::Message(..)
            | Update::Edited { .. }
            | Update::Deleted(..)
            | Update::PeerGone(_)
            | Update::Copies { .. }
            | Update::OutboxRemoved(_)
            | Update::Draft(..)
            | Update::Interface(..)
            | Update::Answer(..) => {}
        }
        self.model.apply(update);
    }

    /// The engine has ended. What it was handed at the last moment is not in the outbox: it is put
    /// back where it was typed.
    fn ended(&mut self, why: String) {
        self.ended = Some(why);
        let Some(chat) = &mut self.chat else { return };
        for (to, text) in self.handed.drain(..).rev() {
            if to == self.model.resolve(&chat.to) {
                chat.put_back(text);
            }
        }
    }

    /// Tells of a message that is not on the screen of a window that has the focus.
    fn notify(&mut self, ctx: &egui::Context, conv: ConversationId, from: &str, text: &str) {
        let is_focused = ctx.input(|input| input.viewport().focused.unwrap_or(false));
        let open = self.chat.as_ref().map(|chat| self.model.resolve(&chat.to));
        let is_seen = is_focused && open == Some(Target::Conversation(conv));
        if is_seen || !self.preferences.notifies {
            return;
        }
        let text = if self.preferences.hides_text { "New message" } else { text };
        (self.doors.notify)(from, text, self.preferences.sounds);
    }

    /// Takes up what an earlier life of the window has kept.
    fn restore(&mut self, ctx: &egui::Context) {
        if self.is_restored || self.model.user().is_none() {
            return;
        }
        self.is_restored = true;
        if let Some(text) = self.model.interface(KEY_PREFERENCES) {
            self.preferences = Preferences::from_text(text);
        }
        self.look(ctx);
        let place = self.model.interface(KEY_PLACE).unwrap_or_default();
        self.place = Place::from_text(place);
        self.kept_place.is_kept(place);
        let scroll = self.model.interface(KEY_SCROLL).unwrap_or_default();
        self.kept_scroll.is_kept(scroll);
        let open = self.model.interface(KEY_OPEN).and_then(|text| serde_json::from_str(text).ok());
        if let Some(to) = open {
            self.chat = Some(Chat::new(to, &self.model).scrolled(scroll));
        }
    }

    /// Makes the window look as the person has chosen.
    fn look(&self, ctx: &egui::Context) {
        ctx.set_theme(self.preferences.theme);
        ctx.set_zoom_factor(f32::from(self.preferences.zoom_percent) / 100.0);
    }

    /// Draws the window and carries out what was wished.
    pub fn ui(&mut self, ui: &mut Ui) {
        let clock = Clock { wall_ms: (self.doors.wall_ms)(), zone: self.doors.zone.clone() };
        let is_in = matches!(self.model.session(), SessionState::SignedIn { .. });
        let mut wishes = Vec::new();
        if let Some(why) = &self.ended {
            strip::ended_ui(ui, why);
        }
        // A menu has its own keys.
        if is_in && self.popup.is_none() && !egui::Popup::is_any_open(ui.ctx()) {
            let focused = ui.memory(egui::Memory::focused);
            for shortcut in ui.input_mut(keys::take) {
                // At once: the next of them goes on from there.
                if let Some(wish) = self.shortcut(shortcut, focused) {
                    self.carry_out(ui, wish);
                }
            }
        }
        wishes.extend(match identity::ui(ui, self.model.connection()) {
            Some(wishes) => wishes,
            None if is_in => self.panes_ui(ui, &clock),
            None => self.sign_in.ui(ui, &self.model),
        });
        if let Some(popup) = &mut self.popup {
            let seen = Seen {
                model: &self.model,
                clock: &clock,
                preferences: &self.preferences,
                changes: &self.changes,
                logs: &self.logs,
            };
            wishes.extend(popup.ui(ui, seen));
        }
        for wish in wishes {
            self.carry_out(ui, wish);
        }
        self.keep(ui);
        self.wake_later(ui, &clock);
    }

    fn keep(&mut self, ui: &Ui) {
        if !self.is_restored {
            return;
        }
        let mut commands = Vec::new();
        self.place = Place::now(ui.ctx(), self.place).or(self.place);
        commands.extend(self.place.and_then(|place| self.kept_place.look(ui, place.to_text())));
        if let Some(chat) = &mut self.chat {
            commands.extend(chat.load(&self.model));
            commands.extend(chat.keep(ui));
            commands.extend(self.kept_scroll.look(ui, chat.scroll()));
        }
        for command in commands {
            self.command(command);
        }
    }

    /// The window closes: what would be kept a moment later is kept now.
    pub fn leave(&mut self) {
        let mut commands = Vec::new();
        commands.extend(self.kept_place.now());
        commands.extend(self.kept_scroll.now());
        commands.extend(self.chat.take().and_then(Chat::leave));
        for command in commands {
            self.command(command);
        }
    }

    /// Words that change with the time alone: "Next try in 4 s", "Still trying", "Yesterday".
    fn wake_later(&self, ui: &Ui, clock: &Clock) {
        let wait_ms = match self.model.connection() {
            ConnectionState::NotConnected { next_try_ms: Some(at), .. } => {
                (at.saturating_sub(clock.wall_ms) % 1_000).max(20)
            }
            ConnectionState::Switching { since_ms, .. } => {
                (since_ms + 1_000).saturating_sub(clock.wall_ms).max(20)
            }
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Connected { .. }
            | ConnectionState::NotConnected { .. }
            | ConnectionState::Unconfirmed { .. }
            | ConnectionState::IdentityChanged { .. } => 60_000 - clock.wall_ms % 60_000,
        };
        let trying = self.model.outbox().filter_map(|item| match item.state {
            OutboxState::Sent { since_ms } => {
                (since_ms + words::STILL_TRYING_MS).checked_sub(clock.wall_ms)
            }
            OutboxState::Waiting | OutboxState::Refused(_) | OutboxState::Stale => None,
        });
        let wait_ms = trying.min().map_or(wait_ms, |trying| trying.max(20).min(wait_ms));
        ui.ctx().request_repaint_after(Duration::from_millis(wait_ms));
    }
}
