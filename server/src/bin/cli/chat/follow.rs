//! Printing what happens, as it happens.
//!
//! Owns: what was told of own messages, of other chats and of the connection. Driven by: `chat`
//! with each update, in order. Invariants: an own message that was typed here is not printed again,
//! its state is; of several states that come at once only the last is told; a connection that is
//! back within a second was never away.

use std::time::{Duration, Instant};

use holdfast_common::client::{
    Answer, Command, CommandId, ConnectionState, ConversationRecord, Failure, MessageRecord,
    OutboxItem, OutboxState, SessionState, SignedOut, Update, Work,
};
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::{ErrorCode, Target};

use super::{Asked, Chat, Outgoing, Told, lines};
use crate::output::{Style, safe_line};
use crate::problem::Problem;

/// A state that lasts shorter is not told: an unanswered message, a lost connection.
const PATIENCE: Duration = Duration::from_secs(1);
/// Marks and news that come within this are told as one.
const GATHER: Duration = Duration::from_millis(300);
/// Messages shown when a chat is opened; unread ones are all shown.
const SCREEN: usize = 20;

/// What the other has received and read of what was written here.
#[derive(Default)]
pub(super) struct Marks {
    /// The newest own message that was written here.
    own: Seq,
    delivered: Seq,
    read: Seq,
    told_delivered: Seq,
    told_read: Seq,
    tell_at: Option<Instant>,
}

impl Chat {
    pub(super) fn follow(&mut self, update: Update) {
        match update {
            Update::Connection(state) => self.connection_changed(&state),
            Update::Session(SessionState::SignedOut(why)) => self.session_ended(why),
            Update::Conversation(record) => self.conversation_changed(&record),
            Update::Opened { conv, messages, loading } => self.opened(conv, &messages, loading),
            Update::Older { conv, messages, loading, .. } => {
                self.older_came(conv, messages, loading)
            }
            Update::Message(conv, message) => self.message_came(conv, &message),
            Update::Edited { conv, seq, text, .. } if self.is_shown(conv, seq) => {
                self.note(&lines::edited(seq.0, &text));
            }
            Update::Deleted(conv, seq) if self.is_shown(conv, seq) => {
                self.note(&format!("  ✗ {seq} was deleted"));
            }
            Update::PeerGone(conv) if self.open_conversation() == Some(conv) => {
                self.note("-- the other account was deleted, with everything it wrote --");
            }
            Update::Outbox(item) => self.item_changed(&item),
            Update::Answer(id, outcome) => {
                drop(self.session.answer(id));
                self.answered(id, outcome);
            }
            Update::Edited { .. }
            | Update::Deleted(..)
            | Update::PeerGone(_)
            | Update::Session(_)
            | Update::Cluster(_)
            | Update::CacheDropped
            | Update::Listed
            | Update::Copies { .. }
            | Update::OutboxRemoved(_)
            | Update::Draft(..)
            | Update::Interface(..) => {}
        }
    }

    fn is_shown(&self, conv: ConversationId, seq: Seq) -> bool {
        let from = self.open.as_ref().and_then(|open| open.shown_from);
        self.open_conversation() == Some(conv) && from.is_some_and(|from| from <= seq)
    }

    // ---- Messages ----

    fn opened(&mut self, conv: ConversationId, messages: &[MessageRecord], loading: bool) {
        let is_open = self.open_conversation() == Some(conv);
        let Some(open) = self.open.as_mut().filter(|_| is_open) else { return };
        open.is_loading = loading;
        let (shown_from, shown_upto) = (open.shown_from, open.shown_upto);
        let read = self.session.model.conversation(conv).map_or(Seq(0), |record| record.read);
        let first_unread = messages.iter().position(|m| m.view.seq > read && !m.own);
        let from = messages.len().saturating_sub(SCREEN).min(first_unread.unwrap_or(usize::MAX));
        let is_new = |(at, message): &(usize, &MessageRecord)| match shown_from {
            Some(_) => message.view.seq > shown_upto,
            None => *at >= from,
        };
        let new = messages.iter().enumerate().filter(is_new).map(|(_, message)| message);
        let new: Vec<_> = new.filter(|message| !self.is_typed_here(conv, message)).collect();
        for message in &new {
            if Some(message.view.seq) == first_unread.map(|at| messages[at].view.seq) {
                self.note("-- new --");
            }
            self.print(&lines::message(self.colours, message));
        }
        if let (true, false, None) = (messages.is_empty(), loading, shown_from) {
            self.note("-- nothing here yet --");
        }
        self.shown(conv, new.first().map(|m| m.view.seq), new.last().map(|m| m.view.seq));
    }

    /// Messages are on the screen: they are read.
    fn shown(&mut self, conv: ConversationId, from: Option<Seq>, upto: Option<Seq>) {
        let (Some(open), Some(from), Some(upto)) = (&mut self.open, from, upto) else { return };
        open.shown_from = Some(open.shown_from.map_or(from, |shown| shown.min(from)));
        open.shown_upto = open.shown_upto.max(upto);
        self.command(Command::MarkRead { conv, upto }, Asked::Nothing);
    }

    fn older_came(&mut self, conv: ConversationId, messages: Vec<MessageRecord>, loading: bool) {
        let is_open = self.open_conversation() == Some(conv);
        let Some(open) = self.open.as_mut().filter(|_| is_open) else { return };
        open.is_loading = loading;
        if messages.is_empty() && loading {
            return;
        }
        let shown_from = self.open.as_ref().and_then(|open| open.shown_from);
        let is_older = |m: &MessageRecord| shown_from.is_none_or(|from| m.view.seq < from);
        let older: Vec<MessageRecord> = messages.into_iter().filter(is_older).collect();
        if older.is_empty() {
            return self.note("  nothing older can be had just now");
        }
        self.note("-- earlier --");
        for message in &older {
            self.print(&lines::message(self.colours, message));
        }
        self.note("-- up to here --");
        if let Some(open) = &mut self.open {
            open.shown_from = older.first().map(|message| message.view.seq);
        }
    }

    fn message_came(&mut self, conv: ConversationId, message: &MessageRecord) {
        let seq = message.view.seq;
        let typed_here = self.is_typed_here(conv, message);
        let is_open = self.open_conversation() == Some(conv);
        let is_new = self.open.as_ref().is_some_and(|open| seq > open.shown_upto);
        if is_open && is_new {
            if !typed_here {
                self.print(&lines::message(self.colours, message));
            }
            self.shown(conv, Some(seq), Some(seq));
        } else if !is_open && !message.own && !message.view.deleted {
            let read = self.session.model.conversation(conv).map_or(Seq(0), |record| record.read);
            if seq > read {
                let news = self.elsewhere.entry(conv).or_default();
                news.0 += 1;
                news.1.clone_from(&message.view.text);
                self.tell_elsewhere_at.get_or_insert_with(|| Instant::now() + GATHER);
            }
        }
    }

    /// The first message has made the conversation. What the other wrote meanwhile is in it.
    fn conversation_made(&mut self, conv: ConversationId) {
        let Some(open) = self.open.as_mut().filter(|open| open.is_new) else { return };
        open.is_new = false;
        open.to = Target::Conversation(conv);
        self.command(Command::Open(conv), Asked::Nothing);
    }

    /// Whether a message stands on the screen because it was typed there.
    fn is_typed_here(&self, conv: ConversationId, message: &MessageRecord) -> bool {
        let is_typed = |o: &Outgoing| o.txn.is_some() && o.text == message.view.text;
        message.own
            && (self.typed_here.contains(&(conv, message.view.seq))
                || self.outgoing.iter().any(is_typed))
    }

    fn conversation_changed(&mut self, record: &ConversationRecord) {
        if let Some(with) = &record.with {
            self.names.add(with);
        }
        let open_as = self.open.as_ref().map(|open| self.session.model.resolve(&open.to));
        if open_as == Some(Target::Conversation(record.conv)) {
            self.conversation_made(record.conv);
        }
        if let Some(marks) = self.marks.get_mut(&record.conv) {
            marks.delivered = record.peer_delivered.min(marks.own);
            marks.read = record.peer_read.min(marks.own);
            marks.look();
        }
    }

    // ---- Own messages ----

    fn item_changed(&mut self, item: &OutboxItem) {
        if matches!(item.state, OutboxState::Refused(_)) {
            // The reason is shown, and the typed lines still have the text: it need not wait.
            self.command(Command::Discard(item.txn), Asked::Nothing);
            return;
        }
        let Work::Send { text, .. } = &item.work else { return };
        let known = self.outgoing.iter().any(|outgoing| outgoing.txn == Some(item.txn));
        if known || matches!(item.state, OutboxState::Stale) {
            return;
        }
        let typed = self.outgoing.iter_mut().find(|o| o.txn.is_none() && o.text == *text);
        if let Some(outgoing) = typed {
            outgoing.txn = Some(item.txn);
        }
    }

    pub(super) fn message_answered(&mut self, id: CommandId, outcome: Result<Answer, Failure>) {
        let Some(at) = self.outgoing.iter().position(|o| o.command == id) else { return };
        let outgoing = self.outgoing.remove(at);
        let reminder = lines::reminder(&outgoing.text);
        match outcome {
            Ok(Answer::Sent(ok)) => {
                let copies = match ok.of {
                    0 => String::new(),
                    of => format!(" {}/{of}", ok.copies),
                };
                self.note(&format!("  ✓ {} {reminder} stored{copies}", ok.seq));
                self.typed_here.insert((ok.conv, ok.seq));
                if self.open.as_ref().is_some_and(|open| open.to == outgoing.to) {
                    self.conversation_made(ok.conv);
                }
                let marks = self.marks.entry(ok.conv).or_default();
                marks.own = marks.own.max(ok.seq);
                if let Some(record) = self.session.model.conversation(ok.conv) {
                    marks.delivered = record.peer_delivered.min(marks.own);
                    marks.read = record.peer_read.min(marks.own);
                    marks.look();
                }
            }
            Ok(Answer::Done | Answer::SignedIn(_) | Answer::Reply(_)) => {}
            Err(failure) => {
                self.note(&format!("  ! {reminder} was not taken:"));
                self.refuse(failure);
            }
        }
    }

    // ---- Connection and session ----

    fn connection_changed(&mut self, state: &ConnectionState) {
        let now = Instant::now();
        if let ConnectionState::Connected { server, instead_of, .. } = state {
            let was_told = self.lost.take().is_some_and(|(_, told)| told);
            if let Some(before) = instead_of {
                self.note(&format!(
                    "-- server {before} stopped answering; using server {server} --"
                ));
            } else if was_told {
                self.note("-- connected again --");
            }
        } else if matches!(
            state,
            ConnectionState::Switching { .. } | ConnectionState::NotConnected { .. }
        ) {
            self.lost.get_or_insert((now, false));
        }
    }

    fn session_ended(&mut self, why: SignedOut) {
        let text = match why {
            SignedOut::AccountDeleted => "the account was deleted",
            SignedOut::ByPerson | SignedOut::Ended => {
                "this sign-in was ended elsewhere; unsent messages are kept. holdfast login NAME"
            }
        };
        self.ended = Some(Problem::refused(ErrorCode::Unauthorized, text));
        if self.keys.is_terminal() {
            self.print(&self.colours.paint(Style::Bad, &format!("-- {text}. Enter leaves --")));
        }
    }

    // ---- What is told later ----

    pub(super) fn has_to_tell_later(&self) -> bool {
        self.tell_elsewhere_at.is_some()
            || self.lost.is_some_and(|(_, told)| !told)
            || self.outgoing.iter().any(|outgoing| outgoing.told != Told::Trying)
            || self.marks.values().any(|marks| marks.tell_at.is_some())
    }

    pub(super) fn tell_later(&mut self) {
        let now = Instant::now();
        if let Some((since, false)) = self.lost
            && since + PATIENCE <= now
        {
            self.lost = Some((since, true));
            let line = lines::not_connected(self.session.model.connection());
            self.note(&line);
        }
        if self.tell_elsewhere_at.is_some_and(|at| at <= now) {
            self.tell_all_elsewhere();
        }
        self.tell_outgoing(now);
        self.tell_marks(now);
    }

    pub(super) fn tell_all_elsewhere(&mut self) {
        self.tell_elsewhere_at = None;
        for (conv, (count, last)) in std::mem::take(&mut self.elsewhere) {
            if self.open_conversation() == Some(conv) {
                continue;
            }
            let Some(with) = self.name(&Target::Conversation(conv)) else { continue };
            let count = if count == 1 { String::new() } else { format!(" ({count} new)") };
            let text = lines::preview(&last);
            let with = self.colours.paint(Style::Bold, &with);
            let hint = self.colours.paint(Style::Dim, "  (another chat: /to opens it)");
            self.print(&format!("  ● {with}{count}: {text}{hint}"));
        }
    }

    fn tell_outgoing(&mut self, now: Instant) {
        let connected =
            matches!(self.session.model.connection(), ConnectionState::Connected { .. });
        let mut said = Vec::new();
        for outgoing in &mut self.outgoing {
            if outgoing.since + PATIENCE > now {
                continue;
            }
            let told = if connected { Told::Trying } else { Told::Waiting };
            if outgoing.told == told || outgoing.told == Told::Trying {
                continue;
            }
            outgoing.told = told;
            let reminder = lines::reminder(&outgoing.text);
            said.push(match connected {
                true => format!("  … {reminder} was sent, no answer yet: still trying"),
                false => format!("  … {reminder} waits: it is kept and goes out by itself"),
            });
        }
        said.iter().for_each(|line| self.note(line));
    }

    fn tell_marks(&mut self, now: Instant) {
        let mut said = Vec::new();
        for (conv, marks) in &mut self.marks {
            if marks.tell_at.is_none_or(|at| at > now) {
                continue;
            }
            let (seq, is_read) = match marks.read > marks.told_read {
                true => (marks.read, true),
                false => (marks.delivered, false),
            };
            marks.told_read = marks.read;
            marks.told_delivered = marks.delivered.max(marks.read);
            marks.tell_at = None;
            said.push((*conv, seq, is_read));
        }
        let open = self.open_conversation();
        for (conv, seq, is_read) in said {
            let with = match open == Some(conv) {
                true => String::new(),
                false => self.name(&Target::Conversation(conv)).unwrap_or_default() + " ",
            };
            let (style, word) = match is_read {
                true => (Style::Good, "read"),
                false => (Style::Dim, "delivered"),
            };
            let line = format!("  ✓✓ {}{seq} {word}", safe_line(&with));
            self.print(&self.colours.paint(style, &line));
        }
    }
}

impl Marks {
    fn look(&mut self) {
        let is_news =
            self.read > self.told_read || self.delivered > self.told_delivered.max(self.told_read);
        if is_news {
            self.tell_at.get_or_insert_with(|| Instant::now() + GATHER);
        }
    }
}
