//! Carrying out what was wished.
//!
//! Owns: what the answers of commands are for. Driven by: `window`, after drawing. Invariant: each
//! answer reaches whoever asked, or is of no interest to anybody. Does not: draw.

use egui::{Id, OpenUrl, Ui};
use holdfast_common::client::model::Row;
use holdfast_common::client::{Answer, Command, CommandId, Failure, Question};
use holdfast_common::protocol::{Reply, Target};

use super::{Chat, KEY_OPEN, KEY_PREFERENCES, KEY_SCROLL, Window};
use crate::keys::Shortcut;
use crate::popups::Shown;
use crate::wish::{Popup, Preference, Wish};
use crate::words;

/// What a command's answer is for.
pub(super) enum Asked {
    SignIn,
    /// Names that begin like this.
    Users(String),
    Sessions,
    /// Something in a popup; what to say when it is done.
    Popup(&'static str),
}

impl Window {
    pub(super) fn command(&mut self, command: Command) -> CommandId {
        self.next_command += 1;
        let id = CommandId(self.next_command);
        (self.doors.command)(id, command);
        id
    }

    fn ask(&mut self, command: Command, asked: Asked) {
        let id = self.command(command);
        self.asked.insert(id, asked);
    }

    pub(super) fn answered(&mut self, id: CommandId, outcome: Result<Answer, Failure>) {
        let Some(asked) = self.asked.remove(&id) else { return };
        match (asked, outcome) {
            (Asked::SignIn, outcome) => self.sign_in.failure = outcome.err(),
            (Asked::Users(prefix), Ok(Answer::Reply(Reply::Users(found)))) => {
                if let Some(popup) = &mut self.popup {
                    popup.users_came(&prefix, found.users);
                }
            }
            (Asked::Sessions, Ok(Answer::Reply(Reply::Sessions(found)))) => {
                if let Some(popup) = &mut self.popup {
                    popup.sessions_came(found.sessions);
                }
            }
            (Asked::Popup(done), outcome) => {
                if let Some(popup) = &mut self.popup {
                    match outcome {
                        Ok(_) => popup.told(true, done.to_owned()),
                        Err(failure) => popup.told(false, words::failure(&failure)),
                    }
                }
            }
            (Asked::Users(_) | Asked::Sessions, _) => {}
        }
    }

    pub(super) fn carry_out(&mut self, ui: &Ui, wish: Wish) {
        match wish {
            Wish::Do(command) => {
                self.command(command);
            }
            Wish::SignIn { user, pass, is_new: true } => {
                self.ask(Command::Register { user, pass }, Asked::SignIn);
            }
            Wish::SignIn { user, pass, is_new: false } => {
                self.ask(Command::Login { user, pass }, Asked::SignIn);
            }
            Wish::ChangePassword { old, new } => {
                let done = "The password is changed; all other devices are signed out.";
                self.ask(Command::Passwd { old, new }, Asked::Popup(done));
            }
            Wish::DeleteAccount(pass) => {
                self.ask(Command::DeleteAccount { pass }, Asked::Popup("Deleted."));
            }
            Wish::Ask(Question::Users(users)) => {
                let asked = Asked::Users(users.prefix.clone());
                self.ask(Command::Ask(Question::Users(users)), asked);
            }
            Wish::Ask(question) => self.ask(Command::Ask(question), Asked::Sessions),
            Wish::Open(to) => self.open(to),
            Wish::Back => self.close(),
            Wish::Send(text) => {
                let commands = self.chat.as_mut().map(|chat| chat.send(&self.model, text));
                for command in commands.into_iter().flatten() {
                    if let Command::Send { to, text } = &command {
                        self.handed.push((to.clone(), text.clone()));
                    }
                    self.command(command);
                }
            }
            Wish::Edit(seq) => {
                if let Some(chat) = &mut self.chat {
                    chat.edit(&self.model, seq);
                }
            }
            Wish::CancelEdit => {
                if let Some(chat) = &mut self.chat {
                    chat.cancel_edit();
                }
            }
            Wish::Compose => {
                if let Some(chat) = &mut self.chat {
                    chat.composer.wants_focus = true;
                }
            }
            Wish::Copy(text) => ui.ctx().copy_text(text),
            Wish::CopyDiagnostics => ui.ctx().copy_text(self.diagnostics()),
            Wish::Browse(url) => ui.ctx().open_url(OpenUrl::new_tab(url)),
            Wish::Show(popup) => self.popup = Some(Shown::new(popup)),
            Wish::Hide => {
                self.popup = None;
                if let Some(chat) = &mut self.chat {
                    chat.composer.wants_focus = true;
                }
            }
            Wish::Set(preference) => self.set(ui, preference),
        }
    }

    fn set(&mut self, ui: &Ui, preference: Preference) {
        let before = self.preferences;
        self.preferences.set(preference);
        if self.preferences != before {
            self.look(ui.ctx());
            let value = self.preferences.to_text();
            self.command(Command::KeepInterface { key: KEY_PREFERENCES.to_owned(), value });
        }
    }

    fn open(&mut self, to: Target) {
        let to = self.model.resolve(&to);
        self.list.search.clear();
        if let Some(chat) = &mut self.chat
            && self.model.resolve(&chat.to) == to
        {
            chat.composer.wants_focus = true;
            return;
        }
        self.close();
        let value = serde_json::to_string(&to).unwrap_or_default();
        self.command(Command::KeepInterface { key: KEY_OPEN.to_owned(), value });
        let (key, value) = (KEY_SCROLL.to_owned(), String::new());
        self.command(Command::KeepInterface { key, value });
        self.kept_scroll.is_kept("");
        self.chat = Some(Chat::new(to, &self.model));
    }

    fn close(&mut self) {
        if let Some(command) = self.chat.take().and_then(Chat::leave) {
            self.command(command);
        }
    }

    pub(super) fn shortcut(&mut self, shortcut: Shortcut, focused: Option<Id>) -> Option<Wish> {
        match shortcut {
            Shortcut::Switcher => Some(Wish::Show(Popup::Switcher)),
            Shortcut::Settings => Some(Wish::Show(Popup::Settings)),
            Shortcut::Sheet => Some(Wish::Show(Popup::Shortcuts)),
            Shortcut::Zoom(is_larger) => {
                Some(Wish::Set(Preference::Zoom(self.preferences.zoomed(is_larger))))
            }
            Shortcut::ZoomReset => Some(Wish::Set(Preference::Zoom(100))),
            Shortcut::Step(is_down, is_unread) => self.step(is_down, is_unread).map(Wish::Open),
            Shortcut::Page(is_down) => {
                if let Some(chat) = &mut self.chat {
                    chat.timeline.page(is_down);
                }
                None
            }
            Shortcut::End => {
                if let Some(chat) = &mut self.chat {
                    chat.timeline.to_end();
                }
                None
            }
            Shortcut::Escape => {
                let chat = self.chat.as_mut()?;
                if !chat.timeline.close_find() && !chat.cancel_edit() {
                    chat.timeline.to_end();
                }
                chat.composer.wants_focus = true;
                None
            }
            Shortcut::Find => {
                self.chat.as_mut()?.timeline.open_find();
                None
            }
            Shortcut::Zone(is_forward) => {
                self.go_to_zone(focused, is_forward);
                None
            }
        }
    }

    /// The chat above or below the open one in the list.
    fn step(&self, is_down: bool, is_unread: bool) -> Option<Target> {
        let rows = self.model.rows();
        let open = self.chat.as_ref().map(|chat| self.model.resolve(&chat.to));
        let at = rows.iter().position(|row| Some(&row.to) == open.as_ref());
        let fits = |row: &&Row<'_>| row.unread > 0 || !is_unread;
        let found = match (is_down, at) {
            (true, at) => rows.iter().skip(at.map_or(0, |at| at + 1)).find(fits),
            (false, at) => rows.iter().take(at.unwrap_or(0)).rev().find(fits),
        };
        found.map(|row| row.to.clone())
    }

    /// What helps to find a fault; nobody's words or secrets are in it.
    fn diagnostics(&self) -> String {
        format!(
            "holdfast-gui {}\nconnection: {:?}\ncluster: {:?}\nwaiting: {}\nended: {:?}\nlog: {}\n",
            env!("CARGO_PKG_VERSION"),
            self.model.connection(),
            self.model.cluster(),
            self.model.waiting(),
            self.ended,
            self.logs,
        )
    }
}
