//! The one history: whoever applies an entry first says what it is, and what it yields.
//!
//! Owns: every entry that any server has applied, with its outcome. Driven by: the world, when
//! entries go to a server's tables and when they come back. Invariants that it holds servers to:
//! equal index, equal entry; nothing is left out; equal entry, equal outcome; ballots never fall.
//! Does not: know what an operation means.

use holdfast_server::chat::operation::Applied;
use holdfast_server::entry::{Ballot, Entry};

use super::world::Counts;

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: Vec<Entry>,
    outcomes: Vec<Option<Applied>>,
}

impl History {
    /// A server that has applied everything up to `before` applies these.
    pub(crate) fn commits(
        &mut self,
        before: u64,
        entries: &[Entry],
        counts: &mut Counts,
    ) -> Result<(), String> {
        let mut at = before;
        for entry in entries {
            if entry.index.0 != at + 1 {
                return Err(format!("it applies entry {} behind entry {at}", entry.index));
            }
            at += 1;
            match self.entries.get(usize::try_from(at - 1).unwrap()) {
                Some(known) if known == entry => {}
                Some(known) => {
                    return Err(format!(
                        "it applies entry {at} of ballot {}, where others applied one of ballot {}",
                        entry.ballot, known.ballot
                    ));
                }
                None => self.append(entry, counts)?,
            }
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry, counts: &mut Counts) -> Result<(), String> {
        if self.entries.len() as u64 + 1 != entry.index.0 {
            return Err(format!("it applies entry {}, nobody the one before", entry.index));
        }
        let last = self.entries.last().map_or(Ballot::NONE, |last| last.ballot);
        if entry.ballot < last {
            return Err(format!("ballot {} is committed behind {last}", entry.ballot));
        }
        if entry.ballot.generation > last.generation && last != Ballot::NONE {
            counts.takeovers += 1;
        } else if entry.ballot > last {
            counts.elections += 1;
        }
        self.entries.push(entry.clone());
        self.outcomes.push(None);
        Ok(())
    }

    /// A server has applied these.
    pub(crate) fn yields(&mut self, applied: &[Applied]) -> Result<(), String> {
        for one in applied {
            let at = usize::try_from(one.index.0 - 1).unwrap();
            match &self.outcomes[at] {
                None => self.outcomes[at] = Some(one.clone()),
                Some(known) if known == one => {}
                Some(known) => {
                    return Err(format!(
                        "entry {} yields {one:?} here and {known:?} elsewhere",
                        one.index
                    ));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }
}
