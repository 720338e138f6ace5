//! `cargo figures`: every figure that the project promises, measured against the built server
//! beside this machine's own floors. Exits with 1 when one is missed.
//!
//! `cargo figures -- NAME…` measures only those whose name contains one of the words.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures: it reads clocks, opens sockets and prints"
)]

#[expect(dead_code, reason = "the tests of processes use more of it")]
#[path = "../../tests/support/cluster.rs"]
mod cluster;
mod failover;
mod floor;
#[expect(dead_code, reason = "the tests of processes use more of it")]
#[path = "../../tests/support/line.rs"]
mod line;
mod measures;
mod million;
mod parts;
#[expect(dead_code, reason = "the tests of processes use more of it")]
#[path = "../../tests/support/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "the tests of processes use more of it")]
#[path = "../../tests/support/server.rs"]
mod server;
mod swarm;

use std::process::ExitCode;
use std::time::Duration;

/// Durations, and where they lie.
pub(crate) struct Histogram(hdrhistogram::Histogram<u64>);

impl Default for Histogram {
    fn default() -> Histogram {
        let bounds = hdrhistogram::Histogram::new_with_bounds(1, 600_000_000_000, 3);
        Histogram(bounds.expect("valid bounds"))
    }
}

impl Histogram {
    /// Takes a duration.
    pub(crate) fn add(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The duration below which `share` (0 to 1) of them lie.
    pub(crate) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.0.value_at_quantile(share))
    }

    /// The middle one.
    pub(crate) fn median(&self) -> Duration {
        self.at(0.5)
    }
}

/// One promise, and what was measured.
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) name: &'static str,
    /// What came out, with its unit.
    pub(crate) measured: String,
    /// What was promised.
    pub(crate) promised: String,
    /// Whether it was kept.
    pub(crate) kept: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let figures = measures::all(&words);
    println!();
    for figure in &figures {
        let verdict = if figure.kept { "kept  " } else { "MISSED" };
        println!("{verdict} {}: {} (promised: {})", figure.name, figure.measured, figure.promised);
    }
    let missed = figures.iter().filter(|figure| !figure.kept).count();
    println!("{} passed, {missed} failed", figures.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
