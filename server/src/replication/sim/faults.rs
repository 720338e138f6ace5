//! Faults at random, by the weights of a profile.

use super::super::Input;
use super::host::Disk;
use super::world::{Event, World};
use crate::entry::StoreId;

impl World {
    pub(crate) fn fault(&mut self) {
        let p = &self.profile;
        let weights = [
            p.crash,
            p.crash_two,
            p.stall,
            p.path_stall,
            p.isolate,
            p.reset,
            p.wipe,
            p.leave,
            p.wall_jump,
        ];
        let mut ticket = self.random.below(weights.iter().sum());
        let kind = weights.iter().position(|weight| match ticket.checked_sub(*weight) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        });
        let host = self.random.index(self.hosts.len());
        let other = (host + 1 + self.random.index(self.hosts.len() - 1)) % self.hosts.len();
        let until = self.now + self.random.within(self.profile.stall_us);
        match kind.unwrap_or(0) {
            0 => self.crash_for_a_while(host),
            1 => {
                self.crash_for_a_while(host);
                let pause = self.random.below(3_000);
                let _ = pause;
                self.crash_for_a_while(other);
            }
            2 => self.stall(host, until),
            3 => {
                self.say(
                    host,
                    &format!("path to {} stalls for {} ms", other + 1, (until - self.now) / 1_000),
                );
                self.paths[host][other].stalled_until = until;
            }
            4 => {
                self.say(host, &format!("is isolated for {} ms", (until - self.now) / 1_000));
                for other in 0..self.hosts.len() {
                    self.paths[host][other].stalled_until = until;
                    self.paths[other][host].stalled_until = until;
                }
            }
            5 => {
                self.say(host, &format!("link to {} is reset", other + 1));
                self.end_links(|link| link.from.0 == host && link.to.0 == other);
            }
            6 => self.wipe(host),
            7 => {
                if self.hosts[host].process.is_some() && self.hosts[host].stalled_until <= self.now
                {
                    self.say(host, "is asked to leave");
                    self.feed(host, Input::Leave);
                }
            }
            _ => {
                self.hosts[host].wall_offset_ms = 1_700_000_000_000 + self.random.below(20_000);
            }
        }
    }

    pub(crate) fn crash_for_a_while(&mut self, host: usize) {
        self.crash(host);
        self.restart_later(host);
    }

    pub(crate) fn restart_later(&mut self, host: usize) {
        let time = self.now + self.random.within(self.profile.restart_us);
        self.at(time, Event::Start { host });
    }

    pub(crate) fn stall(&mut self, host: usize, until: u64) {
        if self.hosts[host].process.is_some() {
            self.say(host, &format!("is stopped for {} ms", (until - self.now) / 1_000));
            self.hosts[host].stalled_until = until;
            self.at(until, Event::Wake { host });
        }
    }

    /// A disk is lost while somebody active still has everything.
    pub(crate) fn wipe(&mut self, host: usize) {
        let has_another = (0..self.hosts.len()).any(|other| {
            other != host
                && self.hosts[other].process.as_ref().is_some_and(|p| p.machine.status().is_active)
        });
        if has_another {
            self.crash(host);
            self.has_wiped = true;
            self.lose_disk(host);
            self.restart_later(host);
        }
    }

    pub(crate) fn lose_disk(&mut self, host: usize) {
        self.say(host, "loses its disk");
        let store = StoreId(self.random.next() >> 32);
        self.hosts[host].disk = Disk::new(store);
    }

    pub(crate) fn heal(&mut self) {
        self.faults_on = false;
        for host in 0..self.hosts.len() {
            self.hosts[host].stalled_until = 0;
            for other in 0..self.hosts.len() {
                self.paths[host][other].stalled_until = 0;
            }
        }
        for host in 0..self.hosts.len() {
            self.say(host, "heals");
            self.start(host);
            self.wake(host);
        }
    }
}
