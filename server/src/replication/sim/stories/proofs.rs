//! Stories about evidence of death, and about what the last survivor may do with it.

use super::super::super::{Input, Role};
use super::super::world::World;
use super::Told;

/// One that nobody reaches is readmitted by others while an old proof of its death is at hand; then
/// the primary dies, and is back for that one only.
pub(crate) fn old_proof(world: &mut World) -> Told {
    let (primary, a, c) = world.others();
    world.crash(c);
    world.pass((2_000, 20_000))?;
    world.cut_between(a, c, true);
    world.start(c);
    world.until(2_000, |world| world.names(primary, c) && world.view(primary).1)?;
    world.pass((2_000, 30_000))?;
    world.cut(primary, a, true);
    world.pass((2_000, 50_000))?;
    world.cut(primary, a, false);
    world.crash(primary);
    world.pass((2_000, 200_000))?;
    world.cut_off(a, true);
    world.start(primary);
    world.pass((1_300_000, 2_500_000))
}

/// A dial to a dead server is refused, and the refusal comes when its next life has long been
/// admitted by others; then the primary dies, and is back for that one only.
pub(crate) fn late_refusal(world: &mut World) -> Told {
    let (primary, a, c) = world.others();
    world.crash(c);
    world.until(1_000, |world| !world.names(primary, c) && world.view(primary).1)?;
    world.pass((2_000, 20_000))?;
    // Long enough for a dial of A to begin, not for one of C.
    let late = world.now + world.random.within((150_000, 280_000));
    world.paths[c][a].stalled_until = late;
    world.pass((60_000, 80_000))?;
    world.cut(c, a, false);
    world.start(c);
    world.until(100, |world| world.names(primary, c) && world.view(primary).1)?;
    world.run_until(late + 2_000)?;
    world.cut_between(a, c, true);
    world.crash(primary);
    world.pass((2_000, 200_000))?;
    world.cut_off(a, true);
    world.start(primary);
    world.pass((1_300_000, 2_500_000))
}

/// Two die, the third goes on alone and is cut off, and the two come back.
pub(crate) fn survivor_cut_off(world: &mut World) -> Told {
    let (survivor, first, second) = world.others();
    world.crash(first);
    world.crash(second);
    let is_alone = |world: &World| !world.names(survivor, first) && !world.names(survivor, second);
    world.until(1_000, |world| is_alone(world) && world.view(survivor).1)?;
    world.pass((2_000, 50_000))?;
    world.cut_off(survivor, true);
    world.start(first);
    world.start(second);
    world.pass((1_400_000, 2_500_000))
}

/// One that goes on alone is asked for its log while the record of that is still on its way to a
/// slow disk; it dies, and returns without it.
pub(crate) fn slow_takeover(world: &mut World) -> Told {
    let a = world.primary();
    let b = 1 - a;
    world.crash(b);
    world.until(1_000, |world| !world.names(a, b) && world.view(a).1)?;
    let fast = world.hosts[a].sync_us;
    world.hosts[a].sync_us = (60_000, 150_000);
    world.pass((0, 100_000))?;
    world.start(b);
    world.until(1_000, |world| world.names(a, b))?;
    world.pass((0, 3_000))?;
    world.crash(b);
    world.pass((0, 3_000))?;
    world.start(b);
    world.pass((20_000, 120_000))?;
    world.crash(a);
    world.crash(b);
    world.hosts[a].sync_us = fast;
    world.start(a);
    world.pass((20_000, 400_000))?;
    world.start(b);
    world.pass((0, 100_000))?;
    world.crash(a);
    world.start(a);
    world.pass((50_000, 300_000))
}

/// The primary and one backup die and are back at once; the other backup, whose lease runs on, is
/// reached by one of them only, and votes for it. Then it hears of the other's death, and is cut
/// off.
pub(crate) fn last_active_votes(world: &mut World) -> Told {
    let (former, backup, other) = world.others();
    world.cut_between(backup, other, true);
    world.pass((1_000, 20_000))?;
    world.crash(former);
    world.crash(other);
    world.start(former);
    world.start(other);
    let promise = |world: &World| world.hosts[backup].disk.hard_state.promise;
    let before = promise(world);
    world.until(600, |world| promise(world) != before)?;
    world.cut_between(backup, former, true);
    world.cut_between(backup, other, false);
    world.until(600, |world| world.is(backup, Role::Primary))?;
    world.cut_off(backup, true);
    world.pass((1_300_000, 2_300_000))
}

/// All die, two lose their disks, and the administrator says so to the third.
pub(crate) fn forced(world: &mut World) -> Told {
    let (survivor, first, second) = world.others();
    for host in [survivor, first, second] {
        world.crash(host);
    }
    for host in [first, second] {
        world.lose_disk(host);
    }
    world.start(survivor);
    world.pass((0, 900_000))?;
    world.feed(survivor, Input::ForceSurvivor);
    world.pass((0, 300_000))
}
