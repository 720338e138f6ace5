//! A closed search: every order in which a few servers' messages, syncs, deaths and timers can
//! happen, and every state that this leads to, breadth first.
//!
//! A random run shows what it happens upon; this shows everything within its bounds, and the
//! shortest way to whatever breaks. A search is *closed* when nothing new is left to find: then no
//! order of events at all, within the budget of faults and timers, breaks a promise.
//!
//! Owns: the search, and what it says in the end. Driven by: `runs`. Invariants: two states are
//! told apart by everything that the future depends on, numbers and moments included; a violation
//! comes with the shortest way from the beginning. Does not: know what may happen (`step`), nor
//! show that anybody ever gets anywhere; the simulator does.

mod ablations;
mod runs;
mod scenario;
mod state;
mod step;
mod trace;

use std::collections::HashSet;

use super::sim::Violation;
use scenario::Scenario;
use state::{Shelves, State};
use step::Action;

/// What a search found.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Distinct states.
    pub(crate) states: usize,
    /// Steps that were made, to new states or to known ones.
    pub(crate) steps: u64,
    /// The longest of all shortest ways to a state.
    pub(crate) depth: usize,
    /// States that were not searched on, because rounds ran beyond the scenario's bound.
    pub(crate) beyond: u64,
    /// Nothing new is left to find.
    pub(crate) is_closed: bool,
    /// What broke, and the shortest way to it.
    pub(crate) violation: Option<(Violation, Vec<Action>)>,
}

/// How each state was first reached.
#[derive(Debug, Clone, Copy)]
struct Way {
    from: u32,
    by: Action,
}

/// Searches until something breaks, nothing is left to find, or there are too many states.
pub(crate) fn search(scenario: &Scenario, states_max: usize) -> Outcome {
    let mut shelves = Shelves::new();
    let mut first = scenario.beginning();
    shelves.keep(&mut first);
    let mut known = HashSet::from([first.key()]);
    let mut ways = vec![Way { from: 0, by: Action::Jump }];
    let mut edge: Vec<(u32, State)> = vec![(0, first)];
    let world = scenario.world();
    let mut outcome =
        Outcome { states: 1, steps: 0, depth: 0, beyond: 0, is_closed: false, violation: None };
    while !edge.is_empty() {
        let mut next_edge = Vec::new();
        for (number, state) in edge {
            for action in world.actions(&state) {
                outcome.steps += 1;
                let mut next = match world.step(&state, action) {
                    Ok(next) => next,
                    Err(violation) => {
                        let mut way = way_to(&ways, number);
                        way.push(action);
                        outcome.violation = Some((violation, way));
                        return outcome;
                    }
                };
                shelves.keep(&mut next);
                if !known.insert(next.key()) {
                    continue;
                }
                let reached = u32::try_from(ways.len()).expect("fewer states than memory");
                ways.push(Way { from: number, by: action });
                outcome.states += 1;
                if scenario.is_beyond(&next) {
                    outcome.beyond += 1;
                } else {
                    next_edge.push((reached, next));
                }
            }
            if outcome.states > states_max {
                return outcome;
            }
        }
        edge = next_edge;
        outcome.depth += usize::from(!edge.is_empty());
    }
    outcome.is_closed = outcome.beyond == 0;
    outcome
}

fn way_to(ways: &[Way], mut state: u32) -> Vec<Action> {
    let mut actions = Vec::new();
    while state > 0 {
        let way = ways[usize::try_from(state).expect("numbers of states fit")];
        actions.push(way.by);
        state = way.from;
    }
    actions.reverse();
    actions
}
