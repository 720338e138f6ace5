//! Runs of many seeds.

use super::super::Policy;
use super::checker::Violation;
use super::profiles::Profile;
use super::world::{Counts, World};

/// Runs one seed; a broken own invariant of a machine counts as a failure like any other.
pub(crate) fn run(seed: u64, profile: &Profile) -> Result<Counts, Violation> {
    let body = || World::new(seed, profile.clone(), false).run();
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(Violation::loss(text.unwrap_or_default()))
    })
}

/// What happened before a failure, a line a change.
pub(crate) fn trace(seed: u64, profile: &Profile, lines: usize) -> String {
    let mut world = World::new(seed, profile.clone(), true);
    let body = std::panic::AssertUnwindSafe(|| world.run());
    drop(std::panic::catch_unwind(body));
    let trace = world.trace.unwrap_or_default();
    trace[trace.len().saturating_sub(lines)..].join("\n")
}

pub(crate) fn number(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how many seeds is the caller's choice")]
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub(crate) fn many(name: &str, profile: impl Fn(u64) -> Profile, seeds: u64) {
    let first = number("SEED", 1);
    let seeds = number("SEEDS", seeds);
    let mut sum = Counts::default();
    let mut failed = Vec::new();
    for seed in first..first + seeds {
        match run(seed, &profile(seed)) {
            Ok(counts) => {
                sum.crashes += counts.crashes;
                sum.elections += counts.elections;
                sum.takeovers += counts.takeovers;
                sum.cold_starts += counts.cold_starts;
                sum.new_lives += counts.new_lives;
                sum.snapshots += counts.snapshots;
                sum.acknowledged += counts.acknowledged;
                sum.events += counts.events;
                sum.blocked += counts.blocked;
            }
            Err(violation) => failed.push((seed, violation)),
        }
    }
    println!("{name}: {seeds} seeds, {} failed: {sum:?}", failed.len());
    if let Some((seed, violation)) = failed.first() {
        let lines = usize::try_from(number("LINES", 60)).unwrap();
        println!("{}", trace(*seed, &profile(*seed), lines));
        for (seed, violation) in failed.iter().take(10) {
            println!("SEED={seed}: {}", violation.what);
        }
        panic!("SEED={seed}: {}", violation.what);
    }
}

#[test]
fn three_servers_survive_whatever_happens() {
    many("three", |seed| Profile::mixed(seed, 3), 50);
}

#[test]
fn two_servers_survive_whatever_happens() {
    many("two", |seed| Profile::mixed(seed, 2), 30);
}

#[test]
fn five_servers_survive_whatever_happens() {
    many("five", |seed| Profile::mixed(seed, 5), 20);
}

#[test]
fn seven_servers_survive_whatever_happens() {
    many("seven", |seed| Profile::mixed(seed, 7), 5);
}

#[test]
fn without_takeovers_nothing_is_lost_either() {
    let policy = Policy::Majority;
    many("majority", |seed| Profile { policy, ..Profile::mixed(seed, 3) }, 30);
}

#[test]
fn where_silence_counts_as_death_nothing_is_lost_either() {
    // Nothing is silent for so long here: a split where both sides serve is the node's story.
    let policy = Policy::Timeout;
    many("timeout", |seed| Profile { policy, ..Profile::mixed(seed, 3) }, 30);
}

/// Seeds that nobody has tried yet: from the clock, for `SIM_SECONDS`, or from `SEED` on.
#[test]
#[expect(clippy::disallowed_methods, reason = "fresh seeds come from the clock, as does their end")]
fn fresh_seeds_survive_too() {
    let began = std::time::Instant::now();
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = number("SEED", since_epoch.map_or(1, |since| since.as_secs() << 12));
    let seconds = number("SIM_SECONDS", 10);
    let mut kinds = super::stories::all();
    kinds.push(("seven", Box::new(|seed| Profile::mixed(seed, 7))));
    kinds.resize_with(2 * kinds.len(), || ("mixed", Box::new(Profile::any_mixed)));
    let mut seed = first;
    loop {
        let (name, profile) = &kinds[usize::try_from(seed % kinds.len() as u64).unwrap()];
        if let Err(violation) = run(seed, &profile(seed)) {
            println!("{}", trace(seed, &profile(seed), 60));
            panic!("SEED={seed} SIM_SECONDS=0, {name}: {}", violation.what);
        }
        seed += 1;
        if began.elapsed().as_secs() >= seconds {
            break;
        }
    }
    println!("fresh: {} seeds from SEED={first} on", seed - first);
}

/// A run of the past that lost something, or waited for ever, and the story of it.
#[test]
fn what_once_failed_ends_well() {
    // A restarted server caught up from one whose last entry had the higher ballot, although it
    // contradicted what the first one knew to be committed: that is no fault of either.
    for seed in 110..115 {
        run(seed, &Profile::slow_disks(seed, 3)).unwrap();
    }
    // A server learned only from a candidate's log, after its primary's death, that it had been
    // about to join: it kept its life until a canvass found it, and by then the survivor's lease
    // had ended.
    let story = super::stories::leases::stopped_backup;
    // One that was stopped, removed and was being admitted again was granted stamps before it had
    // the log, and used the lease for the view that it still had.
    run(202_443, &Profile::of("stopped backup", 3, story)).unwrap();
    // A primary did not see that a snapshot had come to stand where it was about to send one.
    run(202_117, &Profile::of("stopped backup", 3, story)).unwrap();
    run(225_760, &Profile::mixed(225_760, 3)).unwrap();
    // One that had left a view of one other behind took that for being alone, and read as the
    // newest what the other had gone beyond.
    for (seed, servers) in [(7_118, 3), (29_448, 3), (2_323, 5)] {
        run(seed, &Profile::mixed(seed, servers)).unwrap();
    }
    // Where nobody takes over, two that had just restarted went on without the third, which led
    // them: their former lives had granted it a lease, and it read as the newest what they had gone
    // beyond. Nothing that those lives promised was on a disk.
    for seed in [85, 261, 397, 405, 460, 639] {
        run(seed, &Profile { policy: Policy::Majority, ..Profile::mixed(seed, 3) }).unwrap();
    }
    let story = super::stories::joins::death_while_joining;
    let joining = Profile { heals: false, ..Profile::of("joining", 3, story) };
    for seed in [2056, 5909] {
        run(seed, &Profile { alive_within_us: 4_000_000, ..joining.clone() }).unwrap();
    }
}

#[test]
fn who_was_just_admitted_is_not_taken_for_silent() {
    let story = super::stories::joins::return_of_both;
    many("return", |_| Profile { heals: false, ..Profile::of("return", 3, story) }, 20);
}

#[test]
fn three_servers_start_and_serve_when_nothing_fails() {
    let quiet = |_| {
        let mut profile = Profile::mixed(1, 3);
        (profile.fault_every_us, profile.name) = ((1 << 40, 1 << 41), "quiet");
        (profile.crash, profile.wall_jump, profile.faults_us) = (0, 1, 2_000_000);
        (profile.crash_two, profile.stall, profile.path_stall, profile.isolate) = (0, 0, 0, 0);
        (profile.reset, profile.wipe, profile.leave) = (0, 0, 0);
        profile
    };
    many("quiet", quiet, 5);
}
