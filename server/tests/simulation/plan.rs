//! Which faults a run has: a list that is made beforehand, so that any part of it can be left out.
//!
//! Owns: the mix and its likelihoods. Driven by: a run. Invariants: the plan follows from its seed
//! alone; leaving a fault out changes no other. Does not: do anything (`faults` does).

use std::fmt;

use super::Us;
use super::person::NAMES;
use crate::sim::workers::Random;

/// The first fault: by then a cluster that began well serves, but one that is slow is hit earlier.
const FIRST_US: Us = 200_000;

/// Kinds that are drawn.
const KINDS: usize = 24;
/// How long somebody is marooned, at least: a server's patience, and time to look.
const MAROONED_US: Us = 2_500_000;

/// One thing that breaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// A process is killed, and started again later.
    Kill { host: usize, back: Us },
    /// Whoever leads is killed.
    KillPrimary { back: Us },
    /// Two are killed, the second so much later.
    KillTwo { hosts: (usize, usize), apart: Us, back: (Us, Us) },
    /// All are killed at one instant.
    KillAll { back: Us },
    /// A machine loses power.
    Power { host: usize, back: Us },
    /// All do, at one instant.
    PowerAll { back: Us },
    /// A machine loses power at an operation of its disk, so many from now.
    PowerAtStep { host: usize, steps: u64, back: Us },
    /// The disk fails at an operation, so many from now; it works again later.
    BadDisk { host: usize, steps: u64, back: Us },
    /// The disk is full; somebody makes room later.
    FullDisk { host: usize, back: Us },
    /// Syncs take long.
    SlowDisk { host: usize, length: Us },
    /// All data is lost.
    Wipe { host: usize, back: Us },
    /// SIGSTOP, and SIGCONT later.
    Freeze { host: usize, length: Us },
    /// The machine is suspended.
    Sleep { host: usize, length: Us },
    /// Nothing comes through one way.
    Stall { from: usize, to: usize, length: Us },
    /// Nothing comes through either way.
    Cut { hosts: (usize, usize), length: Us },
    /// Nothing comes from or to a server, of other servers.
    Isolate { host: usize, length: Us },
    /// Connections between two servers are reset.
    Reset { hosts: (usize, usize) },
    /// An operator stops a server, and starts it again later.
    Stop { host: usize, back: Us },
    /// One server after the other is stopped and started.
    Rolling { every: Us },
    /// Somebody sets the wall clock.
    SetClock { host: usize, ahead_ms: u64 },
    /// A client's program is killed and started again.
    KillPerson { person: usize },
    /// A client's connections to a server are reset.
    ResetPerson { person: usize, host: usize },
    /// Nothing comes through between a client and a server.
    CutPerson { person: usize, host: usize, length: Us },
    /// One server and one person are cut off together. The program of the person starts anew there,
    /// and so did the server, if it died: it was away for a time that it does not know of.
    Maroon { host: usize, person: usize, dies: bool, back: Us, length: Us },
    /// A person looks at everything.
    Look { person: usize },
}

impl Fault {
    /// Whether a process or a machine goes by it.
    pub(crate) fn is_death(&self) -> bool {
        match self {
            Fault::Kill { .. }
            | Fault::KillPrimary { .. }
            | Fault::KillTwo { .. }
            | Fault::KillAll { .. }
            | Fault::Power { .. }
            | Fault::PowerAll { .. }
            | Fault::PowerAtStep { .. }
            | Fault::BadDisk { .. }
            | Fault::FullDisk { .. }
            | Fault::Wipe { .. }
            | Fault::Stop { .. }
            | Fault::Rolling { .. } => true,
            Fault::SlowDisk { .. }
            | Fault::Freeze { .. }
            | Fault::Sleep { .. }
            | Fault::Stall { .. }
            | Fault::Cut { .. }
            | Fault::Isolate { .. }
            | Fault::Reset { .. }
            | Fault::SetClock { .. }
            | Fault::KillPerson { .. }
            | Fault::ResetPerson { .. }
            | Fault::Maroon { .. }
            | Fault::Look { .. }
            | Fault::CutPerson { .. } => false,
        }
    }
}

/// A fault and its time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planned {
    pub(crate) at: Us,
    pub(crate) fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>10.3} ms  {:?}", self.at as f64 / 1e3, self.fault)
    }
}

/// How often each kind is drawn in one seed: some seeds know only some kinds.
struct Mix {
    weights: [usize; KINDS],
    /// Between two faults.
    every: Us,
    /// How long a process or machine is away, at most.
    away: Us,
    /// How long something stalls, at most.
    stalls: Us,
}

impl Mix {
    fn new(random: &mut Random) -> Mix {
        const USUAL: [usize; KINDS] =
            [8, 8, 6, 2, 4, 2, 6, 2, 2, 3, 3, 6, 2, 6, 5, 4, 6, 5, 2, 2, 3, 4, 3, 3];
        let mut weights = USUAL;
        for weight in &mut weights {
            match random.below(10) {
                0..4 => *weight = 0,
                4 => *weight *= 5,
                _ => {}
            }
        }
        // No seed without deaths.
        weights[0] = weights[0].max(2);
        let long = |random: &mut Random, most: Us| match random.percent(50) {
            true => most,
            false => most / 10,
        };
        Mix {
            weights,
            every: [60_000, 300_000, 700_000, 1_500_000][random.below(4)],
            away: long(random, 1_500_000),
            stalls: long(random, 2_500_000),
        }
    }

    fn draw(&self, servers: usize, random: &mut Random) -> Fault {
        let mut ticket = random.below(self.weights.iter().sum());
        let kind = self.weights.iter().position(|weight| match ticket.checked_sub(*weight) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        });
        let host = random.below(servers);
        let other = (host + 1 + random.below(servers.max(2) - 1)) % servers;
        let person = random.below(NAMES.len());
        let hosts = (host, other);
        let back = 500 + random.next() % self.away;
        let length = 500 + random.next() % self.stalls;
        let steps = 1 + random.next() % 12;
        match kind.unwrap_or(0) {
            0 => Fault::Kill { host, back },
            1 => Fault::KillPrimary { back },
            2 => {
                let apart = [0, 200, 3_000, 40_000][random.below(4)];
                let second = 500 + random.next() % self.away;
                Fault::KillTwo { hosts, apart, back: (back, second) }
            }
            3 => Fault::KillAll { back },
            4 => Fault::Power { host, back },
            5 => Fault::PowerAll { back },
            6 => Fault::PowerAtStep { host, steps, back },
            7 => Fault::BadDisk { host, steps, back },
            8 => Fault::FullDisk { host, back },
            9 => Fault::SlowDisk { host, length },
            10 => Fault::Wipe { host, back },
            11 => Fault::Freeze { host, length },
            12 => Fault::Sleep { host, length },
            13 => Fault::Stall { from: host, to: other, length },
            14 => Fault::Cut { hosts, length },
            15 => Fault::Isolate { host, length },
            16 => Fault::Reset { hosts },
            17 => Fault::Stop { host, back },
            18 => Fault::Rolling { every: 200_000 + back },
            19 => Fault::SetClock { host, ahead_ms: random.next() % 20_000 },
            20 => Fault::KillPerson { person },
            21 => Fault::ResetPerson { person, host },
            22 => Fault::CutPerson { person, host, length },
            _ => {
                let (dies, length) = (random.percent(60), length.max(back) + MAROONED_US);
                Fault::Maroon { host, person, dies, back, length }
            }
        }
    }
}

/// The faults of a seed, in the order of their times.
pub(crate) fn plan(seed: u64, servers: usize, until: Us) -> Vec<Planned> {
    let mut random = Random(seed ^ 0xfa17);
    let mix = Mix::new(&mut random);
    let mut planned = Vec::new();
    let mut at = FIRST_US + random.next() % 1_000_000;
    while at < until {
        planned.push(Planned { at, fault: mix.draw(servers, &mut random) });
        at += 1_000 + random.next() % (2 * mix.every);
    }
    planned
}
