//! One batch as bytes.
//!
//! ```text
//! length u32 | checksum u32 | batch u64 | promise | commit u64 | cut u64 | first u64 | count u32
//! then entries: ballot | kind u8 | length u32 | bytes
//! a ballot: generation u64 | round u64 | server u8
//! ```
//!
//! All numbers are little-endian; `length` counts what follows the checksum. The checksum covers
//! length and content and begins from the segment's salt, so neither a frame of another segment nor
//! a text that looks like a frame can pass for one here. A frame is padded with zeros to 8 bytes,
//! so that looking for frames behind a damaged place can go in steps of 8.

use std::sync::Arc;

use holdfast_common::ids::ServerId;

use super::Batch;
use crate::entry::{Ballot, Entry, HardState, Index, Payload};

/// Length and checksum.
pub(super) const HEAD_BYTES: usize = 8;
/// Frames begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// The fixed part behind the head: batch, hard state, cut, first, count.
const FIXED_BYTES: usize = 8 + BALLOT_BYTES + 8 + 8 + 8 + 4;
const BALLOT_BYTES: usize = 17;
/// Stands for "nothing is cut".
const NO_CUT: u64 = u64::MAX;

/// A frame read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) batch: u64,
    pub(super) content: Batch,
}

/// Appends the frame of `batch` under number `number` to `out`.
pub(super) fn encode(batch: &Batch, number: u64, salt: u32, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD_BYTES]);
    out.extend_from_slice(&number.to_le_bytes());
    put_ballot(out, batch.hard_state.promise);
    out.extend_from_slice(&batch.hard_state.commit.0.to_le_bytes());
    out.extend_from_slice(&batch.cut_after.map_or(NO_CUT, |cut| cut.0).to_le_bytes());
    let first = batch.entries.first().map_or(0, |entry| entry.index.0);
    out.extend_from_slice(&first.to_le_bytes());
    let count = u32::try_from(batch.entries.len()).expect("a batch is bounded by its bytes");
    out.extend_from_slice(&count.to_le_bytes());
    for entry in &batch.entries {
        put_entry(out, entry);
    }
    let length = out.len() - start - HEAD_BYTES;
    let length = u32::try_from(length).expect("a batch is at most 64 MiB").to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    let checksum = checksum(salt, &out[start..]);
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&checksum.to_le_bytes());
    out.resize(start + (out.len() - start).next_multiple_of(ALIGNMENT), 0);
}

fn put_ballot(out: &mut Vec<u8>, ballot: Ballot) {
    out.extend_from_slice(&ballot.generation.to_le_bytes());
    out.extend_from_slice(&ballot.round.to_le_bytes());
    out.push(ballot.server.0);
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    put_ballot(out, entry.ballot);
    let view;
    let (kind, bytes): (u8, &[u8]) = match &entry.payload {
        Payload::Nothing => (0, &[]),
        Payload::View(members) => {
            view = postcard::to_stdvec(members).expect("writing to memory cannot fail");
            (1, &view)
        }
        Payload::Operation(bytes) => (2, bytes),
    };
    out.push(kind);
    let length = u32::try_from(bytes.len()).expect("an entry is at most some 64 KiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Over a frame's length and content, its checksum's own place left out.
fn checksum(salt: u32, frame: &[u8]) -> u32 {
    let head = crc32c::crc32c_append(salt, &frame[..4]);
    crc32c::crc32c_append(head, &frame[HEAD_BYTES..])
}

/// How many bytes the frame at the start of `bytes` takes, padding included, if its length,
/// checksum and batch number are right; its entries are not looked at.
pub(super) fn check(bytes: &[u8], salt: u32) -> Option<(u64, usize)> {
    let length = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    if length < FIXED_BYTES {
        return None;
    }
    let frame = bytes.get(..HEAD_BYTES + length)?;
    let expected = u32::from_le_bytes(frame[4..HEAD_BYTES].try_into().ok()?);
    if checksum(salt, frame) != expected {
        return None;
    }
    let number = u64::from_le_bytes(frame[HEAD_BYTES..HEAD_BYTES + 8].try_into().ok()?);
    Some((number, frame.len().next_multiple_of(ALIGNMENT)))
}

/// The frame at the start of `bytes`, which [`check`] has passed; nothing if its content is not
/// what [`encode`] writes, which a right checksum makes as good as impossible.
pub(super) fn decode(bytes: &[u8]) -> Option<Frame> {
    let mut reader = Reader(bytes);
    let length = reader.u32()? as usize;
    reader.u32()?;
    let mut reader = Reader(reader.0.get(..length)?);
    let batch = reader.u64()?;
    let promise = reader.ballot()?;
    let commit = Index(reader.u64()?);
    let cut = reader.u64()?;
    let first = reader.u64()?;
    let count = reader.u32()?;
    let mut entries = Vec::new();
    for place in 0..u64::from(count) {
        entries.push(reader.entry(Index(first.checked_add(place)?))?);
    }
    let content = Batch {
        hard_state: HardState { promise, commit },
        cut_after: (cut != NO_CUT).then_some(Index(cut)),
        entries,
    };
    reader.0.is_empty().then_some(Frame { batch, content })
}

/// Takes numbers off the front of bytes; nothing when they end too early.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub(super) fn ballot(&mut self) -> Option<Ballot> {
        let (generation, round) = (self.u64()?, self.u64()?);
        Some(Ballot { generation, round, server: ServerId(self.bytes(1)?[0]) })
    }

    fn entry(&mut self, index: Index) -> Option<Entry> {
        let ballot = self.ballot()?;
        let kind = self.bytes(1)?[0];
        let length = self.u32()? as usize;
        let bytes = self.bytes(length)?;
        let payload = match kind {
            0 => Payload::Nothing,
            1 => Payload::View(postcard::from_bytes(bytes).ok()?),
            2 => Payload::Operation(Arc::from(bytes)),
            _ => return None,
        };
        Some(Entry { index, ballot, payload })
    }
}

pub(super) fn put_hard_state(out: &mut Vec<u8>, hard_state: HardState) {
    put_ballot(out, hard_state.promise);
    out.extend_from_slice(&hard_state.commit.0.to_le_bytes());
}

pub(super) fn put_place(out: &mut Vec<u8>, (index, ballot): (Index, Ballot)) {
    out.extend_from_slice(&index.0.to_le_bytes());
    put_ballot(out, ballot);
}
