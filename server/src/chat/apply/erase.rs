//! Work that one entry may not do all at once: erasing a deleted account, pruning what is old. Each
//! entry does about [`STEP_ROWS`] rows, notes how far it came, and asks for the next.

use std::ops::ControlFlow;

use holdfast_common::ids::{ConversationId, Seq, UserId};
use holdfast_common::protocol::{Durable, GoneEvent};

use super::accounts::user_in;
use super::{Ruled, STEP_ROWS, Step};
use crate::chat::operation::{Notice, Operation, Success};
use crate::chat::schema::{
    ConversationRow, Erasure, EventKind, EventRow, Marks, MessageRow, PRUNING, Pruning, SessionRow,
    conversation_key, decode, erasure_key, event_key, events_of, hidden_of, mark_key, member_key,
    member_of, message_key, number_at, pair_key, registration_index_key, sessions_of, token_key,
    txn_key, txns_of, user_key,
};
use crate::entry::Index;
use crate::tables::{Fault, Order, Read};

/// Events and txns are kept for so many day marks.
const MARKS_KEPT: u64 = 30;

impl Step<'_, '_> {
    pub(super) fn erase(&mut self, user: UserId) -> Ruled<Success> {
        let key = erasure_key(user);
        let next = match self.batch.row::<Erasure>(&key)? {
            // Asked for twice, over a change of primary: it is done.
            None => return Ok(Ok(Success::Plain)),
            Some(Erasure::Telling(after)) => Some(self.tell_gone(user, after)?),
            Some(Erasure::Texts(conv, seq)) => Some(self.erase_texts(user, conv, seq)?),
            Some(Erasure::Rows) => self.erase_rows(user)?,
        };
        match next {
            Some(erasure) => {
                self.batch.put(key, &erasure);
                self.notices.push(Notice::FollowUp(Operation::Erase { user }));
            }
            None => self.batch.remove(key),
        }
        Ok(Ok(Success::Plain))
    }

    /// Tells the other side of each conversation; its read marks go with it.
    fn tell_gone(&mut self, user: UserId, after: ConversationId) -> Result<Erasure, Fault> {
        let from = member_key(user, ConversationId(after.0 + 1));
        // Two rows a conversation: the event, and the conversation itself.
        let keys = self.batch.keys(&member_of(user), &from, STEP_ROWS / 2)?;
        for key in &keys {
            let conv = ConversationId(number_at(key, 9));
            let Some(mut row) = self.batch.row::<ConversationRow>(&conversation_key(conv))? else {
                continue;
            };
            let Some(place) = row.place(user) else { continue };
            row.marks[place] = Marks::default();
            self.batch.put(conversation_key(conv), &row);
            let peer = row.peer(place);
            if self.batch.has(&user_key(peer))? {
                let event = Durable::Gone(GoneEvent { conv });
                self.tell(peer, EventKind::Gone { conv }, None, event);
            }
        }
        match keys.last() {
            Some(last) if keys.len() == STEP_ROWS / 2 => {
                Ok(Erasure::Telling(ConversationId(number_at(last, 9))))
            }
            Some(_) | None => Ok(Erasure::Texts(ConversationId(0), Seq(0))),
        }
    }

    /// Makes tombstones of its messages, conversation by conversation.
    fn erase_texts(
        &mut self,
        user: UserId,
        conv: ConversationId,
        after: Seq,
    ) -> Result<Erasure, Fault> {
        let mut looked_at = 0;
        let (mut conv, mut after) = (conv, after);
        loop {
            if !self.batch.has(&member_key(user, conv))? {
                let from = member_key(user, ConversationId(conv.0 + 1));
                let next = self.batch.keys(&member_of(user), &from, 1)?;
                let Some(next) = next.first() else { return Ok(Erasure::Rows) };
                (conv, after) = (ConversationId(number_at(next, 9)), Seq(0));
            }
            let from = message_key(conv, Seq(after.0 + 1));
            let to = message_key(conv, Seq(u64::MAX));
            let mut own = Vec::new();
            let mut last = None;
            let mut fault = None;
            self.batch.range(&from, &to, Order::Ascending, &mut |key, value| {
                looked_at += 1;
                let seq = Seq(number_at(key, 9));
                match decode::<MessageRow>(value) {
                    Ok(message) if message.from == user => own.push(seq),
                    Ok(_) => {}
                    Err(error) => fault = Some(error),
                }
                last = Some(seq);
                match looked_at < STEP_ROWS && fault.is_none() {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            })?;
            if let Some(fault) = fault {
                return Err(fault);
            }
            for seq in own {
                self.erase_message(conv, seq)?;
            }
            if looked_at >= STEP_ROWS {
                return Ok(Erasure::Texts(conv, last.unwrap_or(after)));
            }
            let from = member_key(user, ConversationId(conv.0 + 1));
            let next = self.batch.keys(&member_of(user), &from, 1)?;
            let Some(next) = next.first() else { return Ok(Erasure::Rows) };
            (conv, after) = (ConversationId(number_at(next, 9)), Seq(0));
        }
    }

    /// Removes the rows that are its own.
    fn erase_rows(&mut self, user: UserId) -> Result<Option<Erasure>, Fault> {
        let mut left = STEP_ROWS;
        for prefix in
            [sessions_of(user), txns_of(user), events_of(user), hidden_of(user), member_of(user)]
        {
            for key in self.batch.keys(&prefix, &prefix, left)? {
                left = left.saturating_sub(1);
                if prefix[0] == sessions_of(user)[0]
                    && let Some(session) = self.batch.row::<SessionRow>(&key)?
                {
                    self.batch.remove(token_key(&session.token_hash));
                }
                if prefix[0] == member_of(user)[0] {
                    let conv = ConversationId(number_at(&key, 9));
                    if let Some(row) = self.batch.row::<ConversationRow>(&conversation_key(conv))? {
                        self.batch.remove(pair_key(row.members[0], row.members[1]));
                    }
                }
                self.batch.remove(key);
            }
            if left == 0 {
                return Ok(Some(Erasure::Rows));
            }
        }
        Ok(None)
    }

    pub(super) fn day_mark(&mut self) -> Ruled<Success> {
        self.batch.meta.marks += 1;
        let mark = self.batch.meta.marks;
        self.batch.put(mark_key(mark), &self.entry.index);
        let Some(oldest) = mark.checked_sub(MARKS_KEPT).filter(|oldest| *oldest > 0) else {
            return Ok(Ok(Success::Plain));
        };
        if let Some(floor) = self.batch.row::<Index>(&mark_key(oldest))? {
            self.batch.meta.floor = floor;
            self.batch.remove(mark_key(oldest));
            self.batch.put(PRUNING.to_vec(), &Pruning { done: Vec::new() });
            self.notices.push(Notice::FollowUp(Operation::Prune));
        }
        Ok(Ok(Success::Plain))
    }

    pub(super) fn prune(&mut self) -> Ruled<Success> {
        let Some(Pruning { done }) = self.batch.row(PRUNING)? else {
            return Ok(Ok(Success::Plain));
        };
        let floor = self.batch.meta.floor;
        let mut left = STEP_ROWS / 2;
        let mut from = if done.is_empty() { vec![b'e'] } else { done };
        // Account by account: the rows below the floor, then on to the next account.
        while left > 0
            && let Some(first) = self.batch.keys(b"e", &from, 1)?.pop()
        {
            let user = user_in(&first);
            let mut old = self.batch.keys(&events_of(user), &first, left)?;
            old.retain(|key| number_at(key, 9) < floor.0);
            left = left.saturating_sub(old.len().max(1));
            from = match old.last() {
                Some(last) if left == 0 => last.clone(),
                Some(_) | None => event_key(UserId(user.0 + 1), Index(0)),
            };
            for key in old {
                if let Some(EventRow { txn: Some(txn), .. }) = self.batch.row(&key)? {
                    self.batch.remove(txn_key(user, txn));
                }
                self.batch.remove(key);
            }
        }
        let end = registration_index_key(floor);
        let mut registrations = self.batch.keys(b"R", b"R", left)?;
        registrations.retain(|key| *key < end);
        left = left.saturating_sub(registrations.len());
        for key in registrations {
            if let Some(registration) = self.batch.row::<Vec<u8>>(&key)? {
                self.batch.remove(registration);
            }
            self.batch.remove(key);
        }
        if left > 0 {
            self.batch.remove(PRUNING.to_vec());
        } else {
            self.batch.put(PRUNING.to_vec(), &Pruning { done: from });
            self.notices.push(Notice::FollowUp(Operation::Prune));
        }
        Ok(Ok(Success::Plain))
    }
}
