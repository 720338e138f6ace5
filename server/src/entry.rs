//! The records that journal, tables and replication share, so that these three never need to meet.
//!
//! Owns: the shape of an entry and of what stands beside it on disk. Driven by: everybody above.
//! Invariant: these are plain values; an entry never changes once it has an index and a ballot.
//! Does not: know what an operation means (`chat`), nor when an entry counts (`replication`).

use std::fmt;
use std::sync::Arc;

use holdfast_common::ids::ServerId;
use serde::{Deserialize, Serialize};

/// Place of an entry in the log, from 1; 0 is the place before the first one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Index(pub u64);

impl Index {
    /// The place behind this one.
    pub const fn next(self) -> Index {
        Index(self.0 + 1)
    }

    /// The place before this one; the place before the first stays where it is.
    pub const fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a primary holds while it leads; at most one primary a ballot. Ordered by generation (how
/// many takeovers came before), then round, then server: replication.md, section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ballot {
    /// Counts takeovers and restores.
    pub generation: u64,
    /// Counts elections, over all generations.
    pub round: u64,
    /// Whose it is.
    pub server: ServerId,
}

impl Ballot {
    /// Below every ballot that anybody was ever given.
    pub const NONE: Ballot = Ballot { generation: 0, round: 0, server: ServerId(0) };
}

impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.generation, self.round, self.server)
    }
}

/// One life of a data folder: random, made when the folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StoreId(pub u64);

/// One life of one store in one process. A dead one never acts again: its next start is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation {
    /// The server's number.
    pub server: ServerId,
    /// Its data folder's life.
    pub store: StoreId,
    /// Counts starts on that store, durable before the first message leaves.
    pub life: u64,
}

/// The cluster's identity, minted with its first view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterId(pub [u8; 16]);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&holdfast_common::ids::hex(&self.0))
    }
}

/// Who must hold whatever follows this entry before it counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The cluster it belongs to, the same in every view.
    pub cluster: ClusterId,
    /// By server number; never empty.
    pub members: Vec<Incarnation>,
}

/// What an entry says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Payload {
    /// Nothing: a primary's first entry, when it has nothing else to say.
    Nothing,
    /// The view in force from here on.
    View(View),
    /// A chat operation, in `chat`'s encoding.
    Operation(Arc<[u8]>),
}

/// One record of the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stands.
    pub index: Index,
    /// Who put it there.
    pub ballot: Ballot,
    /// What it says.
    pub payload: Payload,
}

impl Entry {
    /// The view that it names, if it does.
    pub fn view(&self) -> Option<&View> {
        match &self.payload {
            Payload::View(view) => Some(view),
            Payload::Operation(_) | Payload::Nothing => None,
        }
    }

    /// What it counts against bounds of memory and of messages: its operation, and something for
    /// what stands around it.
    pub fn bytes(&self) -> usize {
        match &self.payload {
            Payload::Operation(bytes) => bytes.len() + 64,
            Payload::View(_) | Payload::Nothing => 64,
        }
    }
}

/// What a server must remember over a crash beside its log; it stands in every frame of the
/// journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HardState {
    /// The highest ballot promised: nothing below it is accepted. Never below the last entry's.
    pub promise: Ballot,
    /// Everything up to here is known to be committed.
    pub commit: Index,
}

impl HardState {
    /// Of a store that has promised and seen nothing.
    pub const NONE: HardState = HardState { promise: Ballot::NONE, commit: Index(0) };
}
