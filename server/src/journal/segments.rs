//! The files of the journal: names, headers, and how one is made ready.
//!
//! A segment is one file of fixed size, zeros written ahead and synced, so that the sync of a batch
//! touches no metadata. Its header, one sector, restates everything that older segments said and
//! that still matters, so that they can be removed.

use super::frame::{Reader, put_hard_state, put_place};
use crate::entry::{Ballot, HardState, Index};

/// The header's place: one sector, so that it is never torn.
pub(super) const HEADER_BYTES: usize = 512;
const MAGIC: &[u8; 8] = b"HFJOURN1";
/// The file that will be the next segment.
pub(super) const SPARE: &str = "spare";

/// What a segment says of itself and of the journal before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Counted up, never used again.
    pub(super) number: u64,
    /// The file's size in bytes.
    pub(super) size: u64,
    /// Where the checksums of this segment's frames begin from: random, so that no text that a
    /// person sends can be made to look like a frame.
    pub(super) salt: u32,
    /// The number of the first batch in it.
    pub(super) batch: u64,
    /// The last entry before it.
    pub(super) base: (Index, Ballot),
    /// The hard state before it.
    pub(super) hard_state: HardState,
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.size.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.batch.to_le_bytes());
        put_place(&mut out, self.base);
        put_hard_state(&mut out, self.hard_state);
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out.resize(HEADER_BYTES, 0);
        out
    }

    /// The header of a file's first sector, if it is one and undamaged, zeros to its end included.
    pub(super) fn decode(sector: &[u8]) -> Option<Header> {
        let sector = sector.get(..HEADER_BYTES)?;
        let mut reader = Reader(sector);
        if reader.bytes(MAGIC.len())? != MAGIC {
            return None;
        }
        let header = Header {
            number: reader.u64()?,
            size: reader.u64()?,
            salt: reader.u32()?,
            batch: reader.u64()?,
            base: (Index(reader.u64()?), reader.ballot()?),
            hard_state: HardState { promise: reader.ballot()?, commit: Index(reader.u64()?) },
        };
        (sector == header.encode()).then_some(header)
    }
}

/// The file of segment `number`.
pub(super) fn name(number: u64) -> String {
    format!("{number:016x}.segment")
}

/// The number in a segment's file name.
pub(super) fn number(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_suffix(".segment")?, 16).ok()
}
