use std::collections::BTreeMap;

use holdfast_common::ids::ServerId;

use super::{CHAINS_KEPT, Equality, odd_ones};
use crate::chat::operation::Applied;
use crate::entry::{Ballot, Incarnation, Index, StoreId};

fn one(server: u8) -> Incarnation {
    Incarnation { server: ServerId(server), store: StoreId(u64::from(server)), life: 1 }
}

/// Who is odd among servers 1, 2, ... that hold these states, server 1 being the primary.
fn odd(states: &str) -> Vec<u8> {
    let found: BTreeMap<Incarnation, char> = (1..).map(one).zip(states.chars()).collect();
    odd_ones(&found, Some(one(1))).iter().map(|one| one.server.0).collect()
}

#[test]
fn most_are_right_be_it_against_the_primary_and_without_a_majority_the_primary_is() {
    assert!(odd("a").is_empty());
    assert!(odd("aa").is_empty());
    assert_eq!(odd("ab"), [2]);
    assert!(odd("aaa").is_empty());
    assert_eq!(odd("aab"), [3]);
    assert_eq!(odd("aba"), [2]);
    assert_eq!(odd("abb"), [1]);
    assert_eq!(odd("abc"), [2, 3]);
    assert_eq!(odd("aabb"), [3, 4]);
    assert_eq!(odd("abbb"), [1]);
    assert_eq!(odd("abbcc"), [2, 3, 4, 5]);
    assert_eq!(odd("abbbc"), [1, 5]);
}

#[test]
fn without_a_majority_and_without_the_primary_nobody_is_called_right() {
    let found = BTreeMap::from([(one(2), 'a'), (one(3), 'b')]);
    assert_eq!(odd_ones(&found, Some(one(1))), [one(2), one(3)]);
    assert_eq!(odd_ones(&found, None), [one(2), one(3)]);
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
fn equality() -> Equality {
    Equality::new(std::time::Instant::now())
}

fn applied(index: u64) -> Applied {
    let mut chain = [0; 32];
    chain[..8].copy_from_slice(&index.to_le_bytes());
    Applied { index: Index(index), ballot: Ballot::NONE, outcome: None, notices: Vec::new(), chain }
}

#[test]
fn the_newest_running_hashes_are_kept_however_entries_came_and_no_other_is_made_up() {
    let mut equality = equality();
    assert_eq!(equality.chain(Index(0)), None);
    // A life begins anywhere.
    equality.applied(&[applied(7), applied(8)]);
    equality.applied(&[]);
    equality.applied(&[applied(9)]);
    let known: Vec<u64> = (0..12).filter(|at| equality.chain(Index(*at)).is_some()).collect();
    assert_eq!(known, [7, 8, 9]);
    let last = 9 + u64::try_from(CHAINS_KEPT).unwrap();
    equality.applied(&(10..=last).map(applied).collect::<Vec<_>>());
    for index in [10, 11, last - 1, last] {
        assert_eq!(equality.chain(Index(index)), Some(applied(index).chain));
    }
    assert_eq!(equality.chain(Index(9)), None);
    assert_eq!(equality.chain(Index(last + 1)), None);
}
