//! Which generation an index belongs to, and where two histories part as far as that tells.

use std::ops::ControlFlow;

use crate::chat::schema::{decode, meta, number_at};
use crate::entry::Index;
use crate::tables::{Fault, Order, Read};

/// The generation that an index belongs to; 0 before the first entry.
pub(super) fn generation_of(rows: &dyn Read, index: Index) -> Result<u64, Fault> {
    let mut generation = 0;
    rows.try_range(b"g", b"h", Order::Descending, &mut |key, value| {
        if decode::<Index>(value)? > index {
            return Ok(ControlFlow::Continue(()));
        }
        generation = number_at(key, 1);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(generation)
}

/// Where the history of `own` leaves that of `theirs`, which reaches further: behind this index.
/// Nothing if it is a part of it. Within a generation all logs agree on what is committed.
///
/// # Errors
/// [`Fault`] when rows cannot be read.
pub fn parting(own: &dyn Read, theirs: &dyn Read) -> Result<Option<Index>, Fault> {
    let end = meta(own)?;
    if generation_of(theirs, end.applied)? == end.ballot.generation {
        return Ok(None);
    }
    let (own, theirs) = (beginnings(own)?, beginnings(theirs)?);
    let common = own.iter().zip(&theirs).take_while(|(one, other)| one == other).count();
    let next = [own.get(common), theirs.get(common)].into_iter().flatten();
    let ends = next.map(|(_, first)| first.previous()).chain([end.applied]);
    Ok(Some(ends.min().unwrap_or(end.applied)))
}

/// Each generation with its first entry, ascending.
fn beginnings(rows: &dyn Read) -> Result<Vec<(u64, Index)>, Fault> {
    let mut found = Vec::new();
    rows.try_range(b"g", b"h", Order::Ascending, &mut |key, value| {
        found.push((number_at(key, 1), decode::<Index>(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use holdfast_common::ids::ServerId;

    use super::*;
    use crate::entry::{Ballot, Entry, Payload};
    use crate::tables::MemoryRows;

    /// Rows to which so many entries of each generation were applied.
    fn rows(generations: &[(u64, u64)]) -> MemoryRows {
        let mut rows = MemoryRows::new();
        let mut index = Index(0);
        for (generation, count) in generations {
            for _ in 0..*count {
                index = index.next();
                let ballot = Ballot { generation: *generation, round: 1, server: ServerId(1) };
                let entry = Entry { index, ballot, payload: Payload::Nothing };
                crate::chat::apply(&mut rows, &[entry]).unwrap();
            }
        }
        rows
    }

    #[test]
    fn a_history_that_is_no_part_of_the_other_parts_where_the_first_of_both_goes_on_alone() {
        let theirs = rows(&[(1, 5), (9, 5), (11, 20)]);
        let parted = |own: &[(u64, u64)]| parting(&rows(own), &theirs).unwrap();
        assert_eq!(parted(&[]), None, "an empty store has nothing to lose");
        assert_eq!(parted(&[(1, 3)]), None);
        assert_eq!(parted(&[(1, 5), (9, 2)]), None);
        assert_eq!(parted(&[(1, 8)]), Some(Index(5)), "went on in a generation that had ended");
        assert_eq!(parted(&[(1, 4), (2, 3)]), Some(Index(4)), "opened one that nobody knows");
        assert_eq!(parted(&[(1, 5), (9, 5), (10, 1)]), Some(Index(10)));
    }
}
