//! The log's file: append, rotate, open anew.
//!
//! Owns: `name.log` and its five elders `name.log.1` (the youngest) to `.5`. Driven by: `logging`.
//! Invariants: whole lines, mode 0600; no failure leaves this module: what cannot be written is
//! counted, said once on stderr, and said in the log when it can be written again.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// How many elder files are kept.
const ELDERS_MAX: u32 = 5;

#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    bytes_max: u64,
    lines_lost: u64,
}

impl LogFile {
    pub(super) fn open(path: &Path, bytes_max: u64) -> io::Result<LogFile> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let (file, bytes) = open(path)?;
        Ok(LogFile { path: path.to_owned(), file, bytes, bytes_max, lines_lost: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn reopen(&mut self) -> io::Result<()> {
        (self.file, self.bytes) = open(&self.path)?;
        Ok(())
    }

    pub(super) fn write(&mut self, line: &[u8]) {
        if self.bytes >= self.bytes_max {
            self.rotate();
        }
        match self.append(line) {
            Ok(()) => self.lines_lost = 0,
            Err(error) => {
                if self.lines_lost == 0 {
                    let path = self.path.display();
                    say(&format!("cannot write the log {path}: {error}; lines are lost"));
                }
                self.lines_lost += 1;
            }
        }
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.lines_lost > 0 {
            // The line that failed may have left a part of itself.
            let note = format!("\n({} lines were lost here)\n", self.lines_lost);
            self.file.write_all(note.as_bytes())?;
            self.bytes += note.len() as u64;
        }
        self.file.write_all(line)?;
        self.bytes += line.len() as u64;
        Ok(())
    }

    /// If files cannot be renamed, the log goes on in the same file and tries again as much later.
    fn rotate(&mut self) {
        self.bytes = 0;
        let renamed = (1..ELDERS_MAX).rev().try_for_each(|age| {
            match std::fs::rename(elder(&self.path, age), elder(&self.path, age + 1)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                result => result,
            }
        });
        let rotated = renamed
            .and_then(|()| std::fs::rename(&self.path, elder(&self.path, 1)))
            .and_then(|()| self.reopen());
        if let Err(error) = rotated {
            say(&format!("cannot rotate the log {}: {error}", self.path.display()));
        }
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

fn elder(path: &Path, age: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    name.into()
}

/// The last resort; if stderr is gone as well, nobody listens.
fn say(sentence: &str) {
    writeln!(io::stderr().lock(), "{sentence}").ok();
}
