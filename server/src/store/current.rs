//! Which tables and which journal belong together, and how others take their place.
//!
//! Owns: the file `CURRENT` and the numbered folders. Driven by: a start, a restore, and the
//! maintenance thread when a server joins by a snapshot. Invariants: `CURRENT` names a pair that is
//! whole and durable; it is replaced by one rename, so a crash leaves the old pair or the new one
//! in force; a pair that is not named is never opened, and is removed at the next start at the
//! latest. Does not: remove anything whose name is not a number.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{StoreError, io_at};
use crate::entry::{Ballot, HardState};
use crate::folder as durably;
use crate::journal::{self, FolderDisk, Journal};
use crate::replication::wire::Place;
use crate::tables::{DiskRows, Rows};
use crate::work::{Fault, NextStore};

/// The number of a pair of tables and journal in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pair(pub(super) u64);

impl Pair {
    /// A new store's.
    pub(super) const FIRST: Pair = Pair(1);

    pub(super) fn tables(self, folder: &Path) -> PathBuf {
        folder.join("tables").join(self.0.to_string())
    }

    pub(super) fn journal(self, folder: &Path) -> PathBuf {
        folder.join("journal").join(self.0.to_string())
    }
}

/// The pair in force; none in a folder that was never made ready.
pub(super) fn read(folder: &Path) -> Result<Option<Pair>, StoreError> {
    let path = folder.join("CURRENT");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(io_at(&path, "read this file")(error)),
    };
    let pair = text.strip_suffix('\n').and_then(number).map(Pair);
    pair.map(Some).ok_or_else(|| StoreError::Damaged {
        folder: folder.to_owned(),
        why: "CURRENT names nothing that this version knows".to_owned(),
    })
}

/// Puts a pair in force.
pub(super) fn write(folder: &Path, Pair(number): Pair) -> io::Result<()> {
    durably::replace(&folder.join("CURRENT"), format!("{number}\n").as_bytes())
}

/// Removes every pair but `current`: what a snapshot has replaced, and what never became whole.
pub(super) fn remove_others(folder: &Path, current: Option<Pair>) -> io::Result<()> {
    for kind in ["tables", "journal"] {
        let inside = folder.join(kind);
        for other in numbers(&inside)? {
            if Some(Pair(other)) != current {
                fs::remove_dir_all(inside.join(other.to_string()))?;
            }
        }
    }
    Ok(())
}

/// The highest number that any pair has, whole or not.
fn highest(folder: &Path) -> io::Result<u64> {
    let all = [numbers(&folder.join("tables"))?, numbers(&folder.join("journal"))?];
    Ok(all.into_iter().flatten().max().unwrap_or(0))
}

fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(number));
    }
    Ok(found)
}

/// A number as we write it: without zeros or signs before it.
fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| *number > 0 && number.to_string() == text)
}

/// The pair that is made beside the one in force.
#[derive(Debug)]
pub struct Beside {
    folder: PathBuf,
    options: journal::Options,
    making: Option<Pair>,
}

impl Beside {
    /// In the folder that this process holds; with `options` for the journal that is made.
    pub fn new(folder: &Path, options: journal::Options) -> Beside {
        Beside { folder: folder.to_owned(), options, making: None }
    }

    fn fault(&self, doing: &'static str) -> impl Fn(io::Error) -> Fault {
        let error = io_at(&self.folder, doing);
        move |source| Fault::Folder(error(source).to_string())
    }

    fn current(&self) -> Result<Option<Pair>, Fault> {
        read(&self.folder).map_err(|error| Fault::Folder(error.to_string()))
    }
}

impl NextStore for Beside {
    fn begin(&mut self) -> Result<Box<dyn Rows>, Fault> {
        self.discard()?;
        let highest = highest(&self.folder).map_err(self.fault("list this folder"))?;
        let pair = Pair(highest + 1);
        let path = pair.tables(&self.folder);
        durably::make(&path).map_err(self.fault("make tables"))?;
        self.making = Some(pair);
        Ok(Box::new(DiskRows::open(&path)?))
    }

    fn install(&mut self, place: Place, promise: Ballot) -> Result<(), Fault> {
        let pair = self.making.take().expect("what is installed was begun");
        let disk = FolderDisk::new(&pair.journal(&self.folder));
        let disk = disk.map_err(self.fault("make a journal"))?;
        let hard_state = HardState { promise: promise.max(place.ballot), commit: place.index };
        let base = (place.index, place.ballot);
        Journal::create(disk, base, hard_state, self.options)?;
        write(&self.folder, pair).map_err(self.fault("replace CURRENT"))
    }

    fn discard(&mut self) -> Result<(), Fault> {
        self.making = None;
        let current = self.current()?;
        remove_others(&self.folder, current).map_err(self.fault("remove a part of a snapshot"))
    }
}

#[cfg(test)]
mod tests;
