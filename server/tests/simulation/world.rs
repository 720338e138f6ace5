//! The world: events in the order of their time, and what they do.
//!
//! Owns: time, the queue of what will happen, machines, people and the network between them. Driven
//! by: a run. Invariants: events of one moment happen in the order in which they were planned; the
//! first broken promise ends the run. Does not: decide which faults there are (`plan` does).

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::path::PathBuf;
use std::time::Instant;

use holdfast_common::config::{Config, Source};
use holdfast_common::ids::ServerId;
use holdfast_common::protocol::{Role, Status};

use super::Us;
use super::audit::Auditor;
use super::clock::Clock;
use super::history::History;
use super::host::{Host, News, Process};
use super::network::{Door, Network, Packet, PipeId, Place, Side};
use super::person::Person;
use super::plan::{Fault, Planned};
use super::promise::Known;
use super::store::Folder;
use crate::sim::checker::Checker;
use crate::sim::workers::{BCRYPT_COST, Random};

/// Journal that stays for servers that were away: the rest needs a snapshot.
const JOURNAL_KEEP_BYTES: u64 = 32 * 1024;

/// What happens.
#[derive(Debug)]
pub(crate) enum What {
    /// A server's loop goes round.
    Turn { host: usize, epoch: u64 },
    /// A thread has done a job.
    Work { host: usize, epoch: u64, id: u64 },
    /// A process begins.
    Start { host: usize },
    /// A machine has power again.
    Power { host: usize },
    /// Something breaks.
    Fault(Fault),
    /// Something comes to one end of a connection.
    Packet { pipe: PipeId, to: Side, packet: Packet },
    /// A link's dial was not answered in time.
    HandshakeLate { pipe: PipeId },
    /// A client's deadline.
    Timer { person: usize },
    /// A person does something.
    Act { person: usize },
}

#[derive(Debug)]
struct Event {
    at: Us,
    number: u64,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Event) -> bool {
        self.number == other.number
    }
}

impl Eq for Event {}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Event) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Event {
    /// The heap gives the greatest first: that is the earliest.
    fn cmp(&self, other: &Event) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) starts: u64,
    pub(crate) crashes: u64,
    pub(crate) stops: u64,
    pub(crate) new_lives: u64,
    pub(crate) elections: u64,
    pub(crate) takeovers: u64,
    pub(crate) snapshots: u64,
    pub(crate) acknowledged: u64,
    pub(crate) resumes: u64,
}

impl Counts {
    /// Sums up.
    pub(crate) fn add(&mut self, other: &Counts) {
        self.events += other.events;
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.new_lives += other.new_lives;
        self.elections += other.elections;
        self.takeovers += other.takeovers;
        self.snapshots += other.snapshots;
        self.acknowledged += other.acknowledged;
        self.resumes += other.resumes;
    }
}

/// See the module's page.
pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) now: Us,
    pub(crate) random: Random,
    queue: BinaryHeap<Event>,
    next_event: u64,
    pub(crate) next_job: u64,
    pub(crate) hosts: Vec<Host>,
    pub(crate) people: Vec<Person>,
    pub(crate) network: Network,
    pub(crate) history: History,
    pub(crate) checker: Checker,
    pub(crate) known: Known,
    pub(crate) auditor: Auditor,
    pub(crate) counts: Counts,
    /// Of everything that has happened.
    pub(crate) digest: u64,
    trace: bool,
    pub(crate) violation: Option<String>,
    /// Faults of the plan still happen.
    pub(crate) breaks: bool,
    /// A disk was lost: nobody else dies until all are there again.
    pub(crate) is_careful: bool,
    /// And not before this.
    pub(crate) careful_until: Us,
    /// People have no further ideas.
    pub(crate) is_quiet: bool,
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
fn any_instant() -> Instant {
    Instant::now()
}

/// The settings of a cluster of so many servers.
pub(crate) fn config(servers: usize, policy: &str) -> Config {
    let environment = |key: &str| {
        let number = key.chars().last().and_then(|digit| digit.to_digit(10));
        let fixed = match key {
            "SURVIVOR_POLICY" => policy.to_owned(),
            "BCRYPT_COST" => BCRYPT_COST.to_string(),
            "LIMIT_SENDS_PER_S" | "LIMIT_SIGNIN_FAILS_PER_MIN" => "100000".to_owned(),
            "TEST_JOURNAL_KEEP_BYTES" => JOURNAL_KEEP_BYTES.to_string(),
            _ if key.starts_with("SERVER") => {
                let number = key[6..7].parse::<usize>().ok().filter(|n| *n <= servers)?;
                return key.ends_with("_IP").then(|| format!("127.0.0.{number}"));
            }
            _ if number.is_some_and(|number| number as usize <= servers && number > 0) => match key
            {
                _ if key.starts_with("REPLICA_PORT") => "8081".to_owned(),
                _ if key.starts_with("CLIENT_PORT") => "8091".to_owned(),
                _ => return None,
            },
            _ => return None,
        };
        Some(fixed)
    };
    let folder = PathBuf::from("/nowhere");
    Config::load(&Source { file: Vec::new(), folder, environment: &environment }).unwrap()
}

impl World {
    pub(crate) fn new(seed: u64, config: Config, plan: &[Planned], trace: bool) -> World {
        let mut random = Random(seed);
        let base = any_instant();
        let count = config.servers.len();
        let people: Vec<Person> = Person::all(count, base, &config, &mut random);
        let host = |number: usize, random: &mut Random| Host {
            server: ServerId(u8::try_from(number + 1).unwrap()),
            clock: Clock::new(base, 960_000 + random.next() % 80_000, random.next() >> 24),
            folder: Folder::new(Random(random.next())),
            is_on: true,
            off_since: 0,
            epoch: 0,
            stalled_until: 0,
            sync_us: (100, 300 + random.next() % 2_000),
            slow_until: 0,
            disk_fails: None,
            starts_after: None,
            has_set_aside: false,
            knew: Known::default(),
            process: None,
        };
        let hosts: Vec<Host> = (0..count).map(|number| host(number, &mut random)).collect();
        let delay_us = (20, 100 + random.next() % 1_000);
        let network = Network::new(hosts.len() + people.len() + 1, delay_us, Random(random.next()));
        let mut world = World {
            config,
            now: 0,
            random,
            queue: BinaryHeap::new(),
            next_event: 0,
            next_job: 0,
            hosts,
            people,
            network,
            history: History::default(),
            checker: Checker::default(),
            known: Known::default(),
            auditor: Auditor::default(),
            counts: Counts::default(),
            digest: seed,
            trace,
            violation: None,
            breaks: true,
            is_careful: false,
            careful_until: 0,
            is_quiet: false,
        };
        for host in 0..world.hosts.len() {
            let at = world.random.next() % 20_000;
            world.at(at, What::Start { host });
        }
        for Planned { at, fault } in plan {
            world.at(*at, What::Fault(*fault));
        }
        for person in 0..world.people.len() {
            let at = world.random.next() % 300_000;
            world.at(at, What::Act { person });
        }
        world
    }

    /// Plans an event.
    pub(crate) fn at(&mut self, at: Us, what: What) {
        self.next_event += 1;
        self.queue.push(Event { at: at.max(self.now), number: self.next_event, what });
    }

    pub(crate) fn within(&mut self, (least, most): (Us, Us)) -> Us {
        least + self.random.next() % (most - least + 1)
    }

    /// Everything up to this time happens.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn run_until(&mut self, until: Us) -> Result<(), String> {
        while self.queue.peek().is_some_and(|event| event.at <= until) {
            self.step()?;
        }
        self.now = until;
        Ok(())
    }

    /// The next event happens.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        let Some(Event { at, what, .. }) = self.queue.pop() else {
            return Err("nothing will ever happen again".to_owned());
        };
        self.now = at;
        self.counts.events += 1;
        self.digest = Random(self.digest ^ digest(&what) ^ at).next();
        self.happen(what);
        self.violation.clone().map_or(Ok(()), Err)
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Turn { host, epoch } => {
                let planned = self.process(host, epoch).and_then(|process| process.turn_at);
                if planned == Some(self.now) {
                    self.turn(host);
                }
            }
            What::Work { host, epoch, id } => {
                if self.process(host, epoch).is_some() {
                    self.work(host, epoch, id);
                }
            }
            What::Start { host } => self.start(host),
            What::Power { host } => self.regain_power(host),
            What::Fault(fault) if self.breaks => self.strike(fault),
            What::Fault(_) => {}
            What::Packet { pipe, to, packet } => self.packet(pipe, to, packet),
            What::HandshakeLate { pipe } => self.handshake_late(pipe),
            What::Timer { person } => self.person_timer(person),
            What::Act { person } => self.person_acts(person),
        }
    }

    fn process(&self, host: usize, epoch: u64) -> Option<&Process> {
        let host = &self.hosts[host];
        host.process.as_ref().filter(|_| host.epoch == epoch)
    }

    pub(crate) fn fail(&mut self, why: String) {
        self.violation.get_or_insert(why);
    }

    /// Dials a server's port.
    pub(crate) fn dial(&mut self, from: Place, host: usize, door: Door) -> PipeId {
        let pipe = self.network.dial(from, host, door);
        self.send(pipe, Side::Listener, Packet::Syn);
        pipe
    }

    /// Sends towards one end of a connection.
    pub(crate) fn send(&mut self, pipe: PipeId, to: Side, packet: Packet) {
        if let Some(at) = self.network.sends(self.now, pipe, to) {
            self.at(at, What::Packet { pipe, to, packet });
        }
    }

    /// One end hangs up, after everything that it has sent.
    pub(crate) fn hang_up(&mut self, pipe: PipeId, side: Side) {
        self.send(pipe, side.other(), Packet::End);
        self.network.over(pipe, side);
    }

    fn packet(&mut self, id: PipeId, to: Side, packet: Packet) {
        let Some(pipe) = self.network.pipe(id).filter(|pipe| !pipe.is_over(to)) else { return };
        let (from, here) = (pipe.place(to.other()).machine, pipe.place(to));
        let stalled_until = self.network.stalled_until(from, here.machine);
        if stalled_until > self.now {
            return self.at(stalled_until, What::Packet { pipe: id, to, packet });
        }
        if !self.is_on(here.machine) {
            // Nobody says so; what it was for is over when the machine is back.
            return;
        }
        let epoch = self.epoch(here.machine);
        if let Packet::Syn = packet {
            let Some(epoch) = epoch else {
                self.send(id, Side::Dialler, Packet::Refused);
                return self.network.over(id, Side::Listener);
            };
            let pipe = self.network.pipe_mut(id).expect("it was just there");
            pipe.taken_by(epoch);
            let door = pipe.door;
            if door == Door::Client {
                self.send(id, Side::Dialler, Packet::Welcome);
            }
            return self.news(here.machine, News::Incoming(id, door));
        }
        if epoch != Some(here.epoch) {
            // The process that this was for is no more.
            return self.hang_up(id, to);
        }
        let is_last = matches!(packet, Packet::End | Packet::Refused);
        if let Packet::Welcome = packet {
            self.network.pipe_mut(id).expect("it was just there").answered();
        }
        if here.machine < self.hosts.len() {
            match packet {
                Packet::Syn => {}
                Packet::Welcome => self.news(here.machine, News::Welcome(id)),
                Packet::Ready => self.news(here.machine, News::Ready(id)),
                Packet::Refused => self.news(here.machine, News::Refused(id)),
                Packet::Data(bytes) => self.news(here.machine, News::Data(id, bytes)),
                Packet::End => self.news(here.machine, News::End(id)),
            }
        } else {
            self.person_hears(here.machine - self.hosts.len(), id, packet);
        }
        if is_last {
            self.network.over(id, to);
        }
    }

    fn handshake_late(&mut self, id: PipeId) {
        let Some(pipe) = self.network.pipe(id).filter(|pipe| !pipe.is_over(Side::Dialler)) else {
            return;
        };
        let place = pipe.place(Side::Dialler);
        if !pipe.is_answered() && self.epoch(place.machine) == Some(place.epoch) {
            self.news(place.machine, News::End(id));
            self.hang_up(id, Side::Dialler);
        }
    }

    fn is_on(&self, machine: usize) -> bool {
        self.hosts.get(machine).is_none_or(|host| host.is_on)
    }

    /// Which process runs on a machine.
    fn epoch(&self, machine: usize) -> Option<u64> {
        match self.hosts.get(machine) {
            Some(host) => host.process.as_ref().map(|_| host.epoch),
            // The auditor is behind the people, and never ends.
            None => Some(self.people.get(machine - self.hosts.len()).map_or(1, |one| one.epoch)),
        }
    }

    pub(crate) fn traces(&self) -> bool {
        self.trace
    }

    /// A line of the trace.
    #[expect(clippy::print_stdout, reason = "the trace is what a replay is for")]
    pub(crate) fn say(&self, host: usize, text: impl Fn() -> String) {
        if self.trace {
            println!("{:>10.3} ms  server {}  {}", self.now as f64 / 1e3, host + 1, text());
        }
    }

    /// A line of the trace that is of no one server.
    #[expect(clippy::print_stdout, reason = "the trace is what a replay is for")]
    pub(crate) fn tell(&self, what: &impl std::fmt::Debug) {
        if self.trace {
            println!("{:>10.3} ms  {what:?}", self.now as f64 / 1e3);
        }
    }

    /// Tells when a server's part has changed.
    pub(crate) fn tell_status(&self, host: usize, process: &mut Process) {
        let status = process.node.status();
        let primary = status.primary.map_or("nobody".to_owned(), |primary| primary.to_string());
        let told = match status.role {
            Role::Primary => format!("leads in ballot {}", status.ballot),
            Role::Backup => format!("follows server {primary} in ballot {}", status.ballot),
            Role::Joining => format!("joins, and follows {primary}"),
        };
        if process.told != told {
            self.say(host, || told.clone());
            process.told = told;
        }
    }

    /// Whether each server is awake, holds every write, and knows that all do: a primary alone may
    /// not have noticed that one has died behind a silent link.
    pub(crate) fn all_know_all(&self) -> bool {
        let count = self.hosts.len() as u32;
        self.hosts.iter().all(|host| {
            let status = host.process.as_ref().map(|process| process.node.status());
            let is_one = |status: Status| {
                status.writable && status.in_sync == count && status.role != Role::Joining
            };
            host.stalled_until <= self.now && status.is_some_and(is_one)
        })
    }

    /// Whether all servers are in sync, and have applied the same.
    pub(crate) fn is_whole(&self) -> bool {
        let applied =
            |host: &Host| host.process.as_ref().map(|process| process.node.metrics().applied_index);
        self.all_know_all()
            && self.hosts.iter().all(|host| applied(host) == Some(self.history.len()))
    }
}

fn digest(what: &What) -> u64 {
    match what {
        What::Turn { host, .. } => 1 << 8 | *host as u64,
        What::Work { host, id, .. } => id << 16 | 2 << 8 | *host as u64,
        What::Start { host } => 3 << 8 | *host as u64,
        What::Packet { pipe, packet, .. } => packet.digest() ^ pipe.0 << 20,
        What::HandshakeLate { pipe } => pipe.0 << 20 | 4,
        What::Timer { person } => 5 << 8 | *person as u64,
        What::Act { person } => 6 << 8 | *person as u64,
        What::Power { host } => 7 << 8 | *host as u64,
        What::Fault(_) => 8,
    }
}
