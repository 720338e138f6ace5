//! What a start finds in journal and tables together: the same on a disk and in a simulator.

use crate::chat::Meta;
use crate::entry::{Entry, Index};
use crate::journal::{self, Disk, Journal};
use crate::replication::Recovered;

/// Entries are read from the journal in pieces of about this many bytes.
pub const READ_BYTES: usize = 4 << 20;

/// Why a journal and tables cannot be gone on from.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// Entries are missing between them.
    #[error("the tables stand at {applied}, the journal begins at {first}")]
    Gap {
        /// Where the tables stand.
        applied: Index,
        /// The first entry of the journal.
        first: Index,
    },
    /// The tables hold what the journal never did.
    #[error("the tables stand at {applied}, the journal ends at {last}")]
    Ahead {
        /// Where the tables stand.
        applied: Index,
        /// The last entry of the journal.
        last: Index,
    },
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Fault),
}

/// The entries that the tables do not hold for sure, and the hard state beside them.
///
/// # Errors
/// [`RecoverError`]: the two do not belong together, or the disk fails.
pub fn recover<D: Disk>(journal: &mut Journal<D>, meta: &Meta) -> Result<Recovered, RecoverError> {
    let (first, last) = (journal.first(), journal.last());
    let applied = meta.applied;
    if applied.next() < first {
        return Err(RecoverError::Gap { applied, first });
    }
    if applied > last.0 {
        return Err(RecoverError::Ahead { applied, last: last.0 });
    }
    let mut tail: Vec<Entry> = Vec::new();
    let mut from = applied.next();
    while from <= last.0 {
        tail.extend(journal.read(from, last.0, READ_BYTES)?);
        from = tail.last().map_or(last.0, |entry| entry.index).next();
    }
    let hard_state = journal.hard_state();
    let (view, origins) = (meta.view.clone(), journal.origins().clone());
    Ok(Recovered { hard_state, applied, applied_ballot: meta.ballot, view, tail, origins })
}
