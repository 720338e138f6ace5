//! Stories about who leads: lost votes, deaf candidates, logs that outrank each other.

use super::super::super::Role;
use super::super::world::World;
use super::Told;

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

/// Votes are called again and again, and each is lost on its way back, while a third is cut off. It
/// is reached when of the two others one dies for good, and one is back at once.
pub(crate) fn lost_votes(world: &mut World) -> Told {
    let (x, y, third) = world.others();
    let for_good = world.now + 60_000_000;
    for other in [x, y] {
        world.paths[third][other].stalled_until = for_good;
        world.paths[other][third].stalled_until = for_good;
    }
    world.cut_between(x, y, true);
    world.until(1_000, |world| !world.is(x, Role::Primary))?;
    for _ in 0..15 {
        world.cut_between(x, y, false);
        let is_called = |world: &World| world.votes(x).or(world.votes(y)).is_some();
        world.until(2_000, is_called)?;
        let over = world.now + 340_000;
        (world.paths[x][y].stalled_until, world.paths[y][x].stalled_until) = (over, over);
        world.run_until(over)?;
    }
    world.cut_off(third, false);
    world.end_links(|link| link.from.0 == third || link.to.0 == third);
    world.crash(x);
    world.crash(y);
    world.start(y);
    Ok(())
}

/// Of five, one hears only one backup, for good; everybody hears it.
pub(crate) fn deaf(world: &mut World) -> Told {
    let n = world.hosts.len();
    let primary = world.primary();
    let (deaf, friend) = ((primary + 1) % n, (primary + 2) % n);
    let for_good = world.now + 60_000_000;
    for other in (0..n).filter(|other| ![deaf, friend].contains(other)) {
        world.paths[other][deaf].stalled_until = for_good;
    }
    world.pass((40_000, 60_000))
}

/// B appends {B, C} and is cut off; A is elected with C, and dies with an entry that nobody else
/// has; C learns of {B, C}, is elected with B or elects it, and both die before an entry of that
/// ballot is durable: A's log outranks theirs.
pub(crate) fn outranked(world: &mut World) -> Told {
    let (b, a, c) = world.others();
    world.cut_between(a, b, true);
    let asks = |world: &World| world.machine(b).is_some_and(|machine| machine.asks().len() == 2);
    world.until(1_500, asks)?;
    world.cut(b, c, true);
    world.until(100, |world| !world.names(b, a))?;
    let promise = |world: &World| world.machine(c).map(|machine| machine.status().promise);
    let before = promise(world);
    world.until(1_500, |world| promise(world) != before)?;
    world.cut(a, c, true);
    world.until(100, |world| world.is(a, Role::Primary))?;
    world.pass((2_000, 4_000))?;
    world.cut(a, c, false);
    world.cut_between(a, b, false);
    world.cut(b, c, false);
    world.crash(a);
    world.end_links(|link| link.from.0 != a && link.to.0 != a);
    world.until(1_000, |world| !world.is(b, Role::Primary))?;
    for host in [b, c] {
        world.hosts[host].sync_us = (5_000, 20_000);
    }
    let has_dropped = |world: &World| {
        let dropped = |host: usize| !world.names(host, a) && world.view(host).1;
        [b, c].into_iter().any(|host| world.is(host, Role::Primary) && dropped(host))
    };
    world.until(1_500, has_dropped)?;
    world.crash(b);
    world.crash(c);
    for host in [a, b, c] {
        world.start(host);
    }
    world.pass((50_000, 500_000))
}
