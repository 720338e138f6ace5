//! The journal's one door to the disk: a folder of files, each written at places and synced.
//!
//! Owns: [`Disk`], [`FolderDisk`], the real one, and [`WatchedFolder`], which changes nothing.
//! Driven by: the journal. Invariants: nothing is durable before `sync` (contents) or `sync_names`
//! (creations, renames, removals) returned. Does not: try anything twice: after an error the
//! journal is done for.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder of files, by name.
pub trait Disk: Send {
    /// The names of all files.
    ///
    /// # Errors
    /// The system's.
    fn names(&mut self) -> io::Result<Vec<String>>;

    /// Makes an empty file, or empties the one that is there.
    ///
    /// # Errors
    /// The system's.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Everything in a file.
    ///
    /// # Errors
    /// The system's.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Exactly `length` bytes of a file from `offset` on.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` when the file is shorter.
    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;

    /// Writes all of `bytes` at `offset`; the file grows if it must.
    ///
    /// # Errors
    /// The system's.
    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when what was written to the file is durable.
    ///
    /// # Errors
    /// The system's; what was written since the last sync may be lost or not, and a second try
    /// would prove nothing.
    fn sync(&mut self, name: &str) -> io::Result<()>;

    /// Gives a file another name, in place of the one that may have had it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Returns when creations, renames and removals so far are durable.
    ///
    /// # Errors
    /// The system's.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A real folder. Files that were written or read stay open.
#[derive(Debug)]
pub struct FolderDisk {
    folder: PathBuf,
    open: BTreeMap<String, File>,
}

/// A real folder that is only looked at: what opening a journal would mend in it stays as it is.
/// The journal knows what it would have written, so all of it can be read nevertheless.
#[derive(Debug)]
pub struct WatchedFolder(FolderDisk);

impl WatchedFolder {
    /// The folder at `path`; it may not be there.
    pub fn new(path: &Path) -> WatchedFolder {
        WatchedFolder(FolderDisk { folder: path.to_owned(), open: BTreeMap::new() })
    }
}

impl Disk for WatchedFolder {
    fn names(&mut self) -> io::Result<Vec<String>> {
        if self.0.folder.exists() { self.0.names() } else { Ok(Vec::new()) }
    }

    fn create(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.0.read_at(name, offset, length)
    }

    fn write_at(&mut self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl FolderDisk {
    /// The folder at `path`, made if it is not there.
    ///
    /// # Errors
    /// The system's.
    pub fn new(path: &Path) -> io::Result<FolderDisk> {
        crate::folder::make(path)?;
        Ok(FolderDisk { folder: path.to_owned(), open: BTreeMap::new() })
    }

    fn file(&mut self, name: &str) -> io::Result<&File> {
        if !self.open.contains_key(name) {
            let file = OpenOptions::new().read(true).write(true).open(self.folder.join(name))?;
            self.open.insert(name.to_owned(), file);
        }
        Ok(&self.open[name])
    }
}

impl Disk for FolderDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(self.folder.join(name))?;
        self.open.insert(name.to_owned(), file);
        Ok(())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.folder.join(name))
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.file(name)?.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file(name)?.write_all_at(bytes, offset)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        self.file(name)?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.folder.join(from), self.folder.join(to))?;
        self.open.remove(to);
        if let Some(file) = self.open.remove(from) {
            self.open.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.open.remove(name);
        std::fs::remove_file(self.folder.join(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        crate::folder::sync(&self.folder)
    }
}
