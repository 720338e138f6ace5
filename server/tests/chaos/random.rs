//! Chaos at random: kills, stops, wipes, cut links and restarts, as a seed has it, for as long as
//! somebody likes.
//!
//! `CHAOS_SECONDS` says how long (default 20), `CHAOS_SEED` repeats the faults of a former run; the
//! machine's own timing is not repeated.
//!
//! Faults come in storms; after each, everything is mended and the cluster must be whole again.
//! Within
//! a storm anything may die at any time, all of it too, but no disk is lost: a disk is wiped
//! between
//! storms only, when its server has died and the others are known to go on without it. More than
//! that
//! no cluster survives. Every other cluster has short journals: whoever is wiped or away for long
//! joins by a snapshot there.

use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::crowd::Crowd;
use super::support::cluster::Cluster;
use super::support::proxy::{Proxy, Wire};
use super::{Folder, settle};

/// Faults of one storm.
const FAULTS_MAX: u64 = 8;
/// What lies between two faults.
const PAUSE_MS: Range<u64> = 0..700;

/// Numbers that a seed fixes (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = self.below(u64::try_from(choices.len()).expect("a short list"));
        choices[usize::try_from(at).expect("below the length")]
    }
}

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number")))
}

#[test]
fn nothing_is_lost_in_chaos_at_random() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = variable("CHAOS_SEED").unwrap_or(u64::from(clock.subsec_nanos()));
    let time = Duration::from_secs(variable("CHAOS_SECONDS").unwrap_or(20));
    eprintln!("chaos: CHAOS_SEED={seed} CHAOS_SECONDS={}", time.as_secs());
    let mut random = Random(seed);
    let folder = Folder::new();
    let mut cluster = Cluster::prepare(folder.path(), 3, true);
    let has_short_journals = seed.is_multiple_of(2);
    if has_short_journals {
        cluster.environment.push(("TEST_JOURNAL_KEEP_BYTES".to_owned(), "0".to_owned()));
    }
    cluster.launch_all();
    cluster.until_in_sync(3);
    let crowd = Crowd::gather(&cluster.addresses(), 2, Duration::from_millis(40));
    let start = Instant::now();
    while start.elapsed() < time && crowd.is_whole() {
        let mut faults = Vec::new();
        for _ in 0..=random.below(FAULTS_MAX) {
            faults.push(fault(&mut random, &mut cluster));
            let span = PAUSE_MS.end - PAUSE_MS.start;
            let pause_ms = PAUSE_MS.start + random.below(span);
            std::thread::sleep(Duration::from_millis(pause_ms));
        }
        eprintln!("chaos: {:5.0?} {}", start.elapsed(), faults.join(", "));
        calm(&mut cluster, &crowd);
        match random.below(6) {
            0 | 1 => {
                let number = random.of(&cluster.numbers());
                eprintln!("chaos: {:5.0?} wipes {number}", start.elapsed());
                lose_disk(&mut cluster, number);
            }
            2 => {
                eprintln!("chaos: {:5.0?} restarts each in turn", start.elapsed());
                for number in cluster.numbers() {
                    cluster.stop(number);
                    cluster.launch(number);
                    cluster.until_in_sync(3);
                }
            }
            _ => {}
        }
    }
    calm(&mut cluster, &crowd);
    let joined = |number: &u8| cluster.logged(*number).matches("begins another life on it").count();
    let joined: usize = cluster.numbers().iter().map(joined).sum();
    eprintln!("chaos: short journals: {has_short_journals}; {joined} joined by a snapshot");
    settle(&mut cluster, crowd);
}

/// One thing that goes wrong, or right again; says which.
fn fault(random: &mut Random, cluster: &mut Cluster) -> String {
    let numbers = cluster.numbers();
    let number = random.of(&numbers);
    let others: Vec<u8> = numbers.iter().copied().filter(|other| *other != number).collect();
    let other = random.of(&others);
    let wire = random.of(&[Wire::Cut, Wire::Blocked, Wire::BlockedForth]);
    match random.below(18) {
        0..3 => {
            cluster.kill(&[number]);
            format!("kill {number}")
        }
        3..5 => {
            cluster.kill(&[number, other]);
            format!("kill {number} and {other}")
        }
        5 => {
            cluster.kill(&numbers);
            "kill all".to_owned()
        }
        6..8 => {
            cluster.launch_all();
            "start".to_owned()
        }
        8..10 if cluster.awake().contains(&number) => {
            cluster.freeze(number);
            format!("freeze {number}")
        }
        8..10 => {
            cluster.thaw_all();
            "thaw".to_owned()
        }
        10..12 => {
            cluster.wire(number, other).set(wire);
            format!("{wire:?} {number} to {other}")
        }
        12 => {
            cluster.wires_of(number).for_each(|way| way.set(wire));
            format!("{wire:?} {number}")
        }
        13 | 14 if cluster.awake().contains(&number) => {
            cluster.terminate(number);
            format!("stop {number}")
        }
        15 => {
            cluster.wires().for_each(|way| way.delay(Duration::from_millis(5)));
            "slow".to_owned()
        }
        _ => {
            mend(cluster);
            "mend".to_owned()
        }
    }
}

fn mend(cluster: &Cluster) {
    cluster.wires().for_each(|way: &Proxy| {
        way.set(Wire::Whole);
        way.delay(Duration::ZERO);
    });
}

/// Everything is mended: all copies come back, and writes go on.
fn calm(cluster: &mut Cluster, crowd: &Crowd) {
    mend(cluster);
    cluster.thaw_all();
    cluster.launch_all();
    cluster.until_in_sync(3);
    crowd.until_answered(5);
}

/// A server dies and its disk with it. The others go on, and know it, before it comes back.
fn lose_disk(cluster: &mut Cluster, number: u8) {
    cluster.kill(&[number]);
    cluster.until_in_sync(2);
    cluster.wipe(number);
    cluster.launch(number);
}
