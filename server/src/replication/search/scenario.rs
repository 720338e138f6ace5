//! Where a search begins, and what it may spend.
//!
//! Owns: [`Scenario`]. Driven by: the tests. Invariant: the way to the beginning is one fixed order
//! of the same steps that the search makes, so that nothing begins in a state that cannot be. Does
//! not: search.

use holdfast_common::ids::ServerId;

use super::super::sim::{Checker, Disk};
use super::super::{Policy, Role, Rules};
use super::state::{Budget, Part, Queue, Server, State, fingerprint};
use super::step::{Action, World};
use crate::entry::StoreId;

/// A step on the way to the beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    /// This happens, if it can: without some rule, more is said.
    Do(Action),
    /// Everything that is under way among these arrives, is synced, is found out.
    Among(&'static [u8]),
}

/// What is searched.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) servers: u8,
    pub(crate) rules: Rules,
    pub(crate) policy: Policy,
    /// What happens before the search begins, to a cluster whose servers are all in sync, led by
    /// the first.
    pub(crate) before: Vec<Told>,
    pub(crate) budget: Budget,
    pub(crate) jumps_ms: Vec<u64>,
    /// A state is not searched on when some server has heard of so many more rounds than in the
    /// beginning: elections that bring about each other could go on for ever.
    pub(crate) rounds_max: u64,
}

impl Scenario {
    pub(crate) fn new(name: &'static str, servers: u8, budget: Budget) -> Scenario {
        Scenario {
            name,
            servers,
            rules: Rules::default(),
            policy: Policy::Proof,
            before: Vec::new(),
            budget,
            jumps_ms: Vec::new(),
            rounds_max: 6,
        }
    }

    pub(crate) fn world(&self) -> World {
        World { rules: self.rules, policy: self.policy, jumps_ms: self.jumps_ms.clone() }
    }

    /// A cluster whose servers are all in sync and have leases, and what happened to it.
    pub(crate) fn beginning(&self) -> State {
        let world = self.world();
        let server = |number: u8| Server {
            id: ServerId(number),
            disk: Disk::new(StoreId(10 * u64::from(number))),
            process: None,
        };
        let pairs = usize::from(self.servers) * usize::from(self.servers);
        let mut state = State {
            servers: (1..=self.servers).map(|number| Part::new(server(number))).collect(),
            queues: vec![Part::new(Queue::default()); pairs],
            checker: Part::new(Checker::default()),
            budget: Budget::default(),
        };
        let start = (0..self.servers).map(|server| Told::Do(Action::Start(server)));
        let all = Told::Among(&[0, 1, 2]);
        let lead = [all, Told::Do(Action::Stand(0)), all];
        // The first round grants nothing, the second grants, the third tells.
        let grant = [Told::Do(Action::Tick(0)), all].repeat(3);
        for told in start.chain(lead).chain(grant).chain(self.before.iter().copied()) {
            state = match told {
                Told::Do(action) if !is_possible(&state, action) => state,
                Told::Do(action) => follow(&world, &state, action),
                Told::Among(these) => settle(&world, state, these),
            };
        }
        state.budget = Budget { jumped: state.budget.jumped, ..self.budget };
        state
    }

    pub(crate) fn is_beyond(&self, state: &State) -> bool {
        let rounds = state.servers.iter().filter_map(|server| server.process.as_ref());
        let heard = rounds.map(|process| process.machine.highest_round).max().unwrap_or(0);
        heard > self.rounds_max
    }
}

fn is_possible(state: &State, action: Action) -> bool {
    match action {
        Action::Deliver(from, to) => !state.queue(from.into(), to.into()).is_empty(),
        Action::Sync(server) => {
            state.process(server.into()).is_some_and(|process| process.appending.is_some())
        }
        Action::Find(..)
        | Action::Dial(..)
        | Action::Crash(..)
        | Action::Start(_)
        | Action::Wipe(_)
        | Action::NewLife(_)
        | Action::Stand(_)
        | Action::Tick(_)
        | Action::Write(_)
        | Action::Cut(..)
        | Action::Leave(_)
        | Action::Jump => true,
    }
}

fn follow(world: &World, state: &State, action: Action) -> State {
    world.step(state, action).expect("nothing breaks on the way to the beginning")
}

fn settle(world: &World, mut state: State, among: &[u8]) -> State {
    for _ in 0..10_000 {
        let free = world.free_actions(&state);
        let useful = free
            .into_iter()
            .filter(|action| action.is_among(among))
            .map(|action| follow(world, &state, action));
        let Some(next) = useful.into_iter().find(|next| differs(&state, next)) else {
            return state;
        };
        state = next;
    }
    panic!("what is under way never ends");
}

fn differs(one: &State, other: &State) -> bool {
    let print = |state: &State| {
        let servers: Vec<Server> = state.servers.iter().map(|part| (**part).clone()).collect();
        let queues: Vec<Queue> = state.queues.iter().map(|part| (**part).clone()).collect();
        fingerprint(&(servers, queues))
    };
    print(one) != print(other)
}

/// Whether the first server leads everybody.
pub(crate) fn is_whole(state: &State) -> bool {
    state.process(0).is_some_and(|process| {
        process.machine.role() == Role::Primary
            && process.machine.in_sync() == state.servers.len()
            && process.machine.is_idle()
    })
}
