//! Questions about conversations and their messages.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    CONVERSATIONS_PAGE_MAX, ConversationView, Conversations, ConversationsOk, ErrorCode,
    ErrorReply, HISTORY_PAGE_MAX, History, HistoryOk, LastMessage, MessageView, PREVIEW_BYTES_MAX,
    Page, Reply, TEXT_BYTES_MAX,
};

use super::Answer;
use super::accounts::{fitting, name_of};
use crate::chat::schema::{
    ConversationRow, Marks, MessageHead, MessageRow, conversation_key, decode, end_of, hidden_key,
    member_of, message_key, number_at, row,
};
use crate::tables::{Fault, Order, Read};

/// Messages that may have to be counted for one page of conversations; then the page ends, and the
/// next one goes on. A conversation with more than that is a page of its own.
const COUNTED_MAX: u64 = if cfg!(test) { 20 } else { 20_000 };

/// A conversation as one member reads it.
struct Reader<'a> {
    rows: &'a dyn Read,
    user: UserId,
    conv: ConversationId,
    row: ConversationRow,
    own_name: Option<String>,
    peer_name: Option<String>,
}

impl<'a> Reader<'a> {
    /// Nothing when `user` is not in it.
    fn open(
        rows: &'a dyn Read,
        user: UserId,
        conv: ConversationId,
    ) -> Result<Option<Reader<'a>>, Fault> {
        let found: Option<ConversationRow> = row(rows, &conversation_key(conv))?;
        let Some((row, place)) = found.and_then(|row| row.place(user).map(|place| (row, place)))
        else {
            return Ok(None);
        };
        let own_name = name_of(rows, user)?;
        let peer_name = name_of(rows, row.peer(place))?;
        Ok(Some(Reader { rows, user, conv, row, own_name, peer_name }))
    }

    fn author(&self, from: UserId) -> Option<String> {
        if from == self.user { self.own_name.clone() } else { self.peer_name.clone() }
    }

    /// The messages with `from <= seq < to`, in order, at most `count`.
    fn messages(
        &self,
        from: Seq,
        to: Seq,
        order: Order,
        count: usize,
    ) -> Result<Vec<(Seq, MessageRow)>, Fault> {
        let (start, end) = (message_key(self.conv, from), message_key(self.conv, to));
        let mut found = Vec::new();
        self.rows.try_range(&start, &end, order, &mut |key, value| {
            found.push((Seq(number_at(key, 9)), decode(value)?));
            Ok(match found.len() < count {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })?;
        Ok(found)
    }

    /// The numbers with `from <= seq < to` that this member has deleted for itself.
    fn hidden(&self, from: Seq, to: Seq) -> Result<BTreeSet<Seq>, Fault> {
        let start = hidden_key(self.user, self.conv, from);
        let end = hidden_key(self.user, self.conv, to);
        let mut hidden = BTreeSet::new();
        self.rows.range(&start, &end, Order::Ascending, &mut |key, _| {
            hidden.insert(Seq(number_at(key, 17)));
            ControlFlow::Continue(())
        })?;
        Ok(hidden)
    }

    /// Whether a message is shown as a tombstone: deleted for all, for this member, or with its
    /// author.
    fn is_deleted(&self, seq: Seq, message: &MessageRow, hidden: &BTreeSet<Seq>) -> bool {
        let author_gone = message.from != self.user && self.peer_name.is_none();
        message.deleted || author_gone || hidden.contains(&seq)
    }

    fn view(&self, seq: Seq, message: MessageRow, hidden: &BTreeSet<Seq>) -> MessageView {
        let deleted = self.is_deleted(seq, &message, hidden);
        let from = self.author(message.from);
        let MessageRow { ts_ms, text, edited_ms, .. } = message;
        let (text, edited) = if deleted { (String::new(), None) } else { (shown(text), edited_ms) };
        MessageView { seq, from, text, ts: ts_ms, edited, deleted }
    }

    /// How many messages of the other above `read` are not deleted. Nothing is kept of them but the
    /// count: there may be a million.
    fn unread(&self, read: Seq) -> Result<u64, Fault> {
        if self.peer_name.is_none() {
            return Ok(0);
        }
        let (from, to) = (Seq(read.0 + 1), Seq(self.row.last_seq.0 + 1));
        let hidden = self.hidden(from, to)?;
        let mut unread = 0;
        let (start, end) = (message_key(self.conv, from), message_key(self.conv, to));
        self.rows.try_range(&start, &end, Order::Ascending, &mut |key, value| {
            let message: MessageHead = decode(value)?;
            let is_hidden = message.deleted || hidden.contains(&Seq(number_at(key, 9)));
            if message.from != self.user && !is_hidden {
                unread += 1;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(unread)
    }

    /// How many messages counting the unread ones would read.
    fn unread_at_most(&self) -> u64 {
        let read = self.row.place(self.user).map_or(Seq(0), |place| self.row.marks[place].read);
        self.row.last_seq.0.saturating_sub(read.0)
    }

    /// Nothing when its last message is not there.
    fn summary(&self) -> Result<Option<ConversationView>, Fault> {
        let place = self.row.place(self.user).expect("the reader is a member");
        let (own, peer) = (self.row.marks[place], self.row.marks[1 - place]);
        let is_own = self.row.peer(place) == self.user;
        let peer = match (is_own, &self.peer_name) {
            (true, _) => own,
            (false, Some(_)) => peer,
            // Marks end with their account, erased or not yet.
            (false, None) => Marks::default(),
        };
        let next = Seq(self.row.last_seq.0 + 1);
        let last = self.messages(self.row.last_seq, next, Order::Ascending, 1)?.pop();
        let Some((seq, message)) = last else { return Ok(None) };
        let hidden = self.hidden(seq, next)?;
        let MessageView { seq, from, text, ts, deleted, .. } = self.view(seq, message, &hidden);
        Ok(Some(ConversationView {
            conv: self.conv,
            with: self.peer_name.clone(),
            last_seq: self.row.last_seq,
            read: own.read,
            peer_read: peer.read,
            peer_delivered: peer.delivered,
            unread: self.unread(own.read)?,
            last: LastMessage { seq, from, text: preview(text), ts, deleted },
        }))
    }
}

/// The rows contradict each other: a conversation begins with its first message. One account's
/// trouble must not end the server for all others.
fn lost(conv: ConversationId) -> ErrorReply {
    log::error!("the rows are damaged: conversation {conv} lacks its last message");
    let text = format!("something is wrong in the server: see its log for conversation {conv}");
    ErrorReply::with_text(ErrorCode::Internal, text)
}

/// The text as a line can hold it. No text that the rules allow grows beyond twice its size in
/// JSON; one that they do not, out of a crafted snapshot, is cut rather than make a line too long.
pub(super) fn shown(text: String) -> String {
    let is_plain = |byte: &u8| *byte >= b' ' || matches!(byte, b'\n' | b'\t');
    match text.len() <= TEXT_BYTES_MAX && text.as_bytes().iter().all(is_plain) {
        true => text,
        false => preview(text),
    }
}

/// At most so much of a text as a list shows, cut between characters.
fn preview(mut text: String) -> String {
    let mut end = text.len().min(PREVIEW_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

pub(super) fn conversations(
    rows: &dyn Read,
    user: UserId,
    page: &Conversations,
    at: Cursor,
) -> Result<Answer, Fault> {
    if name_of(rows, user)?.is_none() {
        return Ok(Answer::Refused(ErrorCode::Unauthorized.into()));
    }
    let limit = page.limit.map_or(CONVERSATIONS_PAGE_MAX, |limit| limit as usize);
    let limit = limit.clamp(1, CONVERSATIONS_PAGE_MAX);
    let prefix = member_of(user);
    let mut convs = Vec::new();
    rows.range(&prefix, &end_of(&prefix), Order::Ascending, &mut |key, _| {
        convs.push(ConversationId(number_at(key, 9)));
        ControlFlow::Continue(())
    })?;
    let mut by_activity = Vec::new();
    for conv in convs {
        if let Some(found) = row::<ConversationRow>(rows, &conversation_key(conv))? {
            by_activity.push((found.active, conv));
        }
    }
    by_activity.sort_unstable_by(|one, other| other.cmp(one));
    let start = match page.after {
        None => 0,
        Some(after) => match by_activity.iter().position(|(_, conv)| *conv == after) {
            Some(at) => at + 1,
            None => return Ok(Answer::Refused(ErrorCode::NoSuchConversation.into())),
        },
    };
    let mut conversations = Vec::new();
    let mut counted = 0;
    for (_, conv) in by_activity.iter().skip(start).take(limit) {
        let Some(reader) = Reader::open(rows, user, *conv)? else { continue };
        counted += reader.unread_at_most();
        if counted > COUNTED_MAX && !conversations.is_empty() {
            break;
        }
        match reader.summary()? {
            Some(summary) => conversations.push(summary),
            None => return Ok(Answer::Refused(lost(*conv))),
        }
    }
    conversations.truncate(fitting(&conversations));
    let more = by_activity.len() > start + conversations.len();
    Ok(Answer::Reply(Reply::Conversations(ConversationsOk { conversations, more, cur: at })))
}

pub(super) fn history(rows: &dyn Read, user: UserId, page: &History) -> Result<Answer, Fault> {
    if name_of(rows, user)?.is_none() {
        return Ok(Answer::Refused(ErrorCode::Unauthorized.into()));
    }
    let Some(reader) = Reader::open(rows, user, page.conv)? else {
        return Ok(Answer::Refused(ErrorCode::NoSuchConversation.into()));
    };
    let limit = page.limit.map_or(HISTORY_PAGE_MAX, |limit| limit as usize);
    let limit = limit.clamp(1, HISTORY_PAGE_MAX);
    let (from, to, order) = match page.page {
        Page::Newest => (Seq(0), Seq(u64::MAX), Order::Descending),
        Page::Before(seq) => (Seq(0), seq, Order::Descending),
        Page::After(seq) => (Seq(seq.0.saturating_add(1)), Seq(u64::MAX), Order::Ascending),
    };
    let mut found = reader.messages(from, to, order, limit + 1)?;
    let mut more = found.len() > limit;
    found.truncate(limit);
    let seqs = || found.iter().map(|(seq, _)| *seq);
    let hidden = match (seqs().min(), seqs().max()) {
        (Some(first), Some(last)) => reader.hidden(first, Seq(last.0 + 1))?,
        _ => BTreeSet::new(),
    };
    let view = |(seq, message)| reader.view(seq, message, &hidden);
    let mut messages: Vec<MessageView> = found.into_iter().map(view).collect();
    let fits = fitting(&messages);
    more |= fits < messages.len();
    messages.truncate(fits);
    if order == Order::Descending {
        messages.reverse();
    }
    Ok(Answer::Reply(Reply::History(HistoryOk { messages, more })))
}
