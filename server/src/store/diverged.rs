//! What a store acknowledged and its cluster does not have, written down before the store is set
//! aside: `DATA_DIR/diverged-serverN-INDEX.jsonl`, one operation a line.
//!
//! Owns: these files. Driven by: `main`, between the life that yields and the next one. Invariants:
//! a file is whole and durable under its name before the store is touched; no file takes another's
//! place, but the same list from a start that was cut short; what can be listed no more is named.
//! Does not: say it to anybody again: that is a person's decision.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{StoreError, current, io_at, lock, open_pair};
use crate::chat;
use crate::entry::Index;
use crate::folder as durably;
use crate::journal::{self, FolderDisk, Journal};
use crate::tables::DiskRows;
use crate::work;

/// A list that was written.
#[derive(Debug)]
pub struct Listed {
    /// Where.
    pub path: PathBuf,
    /// How many operations are in it.
    pub operations: u64,
}

/// Writes down what stands behind `after` in the store of this folder; nothing where that is
/// nobody's operation.
///
/// # Errors
/// [`StoreError`]; then nothing may be set aside.
pub fn list_diverged(folder: &Path, after: Index) -> Result<Option<Listed>, StoreError> {
    let _lock = lock(folder)?;
    let Some(pair) = current::read(folder)? else { return Ok(None) };
    let disk = FolderDisk::new(&pair.journal(folder)).map_err(io_at(folder, "open the journal"))?;
    let (mut journal, mut rows, meta) = open_pair(folder, pair, disk, journal::Options::new(0))?;
    let committed = journal.hard_state().commit.max(meta.applied);
    // Names and outcomes come from the rows: they take in what is committed and not there yet.
    let mut from = meta.applied.next();
    while from <= committed {
        let entries = journal.read(from, committed, work::READ_BYTES)?;
        chat::apply(&mut rows, &entries)?;
        from = entries.last().map_or(committed, |entry| entry.index).next();
    }
    let path = path_of(folder, after);
    let unfinished = path.with_extension("part");
    let operations = write(&unfinished, &mut journal, &rows, (after, committed))?;
    let placed = match operations {
        0 => fs::remove_file(&unfinished).map(|()| None),
        _ => place(&path, &unfinished).map(Some),
    };
    let placed = placed.map_err(io_at(&path, "make this file"))?;
    Ok(placed.map(|path| Listed { path, operations }))
}

/// Writes the lines to a file, durably; gives how many there are.
fn write(
    path: &Path,
    journal: &mut Journal<FolderDisk>,
    rows: &DiskRows,
    (after, committed): (Index, Index),
) -> Result<u64, StoreError> {
    let refused = || io_at(path, "write this file");
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = BufWriter::new(file.map_err(refused())?);
    let mut lines = 0;
    let (first, last) = (journal.first(), journal.last().0);
    if after.next() < first {
        let why = "no longer in the log: only in the store that is set aside beside this file";
        let (from, upto) = (after.next(), first.previous());
        let line = serde_json::json!({ "op": "unknown", "from": from, "upto": upto, "why": why });
        writeln!(file, "{line}").map_err(refused())?;
        lines += 1;
    }
    let mut from = after.next().max(first);
    while from <= last {
        let entries = journal.read(from, last, work::READ_BYTES)?;
        for entry in &entries {
            if let Some(retold) = chat::retell(rows, entry, entry.index <= committed)? {
                serde_json::to_writer(&mut file, &retold)
                    .map_err(io::Error::from)
                    .and_then(|()| writeln!(file))
                    .map_err(refused())?;
                lines += 1;
            }
        }
        from = entries.last().map_or(last, |entry| entry.index).next();
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error);
    file.and_then(|file| file.sync_all()).map_err(refused())?;
    Ok(lines)
}

/// Gives the finished list its name, or the next one that is free. A start that was cut short
/// behind this step has left the beginning of the same list: its place is taken.
fn place(path: &Path, unfinished: &Path) -> io::Result<PathBuf> {
    let stem = path.with_extension("");
    let numbered = |number: u64| match number {
        1 => path.to_owned(),
        number => PathBuf::from(format!("{}-{number}.jsonl", stem.display())),
    };
    let mut number = 1;
    while numbered(number).exists() && !begins_with(unfinished, &numbered(number))? {
        number += 1;
    }
    fs::rename(unfinished, numbered(number))?;
    durably::sync_around(path)?;
    Ok(numbered(number))
}

fn begins_with(new: &Path, old: &Path) -> io::Result<bool> {
    let old = fs::read(old)?;
    let mut beginning = Vec::new();
    File::open(new)?.take(old.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning == old)
}

/// How many operations stand in lists of this server that nobody has taken away.
pub fn count_diverged(folder: &Path) -> io::Result<u64> {
    let (around, prefix) = named(folder);
    let mut lines = 0;
    for file in fs::read_dir(around)? {
        let file = file?;
        let name = file.file_name();
        let is_list = name.to_string_lossy().starts_with(&prefix)
            && file.path().extension().is_some_and(|extension| extension == "jsonl");
        if is_list {
            let text = fs::read(file.path())?;
            lines += text.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
    }
    Ok(lines)
}

fn path_of(folder: &Path, after: Index) -> PathBuf {
    let (around, prefix) = named(folder);
    around.join(format!("{prefix}{after}.jsonl"))
}

/// Where the lists of this folder's server stand, and how their names begin.
fn named(folder: &Path) -> (&Path, String) {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    (folder.parent().unwrap_or(Path::new(".")), format!("diverged-{name}-"))
}
