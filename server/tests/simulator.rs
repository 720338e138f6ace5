//! Whole clusters of real servers and real clients under every fault: some seeds in each run of the
//! suite. `cargo sim` runs as many as one likes, and shows what happens in one.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test may panic, takes fresh seeds from the clock, and runs as long as it is told"
)]

#[expect(dead_code, reason = "the drivers of one server alone are another test's")]
mod sim;
mod simulation;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use simulation::many::{Sum, keep_panics, many, shrink};
use simulation::run::Run;

/// Seeds that every run plays: from this one on, so many of each size of a cluster.
const FIXED: (u64, u64) = (1, 6);
/// How long fresh seeds are played, in seconds; `SIM_SECONDS` changes it.
const SECONDS: u64 = 20;

fn run_of(servers: usize) -> Run {
    Run { seed: 0, servers, policy: "proof", keep: None, trace: false }
}

/// Fails with the seed, and with the fewest faults that it takes.
fn must_be_clean(like: &Run, sum: &Sum) {
    println!("n = {}, {}: {sum}", like.servers, like.policy);
    let Some((seed, violation)) = sum.failed.first() else { return };
    let run = Run { seed: *seed, ..like.clone() };
    let shortest = shrink(&run).map_or(run.clone(), |(shortest, _)| shortest);
    let plan: Vec<String> = shortest.plan().iter().map(|(_, one)| one.to_string()).collect();
    let (servers, policy) = (like.servers, like.policy);
    drop(std::panic::take_hook());
    panic!(
        "{violation}\n{}\ncargo sim --seed {seed} --servers {servers} --policy {policy}",
        plan.join("\n")
    );
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn whatever_fails_what_was_acknowledged_is_there_once_and_people_go_on() {
    keep_panics();
    let others = ["majority", "timeout"].map(|policy| Run { policy, ..run_of(3) });
    for like in [1, 3, 5].map(run_of).into_iter().chain(others) {
        let sum = many(&like, FIXED.0, FIXED.1, Duration::MAX, &|_| {});
        must_be_clean(&like, &sum);
    }
    let fresh = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() * 1_000;
    let at_most = Duration::from_secs(number("SIM_SECONDS").unwrap_or(SECONDS));
    let sum = many(&run_of(3), fresh, u64::MAX / 2, at_most, &|_| {});
    must_be_clean(&run_of(3), &sum);
}

#[test]
fn a_run_repeats_to_the_byte() {
    let run = Run { seed: 17, ..run_of(3) };
    assert_eq!(run.run(), run.run());
}
