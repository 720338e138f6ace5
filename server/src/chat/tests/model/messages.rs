//! Messages and marks, naively.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_common::ids::{ConversationId, Seq, Txn, UserId};
use holdfast_common::protocol::{
    DeletedEvent, Durable, EditedEvent, ErrorCode, MarkEvent, MsgEvent, Scope,
};

use super::{Content, Conversation, Message, Model, Ruled, Told, refuse};
use crate::chat::operation::{Actor, Outcome, Recipient, Success};

impl Model {
    fn member(&self, user: UserId, conv: ConversationId) -> Result<&Conversation, Outcome> {
        match self.conversations.get(&conv) {
            Some(conversation) if conversation.members.contains(&user) => Ok(conversation),
            Some(_) | None => refuse(ErrorCode::NoSuchConversation),
        }
    }

    pub(super) fn send(
        &mut self,
        actor: Actor,
        to: Recipient,
        text: String,
        txn: Txn,
        digest: [u8; 16],
    ) -> Ruled {
        let author = self.actor(actor)?.name.clone();
        let user = actor.user;
        if let Some(success) = self.answered(user, txn, &Content::Send(digest))? {
            return Ok(success);
        }
        let peer = match to {
            Recipient::User(peer) => peer,
            Recipient::Conversation(conv) => self.member(user, conv)?.peer(user),
        };
        let Some(peer_row) = self.users.get(&peer) else { return refuse(ErrorCode::NoSuchUser) };
        let with = peer_row.name.clone();
        let pair = [[user, peer], [peer, user]];
        let known = self.conversations.iter().find(|(_, c)| pair.contains(&c.members));
        let conv = match known {
            Some((conv, _)) => *conv,
            None => ConversationId(self.conversations.len() as u64 + 1),
        };
        let ts = self.at.ts;
        let conversation = self.conversations.entry(conv).or_insert_with(|| Conversation {
            members: [user, peer],
            messages: Vec::new(),
            read: BTreeMap::new(),
            delivered: BTreeMap::new(),
            active: 0,
        });
        conversation.active = self.at.index;
        let message = Message { from: user, ts, text: text.clone(), edited: None, deleted: false };
        conversation.messages.push(message);
        let seq = Seq(conversation.messages.len() as u64);
        let event = |with: &str, txn| {
            let (from, with) = (Some(author.clone()), Some(with.to_owned()));
            Durable::Msg(MsgEvent {
                conv,
                seq,
                from,
                text: text.clone(),
                ts,
                with,
                txn,
                deleted: false,
            })
        };
        self.tell(user, Told::Msg(conv, seq, Some(txn)), event(&with, Some(txn)));
        if peer != user {
            self.tell(peer, Told::Msg(conv, seq, None), event(&author, None));
        }
        let success = Success::Sent { conv, seq, ts_ms: ts, dup: false };
        self.answer(user, txn, Content::Send(digest), success.clone());
        Ok(success)
    }

    pub(super) fn mark(
        &mut self,
        actor: Actor,
        conv: ConversationId,
        upto: Seq,
        read: bool,
    ) -> Result<(), Outcome> {
        let name = self.actor(actor)?.name.clone();
        self.member(actor.user, conv)?;
        let Some(conversation) = self.conversations.get_mut(&conv) else { return Ok(()) };
        let upto = upto.min(Seq(conversation.messages.len() as u64));
        let marks = if read { &mut conversation.read } else { &mut conversation.delivered };
        let mark = marks.entry(actor.user).or_default();
        if upto <= *mark {
            return Ok(());
        }
        *mark = upto;
        let event = MarkEvent { conv, user: Some(name), upto };
        let (told, event) = match read {
            true => (Told::Read(conv, actor.user, upto), Durable::Read(event)),
            false => (Told::Delivered(conv, actor.user, upto), Durable::Delivered(event)),
        };
        self.tell_members(conv, told, event);
        Ok(())
    }

    fn tell_members(&mut self, conv: ConversationId, told: Told, event: Durable) {
        let members: BTreeSet<UserId> = self.conversations[&conv].members.into_iter().collect();
        for member in members {
            self.tell(member, told, event.clone());
        }
    }

    fn message(&self, conv: ConversationId, seq: Seq) -> Result<&Message, Outcome> {
        let at = (seq.0 as usize).checked_sub(1);
        match at.and_then(|at| self.conversations[&conv].messages.get(at)) {
            Some(message) => Ok(message),
            None => refuse(ErrorCode::NoSuchMessage),
        }
    }

    pub(super) fn edit(
        &mut self,
        actor: Actor,
        conv: ConversationId,
        seq: Seq,
        text: String,
        txn: Txn,
    ) -> Ruled {
        self.actor(actor)?;
        let content = Content::Edit(conv, seq, text.clone());
        if let Some(success) = self.answered(actor.user, txn, &content)? {
            return Ok(success);
        }
        self.member(actor.user, conv)?;
        let message = self.message(conv, seq)?;
        if message.from != actor.user {
            return refuse(ErrorCode::Forbidden);
        }
        if message.deleted || self.hidden.contains(&(actor.user, conv, seq)) {
            return refuse(ErrorCode::NoSuchMessage);
        }
        let ts = self.at.ts;
        let Some(conversation) = self.conversations.get_mut(&conv) else { unreachable!() };
        let message = &mut conversation.messages[seq.0 as usize - 1];
        message.text = text.clone();
        message.edited = Some(ts);
        let event = Durable::Edited(EditedEvent { conv, seq, text, ts });
        let members: BTreeSet<UserId> = conversation.members.into_iter().collect();
        for member in members {
            if !self.hidden.contains(&(member, conv, seq)) {
                self.tell(member, Told::Edited(conv, seq, ts), event.clone());
            }
        }
        self.answer(actor.user, txn, content, Success::Edited { ts_ms: ts });
        Ok(Success::Edited { ts_ms: ts })
    }

    pub(super) fn delete(
        &mut self,
        actor: Actor,
        conv: ConversationId,
        seq: Seq,
        scope: Scope,
        txn: Txn,
    ) -> Ruled {
        self.actor(actor)?;
        let content = Content::Delete(conv, seq, scope);
        if let Some(success) = self.answered(actor.user, txn, &content)? {
            return Ok(success);
        }
        self.member(actor.user, conv)?;
        let message = self.message(conv, seq)?.clone();
        if scope == Scope::All && message.from != actor.user {
            return refuse(ErrorCode::Forbidden);
        }
        let (told, event) =
            (Told::Deleted(conv, seq, scope), Durable::Deleted(DeletedEvent { conv, seq, scope }));
        match scope {
            Scope::Me if message.deleted => {}
            Scope::Me => {
                if self.hidden.insert((actor.user, conv, seq)) {
                    self.tell(actor.user, told, event);
                }
            }
            Scope::All if message.deleted => {}
            Scope::All => {
                let Some(conversation) = self.conversations.get_mut(&conv) else { unreachable!() };
                conversation.messages[seq.0 as usize - 1] =
                    Message { text: String::new(), edited: None, deleted: true, ..message };
                self.tell_members(conv, told, event);
            }
        }
        self.answer(actor.user, txn, content, Success::Plain);
        Ok(Success::Plain)
    }
}
