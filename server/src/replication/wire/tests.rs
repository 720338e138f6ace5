use holdfast_common::ids::ServerId;

use super::*;
use crate::entry::{Payload, View};

const BALLOT: Ballot = Ballot { generation: 1, round: 5, server: ServerId(2) };

fn entry(index: u64, round: u64) -> Entry {
    let ballot = Ballot { round, ..BALLOT };
    Entry { index: Index(index), ballot, payload: Payload::Nothing }
}

fn append(entries: Vec<Entry>) -> Append {
    let previous = Place { ballot: Ballot { round: 3, ..BALLOT }, index: Index(7) };
    Append {
        ballot: BALLOT,
        cluster: ClusterId([0; 16]),
        previous,
        entries,
        committed: previous,
        known_by_all: Index(7),
        round: 1,
        view: Index(1),
        granted: None,
    }
}

fn check(append: Append) -> Result<(), &'static str> {
    Message::Append(append).check()
}

#[test]
fn entries_that_follow_each_other_are_taken() {
    assert_eq!(check(append(Vec::new())), Ok(()));
    assert_eq!(check(append(vec![entry(8, 3), entry(9, 5)])), Ok(()));
}

#[test]
fn entries_that_no_log_can_hold_are_refused() {
    assert!(check(append(vec![entry(9, 5)])).is_err(), "a gap before the first");
    assert!(check(append(vec![entry(8, 5), entry(10, 5)])).is_err(), "a gap");
    assert!(check(append(vec![entry(8, 5), entry(8, 5)])).is_err(), "the same place twice");
    assert!(check(append(vec![entry(8, 2)])).is_err(), "below the one before");
    assert!(check(append(vec![entry(8, 5), entry(9, 4)])).is_err(), "a ballot that falls");
    assert!(check(append(vec![entry(8, 6)])).is_err(), "above the primary's own");
}

#[test]
fn numbers_beyond_all_reason_are_refused_wherever_they_stand() {
    let end = Place { ballot: BALLOT, index: Index(u64::MAX) };
    let ballot = Ballot { round: u64::MAX, ..BALLOT };
    assert!(check(Append { previous: end, ..append(Vec::new()) }).is_err());
    assert!(check(Append { committed: end, ..append(Vec::new()) }).is_err());
    assert!(check(Append { view: Index(u64::MAX), ..append(Vec::new()) }).is_err());
    assert!(check(Append { ballot, ..append(Vec::new()) }).is_err());
    assert!(check(Append { previous: end, ..append(vec![entry(0, 5)]) }).is_err());
    let pull = Message::Pull(Pull { attempt: 1, after: Index(u64::MAX) });
    assert!(pull.check().is_err());
}

#[test]
fn a_view_of_nobody_or_of_a_crowd_is_refused() {
    let one = Incarnation { server: ServerId(1), store: crate::entry::StoreId(1), life: 1 };
    for count in [0, 8] {
        let view = View { cluster: ClusterId([0; 16]), members: vec![one; count] };
        let entry = Entry { payload: Payload::View(view), ..entry(8, 5) };
        assert!(check(append(vec![entry])).is_err());
    }
}

#[test]
fn a_view_of_another_cluster_is_refused() {
    let one = Incarnation { server: ServerId(1), store: crate::entry::StoreId(1), life: 1 };
    for (cluster, is_right) in [(ClusterId([0; 16]), true), (ClusterId([1; 16]), false)] {
        let view = View { cluster, members: vec![one] };
        let entry = Entry { payload: Payload::View(view), ..entry(8, 5) };
        assert_eq!(check(append(vec![entry])).is_ok(), is_right);
    }
}
