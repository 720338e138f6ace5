//! A server's data folder: whose it is, and what former lives left in it.
//!
//! ```text
//! serverN/lock       held by the process that serves
//! serverN/store      the store's id (random, made once) and its life (counts starts)
//! serverN/CURRENT    K: names the tables and the journal that belong together
//! serverN/tables/K   rows        serverN/journal/K   segments
//! serverN/admin.sock the administration socket
//! ```
//!
//! Owns: that layout, and opening it in the one order that is safe. Driven by: `main`, before the
//! loop begins. Invariants: one process at a time; a new life is durable before anything is said
//! under it; `store` is written before anything else and `CURRENT` before the first life, so a
//! store that never lived and lacks it is begun anew, and nothing else is; tables and journal that
//! do not fit together are refused, never repaired. Does not: serve, or delete what it does not
//! understand.

mod current;
mod diverged;
mod restore;
mod secret;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use holdfast_common::ids::{Cursor, ServerId, hex, unhex};

use crate::chat::{self, Meta};
use crate::entry::{Ballot, HardState, Incarnation, Index, StoreId};
use crate::folder as durably;
use crate::journal::{self, Disk, FolderDisk, Journal, OpenError, WatchedFolder};
use crate::replication::Recovered;
use crate::tables::{self, DiskRows, snapshot};
use crate::work::{self, RecoverError};
pub use current::Beside;
use current::Pair;
pub use diverged::{Listed, count_diverged, list_diverged};
pub use restore::restore;
pub use secret::secret;

/// Stores set aside that are kept beside each other: all of them are somebody's data, and as large.
const ASIDE_MAX: u32 = 8;

/// Why a data folder cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process serves from it.
    #[error("{} is in use by another process: is this server running already?", .0.display())]
    Locked(PathBuf),
    /// The system refused something.
    #[error("{}: cannot {doing}: {source}", .path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// What is there cannot be believed.
    #[error(
        "the data in {0} is damaged: {why}. Nothing was changed. If other servers of the cluster \
         take writes (holdfast status), rename this folder to {1} and start again: this server \
         joins from them. Else restore a backup into an empty folder (holdfast restore FILE --id \
         N). Keep what is here until that works",
        .folder.display(), aside(.folder, 1).display()
    )]
    Damaged {
        /// The folder.
        folder: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The folder is another server's.
    #[error("{} holds the data of server {found}, not of server {expected}", .folder.display())]
    OtherServer {
        /// The folder.
        folder: PathBuf,
        /// Whose it is.
        found: ServerId,
        /// Whose it should be.
        expected: ServerId,
    },
    /// `restore` goes into an empty folder only.
    #[error("{} is not empty: a backup is restored into an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// One that is set aside each day would fill the disk.
    #[error(
        "{ASIDE_MAX} stores of this server were set aside already ({}, …): find out why before \
         another one is, and remove those that nobody needs", aside(.0, 1).display()
    )]
    TooManyAside(PathBuf),
    /// A restore was cut short in it.
    #[error(
        "{}: a restore into this folder was not finished: run it again, or empty the folder",
        .0.display()
    )]
    HalfRestored(PathBuf),
    /// The file that should hold the cluster's secret does not.
    #[error(
        "{}: this file holds no secret of at least 32 characters: put it back from a backup, or \
         remove it: clients will then say that this server's identity has changed", .0.display()
    )]
    NoSecret(PathBuf),
    /// The backup cannot be used.
    #[error("{}: {source}", .path.display())]
    Snapshot {
        /// The backup's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: snapshot::SnapshotError,
    },
    /// The backup is whole, but nothing that this program would write.
    #[error("{}: this backup cannot be used: {source}", .path.display())]
    Rows {
        /// The backup's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: chat::RowsError,
    },
    /// The disk refused while the store was being made ready.
    #[error(transparent)]
    Journal(#[from] journal::Fault),
    /// The same, in the tables.
    #[error(transparent)]
    Tables(#[from] tables::Fault),
}

/// An open data folder, ready to serve.
#[derive(Debug)]
pub struct Store {
    /// The journal, all of it readable.
    pub journal: Journal<FolderDisk>,
    /// The rows.
    pub rows: DiskRows,
    /// This life.
    pub incarnation: Incarnation,
    /// Where the tables stand.
    pub applied: Cursor,
    /// What replication goes on from.
    pub recovered: Recovered,
    /// Where a snapshot becomes the next life's store.
    pub beside: Beside,
    /// Kept for as long as the process lives.
    pub lock: File,
}

/// Random numbers that a store may need.
#[derive(Debug, Clone, Copy)]
pub struct Salts {
    /// The id of a store that is made.
    pub store: u64,
    /// The journal's salt for this life.
    pub journal: u32,
}

/// Opens the data folder of `server` for a new life, and makes it if it is not there.
///
/// # Errors
/// [`StoreError`]
pub fn open(folder: &Path, server: ServerId, salts: Salts) -> Result<Store, StoreError> {
    open_sized(folder, server, salts, journal::Options::new(salts.journal))
}

/// The same, with a journal of other sizes than the product's.
///
/// # Errors
/// [`StoreError`]
pub fn open_sized(
    folder: &Path,
    server: ServerId,
    salts: Salts,
    options: journal::Options,
) -> Result<Store, StoreError> {
    let lock = lock(folder)?;
    if folder.join(restore::UNFINISHED).exists() {
        return Err(StoreError::HalfRestored(folder.to_owned()));
    }
    let damaged =
        |why: &str| StoreError::Damaged { folder: folder.to_owned(), why: why.to_owned() };
    let (identity, pair) = match (read_identity(folder)?, current::read(folder)?) {
        (Some(identity), Some(pair)) => (identity, pair),
        (Some(identity), None) if identity.life > 0 => {
            return Err(damaged("CURRENT is missing"));
        }
        // A start writes it before anything else, so whatever is there was a store.
        (None, _) if holds_anything(folder) => {
            return Err(damaged("the file `store` is missing"));
        }
        (found, _) => {
            let store = found.map_or(StoreId(salts.store), |found| found.store);
            let identity = Incarnation { server, store, life: 0 };
            write_identity(folder, identity)?;
            begin(folder, options)?;
            (identity, Pair::FIRST)
        }
    };
    if identity.server != server {
        let folder = folder.to_owned();
        return Err(StoreError::OtherServer { folder, found: identity.server, expected: server });
    }
    let incarnation = Incarnation { life: identity.life + 1, ..identity };
    let disk = FolderDisk::new(&pair.journal(folder));
    let disk = disk.map_err(io_at(folder, "open the journal"))?;
    let (mut journal, rows, meta) = open_pair(folder, pair, disk, options)?;
    let recovered = recover(folder, &mut journal, &meta)?;
    // Only now: the pair in force is whole.
    current::remove_others(folder, Some(pair)).map_err(io_at(folder, "remove old tables"))?;
    // Last: from here on this life may speak.
    write_identity(folder, incarnation)?;
    let applied = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
    let beside = Beside::new(folder, options);
    Ok(Store { journal, rows, incarnation, applied, recovered, beside, lock })
}

/// What `--check` found in a folder that is whole.
#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// The last entry's index.
    pub last: Index,
    /// Entries up to here are in the tables.
    pub applied: Index,
    /// How many rows there are.
    pub rows: u64,
    /// SHA-256 over all of them.
    pub hash: [u8; 32],
    /// Bytes at the journal's end of a batch that nobody was ever answered for: the next start cuts
    /// them off.
    pub torn_bytes: usize,
}

/// Reads everything in a data folder against its checksums and rules, without starting a life. The
/// journal stays as it is; the tables, once opened, may tidy their own files.
///
/// # Errors
/// [`StoreError`]
pub fn check(folder: &Path) -> Result<Checked, StoreError> {
    // Before the lock, which would make the folder.
    let Some(pair) = current::read(folder)? else {
        let folder = folder.to_owned();
        return Err(StoreError::Damaged { folder, why: "there is no store in it".to_owned() });
    };
    let _lock = lock(folder)?;
    let watched = WatchedFolder::new(&pair.journal(folder));
    let (mut journal, rows, meta) = open_pair(folder, pair, watched, journal::Options::new(0))?;
    recover(folder, &mut journal, &meta)?;
    let mut from = journal.first();
    while from <= journal.last().0 {
        let last = journal.last().0;
        let read = journal.read(from, last, work::READ_BYTES)?;
        from = read.last().map_or(last, |entry| entry.index).next();
    }
    chat::check(&rows).map_err(|error| StoreError::Damaged {
        folder: folder.to_owned(),
        why: error.to_string(),
    })?;
    let (rows, hash) = chat::hash_all(&rows)?;
    let torn_bytes = journal.torn_bytes();
    Ok(Checked { last: journal.last().0, applied: meta.applied, rows, hash, torn_bytes })
}

/// Renames a store that is not to be believed: nothing of it is deleted, and the next start makes a
/// new one, which joins the cluster.
///
/// # Errors
/// [`StoreError`]
pub fn set_aside(folder: &Path) -> Result<(), StoreError> {
    // Nobody serves from it.
    let _lock = lock(folder)?;
    let mut names = (1..=ASIDE_MAX).map(|number| aside(folder, number));
    let name = names.find(|name| !name.exists());
    let name = name.ok_or_else(|| StoreError::TooManyAside(folder.to_owned()))?;
    let renamed = fs::rename(folder, &name).and_then(|()| durably::sync_around(folder));
    renamed.map_err(io_at(folder, "set this folder aside"))?;
    log::warn!("the store was set aside as {}", name.display());
    Ok(())
}

/// Whether a store was set aside, here or by an operator, and is still there: it may hold what
/// nobody else does, so the empty store in its place founds no cluster.
pub fn has_set_aside(folder: &Path) -> bool {
    let prefix = aside(folder, "");
    let Some((around, prefix)) = prefix.parent().zip(prefix.file_name()) else { return false };
    let is_one =
        |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(prefix.as_encoded_bytes());
    fs::read_dir(around).is_ok_and(|names| names.flatten().any(|each| is_one(&each.file_name())))
}

fn aside(folder: &Path, number: impl std::fmt::Display) -> PathBuf {
    folder.with_extension(format!("aside-{number}"))
}

fn io_at(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path: path.clone(), doing, source }
}

/// Makes the folder if it is not there, and takes it for this process.
fn lock(folder: &Path) -> Result<File, StoreError> {
    durably::make(folder).map_err(io_at(folder, "make this folder"))?;
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(io_at(&path, "open this file"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked(folder.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(io_at(&path, "lock this file")(source)),
    }
}

/// Whether there is anything of a store besides the file `store`.
fn holds_anything(folder: &Path) -> bool {
    ["CURRENT", "journal", "tables"].iter().any(|name| folder.join(name).exists())
}

/// Makes empty tables and an empty journal, and then `CURRENT`, which makes them count.
fn begin(folder: &Path, options: journal::Options) -> Result<(), StoreError> {
    // What a first start left that was cut short before anything was acknowledged.
    let removed = current::remove_others(folder, None);
    removed.map_err(io_at(folder, "remove an unfinished start"))?;
    let pair = Pair::FIRST;
    let disk = FolderDisk::new(&pair.journal(folder));
    let disk = disk.map_err(io_at(folder, "make the journal"))?;
    Journal::create(disk, (Index(0), Ballot::NONE), HardState::NONE, options)?;
    let tables = pair.tables(folder);
    durably::make(&tables).map_err(io_at(folder, "make the tables"))?;
    drop(DiskRows::open(&tables)?);
    current::write(folder, pair).map_err(io_at(folder, "write CURRENT"))
}

fn open_pair<D: Disk>(
    folder: &Path,
    pair: Pair,
    disk: D,
    options: journal::Options,
) -> Result<(Journal<D>, DiskRows, Meta), StoreError> {
    let damaged = |why: String| StoreError::Damaged { folder: folder.to_owned(), why };
    let journal = Journal::open(disk, options).map_err(|error| match error {
        OpenError::Io(source) => io_at(folder, "read the journal")(source),
        OpenError::Missing | OpenError::Corrupt { .. } => damaged(error.to_string()),
    })?;
    let tables = pair.tables(folder);
    if !tables.exists() {
        return Err(damaged("the tables are missing".to_owned()));
    }
    let rows = DiskRows::open(&tables).map_err(|error| damaged(error.to_string()))?;
    let meta = chat::meta(&rows).map_err(|error| damaged(error.to_string()))?;
    Ok((journal, rows, meta))
}

/// What replication goes on from, in the words of this page.
fn recover<D: Disk>(
    folder: &Path,
    journal: &mut Journal<D>,
    meta: &Meta,
) -> Result<Recovered, StoreError> {
    work::recover(journal, meta).map_err(|error| match error {
        RecoverError::Journal(fault) => fault.into(),
        RecoverError::Gap { .. } | RecoverError::Ahead { .. } => {
            StoreError::Damaged { folder: folder.to_owned(), why: error.to_string() }
        }
    })
}

/// The server, store and life in the file `store`.
fn read_identity(folder: &Path) -> Result<Option<Incarnation>, StoreError> {
    let path = folder.join("store");
    let mut text = String::new();
    match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at(&path, "read this file")(error)),
        Ok(_) => {}
    }
    let mut parts = text.split_whitespace();
    let mut field = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix('=');
    let identity = (|| {
        let server = ServerId(field("server")?.parse().ok()?);
        let store = StoreId(u64::from_be_bytes(unhex(field("store")?)?));
        let life = field("life")?.parse().ok()?;
        Some(Incarnation { server, store, life })
    })();
    identity.map(Some).ok_or_else(|| StoreError::Damaged {
        folder: folder.to_owned(),
        why: "the file `store` does not read as written".to_owned(),
    })
}

fn write_identity(folder: &Path, identity: Incarnation) -> Result<(), StoreError> {
    let Incarnation { server, store, life } = identity;
    let text = format!("server={server} store={} life={life}\n", hex(&store.0.to_be_bytes()));
    let path = folder.join("store");
    durably::replace(&path, text.as_bytes()).map_err(io_at(&path, "write this file"))
}

#[cfg(test)]
mod tests;
