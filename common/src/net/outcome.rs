//! How a pipe answers its owner.
//!
//! Owns: the words for where a call stopped and why a connection is over. Driven by: `connection`
//! and `session`, which say them; the owner, who acts on them.

use std::io;

use super::tls::ChangedIdentity;

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// As they are.
    Plain,
    /// Encrypted.
    Tls,
}

/// Where a `read` stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadState {
    /// Nothing more is there: an edge will tell when there is.
    Drained,
    /// The budget is used up and more may be there: call again without waiting for an edge.
    More,
    /// Nothing more will come; lines that came before are still in `next_line`.
    Closed(CloseReason),
}

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The other side said that it sends no more.
    #[error("the other side closed the connection")]
    EndOfStream,
    /// A dial found nobody listening there. Told apart from every other failure, because between
    /// servers it proves a death.
    #[error("cannot connect: nobody listens there (connection refused)")]
    Refused,
    /// Something broke; the sentence says what.
    #[error("{0}")]
    Failed(String),
    /// The server has shown another identity than the pinned one.
    #[error(transparent)]
    ChangedIdentity(ChangedIdentity),
}

/// Where a `flush` stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushState {
    /// Everything is with the kernel.
    Done,
    /// An edge will tell when more can be written.
    Blocked,
}

impl CloseReason {
    pub(super) fn broken(error: &io::Error) -> CloseReason {
        CloseReason::Failed(format!("the connection broke: {error}"))
    }
}
