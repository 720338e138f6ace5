//! Messages and marks.

use holdfast_common::ids::{ConversationId, Seq, Txn, UserId};
use holdfast_common::protocol::{
    DeletedEvent, Durable, EditedEvent, ErrorCode, MarkEvent, MsgEvent, Scope,
};

use super::{Refusal, Ruled, Step, refuse, ruled};
use crate::chat::operation::{Actor, Notice, Recipient, Success, digest};
use crate::chat::schema::{
    ConversationRow, EventKind, Marks, MessageRow, TxnAnswer, UserRow, conversation_key,
    hidden_key, member_key, message_key, pair_key, user_key,
};
use crate::tables::Fault;

impl Step<'_, '_> {
    pub(super) fn send(
        &mut self,
        ts_ms: u64,
        actor: Actor,
        to: Recipient,
        text: String,
        txn: Txn,
        digest: [u8; 16],
    ) -> Ruled<Success> {
        let author = ruled!(self.actor(actor));
        if let Some(success) = ruled!(self.txn(actor.user, txn, digest)) {
            return Ok(Ok(success));
        }
        let (conv, mut row, peer_row) = ruled!(self.recipient(actor.user, to));
        let place = row.place(actor.user).expect("the author is a member");
        let peer = row.peer(place);
        row.last_seq = Seq(row.last_seq.0 + 1);
        row.active = self.entry.index;
        let seq = row.last_seq;
        self.batch.put(conversation_key(conv), &row);
        let message = MessageRow {
            from: actor.user,
            ts_ms,
            text: text.clone(),
            edited_ms: None,
            deleted: false,
        };
        self.batch.put(message_key(conv, seq), &message);
        let what = EventKind::Msg { conv, seq };
        let event = |with: &UserRow, txn| {
            Durable::Msg(MsgEvent {
                conv,
                seq,
                from: Some(author.name.clone()),
                text: text.clone(),
                ts: ts_ms,
                with: Some(with.name.clone()),
                txn,
                deleted: false,
            })
        };
        let own = event(&peer_row, Some(txn));
        let others = event(&author, None);
        self.tell(actor.user, what, Some(txn), own);
        if peer != actor.user {
            self.tell(peer, what, None, others);
        }
        self.keep_txn(actor.user, txn, digest, TxnAnswer::Sent { conv, seq, ts_ms });
        Ok(Ok(Success::Sent { conv, seq, ts_ms, dup: false }))
    }

    /// The conversation that a message goes into, made if it must be, and the other member.
    fn recipient(
        &mut self,
        author: UserId,
        to: Recipient,
    ) -> Ruled<(ConversationId, ConversationRow, UserRow)> {
        let conv = match to {
            Recipient::Conversation(conv) => conv,
            Recipient::User(peer) => match self.batch.row(&pair_key(author, peer))? {
                Some(conv) => conv,
                None => return self.new_conversation(author, peer),
            },
        };
        let (row, place) = ruled!(self.conversation(author, conv));
        match self.batch.shared_row(&user_key(row.peer(place)))? {
            Some(peer) => Ok(Ok((conv, row, peer))),
            None => refuse!(NoSuchUser),
        }
    }

    fn new_conversation(
        &mut self,
        author: UserId,
        peer: UserId,
    ) -> Ruled<(ConversationId, ConversationRow, UserRow)> {
        let Some(peer_row) = self.batch.row(&user_key(peer))? else { refuse!(NoSuchUser) };
        let conv = ConversationId(self.batch.meta.next_conversation);
        self.batch.meta.next_conversation += 1;
        let row = ConversationRow {
            members: [author, peer],
            marks: [Marks::default(); 2],
            last_seq: Seq(0),
            active: self.entry.index,
        };
        self.batch.put(pair_key(author, peer), &conv);
        self.batch.put(member_key(author, conv), &());
        if peer != author {
            self.batch.put(member_key(peer, conv), &());
        }
        Ok(Ok((conv, row, peer_row)))
    }

    /// A conversation and the place of `user` in it; one that it is not in does not exist for it.
    fn conversation(&self, user: UserId, conv: ConversationId) -> Ruled<(ConversationRow, usize)> {
        let row: Option<ConversationRow> = self.batch.row(&conversation_key(conv))?;
        match row.and_then(|row| row.place(user).map(|place| (row, place))) {
            Some(found) => Ok(Ok(found)),
            None => refuse!(NoSuchConversation),
        }
    }

    pub(super) fn mark(
        &mut self,
        actor: Actor,
        conv: ConversationId,
        upto: Seq,
        is_read: bool,
    ) -> Ruled<Success> {
        let user_row = ruled!(self.actor(actor));
        let (mut row, place) = ruled!(self.conversation(actor.user, conv));
        let upto = upto.min(row.last_seq);
        let marks = &mut row.marks[place];
        let mark = if is_read { &mut marks.read } else { &mut marks.delivered };
        if upto <= *mark {
            return Ok(Ok(Success::Plain));
        }
        *mark = upto;
        self.batch.put(conversation_key(conv), &row);
        let peer = self.living_peer(&row, place)?;
        let user = actor.user;
        let event = MarkEvent { conv, user: Some(user_row.name), upto };
        let (what, event) = match is_read {
            true => (EventKind::Read { conv, user, upto }, Durable::Read(event)),
            false => (EventKind::Delivered { conv, user, upto }, Durable::Delivered(event)),
        };
        self.tell_both(user, peer, what, None, event);
        Ok(Ok(Success::Plain))
    }

    /// The other member, if there is another one and its account is still there.
    fn living_peer(&self, row: &ConversationRow, place: usize) -> Result<Option<UserId>, Fault> {
        let peer = row.peer(place);
        let lives = peer != row.members[place] && self.batch.has(&user_key(peer))?;
        Ok(lives.then_some(peer))
    }

    /// Tells both members the same; `txn` stands in the actor's own row only.
    fn tell_both(
        &mut self,
        actor: UserId,
        peer: Option<UserId>,
        what: EventKind,
        txn: Option<Txn>,
        event: Durable,
    ) {
        if let Some(peer) = peer {
            self.tell(peer, what, None, event.clone());
        }
        self.tell(actor, what, txn, event);
    }

    /// Whether a message is a tombstone for everybody: deleted, or its author's account is.
    fn is_tombstone(&self, message: &MessageRow) -> Result<bool, Fault> {
        Ok(message.deleted || !self.batch.has(&user_key(message.from))?)
    }

    fn message(&self, conv: ConversationId, seq: Seq) -> Ruled<MessageRow> {
        match self.batch.row(&message_key(conv, seq))? {
            Some(message) => Ok(Ok(message)),
            None => refuse!(NoSuchMessage),
        }
    }

    pub(super) fn edit(
        &mut self,
        ts_ms: u64,
        actor: Actor,
        (conv, seq): (ConversationId, Seq),
        text: String,
        txn: Txn,
    ) -> Ruled<Success> {
        ruled!(self.actor(actor));
        let digest =
            digest(&[b"edit", &conv.0.to_le_bytes(), &seq.0.to_le_bytes(), text.as_bytes()]);
        if let Some(success) = ruled!(self.txn(actor.user, txn, digest)) {
            return Ok(Ok(success));
        }
        let (row, place) = ruled!(self.conversation(actor.user, conv));
        let message = ruled!(self.message(conv, seq));
        if message.from != actor.user {
            refuse!(Forbidden);
        }
        // What its author has deleted, if only for itself, is a tombstone to it.
        if message.deleted || self.batch.has(&hidden_key(actor.user, conv, seq))? {
            refuse!(NoSuchMessage);
        }
        let mut peer = self.living_peer(&row, place)?;
        if let Some(other) = peer
            && self.batch.has(&hidden_key(other, conv, seq))?
        {
            // It deleted the message for itself, and is not shown it again.
            peer = None;
        }
        let event = Durable::Edited(EditedEvent { conv, seq, text: text.clone(), ts: ts_ms });
        let message = MessageRow { text, edited_ms: Some(ts_ms), ..message };
        self.batch.put(message_key(conv, seq), &message);
        let what = EventKind::Edited { conv, seq, ts_ms };
        self.tell_both(actor.user, peer, what, Some(txn), event);
        self.keep_txn(actor.user, txn, digest, TxnAnswer::Edited { ts_ms });
        // The former text is deleted as much as a deleted message's.
        self.notices.push(Notice::Erasable);
        Ok(Ok(Success::Edited { ts_ms }))
    }

    pub(super) fn delete(
        &mut self,
        actor: Actor,
        (conv, seq): (ConversationId, Seq),
        scope: Scope,
        txn: Txn,
    ) -> Ruled<Success> {
        ruled!(self.actor(actor));
        let of_scope: &[u8] = match scope {
            Scope::Me => b"delete for me",
            Scope::All => b"delete for all",
        };
        let digest = digest(&[of_scope, &conv.0.to_le_bytes(), &seq.0.to_le_bytes()]);
        if let Some(success) = ruled!(self.txn(actor.user, txn, digest)) {
            return Ok(Ok(success));
        }
        let (row, place) = ruled!(self.conversation(actor.user, conv));
        let message = ruled!(self.message(conv, seq));
        let hidden = hidden_key(actor.user, conv, seq);
        let done_before = match scope {
            Scope::Me => self.is_tombstone(&message)? || self.batch.has(&hidden)?,
            Scope::All if message.from != actor.user => refuse!(Forbidden),
            Scope::All => message.deleted,
        };
        if done_before {
            self.keep_silent_txn(actor.user, txn, digest, TxnAnswer::Plain);
            return Ok(Ok(Success::Plain));
        }
        let what = EventKind::Deleted { conv, seq, scope };
        let event = Durable::Deleted(DeletedEvent { conv, seq, scope });
        match scope {
            Scope::Me => {
                self.batch.put(hidden, &());
                self.tell(actor.user, what, Some(txn), event);
            }
            Scope::All => {
                self.batch.put(message_key(conv, seq), &tombstone(message));
                let peer = self.living_peer(&row, place)?;
                self.tell_both(actor.user, peer, what, Some(txn), event);
                self.notices.push(Notice::Erasable);
            }
        }
        self.keep_txn(actor.user, txn, digest, TxnAnswer::Plain);
        Ok(Ok(Success::Plain))
    }
}

/// What is left of a deleted message: its number, its author and its time.
pub(super) fn tombstone(message: MessageRow) -> MessageRow {
    MessageRow { text: String::new(), edited_ms: None, deleted: true, ..message }
}
