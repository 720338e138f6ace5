//! An account's place: a folder that one program holds, with its two databases.
//!
//! Owns: the folder, its lock, and what happens to a damaged file. Driven by: `cache`. Invariants:
//! a file that cannot be understood is renamed and a new one begun: the history comes again from a
//! server, and for what was unsent there is at least the file. Does not: know what is in the
//! tables.

use std::fmt::Display;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use redb::Database;
use ring::digest;

use super::tables::{Fault, open_database};
use super::{CacheError, history, unsent};
use crate::client::stored::{Account, AccountKey, MessageRecord, Write};
use crate::ids::{ConversationId, Seq, hex};

const LOCK: &str = "lock";
/// What stands in the lock while the databases are open.
const OPEN: &[u8] = b"open\n";
const UNSENT: &str = "unsent.redb";
const HISTORY: &str = "history.redb";

/// Memory for pages. The tables are small and the window keeps what it shows.
const UNSENT_CACHE_BYTES: usize = 1024 * 1024;
const HISTORY_CACHE_BYTES: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    unsent: Database,
    /// None after damage came to light while running. Nothing is kept of the history then until the
    /// next start, which begins it anew: a part of it would look like the whole.
    history: Option<Database>,
    /// Where a damaged file with unsent things was set aside when this was opened.
    aside: Option<PathBuf>,
    /// Held as long as the databases are. It says whether they are open, so that whoever comes
    /// after a program that did not get to close them (killed, or brought down by a damaged file)
    /// checks them.
    lock: File,
}

impl Place {
    /// `seat`: 1 is the account's own place, others stand beside it.
    pub(super) fn open(
        home: &Path,
        key: &AccountKey,
        seat: u32,
    ) -> Result<(Place, Account), CacheError> {
        let (parent, folder) = folders(home, key, seat);
        let fault = |source| CacheError::Disk { path: folder.clone(), source };
        make_folder(&folder).map_err(fault)?;
        let lock = open_file(&folder.join(LOCK)).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CacheError::InUse { folder }),
            Err(TryLockError::Error(source)) => return Err(fault(source)),
        }
        let was_closed = lock.metadata().map_err(fault)?.len() == 0;
        (&lock).write_all(OPEN).map_err(fault)?;
        let mut account = Account::new(key.clone());
        // The small file is always checked: nothing can replace what is in it.
        let path = folder.join(UNSENT);
        let (unsent, aside) = open_or_begin(&path, UNSENT_CACHE_BYTES, true, |database| {
            unsent::load(database, &mut account)
        })?;
        let path = folder.join(HISTORY);
        let (history, _) = open_or_begin(&path, HISTORY_CACHE_BYTES, !was_closed, |database| {
            history::load(database, &mut account)
        })?;
        // The files' names are durable before anything in them is relied upon.
        [folder.as_path(), &parent, home]
            .iter()
            .try_for_each(|at| sync_folder(at))
            .map_err(fault)?;
        Ok((Place { folder, unsent, history: Some(history), aside, lock }, account))
    }

    pub(super) fn store(&mut self, writes: &[Write]) -> Result<(), CacheError> {
        self.with_history(|database| history::store(database, writes))?;
        let path = self.folder.join(UNSENT);
        unsent::store(&self.unsent, writes).map_err(|fault| failed(&path, fault))
    }

    pub(super) fn messages(
        &mut self,
        conv: ConversationId,
        before: Option<Seq>,
        limit: usize,
    ) -> Result<Vec<MessageRecord>, CacheError> {
        self.with_history(|database| history::messages(database, conv, before, limit))
            .map(Option::unwrap_or_default)
    }

    fn with_history<T>(
        &mut self,
        work: impl FnOnce(&Database) -> Result<T, Fault>,
    ) -> Result<Option<T>, CacheError> {
        let Some(database) = &self.history else { return Ok(None) };
        let path = self.folder.join(HISTORY);
        match work(database) {
            Ok(done) => Ok(Some(done)),
            Err(Fault::Damaged(why)) => {
                self.history = None;
                set_aside(&path, &why)
                    .map_err(|source| CacheError::Disk { path: path.clone(), source })?;
                Ok(None)
            }
            Err(fault) => Err(failed(&path, fault)),
        }
    }

    pub(super) fn aside(&self) -> Option<&Path> {
        self.aside.as_deref()
    }

    #[cfg(test)]
    pub(super) fn history(&self) -> Option<&Database> {
        self.history.as_ref()
    }

    /// Deletes the place: the account is gone.
    pub(super) fn remove(self) -> Result<(), CacheError> {
        let folder = self.folder.clone();
        drop(self);
        std::fs::remove_dir_all(&folder).map_err(|source| CacheError::Disk { path: folder, source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // If it cannot be said that all is closed, the next start checks, and that is all.
        self.lock.set_len(0).ok();
    }
}

/// The cluster's folder, and in it that of a place.
fn folders(home: &Path, key: &AccountKey, seat: u32) -> (PathBuf, PathBuf) {
    let parent = home.join(folder_name(&key.cluster));
    let mut name = folder_name(&key.user);
    if seat > 1 {
        // No account's name has this sign.
        name.push_str(&format!("~{seat}"));
    }
    let folder = parent.join(name);
    (parent, folder)
}

/// The unsent things of a place that is there and that nobody has open, and the lock on it.
pub(super) fn abandoned(
    home: &Path,
    key: &AccountKey,
    seat: u32,
) -> io::Result<Option<(File, PathBuf)>> {
    let (_, folder) = folders(home, key, seat);
    let path = folder.join(UNSENT);
    if !path.exists() {
        return Ok(None);
    }
    let lock = open_file(&folder.join(LOCK))?;
    match lock.try_lock() {
        Ok(()) => Ok(Some((lock, path))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Opens and reads a database; one that is damaged is set aside, and a new one begun. Says where
/// the damaged one is.
fn open_or_begin(
    path: &Path,
    cache_bytes: usize,
    is_checked: bool,
    mut load: impl FnMut(&Database) -> Result<(), Fault>,
) -> Result<(Database, Option<PathBuf>), CacheError> {
    let mut open = || {
        let database = open_database(path, cache_bytes, is_checked)?;
        load(&database)?;
        Ok(database)
    };
    match open() {
        Ok(database) => Ok((database, None)),
        Err(Fault::Damaged(why)) => {
            let aside = set_aside(path, &why)
                .map_err(|source| CacheError::Disk { path: path.to_owned(), source })?;
            let database = open().map_err(|fault| failed(path, fault))?;
            Ok((database, Some(aside)))
        }
        Err(fault) => Err(failed(path, fault)),
    }
}

fn failed(path: &Path, fault: Fault) -> CacheError {
    let path = path.to_owned();
    match fault {
        Fault::Newer => CacheError::Newer { path },
        Fault::Disk(source) => CacheError::Disk { path, source },
        Fault::Damaged(why) => CacheError::Damaged { path, why },
        Fault::Database(source) => CacheError::Database { path, source },
    }
}

/// Renames what cannot be understood to the first free `NAME.damaged-N`.
pub(super) fn set_aside(path: &Path, why: &dyn Display) -> io::Result<PathBuf> {
    let aside = (1..)
        .map(|number: u32| {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".damaged-{number}"));
            PathBuf::from(name)
        })
        .find(|aside| !aside.exists())
        .expect("a folder has fewer files than there are numbers");
    log::error!("set aside as {}: {} is damaged: {why}", aside.display(), path.display());
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

/// Names come from servers and are only trusted as folders' names if they are harmless.
fn folder_name(name: &str) -> String {
    let harmless = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
    };
    let is_harmless = name.len() <= 64
        && name.bytes().all(harmless)
        && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric());
    if is_harmless {
        return name.to_owned();
    }
    format!("-{}", hex(digest::digest(&digest::SHA256, name.as_bytes()).as_ref()))
}

pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

pub(super) fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
