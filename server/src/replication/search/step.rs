//! One step of the searched world: what may happen, and what becomes of it.
//!
//! Owns: [`Action`], the list of what may happen in a state, and its consequences. Driven by: the
//! search. Invariants: everything that the machine may be told at a moment of its choice is an
//! action of its own: which link delivers next, when a sync ends or is lost, who finds out when
//! that another died. Faults and timers are counted by a budget. The model is untimed: time stands
//! still but for jumps, the same for all clocks; an election's timer may fire at any moment, which
//! is more than real timers may. Does not: model stale results of dials (a dial is one step), or
//! that clocks drift.

use std::sync::Arc;

use holdfast_common::ids::ServerId;

use super::super::sim::{Disk, Violation};
use super::super::wire::Message;
use super::super::{Effect, Input, Moment, Now, Probe, Replication, Role, Rules, Settings, holds};
use super::super::{Part as MachinePart, Policy};
use super::state::{Process, State};
use crate::entry::{ClusterId, Incarnation, StoreId};

pub(crate) const ELECTION_MS: u64 = 300;
const HEARTBEAT_MS: u64 = 50;
const REMOVE_MS: u64 = 1_000;
/// All clocks show this in the beginning.
const BEGIN_MS: u64 = 100_000;

/// Something that happens. Servers by their place, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The first message from one to another arrives.
    Deliver(u8, u8),
    /// What is on its way to the disk is durable.
    Sync(u8),
    /// A server finds that its link to another has ended with that one's life, and dials again.
    Find(u8, u8),
    /// A server dials another.
    Dial(u8, u8),
    /// A process dies; what was on its way to the disk is there, or is not.
    Crash(u8, bool),
    /// A process starts.
    Start(u8),
    /// A process dies, and its disk is empty when it starts again.
    Wipe(u8),
    /// A new life is durable.
    NewLife(u8),
    /// The timer of an election fires.
    Stand(u8),
    /// A primary's heartbeat is due.
    Tick(u8),
    /// A primary is given an operation.
    Write(u8),
    /// A link breaks though both its ends live; what was under way over it is lost.
    Cut(u8, u8),
    /// A server is asked to leave.
    Leave(u8),
    /// Time passes.
    Jump,
}

impl Action {
    /// Whether it concerns these servers only.
    pub(crate) fn is_among(self, these: &[u8]) -> bool {
        match self {
            Action::Deliver(one, other)
            | Action::Find(one, other)
            | Action::Dial(one, other)
            | Action::Cut(one, other) => these.contains(&one) && these.contains(&other),
            Action::Sync(one)
            | Action::Crash(one, _)
            | Action::Start(one)
            | Action::Wipe(one)
            | Action::NewLife(one)
            | Action::Stand(one)
            | Action::Tick(one)
            | Action::Write(one)
            | Action::Leave(one) => these.contains(&one),
            Action::Jump => true,
        }
    }
}

/// What does not change during a search.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) rules: Rules,
    pub(crate) policy: Policy,
    /// How far time jumps, each time.
    pub(crate) jumps_ms: Vec<u64>,
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("a cluster is small")
}

impl World {
    /// What may happen without any budget: the world at work.
    pub(crate) fn free_actions(&self, state: &State) -> Vec<Action> {
        let mut actions = Vec::new();
        for (at, server) in state.servers.iter().enumerate() {
            let Some(process) = &server.process else { continue };
            let me = small(at);
            if process.appending.is_some() {
                actions.push(Action::Sync(me));
            }
            if process.is_between_lives {
                actions.push(Action::NewLife(me));
                continue;
            }
            for peer in (0..state.servers.len()).filter(|peer| *peer != at) {
                let there = &state.servers[peer];
                match process.links[peer] {
                    Some(open) if there.process.is_some() && open == there.incarnation() => {}
                    Some(_) => actions.push(Action::Find(me, small(peer))),
                    None => actions.push(Action::Dial(me, small(peer))),
                }
                if !state.queue(peer, at).is_empty() {
                    actions.push(Action::Deliver(small(peer), me));
                }
            }
        }
        actions
    }

    /// Everything that may happen.
    pub(crate) fn actions(&self, state: &State) -> Vec<Action> {
        let mut actions = self.free_actions(state);
        let left = state.budget;
        for (at, server) in state.servers.iter().enumerate() {
            let me = small(at);
            let Some(process) = &server.process else {
                if left.restarts > 0 {
                    actions.push(Action::Start(me));
                }
                continue;
            };
            if left.crashes > 0 {
                actions.push(Action::Crash(me, false));
                actions.extend(process.appending.as_ref().map(|_| Action::Crash(me, true)));
            }
            if left.wipes > 0 && has_another_active(state, at) {
                actions.push(Action::Wipe(me));
            }
            if process.is_between_lives {
                continue;
            }
            match process.machine.role() {
                Role::Backup | Role::Candidate if left.elections > 0 => {
                    actions.push(Action::Stand(me));
                }
                Role::Primary => {
                    actions.extend((left.ticks > 0).then_some(Action::Tick(me)));
                    actions.extend((left.writes > 0).then_some(Action::Write(me)));
                }
                Role::Backup | Role::Candidate | Role::TakingOver => {}
            }
            if left.leaves > 0 {
                actions.push(Action::Leave(me));
            }
            for peer in (0..state.servers.len()).filter(|_| left.cuts > 0) {
                if process.links[peer].is_some() {
                    actions.push(Action::Cut(me, small(peer)));
                }
            }
        }
        if usize::from(left.jumped) < self.jumps_ms.len() {
            actions.push(Action::Jump);
        }
        actions
    }

    /// What becomes of a state.
    pub(crate) fn step(&self, state: &State, action: Action) -> Result<State, Violation> {
        let body = || {
            let mut turn = Turn { world: self, state: state.clone() };
            turn.happen(action);
            turn.state
        };
        // A broken own invariant of a machine is a violation like any other.
        let next = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        let next = next.map_err(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Violation::loss(text.unwrap_or_default())
        })?;
        match &next.checker.violation {
            Some(violation) => Err(violation.clone()),
            None => Ok(next),
        }
    }

    fn now(&self, state: &State) -> Now {
        let jumped_ms: u64 = self.jumps_ms[..usize::from(state.budget.jumped)].iter().sum();
        let now_ms = BEGIN_MS + jumped_ms;
        Now { at: Moment::default().plus_ms(now_ms), wall_ms: now_ms }
    }

    pub(crate) fn settings(&self, servers: usize, server: usize) -> Settings {
        let id = |at: usize| ServerId(small(at + 1));
        Settings {
            servers: (0..servers).map(id).collect(),
            policy: self.policy,
            heartbeat_ms: HEARTBEAT_MS,
            election_ms: ELECTION_MS,
            remove_ms: REMOVE_MS,
            has_set_aside: false,
            // Whoever is behind is helped from memory: there are no snapshots here.
            memory_entries: 1_000,
            seed: 0,
            fresh_cluster: ClusterId([small(server + 1); 16]),
            rules: self.rules,
        }
    }
}

fn has_another_active(state: &State, server: usize) -> bool {
    (0..state.servers.len()).any(|other| {
        let process = state.process(other);
        other != server && process.is_some_and(|process| process.machine.is_active())
    })
}

/// A step that is being made.
struct Turn<'a> {
    world: &'a World,
    state: State,
}

impl Turn<'_> {
    fn happen(&mut self, action: Action) {
        let left = &mut self.state.budget;
        match action {
            Action::Deliver(from, to) => self.deliver(from.into(), to.into()),
            Action::Sync(server) => self.sync(server.into()),
            Action::Find(server, peer) => self.find(server.into(), peer.into()),
            Action::Dial(server, peer) => self.dial(server.into(), peer.into()),
            Action::Crash(server, is_written) => {
                left.crashes = left.crashes.saturating_sub(1);
                self.crash(server.into(), is_written);
            }
            Action::Start(server) => {
                left.restarts = left.restarts.saturating_sub(1);
                self.start(server.into());
            }
            Action::Wipe(server) => {
                left.wipes = left.wipes.saturating_sub(1);
                let store = 10 * u64::from(server + 1) + u64::from(left.wipes) + 1;
                self.crash(server.into(), false);
                let disk = Disk::new(StoreId(store));
                self.state.servers[usize::from(server)].edit().disk = disk;
            }
            Action::NewLife(server) => self.new_life(server.into()),
            Action::Stand(server) => {
                left.elections = left.elections.saturating_sub(1);
                self.turn(server.into(), |machine| {
                    if matches!(machine.part, MachinePart::Candidate(_)) {
                        machine.retire();
                    }
                    machine.canvass();
                });
            }
            Action::Tick(server) => {
                left.ticks = left.ticks.saturating_sub(1);
                self.turn(server.into(), Replication::tick);
            }
            Action::Write(server) => {
                left.writes = left.writes.saturating_sub(1);
                let operation: Arc<[u8]> = Arc::from([left.writes].as_slice());
                self.turn(server.into(), |machine| {
                    machine.propose(operation).expect("a primary with room takes it");
                });
            }
            Action::Cut(from, to) => {
                left.cuts = left.cuts.saturating_sub(1);
                self.cut(from.into(), to.into());
            }
            Action::Leave(server) => {
                left.leaves = left.leaves.saturating_sub(1);
                self.feed(server.into(), Input::Leave);
            }
            Action::Jump => left.jumped += 1,
        }
    }

    fn process(&mut self, server: usize) -> &mut Process {
        let server = self.state.servers[server].edit();
        server.process.as_mut().expect("only who runs acts")
    }

    fn feed(&mut self, server: usize, input: Input) {
        let now = self.world.now(&self.state);
        self.process(server).machine.handle(input, now);
        self.drain(server);
    }

    /// What the machine does when a timer fires, whatever the clock says.
    fn turn(&mut self, server: usize, what: impl FnOnce(&mut Replication)) {
        let now = self.world.now(&self.state);
        let machine = &mut self.process(server).machine;
        machine.now = now;
        what(machine);
        machine.settle();
        self.drain(server);
    }

    fn drain(&mut self, server: usize) {
        while let Some(process) = &mut self.state.servers[server].edit().process {
            let Some(effect) = process.machine.next_effect() else { break };
            self.perform(server, effect);
        }
        let now = self.world.now(&self.state);
        if let Some(process) = &mut self.state.servers[server].edit().process {
            // When a timer fires is the search's choice; what only spreads timers is no state.
            process.machine.random = 1;
            process.machine.elect_at = now.at;
            if self.world.policy != Policy::Timeout {
                process.machine.evidence.forget_hearing();
            }
            let waits = match &process.machine.part {
                MachinePart::Backup(_) | MachinePart::Primary(_) => false,
                MachinePart::Candidate(candidate) => candidate.vote().is_some(),
                MachinePart::TakingOver(_) => true,
            };
            if !waits && process.machine.held.is_empty() {
                process.machine.log.forget_numbers();
                process.appending.iter_mut().for_each(|append| append.number = 1);
            }
        }
    }

    fn perform(&mut self, server: usize, effect: Effect) {
        match effect {
            Effect::Append(append) => {
                let process = self.process(server);
                assert!(process.appending.is_none(), "one append at a time");
                process.appending = Some(append);
            }
            Effect::Committed(entries) => {
                let who = self.state.servers[server].incarnation();
                let process = self.state.process(server).expect("it acts");
                let (role, ballot) = (process.machine.role(), process.machine.ballot());
                let mut applied = process.applied;
                let checker = self.state.checker.edit();
                for entry in entries {
                    checker.applied(who, applied, &entry);
                    applied = entry.index.0;
                    if role == Role::Primary && ballot == entry.ballot {
                        checker.leads(who, ballot);
                    }
                }
                self.process(server).applied = applied;
            }
            Effect::Send { to, message } => self.send(server, to, message),
            // Whoever may dial, may do so at any moment: that is a step of its own.
            Effect::Probe(_) => {}
            Effect::Read { .. } | Effect::Snapshot { .. } => {
                panic!("everything is in memory: nothing is read")
            }
            Effect::NewLife => self.process(server).is_between_lives = true,
            Effect::Diverged { after } => {
                self.state
                    .checker
                    .edit()
                    .fail(format!("server {} diverged after {after}", server + 1));
            }
            Effect::Left => self.crash(server, false),
        }
    }

    fn send(&mut self, server: usize, to: Incarnation, message: Message) {
        let peer = usize::from(to.server.0) - 1;
        let is_open = self.process(server).links[peer] == Some(to);
        let there = &self.state.servers[peer];
        if is_open && there.process.is_some() && there.incarnation() == to {
            let from = self.state.servers[server].incarnation();
            self.state.edit_queue(server, peer).0.push((from, message));
        }
    }

    fn deliver(&mut self, from: usize, to: usize) {
        let (who, message) = self.state.edit_queue(from, to).0.remove(0);
        self.feed(to, Input::Message { from: who, message });
    }

    fn sync(&mut self, server: usize) {
        let target = self.state.servers[server].edit();
        let process = target.process.as_mut().expect("only who runs writes");
        let append = process.appending.take().expect("something is on its way");
        target.disk.write(&append);
        self.feed(server, Input::Appended { number: append.number });
    }

    fn crash(&mut self, server: usize, is_written: bool) {
        let target = self.state.servers[server].edit();
        let process = target.process.take().expect("only who runs dies");
        if let Some(append) = process.appending.filter(|_| is_written) {
            target.disk.write(&append);
        }
        self.lose_what_is_for(server);
    }

    fn lose_what_is_for(&mut self, server: usize) {
        for other in 0..self.state.servers.len() {
            if !self.state.queue(other, server).is_empty() {
                self.state.edit_queue(other, server).0.clear();
            }
        }
    }

    fn start(&mut self, server: usize) {
        let now = self.world.now(&self.state);
        let servers = self.state.servers.len();
        let settings = self.world.settings(servers, server);
        let target = self.state.servers[server].edit();
        let is_new_life = holds!(self.world.rules, DurableLife) || target.disk.life == 0;
        target.disk.life += u64::from(is_new_life);
        let (me, recovered) = (target.incarnation(), target.disk.recovered());
        target.process = Some(Process {
            machine: Replication::start(me, settings, recovered, now),
            appending: None,
            applied: 0,
            is_between_lives: false,
            links: vec![None; servers],
        });
        self.drain(server);
    }

    fn new_life(&mut self, server: usize) {
        self.lose_what_is_for(server);
        let target = self.state.servers[server].edit();
        target.disk.life += 1;
        let me = target.incarnation();
        let process = target.process.as_mut().expect("only who runs lives");
        process.is_between_lives = false;
        process.links.fill(None);
        self.feed(server, Input::NewLife(me));
    }

    /// Whatever of the dead one's words has not arrived by now is lost.
    fn find(&mut self, server: usize, peer: usize) {
        let current = self.state.servers[peer].incarnation();
        let is_up = self.state.process(peer).is_some();
        if self.state.queue(peer, server).iter().any(|(from, _)| !is_up || *from != current) {
            let queue = self.state.edit_queue(peer, server);
            queue.0.retain(|(from, _)| is_up && *from == current);
        }
        let former = self.process(server).links[peer].take().expect("a link that has ended");
        self.feed(server, Input::Closed { peer: former });
        let may_dial = self.state.process(server).is_some_and(|process| !process.is_between_lives);
        if may_dial {
            self.dial(server, peer);
        }
    }

    fn dial(&mut self, server: usize, peer: usize) {
        // It begins after everything that happened so far, though the clock stands still.
        let began = self.world.now(&self.state).at.plus_us(1);
        let id = self.state.servers[peer].id;
        let Some(there) = self.state.process(peer) else {
            return self.feed(server, Input::Probed { server: id, began, probe: Probe::Refused });
        };
        if there.is_between_lives {
            return self.feed(server, Input::Probed { server: id, began, probe: Probe::Nothing });
        }
        let answer = there.machine.hello();
        let hello = self.process(server).machine.hello();
        self.feed(peer, Input::Heard(hello));
        self.process(server).links[peer] = Some(answer.incarnation);
        self.feed(server, Input::Opened { hello: answer, began });
    }

    fn cut(&mut self, from: usize, to: usize) {
        if !self.state.queue(from, to).is_empty() {
            self.state.edit_queue(from, to).0.clear();
        }
        let peer = self.process(from).links[to].take().expect("a link that stands");
        self.feed(from, Input::Closed { peer });
    }
}
