use super::*;
use crate::entry::Index;
use crate::store::tests::{ONE, SALTS, live_once};
use crate::store::{Store, open};
use crate::work::{Done, MaintenanceJob, MaintenanceWorker, Part, Received, Ticket};
use holdfast_common::ids::ServerId;

const TWO: ServerId = ServerId(2);
const STREAM: Ticket = Ticket(7);

/// A ballot that the joiner has promised, above the snapshot's.
const PROMISE: Ballot = Ballot { generation: 5, round: 5, server: ONE };

/// Every part of a stream of a store that has lived, whose rows stand at entry 1.
fn parts() -> Vec<Part> {
    let folder = tempfile::tempdir().unwrap();
    live_once(folder.path());
    let store = open(folder.path(), ONE, SALTS).unwrap();
    let mut worker = MaintenanceWorker::new(store.rows.views());
    let mut parts = Vec::new();
    while let Some(done) = worker.run(MaintenanceJob::Export(STREAM)).unwrap() {
        let Done::Exported(STREAM, Index(1), part) = done else { panic!("{done:?}") };
        parts.push(part);
    }
    worker.run(MaintenanceJob::EndExport(STREAM)).unwrap();
    assert!(parts.len() >= 3 && parts.last().is_some_and(|part| part.is_last), "{parts:?}");
    parts
}

fn joiner(folder: &Path) -> (Store, MaintenanceWorker) {
    let store = open(folder, TWO, SALTS).unwrap();
    let beside = Beside::new(folder, journal::Options::new(3));
    let worker = MaintenanceWorker::joining(store.rows.views(), Box::new(beside));
    (store, worker)
}

/// What became of the last part that was taken.
fn receive(worker: &mut MaintenanceWorker, parts: &[Part]) -> Result<Received, String> {
    let mut last = Err("no part came".to_owned());
    for part in parts {
        match worker.run(MaintenanceJob::Receive(STREAM, part.clone())).unwrap() {
            Some(Done::Received(STREAM, result)) => last = result,
            other => panic!("{other:?}"),
        }
    }
    last
}

fn install(worker: &mut MaintenanceWorker, place: Place) {
    let done = worker.run(MaintenanceJob::Install { place, promise: PROMISE }).unwrap();
    assert!(matches!(done, Some(Done::Installed)));
}

/// What a start finds: where the tables stand, the promise, and the numbers of the tables.
fn found(folder: &Path) -> (Index, Ballot, Vec<u64>) {
    let store = open(folder, TWO, SALTS).unwrap();
    let mut pairs = numbers(&folder.join("tables")).unwrap();
    pairs.sort_unstable();
    assert_eq!(pairs, numbers(&folder.join("journal")).unwrap());
    (store.recovered.applied, store.recovered.hard_state.promise, pairs)
}

const OLD: (Index, Ballot) = (Index(0), Ballot::NONE);

#[test]
fn what_was_received_whole_is_the_next_lifes_store_with_every_promise_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut worker) = joiner(folder.path());
    let Received::Whole(place) = receive(&mut worker, &parts()).unwrap() else { panic!() };
    assert_eq!(place.index, Index(1));
    install(&mut worker, place);
    let before = store.incarnation;
    drop((store, worker));
    let store = open(folder.path(), TWO, SALTS).unwrap();
    assert_eq!((store.incarnation.store, store.incarnation.life), (before.store, before.life + 1));
    assert_eq!(store.journal.base(), (place.index, place.ballot));
    assert_eq!(store.recovered.hard_state, HardState { promise: PROMISE, commit: place.index });
    assert!(store.recovered.view.is_some());
    drop(store);
    assert_eq!(found(folder.path()), (Index(1), PROMISE, vec![2]));
}

#[test]
fn a_crash_at_any_step_leaves_the_old_store_or_the_new_one() {
    let parts = parts();
    // While parts come, and when all have come.
    for come in 1..=parts.len() {
        let folder = tempfile::tempdir().unwrap();
        let (store, mut worker) = joiner(folder.path());
        receive(&mut worker, &parts[..come]).unwrap();
        drop((store, worker));
        assert_eq!(found(folder.path()), (OLD.0, OLD.1, vec![1]), "after {come} parts");
    }
    let folder = tempfile::tempdir().unwrap();
    let (store, mut worker) = joiner(folder.path());
    let Received::Whole(place) = receive(&mut worker, &parts).unwrap() else { panic!() };
    install(&mut worker, place);
    drop((store, worker));
    let copy = |name: &str| folder.path().join(name);
    // Before the rename: the journal is there, in part or whole, and so is the new `CURRENT`.
    std::fs::write(copy("CURRENT.new"), "2\n").unwrap();
    std::fs::write(copy("CURRENT"), "1\n").unwrap();
    std::fs::write(copy("journal/2/spare"), "half").unwrap();
    assert_eq!(found(folder.path()), (OLD.0, OLD.1, vec![1]));
    // Behind it: what was replaced is still there, in part.
    let (store, mut worker) = joiner(folder.path());
    receive(&mut worker, &parts).unwrap();
    install(&mut worker, place);
    drop((store, worker));
    std::fs::remove_dir_all(copy("tables/1")).unwrap();
    assert_eq!(found(folder.path()), (Index(1), PROMISE, vec![2]));
}

#[test]
fn a_stream_with_a_part_missing_doubled_cut_or_changed_is_refused_and_nothing_of_it_stays() {
    let good = parts();
    let folder = tempfile::tempdir().unwrap();
    let (store, mut worker) = joiner(folder.path());
    let mut bad: Vec<Vec<Part>> = Vec::new();
    for at in 0..good.len() {
        let mut missing = good.clone();
        missing.remove(at);
        bad.push(missing);
        if !good[at].is_last {
            let mut doubled = good.clone();
            doubled.insert(at, good[at].clone());
            bad.push(doubled);
        }
        for change in [|bytes: &mut Vec<u8>| bytes.truncate(9), |bytes: &mut Vec<u8>| bytes[9] ^= 1]
        {
            let mut changed = good.clone();
            change(&mut changed[at].bytes);
            bad.push(changed);
        }
    }
    for parts in bad {
        // One that lacks its end is not refused yet; it is given up with its link.
        let mut refused = false;
        for part in parts {
            let taken = receive(&mut worker, &[part]);
            assert!(!matches!(taken, Ok(Received::Whole(_))), "it was believed");
            refused |= taken.is_err();
            if refused {
                break;
            }
        }
        worker.run(MaintenanceJob::Discard(STREAM)).unwrap();
        assert_eq!(numbers(&folder.path().join("tables")).unwrap(), [1]);
    }
    let whole = receive(&mut worker, &good).unwrap();
    assert!(matches!(whole, Received::Whole(_)));
    drop(store);
}

#[test]
fn current_is_read_as_written_and_nothing_else_is_believed() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read(folder.path()).unwrap().is_none());
    write(folder.path(), Pair(12)).unwrap();
    assert_eq!(read(folder.path()).unwrap(), Some(Pair(12)));
    for text in ["", "1", "0\n", "01\n", "+1\n", "-1\n", "1\n\n", "1 \n", "../1\n"] {
        std::fs::write(folder.path().join("CURRENT"), text).unwrap();
        assert!(matches!(read(folder.path()), Err(StoreError::Damaged { .. })), "{text:?}");
    }
}
