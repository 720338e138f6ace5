//! A disk in memory that fails as disks do: for the tests of the journal, and for the simulator.
//!
//! Owns: the files, both as the process sees them and as a loss of power would leave them. Driven
//! by: tests. Invariants: everything that happens follows from the seed and from what is asked;
//! only what a sync covered survives for sure, and what it did not cover survives sector by sector
//! or not at all. Does not: flip bits by itself, or take time.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::Disk;

/// A disk writes so many bytes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Default)]
struct SimFile {
    /// As written.
    bytes: Vec<u8>,
    /// As synced.
    synced: Vec<u8>,
}

/// What a simulated disk does besides working.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The operation of this number (writes, syncs and changes of names count) and all later ones
    /// fail, as if power were lost.
    pub crash_at: Option<u64>,
    /// Bytes that all files together may have.
    pub bytes_max: Option<usize>,
    /// The sync of this number fails.
    pub failing_sync: Option<u64>,
    /// Nothing can be written.
    pub read_only: bool,
}

#[derive(Debug)]
struct State {
    files: BTreeMap<String, usize>,
    synced_names: BTreeMap<String, usize>,
    contents: Vec<SimFile>,
    faults: Faults,
    operations: u64,
    syncs: u64,
    random: u64,
}

/// A handle to the disk; clones are the same disk, so that it outlives the process that used it.
#[derive(Debug, Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            files: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            contents: Vec::new(),
            faults: Faults::default(),
            operations: 0,
            syncs: 0,
            random: seed,
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// What the disk does from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// How many writes, syncs and changes of names there have been.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Power is lost and comes back: unsynced sectors are kept or lost one by one, unsynced names
    /// likewise; faults are gone.
    pub fn crash(&self) {
        let state = &mut *self.state();
        state.faults = Faults::default();
        let mut random = state.random;
        for file in &mut state.contents {
            let length = file.bytes.len().max(file.synced.len());
            let keeps_length = next(&mut random).is_multiple_of(2);
            let mut survived = file.synced.clone();
            survived.resize(if keeps_length { length } else { file.synced.len() }, 0);
            let sectors = survived.chunks_mut(SECTOR_BYTES).zip(file.bytes.chunks(SECTOR_BYTES));
            for (survived, written) in sectors {
                if next(&mut random).is_multiple_of(2) {
                    let length = survived.len().min(written.len());
                    survived[..length].copy_from_slice(&written[..length]);
                }
            }
            file.bytes.clone_from(&survived);
            file.synced = survived;
        }
        // Names change in order: what is kept is a prefix, and here it is all or nothing.
        if next(&mut random).is_multiple_of(2) {
            state.synced_names.clone_from(&state.files);
        } else {
            state.files.clone_from(&state.synced_names);
        }
        state.random = random;
    }

    /// Flips one bit of a file, written and synced alike.
    pub fn flip(&self, name: &str, bit: usize) {
        let state = &mut *self.state();
        let file = &mut state.contents[state.files[name]];
        file.bytes[bit / 8] ^= 1 << (bit % 8);
        file.synced[bit / 8] ^= 1 << (bit % 8);
    }
}

/// One step of splitmix64: a small generator whose every seed is good.
fn next(random: &mut u64) -> u64 {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if self.faults.crash_at.is_some_and(|at| number >= at) {
            return Err(io::Error::other("power is lost"));
        }
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn file(&mut self, name: &str) -> io::Result<&mut SimFile> {
        let at = *self.files.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.contents[at])
    }
}

impl Disk for SimDisk {
    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.state().files.keys().cloned().collect())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.contents.push(SimFile::default());
        let at = state.contents.len() - 1;
        state.files.insert(name.to_owned(), at);
        Ok(())
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        Ok(self.state().file(name)?.bytes.clone())
    }

    fn read_at(&mut self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let bytes = state.file(name)?.bytes.get(from..from + length);
        bytes.map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    fn write_at(&mut self, name: &str, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let crashed = state.step();
        let from = usize::try_from(offset).map_err(io::Error::other)?;
        let full = state.faults.bytes_max.is_some_and(|max| {
            let used: usize = state.contents.iter().map(|file| file.bytes.len()).sum();
            used + bytes.len() > max
        });
        if full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // A write that power cut short is in the same state as one that nobody synced.
        let file = state.file(name)?;
        if file.bytes.len() < from + bytes.len() {
            file.bytes.resize(from + bytes.len(), 0);
        }
        file.bytes[from..from + bytes.len()].copy_from_slice(bytes);
        crashed
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let number = state.syncs;
        state.syncs += 1;
        if state.faults.failing_sync == Some(number) {
            return Err(io::Error::other("input/output error"));
        }
        let file = state.file(name)?;
        file.synced.clone_from(&file.bytes);
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let at = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), at);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.files.remove(name).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let names = state.files.clone();
        state.synced_names = names;
        Ok(())
    }
}
