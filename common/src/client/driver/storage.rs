//! Where an engine keeps things: on disk, or nowhere.

use crate::client::cache::{Cache, CacheError};
use crate::client::{Account, Load, Loaded, Write};

/// See the module's page.
#[derive(Debug)]
pub enum Storage {
    /// In files.
    Disk(Cache),
    /// Nowhere: every start is a first one. For the load generator, whose engines live as long as it.
    Nowhere,
}

impl Storage {
    pub(super) fn store(&mut self, writes: &[Write]) -> Result<(), CacheError> {
        match self {
            Storage::Disk(cache) => cache.store(writes),
            Storage::Nowhere => Ok(()),
        }
    }

    pub(super) fn load(&mut self, load: &Load) -> Result<Loaded, CacheError> {
        match (self, load) {
            (Storage::Disk(cache), load) => cache.load(load),
            (Storage::Nowhere, Load::Account(key)) => {
                Ok(Loaded::Account(Box::new(Account::new(key.clone()))))
            }
            (Storage::Nowhere, Load::Messages { conv, before, .. }) => {
                Ok(Loaded::Messages { conv: *conv, before: *before, messages: Vec::new() })
            }
        }
    }
}
