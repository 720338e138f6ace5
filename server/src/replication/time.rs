//! Time as replication sees it: an argument, never a clock that is read.
//!
//! Owns: [`Moment`], [`Now`] and [`Stamp`]. Driven by: whoever calls the machine's doors.
//! Invariant: moments of different processes are never compared; a stamp that travels is compared
//! with moments of the process that made it only. Does not: read a clock.

use serde::{Deserialize, Serialize};

/// A moment on this process's own clock, in microseconds since an origin of its choice. The clock
/// never goes back and runs through suspend (`CLOCK_BOOTTIME` where there is one): a lease must run
/// out while a machine sleeps.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// So many milliseconds later.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Moment {
        Moment(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// So many microseconds later.
    #[must_use]
    pub const fn plus_us(self, us: u64) -> Moment {
        Moment(self.0.saturating_add(us))
    }

    /// Milliseconds that have passed since `earlier`; none when it is later.
    pub const fn ms_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000
    }
}

/// The moment of a turn on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// For durations.
    pub at: Moment,
    /// Milliseconds since the Unix epoch; may jump. It only ever stops a lease from being extended.
    pub wall_ms: u64,
}

/// A reading of a member's clocks that travels to the primary and comes back as a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// The member's moment.
    pub at: Moment,
    /// The member's wall clock.
    pub wall_ms: u64,
}

impl From<Now> for Stamp {
    fn from(now: Now) -> Stamp {
        Stamp { at: now.at, wall_ms: now.wall_ms }
    }
}
