//! Every row of the chat state: its key, its value, and who reads it.
//!
//! ```text
//! m                        Meta                where the rows stand
//! g generation             first index         which generation an index belongs to
//! u user                   UserRow             an account
//! n folded name            UserId              the account of a name
//! s user session           SessionRow          a signed-in device
//! k token hash             Actor               the session of a token
//! r folded name 0 txn      UserId              a registration's txn, kept beyond deletion
//! R index                  key of that row     so that it can be pruned
//! p smaller user, larger   ConversationId      the conversation of two accounts
//! c conversation           ConversationRow     members, marks, last number
//! l user conversation      ()                  the conversations of an account
//! d conversation seq       MessageRow          a message
//! h user conversation seq  ()                  deleted for that account only
//! e user index             EventRow            what an account must be told, without texts
//! t user txn               TxnRow              what a txn was answered with
//! D mark                   index               the entry of a day mark
//! x user                   Erasure             an account being erased
//! y                        Pruning             events and txns being pruned
//! ```
//!
//! Numbers in keys are big-endian, so that their order is the rows' order; values are postcard.
//! Owns: these shapes. Driven by: `apply` (writes), `query` (reads). Invariant: a message costs its
//! own row, its conversation's, one event row a member and its txn's; what can be counted or sorted
//! when asked is not stored. Does not: read or write.

use holdfast_common::ids::{ConversationId, Seq, SessionId, Txn, UserId};
use holdfast_common::protocol::{Scope, fold_name};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::operation::Success;
use crate::entry::{Ballot, Index, View};
use crate::tables::{Fault, Read};

/// Where the rows stand; written with each batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// The last applied entry's index.
    pub applied: Index,
    /// And its ballot.
    pub ballot: Ballot,
    /// The newest view at or before it.
    pub view: Option<View>,
    /// Running hash over every entry, its outcome and the rows that it wrote.
    pub chain: [u8; 32],
    /// The next account's id.
    pub next_user: u64,
    /// The next conversation's id.
    pub next_conversation: u64,
    /// Day marks so far.
    pub marks: u64,
    /// Events below this index are gone, or going.
    pub floor: Index,
    /// How long a server ran since the last day mark was applied, milliseconds, when the rows were
    /// last made durable. This server's own: no state, and in no hash.
    pub ran_ms: u64,
}

impl Meta {
    /// Of an empty store.
    pub const EMPTY: Meta = Meta {
        applied: Index(0),
        ballot: Ballot::NONE,
        view: None,
        chain: [0; 32],
        next_user: 1,
        next_conversation: 1,
        marks: 0,
        floor: Index(0),
        ran_ms: 0,
    };
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct UserRow {
    pub(super) name: String,
    pub(super) password_hash: String,
    pub(super) revision: u64,
}

/// A signed-in device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SessionRow {
    pub(super) token_hash: [u8; 32],
    pub(super) device: String,
    pub(super) created_ms: u64,
    /// The entry that made it: the order of sessions.
    pub(super) index: Index,
    /// The registration that made it: a repeat of that replaces this session.
    pub(super) registered: Option<Txn>,
}

/// One member's place in a conversation.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Marks {
    pub(super) read: Seq,
    pub(super) delivered: Seq,
}

/// A conversation of two accounts, which may be the same one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ConversationRow {
    pub(super) members: [UserId; 2],
    pub(super) marks: [Marks; 2],
    pub(super) last_seq: Seq,
    /// The entry of the newest message: the order of conversations.
    pub(super) active: Index,
}

impl ConversationRow {
    /// The place of `user` among the members.
    pub(super) fn place(&self, user: UserId) -> Option<usize> {
        self.members.iter().position(|member| *member == user)
    }

    /// The other member; oneself in a conversation with oneself.
    pub(super) fn peer(&self, place: usize) -> UserId {
        self.members[1 - place]
    }
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MessageRow {
    pub(super) from: UserId,
    pub(super) deleted: bool,
    pub(super) ts_ms: u64,
    pub(super) edited_ms: Option<u64>,
    pub(super) text: String,
}

/// The beginning of a [`MessageRow`]: enough to count it.
#[derive(Debug, Deserialize)]
pub(super) struct MessageHead {
    pub(super) from: UserId,
    pub(super) deleted: bool,
}

/// What an account must be told. Texts and names are looked up when it is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EventRow {
    pub(super) what: EventKind,
    /// In the author's own row: the txn that goes when this row goes. Of a sign-in, the session's
    /// id.
    pub(super) txn: Option<Txn>,
}

/// Which event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum EventKind {
    Msg {
        conv: ConversationId,
        seq: Seq,
    },
    Read {
        conv: ConversationId,
        user: UserId,
        upto: Seq,
    },
    Delivered {
        conv: ConversationId,
        user: UserId,
        upto: Seq,
    },
    Edited {
        conv: ConversationId,
        seq: Seq,
        ts_ms: u64,
    },
    Deleted {
        conv: ConversationId,
        seq: Seq,
        scope: Scope,
    },
    Gone {
        conv: ConversationId,
    },
    /// Nothing is told: the row is there for its txn.
    Nothing,
}

/// What a txn was answered with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TxnRow {
    /// Of the request's content.
    pub(super) digest: [u8; 16],
    pub(super) answer: TxnAnswer,
}

/// The part of a [`Success`] that a txn can have.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum TxnAnswer {
    Plain,
    Sent { conv: ConversationId, seq: Seq, ts_ms: u64 },
    Edited { ts_ms: u64 },
}

impl TxnAnswer {
    /// As the answer to a repeat.
    pub(super) fn repeated(self) -> Success {
        match self {
            TxnAnswer::Plain => Success::Plain,
            TxnAnswer::Sent { conv, seq, ts_ms } => Success::Sent { conv, seq, ts_ms, dup: true },
            TxnAnswer::Edited { ts_ms } => Success::Edited { ts_ms },
        }
    }
}

/// How far the erasing of a deleted account has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Erasure {
    /// The others are told; conversations up to this one are done.
    Telling(ConversationId),
    /// Its texts go; messages up to this one are done.
    Texts(ConversationId, Seq),
    /// Its own rows go.
    Rows,
}

/// How far the pruning of old events has come: up to this key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pruning {
    pub(super) done: Vec<u8>,
}

pub(super) const META: &[u8] = b"m";
pub(super) const PRUNING: &[u8] = b"y";

/// A key out of parts.
fn key(prefix: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(prefix);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

macro_rules! keys {
    ($( $name:ident($($arg:ident: $ty:ty => $bytes:expr),*) = $prefix:literal; )*) => { $(
        pub(super) fn $name($($arg: $ty),*) -> Vec<u8> {
            key($prefix, &[$($bytes.as_ref()),*])
        }
    )* };
}

keys! {
    generation_key(generation: u64 => generation.to_be_bytes()) = b'g';
    user_key(user: UserId => user.0.to_be_bytes()) = b'u';
    name_key(name: &str => fold_name(name).as_bytes()) = b'n';
    sessions_of(user: UserId => user.0.to_be_bytes()) = b's';
    session_key(user: UserId => user.0.to_be_bytes(), session: SessionId => session.0) = b's';
    token_key(hash: &[u8; 32] => hash) = b'k';
    registration_key(
        name: &str => fold_name(name).as_bytes(),
        zero: [u8; 1] => zero,
        txn: Txn => txn.0
    )
        = b'r';
    registration_indexes() = b'R';
    registration_index_key(index: Index => index.0.to_be_bytes()) = b'R';
    conversation_key(conv: ConversationId => conv.0.to_be_bytes()) = b'c';
    member_of(user: UserId => user.0.to_be_bytes()) = b'l';
    member_key(user: UserId => user.0.to_be_bytes(), conv: ConversationId => conv.0.to_be_bytes())
        = b'l';
    message_key(
        conv: ConversationId => conv.0.to_be_bytes(),
        seq: Seq => seq.0.to_be_bytes()
    ) = b'd';
    hidden_of(user: UserId => user.0.to_be_bytes()) = b'h';
    hidden_key(
        user: UserId => user.0.to_be_bytes(),
        conv: ConversationId => conv.0.to_be_bytes(),
        seq: Seq => seq.0.to_be_bytes()
    ) = b'h';
    events() = b'e';
    events_of(user: UserId => user.0.to_be_bytes()) = b'e';
    event_key(user: UserId => user.0.to_be_bytes(), index: Index => index.0.to_be_bytes()) = b'e';
    txns_of(user: UserId => user.0.to_be_bytes()) = b't';
    txn_key(user: UserId => user.0.to_be_bytes(), txn: Txn => txn.0) = b't';
    mark_key(mark: u64 => mark.to_be_bytes()) = b'D';
    erasure_key(user: UserId => user.0.to_be_bytes()) = b'x';
}

/// The conversation of two accounts, in whichever order they are given.
pub(super) fn pair_key(one: UserId, other: UserId) -> Vec<u8> {
    let (small, large) = (one.min(other), one.max(other));
    key(b'p', &[&small.0.to_be_bytes(), &large.0.to_be_bytes()])
}

/// The first key behind every key that begins with `prefix`.
pub(super) fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// The number in the eight bytes of a key from `at` on.
pub(super) fn number_at(key: &[u8], at: usize) -> u64 {
    let bytes = key[at..at + 8].try_into().expect("eight bytes");
    u64::from_be_bytes(bytes)
}

/// A value as bytes.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("writing to memory cannot fail")
}

/// A value out of bytes.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    postcard::from_bytes(bytes)
        .map_err(|error| Fault { doing: "read a row", source: Box::new(error) })
}

/// The row under `key`.
pub(super) fn row<T: DeserializeOwned>(
    rows: &(impl Read + ?Sized),
    key: &[u8],
) -> Result<Option<T>, Fault> {
    rows.get(key)?.map(|bytes| decode(&bytes)).transpose()
}

/// Where the rows stand.
///
/// # Errors
/// [`Fault`] when the rows cannot be read.
pub fn meta(rows: &(impl Read + ?Sized)) -> Result<Meta, Fault> {
    Ok(row(rows, META)?.unwrap_or(Meta::EMPTY))
}
