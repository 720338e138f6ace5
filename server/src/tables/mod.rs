//! The chat state as rows: one ordered map from bytes to bytes, with a writer and any number of
//! readers.
//!
//! Owns: the door to the rows ([`Rows`], [`Read`]), its implementation on disk and the one in
//! memory. Driven by: `chat` (through the work threads). Invariants: a batch is written whole or
//! not at all; a crash rolls back to some batch at or after the last `persist`, never to a part of
//! one; a view never changes. Does not: know what a row means (`chat` and `schema` do), nor sync by
//! itself.

mod disk;
mod memory;
pub mod snapshot;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;

pub use disk::DiskRows;
pub use memory::MemoryRows;

/// The rows cannot be read or written: the process ends, a restart is the repair.
#[derive(Debug, thiserror::Error)]
#[error("tables: {doing}: {source}")]
pub struct Fault {
    /// What was being done.
    pub doing: &'static str,
    /// Why it failed.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Which end of a range comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Sees a row of a range; says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// The same, and may fail.
pub type TryVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Fault> + 'a;

/// Rows as they were at one moment.
pub trait Read {
    /// The value under `key`.
    ///
    /// # Errors
    /// [`Fault`] when the disk or the checksums say so.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Visits the rows with `from <= key < to` in `order` until `visit` breaks.
    ///
    /// # Errors
    /// [`Fault`] when the disk or the checksums say so.
    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault>;

    /// The same, with a visitor that may find something wrong with a row.
    ///
    /// # Errors
    /// [`Fault`], of the disk or the visitor's.
    fn try_range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut TryVisit<'_>,
    ) -> Result<(), Fault> {
        let mut found = Ok(());
        self.range(from, to, order, &mut |key, value| match visit(key, value) {
            Ok(flow) => flow,
            Err(fault) => {
                found = Err(fault);
                ControlFlow::Break(())
            }
        })?;
        found
    }
}

/// One change: the key, and its new value or `None` to remove the row.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Where readers on any thread get their views; they never wait for the writer.
pub trait Views: Send + Sync {
    /// The rows as they are now.
    fn view(&self) -> Box<dyn Read + Send>;

    /// Returns when nothing that was overwritten or removed before is in the files any more, older
    /// views excepted. Takes seconds; writing goes on meanwhile.
    ///
    /// # Errors
    /// [`Fault`]
    fn compact(&self) -> Result<(), Fault>;
}

/// The writer's door: there is exactly one for each store, on the tables thread.
pub trait Rows: Read + Send {
    /// The readers' door.
    fn views(&self) -> Box<dyn Views>;

    /// Writes a batch whole. No key stands in it twice.
    ///
    /// # Errors
    /// [`Fault`]; nothing of the batch may be believed then.
    fn commit(&mut self, batch: Vec<Write>) -> Result<(), Fault>;

    /// Returns when everything committed so far would survive a loss of power.
    ///
    /// # Errors
    /// [`Fault`]; it is never tried again.
    fn persist(&mut self) -> Result<(), Fault>;
}
