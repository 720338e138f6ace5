use holdfast_common::ids::ServerId;

use super::*;
use crate::entry::StoreId;

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn me(life: u64) -> Incarnation {
    Incarnation { server: ServerId(1), store: StoreId(11), life }
}

fn new_store() -> Recovered {
    Recovered {
        hard_state: HardState::NONE,
        applied: Index(0),
        view: None,
        last: (Index(0), Ballot::NONE),
        tail: Vec::new(),
    }
}

fn operation(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

/// Runs the machine over a disk that never fails; gives all appended and all committed entries.
fn settle(replication: &mut Replication) -> (Vec<Entry>, Vec<Entry>) {
    let (mut appended, mut committed) = (Vec::new(), Vec::new());
    while let Some(effect) = replication.next_effect() {
        match effect {
            Effect::Append { entries, .. } => {
                appended.extend(entries);
                replication.handle(Input::Appended);
            }
            Effect::Committed(entries) => committed.extend(entries),
        }
    }
    (appended, committed)
}

#[test]
fn a_new_store_begins_with_a_view_of_itself_and_commits_nothing_before_it_is_synced() {
    let mut replication = Replication::start(me(1), new_store(), CLUSTER).unwrap();
    assert_eq!(replication.propose(operation("a")), Ok(Index(2)));
    let Some(Effect::Append { hard_state, entries }) = replication.next_effect() else {
        panic!("an append");
    };
    assert_eq!(hard_state.promise, replication.ballot(), "the promise goes with the first entry");
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].payload, Payload::View(View { cluster: CLUSTER, members: vec![me(1)] }));
    assert_eq!(replication.next_effect(), None, "one append at a time, and nothing committed");
    assert_eq!(replication.commit(), Index(0));
    replication.handle(Input::Appended);
    assert_eq!(replication.next_effect(), Some(Effect::Committed(entries)));
    assert_eq!(replication.commit(), Index(2));
    assert!(replication.is_idle());
}

#[test]
fn what_comes_while_an_append_is_in_flight_becomes_the_next_one() {
    let mut replication = Replication::start(me(1), new_store(), CLUSTER).unwrap();
    let first = replication.next_effect();
    assert!(matches!(first, Some(Effect::Append { ref entries, .. }) if entries.len() == 1));
    for text in ["a", "b", "c"] {
        replication.propose(operation(text)).unwrap();
    }
    assert_eq!(replication.next_effect(), None);
    replication.handle(Input::Appended);
    assert!(matches!(replication.next_effect(), Some(Effect::Committed(_))));
    let second = replication.next_effect();
    assert!(matches!(second, Some(Effect::Append { ref entries, .. }) if entries.len() == 3));
}

#[test]
fn a_restart_comes_back_in_a_higher_ballot_and_commits_the_old_tail_only_with_its_own_entry() {
    let mut former = Replication::start(me(1), new_store(), CLUSTER).unwrap();
    former.propose(operation("a")).unwrap();
    let (log, _) = settle(&mut former);
    let recovered = Recovered {
        hard_state: HardState { promise: former.ballot(), commit: Index(1) },
        applied: Index(1),
        view: Some(View { cluster: CLUSTER, members: vec![me(1)] }),
        last: (Index(2), former.ballot()),
        tail: log[1..].to_vec(),
    };
    let mut replication = Replication::start(me(2), recovered, ClusterId([9; 16])).unwrap();
    assert!(replication.ballot() > former.ballot());
    assert_eq!(replication.cluster(), CLUSTER, "an old store keeps its cluster");
    assert_eq!(replication.opening(), Index(3));
    let (appended, committed) = settle(&mut replication);
    assert_eq!(appended.len(), 1, "what is on disk is not written again");
    assert_eq!(committed.iter().map(|entry| entry.index.0).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn a_store_whose_view_names_others_does_not_serve_alone() {
    let stranger = Incarnation { server: ServerId(2), store: StoreId(22), life: 1 };
    let recovered = Recovered {
        view: Some(View { cluster: CLUSTER, members: vec![me(1), stranger] }),
        applied: Index(4),
        last: (Index(4), Ballot { generation: 1, round: 1, server: ServerId(1) }),
        ..new_store()
    };
    let refused = Replication::start(me(2), recovered, CLUSTER);
    assert!(matches!(refused, Err(CannotStart::NotAlone { members: 2 })));
}

#[test]
fn a_flood_of_proposals_is_refused_with_busy_and_taken_again_when_it_has_drained() {
    let mut replication = Replication::start(me(1), new_store(), CLUSTER).unwrap();
    let taken = (0..).take_while(|_| replication.propose(operation("x")).is_ok()).count();
    assert_eq!(taken + 1, WAITING_ENTRIES_MAX);
    let (appended, committed) = settle(&mut replication);
    assert_eq!(appended.len(), WAITING_ENTRIES_MAX);
    assert_eq!(committed.len(), WAITING_ENTRIES_MAX);
    assert!(replication.propose(operation("x")).is_ok());
}

#[test]
fn an_entry_larger_than_an_append_goes_alone() {
    let mut replication = Replication::start(me(1), new_store(), CLUSTER).unwrap();
    settle(&mut replication);
    let large: Arc<[u8]> = vec![0; APPEND_BYTES_MAX + 1].into();
    replication.propose(large).unwrap();
    replication.propose(operation("behind")).unwrap();
    let Some(Effect::Append { entries, .. }) = replication.next_effect() else {
        panic!("an append");
    };
    assert_eq!(entries.len(), 1);
    replication.handle(Input::Appended);
    settle(&mut replication);
    assert!(replication.is_idle(), "nothing waits for ever");
}
