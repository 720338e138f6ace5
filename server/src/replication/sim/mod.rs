//! A world for the machine alone: servers with disks, clocks and links that fail, from one seed.
//!
//! Owns: nothing that ships. Driven by: the tests below it. Invariants: everything that happens
//! follows from seed and profile; a failure prints both, and a line a role change. Does not: run
//! the node, the journal or the tables; their own simulator does.

mod checker;
mod faults;
mod host;
mod network;
mod processes;
mod profiles;
mod stories;
mod world;

mod ablations;
mod runs;

pub(crate) use checker::{Checker, Violation};
pub(crate) use host::Disk;
pub(crate) use runs::number;

/// A small generator: everything that happens follows from its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// From `range.0` up to `range.1`.
    pub(crate) fn within(&mut self, range: (u64, u64)) -> u64 {
        range.0 + self.below(range.1.saturating_sub(range.0) + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap()
    }
}
