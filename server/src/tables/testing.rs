//! What the tests of tables and chat share: seeded randomness, and a runner for the fuzz functions.
#![expect(clippy::disallowed_methods, reason = "tests run for a time, longer by a variable")]

use std::time::{Duration, Instant};

/// One step of splitmix64: a small generator whose every seed is good.
pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Says which seed failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed with FUZZ_SEED={}", self.0);
        }
    }
}

/// Calls `run` with one seed after another, for a second or for `FUZZ_SECONDS`, or with
/// `FUZZ_SEED`.
pub(crate) fn fuzz(mut run: impl FnMut(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse().ok());
    if let Some(seed) = number("FUZZ_SEED") {
        return run(seed);
    }
    let until = Instant::now() + Duration::from_secs(number("FUZZ_SECONDS").unwrap_or(1));
    let mut seed = 0;
    while Instant::now() < until {
        let named = Seed(seed);
        run(seed);
        drop(named);
        seed += 1;
    }
    println!("{seed} seeds");
}
