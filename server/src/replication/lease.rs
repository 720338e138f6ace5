//! A lease: until when I know that nobody has removed me behind my back.
//!
//! Every message of a member to its primary carries a stamp of the member's clock. The primary
//! grants a stamp back once a round that it began after receiving it was answered by a majority of
//! each live view: so at the stamp's time no other primary led, and the primary promises to wait
//! `REMOVE_MS` from then before it removes the member without a proof of its death. A lease is
//! shorter than that wait by more than the clocks may drift apart. Two things rest on it: a
//! takeover (`takeover`), and a primary's word that it knows the newest (`doors`).
//!
//! A promise to wait that a process has given dies with it: it is on no disk. So whoever begins
//! without having heard a member waits as if it had promised (`views`).
//!
//! Owns: the lease's end. Driven by: `backup` with grants, `primary` with its own confirmed rounds.
//! Invariant: the end only grows. Does not: decide anything.

use super::time::{Moment, Now, Stamp};

/// Per cent of `REMOVE_MS` that a lease runs: clocks drift by less than 5 % each way, so even the
/// slowest member's lease ends before the fastest primary's wait.
const LEASE_PERCENT: u64 = 80;
/// When wall clock and monotonic clock disagree by more than this since the stamp, one of them has
/// jumped, or a machine slept without counting it: the stamp extends nothing.
const CLOCKS_APART_MS: u64 = 100;

/// See the module's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Lease {
    until: Moment,
}

impl Lease {
    /// Lets the lease run on from a stamp of the own clock that was granted.
    pub(super) fn extend(&mut self, stamp: Stamp, now: Now, remove_ms: u64) {
        let monotonic_ms = now.at.ms_since(stamp.at);
        let wall_ms = i128::from(now.wall_ms) - i128::from(stamp.wall_ms);
        let apart = (wall_ms - i128::from(monotonic_ms)).unsigned_abs();
        if stamp.at <= now.at && apart <= u128::from(CLOCKS_APART_MS) {
            let until = stamp.at.plus_us(remove_ms.saturating_mul(LEASE_PERCENT * 10));
            self.until = self.until.max(until);
        }
    }

    /// Whether it ran when this happened.
    pub(super) fn covers(&self, moment: Moment) -> bool {
        self.until > moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(ms: u64, wall_ms: u64) -> Now {
        Now { at: Moment::default().plus_ms(ms), wall_ms }
    }

    #[test]
    fn a_lease_runs_for_four_fifths_of_the_wait_from_its_stamp_and_never_shrinks() {
        let mut lease = Lease::default();
        lease.extend(now(1_000, 50_000).into(), now(1_010, 50_010), 1_000);
        lease.extend(now(900, 49_900).into(), now(1_010, 50_010), 1_000);
        assert!(lease.covers(now(1_799, 0).at));
        assert!(!lease.covers(now(1_800, 0).at));
    }

    #[test]
    fn a_stamp_over_which_a_clock_jumped_extends_nothing() {
        for wall_ms in [49_000, 50_200] {
            let mut lease = Lease::default();
            lease.extend(now(1_000, 50_000).into(), now(1_010, wall_ms), 1_000);
            assert!(!lease.covers(now(1_000, 0).at));
        }
    }
}
