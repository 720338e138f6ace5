//! Stories about time: whoever slept, was cut off, or left, and did not notice that the others went
//! on.

use super::super::super::{Input, Role};
use super::super::world::World;
use super::Told;

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

/// Where nobody takes over, a primary is cut off, and both that have granted its lease die and are
/// back at once. Their next lives know nothing of it, and two of three are enough for them: they
/// begin a view without the first, which still answers reads as whoever knows the newest.
pub(crate) fn cold_start_beside_a_lease(world: &mut World) -> Told {
    let (primary, b, c) = world.others();
    world.cut_off(primary, true);
    world.pass((0, 100_000))?;
    for host in [b, c] {
        world.crash(host);
        world.start(host);
    }
    world.until(700, |world| world.is(b, Role::Primary) || world.is(c, Role::Primary))?;
    world.pass((5_000, 600_000))?;
    world.cut_off(primary, false);
    world.pass((5_000, 300_000))
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

/// A primary leaves and is let go, is stopped before it hears that all know it, and wakes inside of
/// its lease: meanwhile the others have gone on without it.
pub(crate) fn leaving_primary(world: &mut World) -> Told {
    let (primary, b, c) = world.others();
    world.feed(primary, Input::Leave);
    world.until(500, |world| world.view(primary).1 && !world.names(primary, primary))?;
    let until = world.now + world.random.within((350_000, 790_000));
    world.stall(primary, until);
    world.end_links(|link| link.from.0 == primary || link.to.0 == primary);
    world.until(700, |world| world.is(b, Role::Primary) || world.is(c, Role::Primary))?;
    world.run_until(until)?;
    world.pass((5_000, 300_000))
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

/// One that was cut off is removed, reached again and admitted in the same life; while a snapshot
/// is on its way to it, the others die.
pub(crate) fn readmitted(world: &mut World) -> Told {
    let (primary, backup, other) = world.others();
    world.cut_off(backup, true);
    world.pass((1_200_000, 1_500_000))?;
    // No log reaches back to what it lacks.
    for host in [primary, other] {
        let host = &mut world.hosts[host];
        let applied = host.process.as_ref().map_or(0, |process| process.applied);
        host.disk.persisted = applied.min(host.disk.log.len() as u64);
        host.disk.first = host.disk.persisted.max(1);
    }
    world.end_links(|link| link.to.0 == backup || link.from.0 == backup);
    world.cut_between(primary, backup, false);
    world.until(1_200, |world| world.names(primary, backup))?;
    world.pass((0, 60_000))?;
    world.cut_between(other, backup, false);
    world.crash(primary);
    world.crash(other);
    world.pass((5_000, 400_000))
}

/// One that was stopped is removed, wakes and is admitted again in the same life; the others die at
/// once, and come back with logs that do not reach back to what it lacks.
pub(crate) fn beyond_the_log(world: &mut World) -> Told {
    let (primary, backup, other) = world.others();
    let until = world.now + world.random.within((1_150_000, 1_900_000));
    world.stall(backup, until);
    world.pass((5_000, 1_000_000))?;
    world.end_links(|link| link.from.0 == primary && link.to.0 == backup);
    world.run_until(until)?;
    world.until(500, |world| world.names(primary, backup))?;
    world.pass((0, 60_000))?;
    world.crash(primary);
    world.crash(other);
    for host in [primary, other] {
        let disk = &mut world.hosts[host].disk;
        disk.first = disk.persisted.max(1);
    }
    world.pass((5_000, 400_000))
}

/// Of five, the primary and one backup are cut off together, and the primary sleeps until the
/// others have gone on without both. Its queue makes it believe that they still answer: it leads
/// the one backup for a while. Then all others die.
pub(crate) fn unconfirmed_grants(world: &mut World) -> Told {
    let n = world.hosts.len();
    let primary = world.primary();
    let friend = (primary + 1 + world.random.index(n - 1)) % n;
    let others: Vec<usize> = (0..n).filter(|host| ![primary, friend].contains(host)).collect();
    let until = world.now + world.random.within((1_700_000, 2_600_000));
    world.stall(primary, until);
    world.pass((0, 2_000))?;
    for other in &others {
        world.cut_between(primary, *other, true);
        world.cut_between(friend, *other, true);
    }
    world.run_until(until)?;
    world.pass((60_000, 250_000))?;
    for other in &others {
        world.cut_between(primary, *other, false);
        world.cut_between(friend, *other, false);
        world.crash(*other);
    }
    world.crash(primary);
    world.pass((5_000, 300_000))
}
