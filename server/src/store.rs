//! A server's data folder: whose it is, and what former lives left in it.
//!
//! ```text
//! serverN/lock       held by the process that serves
//! serverN/store      the store's id (random, made once) and its life (counts starts)
//! serverN/CURRENT    names the tables and the journal that belong together
//! serverN/tables/K   rows        serverN/journal/K   segments
//! serverN/admin.sock the administration socket
//! ```
//!
//! Owns: that layout, and opening it in the one order that is safe. Driven by: `main`, before the
//! loop begins. Invariants: one process at a time; a new life is durable before anything is said
//! under it; `CURRENT` is written before the first life, so a store that never lived and lacks it
//! is begun anew; tables and journal that do not fit together are refused, never repaired. Does
//! not: serve, or delete what it does not understand.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use holdfast_common::config::Secret;
use holdfast_common::ids::{Cursor, ServerId, hex, unhex};

use crate::chat::{self, Meta};
use crate::entry::{Ballot, Entry, HardState, Incarnation, Index, Payload, StoreId, View};
use crate::journal::{self, Batch, FolderDisk, Journal, OpenError};
use crate::replication::Recovered;
use crate::tables::{self, DiskRows, snapshot};
use crate::work::{self, RecoverError};

/// Entries are read from the journal in pieces of about this many bytes at a start.
const READ_BYTES: usize = 4 << 20;

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
        "the data in {} is damaged: {why}. Nothing was changed. Restore a backup into an empty \
         folder (holdfast restore FILE --id N), and keep this one until that works", .folder.display()
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
    /// The backup cannot be used.
    #[error("{}: {source}", .path.display())]
    Snapshot {
        /// The backup's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: snapshot::SnapshotError,
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
    let lock = lock(folder)?;
    let options = journal::Options::new(salts.journal);
    let identity = match read_identity(folder)? {
        Some(identity) if has_current(folder)? => identity,
        Some(identity) if identity.life > 0 => {
            let (folder, why) = (folder.to_owned(), "CURRENT is missing".to_owned());
            return Err(StoreError::Damaged { folder, why });
        }
        found => {
            let store = found.map_or(StoreId(salts.store), |found| found.store);
            let identity = Incarnation { server, store, life: 0 };
            write_identity(folder, identity)?;
            begin(folder, options)?;
            identity
        }
    };
    if identity.server != server {
        let folder = folder.to_owned();
        return Err(StoreError::OtherServer { folder, found: identity.server, expected: server });
    }
    let incarnation = Incarnation { life: identity.life + 1, ..identity };
    let (mut journal, rows, meta) = open_current(folder, options)?;
    let recovered = recover(folder, &mut journal, &meta)?;
    // Last: from here on this life may speak.
    write_identity(folder, incarnation)?;
    let applied = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
    Ok(Store { journal, rows, incarnation, applied, recovered, lock })
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
}

/// Reads everything in a data folder against its checksums and rules, without starting a life.
///
/// # Errors
/// [`StoreError`]
pub fn check(folder: &Path) -> Result<Checked, StoreError> {
    // Before the lock, which would make the folder.
    if !has_current(folder)? {
        let folder = folder.to_owned();
        return Err(StoreError::Damaged { folder, why: "there is no store in it".to_owned() });
    }
    let _lock = lock(folder)?;
    let (mut journal, rows, meta) = open_current(folder, journal::Options::new(0))?;
    recover(folder, &mut journal, &meta)?;
    let mut from = journal.first();
    while from <= journal.last().0 {
        let last = journal.last().0;
        let read = journal.read(from, last, READ_BYTES)?;
        from = read.last().map_or(last, |entry| entry.index).next();
    }
    let (rows, hash) = chat::hash_all(&rows)?;
    Ok(Checked { last: journal.last().0, applied: meta.applied, rows, hash })
}

/// Puts a backup into an empty folder, as a new store in a new generation whose view is this server
/// alone: whoever held a cursor of the history behind the backup learns that it is another history.
///
/// # Errors
/// [`StoreError`]
pub fn restore(
    folder: &Path,
    server: ServerId,
    salts: Salts,
    backup: &Path,
) -> Result<Index, StoreError> {
    let _lock = lock(folder)?;
    if has_current(folder)? {
        return Err(StoreError::NotEmpty(folder.to_owned()));
    }
    let damaged = |source| StoreError::Snapshot { path: backup.to_owned(), source };
    let mut input = io::BufReader::with_capacity(
        1 << 20,
        File::open(backup).map_err(|error| damaged(error.into()))?,
    );
    clear(folder)?;
    let mut rows = DiskRows::open(&tables_folder(folder))?;
    snapshot::install(&mut input, &mut rows).map_err(damaged)?;
    let meta = chat::meta(&rows)?;
    let Some(view) = meta.view else {
        let why = snapshot::SnapshotError::Damaged("it belongs to no cluster");
        return Err(damaged(why));
    };
    let incarnation = Incarnation { server, store: StoreId(salts.store), life: 1 };
    let ballot =
        Ballot { generation: meta.ballot.generation + 1, round: meta.ballot.round + 1, server };
    let alone = View { cluster: view.cluster, members: vec![incarnation] };
    let entry = Entry { index: meta.applied.next(), ballot, payload: Payload::View(alone) };
    let index = entry.index;
    let mut journal = Journal::create(
        FolderDisk::new(&journal_folder(folder)).map_err(io_at(folder, "make the journal"))?,
        (meta.applied, meta.ballot),
        HardState { promise: meta.ballot, commit: meta.applied },
        journal::Options::new(salts.journal),
    )?;
    journal.append(&Batch {
        hard_state: HardState { promise: ballot, commit: index },
        cut_after: None,
        entries: vec![entry],
    })?;
    write_identity(folder, incarnation)?;
    write_durably(folder, "CURRENT", b"1\n")?;
    Ok(index)
}

/// The secret in the file at `path`, which several servers of one machine may make at the same
/// moment: `fresh` is written if there is none yet.
///
/// # Errors
/// [`StoreError`]
pub fn secret(path: &Path, fresh: String) -> Result<Secret, StoreError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(io_at(folder, "make this folder"))?;
    }
    // Written under another name first, and linked: whoever finds the file finds it whole.
    let new = path.with_extension(format!("secret.{}", std::process::id()));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(fresh.as_bytes())?;
        file.sync_all()?;
        match fs::hard_link(&new, path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            Ok(()) | Err(_) => fs::remove_file(&new),
        }
    };
    if !path.exists() {
        write().map_err(io_at(path, "write this file"))?;
    }
    let text = fs::read_to_string(path).map_err(io_at(path, "read this file"))?;
    Ok(Secret::new(text.trim().to_owned()))
}

fn io_at(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { path: path.clone(), doing, source }
}

/// Makes the folder if it is not there, and takes it for this process.
fn lock(folder: &Path) -> Result<File, StoreError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(io_at(folder, "make this folder"))?;
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

/// Whether the folder was ever made ready.
fn has_current(folder: &Path) -> Result<bool, StoreError> {
    let path = folder.join("CURRENT");
    match fs::read_to_string(&path) {
        Ok(text) if text == "1\n" => Ok(true),
        Ok(_) => Err(StoreError::Damaged {
            folder: folder.to_owned(),
            why: "CURRENT names nothing that this version knows".to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io_at(&path, "read this file")(error)),
    }
}

fn tables_folder(folder: &Path) -> PathBuf {
    folder.join("tables").join("1")
}

fn journal_folder(folder: &Path) -> PathBuf {
    folder.join("journal").join("1")
}

/// Removes what a first start left that was cut short before anything was acknowledged.
fn clear(folder: &Path) -> Result<(), StoreError> {
    for path in [tables_folder(folder), journal_folder(folder)] {
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_at(&path, "remove an unfinished start")(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Makes empty tables and an empty journal, and then `CURRENT`, which makes them count.
fn begin(folder: &Path, options: journal::Options) -> Result<(), StoreError> {
    clear(folder)?;
    let disk = FolderDisk::new(&journal_folder(folder));
    let disk = disk.map_err(io_at(folder, "make the journal"))?;
    Journal::create(disk, (Index(0), Ballot::NONE), HardState::NONE, options)?;
    drop(DiskRows::open(&tables_folder(folder))?);
    for parent in ["journal", "tables"] {
        sync_folder(&folder.join(parent))?;
    }
    write_durably(folder, "CURRENT", b"1\n")
}

fn open_current(
    folder: &Path,
    options: journal::Options,
) -> Result<(Journal<FolderDisk>, DiskRows, Meta), StoreError> {
    let damaged = |why: String| StoreError::Damaged { folder: folder.to_owned(), why };
    let disk = FolderDisk::new(&journal_folder(folder));
    let disk = disk.map_err(io_at(folder, "open the journal"))?;
    let journal = Journal::open(disk, options).map_err(|error| match error {
        OpenError::Io(source) => io_at(folder, "read the journal")(source),
        OpenError::Missing | OpenError::Corrupt { .. } => damaged(error.to_string()),
    })?;
    if !tables_folder(folder).exists() {
        return Err(damaged("the tables are missing".to_owned()));
    }
    let rows =
        DiskRows::open(&tables_folder(folder)).map_err(|error| damaged(error.to_string()))?;
    let meta = chat::meta(&rows).map_err(|error| damaged(error.to_string()))?;
    Ok((journal, rows, meta))
}

/// What replication goes on from, in the words of this page.
fn recover(
    folder: &Path,
    journal: &mut Journal<FolderDisk>,
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
    write_durably(folder, "store", text.as_bytes())
}

/// A small file, replaced whole: after a crash it is the old one or the new one.
fn write_durably(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path = folder.join(name);
    let new = folder.join(format!("{name}.new"));
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    write().map_err(io_at(&path, "write this file"))?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    let sync = || File::open(folder)?.sync_all();
    sync().map_err(io_at(folder, "sync this folder"))
}

#[cfg(test)]
mod tests;
