//! A backup becomes a store.
//!
//! Owns: the order in which that is done. Driven by: `main`, at `--restore`. Invariants: it goes
//! into an empty folder only, and removes nothing but what an unfinished restore (the file
//! `restoring` says so) has left; no server starts on a part of a backup. Does not: look at the
//! settings.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use holdfast_common::ids::ServerId;

use super::current::{self, Pair};
use super::{Salts, StoreError, io_at, lock, write_identity};
use crate::chat;
use crate::entry::{
    Ballot, Entry, HardState, Incarnation, Index, Payload, StoreId, View, generation_above,
};
use crate::folder as durably;
use crate::journal::{self, Batch, FolderDisk, Journal};
use crate::tables::{DiskRows, snapshot};

/// Stands in a folder from before a restore's first row until after its last step.
pub(super) const UNFINISHED: &str = "restoring";

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
    let damaged = |source| StoreError::Snapshot { path: backup.to_owned(), source };
    let mut input = io::BufReader::with_capacity(
        1 << 20,
        File::open(backup).map_err(|error| damaged(error.into()))?,
    );
    let _lock = lock(folder)?;
    make_room(folder)?;
    let pair = Pair::FIRST;
    durably::make(&pair.tables(folder)).map_err(io_at(folder, "make the tables"))?;
    let mut rows = DiskRows::open(&pair.tables(folder))?;
    snapshot::install(&mut input, &mut rows).map_err(damaged)?;
    chat::check(&rows).map_err(|source| StoreError::Rows { path: backup.to_owned(), source })?;
    let meta = chat::meta(&rows)?;
    let Some(view) = meta.view else {
        let why = snapshot::SnapshotError::Damaged("it belongs to no cluster");
        return Err(damaged(why));
    };
    let incarnation = Incarnation { server, store: StoreId(salts.store), life: 1 };
    let generation = generation_above(meta.ballot.generation, server);
    let ballot = Ballot { generation, round: meta.ballot.round + 1, server };
    let alone = View { cluster: view.cluster, members: vec![incarnation] };
    let entry = Entry { index: meta.applied.next(), ballot, payload: Payload::View(alone) };
    let index = entry.index;
    let mut journal = Journal::create(
        FolderDisk::new(&pair.journal(folder)).map_err(io_at(folder, "make the journal"))?,
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
    let finish = || {
        current::write(folder, pair)?;
        fs::remove_file(folder.join(UNFINISHED))?;
        durably::sync(folder)
    };
    finish().map_err(io_at(folder, "finish the restore"))?;
    Ok(index)
}

/// Sees to it that the folder holds nothing but the lock and the mark of an unfinished restore.
fn make_room(folder: &Path) -> Result<(), StoreError> {
    let mark = folder.join(UNFINISHED);
    if mark.exists() {
        let removed = current::remove_others(folder, None);
        removed.map_err(io_at(folder, "remove an unfinished restore"))?;
        for name in ["CURRENT", "store"] {
            let path = folder.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(io_at(&path, "remove an unfinished restore")(error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(io_at(folder, "list this folder"))? {
        if entry.map_err(io_at(folder, "list this folder"))?.file_name() != "lock" {
            return Err(StoreError::NotEmpty(folder.to_owned()));
        }
    }
    durably::replace(&mark, b"").map_err(io_at(&mark, "write this file"))
}
