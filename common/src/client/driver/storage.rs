//! Where an engine keeps things: on disk, or in memory.

use crate::client::cache::{Cache, CacheError};
use crate::client::{Load, Loaded, MemoryStore, Write};

/// See the module's page.
#[derive(Debug)]
pub enum Storage {
    /// In files.
    Disk(Cache),
    /// In memory, for as long as the process lives.
    Memory(MemoryStore),
}

impl Storage {
    pub(super) fn store(&mut self, writes: Vec<Write>) -> Result<(), CacheError> {
        match self {
            Storage::Disk(cache) => cache.store(&writes),
            Storage::Memory(memory) => {
                memory.store(writes);
                Ok(())
            }
        }
    }

    pub(super) fn load(&mut self, load: Load) -> Result<Loaded, CacheError> {
        match self {
            Storage::Disk(cache) => cache.load(&load),
            Storage::Memory(memory) => Ok(memory.load(load)),
        }
    }
}
