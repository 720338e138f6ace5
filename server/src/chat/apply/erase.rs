//! Work that one entry may not do all at once: erasing a deleted account, pruning what is old. Each
//! entry does about [`STEP_ROWS`] rows, notes how far it came, and asks for the next.

use std::ops::ControlFlow;

use holdfast_common::ids::{ConversationId, Seq, UserId};
use holdfast_common::protocol::{Durable, GoneEvent};

use super::messages::tombstone;
use super::{Ruled, STEP_ROWS, Step};
use crate::chat::operation::{Notice, Operation, Success};
use crate::chat::schema::{
    ConversationRow, Erasure, EventKind, EventRow, Marks, MessageRow, PRUNING, Pruning, SessionRow,
    conversation_key, decode, erasure_key, event_key, events, events_of, hidden_of, mark_key,
    member_key, member_of, message_key, number_at, pair_key, registration_index_key,
    registration_indexes, sessions_of, txn_key, txns_of, user_key,
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
        let mut left = STEP_ROWS;
        let (mut conv, mut after) = (conv, after);
        loop {
            let (looked_at, last) = self.erase_messages(user, conv, after, left)?;
            left = left.saturating_sub(looked_at.max(1));
            if left == 0 {
                return Ok(Erasure::Texts(conv, last));
            }
            let from = member_key(user, ConversationId(conv.0 + 1));
            let next = self.batch.keys(&member_of(user), &from, 1)?;
            let Some(next) = next.first() else { return Ok(Erasure::Rows) };
            (conv, after) = (ConversationId(number_at(next, 9)), Seq(0));
        }
    }

    /// Erases its messages among the next `count` of a conversation; gives how many there were, and
    /// the last one's number. Of a conversation that is nobody's any more, no message stays.
    fn erase_messages(
        &mut self,
        user: UserId,
        conv: ConversationId,
        after: Seq,
        count: usize,
    ) -> Result<(usize, Seq), Fault> {
        let is_nobodys = self.is_nobodys(conv)?;
        let from = message_key(conv, Seq(after.0 + 1));
        let to = message_key(conv, Seq(u64::MAX));
        let mut found = Vec::new();
        self.batch.range(&from, &to, Order::Ascending, &mut |key, value| {
            found.push((Seq(number_at(key, 9)), decode::<MessageRow>(value)));
            if found.len() < count { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        let looked_at = found.len();
        let mut last = after;
        let mut erased = false;
        for (seq, message) in found {
            let message = message?;
            last = seq;
            if is_nobodys {
                self.batch.remove(message_key(conv, seq));
                erased = true;
            } else if message.from == user && !message.deleted {
                self.batch.put(message_key(conv, seq), &tombstone(message));
                erased = true;
            }
        }
        if erased {
            self.notices.push(Notice::Erasable);
        }
        Ok((looked_at, last))
    }

    /// Whether no account of a conversation is left.
    fn is_nobodys(&self, conv: ConversationId) -> Result<bool, Fault> {
        let row: Option<ConversationRow> = self.batch.row(&conversation_key(conv))?;
        for member in row.iter().flat_map(|row| row.members) {
            if self.batch.has(&user_key(member))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Removes the rows that are its own.
    fn erase_rows(&mut self, user: UserId) -> Result<Option<Erasure>, Fault> {
        let mut left = STEP_ROWS;
        let (sessions, members) = (sessions_of(user), member_of(user));
        for prefix in [&sessions, &txns_of(user), &events_of(user), &hidden_of(user), &members] {
            for key in self.batch.keys(prefix, prefix, left)? {
                left = left.saturating_sub(1);
                if prefix == &sessions
                    && let Some(session) = self.batch.row::<SessionRow>(&key)?
                {
                    self.remove_token(user, &session)?;
                }
                if prefix == &members {
                    self.leave(ConversationId(number_at(&key, 9)))?;
                }
                self.batch.remove(key);
            }
            if left == 0 {
                return Ok(Some(Erasure::Rows));
            }
        }
        Ok(None)
    }

    /// A conversation that lost a member is found by its pair no more; one that lost both is gone.
    fn leave(&mut self, conv: ConversationId) -> Result<(), Fault> {
        let Some(row) = self.batch.row::<ConversationRow>(&conversation_key(conv))? else {
            return Ok(());
        };
        self.batch.remove(pair_key(row.members[0], row.members[1]));
        if self.is_nobodys(conv)? {
            self.batch.remove(conversation_key(conv));
        }
        Ok(())
    }

    pub(super) fn day_mark(&mut self) -> Ruled<Success> {
        self.batch.meta.marks += 1;
        self.batch.meta.ran_ms = 0;
        self.notices.push(Notice::DayMarked);
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
        // Two rows an event: its own, and its txn's.
        let mut left = STEP_ROWS / 2;
        let from = self.prune_events(done, &mut left)?;
        let end = registration_index_key(self.batch.meta.floor);
        if left > 0 {
            for key in self.batch.keys_between(&registration_indexes(), &end, left)? {
                left -= 1;
                if let Some(registration) = self.batch.row::<Vec<u8>>(&key)? {
                    self.batch.remove(registration);
                }
                self.batch.remove(key);
            }
        }
        if left > 0 {
            self.batch.remove(PRUNING.to_vec());
        } else {
            self.batch.put(PRUNING.to_vec(), &Pruning { done: from });
            self.notices.push(Notice::FollowUp(Operation::Prune));
        }
        Ok(Ok(Success::Plain))
    }

    /// Removes events below the floor with their txns, account by account from the key `from` on;
    /// gives the key to go on from. An account costs one of `left` at least.
    fn prune_events(&mut self, from: Vec<u8>, left: &mut usize) -> Result<Vec<u8>, Fault> {
        let floor = self.batch.meta.floor;
        let mut from = from.max(events());
        while *left > 0
            && let Some(first) = self.batch.keys(&events(), &from, 1)?.pop()
        {
            let user = UserId(number_at(&first, 1));
            let old = self.batch.keys_between(&first, &event_key(user, floor), *left)?;
            *left -= old.len().max(1);
            from = match old.last() {
                Some(last) if *left == 0 => last.clone(),
                Some(_) | None => event_key(UserId(user.0 + 1), Index(0)),
            };
            for key in old {
                if let Some(EventRow { txn: Some(txn), .. }) = self.batch.row(&key)? {
                    self.batch.remove(txn_key(user, txn));
                }
                self.batch.remove(key);
            }
        }
        Ok(from)
    }
}
