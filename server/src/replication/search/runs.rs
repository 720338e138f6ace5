//! Searches that end: every order of events within a budget of faults.
//!
//! Owns: which budgets, and what is printed. Driven by: `cargo test`. In the suite the searches are
//! small; with `STATES` in the environment, which bounds them instead, the large ones are made too.

use super::super::sim::number;
use super::scenario::{Scenario, is_whole};
use super::state::Budget;
use super::{search, trace};

/// The bound that a test gives, or the caller's.
pub(crate) fn states_max(default: usize) -> usize {
    usize::try_from(number("STATES", default as u64)).expect("a number of states")
}

/// Searches all there is, and says how much that was.
fn close(scenario: &Scenario) {
    assert!(is_whole(&scenario.beginning()), "a search begins with all in sync");
    let outcome = search(scenario, states_max(1_000_000));
    println!(
        "{}: {} states, {} steps, depth {}, {} beyond, closed: {}",
        scenario.name,
        outcome.states,
        outcome.steps,
        outcome.depth,
        outcome.beyond,
        outcome.is_closed
    );
    if let Some((violation, way)) = &outcome.violation {
        panic!("{}: {}\n{}", scenario.name, violation.what, trace::trace(scenario, way));
    }
    assert!(outcome.is_closed, "{}: there is more to find", scenario.name);
}

#[test]
fn two_servers_survive_every_order_of_events() {
    let none = Budget::default();
    let dies_and_returns = Budget { crashes: 1, restarts: 1, elections: 1, ..none };
    close(&Scenario::new("two: a death, a return, an election", 2, dies_and_returns));
    let leaves = Budget { writes: 1, crashes: 1, leaves: 1, ..none };
    close(&Scenario::new("two: a write, a death, a leave", 2, leaves));
    let cut = Budget { cuts: 1, crashes: 1, restarts: 1, ..none };
    close(&Scenario::new("two: a broken link, a death, a return", 2, cut));
}

#[test]
fn three_servers_survive_every_order_of_events() {
    let two_die = Budget { writes: 1, crashes: 2, ..Budget::default() };
    close(&Scenario::new("three: a write, two deaths", 3, two_die));
    let mut stall = Scenario::new("three: a lease lost, two deaths", 3, two_die);
    (stall.budget.writes, stall.jumps_ms) = (0, vec![1_100]);
    close(&stall);
}

#[test]
fn more_events_are_survived_when_there_is_time() {
    if number("STATES", 0) == 0 {
        return;
    }
    let all = Budget { writes: 1, crashes: 2, restarts: 1, elections: 1, ..Budget::default() };
    let three = Budget { restarts: 0, ..all };
    close(&Scenario::new("three: a write, two deaths, an election", 3, three));
    close(&Scenario::new("two: a write, two deaths, a return, an election", 2, all));
    let two = Budget { restarts: 2, ..all };
    close(&Scenario::new("two: a write, two deaths, two returns, an election", 2, two));
}
