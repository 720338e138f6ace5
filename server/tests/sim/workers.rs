//! The threads of one server, in line: whoever drives says when which job is done.
//!
//! Owns: the real workers over a disk and rows in memory. Driven by: the world of one server and
//! the simulator of whole clusters. Invariant: a job is done whole when it is run, and its result
//! is all that comes of it. Does not: order jobs, or take time.

use holdfast_server::journal::sim::SimDisk;
use holdfast_server::tables::MemoryRows;
use holdfast_server::work::{
    Done, Entropy, Fault, Hasher, Job, JournalWorker, MaintenanceWorker, NextStore, Randomness,
    ReaderWorker, TablesWorker,
};

/// bcrypt's cheapest.
pub(crate) const BCRYPT_COST: u32 = 4;

/// A generator whose every seed is good (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap();
        usize::try_from(self.next() % end).unwrap()
    }

    /// Whether something of this likelihood happens.
    pub(crate) fn percent(&mut self, likelihood: usize) -> bool {
        self.below(100) < likelihood
    }
}

impl Randomness for Random {
    fn entropy(&mut self) -> Entropy {
        let mut bytes = [0; 48];
        for eight in bytes.chunks_exact_mut(8) {
            eight.copy_from_slice(&self.next().to_le_bytes());
        }
        Entropy(bytes)
    }
}

/// On which threads jobs are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thread {
    Journal,
    Tables,
    Reader,
    Maintenance,
    Hash,
}

impl Thread {
    pub(crate) fn of(job: &Job) -> Thread {
        match job {
            Job::Journal(_) => Thread::Journal,
            Job::Tables(_) => Thread::Tables,
            Job::Reader(_) => Thread::Reader,
            Job::Maintenance(_) => Thread::Maintenance,
            Job::Hash(_) => Thread::Hash,
        }
    }
}

/// See the module's page.
pub(crate) struct Workers {
    journal: JournalWorker<SimDisk>,
    tables: TablesWorker,
    readers: ReaderWorker,
    maintenance: MaintenanceWorker,
    hasher: Hasher<Random>,
}

impl Workers {
    pub(crate) fn new(
        journal: JournalWorker<SimDisk>,
        rows: &MemoryRows,
        next_store: Option<Box<dyn NextStore>>,
        random: Random,
    ) -> Workers {
        let tables = TablesWorker::new(Box::new(rows.clone()));
        Workers {
            journal,
            readers: ReaderWorker::new(tables.views()),
            maintenance: match next_store {
                None => MaintenanceWorker::new(tables.views()),
                Some(next_store) => MaintenanceWorker::joining(tables.views(), next_store),
            },
            tables,
            hasher: Hasher::new(BCRYPT_COST, random),
        }
    }

    /// Does a job; some have no answer.
    ///
    /// # Errors
    /// [`Fault`]: the disk failed, and the server is dead.
    pub(crate) fn run(&mut self, job: Job) -> Result<Option<Done>, Fault> {
        match job {
            Job::Journal(job) => {
                let journal = &mut self.journal;
                journal.run(job).and_then(|done| journal.prepare().map(|_more| done))
            }
            Job::Tables(job) => self.tables.run(job).map(Some),
            Job::Reader(job) => self.readers.run(job).map(Some),
            Job::Maintenance(job) => self.maintenance.run(job),
            Job::Hash(job) => Ok(Some(self.hasher.run(job))),
        }
    }
}
