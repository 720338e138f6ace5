//! Many runs on all cores, what they came to in one line, and the shortest plan of one that failed.
//!
//! Owns: the threads and the count. Driven by: `cargo sim` and the suite. Invariants: a run is one
//! thread's; which thread does not matter to it. Does not: know what a run is made of.

use std::cell::RefCell;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::run::{Outcome, Run};
use super::world::Counts;

thread_local! {
    /// What a panic on this thread said, and where.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// What many runs came to.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    pub(crate) seeds: u64,
    pub(crate) counts: Counts,
    pub(crate) failed: Vec<(u64, String)>,
    took: Duration,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { starts, crashes, stops, new_lives, elections, .. } = self.counts;
        let Counts { takeovers, snapshots, acknowledged, resumes, events, .. } = self.counts;
        let a_minute = self.seeds as f64 / self.took.as_secs_f64().max(1e-3) * 60.0;
        write!(
            f,
            "{} seeds: {crashes} crashes, {stops} stops, {new_lives} new lives, {starts} starts, \
             {elections} elections, {takeovers} takeovers, {snapshots} snapshots, {acknowledged} \
             acknowledged sends, {resumes} sign-ins, {events} events, {} violations, {:.1} s, \
             {a_minute:.0} seeds a minute",
            self.seeds,
            self.failed.len(),
            self.took.as_secs_f64()
        )
    }
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: Outcome) {
        self.seeds += 1;
        self.counts.add(&outcome.counts);
        self.failed.extend(outcome.violation.map(|violation| (seed, violation)));
    }
}

/// Says nothing of a panic until it is known what it means.
pub(crate) fn keep_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let said = panic.to_string();
        PANIC.with(|kept| kept.replace(Some(said)));
    }));
}

/// What the last panic of this thread said.
pub(crate) fn last_panic() -> Option<String> {
    PANIC.with(RefCell::take)
}

/// Runs the seeds `first..first + count`, each as `like` but for its seed, for `at_most`;
/// `progress` is told after each.
#[expect(clippy::disallowed_methods, reason = "many runs take threads, and a time that is told")]
pub(crate) fn many(
    like: &Run,
    first: u64,
    count: u64,
    at_most: Duration,
    progress: &(dyn Fn(&Sum) + Sync),
) -> Sum {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let sum = Mutex::new(Sum::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        while began.elapsed() < at_most {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return;
            }
            let outcome = Run { seed, ..like.clone() }.run();
            let mut sum = sum.lock().expect("no holder of this lock panics");
            sum.add(seed, outcome);
            sum.took = began.elapsed();
            progress(&sum);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().expect("no holder of this lock panics");
    sum.failed.sort();
    sum
}

/// The fewest faults with which a run still fails, as far as leaving out halves, quarters and so on
/// finds them; and what it then fails with.
pub(crate) fn shrink(run: &Run) -> Option<(Run, String)> {
    let mut failure = run.run().violation?;
    let mut kept: Vec<usize> = run.plan().into_iter().map(|(at, _)| at).collect();
    let mut length = kept.len().div_ceil(2);
    while length > 0 {
        let mut from = 0;
        while from < kept.len() {
            let mut fewer = kept.clone();
            fewer.drain(from..(from + length).min(kept.len()));
            let tried = Run { keep: Some(fewer.clone()), trace: false, ..run.clone() };
            match tried.run().violation {
                Some(why) => (kept, failure) = (fewer, why),
                None => from += length,
            }
        }
        length = if length == 1 { 0 } else { length.div_ceil(2) };
    }
    Some((Run { keep: Some(kept), ..run.clone() }, failure))
}
