//! The world: events in order of time, faults out of a profile, and what machines ask for, done.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use holdfast_common::ids::ServerId;

use super::super::Role;
use super::super::wire::Hello;
use super::Random;
use super::checker::{Checker, Violation};
use super::host::{Arrival, Disk, Host};
use super::network::{Link, Path};
use super::profiles::Profile;
use crate::entry::{Incarnation, StoreId};

pub(crate) const HEARTBEAT_MS: u64 = 50;
pub(crate) const ELECTION_MS: u64 = 300;
pub(crate) const REMOVE_MS: u64 = 1_000;
/// And all servers are in the view again within this.
const WHOLE_WITHIN_US: u64 = 15_000_000;

#[derive(Debug)]
pub(crate) enum Event {
    Arrival {
        host: usize,
        epoch: u64,
        arrival: Arrival,
    },
    /// A dial reaches the machine that it is for.
    Dial {
        from: (usize, u64),
        to: usize,
        hello: Hello,
        began: super::super::Moment,
        keep: bool,
    },
    Wake {
        host: usize,
    },
    Start {
        host: usize,
    },
    Fault,
    Write,
    Snapshot {
        from: (usize, u64),
        to: (usize, Incarnation),
    },
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) elections: u64,
    pub(crate) takeovers: u64,
    pub(crate) cold_starts: u64,
    pub(crate) new_lives: u64,
    pub(crate) snapshots: u64,
    pub(crate) acknowledged: u64,
    pub(crate) events: u64,
    pub(crate) blocked: u64,
}

pub(crate) struct World {
    pub(crate) profile: Profile,
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    bodies: BTreeMap<u64, Event>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) paths: Vec<Vec<Path>>,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) checker: Checker,
    pub(crate) counts: Counts,
    pub(crate) trace: Option<Vec<String>>,
    next_operation: u64,
    pub(crate) has_wiped: bool,
    pub(crate) faults_on: bool,
}

impl World {
    pub(crate) fn new(seed: u64, profile: Profile, traced: bool) -> World {
        let mut random = Random::new(seed);
        let n = profile.servers;
        let host = |number: usize| Host {
            server: ServerId(u8::try_from(number + 1).unwrap()),
            disk: Disk::new(StoreId(random.next() >> 32)),
            process: None,
            epoch: 0,
            stalled_until: 0,
            inbox: VecDeque::new(),
            rate: 952_000 + random.below(96_000),
            offset: random.below(1 << 40),
            wall_offset_ms: 1_700_000_000_000 + random.below(10_000),
            sync_us: profile.sync_us,
        };
        let hosts = (0..n).map(host).collect();
        let path = Path { delay_us: profile.delay_us, stalled_until: 0 };
        World {
            random,
            now: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            hosts,
            paths: vec![vec![path; n]; n],
            links: BTreeMap::new(),
            checker: Checker::default(),
            counts: Counts::default(),
            trace: traced.then(Vec::new),
            next_operation: 1,
            has_wiped: false,
            faults_on: true,
            profile,
        }
    }

    /// Faults, then healing; says what broke.
    pub(crate) fn run(&mut self) -> Result<Counts, Violation> {
        for host in 0..self.hosts.len() {
            let delay = self.random.below(30_000);
            self.at(delay, Event::Start { host });
        }
        self.at(1_000, Event::Write);
        self.at(400_000, Event::Fault);
        match self.profile.story {
            Some(story) => {
                self.wait("not all servers are in sync", WHOLE_WITHIN_US, World::is_whole)?;
                // Leases begin to run with the second round.
                let settled = self.now + self.random.within((200_000, 500_000));
                self.run_until(settled)?;
                story(self)?;
            }
            None => self.run_until(self.profile.faults_us)?,
        }
        if self.profile.heals {
            self.heal();
        }
        let healed = self.now;
        let before = self.checker.acknowledged;
        let alive_by = healed + self.profile.alive_within_us;
        self.wait("no write was acknowledged", alive_by, |world| {
            world.checker.acknowledged > before + 2
        })?;
        if self.counts.blocked == 0 && self.profile.heals {
            self.wait("not all servers are in sync", healed + WHOLE_WITHIN_US, World::is_whole)?;
        }
        self.counts.acknowledged = self.checker.acknowledged;
        Ok(self.counts)
    }

    pub(crate) fn wait(
        &mut self,
        what: &str,
        until: u64,
        done: impl Fn(&World) -> bool,
    ) -> Result<(), Violation> {
        while !done(self) {
            if self.now >= until {
                if self.has_wiped && self.is_blocked_by_a_wipe() {
                    self.counts.blocked += 1;
                    return Ok(());
                }
                for host in 0..self.hosts.len() {
                    let Some(process) = &self.hosts[host].process else { continue };
                    let line = format!(
                        "{:?} at {:?}, links {:?}",
                        process.machine.status(),
                        process.machine.last(),
                        process.out
                    );
                    self.say(host, &line);
                    let Some(process) = &self.hosts[host].process else { continue };
                    let line = format!("{:?}", process.machine.part);
                    self.say(host, &line);
                }
                return Err(Violation::wait(format!("{what} in time")));
            }
            self.run_until(self.now + 1_000)?;
        }
        Ok(())
    }

    /// Whether some live view counts on a store that was wiped: the administrator's word is needed.
    fn is_blocked_by_a_wipe(&self) -> bool {
        let stores: Vec<StoreId> = self.hosts.iter().map(|host| host.disk.store).collect();
        self.hosts.iter().filter_map(|host| host.process.as_ref()).any(|process| {
            let live = process.machine.log.live_views();
            live.iter().flat_map(|placed| &placed.view.members).any(|m| !stores.contains(&m.store))
        })
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.hosts.iter().filter_map(|host| host.process.as_ref()).any(|process| {
            process.machine.role() == Role::Primary
                && process.machine.in_sync() == self.hosts.len()
                && process.machine.is_idle()
        })
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((time.max(self.now), self.sequence)));
        self.bodies.insert(self.sequence, event);
    }

    pub(crate) fn arrive(&mut self, time: u64, host: usize, epoch: u64, arrival: Arrival) {
        self.at(time, Event::Arrival { host, epoch, arrival });
    }

    pub(crate) fn run_until(&mut self, until: u64) -> Result<(), Violation> {
        while let Some(Reverse((time, id))) = self.events.peek().copied() {
            if time > until {
                break;
            }
            self.events.pop();
            self.now = time;
            self.counts.events += 1;
            let event = self.bodies.remove(&id).expect("each event has a body");
            self.happen(event);
            if let Some(violation) = self.checker.violation.clone() {
                self.dump();
                return Err(violation);
            }
        }
        self.now = until;
        Ok(())
    }

    /// Shows what is on the disks, for whoever reads the trace.
    fn dump(&mut self) {
        for host in 0..self.hosts.len() {
            let log = &self.hosts[host].disk.log;
            let from = log.len().saturating_sub(24);
            let mut line = format!("{:?}:", self.hosts[host].disk.hard_state.promise);
            for entry in &log[from..] {
                line += &format!(" {}@{}", entry.index, entry.ballot);
            }
            self.say(host, &line);
        }
        let history: Vec<String> = self.checker.tail(24);
        self.say(0, &format!("history: {}", history.join(" ")));
    }

    pub(crate) fn say(&mut self, host: usize, line: &str) {
        let now = self.now;
        let server = self.hosts[host].server;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.3} ms  {server}  {line}", now as f64 / 1_000.0));
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrival { host, epoch, arrival } => {
                if self.hosts[host].epoch != epoch || self.hosts[host].process.is_none() {
                    return;
                }
                if self.hosts[host].stalled_until > self.now {
                    self.hosts[host].inbox.push_back(arrival);
                } else {
                    self.read(host);
                    self.take(host, arrival);
                }
            }
            Event::Dial { from, to, hello, began, keep } => {
                self.dial_arrives(from, to, hello, began, keep)
            }
            Event::Wake { host } => self.wake(host),
            Event::Start { host } => self.start(host),
            Event::Fault if self.faults_on => {
                self.fault();
                let next = self.now + self.random.within(self.profile.fault_every_us);
                self.at(next, Event::Fault);
            }
            Event::Fault => {}
            Event::Write => {
                self.write();
                let every = self.profile.write_every_us;
                let next = self.now + self.random.within((every / 2, every * 3 / 2));
                self.at(next, Event::Write);
            }
            Event::Snapshot { from, to } => self.snapshot(from, to),
        }
    }

    fn write(&mut self) {
        let host = self.random.index(self.hosts.len());
        if self.hosts[host].stalled_until > self.now {
            return;
        }
        let Some(process) = &mut self.hosts[host].process else { return };
        let operation: Arc<[u8]> = Arc::from(self.next_operation.to_le_bytes().as_slice());
        if let Ok(index) = process.machine.propose(operation) {
            process.proposed.insert(index.0, process.machine.ballot());
            self.next_operation += 1;
            self.drain(host);
        }
    }
}
