use std::sync::Arc;

use holdfast_common::ids::ServerId;

use super::*;
use crate::entry::{ClusterId, Entry, HardState, Origins, Payload, StoreId, View};

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn me(life: u64) -> Incarnation {
    Incarnation { server: ServerId(1), store: StoreId(11), life }
}

fn new_store() -> Recovered {
    Recovered {
        hard_state: HardState::NONE,
        applied: Index(0),
        applied_ballot: Ballot::NONE,
        view: None,
        tail: Vec::new(),
        origins: Origins::from(Index(0), Ballot::NONE),
    }
}

fn operation(text: &str) -> Arc<[u8]> {
    Arc::from(text.as_bytes())
}

fn synced(replication: &mut Replication, number: u64) {
    let now = replication.now();
    replication.handle(Input::Appended { number }, now);
}

/// Runs the machine over a disk that never fails; gives all appended and all committed entries.
fn settle(replication: &mut Replication) -> (Vec<Entry>, Vec<Entry>) {
    let (mut appended, mut committed) = (Vec::new(), Vec::new());
    while let Some(effect) = replication.next_effect() {
        if let Effect::Append(append) = effect {
            appended.extend(append.entries);
            synced(replication, append.number);
        } else if let Effect::Committed(entries) = effect {
            committed.extend(entries);
        }
    }
    (appended, committed)
}

#[test]
fn a_new_store_begins_with_a_view_of_itself_and_commits_nothing_before_it_is_synced() {
    let mut replication = Replication::alone(me(1), new_store(), CLUSTER).unwrap();
    assert_eq!(replication.propose(operation("a")), Ok(Index(2)));
    let Some(Effect::Append(append)) = replication.next_effect() else { panic!("an append") };
    let promise = append.hard_state.promise;
    assert_eq!(promise, replication.ballot(), "the promise goes with the first entry");
    let view = View { cluster: CLUSTER, members: vec![me(1)] };
    assert_eq!(append.entries[0].payload, Payload::View(view));
    assert_eq!(replication.next_effect(), None, "one append at a time, and nothing committed");
    assert_eq!(replication.commit(), Index(0));
    synced(&mut replication, append.number);
    assert_eq!(replication.commit(), Index(2));
    let (_, committed) = settle(&mut replication);
    assert_eq!(committed, append.entries);
    assert!(replication.is_idle());
}

#[test]
fn what_stands_behind_a_view_is_not_applied_before_the_view_is_known_on_disk_to_be_committed() {
    let mut replication = Replication::alone(me(1), new_store(), CLUSTER).unwrap();
    replication.propose(operation("a")).unwrap();
    let Some(Effect::Append(append)) = replication.next_effect() else { panic!("an append") };
    synced(&mut replication, append.number);
    let effects: Vec<Effect> = std::iter::from_fn(|| replication.next_effect()).collect();
    let [Effect::Append(second), Effect::Committed(view)] = &effects[..] else {
        panic!("the commit index is synced, {effects:?}")
    };
    assert_eq!((second.hard_state.commit, view.len()), (Index(2), 1));
    synced(&mut replication, second.number);
    assert!(matches!(replication.next_effect(), Some(Effect::Committed(rest)) if rest.len() == 1));
}

#[test]
fn a_restart_comes_back_in_a_higher_ballot_and_commits_the_old_tail_only_with_its_own_entry() {
    let mut former = Replication::alone(me(1), new_store(), CLUSTER).unwrap();
    former.propose(operation("a")).unwrap();
    let (log, _) = settle(&mut former);
    let recovered = Recovered {
        hard_state: HardState { promise: former.ballot(), commit: Index(1) },
        applied: Index(1),
        applied_ballot: former.ballot(),
        view: Some(View { cluster: CLUSTER, members: vec![me(1)] }),
        tail: log[1..].to_vec(),
        ..new_store()
    };
    let mut replication = Replication::alone(me(2), recovered, ClusterId([9; 16])).unwrap();
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
        applied_ballot: Ballot { generation: 1, round: 1, server: ServerId(1) },
        ..new_store()
    };
    let refused = Replication::alone(me(2), recovered, CLUSTER);
    assert!(matches!(refused, Err(CannotStart::NotAlone { members: 2 })));
}

#[test]
fn a_flood_of_proposals_is_refused_with_busy_and_taken_again_when_it_has_drained() {
    let mut replication = Replication::alone(me(1), new_store(), CLUSTER).unwrap();
    let taken = (0..).take_while(|_| replication.propose(operation("x")).is_ok()).count();
    assert_eq!(taken + 1, WAITING_ENTRIES_MAX);
    let (appended, committed) = settle(&mut replication);
    assert_eq!(appended.len(), WAITING_ENTRIES_MAX);
    assert_eq!(committed.len(), WAITING_ENTRIES_MAX);
    assert!(replication.propose(operation("x")).is_ok());
}

#[test]
fn an_entry_larger_than_an_append_goes_alone() {
    let mut replication = Replication::alone(me(1), new_store(), CLUSTER).unwrap();
    settle(&mut replication);
    let large: Arc<[u8]> = vec![0; log::APPEND_BYTES_MAX + 1].into();
    replication.propose(large).unwrap();
    replication.propose(operation("behind")).unwrap();
    let Some(Effect::Append(append)) = replication.next_effect() else {
        panic!("an append");
    };
    assert_eq!(append.entries.len(), 1);
    let now = replication.now();
    replication.handle(Input::Appended { number: append.number }, now);
    settle(&mut replication);
    assert!(replication.is_idle(), "nothing waits for ever");
}

fn primary() -> Incarnation {
    Incarnation { server: ServerId(2), store: StoreId(22), life: 1 }
}

/// A backup of three that is sent so many entries, of which so many are committed; gives it, and
/// what it then says is durable.
fn backup_of(entries: u64, committed: u64, holds_back: bool) -> (Replication, Option<Index>) {
    let settings = Settings {
        servers: [1, 2, 3].map(ServerId).to_vec(),
        policy: Policy::Proof,
        heartbeat_ms: 50,
        election_ms: 300,
        remove_ms: 1_000,
        has_set_aside: false,
        memory_entries: 10,
        seed: 1,
        fresh_cluster: CLUSTER,
        rules: Rules::default(),
    };
    let now = Now { at: Moment::default(), wall_ms: 0 };
    let mut replication = Replication::start(me(1), settings, new_store(), now);
    replication.hold_back(holds_back);
    let ballot = Ballot { generation: 1, round: 1, server: ServerId(2) };
    let view = View { cluster: CLUSTER, members: vec![primary()] };
    let entry = |index| Entry {
        index: Index(index),
        ballot,
        payload: match index {
            1 => Payload::View(view.clone()),
            _ => Payload::Operation(operation("x")),
        },
    };
    let append = wire::Append {
        ballot,
        cluster: CLUSTER,
        previous: wire::Place::START,
        entries: (1..=entries).map(entry).collect(),
        committed: wire::Place { ballot, index: Index(committed) },
        known_by_all: Index(0),
        round: 1,
        view: Index(1),
        granted: None,
    };
    let message = Message::Append(append);
    replication.handle(Input::Message { from: primary(), message }, now);
    let told = told(&mut replication);
    (replication, told)
}

/// Runs the machine to its end; gives what it last said is durable, if it said anything.
fn told(replication: &mut Replication) -> Option<Index> {
    let mut told = None;
    while let Some(effect) = replication.next_effect() {
        if let Effect::Append(append) = effect {
            synced(replication, append.number);
        } else if let Effect::Send { message: Message::Answer(answer), .. } = effect {
            told = Some(answer.durable);
        }
    }
    told
}

#[test]
fn a_backup_that_cannot_apply_as_fast_tells_of_so_much_only_and_of_the_rest_when_it_has() {
    let (mut replication, first) = backup_of(20_000, 20_000, true);
    assert_eq!(first, Some(Index(16_384)));
    replication.hold_back(false);
    assert_eq!(told(&mut replication), Some(Index(20_000)));
}

#[test]
fn a_backup_never_keeps_back_what_the_commit_may_wait_for() {
    assert_eq!(backup_of(20_000, 1, true).1, Some(Index(20_000)));
}
