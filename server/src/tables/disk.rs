//! The rows on disk: one fjall keyspace.
//!
//! Exactly one, tables by prefix: fjall recovers each keyspace by itself, so a damaged tail could
//! tear two of them apart. Nothing is synced a batch; the journal can always apply again what the
//! last `persist` does not cover.

use std::ops::ControlFlow;
use std::path::Path;

use fjall::{
    CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot,
};

use super::{Fault, Order, Read, Rows, Views, Visit, Write};

/// Blocks that are kept in memory: the newest pages of what is being talked about. The system keeps
/// the files' pages besides, so that twice as much here made no query faster.
const CACHE_BYTES: u64 = 24 << 20;
/// fjall's own journal, before it makes the memtables go to disk.
const JOURNAL_BYTES_MAX: u64 = 128 << 20;
/// A memtable before it goes to disk. Small: it is memory, and what a start replays. Half of that
/// made applying a third slower and saved no memory worth naming.
const MEMTABLE_BYTES_MAX: u64 = 16 << 20;
/// fjall begins a new journal, and so can drop the present one, only at a flush that finds more
/// than 64,000,000 bytes in it. This is more.
const JOURNAL_FILLING_BYTES: usize = 62 << 20;
/// Filling is written in rows of this size, each a batch.
const FILLER_BYTES: usize = 1 << 20;
/// The row that filling is written under: behind every key that is read, copied or hashed.
const FILLER_KEY: [u8; 1] = [u8::MAX];
/// Flushes until the old journal must be gone: one that begins a new one, one that brings to disk
/// what was written meanwhile, one that looks again. Twice that, for writes that come in between.
const FLUSHES_MAX: usize = 6;
/// Threads for flushing and compaction. One is enough for a chat, and leaves the other cores alone.
const WORKER_THREADS: usize = 1;

fn fault(doing: &'static str) -> impl Fn(fjall::Error) -> Fault {
    move |error| Fault { doing, source: Box::new(error) }
}

/// The rows in a folder.
pub struct DiskRows {
    database: Database,
    keyspace: Keyspace,
}

impl std::fmt::Debug for DiskRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskRows")
    }
}

impl DiskRows {
    /// Opens the rows in `folder`, made if they are not there.
    ///
    /// # Errors
    /// [`Fault`] when they cannot be read.
    pub fn open(folder: &Path) -> Result<DiskRows, Fault> {
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .manual_journal_persist(true)
            .journal_compression(CompressionType::None)
            .worker_threads(WORKER_THREADS)
            .open()
            .map_err(fault("open"))?;
        let options = || {
            KeyspaceCreateOptions::default()
                .manual_journal_persist(true)
                .max_memtable_size(MEMTABLE_BYTES_MAX)
        };
        let keyspace = database.keyspace("rows", options).map_err(fault("open"))?;
        Ok(DiskRows { database, keyspace })
    }
}

fn visit_all(iter: fjall::Iter, order: Order, visit: &mut Visit<'_>) -> Result<(), Fault> {
    let mut see = |guard: fjall::Guard| {
        let (key, value) = guard.into_inner().map_err(fault("read"))?;
        Ok(visit(&key, &value))
    };
    let mut iter = iter;
    loop {
        let next = match order {
            Order::Ascending => iter.next(),
            Order::Descending => iter.next_back(),
        };
        let Some(guard) = next else { return Ok(()) };
        if see(guard)? == ControlFlow::Break(()) {
            return Ok(());
        }
    }
}

impl Read for DiskRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.keyspace.get(key).map_err(fault("read"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if from >= to {
            return Ok(());
        }
        visit_all(self.keyspace.range(from..to), order, visit)
    }
}

struct DiskView {
    snapshot: Snapshot,
    keyspace: Keyspace,
}

impl Read for DiskView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let value = self.snapshot.get(&self.keyspace, key).map_err(fault("read"))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        if from >= to {
            return Ok(());
        }
        visit_all(self.snapshot.range(&self.keyspace, from..to), order, visit)
    }
}

#[derive(Clone)]
struct DiskViews {
    database: Database,
    keyspace: Keyspace,
}

impl DiskViews {
    /// Returns when fjall's journal holds nothing that was written before: what was deleted since
    /// would stay readable in it, for weeks on a quiet server.
    fn renew_journal(&self) -> fjall::Result<()> {
        let filler = vec![0; FILLER_BYTES];
        for written in 1..=JOURNAL_FILLING_BYTES / FILLER_BYTES {
            self.keyspace.insert(FILLER_KEY, filler.as_slice())?;
            // Before a memtable is full: memory is what this must not cost.
            if written % 4 == 0 {
                self.keyspace.rotate_memtable_and_wait()?;
            }
        }
        for _ in 0..FLUSHES_MAX {
            self.keyspace.remove(FILLER_KEY)?;
            self.keyspace.rotate_memtable_and_wait()?;
        }
        Ok(())
    }
}

impl Views for DiskViews {
    fn view(&self) -> Box<dyn Read + Send> {
        let keyspace = self.keyspace.clone();
        Box::new(DiskView { snapshot: self.database.snapshot(), keyspace })
    }

    fn compact(&self) -> Result<(), Fault> {
        self.renew_journal().map_err(fault("compact"))?;
        self.keyspace.major_compact().map_err(fault("compact"))
    }
}

impl Rows for DiskRows {
    fn views(&self) -> Box<dyn Views> {
        Box::new(DiskViews { database: self.database.clone(), keyspace: self.keyspace.clone() })
    }

    fn commit(&mut self, writes: Vec<Write>) -> Result<(), Fault> {
        let mut batch = self.database.batch();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(&self.keyspace, key, value),
                None => batch.remove(&self.keyspace, key),
            }
        }
        batch.commit().map_err(fault("write"))
    }

    fn persist(&mut self) -> Result<(), Fault> {
        self.database.persist(PersistMode::SyncAll).map_err(fault("sync"))
    }
}
