//! What the naive chat answers.

use holdfast_common::ids::{ConversationId, Cursor, Seq, UserId};
use holdfast_common::protocol::{
    ConversationView, DeletedEvent, Durable, EditedEvent, ErrorCode, GoneEvent, History, HistoryOk,
    LastMessage, MarkEvent, MessageView, MsgEvent, Page, SessionView,
};

use super::{Conversation, Model, Told};
use crate::chat::operation::Actor;

impl Model {
    fn name(&self, user: UserId) -> Option<String> {
        self.users.get(&user).map(|user| user.name.clone())
    }

    fn view(&self, reader: UserId, conv: ConversationId, seq: Seq) -> MessageView {
        let message = &self.conversations[&conv].messages[seq.0 as usize - 1];
        let deleted = message.deleted || self.hidden.contains(&(reader, conv, seq));
        MessageView {
            seq,
            from: self.name(message.from),
            text: if deleted { String::new() } else { message.text.clone() },
            ts: message.ts,
            edited: message.edited.filter(|_| !deleted),
            deleted,
        }
    }

    pub(in crate::chat::tests) fn history(
        &self,
        user: UserId,
        page: &History,
    ) -> Result<HistoryOk, ErrorCode> {
        let conversation = self.conversations.get(&page.conv);
        let Some(conversation) = conversation.filter(|c| c.members.contains(&user)) else {
            return Err(ErrorCode::NoSuchConversation);
        };
        let last = conversation.messages.len() as u64;
        let limit = page.limit.unwrap_or(100).clamp(1, 100) as usize;
        let mut seqs: Vec<u64> = match page.page {
            Page::Newest => (1..=last).rev().collect(),
            Page::Before(seq) => (1..=last).rev().filter(|n| *n < seq.0).collect(),
            Page::After(seq) => (1..=last).filter(|n| *n > seq.0).collect(),
        };
        let more = seqs.len() > limit;
        seqs.truncate(limit);
        seqs.sort_unstable();
        let view = |seq| self.view(user, page.conv, Seq(seq));
        Ok(HistoryOk { messages: seqs.into_iter().map(view).collect(), more })
    }

    /// All of them, newest activity first.
    pub(in crate::chat::tests) fn conversation_list(&self, user: UserId) -> Vec<ConversationView> {
        let mut own: Vec<(&ConversationId, &Conversation)> =
            self.conversations.iter().filter(|(_, c)| c.members.contains(&user)).collect();
        own.sort_by_key(|(_, conversation)| std::cmp::Reverse(conversation.active));
        own.into_iter()
            .map(|(conv, conversation)| self.summary(user, *conv, conversation))
            .collect()
    }

    fn summary(
        &self,
        user: UserId,
        conv: ConversationId,
        conversation: &Conversation,
    ) -> ConversationView {
        let peer = conversation.peer(user);
        let last_seq = Seq(conversation.messages.len() as u64);
        let read = conversation.read.get(&user).copied().unwrap_or_default();
        let unread = (read.0 + 1..=last_seq.0).filter(|seq| {
            let message = &conversation.messages[*seq as usize - 1];
            message.from != user && !self.view(user, conv, Seq(*seq)).deleted
        });
        let last = self.view(user, conv, last_seq);
        let mut text = String::new();
        for character in last.text.chars() {
            if text.len() + character.len_utf8() > 280 {
                break;
            }
            text.push(character);
        }
        ConversationView {
            conv,
            with: self.name(peer),
            last_seq,
            read,
            peer_read: conversation.read.get(&peer).copied().unwrap_or_default(),
            peer_delivered: conversation.delivered.get(&peer).copied().unwrap_or_default(),
            unread: unread.count() as u64,
            last: LastMessage {
                seq: last_seq,
                from: last.from,
                text,
                ts: last.ts,
                deleted: last.deleted,
            },
        }
    }

    pub(in crate::chat::tests) fn backlog(
        &self,
        user: UserId,
        after: Cursor,
    ) -> Vec<(Cursor, Durable)> {
        let told = self.told.get(&user).into_iter().flatten();
        told.filter(|(cursor, _)| cursor.index > after.index)
            .filter_map(|(cursor, told)| Some((*cursor, self.retold(user, *told)?)))
            .collect()
    }

    fn retold(&self, user: UserId, told: Told) -> Option<Durable> {
        Some(match told {
            Told::Msg(conv, seq, txn) => {
                let MessageView { from, text, ts, deleted, .. } = self.view(user, conv, seq);
                let with = self.name(self.conversations[&conv].peer(user));
                Durable::Msg(MsgEvent { conv, seq, from, text, ts, with, txn, deleted })
            }
            Told::Read(conv, reader, upto) => {
                Durable::Read(MarkEvent { conv, user: Some(self.name(reader)?), upto })
            }
            Told::Delivered(conv, receiver, upto) => {
                Durable::Delivered(MarkEvent { conv, user: Some(self.name(receiver)?), upto })
            }
            Told::Edited(conv, seq, ts) => {
                let text = self.view(user, conv, seq).text;
                Durable::Edited(EditedEvent { conv, seq, text, ts })
            }
            Told::Deleted(conv, seq, scope) => Durable::Deleted(DeletedEvent { conv, seq, scope }),
            Told::Gone(conv) => Durable::Gone(GoneEvent { conv }),
        })
    }

    /// The names that begin so, in the order of their folded form.
    pub(in crate::chat::tests) fn names(&self, prefix: &str) -> Vec<String> {
        let prefix = prefix.to_lowercase();
        let mut names: Vec<String> = self.users.values().map(|user| user.name.clone()).collect();
        names.retain(|name| name.to_lowercase().starts_with(&prefix));
        names.sort_by_key(|name| name.to_lowercase());
        names
    }

    /// Oldest first.
    pub(in crate::chat::tests) fn session_list(&self, actor: Actor) -> Vec<SessionView> {
        let mut sessions: Vec<_> = self.users[&actor.user].sessions.iter().collect();
        sessions.sort_by_key(|(_, session)| session.index);
        let view =
            |(id, session): (&holdfast_common::ids::SessionId, &super::Session)| SessionView {
                session: *id,
                device: session.device.clone(),
                created: session.created,
                this: *id == actor.session,
            };
        sessions.into_iter().map(view).collect()
    }
}
