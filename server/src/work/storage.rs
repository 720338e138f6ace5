//! The work of the journal, the tables, the readers and the maintenance.

use std::fs::OpenOptions;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::streams::{NextStore, Streams};
use super::{
    BackedUp, Done, Fault, JournalJob, MaintenanceJob, Marked, ReaderJob, RowsHash, TablesJob,
};
use crate::chat;
use crate::chat::operation::Stamped;
use crate::entry::{Entry, Index, Payload};
use crate::journal::{Batch, Disk, Journal};
use crate::replication::Append;
use crate::replication::wire::Place;
use crate::tables::{Read, Rows, Views, snapshot};

/// Journal that stays on disk for servers that were away for a while; older segments go when the
/// tables are durable beyond them.
const KEEP_BYTES: u64 = 256 << 20;

/// About so many bytes of entries are read at once for a server that is behind: the next write of
/// everybody else waits for it.
const READ_BYTES: usize = 256 << 10;

/// Writes to the journal: there is one for each store.
#[derive(Debug)]
pub struct JournalWorker<D> {
    journal: Journal<D>,
    keep_bytes: u64,
}

impl<D: Disk> JournalWorker<D> {
    /// A worker for an open journal.
    pub fn new(journal: Journal<D>) -> JournalWorker<D> {
        JournalWorker { journal, keep_bytes: KEEP_BYTES }
    }

    /// The same, with another size of what stays on disk for servers that were away.
    pub fn keeping(journal: Journal<D>, keep_bytes: u64) -> JournalWorker<D> {
        JournalWorker { journal, keep_bytes }
    }

    /// Does one job; some have no answer.
    ///
    /// # Errors
    /// [`Fault`]: the process must end.
    pub fn run(&mut self, job: JournalJob) -> Result<Option<Done>, Fault> {
        match job {
            JournalJob::Append(Append { number, hard_state, cut_after, entries }) => {
                self.journal.append(&Batch { hard_state, cut_after, entries })?;
                Ok(Some(Done::Appended(number)))
            }
            JournalJob::Read { after, upto, purpose } => {
                let (previous, entries) = self.read(after, upto)?;
                Ok(Some(Done::Read(purpose, previous, entries)))
            }
            JournalJob::Release { below, erase: false } => {
                self.journal.release(below, self.keep_bytes)?;
                Ok(None)
            }
            JournalJob::Release { below, erase: true } => {
                self.journal.release(below, 0)?;
                Ok(None)
            }
            JournalJob::Roll => {
                // A segment begins with a batch: this one says nothing new.
                self.journal.roll();
                let hard_state = self.journal.hard_state();
                self.journal.append(&Batch { hard_state, cut_after: None, entries: Vec::new() })?;
                Ok(None)
            }
        }
    }

    /// What a job left to do once its result is on its way; says whether more is left, for when no
    /// other job waits.
    ///
    /// # Errors
    /// [`Fault`]: the process must end.
    pub fn prepare(&mut self) -> Result<bool, Fault> {
        Ok(self.journal.prepare()?)
    }

    /// Entries behind `after`, and the place of that one; nothing when the journal begins later.
    fn read(&mut self, after: Index, upto: Index) -> Result<(Option<Place>, Vec<Entry>), Fault> {
        let (base, last) = (self.journal.base(), self.journal.last().0);
        if after < base.0 || after > last {
            return Ok((None, Vec::new()));
        }
        let from = if after == base.0 { after.next() } else { after };
        if from > last {
            return Ok((Some(Place { ballot: base.1, index: base.0 }), Vec::new()));
        }
        let mut entries = self.journal.read(from, upto.max(from), READ_BYTES)?;
        if after == base.0 {
            return Ok((Some(Place { ballot: base.1, index: base.0 }), entries));
        }
        let previous = entries.remove(0);
        Ok((Some(Place { ballot: previous.ballot, index: previous.index }), entries))
    }
}

/// Writes to the tables: there is one for each store.
pub struct TablesWorker {
    rows: Box<dyn Rows>,
}

impl std::fmt::Debug for TablesWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TablesWorker")
    }
}

impl TablesWorker {
    /// A worker for open tables.
    pub fn new(rows: Box<dyn Rows>) -> TablesWorker {
        TablesWorker { rows }
    }

    /// A door for a reader.
    pub fn views(&self) -> Box<dyn Views> {
        self.rows.views()
    }

    /// Applies up to each marker, takes a view there, and goes on: no write waits for a hash.
    fn apply(&mut self, entries: &[Entry]) -> Result<Done, Fault> {
        let mut applied = Vec::with_capacity(entries.len());
        let mut marked = Vec::new();
        for part in entries.split_inclusive(is_marker) {
            applied.extend(chat::apply(&mut *self.rows, part)?);
            if let Some(marker) = part.last().filter(|last| is_marker(last)) {
                marked.push(Marked { index: marker.index, view: self.rows.views().view() });
            }
        }
        Ok(Done::Applied(applied, marked))
    }

    /// Does one job.
    ///
    /// # Errors
    /// [`Fault`]: the process must end.
    pub fn run(&mut self, job: TablesJob) -> Result<Done, Fault> {
        match job {
            TablesJob::Apply(entries) => self.apply(&entries),
            TablesJob::Persist { ran_ms } => {
                chat::note_running(&mut *self.rows, ran_ms)?;
                let applied = chat::meta(&*self.rows)?.applied;
                self.rows.persist()?;
                Ok(Done::Persisted(applied))
            }
        }
    }
}

fn is_marker(entry: &Entry) -> bool {
    matches!(&entry.payload, Payload::Operation(bytes) if Stamped::is_verify(bytes))
}

/// Answers questions; there are as many as reader threads.
pub struct ReaderWorker {
    views: Box<dyn Views>,
}

impl std::fmt::Debug for ReaderWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReaderWorker")
    }
}

impl ReaderWorker {
    /// A worker that reads through this door.
    pub fn new(views: Box<dyn Views>) -> ReaderWorker {
        ReaderWorker { views }
    }

    /// Does one job.
    ///
    /// # Errors
    /// [`Fault`]: the process must end.
    pub fn run(&self, job: ReaderJob) -> Result<Done, Fault> {
        let ReaderJob { ticket, query } = job;
        let (answer, at) = chat::answer(&*self.views.view(), &query)?;
        Ok(Done::Answered(ticket, answer, at))
    }
}

/// Does what takes long: there is one for each store, so that nothing of it overlaps.
pub struct MaintenanceWorker {
    views: Box<dyn Views>,
    streams: Streams,
}

impl std::fmt::Debug for MaintenanceWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaintenanceWorker")
    }
}

impl MaintenanceWorker {
    /// A worker that reads and compacts through this door.
    pub fn new(views: Box<dyn Views>) -> MaintenanceWorker {
        MaintenanceWorker { views, streams: Streams::default() }
    }

    /// The same of a server that may join others.
    pub fn joining(views: Box<dyn Views>, next_store: Box<dyn NextStore>) -> MaintenanceWorker {
        MaintenanceWorker { views, streams: Streams::new(next_store) }
    }

    /// Does one job; some have no answer.
    ///
    /// # Errors
    /// [`Fault`]: the process must end.
    pub fn run(&mut self, job: MaintenanceJob) -> Result<Option<Done>, Fault> {
        let done = match job {
            MaintenanceJob::Backup(ticket, path) => {
                Done::BackedUp(ticket, backup(&*self.views.view(), &path))
            }
            MaintenanceJob::Compact => {
                self.views.compact()?;
                Done::Compacted
            }
            MaintenanceJob::Export(stream) => return self.streams.export(stream, &*self.views),
            MaintenanceJob::EndExport(stream) => {
                self.streams.end_export(stream);
                return Ok(None);
            }
            MaintenanceJob::Receive(stream, part) => {
                self.streams.receive(stream, &part, &*self.views)?
            }
            MaintenanceJob::Discard(stream) => {
                self.streams.discard(stream)?;
                return Ok(None);
            }
            MaintenanceJob::Install { place, promise } => self.streams.install(place, promise)?,
            MaintenanceJob::HashRows(Marked { index, view }) => {
                let (rows, hash) = chat::hash_all(&*view)?;
                Done::RowsHashed(RowsHash { index, rows, hash })
            }
        };
        Ok(Some(done))
    }
}

/// Writes the whole of `view` to a new file. What fails here harms the copy alone.
fn backup(view: &dyn Read, path: &Path) -> Result<BackedUp, String> {
    let written = write_backup(view, path);
    if let Err(why) = &written
        && !why.already_there
        && let Err(error) = std::fs::remove_file(path)
    {
        log::warn!("a part of a backup stays in {}: {error}", path.display());
    }
    written.map_err(|why| format!("{}: {}", path.display(), why.sentence))
}

struct NotWritten {
    sentence: String,
    /// The file was there before: it is somebody else's, and stays.
    already_there: bool,
}

fn write_backup(view: &dyn Read, path: &Path) -> Result<BackedUp, NotWritten> {
    let failed = |error: &dyn std::fmt::Display| NotWritten {
        sentence: error.to_string(),
        already_there: false,
    };
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| NotWritten {
        sentence: format!("{error} (a backup goes to a new file)"),
        already_there: true,
    })?;
    let meta = chat::meta(view).map_err(|error| failed(&error))?;
    let about = format!(
        "{{\"holdfast\":\"{}\",\"cluster\":\"{}\",\"index\":{}}}",
        env!("CARGO_PKG_VERSION"),
        meta.view.map_or_else(String::new, |view| view.cluster.to_string()),
        meta.applied
    );
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let rows = snapshot::export(view, about.as_bytes(), &mut out).map_err(|e| failed(&e))?;
    out.flush().map_err(|error| failed(&error))?;
    let file = out.into_inner().map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))?;
    crate::folder::sync_around(path).map_err(|error| failed(&error))?;
    let bytes = file.metadata().map_err(|error| failed(&error))?.len();
    Ok(BackedUp { index: meta.applied, rows, bytes })
}
