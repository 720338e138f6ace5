//! One machine's clocks, which drift, jump and stand still on their own.
//!
//! Owns: how far they are from the simulation's time. Driven by: the world. Invariants: the
//! monotonic clock never goes back; the one that runs through suspend is never behind it. Does not:
//! move; time is an argument.

use std::time::{Duration, Instant};

use holdfast_server::node::effect::Now;

use super::Us;

/// The wall clock at the beginning: 2026-11-23.
const WALL_MS: u64 = 1_795_420_800_000;
const MILLION: u64 = 1_000_000;

/// See the module's page.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    /// What the monotonic clock of every machine shows at time 0.
    base: Instant,
    /// Microseconds that it counts in a million.
    rate: u64,
    /// The clock that runs through suspend began so much earlier.
    boot_us: Us,
    /// How much of its own time the machine was suspended, before the last time.
    slept_us: Us,
    /// From when to when it was suspended last, or is.
    sleeps: (Us, Us),
    wall_ahead_ms: u64,
}

impl Clock {
    pub(crate) fn new(base: Instant, rate: u64, boot_us: Us) -> Clock {
        Clock { base, rate, boot_us, slept_us: 0, sleeps: (0, 0), wall_ahead_ms: 0 }
    }

    pub(crate) fn now(&self, at: Us) -> Now {
        let own = self.own(at);
        Now {
            instant: self.base + Duration::from_micros(own - self.slept(at)),
            boot_us: self.boot_us + own,
            wall_ms: WALL_MS + self.wall_ahead_ms + own / 1_000,
        }
    }

    fn slept(&self, at: Us) -> Us {
        let (from, until) = self.sleeps;
        self.slept_us + (self.own(at.clamp(from, until)) - self.own(from))
    }

    fn own(&self, at: Us) -> Us {
        at / MILLION * self.rate + at % MILLION * self.rate / MILLION
    }

    /// When the monotonic clock will show `instant`, if the machine does not sleep from `now` on.
    pub(crate) fn when(&self, instant: Instant, now: Us) -> Us {
        let since = instant.saturating_duration_since(self.base);
        let own = u64::try_from(since.as_micros()).unwrap() + self.slept(now);
        own / self.rate * MILLION + own % self.rate * MILLION / self.rate + 2
    }

    /// The machine sleeps: the monotonic clock does not count it.
    pub(crate) fn sleep(&mut self, from: Us, until: Us) {
        if from >= self.sleeps.1 {
            self.slept_us = self.slept(from);
            self.sleeps = (from, until);
        }
    }

    /// The machine wakes before its time.
    pub(crate) fn wake(&mut self, at: Us) {
        self.sleeps.1 = self.sleeps.1.min(at.max(self.sleeps.0));
    }

    /// When the machine is awake.
    pub(crate) fn awake_at(&self) -> Us {
        self.sleeps.1
    }

    /// Somebody sets the wall clock so far ahead of the true time.
    pub(crate) fn set_wall(&mut self, ahead_ms: u64) {
        self.wall_ahead_ms = ahead_ms;
    }
}
