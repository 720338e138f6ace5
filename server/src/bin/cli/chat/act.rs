//! Doing what a typed line asks for.
//!
//! Owns: which chat is open. Driven by: `chat` for each line. Invariant: a message that breaks a
//! rule is refused before it is in the outbox, with the rule.

use std::time::Instant;

use holdfast_common::client::model::Preview;
use holdfast_common::client::{Command, ConnectionState, Question};
use holdfast_common::ids::Seq;
use holdfast_common::protocol::{
    ErrorCode, Reply, Scope, TEXT_BYTES_MAX, Target, Users, check_name, check_text,
};

use super::commands::{Line, WORDS};
use super::{Asked, Chat, Open, Outgoing, Told, lines};
use crate::output::{Style, safe_line};
use crate::problem::Problem;
use crate::status;

impl Chat {
    pub(super) fn act(&mut self, line: Line) {
        match line {
            Line::Empty | Line::Quit => {}
            Line::Text(text) => self.write(text),
            Line::To(name) => self.open(&name),
            Line::List => self.list(None),
            Line::Older => self.older(),
            Line::Edit(seq, text) => self.edit(seq, text),
            Line::Delete(seq, scope) => self.delete(seq, scope),
            Line::Who(prefix) => {
                let users = Users { prefix, after: None, limit: None };
                self.question(Question::Users(users), Asked::Who);
            }
            Line::Status => self.question(Question::Status, Asked::Status),
            Line::Help => self.help(),
            Line::Wrong(sentence) => self.wrong(ErrorCode::BadRequest, &sentence),
        }
    }

    /// A line that cannot be done: said at once, and a script's exit code.
    fn wrong(&mut self, code: ErrorCode, sentence: &str) {
        self.print(&self.colours.paint(Style::Bad, &format!("  ! {}", safe_line(sentence))));
        self.refused = Some(Problem::refused(code, sentence));
    }

    fn help(&self) {
        for word in WORDS {
            let words = format!("/{} {}", word.name, word.arguments);
            self.print(&format!("  {words:<18} {}", word.meaning));
        }
        self.note(
            "  Anything else is a message. ✓ stored (copies of servers), ✓✓ delivered, read.",
        );
    }

    fn write(&mut self, text: String) {
        let Some(open) = &self.open else {
            let sentence = "to whom? /to NAME opens a chat (Up brings your text back)";
            return self.wrong(ErrorCode::BadRequest, sentence);
        };
        if let Err(broken) = check_text(&text) {
            let sentence = match text.len() > TEXT_BYTES_MAX {
                true => format!(
                    "this message has {} bytes and at most {TEXT_BYTES_MAX} fit: send it in parts \
                     (Up brings it back). Nothing was sent",
                    text.len()
                ),
                false => format!("{}. Nothing was sent", broken.text),
            };
            return self.wrong(broken.code, &sentence);
        }
        let to = open.to.clone();
        let message = Command::Send { to: to.clone(), text: text.clone() };
        let command = self.command(message, Asked::Message);
        let (since, txn, told) = (Instant::now(), None, Told::Nothing);
        self.outgoing.push(Outgoing { command, txn, to, text, since, told });
    }

    /// Opens the chat with somebody; what is known of it comes as an update.
    pub(super) fn open(&mut self, name: &str) {
        if let Err(broken) = check_name(name) {
            return self.wrong(broken.code, broken.text);
        }
        let to = self.session.model.resolve(&Target::User(name.to_owned()));
        let shown = match &to {
            Target::Conversation(_) => String::new(),
            Target::User(_) => format!("-- a new chat with {name} --"),
        };
        let to = match to {
            Target::Conversation(conv) => {
                self.command(Command::Open(conv), Asked::Nothing);
                self.elsewhere.remove(&conv);
                Target::Conversation(conv)
            }
            // As typed: the server knows how it is written.
            Target::User(_) => Target::User(name.to_owned()),
        };
        let is_new = matches!(to, Target::User(_));
        self.open = Some(Open {
            to,
            typed: name.to_owned(),
            shown_upto: Seq(0),
            shown_from: None,
            is_new,
            is_loading: !is_new,
        });
        if !shown.is_empty() {
            self.note(&shown);
        }
    }

    pub(super) fn list(&self, at_most: Option<usize>) {
        let rows = self.session.model.rows();
        if rows.is_empty() && at_most.is_none() {
            self.note("  no chats yet: /who shows who is there, /to NAME opens a chat");
        }
        let is_shown = |unread: u64| at_most.is_none() || unread > 0;
        let shown = rows.iter().filter(|row| is_shown(row.unread));
        for row in shown.take(at_most.unwrap_or(usize::MAX)) {
            let last = match &row.preview {
                Preview::Empty => "",
                Preview::Message(message, _) => &message.view.text,
                Preview::Outgoing(text, _) => text,
            };
            self.print(&lines::row(self.colours, row, last));
        }
    }

    fn older(&mut self) {
        let to = self.open.as_ref().map(|open| (&open.to, open.shown_from));
        let Some((Target::Conversation(conv), Some(before))) = to else {
            return self.note("  there is nothing older here");
        };
        if before <= Seq(1) {
            return self.note("  this is the beginning");
        }
        let command = Command::LoadOlder { conv: *conv, before };
        self.command(command, Asked::Nothing);
        if let Some(open) = &mut self.open {
            open.is_loading = true;
        }
    }

    fn edit(&mut self, seq: Seq, text: String) {
        let Some(conv) = self.open_conversation() else {
            return self.wrong(ErrorCode::NoSuchConversation, "open the chat first: /to NAME");
        };
        self.command(Command::Edit { conv, seq, text }, Asked::Change("edited"));
        self.say_if_it_waits();
    }

    fn delete(&mut self, seq: Seq, scope: Scope) {
        let Some(conv) = self.open_conversation() else {
            return self.wrong(ErrorCode::NoSuchConversation, "open the chat first: /to NAME");
        };
        let what = match scope {
            Scope::Me => "deleted for you",
            Scope::All => "deleted for all",
        };
        self.command(Command::Delete { conv, seq, scope }, Asked::Change(what));
        self.say_if_it_waits();
    }

    fn say_if_it_waits(&self) {
        if !matches!(self.session.model.connection(), ConnectionState::Connected { .. }) {
            self.note("  … not connected: it is kept and goes out later");
        }
    }

    pub(super) fn open_conversation(&self) -> Option<holdfast_common::ids::ConversationId> {
        match self.session.model.resolve(&self.open.as_ref()?.to) {
            Target::Conversation(conv) => Some(conv),
            Target::User(_) => None,
        }
    }

    pub(super) fn names_came(&mut self, reply: &Reply, are_shown: bool) {
        let Reply::Users(page) = reply else { return };
        for user in &page.users {
            self.names.add(&user.user);
            if are_shown {
                self.print(&format!("  {}", safe_line(&user.user)));
            }
        }
        if are_shown && page.users.is_empty() {
            self.note("  nobody's name begins so");
        }
        if are_shown && page.more {
            self.note("  … and more: /who with the beginning of the name");
        }
    }

    pub(super) fn status_came(&self, reply: &Reply) {
        let Reply::Status(status) = reply else { return };
        for line in status::describe(self.colours, status) {
            self.print(&format!("  {line}"));
        }
    }
}
