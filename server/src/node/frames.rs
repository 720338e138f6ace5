//! What servers say to each other on a link, as frames.
//!
//! Owns: [`Frame`] and its encoding (postcard: compact, and typed on both sides). Driven by:
//! `links`, `forward`. Invariants: the first frame of a link, in either direction, is
//! [`Frame::Hello`]; what cannot be read ends the link. Does not: say how bytes travel.

use serde::{Deserialize, Serialize};

use crate::chat::operation::{Operation, Stamped};
use crate::entry::{Ballot, Entry, Index, Payload};
use crate::replication::wire::{Hello, Message};
use crate::work::{Part, RowsHash};

/// The version of these frames. Servers of different versions do not link.
pub(super) const WIRE: u32 = 3;

/// Bytes of a reason at most: longer ones are no sentence of ours.
const REASON_BYTES_MAX: usize = 1_000;
/// Settings that must be equal at most, and bytes of each.
const SHARED_MAX: usize = 64;
const SHARED_BYTES_MAX: usize = 200;
/// Bytes of a part at most: a snapshot's chunk is closed once it has 256 KiB, and a row has 64.
const PART_BYTES_MAX: usize = 1 << 20;

/// One frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Frame {
    /// Who speaks.
    Hello(Greeting),
    /// The other side's Hello is not accepted, for this reason; the link ends.
    Refused(String),
    /// Of the rules of replication.
    Replication(Message),
    /// To the primary: log this. The number is the sender's.
    Forward(u64, Operation),
    /// From the primary: what became of it.
    Forwarded(u64, Forwarded),
    /// From the primary: a part of all its rows, since the log does not reach back to what the
    /// receiver lacks.
    Snapshot {
        /// The sender's number of the stream.
        stream: u64,
        /// Which part of it, from 0.
        number: u64,
        /// The part.
        part: Part,
    },
    /// To the primary: so many parts of this stream are taken.
    SnapshotTaken {
        /// The receiver's number of the stream.
        stream: u64,
        /// How many.
        taken: u64,
    },
    /// To the primary: what has been acknowledged by now? The number is the sender's.
    Ask(u64),
    /// From the primary: everything up to here, and nothing beyond.
    News(u64, Index),
    /// From the primary: what is your running hash after this entry?
    AskChain(Index),
    /// To the primary: this; nothing when that is not known any more.
    Chain(Index, Option<[u8; 32]>),
    /// To everybody: all rows behind this marker, hashed; nothing when there is no view of them.
    Rows(Index, Option<RowsHash>),
    /// From the primary: what the receiver has after this entry is not what it should have.
    Differs(Index),
}

/// The first frame of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Greeting {
    /// The version of the frames behind it.
    pub(super) wire: u32,
    /// Settings that must be equal on all servers.
    pub(super) shared: Shared,
    /// What replication says.
    pub(super) hello: Hello,
}

/// Settings that must be equal on all servers, by the names of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared(pub Vec<(String, String)>);

impl Shared {
    /// The first key in which the other side differs, with both values.
    pub(super) fn difference(&self, other: &Shared) -> Option<String> {
        let differs = |(own, their): (&(String, String), &(String, String))| {
            (own != their)
                .then(|| format!("{}={} here, {}={} there", own.0, own.1, their.0, their.1))
        };
        match self.0.len() == other.0.len() {
            true => self.0.iter().zip(&other.0).find_map(differs),
            false => Some("settings of different versions".to_owned()),
        }
    }
}

/// What became of a forwarded operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Forwarded {
    /// It is in the log of this ballot, at this index; whether it stays shows when that is applied.
    Logged(Index, Ballot),
    /// Too much waits; nothing was done.
    Busy,
    /// The receiver is not the primary; nothing was done.
    NotPrimary,
}

impl Frame {
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).expect("writing to memory cannot fail")
    }

    /// Whether a correct server could say this; else what is wrong with it.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        match self {
            Frame::Hello(greeting) => greeting.check(),
            Frame::Refused(why) if why.len() > REASON_BYTES_MAX => Err("a reason without end"),
            Frame::Replication(message) => {
                message.check()?;
                match message {
                    Message::Append(append) => check_operations(&append.entries),
                    Message::Suffix(suffix) => check_operations(&suffix.entries),
                    Message::Answer(_)
                    | Message::Canvass(_)
                    | Message::Vote(_)
                    | Message::Opinion(_)
                    | Message::Pull(_)
                    | Message::History(_) => Ok(()),
                }
            }
            Frame::Snapshot { part, .. } if part.bytes.len() > PART_BYTES_MAX => {
                Err("a part of a snapshot beyond the limit")
            }
            Frame::Refused(_)
            | Frame::Forward(..)
            | Frame::Forwarded(..)
            | Frame::Snapshot { .. }
            | Frame::SnapshotTaken { .. }
            | Frame::Ask(_)
            | Frame::News(..)
            | Frame::AskChain(_)
            | Frame::Chain(..)
            | Frame::Rows(..)
            | Frame::Differs(_) => Ok(()),
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Frame, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

impl Greeting {
    fn check(&self) -> Result<(), &'static str> {
        let is_short =
            |(key, value): &(String, String)| key.len() + value.len() <= SHARED_BYTES_MAX;
        let is_sound = self.hello.is_sound()
            && self.shared.0.len() <= SHARED_MAX
            && self.shared.0.iter().all(is_short);
        if is_sound { Ok(()) } else { Err("its greeting cannot be a server's") }
    }
}

/// An operation that cannot be read would end every server that applies it, at each start again: it
/// must not get into a log.
fn check_operations(entries: &[Entry]) -> Result<(), &'static str> {
    let is_readable = |entry: &Entry| match &entry.payload {
        Payload::Operation(bytes) => Stamped::decode(bytes).is_ok(),
        Payload::View(_) | Payload::Nothing => true,
    };
    match entries.iter().all(is_readable) {
        true => Ok(()),
        false => Err("an operation that this version cannot read"),
    }
}
