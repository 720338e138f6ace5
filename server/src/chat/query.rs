//! The read side: what the node asks of the rows, and how each question is answered.
//!
//! Owns: questions and answers. Driven by: the reader threads, each with a view of its own.
//! Invariants: an answer belongs to one moment, named by its applied index; a page never makes a
//! line longer than the protocol allows; what is deleted, or written by an account that is gone,
//! has no text. Does not: write, or know who is connected.

use holdfast_common::ids::{Cursor, SessionId, Txn, UserId};
use holdfast_common::protocol::{Conversations, ErrorCode, ErrorReply, History, Reply, Users};

use super::operation::{Actor, Operation, Success};
use super::schema::{meta, name_key, row};
use crate::entry::Index;
use crate::tables::{Fault, Read};

pub use generations::parting;
pub use retold::{Retold, retell};

mod accounts;
mod backlog;
mod generations;
mod messages;
mod retold;

/// Answers `query` from `rows`; with it goes the place (generation and applied index) of the view.
///
/// # Errors
/// [`Fault`] when the rows cannot be read.
pub fn answer(rows: &dyn Read, query: &Query) -> Result<(Answer, Cursor), Fault> {
    let meta = meta(rows)?;
    let at = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
    let answer = match query {
        Query::AccountByName(name) => {
            let user = row(rows, &name_key(name))?;
            Answer::Account(user.map(|user| accounts::account(rows, user)).transpose()?.flatten())
        }
        Query::AccountById(user) => Answer::Account(accounts::account(rows, *user)?),
        Query::Registration { name, txn } => {
            Answer::Registration(accounts::registration(rows, name, *txn)?)
        }
        Query::Token(hash) => Answer::Session(accounts::session(rows, hash)?),
        Query::Recipient { user, to, txn, digest } => {
            Answer::Recipient(accounts::recipient(rows, *user, to, *txn, *digest)?)
        }
        Query::OtherSessions(actor) => {
            let sessions = accounts::sessions(rows, actor.user)?.into_iter().map(|(id, _)| id);
            Answer::Sessions(sessions.filter(|id| *id != actor.session).collect())
        }
        Query::Sessions(actor) => {
            Answer::Reply(Reply::Sessions(accounts::sessions_reply(rows, *actor)?))
        }
        Query::Users(page) => Answer::Reply(Reply::Users(accounts::users(rows, page)?)),
        Query::Conversations(user, page) => messages::conversations(rows, *user, page, at)?,
        Query::History(user, page) => messages::history(rows, *user, page)?,
        Query::Backlog { user, after, bytes_max } => {
            backlog::backlog(rows, &meta, *user, *after, *bytes_max)?
        }
        Query::FollowUps => Answer::FollowUps(accounts::follow_ups(rows)?, meta.ran_ms),
    };
    Ok((answer, at))
}

/// A question to the rows.
#[derive(Debug, Clone)]
pub enum Query {
    /// The account of a name, for a sign-in or an administrator: [`Answer::Account`].
    AccountByName(String),
    /// The account itself, for verifying its password again: [`Answer::Account`].
    AccountById(UserId),
    /// Whether a name can be registered: [`Answer::Registration`].
    Registration {
        /// The name, in any case.
        name: String,
        /// The registration's txn.
        txn: Txn,
    },
    /// Whose token has this SHA-256: [`Answer::Session`].
    Token([u8; 32]),
    /// Who a message goes to, or what became of it already: [`Answer::Recipient`].
    Recipient {
        /// The author.
        user: UserId,
        /// The name written on it.
        to: String,
        /// The send's txn.
        txn: Txn,
        /// Its digest.
        digest: [u8; 16],
    },
    /// All sessions of the actor's account but its own: [`Answer::Sessions`].
    OtherSessions(Actor),
    /// `sessions`: [`Answer::Reply`].
    Sessions(Actor),
    /// `users`: [`Answer::Reply`].
    Users(Users),
    /// `conversations`: [`Answer::Reply`].
    Conversations(UserId, Conversations),
    /// `history`: [`Answer::Reply`] or [`Answer::Refused`].
    History(UserId, History),
    /// The next events of an account behind a cursor: [`Answer::Backlog`] or [`Answer::Refused`].
    Backlog {
        /// Whose.
        user: UserId,
        /// Behind which place.
        after: Cursor,
        /// About how many bytes of lines at most (one line more is allowed).
        bytes_max: usize,
    },
    /// What was left half done by a crash and must be proposed again: [`Answer::FollowUps`].
    FollowUps,
}

impl Query {
    /// Whether many rows may have to be read for it, and not just those of one thing.
    pub fn is_page(&self) -> bool {
        match self {
            Query::Users(_)
            | Query::Conversations(..)
            | Query::History(..)
            | Query::Backlog { .. }
            | Query::FollowUps => true,
            Query::AccountByName(_)
            | Query::AccountById(_)
            | Query::Registration { .. }
            | Query::Token(_)
            | Query::Recipient { .. }
            | Query::OtherSessions(_)
            | Query::Sessions(_) => false,
        }
    }
}

/// The answer to a [`Query`].
#[derive(Debug, Clone)]
pub enum Answer {
    /// The account, if there is one.
    Account(Option<Account>),
    /// What stands under a name.
    Registration(Registration),
    /// The live session of a token, if there is one.
    Session(Option<LiveSession>),
    /// Where a message goes.
    Recipient(RecipientAnswer),
    /// Sessions.
    Sessions(Vec<SessionId>),
    /// The request's own reply.
    Reply(Reply),
    /// The request is refused.
    Refused(ErrorReply),
    /// A page of an account's events.
    Backlog {
        /// Each event's index and its whole line, in order.
        lines: Vec<(Index, Vec<u8>)>,
        /// Every event up to here is in this page or an earlier one.
        upto: Cursor,
        /// Whether there are more between `upto` and the view's applied index.
        more: bool,
    },
    /// Operations to propose, and for how many milliseconds servers ran since the last day mark.
    FollowUps(Vec<Operation>, u64),
}

/// An account, for verifying its password.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id.
    pub user: UserId,
    /// Its name as registered.
    pub name: String,
    /// bcrypt hash.
    pub password_hash: String,
    /// Counts the password's changes.
    pub revision: u64,
}

/// What stands under a name that somebody wants to register.
#[derive(Debug, Clone)]
pub enum Registration {
    /// Nothing: the name is free and the txn unused under it.
    Free,
    /// An account made under this very txn: a repeat, if the password verifies.
    SameTxn(Account),
    /// An account made under another txn.
    Taken,
    /// The txn was used under this name by an account that is gone.
    TxnSpent,
}

/// A live session.
#[derive(Debug, Clone)]
pub struct LiveSession {
    /// The account and its session.
    pub actor: Actor,
    /// The account's name as registered.
    pub name: String,
}

/// Where a message goes.
#[derive(Debug, Clone)]
pub enum RecipientAnswer {
    /// To this account.
    User(UserId),
    /// The txn was answered before, with this.
    Answered(Success),
    /// It cannot go: `no_such_user`, or `txn_conflict`.
    Refused(ErrorCode),
}
