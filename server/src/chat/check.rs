//! Whether rows that somebody else wrote are rows that `apply` could have written.
//!
//! Owns: the shape of each kind of row, and what holds between them. Driven by: `--check`, and a
//! restore behind the last row of its backup. Invariants: reading rows that passed never panics and
//! never finds one that does not decode; a conversation has all its messages. Does not: change
//! anything, or judge names and texts.

use std::ops::ControlFlow;

use holdfast_common::ids::{ConversationId, Seq, UserId, hex};

use super::operation::Actor;
use super::schema::{
    ConversationRow, Erasure, EventRow, MessageRow, Meta, Pruning, SessionRow, TxnRow, UserRow,
    conversation_key, decode, end_of, message_key, number_at, row, session_key, token_key,
    user_key,
};
use crate::entry::Index;
use crate::tables::{Fault, Order, Read};

/// Why rows are not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// They cannot be read.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// One of them is wrong.
    #[error("the row {key} {why}")]
    Wrong {
        /// The beginning of its key, in hex: what it is about, never what it says.
        key: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Longer keys are cut where they are shown.
const SHOWN_BYTES: usize = 17;

/// Reads every row.
///
/// # Errors
/// [`RowsError`]
pub fn check(rows: &dyn Read) -> Result<(), RowsError> {
    // An account that is being erased leaves rows behind until the last step.
    let all_erased = count(rows, b"x")? == 0;
    let mut messages = Messages::default();
    let mut found = Ok(());
    rows.range(&[0], &[u8::MAX], Order::Ascending, &mut |key, value| {
        found = shape(key, value)
            .and_then(|()| messages.see(rows, key, all_erased))
            .and_then(|()| if all_erased { belongs(rows, key, value) } else { Ok(()) })
            .map_err(|wrong| wrong.of(key));
        if found.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    found
}

/// What is wrong with the row that is looked at.
enum Wrong {
    Fault(Fault),
    Why(&'static str),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Wrong {
        Wrong::Fault(fault)
    }
}

impl Wrong {
    fn of(self, key: &[u8]) -> RowsError {
        match self {
            Wrong::Fault(fault) => RowsError::Fault(fault),
            Wrong::Why(why) => {
                RowsError::Wrong { key: hex(&key[..key.len().min(SHOWN_BYTES)]), why }
            }
        }
    }
}

fn count(rows: &dyn Read, prefix: &[u8]) -> Result<usize, Fault> {
    let mut count = 0;
    rows.range(prefix, &end_of(prefix), Order::Ascending, &mut |_, _| {
        count += 1;
        ControlFlow::Continue(())
    })?;
    Ok(count)
}

/// The key is as long as its kind's, and the value is one of its kind's.
fn shape(key: &[u8], value: &[u8]) -> Result<(), Wrong> {
    let (length_is_right, value_is_right) = match (key[0], key.len()) {
        (b'm', length) => (length == 1, decode::<Meta>(value).is_ok()),
        (b'g' | b'D', length) => (length == 9, decode::<Index>(value).is_ok()),
        (b'u', length) => (length == 9, decode::<UserRow>(value).is_ok()),
        (b'n', length) => (length > 1, decode::<UserId>(value).is_ok()),
        (b's', length) => (length == 25, decode::<SessionRow>(value).is_ok()),
        (b'k', length) => (length == 33, decode::<Actor>(value).is_ok()),
        (b'r', length) => (length > 18 && key[length - 17] == 0, decode::<UserId>(value).is_ok()),
        (b'R', length) => (length == 9, decode::<Vec<u8>>(value).is_ok()),
        (b'p', length) => (length == 17, decode::<ConversationId>(value).is_ok()),
        (b'c', length) => (length == 9, decode::<ConversationRow>(value).is_ok()),
        (b'l', length) => (length == 17, value.is_empty()),
        (b'd', length) => (length == 17, decode::<MessageRow>(value).is_ok()),
        (b'h', length) => (length == 25, value.is_empty()),
        (b'e', length) => (length == 17, decode::<EventRow>(value).is_ok()),
        (b't', length) => (length == 25, decode::<TxnRow>(value).is_ok()),
        (b'x', length) => (length == 9, decode::<Erasure>(value).is_ok()),
        (b'y', length) => (length == 1, decode::<Pruning>(value).is_ok()),
        _ => return Err(Wrong::Why("is of no kind that there is")),
    };
    match (length_is_right, value_is_right) {
        (true, true) => Ok(()),
        (false, _) => Err(Wrong::Why("has a key of the wrong length")),
        (true, false) => Err(Wrong::Why("does not hold what rows of its kind hold")),
    }
}

/// What a row is about is there.
fn belongs(rows: &dyn Read, key: &[u8], value: &[u8]) -> Result<(), Wrong> {
    let has = |key: Vec<u8>| Ok::<bool, Fault>(rows.get(&key)?.is_some());
    let account = || UserId(number_at(key, 1));
    let is_there = match key[0] {
        b'n' => has(user_key(decode(value)?))?,
        b's' => {
            let session: SessionRow = decode(value)?;
            has(user_key(account()))? && has(token_key(&session.token_hash))?
        }
        b'k' => {
            let Actor { user, session } = decode(value)?;
            has(session_key(user, session))?
        }
        b'e' | b't' => has(user_key(account()))?,
        b'l' | b'h' => {
            let conv = ConversationId(number_at(key, 9));
            has(user_key(account()))? && has(conversation_key(conv))?
        }
        _ => true,
    };
    if is_there { Ok(()) } else { Err(Wrong::Why("is about something that is not there")) }
}

/// The messages seen so far: conversations come before all messages, and those in order.
#[derive(Default)]
struct Messages {
    /// The conversation being read, its last message seen, and the last one it should have.
    reading: Option<(ConversationId, Seq, Option<Seq>)>,
}

impl Messages {
    fn see(&mut self, rows: &dyn Read, key: &[u8], all_erased: bool) -> Result<(), Wrong> {
        if key[0] == b'c' {
            // Its first message is there, unless it is nobody's and being erased.
            let conversation = ConversationId(number_at(key, 1));
            let first = message_key(conversation, Seq(1));
            return match !all_erased || rows.get(&first)?.is_some() {
                true => Ok(()),
                false => Err(Wrong::Why("is a conversation without its first message")),
            };
        }
        if key[0] != b'd' {
            return self.end();
        }
        let (conv, seq) = (ConversationId(number_at(key, 1)), Seq(number_at(key, 9)));
        match &mut self.reading {
            Some((reading, last, _)) if *reading == conv => {
                if seq.0 != last.0 + 1 {
                    return Err(Wrong::Why("is a message whose predecessor is missing"));
                }
                *last = seq;
            }
            _ => {
                self.end()?;
                let row: Option<ConversationRow> = row(rows, &conversation_key(conv))?;
                if row.is_none() && all_erased {
                    return Err(Wrong::Why("is a message of no conversation"));
                }
                self.reading = Some((conv, seq, row.map(|row| row.last_seq)));
            }
        }
        Ok(())
    }

    /// The conversation that was read ends here.
    fn end(&mut self) -> Result<(), Wrong> {
        match self.reading.take() {
            Some((_, last, Some(expected))) if last != expected => {
                Err(Wrong::Why("follows a conversation whose last messages are missing"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
