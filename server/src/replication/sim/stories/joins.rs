//! Stories about views that change: who dies, sleeps or comes back while one joins.

use super::super::super::Role;
use super::super::checker::Violation;
use super::super::world::World;
use super::Told;

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
        true => Err(Violation::wait("who was admitted was dropped at once".to_owned())),
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

/// The primary dies and is back at once: it votes for the next one, as the other does, which then
/// falls silent for good.
pub(crate) fn back_at_once(world: &mut World) -> Told {
    let former = world.primary();
    let (next, other) = match former {
        0 => (1, 2),
        1 => (0, 2),
        _ => (0, 1),
    };
    // Its own vote takes longest, so that both others have voted when it wins.
    world.hosts[next].sync_us = (6_000, 9_000);
    world.crash(former);
    world.start(former);
    if world.until(400, |world| world.votes(next) == Some(2))?
        && world.until(50, |world| world.is(next, Role::Primary))?
    {
        let for_good = world.now + 60_000_000;
        world.stall(other, for_good);
    }
    Ok(())
}

/// A view of three has committed: its primary and the one that joined know it, the third does not,
/// and its lease ends. Then the primary dies for good, and the one that joined is back at once.
pub(crate) fn unheard_commit(world: &mut World) -> Told {
    let (primary, other, joiner) = world.others();
    world.crash(joiner);
    world.until(1_000, |world| !world.names(primary, joiner) && world.view(primary).1)?;
    world.start(joiner);
    if !world.until(2_000, |world| world.names(other, joiner))? {
        return Ok(());
    }
    world.cut(primary, other, true);
    let index =
        world.machine(primary).and_then(|machine| machine.log.newest_view()).map(|v| v.index);
    let knows = |world: &World| Some(world.hosts[joiner].disk.hard_state.commit) >= index;
    if !world.until(100, knows)? {
        return Ok(());
    }
    world.pass((850_000, 930_000))?;
    world.crash(primary);
    world.crash(joiner);
    world.cut(primary, other, false);
    world.start(joiner);
    Ok(())
}
