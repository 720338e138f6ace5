//! Which faults, how often, how long.

use super::super::{Policy, Rules};
use super::Random;
use super::checker::Violation;
use super::world::World;

/// A mix of faults. Times are in microseconds, weights count against each other.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub(crate) name: &'static str,
    pub(crate) servers: usize,
    pub(crate) policy: Policy,
    pub(crate) rules: Rules,
    /// How long faults go on, and how far they are apart.
    pub(crate) faults_us: u64,
    pub(crate) fault_every_us: (u64, u64),
    pub(crate) crash: u64,
    pub(crate) crash_two: u64,
    pub(crate) stall: u64,
    pub(crate) path_stall: u64,
    pub(crate) isolate: u64,
    pub(crate) reset: u64,
    pub(crate) wipe: u64,
    pub(crate) leave: u64,
    pub(crate) wall_jump: u64,
    pub(crate) restart_us: (u64, u64),
    pub(crate) stall_us: (u64, u64),
    pub(crate) sync_us: (u64, u64),
    pub(crate) delay_us: (u64, u64),
    pub(crate) write_every_us: u64,
    /// Instead of faults at random.
    pub(crate) story: Option<Story>,
    /// Whether everything heals before progress is demanded, and how soon it is.
    pub(crate) heals: bool,
    pub(crate) alive_within_us: u64,
}

/// What happens to a cluster whose servers are all in sync.
pub(crate) type Story = fn(&mut World) -> Result<(), Violation>;

/// A profile for each seed.
pub(crate) type Profiles = Box<dyn Fn(u64) -> Profile>;

impl Profile {
    /// Everything, at random.
    pub(crate) fn mixed(seed: u64, servers: usize) -> Profile {
        let mut random = Random::new(seed ^ 0x5eed);
        let mut weight = |percent: u64, max: u64| match random.percent(percent) {
            true => 1 + random.below(max),
            false => 0,
        };
        Profile {
            name: "mixed",
            servers,
            policy: Policy::Proof,
            rules: Rules::default(),
            faults_us: 6_000_000,
            crash: 2 + weight(80, 10),
            crash_two: weight(40, 6),
            stall: weight(60, 6),
            path_stall: weight(60, 8),
            isolate: weight(40, 4),
            reset: weight(50, 6),
            wipe: weight(20, 2),
            leave: weight(40, 3),
            wall_jump: weight(30, 2),
            fault_every_us: (2_000, 100_000 + 100_000 * weight(60, 6)),
            restart_us: (1_000, 20_000 + 100_000 * weight(70, 20)),
            stall_us: (1_000, 100_000 + 100_000 * weight(70, 20)),
            sync_us: (100, 500 + 1_000 * weight(50, 20)),
            delay_us: (20, 200 + 1_000 * weight(30, 8)),
            write_every_us: 10_000,
            story: None,
            heals: true,
            alive_within_us: 6_000_000,
        }
    }

    /// Nothing fails by itself.
    pub(crate) fn quiet(servers: usize) -> Profile {
        Profile {
            name: "quiet",
            faults_us: 1_000_000,
            crash: 0,
            crash_two: 0,
            stall: 0,
            path_stall: 0,
            isolate: 0,
            reset: 0,
            wipe: 0,
            leave: 0,
            wall_jump: 1,
            fault_every_us: (1 << 40, 1 << 41),
            sync_us: (200, 2_000),
            delay_us: (20, 200),
            ..Profile::mixed(1, servers)
        }
    }

    /// A story, told again and again at other moments.
    pub(crate) fn of(name: &'static str, servers: usize, story: Story) -> Profile {
        Profile { name, story: Some(story), write_every_us: 2_000, ..Profile::quiet(servers) }
    }

    /// Disks that take long, and processes that are back at once.
    pub(crate) fn slow_disks(seed: u64, servers: usize) -> Profile {
        Profile {
            name: "slow disks",
            crash: 10,
            crash_two: 3,
            stall: seed % 2,
            path_stall: seed % 3,
            isolate: 0,
            reset: 1,
            wipe: 0,
            leave: 0,
            wall_jump: 0,
            fault_every_us: (2_000, 60_000),
            restart_us: (1_000, 30_000),
            sync_us: (2_000, 60_000),
            delay_us: (20, 1_000),
            ..Profile::mixed(seed, servers)
        }
    }

    /// A mix for a number of servers that the seed chooses.
    pub(crate) fn any_mixed(seed: u64) -> Profile {
        Profile::mixed(seed, [3, 3, 2, 5][usize::try_from(seed % 4).unwrap()])
    }

    /// Slow disks, likewise.
    pub(crate) fn any_slow_disks(seed: u64) -> Profile {
        Profile::slow_disks(seed, [3, 2, 3, 5][usize::try_from(seed % 4).unwrap()])
    }
}
