//! What breaks, and how it is mended.
//!
//! Owns: nothing. Driven by: the plan of a run. Invariants: as machines do: a process that ends
//! closes its connections, and its port refuses; a machine without power says nothing at all; what
//! a process gave to the system outlives it, and what was synced outlives the machine's power. Does
//! not: choose.

use holdfast_common::protocol::Role;
use holdfast_server::journal::sim::Faults;

use super::Us;
use super::host::{DiskFault, Host, News};
use super::network::{Packet, Side};
use super::plan::Fault;
use super::store::Folder;
use super::world::{What, World};
use crate::sim::workers::{Random, Thread};

/// Who speaks to a machine that was without power hears of it within this, once it is back.
const RESET_US: Us = 1_000_000;

/// So long after all servers know of a lost disk, its successor counts on every other disk too.
const CARE_US: Us = 300_000;

/// A person comes to a server so long after it was cut off, or is back.
const LANDS_US: Us = 300_000;
/// And looks around so often.
const LOOKS_US: usize = 250_000;

impl World {
    /// A fault of the plan.
    pub(crate) fn strike(&mut self, fault: Fault) {
        let count = self.hosts.len();
        // A lost disk can be survived while others have all of it, and know, on their disks, that
        // it is gone.
        if self.is_careful && self.all_know_all() {
            self.is_careful = false;
            self.careful_until = self.now + CARE_US;
        }
        if fault.is_death() && (self.is_careful || self.careful_until > self.now) {
            return;
        }
        self.tell(&fault);
        match fault {
            Fault::Kill { host, back } => self.kill_for(host, back),
            Fault::KillPrimary { back } => self.kill_for(self.primary().unwrap_or(0), back),
            Fault::KillTwo { hosts: (one, other), apart, back } => {
                self.kill_for(one, back.0);
                self.at(self.now + apart, What::Fault(Fault::Kill { host: other, back: back.1 }));
            }
            Fault::KillAll { back } => (0..count).for_each(|host| self.kill_for(host, back)),
            Fault::Power { host, back } => self.lose_power_for(host, back),
            Fault::PowerAll { back } => (0..count).for_each(|one| self.lose_power_for(one, back)),
            Fault::PowerAtStep { host, steps, back } => self.fail_disk(host, steps, back, true),
            Fault::BadDisk { host, steps, back } => self.fail_disk(host, steps, back, false),
            Fault::FullDisk { host, back } => {
                let full = Faults { bytes_max: Some(0), ..Faults::default() };
                self.hosts[host].folder.disk().set_faults(full);
                self.hosts[host].disk_fails = Some(DiskFault { back, takes_power: false });
            }
            Fault::SlowDisk { host, length } => self.hosts[host].slow_until = self.now + length,
            Fault::Wipe { host, back } => self.wipe(host, back),
            Fault::Freeze { host, length } => self.hosts[host].stalled_until = self.now + length,
            Fault::Sleep { host, length } => self.sleep(host, length),
            Fault::Stall { from, to, length } => self.stall(from, to, length),
            Fault::Cut { hosts: (one, other), length } => {
                self.stall(one, other, length);
                self.stall(other, one, length);
            }
            Fault::Isolate { host, length } => {
                for other in 0..count {
                    self.stall(host, other, length);
                    self.stall(other, host, length);
                }
            }
            Fault::Reset { hosts: (one, other) } => self.reset(one, other),
            Fault::Stop { host, back } => self.stop(host, back),
            Fault::Rolling { every } => {
                for host in 0..count {
                    let at = self.now + every * host as u64;
                    self.at(at, What::Fault(Fault::Stop { host, back: every / 2 }));
                }
            }
            Fault::SetClock { host, ahead_ms } => self.hosts[host].clock.set_wall(ahead_ms),
            Fault::KillPerson { person } => self.kill_person(person),
            Fault::ResetPerson { person, host } => self.reset(count + person, host),
            Fault::CutPerson { person, host, length } => {
                self.stall(count + person, host, length);
                self.stall(host, count + person, length);
            }
            Fault::Maroon { host, person, dies, back, length } => {
                self.maroon(host, person, dies.then_some(back), length);
            }
            Fault::Look { person } => self.person_looks(person),
        }
    }

    fn maroon(&mut self, host: usize, person: usize, back: Option<Us>, length: Us) {
        let count = self.hosts.len();
        for other in (0..count).filter(|other| *other != host) {
            for one in [host, count + person] {
                self.stall(one, other, length);
                self.stall(other, one, length);
            }
        }
        if let Some(back) = back {
            self.at(self.now, What::Fault(Fault::Kill { host, back }));
        }
        let arrives_at = self.now + back.unwrap_or(0) + LANDS_US;
        self.at(arrives_at, What::Fault(Fault::KillPerson { person }));
        for at in (arrives_at..self.now + length).step_by(LOOKS_US).skip(1) {
            self.at(at, What::Fault(Fault::Look { person }));
        }
    }

    fn primary(&self) -> Option<usize> {
        let leads = |host: &Host| {
            let process = host.process.as_ref();
            process.is_some_and(|process| process.node.status().role == Role::Primary)
        };
        self.hosts.iter().position(leads)
    }

    fn kill_for(&mut self, host: usize, back: Us) {
        self.kill(host);
        self.at(self.now + back, What::Start { host });
    }

    fn lose_power_for(&mut self, host: usize, back: Us) {
        self.lose_power(host);
        self.at(self.now + back, What::Power { host });
    }

    fn fail_disk(&mut self, host: usize, steps: u64, back: Us, takes_power: bool) {
        let target = &mut self.hosts[host];
        let disk = target.folder.disk();
        let crash_at = Some(disk.operations() + steps);
        disk.set_faults(Faults { crash_at, ..Faults::default() });
        target.disk_fails = Some(DiskFault { back, takes_power });
    }

    /// A disk is lost while everybody else has all that it had, and no other disk is about to fail.
    fn wipe(&mut self, host: usize, back: Us) {
        let is_next = self.hosts.iter().any(|other| other.disk_fails.is_some());
        if self.hosts.len() > 1 && self.all_know_all() && !is_next {
            self.kill(host);
            self.hosts[host].folder = Folder::new(Random(self.random.next()));
            self.is_careful = true;
            self.at(self.now + back, What::Start { host });
        }
    }

    /// The machine is suspended: nothing moves, and nothing comes through.
    fn sleep(&mut self, host: usize, length: Us) {
        let machines = self.hosts.len() + self.people.len() + 1;
        for other in 0..machines {
            self.stall(host, other, length);
            self.stall(other, host, length);
        }
        let until = self.now + length;
        let target = &mut self.hosts[host];
        target.stalled_until = until;
        target.clock.sleep(self.now, until);
    }

    fn stall(&mut self, from: usize, to: usize, length: Us) {
        let until = self.now + length;
        let path = self.network.path_mut(from, to);
        path.stalled_until = path.stalled_until.max(until);
    }

    fn stop(&mut self, host: usize, back: Us) {
        if self.hosts[host].process.is_some() {
            self.news(host, News::Stop);
            self.hosts[host].starts_after = Some(back);
        }
    }

    /// Everything that is broken is mended.
    pub(crate) fn heal(&mut self) {
        let machines = self.hosts.len() + self.people.len() + 1;
        for from in 0..machines {
            for to in 0..machines {
                let path = self.network.path_mut(from, to);
                path.stalled_until = path.stalled_until.min(self.now);
            }
        }
        for host in 0..self.hosts.len() {
            self.regain_power(host);
            let target = &mut self.hosts[host];
            target.clock.wake(self.now);
            target.disk_fails = None;
            target.folder.disk().set_faults(Faults::default());
            (target.slow_until, target.stalled_until) = (0, 0);
            if target.process.is_none() {
                self.start(host);
            } else {
                self.wake_anew(host);
            }
        }
    }

    /// The process dies (SIGKILL): what it gave to the system survives.
    pub(crate) fn kill(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            self.say(host, || "is killed".to_owned());
            self.counts.crashes += 1;
            self.half_done(host);
            self.end_process(host, true);
        }
    }

    /// What its threads were at is half done: up to some operation of the disk.
    fn half_done(&mut self, host: usize) {
        let steps = self.random.next() % 4;
        let target = &mut self.hosts[host];
        let Some(process) = &mut target.process else { return };
        let disk = target.folder.disk();
        for thread in [Thread::Journal, Thread::Tables] {
            let first = process.jobs.iter().find(|(_, under)| under.thread == thread);
            let first = first.filter(|(_, under)| under.begins <= self.now).map(|(id, _)| *id);
            let Some(under) = first.and_then(|id| process.jobs.remove(&id)) else { continue };
            let crash_at = Some(disk.operations() + steps);
            disk.set_faults(Faults { crash_at, ..Faults::default() });
            // Nobody hears what came of it.
            drop(process.workers.run(under.job));
            disk.set_faults(Faults::default());
        }
    }

    /// The process is no more: the system closes what it had open.
    pub(crate) fn end_process(&mut self, host: usize, is_sudden: bool) {
        self.hosts[host].process = None;
        self.hosts[host].stalled_until = 0;
        for (pipe, side) in self.network.at(host) {
            // A reset may overtake what was on its way.
            if is_sudden && self.random.percent(30) {
                if let Some(at) = self.network.travels(self.now, pipe, side.other()) {
                    self.at(at, What::Packet { pipe, to: side.other(), packet: Packet::End });
                }
                self.network.over(pipe, side);
            } else {
                self.hang_up(pipe, side);
            }
        }
    }

    /// The machine loses power.
    pub(crate) fn lose_power(&mut self, host: usize) {
        if !self.hosts[host].is_on {
            return;
        }
        self.say(host, || "loses power".to_owned());
        self.counts.crashes += 1;
        self.half_done(host);
        let target = &mut self.hosts[host];
        target.process = None;
        (target.is_on, target.stalled_until, target.off_since) = (false, 0, self.now);
        target.folder.lose_power(&mut self.random);
    }

    /// Power is back; the process is not yet.
    pub(crate) fn regain_power(&mut self, host: usize) {
        let target = &mut self.hosts[host];
        if std::mem::replace(&mut target.is_on, true) {
            return;
        }
        let within = RESET_US.min(self.now - target.off_since);
        self.say(host, || "has power again".to_owned());
        let boots_in = self.random.next() % 20_000;
        self.at(self.now + boots_in, What::Start { host });
        for (pipe, side) in self.network.at(host) {
            // Whoever sends again what was never taken is told that nobody knows of it.
            let pause = self.random.next() % (within + 1);
            let to = side.other();
            if let Some(at) = self.network.travels(self.now + pause, pipe, to) {
                self.at(at, What::Packet { pipe, to, packet: Packet::End });
            }
            self.network.over(pipe, side);
        }
    }

    /// The disk failed a process, which ends by that.
    pub(crate) fn faulted(&mut self, host: usize, why: &str) {
        self.say(host, || format!("ends by a fault: {why}"));
        let Some(DiskFault { back, takes_power }) = self.hosts[host].disk_fails.take() else {
            return self
                .fail(format!("server {} ends by a fault of a sound disk: {why}", host + 1));
        };
        if takes_power {
            return self.lose_power_for(host, back);
        }
        self.counts.crashes += 1;
        self.end_process(host, true);
        // What was not synced may never be: the system has given it up.
        self.hosts[host].folder.lose_power(&mut self.random);
        self.at(self.now + back, What::Start { host });
    }

    /// The store is renamed; the next life begins on an empty one.
    pub(crate) fn set_aside(&mut self, host: usize) {
        let random = Random(self.random.next());
        self.hosts[host].folder = Folder::new(random);
        self.hosts[host].has_set_aside = true;
    }

    /// Every connection between two machines is reset.
    pub(crate) fn reset(&mut self, one: usize, other: usize) {
        for pipe in self.network.between(one, other) {
            for side in [Side::Dialler, Side::Listener] {
                if let Some(at) = self.network.travels(self.now, pipe, side) {
                    self.at(at, What::Packet { pipe, to: side, packet: Packet::End });
                }
            }
        }
    }
}
