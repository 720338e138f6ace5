//! The client's local store: what [`super::stored`] describes, on disk.
//!
//! ```text
//! home.json                      clusters, who signed in last, a registration under way
//! CLUSTER/USER/unsent.redb       outbox, drafts, token, what the screens keep: cannot be had again
//! CLUSTER/USER/history.redb      conversations, messages, cursor: can be had again from a server
//! CLUSTER/USER~2/...             the same for a second window of that account, and so on
//! ```
//!
//! Owns: these files (mode 0600). Driven by: `driver`, which executes `Store` and `Load`.
//! Invariants: what `store` has taken survives a power cut; a damaged file is set aside under
//! another name, never deleted, and costs only itself; an account's place has one owner at a time,
//! while home is shared by all programs of a person and held by none. Does not: decide what is kept
//! (the engine does).
//!
//! A batch is one transaction in each file that it touches. They commit in the order history,
//! unsent, home: a cut between them leaves an outbox item too many, which is repeated under its txn
//! and harmless, and never one too few.

mod beside;
mod history;
mod home;
mod place;
mod tables;
mod unsent;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::stored::{Account, AccountKey, Home, Load, Loaded, Stored, Write};
use place::Place;

/// Why the store cannot be used: sentences for people.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Another program has this account's place.
    #[error(
        "another program uses {}: close it, or give this one another folder (HOLDFAST_HOME)",
        folder.display()
    )]
    InUse {
        /// The account's place.
        folder: PathBuf,
    },
    /// The system refuses.
    #[error("cannot keep messages in {}: {}", path.display(), disk_reason(source))]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A newer program has been here.
    #[error("{} was written by a newer version of Holdfast", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be understood, and comes to light where it cannot be set aside.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// The database refuses.
    #[error("cannot use {}: {source}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// Something was to be kept for an account, and none was loaded.
    #[error("no account has been loaded")]
    NoAccount,
}

fn disk_reason(error: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.kind();
    if matches!(kind, StorageFull | QuotaExceeded) {
        "the disk is full".to_owned()
    } else if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
        "it must not be written".to_owned()
    } else {
        error.to_string()
    }
}

/// Where a client keeps its state: what `HOLDFAST_HOME` says, or the platform's data folder.
pub fn folder(holdfast_home: Option<OsString>) -> Option<PathBuf> {
    match holdfast_home {
        Some(home) if !home.is_empty() => Some(home.into()),
        _ => directories::ProjectDirs::from("", "", "Holdfast")
            .map(|folders| folders.data_dir().to_owned()),
    }
}

/// See the module's page.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// The account that was loaded last.
    account: Option<AccountKey>,
    /// Its place; none while there is no account, and after a failure: then it is opened anew, for
    /// a database that has failed to write does not recover by itself.
    place: Option<Place>,
    /// Which of the account's places that is.
    seat: u32,
    /// Only the first of them will do.
    alone: bool,
}

impl Cache {
    /// Opens what is kept in `folder`, and the place of whoever signed in last.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn open(folder: &Path) -> Result<(Cache, Stored), CacheError> {
        Cache::open_seat(folder, true)
    }

    /// The same, beside whoever has that place: then this one has a session, an outbox and drafts
    /// of its own.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn open_beside(folder: &Path) -> Result<(Cache, Stored), CacheError> {
        Cache::open_seat(folder, false)
    }

    fn open_seat(folder: &Path, alone: bool) -> Result<(Cache, Stored), CacheError> {
        let home = home::read(folder)?;
        let folder = folder.to_owned();
        let mut cache = Cache { folder, account: None, place: None, seat: 1, alone };
        let account = home.last.as_ref().map(|key| cache.open_place(key)).transpose()?;
        Ok((cache, Stored { home, account }))
    }

    /// What the machine keeps, whoever is signed in; takes nobody's place.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn home(folder: &Path) -> Result<Home, CacheError> {
        home::read(folder)
    }

    /// Whether another program has the account's own place.
    pub fn is_beside(&self) -> bool {
        self.seat > 1
    }

    /// Where the file with the account's outbox and drafts is, if it was damaged and had to be
    /// begun anew: no server has what was in it.
    pub fn lost_unsent(&self) -> Option<&Path> {
        self.place.as_ref().and_then(Place::aside)
    }

    /// Makes a batch of changes durable.
    ///
    /// # Errors
    /// See [`CacheError`]; the batch can be tried again as a whole.
    pub fn store(&mut self, writes: &[Write]) -> Result<(), CacheError> {
        if writes.iter().any(|write| matches!(write, Write::AccountDropped)) {
            self.drop_account()?;
        } else if writes.iter().any(|write| !home::holds(write)) {
            self.with_place(|place| place.store(writes))?;
        }
        if self.is_beside() && writes.contains(&Write::Last(None)) {
            // Whoever has the account's own place is signed in as before.
            let writes: Vec<Write> =
                writes.iter().filter(|write| **write != Write::Last(None)).cloned().collect();
            return home::store(&self.folder, &writes);
        }
        home::store(&self.folder, writes)
    }

    /// Reads.
    ///
    /// # Errors
    /// See [`CacheError`].
    pub fn load(&mut self, load: &Load) -> Result<Loaded, CacheError> {
        match load {
            Load::Account(key) => Ok(Loaded::Account(Box::new(self.open_place(key)?))),
            Load::Messages { conv, before, limit } => {
                let messages = self.with_place(|place| place.messages(*conv, *before, *limit))?;
                Ok(Loaded::Messages { conv: *conv, before: *before, messages })
            }
        }
    }

    fn open_place(&mut self, key: &AccountKey) -> Result<Account, CacheError> {
        // The old place is let go of first: it may be the same one.
        self.place = None;
        let (seat, place, account) = beside::open(&self.folder, key, self.alone)?;
        self.place = Some(place);
        self.seat = seat;
        self.account = Some(key.clone());
        Ok(account)
    }

    fn with_place<T>(
        &mut self,
        work: impl FnOnce(&mut Place) -> Result<T, CacheError>,
    ) -> Result<T, CacheError> {
        let mut place = match self.place.take() {
            Some(place) => place,
            None => {
                let account = self.account.as_ref().ok_or(CacheError::NoAccount)?;
                Place::open(&self.folder, account, self.seat)?.0
            }
        };
        let done = work(&mut place)?;
        self.place = Some(place);
        Ok(done)
    }

    /// Does nothing where it is done already: a batch may be tried again.
    fn drop_account(&mut self) -> Result<(), CacheError> {
        if self.account.is_some() {
            self.with_place(|_| Ok(()))?;
            self.place.take().map_or(Ok(()), Place::remove)?;
            self.account = None;
            self.seat = 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
