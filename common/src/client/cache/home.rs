//! Home: what the machine keeps, whoever is signed in. A small text file, replaced as a whole.
//!
//! Owns: `home.json`. Driven by: `cache`. Invariants: whoever reads sees a whole file; of two
//! programs that write, neither loses what the other wrote (each change is made to the file as it
//! is then, under `home.lock`). Does not: stay open, so a terminal client can ask for the status
//! beside an open window.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::CacheError;
use super::place::{make_folder, open_file, set_aside, sync_folder};
use crate::client::stored::{Home, Write};

const FILE: &str = "home.json";
const LOCK: &str = "home.lock";
/// Replaces the file when it is whole.
const NEW: &str = "home.json.new";

/// Whether home is where this is kept.
pub(super) fn holds(write: &Write) -> bool {
    matches!(write, Write::Cluster(_) | Write::Last(_) | Write::Registration(_))
}

/// What is there; nothing in a new folder.
pub(super) fn read(folder: &Path) -> Result<Home, CacheError> {
    let path = folder.join(FILE);
    let fault = |source| CacheError::Disk { path: path.clone(), source };
    match std::fs::read(&path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(home) => Ok(home),
            Err(error) => {
                set_aside(&path, &error).map_err(fault)?;
                Ok(Home::default())
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Home::default()),
        Err(error) => Err(fault(error)),
    }
}

/// Makes those of `writes` durable that belong here.
pub(super) fn store(folder: &Path, writes: &[Write]) -> Result<(), CacheError> {
    if !writes.iter().any(holds) {
        return Ok(());
    }
    let fault = |source| CacheError::Disk { path: folder.to_owned(), source };
    make_folder(folder).map_err(fault)?;
    let lock = open_file(&folder.join(LOCK)).map_err(fault)?;
    lock.lock().map_err(fault)?;
    let mut home = read(folder)?;
    for write in writes {
        change(&mut home, write);
    }
    let text = serde_json::to_vec_pretty(&home).map_err(|error| fault(error.into()))?;
    replace(folder, &text).map_err(fault)
}

fn replace(folder: &Path, text: &[u8]) -> io::Result<()> {
    let new = folder.join(NEW);
    let mut file: File = open_file(&new)?;
    file.set_len(0)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&new, folder.join(FILE))?;
    sync_folder(folder)
}

fn change(home: &mut Home, write: &Write) {
    if let Write::Cluster(record) = write {
        match home.clusters.iter_mut().find(|known| known.cluster == record.cluster) {
            Some(known) => known.clone_from(record),
            None => home.clusters.push(record.clone()),
        }
    } else if let Write::Last(account) = write {
        home.last.clone_from(account);
    } else if let Write::Registration(registration) = write {
        home.registration.clone_from(registration);
    }
}
