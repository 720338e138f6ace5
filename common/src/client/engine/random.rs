//! Random numbers from a seed.
//!
//! Owns: the seed and a counter. Invariant: the same seed gives the same numbers; whoever does not
//! have the seed cannot guess them, so a txn is as random as the 256 bits that the rim gave (the
//! simulator gives fewer, and gets a run that repeats).

use std::time::Duration;

use ring::digest;

use crate::ids::Txn;

#[derive(Debug)]
pub(super) struct Random {
    seed: [u8; 32],
    drawn: u64,
}

impl Random {
    pub(super) fn new(seed: [u8; 32]) -> Random {
        Random { seed, drawn: 0 }
    }

    fn draw<const N: usize>(&mut self) -> [u8; N] {
        self.drawn += 1;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.seed);
        context.update(&self.drawn.to_be_bytes());
        let hash = context.finish();
        let mut bytes = [0; N];
        bytes.copy_from_slice(&hash.as_ref()[..N]);
        bytes
    }

    pub(super) fn txn(&mut self) -> Txn {
        Txn(self.draw())
    }

    /// Between nothing and `longest`, in whole milliseconds.
    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(u64::from_be_bytes(self.draw()) % (longest_ms + 1))
    }
}
