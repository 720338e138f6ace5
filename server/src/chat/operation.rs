//! What is replicated: the chat operations as they stand in the log, and what applying one yields.
//!
//! Owns: these types and their encoding. Driven by: `node` (makes operations, reads outcomes) and
//! `chat::apply`. Invariants: an operation holds everything that is not deterministic (time, hash,
//! token, ids of sessions), so every server that applies it writes the same rows; no password and
//! no token is in one. Does not: do anything.

use std::sync::Arc;

use holdfast_common::ids::{ConversationId, Seq, SessionId, Txn, UserId};
use holdfast_common::protocol::{Durable, ErrorCode, Scope};
use serde::{Deserialize, Serialize};

use crate::entry::{Ballot, Index};

/// An operation with the primary's time on it: the payload of an entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamped {
    /// The primary's wall clock when it took the operation, milliseconds since the Unix epoch.
    pub ts_ms: u64,
    /// What to do.
    pub operation: Operation,
}

/// An entry's payload that is no operation of this version: a bug, or a server too old to read it.
#[derive(Debug, thiserror::Error)]
#[error("an operation in the log cannot be read")]
pub struct Undecodable(#[from] postcard::Error);

impl Stamped {
    /// The payload's bytes.
    pub fn encode(&self) -> Arc<[u8]> {
        let bytes = postcard::to_stdvec(self).expect("writing to memory cannot fail");
        Arc::from(bytes)
    }

    /// # Errors
    /// [`Undecodable`]
    pub fn decode(bytes: &[u8]) -> Result<Stamped, Undecodable> {
        Ok(postcard::from_bytes(bytes)?)
    }

    /// Whether this payload is [`Operation::Verify`]; nothing longer than that is read.
    pub fn is_verify(bytes: &[u8]) -> bool {
        // A number and the operation's kind.
        bytes.len() <= 16
            && Stamped::decode(bytes).is_ok_and(|stamped| stamped.operation == Operation::Verify)
    }
}

/// The session on whose behalf an operation is done; applying it checks that the session still
/// lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The account.
    pub user: UserId,
    /// One of its sessions.
    pub session: SessionId,
}

/// A session to be made. The accepting server draws id and token, so that a repeat is the same
/// session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// SHA-256 of its token; the token itself goes to the client and nowhere else.
    pub token_hash: [u8; 32],
    /// What the person calls the device.
    pub device: String,
}

/// Where a message goes, names already turned into ids by the accepting server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Recipient {
    /// To this account; the conversation is found or made.
    User(UserId),
    /// Into this conversation.
    Conversation(ConversationId),
}

/// The chat operations. New ones go to the end: the position is the encoding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// A new account with its first session (none when an administrator adds it).
    Register {
        /// The name as it will be shown.
        name: String,
        /// bcrypt hash of the password.
        password_hash: String,
        /// The session that the registering connection gets.
        session: Option<NewSession>,
        /// Kept under (folded name, txn), beyond deletion.
        txn: Txn,
    },
    /// A new session, the password having been verified against `revision`.
    SignIn {
        /// The account.
        user: UserId,
        /// The password's revision that was verified; another one now makes the outcome `Stale`.
        revision: u64,
        /// The new session.
        session: NewSession,
        /// For a repeated registration: the session made under this registration's txn ends.
        replaces: Option<Txn>,
    },
    /// Ends the actor's own session.
    Logout {
        /// Whose.
        actor: Actor,
    },
    /// Ends sessions of the actor's account.
    Revoke {
        /// Who asks.
        actor: Actor,
        /// Which; those that are gone already are passed over.
        sessions: Vec<SessionId>,
    },
    /// A new password; every session but the actor's ends.
    ChangePassword {
        /// Who asks.
        actor: Actor,
        /// The password's revision that was verified.
        revision: u64,
        /// bcrypt hash of the new password.
        password_hash: String,
    },
    /// The account and everything it wrote goes; `Erase` entries follow.
    DeleteAccount {
        /// Who asks.
        actor: Actor,
        /// The password's revision that was verified.
        revision: u64,
    },
    /// A message.
    Send {
        /// Its author.
        actor: Actor,
        /// Where to.
        to: Recipient,
        /// Its text.
        text: String,
        /// The client's txn.
        txn: Txn,
        /// Digest of what the client asked for (see [`send_digest`]): a repeat must have the same.
        digest: [u8; 16],
    },
    /// A read mark.
    Read {
        /// Whose.
        actor: Actor,
        /// Where.
        conv: ConversationId,
        /// Up to which message; beyond the last one counts as the last one.
        upto: Seq,
    },
    /// A delivery mark.
    Delivered {
        /// Whose.
        actor: Actor,
        /// Where.
        conv: ConversationId,
        /// Up to which message; beyond the last one counts as the last one.
        upto: Seq,
    },
    /// Another text for an own message.
    Edit {
        /// Its author.
        actor: Actor,
        /// Where.
        conv: ConversationId,
        /// Which.
        seq: Seq,
        /// The new text.
        text: String,
        /// The client's txn.
        txn: Txn,
    },
    /// A tombstone.
    Delete {
        /// Who asks.
        actor: Actor,
        /// Where.
        conv: ConversationId,
        /// Which.
        seq: Seq,
        /// For whom.
        scope: Scope,
        /// The client's txn.
        txn: Txn,
    },
    /// The next at most 1,000 rows of a deleted account.
    Erase {
        /// Which account.
        user: UserId,
    },
    /// 24 hours of running time have passed since the last one was applied.
    DayMark,
    /// The next at most 1,000 rows of events and txns older than 30 day marks.
    Prune,
    /// An administrator wants all rows hashed as they stand here or later. It changes nothing.
    Verify,
    /// An administrator sets a password; every session of the account ends.
    AdminResetPassword {
        /// Which account.
        user: UserId,
        /// bcrypt hash of the new password.
        password_hash: String,
    },
    /// An administrator deletes an account.
    AdminDeleteUser {
        /// Which account.
        user: UserId,
    },
}

/// What became of one operation; part of what all servers must agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// It was done.
    Done(Success),
    /// It was refused, and changed nothing.
    Refused(ErrorCode),
    /// What the accepting server had verified (password revision, free name) is no longer so: it
    /// prepares the request anew. Nothing was changed.
    Stale,
}

/// What an operation yielded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Success {
    /// Nothing to tell beyond that.
    Plain,
    /// A session was made (`Register`, `SignIn`).
    SignedIn {
        /// The account.
        user: UserId,
        /// Its name as registered.
        name: String,
    },
    /// A message has its place (`Send`).
    Sent {
        /// The conversation.
        conv: ConversationId,
        /// Its number there.
        seq: Seq,
        /// Its time.
        ts_ms: u64,
        /// The txn was answered before: this is that answer, nothing was changed.
        dup: bool,
    },
    /// A message has another text (`Edit`).
    Edited {
        /// The time of the edit.
        ts_ms: u64,
    },
}

/// Why sessions ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By `logout` itself: the connection is answered first, then it is an unsigned one again.
    LoggedOut,
    /// By `revoke`, a changed password, or a registration repeated.
    Revoked,
    /// The account was deleted.
    Deleted,
}

/// Which sessions of an account ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every one.
    All,
    /// Every one but this.
    AllBut(SessionId),
    /// These.
    These(Vec<SessionId>),
}

impl Ended {
    /// Whether `session` is over.
    pub fn contains(&self, session: SessionId) -> bool {
        match self {
            Ended::All => true,
            Ended::AllBut(kept) => *kept != session,
            Ended::These(ended) => ended.contains(&session),
        }
    }
}

/// What the rest of the server must be told after an entry was applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event for every signed-in connection of an account. At most one an account and entry, so
    /// the entry's index is the event's cursor.
    Event {
        /// For whom.
        user: UserId,
        /// What happened.
        event: Durable,
    },
    /// These sessions of an account are over.
    Ended {
        /// Whose.
        user: UserId,
        /// Which.
        sessions: Ended,
        /// Why.
        reason: Ending,
    },
    /// The primary proposes this next: work that one entry may not do all at once.
    FollowUp(Operation),
    /// A day mark was applied: the next one is due after 24 hours of running time.
    DayMarked,
    /// Texts were deleted: journal and tables must be rid of them within 24 hours.
    Erasable,
}

/// What applying one entry yielded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The entry's index.
    pub index: Index,
    /// The entry's ballot: its generation makes the cursor, with the index.
    pub ballot: Ballot,
    /// What became of it; nothing for an entry without an operation.
    pub outcome: Option<Outcome>,
    /// What others must be told.
    pub notices: Vec<Notice>,
    /// The running hash after it: equal on every server.
    pub chain: [u8; 32],
}

/// Digest of a `send` as the client asked for it. It is taken from the request and not from what
/// the server made of it, because names change hands: a repeat must be recognised although `to` now
/// means somebody else.
pub fn send_digest(to: &holdfast_common::protocol::Target, text: &str) -> [u8; 16] {
    use holdfast_common::protocol::{Target, fold_name};
    let to = match to {
        Target::User(name) => fold_name(name),
        // A name never has a slash.
        Target::Conversation(conv) => format!("/{conv}"),
    };
    digest(&[b"send", to.as_bytes(), text.as_bytes()])
}

/// Of a request's content, to recognise a repeat by.
pub(super) fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&context.finish().as_ref()[..16]);
    short
}
