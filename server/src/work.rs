//! The slow things: what the node hands to a thread, and what comes back.
//!
//! Owns: [`Job`], [`Done`] and the functions that turn one into the other, one worker for each kind
//! of resource. Driven by: `reactor::workers` on real threads; the simulator in line. Invariants: a
//! job holds everything it needs and a result everything it found, randomness included; on which
//! thread it ran cannot be seen. Does not: start threads, or decide what to do next.

use std::path::PathBuf;

use holdfast_common::ids::Cursor;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::chat::operation::Applied;
use crate::chat::query::{Answer, Query};
use crate::entry::{Ballot, Entry, Index};
use crate::replication::wire::Place;
use crate::replication::{Append, Purpose};
use crate::tables::Read;

mod hashing;
mod recovery;
mod storage;
mod streams;

pub use hashing::{Hasher, Randomness};
pub use recovery::{READ_BYTES, RecoverError, recover};
pub use storage::{JournalWorker, MaintenanceWorker, ReaderWorker, TablesWorker};
pub use streams::NextStore;

/// A store that cannot be written or read: the process ends, a restart is the repair.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The journal's.
    #[error(transparent)]
    Journal(#[from] crate::journal::Fault),
    /// The tables'.
    #[error(transparent)]
    Tables(#[from] crate::tables::Fault),
    /// The folder's, when a store is made in it.
    #[error("{0}")]
    Folder(String),
}

/// Ties a job's result to what it was for. Made by the node, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Random bytes that a hash job brings back: a session's id (16) and its token (32).
#[derive(Clone)]
pub struct Entropy(pub [u8; 48]);

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// Something slow, by the thread that does it.
#[derive(Debug)]
pub enum Job {
    /// On the journal thread.
    Journal(JournalJob),
    /// On the tables thread.
    Tables(TablesJob),
    /// On a reader thread.
    Reader(ReaderJob),
    /// On the maintenance thread; the queue is bounded by the node.
    Maintenance(MaintenanceJob),
    /// On a hash thread; the queue is bounded by the node.
    Hash(HashJob),
}

/// What the journal thread does.
#[derive(Debug)]
pub enum JournalJob {
    /// Write and sync what replication asks for: [`Done::Appended`].
    Append(Append),
    /// Read entries that are no longer in memory: [`Done::Read`].
    Read {
        /// The one before the first.
        after: Index,
        /// The last one, at most.
        upto: Index,
        /// For whom.
        purpose: Purpose,
    },
    /// Begin a new segment, so that everything so far can be dropped with the old ones: no answer.
    Roll,
    /// Drop segments that the tables have made durable: no answer.
    Release {
        /// Entries below this index are in the tables for good.
        below: Index,
        /// Drop them however few they are: deleted texts are in them.
        erase: bool,
    },
}

/// What the tables thread does.
#[derive(Debug)]
pub enum TablesJob {
    /// Apply committed entries: [`Done::Applied`].
    Apply(Vec<Entry>),
    /// Make everything applied durable: [`Done::Persisted`].
    Persist {
        /// How long this server ran since the last day mark, milliseconds: kept with the rows.
        ran_ms: u64,
    },
}

/// What a reader thread does: answers a question, with [`Done::Answered`].
#[derive(Debug)]
pub struct ReaderJob {
    /// What the answer is for.
    pub ticket: Ticket,
    /// The question.
    pub query: Query,
}

/// What the maintenance thread does, one after the other: whatever reads or writes all there is.
/// A copy and a compaction never overlap, or the files would keep what the copy's view still sees.
#[derive(Debug)]
pub enum MaintenanceJob {
    /// Write a consistent copy of everything to a new file: [`Done::BackedUp`].
    Backup(Ticket, PathBuf),
    /// Rid the tables' files of what was deleted, which takes seconds that no write may wait for:
    /// [`Done::Compacted`].
    Compact,
    /// Hash every row: [`Done::RowsHashed`].
    HashRows(Marked),
    /// Make the next part of this stream of all rows; the first one takes its view:
    /// [`Done::Exported`], and no answer behind the last part.
    Export(Ticket),
    /// The stream is over, whole or not: no answer.
    EndExport(Ticket),
    /// Take the next part of another server's stream; the first one begins it: [`Done::Received`].
    Receive(Ticket, Part),
    /// That stream will never be whole: no answer.
    Discard(Ticket),
    /// Put what was received whole in the store's place: [`Done::Installed`].
    Install {
        /// Where its rows stand.
        place: Place,
        /// The highest ballot that this server has promised anybody.
        promise: Ballot,
    },
}

/// A piece of a stream of all rows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// In the format of `tables::snapshot`.
    pub bytes: Vec<u8>,
    /// Nothing follows.
    pub is_last: bool,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({} bytes, last: {})", self.bytes.len(), self.is_last)
    }
}

/// What became of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is taken; more follows.
    Part,
    /// It was the last one, all is right and durable, and the rows stand here.
    Whole(Place),
    /// The same, but what this server has behind this index is no part of the sender's history.
    Other(Index),
}

/// What a hash thread does.
#[derive(Debug)]
pub enum HashJob {
    /// Hash a new password: [`Done::Hashed`].
    Hash(Ticket, Zeroizing<String>),
    /// Verify a password against a hash; without one (there is no such account) against a fixed
    /// hash of the same cost, so that the answer takes as long: [`Done::Verified`].
    Verify(Ticket, Zeroizing<String>, Option<String>),
}

impl HashJob {
    /// What the job's result is for.
    pub fn ticket(&self) -> Ticket {
        match self {
            HashJob::Hash(ticket, _) | HashJob::Verify(ticket, _, _) => *ticket,
        }
    }
}

/// What a job found.
#[derive(Debug)]
pub enum Done {
    /// The append of this number is durable.
    Appended(u64),
    /// Entries of the log and the place before the first; none when that is not there any more.
    Read(Purpose, Option<Place>, Vec<Entry>),
    /// The entries are applied, in order; and the rows as they were at the markers among them.
    Applied(Vec<Applied>, Vec<Marked>),
    /// Everything up to this index survives a loss of power without the journal.
    Persisted(Index),
    /// What was deleted before is gone from the tables' files.
    Compacted,
    /// The answer, and the place of the view that it was read from.
    Answered(Ticket, Answer, Cursor),
    /// The copy is made, or the sentence that says why not.
    BackedUp(Ticket, Result<BackedUp, String>),
    /// How many rows there were at a marker, and their hash.
    RowsHashed(RowsHash),
    /// A part of a stream, and where the rows in it stand.
    Exported(Ticket, Index, Part),
    /// What became of a part, or the sentence that says why the whole stream is refused.
    Received(Ticket, Result<Received, String>),
    /// The next life opens what was received.
    Installed,
    /// The hash of a new password.
    Hashed(Ticket, String, Entropy),
    /// Whether the password is the one.
    Verified(Ticket, bool, Entropy),
}

/// A copy that was made.
#[derive(Debug, Clone, Copy)]
pub struct BackedUp {
    /// The index that it stands at.
    pub index: Index,
    /// How many rows it holds.
    pub rows: u64,
    /// How large it is.
    pub bytes: u64,
}

/// The rows right behind a marker in the log, however many are written meanwhile.
pub struct Marked {
    /// The marker's index.
    pub index: Index,
    view: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Marked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Marked({})", self.index)
    }
}

/// All rows, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsHash {
    /// The index that they stand at.
    pub index: Index,
    /// How many there are.
    pub rows: u64,
    /// SHA-256 over all of them: equal on every server at the same index.
    pub hash: [u8; 32],
}
