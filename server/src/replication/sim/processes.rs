//! Processes: their starts, deaths and turns, and what their machines ask for, done.

use std::collections::BTreeMap;

use holdfast_common::ids::ServerId;

use super::super::{Effect, Input, Replication, Role, Settings, holds};
use super::host::{Arrival, Out, Process, at};
use super::world::{ELECTION_MS, Event, HEARTBEAT_MS, REMOVE_MS, World};
use crate::entry::{ClusterId, Entry};

impl World {
    pub(crate) fn start(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            return;
        }
        let n = self.hosts.len();
        let seed = self.random.next();
        let is_new_life =
            holds!(self.profile.rules, DurableLife) || self.hosts[host].disk.life == 0;
        let now = self.now;
        let target = &mut self.hosts[host];
        target.disk.life += u64::from(is_new_life);
        target.epoch += 1;
        let settings = Settings {
            servers: (1..=n).map(|id| ServerId(u8::try_from(id).unwrap())).collect(),
            policy: self.profile.policy,
            heartbeat_ms: HEARTBEAT_MS,
            election_ms: ELECTION_MS,
            remove_ms: REMOVE_MS,
            has_set_aside: false,
            memory_entries: 32,
            seed,
            fresh_cluster: ClusterId([u8::try_from(host + 1).unwrap(); 16]),
            rules: self.profile.rules,
        };
        let recovered = target.disk.recovered();
        let applied = target.disk.persisted;
        let machine =
            Replication::start(target.incarnation(), settings, recovered, target.clocks(now));
        let role = (machine.role(), machine.ballot());
        target.process = Some(Process {
            machine,
            appending: None,
            out: vec![Out::None; n],
            between_lives: false,
            applied,
            proposed: BTreeMap::new(),
            timer: None,
            role,
        });
        let last = target.disk.log.len();
        let life = target.disk.life;
        self.say(host, &format!("starts, life {life}, {last} entries, {applied} applied"));
        for peer in (0..n).filter(|peer| *peer != host) {
            self.dial(host, peer, true);
        }
        self.drain(host);
    }

    pub(crate) fn crash(&mut self, host: usize) {
        if self.hosts[host].process.is_none() {
            return;
        }
        self.counts.crashes += 1;
        self.say(host, "dies");
        self.hosts[host].crash(&mut self.random);
        let epoch = self.hosts[host].epoch;
        self.end_links(|link| link.from == (host, epoch) || link.to == (host, epoch));
    }

    pub(crate) fn wake(&mut self, host: usize) {
        if self.hosts[host].stalled_until > self.now || self.hosts[host].process.is_none() {
            return;
        }
        // A question may come before anything that has queued up, and so may a timer.
        self.read(host);
        if self.random.percent(30) {
            self.take(host, Arrival::Timer);
        }
        while let Some(arrival) = self.hosts[host].inbox.pop_front() {
            self.take(host, arrival);
        }
    }

    /// Somebody asks this server, which believes to know the newest.
    pub(crate) fn read(&mut self, host: usize) {
        let target = &self.hosts[host];
        let Some(process) = &target.process else { return };
        if let Some(index) = process.machine.read_index(target.moment(self.now)) {
            self.checker.reads(target.incarnation(), index);
        }
    }

    pub(crate) fn take(&mut self, host: usize, arrival: Arrival) {
        if self.hosts[host].process.is_none() {
            return;
        }
        match arrival {
            Arrival::Input(Input::Closed { peer }) => {
                self.feed(host, Input::Closed { peer });
                self.lose(host, peer);
            }
            Arrival::Input(input) => self.feed(host, input),
            Arrival::Message { link, message } => {
                let Some(from) = self.links.get(&link).filter(|link| self.now <= link.ends_at)
                else {
                    return;
                };
                let from = from.dialler;
                self.feed(host, Input::Message { from, message });
            }
            Arrival::Synced { number } => self.synced(host, number),
            Arrival::Incoming { link, hello, began, keep } => {
                self.incoming(host, link, hello, began, keep)
            }
            Arrival::Dialled { peer, link, began, keep, hello, refused } => {
                self.dialled(host, peer, link, began, keep, hello, refused);
            }
            Arrival::Redial { peer } => {
                if self.out(host, peer) == Out::None {
                    self.dial(host, peer, true);
                }
            }
            Arrival::NewLife => self.new_life(host),
            Arrival::Timer => {
                let due = self.hosts[host].process.as_ref().and_then(|p| p.machine.deadline());
                let is_due = due.is_some_and(|due| self.hosts[host].moment(self.now) >= due);
                if let Some(process) = &mut self.hosts[host].process {
                    process.timer = None;
                }
                if is_due {
                    self.feed(host, Input::Timer);
                } else {
                    self.set_timer(host);
                }
            }
        }
    }

    pub(crate) fn feed(&mut self, host: usize, input: Input) {
        let clocks = self.hosts[host].clocks(self.now);
        let Some(process) = &mut self.hosts[host].process else { return };
        process.machine.handle(input, clocks);
        self.drain(host);
    }

    pub(crate) fn drain(&mut self, host: usize) {
        loop {
            let Some(process) = &mut self.hosts[host].process else { return };
            let role = (process.machine.role(), process.machine.ballot());
            if role != process.role {
                let former = std::mem::replace(&mut process.role, role);
                let active = process.machine.status().is_active;
                let members = process.machine.status().members;
                let members: Vec<String> =
                    members.iter().map(|m| format!("{}.{}", m.server, m.life)).collect();
                if role.0 != former.0 {
                    match role.0 {
                        Role::Primary if former.0 == Role::TakingOver => self.counts.takeovers += 1,
                        Role::Primary if active => self.counts.elections += 1,
                        Role::Primary => self.counts.cold_starts += 1,
                        Role::Backup | Role::Candidate | Role::TakingOver => {}
                    }
                    if self.trace.is_some() {
                        self.say(
                            host,
                            &format!("{:?} {} active={active} {members:?}", role.0, role.1),
                        );
                    }
                }
                continue;
            }
            let Some(effect) = process.machine.next_effect() else { break };
            self.perform(host, effect);
        }
        self.set_timer(host);
    }

    pub(crate) fn set_timer(&mut self, host: usize) {
        let Some(process) = &self.hosts[host].process else { return };
        let Some(deadline) = process.machine.deadline() else { return };
        let at = self.hosts[host].when(deadline).max(self.now + 1);
        let epoch = self.hosts[host].epoch;
        let process = self.hosts[host].process.as_mut().expect("it was just there");
        if process.timer.is_none_or(|set| at < set || set <= self.now) {
            process.timer = Some(at);
            self.arrive(at, host, epoch, Arrival::Timer);
        }
    }

    pub(crate) fn perform(&mut self, host: usize, effect: Effect) {
        let epoch = self.hosts[host].epoch;
        match effect {
            Effect::Append(append) => {
                let number = append.number;
                let time = self.now + self.random.within(self.hosts[host].sync_us);
                let process = self.hosts[host].process.as_mut().expect("it asks");
                assert!(process.appending.is_none(), "one append at a time");
                process.appending = Some(append);
                self.arrive(time, host, epoch, Arrival::Synced { number });
            }
            Effect::Committed(entries) => self.committed(host, &entries),
            Effect::Send { to, message } => self.send(host, to, message),
            Effect::Probe(server) => self.dial(host, usize::from(server.0) - 1, false),
            Effect::Read { after, upto, purpose } => {
                self.say(host, &format!("reads behind {after} up to {upto} for {purpose:?}"));
                let disk = &self.hosts[host].disk;
                let end = at(upto.0).min(disk.log.len()).min(at(after.0) + 16);
                let is_there = after.0 + 1 >= disk.first && at(after.0) <= end;
                let previous = is_there.then(|| disk.place(after.0));
                let entries = previous.map(|_| disk.log[at(after.0)..end].to_vec());
                let entries = entries.unwrap_or_default();
                let input = Input::Read { purpose, previous, entries };
                self.arrive(self.now + 200, host, epoch, Arrival::Input(input));
            }
            Effect::Snapshot { to } => {
                self.say(host, &format!("streams a snapshot to {}", to.server));
                let time = self.now + self.random.within((5_000, 30_000));
                let to = (usize::from(to.server.0) - 1, to);
                self.at(time, Event::Snapshot { from: (host, epoch), to });
            }
            Effect::NewLife => {
                self.counts.new_lives += 1;
                self.say(host, "is orphaned: takes a new life");
                let time = self.now + self.random.within(self.hosts[host].sync_us);
                self.hosts[host].process.as_mut().expect("it asks").between_lives = true;
                self.arrive(time, host, epoch, Arrival::NewLife);
            }
            Effect::Diverged { after } => {
                self.checker.fail(format!("server {} diverged after {after}", host + 1));
            }
            Effect::Left => {
                self.say(host, "has left");
                self.crash(host);
                self.restart_later(host);
            }
        }
    }

    pub(crate) fn synced(&mut self, host: usize, number: u64) {
        let target = &mut self.hosts[host];
        let Some(process) = &mut target.process else { return };
        let append = process.appending.take().expect("it was asked for");
        target.disk.write(&append);
        self.feed(host, Input::Appended { number });
    }

    pub(crate) fn committed(&mut self, host: usize, entries: &[Entry]) {
        let who = self.hosts[host].incarnation();
        let target = &mut self.hosts[host];
        let Some(process) = &mut target.process else { return };
        for entry in entries {
            self.checker.applied(who, process.applied, entry);
            process.applied = entry.index.0;
            let leads =
                process.machine.role() == Role::Primary && process.machine.ballot() == entry.ballot;
            if leads {
                self.checker.leads(who, entry.ballot);
            }
            if process.proposed.remove(&entry.index.0) == Some(entry.ballot) {
                self.checker.acknowledges(entry.index);
            }
        }
        // Tables are made durable now and then; the log is cut below, now and then.
        if self.random.percent(5) {
            target.disk.persisted = process.applied.min(target.disk.log.len() as u64);
            if self.random.percent(30) {
                target.disk.first = target.disk.persisted.max(target.disk.first);
            }
        }
    }

    pub(crate) fn new_life(&mut self, host: usize) {
        let epoch = self.hosts[host].epoch;
        self.hosts[host].disk.life += 1;
        let incarnation = self.hosts[host].incarnation();
        let n = self.hosts.len();
        let process = self.hosts[host].process.as_mut().expect("it asked");
        process.between_lives = false;
        process.out = vec![Out::None; n];
        self.end_links(|link| link.from == (host, epoch) || link.to == (host, epoch));
        self.feed(host, Input::NewLife(incarnation));
        for peer in (0..n).filter(|peer| *peer != host) {
            self.dial(host, peer, true);
        }
    }
}
