//! Stories: one fault after another, aimed at one rule, at moments that the seed chooses.
//!
//! Each begins with all servers in sync under a steady writer. What is told here happened to
//! earlier forms of the rules: replication.md, section 10.

use super::super::{Input, Role};
use super::checker::Violation;
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

    /// Nothing passes from one machine to another until this is taken back.
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
}

/// B appends {B, C} and is cut off; A is elected with C and is cut off; B is elected again, and
/// would commit {B, C} at once; B and C die inside A's lease.
pub(crate) fn inherited_removal(world: &mut World) -> Told {
    let (b, a, c) = world.others();
    world.cut(a, b, true);
    world.cut(b, a, true);
    let asks = |world: &World| {
        world.hosts[b].process.as_ref().is_some_and(|process| process.machine.asks().len() == 2)
    };
    world.until(1_500, asks)?;
    world.cut(b, c, true);
    world.until(100, |world| !world.names(b, a))?;
    let promise = |world: &World| {
        world.hosts[c].process.as_ref().map(|process| process.machine.status().promise)
    };
    let before = promise(world);
    world.until(1_500, |world| promise(world) != before)?;
    world.cut(a, c, true);
    world.until(100, |world| world.is(a, Role::Primary))?;
    world.cut(c, a, true);
    world.cut(b, c, false);
    world.end_links(|link| link.from.0 == b && link.to.0 == c);
    world.until(700, |world| world.is(b, Role::Primary))?;
    world.pass((5_000, 60_000))?;
    world.cut_off(a, false);
    world.crash(b);
    world.crash(c);
    world.pass((200_000, 800_000))
}

/// A backup that leaves is let go at once, hears nothing of it, and the others die.
pub(crate) fn leaving(world: &mut World) -> Told {
    let (primary, leaver, other) = world.others();
    world.feed(leaver, Input::Leave);
    world.cut(primary, leaver, true);
    world.until(500, |world| !world.names(primary, leaver))?;
    world.pass((5_000, 100_000))?;
    world.cut(primary, leaver, false);
    world.crash(primary);
    world.crash(other);
    world.pass((5_000, 300_000))
}

/// While a third joins, one of the two members dies: the other goes on, and nothing heals.
pub(crate) fn death_while_joining(world: &mut World) -> Told {
    let (primary, other, joiner) = world.others();
    world.crash(joiner);
    world.until(1_000, |world| !world.names(primary, joiner) && world.view(primary).1)?;
    world.start(joiner);
    world.until(1_000, |world| world.names(primary, joiner))?;
    world.pass((0, 2_000))?;
    let victim = if world.random.percent(50) { primary } else { other };
    world.crash(victim);
    Ok(())
}

/// Both backups die, and come back to a primary that has led for long: admitted, they stay.
pub(crate) fn return_of_both(world: &mut World) -> Told {
    let (primary, first, second) = world.others();
    world.crash(first);
    world.crash(second);
    world.pass((1_500_000, 2_000_000))?;
    world.start(first);
    world.start(second);
    let are_back = |world: &World| world.names(primary, first) && world.names(primary, second);
    world.until(2_000, are_back)?;
    match world.until(300, |world| !are_back(world))? {
        true => Err(Violation("who was admitted was dropped before it could answer".to_owned())),
        false => Ok(()),
    }
}

/// A member is silent for good, another dies and is back at once.
pub(crate) fn silent_third(world: &mut World) -> Told {
    let (_, silent, other) = world.others();
    let for_good = world.now + 60_000_000;
    world.stall(silent, for_good);
    world.pass((0, 400_000))?;
    world.crash(other);
    world.pass((0, 600_000))?;
    world.start(other);
    Ok(())
}

/// Two processes die, at once or one after the other, and nobody comes back.
pub(crate) fn two_deaths(world: &mut World) -> Told {
    let (primary, second, third) = world.others();
    let victims = [[primary, second], [second, primary], [second, third]];
    let [first, second] = victims[world.random.index(3)];
    world.crash(first);
    world.pass((0, 30_000))?;
    world.crash(second);
    Ok(())
}

/// A primary is stopped; another is elected, logs an entry, and dies with its backup; the first
/// wakes, goes on alone, and dies; then all return, the first one last.
pub(crate) fn stopped_primary(world: &mut World) -> Told {
    let (a, b, c) = world.others();
    let until = world.now + world.random.within((400_000, 780_000));
    world.stall(a, until);
    world.until(900, |world| world.leader().is_some_and(|leader| leader != a))?;
    world.pass((0, 3_000))?;
    world.crash(b);
    world.crash(c);
    world.run_until(until)?;
    world.pass((5_000, 60_000))?;
    world.crash(a);
    world.start(b);
    world.start(c);
    world.pass((0, 400_000))?;
    world.start(a);
    world.pass((50_000, 500_000))
}

/// A backup is stopped for seconds and removed; it wakes when the others have just died.
pub(crate) fn stopped_backup(world: &mut World) -> Told {
    let (primary, backup, other) = world.others();
    let until = world.now + world.random.within((1_100_000, 2_500_000));
    world.stall(backup, until);
    world.run_until(until - 20_000)?;
    world.pass((0, 15_000))?;
    world.crash(primary);
    world.crash(other);
    world.run_until(until)?;
    world.pass((5_000, 400_000))
}

/// One that nobody reaches is readmitted by others while an old proof of its death is at hand.
pub(crate) fn old_proof(world: &mut World) -> Told {
    let (primary, a, c) = world.others();
    world.crash(c);
    world.pass((2_000, 20_000))?;
    world.cut(a, c, true);
    world.cut(c, a, true);
    world.start(c);
    world.until(2_000, |world| world.names(primary, c) && world.view(primary).1)?;
    world.pass((2_000, 30_000))?;
    world.cut(primary, a, true);
    world.pass((2_000, 50_000))?;
    world.crash(primary);
    world.cut(primary, a, false);
    world.pass((2_000, 600_000))
}

/// Deaths and returns so that several generations meet: of five, some always lag.
pub(crate) fn generations(world: &mut World) -> Told {
    for _ in 0..12 {
        let n = world.hosts.len();
        let host = world.random.index(n);
        if world.hosts[host].process.is_some() {
            world.crash(host);
        } else {
            world.start(host);
        }
        if world.random.percent(20) {
            let other = world.random.index(n);
            let until = world.now + world.random.within((1_000, 400_000));
            world.stall(other, until);
        }
        world.pass((0, 60_000))?;
    }
    Ok(())
}

/// One that goes on alone is asked for its log while the record of that is still on its way to a
/// slow disk; it dies, and returns without it.
pub(crate) fn slow_takeover(world: &mut World) -> Told {
    let a = world.primary();
    let b = 1 - a;
    world.crash(b);
    world.until(1_000, |world| !world.names(a, b) && world.view(a).1)?;
    let fast = world.hosts[a].sync_us;
    world.hosts[a].sync_us = (20_000, 60_000);
    world.pass((0, 50_000))?;
    world.start(b);
    world.until(1_000, |world| world.names(a, b))?;
    world.pass((0, 3_000))?;
    world.crash(b);
    world.pass((0, 3_000))?;
    world.start(b);
    world.pass((10_000, 50_000))?;
    world.crash(a);
    world.hosts[a].sync_us = fast;
    world.start(a);
    world.pass((20_000, 200_000))?;
    world.crash(a);
    world.pass((0, 400_000))?;
    world.start(a);
    world.pass((50_000, 300_000))
}
