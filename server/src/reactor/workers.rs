//! The threads that do jobs, and the channels to and from them.
//!
//! ```text
//! thread        how many      queue bound by
//! journal       1             one append in flight, and a release now and then
//! tables        1             one apply in flight, and a persist now and then
//! look-up       1             the node's bound on questions
//! page          2             the same
//! maintenance   1             the node's bound on an administrator's long requests
//! hash          cores - 1     one job a thread: the node hands out no more
//! ```
//!
//! Owns: the threads and their channels. Driven by: the reactor's loop. Invariants: results of one
//! thread come back in order; a result is in the channel before the bell rings; a fault of a store
//! comes back like a result and ends the process. Does not: know what a job is for.

#![expect(
    clippy::disallowed_methods,
    reason = "the rim: this is where threads are started and randomness is drawn"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use ring::rand::{SecureRandom, SystemRandom};

use crate::journal::FolderDisk;
use crate::work::{
    Done, Entropy, Fault, HashJob, Hasher, Job, JournalJob, JournalWorker, MaintenanceJob,
    MaintenanceWorker, NextStore, Randomness, ReaderJob, ReaderWorker, TablesJob, TablesWorker,
};

/// Reader threads for pages of things: one may be at work on a long page, others are not to wait.
/// Look-ups of one thing, which sign-ins and sends wait for, have a thread of their own.
const PAGE_READERS: usize = 2;
/// The nice value of hash threads and of maintenance: whatever else wants a core gets it first.
const NICENESS: i32 = 19;

/// Wakes the loop, at most once between two of its turns: a wake is a system call.
#[derive(Debug)]
pub(super) struct Bell {
    waker: mio::Waker,
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(waker: mio::Waker) -> Bell {
        Bell { waker, rung: AtomicBool::new(false) }
    }

    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            // Results would wait for the next deadline, which may be seconds away.
            panic!("the loop cannot be woken: {error}");
        }
    }

    /// The loop is about to look: what comes from here on rings again.
    pub(super) fn hush(&self) {
        self.rung.store(false, Ordering::Release);
    }
}

/// The system's randomness.
struct System(SystemRandom);

impl Randomness for System {
    fn entropy(&mut self) -> Entropy {
        let mut bytes = [0; 48];
        self.0.fill(&mut bytes).expect("the system always has randomness once it is up");
        Entropy(bytes)
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Workers {
    journal: Sender<JournalJob>,
    tables: Sender<TablesJob>,
    look_ups: Sender<ReaderJob>,
    pages: Sender<ReaderJob>,
    maintenance: Sender<MaintenanceJob>,
    hashers: Sender<HashJob>,
    pub(super) done: Receiver<Result<Done, Fault>>,
}

/// Where a thread puts what it found.
#[derive(Clone)]
struct Results {
    done: Sender<Result<Done, Fault>>,
    bell: Arc<Bell>,
}

impl Results {
    fn put(&self, result: Result<Option<Done>, Fault>) {
        // Only at the end of the process is nobody there to read it.
        if let Some(result) = result.transpose()
            && self.done.send(result).is_ok()
        {
            self.bell.ring();
        }
    }
}

impl Workers {
    /// Starts all threads.
    ///
    /// # Errors
    /// The system's, when a thread cannot be started.
    pub(super) fn start(
        (journal, tables, next_store): (
            JournalWorker<FolderDisk>,
            TablesWorker,
            Box<dyn NextStore>,
        ),
        bcrypt_cost: u32,
        hash_threads: usize,
        bell: Arc<Bell>,
    ) -> std::io::Result<Workers> {
        let (done_sender, done) = unbounded();
        let results = Results { done: done_sender, bell };
        let start_reader = |name: &str, jobs: &Receiver<ReaderJob>| {
            let reader = ReaderWorker::new(tables.views());
            let results = results.clone();
            start(name, jobs, move |job| results.put(reader.run(job).map(Some)))
        };
        let (look_ups, jobs) = unbounded();
        start_reader("look-up", &jobs)?;
        let (pages, jobs) = unbounded();
        for _ in 0..PAGE_READERS {
            start_reader("page", &jobs)?;
        }
        let (maintenance, jobs) = unbounded();
        let mut worker = MaintenanceWorker::joining(tables.views(), next_store);
        let results_of = results.clone();
        let mut lowered = false;
        start("maintenance", &jobs, move |job| {
            if !std::mem::replace(&mut lowered, true) {
                lower_priority();
            }
            results_of.put(worker.run(job));
        })?;
        let (journal_sender, jobs) = unbounded();
        let (mut worker, results_of, waiting) = (journal, results.clone(), jobs.clone());
        start("journal", &jobs, move |job| {
            let result = worker.run(job);
            let mut goes_on = result.is_ok();
            results_of.put(result);
            while goes_on {
                let prepared = worker.prepare();
                goes_on = matches!(prepared, Ok(true)) && waiting.is_empty();
                results_of.put(prepared.map(|_more| None));
            }
        })?;
        let (tables_sender, jobs) = unbounded();
        let (mut worker, results_of) = (tables, results.clone());
        start("tables", &jobs, move |job| results_of.put(worker.run(job).map(Some)))?;
        let (hashers, jobs) = unbounded();
        for _ in 0..hash_threads {
            let mut hasher = Hasher::new(bcrypt_cost, System(SystemRandom::new()));
            let results = results.clone();
            let mut lowered = false;
            start("hash", &jobs, move |job| {
                if !std::mem::replace(&mut lowered, true) {
                    lower_priority();
                }
                results.put(Ok(Some(hasher.run(job))));
            })?;
        }
        let (journal, tables) = (journal_sender, tables_sender);
        Ok(Workers { journal, tables, look_ups, pages, maintenance, hashers, done })
    }

    /// Hands a job to its thread.
    pub(super) fn run(&self, job: Job) {
        let taken = match job {
            Job::Journal(job) => self.journal.send(job).is_ok(),
            Job::Tables(job) => self.tables.send(job).is_ok(),
            Job::Reader(job) if job.query.is_page() => self.pages.send(job).is_ok(),
            Job::Reader(job) => self.look_ups.send(job).is_ok(),
            Job::Maintenance(job) => self.maintenance.send(job).is_ok(),
            Job::Hash(job) => self.hashers.send(job).is_ok(),
        };
        assert!(taken, "a thread ends only with the process");
    }
}

fn start<J: Send + 'static>(
    name: &str,
    jobs: &Receiver<J>,
    mut work: impl FnMut(J) + Send + 'static,
) -> std::io::Result<()> {
    let jobs = jobs.clone();
    thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || jobs.iter().for_each(&mut work))
        .map(|_detached| ())
}

/// On Linux a priority is a thread's; elsewhere it would be the whole process's, so it stays.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        log::debug!("a thread keeps its priority: {error}");
    }
}
