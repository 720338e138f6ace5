//! Stories: one fault after another, aimed at one rule, at moments that the seed chooses.
//!
//! Owns: their list, and what all of them need: who leads, whom a log names, cut paths, waiting.
//! Driven by: `world`, which tells a story once all servers are in sync under a steady writer. What
//! is told happened to earlier forms of the rules (replication.md, section 10), or happens when one
//! of them is switched off (`ablations`). Does not: judge; a story that does not come about, as the
//! seed chose other moments, ends well.

pub(crate) mod elections;
pub(crate) mod joins;
pub(crate) mod leases;
pub(crate) mod proofs;

use super::super::{Policy, Replication, Role};
use super::checker::Violation;
use super::profiles::{Profile, Profiles, Story};
use super::world::World;
use crate::entry::Incarnation;

type Told = Result<(), Violation>;

impl World {
    fn primary(&self) -> usize {
        self.leader().unwrap_or(0)
    }

    fn leader(&self) -> Option<usize> {
        let leads = |host: &usize| self.is(*host, Role::Primary);
        (0..self.hosts.len()).filter(leads).max_by_key(|host| {
            self.hosts[*host].process.as_ref().map(|process| process.machine.ballot())
        })
    }

    fn others(&mut self) -> (usize, usize, usize) {
        let primary = self.primary();
        let n = self.hosts.len();
        let first = 1 + self.random.index(n - 1);
        let second = if first == 1 { 2.min(n - 1) } else { 1 };
        (primary, (primary + first) % n, (primary + second) % n)
    }

    fn is(&self, host: usize, role: Role) -> bool {
        self.hosts[host].process.as_ref().is_some_and(|process| process.machine.role() == role)
    }

    /// The newest view of a host's log, and whether it is known to be committed.
    fn view(&self, host: usize) -> (Vec<Incarnation>, bool) {
        let Some(process) = &self.hosts[host].process else { return (Vec::new(), false) };
        let newest = process.machine.log.newest_view();
        let committed = newest.is_some_and(|placed| placed.index <= process.machine.commit());
        (process.machine.status().members, committed)
    }

    fn names(&self, host: usize, member: usize) -> bool {
        let server = self.hosts[member].server;
        self.view(host).0.iter().any(|one| one.server == server)
    }

    fn pass(&mut self, range_us: (u64, u64)) -> Told {
        let until = self.now + self.random.within(range_us);
        self.run_until(until)
    }

    /// Runs until something holds, event by event nearly; not for ever.
    fn until(&mut self, within_ms: u64, holds: impl Fn(&World) -> bool) -> Result<bool, Violation> {
        let end = self.now + within_ms * 1_000;
        while !holds(self) {
            if self.now >= end {
                return Ok(false);
            }
            self.run_until(self.now + 20)?;
        }
        Ok(true)
    }

    /// Nothing passes from one machine to another until this is taken back, or for three seconds.
    fn cut(&mut self, from: usize, to: usize, is_cut: bool) {
        let until = if is_cut { self.now + 3_000_000 } else { 0 };
        self.say(from, &format!("path to {} {}", to + 1, if is_cut { "stalls" } else { "flows" }));
        self.paths[from][to].stalled_until = until;
    }

    fn cut_off(&mut self, host: usize, is_cut: bool) {
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            self.cut(host, other, is_cut);
            self.cut(other, host, is_cut);
        }
    }

    /// Both directions between two machines.
    fn cut_between(&mut self, one: usize, other: usize, is_cut: bool) {
        self.cut(one, other, is_cut);
        self.cut(other, one, is_cut);
    }

    fn machine(&self, host: usize) -> Option<&Replication> {
        self.hosts[host].process.as_ref().map(|process| &process.machine)
    }

    /// How many support the vote that this host has called.
    fn votes(&self, host: usize) -> Option<usize> {
        self.machine(host).and_then(Replication::votes)
    }
}

/// A story after which everything heals.
fn healed(name: &'static str, servers: usize, story: Story) -> (&'static str, Profiles) {
    (name, Box::new(move |_| Profile::of(name, servers, story)))
}

/// A story after which nothing heals, and yet somebody must serve.
fn unhealed(name: &'static str, servers: usize, story: Story) -> (&'static str, Profiles) {
    let profile = move |_| Profile {
        heals: false,
        alive_within_us: 4_000_000,
        ..Profile::of(name, servers, story)
    };
    (name, Box::new(profile))
}

/// The stories, each with the profile that it is told in.
pub(crate) fn all() -> Vec<(&'static str, Profiles)> {
    let two_deaths = |_| Profile {
        heals: false,
        alive_within_us: 100_000,
        ..Profile::of("two deaths", 3, elections::two_deaths)
    };
    let cold_start = |_| Profile {
        policy: Policy::Majority,
        ..Profile::of("cold start beside a lease", 3, leases::cold_start_beside_a_lease)
    };
    vec![
        healed("forced", 3, proofs::forced),
        healed("inherited removal", 3, leases::inherited_removal),
        healed("leaving", 3, leases::leaving),
        healed("leaving primary", 3, leases::leaving_primary),
        healed("stopped primary", 3, leases::stopped_primary),
        healed("stopped backup", 3, leases::stopped_backup),
        healed("readmitted", 3, leases::readmitted),
        healed("beyond the log", 3, leases::beyond_the_log),
        healed("unconfirmed grants", 5, leases::unconfirmed_grants),
        healed("slow takeover", 2, proofs::slow_takeover),
        healed("old proof", 3, proofs::old_proof),
        healed("late refusal", 3, proofs::late_refusal),
        healed("survivor cut off", 3, proofs::survivor_cut_off),
        healed("last active votes", 3, proofs::last_active_votes),
        healed("generations", 5, elections::generations),
        healed("outranked", 3, elections::outranked),
        unhealed("lost votes", 3, elections::lost_votes),
        unhealed("deaf", 5, elections::deaf),
        unhealed("death while joining", 3, joins::death_while_joining),
        unhealed("silent third", 3, joins::silent_third),
        unhealed("back at once", 3, joins::back_at_once),
        unhealed("unheard commit", 3, joins::unheard_commit),
        ("cold start beside a lease", Box::new(cold_start)),
        ("two deaths", Box::new(two_deaths)),
        ("slow disks", Box::new(Profile::any_slow_disks)),
    ]
}
