use std::sync::Arc;

use holdfast_common::ids::ServerId;
use proptest::prelude::*;

use super::sim::{Faults, SimDisk};
use super::*;
use crate::entry::{ClusterId, Incarnation, Payload, StoreId, View};

const SMALL: Options = Options { segment_bytes: 2048, first_segment_bytes: 1536, salt: 0xabcd };
const NOWHERE: (Index, Ballot) = (Index(0), Ballot::NONE);

fn ballot(round: u64) -> Ballot {
    Ballot { generation: 1, round, server: ServerId(1) }
}

fn entry(index: u64, round: u64, text: &str) -> Entry {
    let payload = Payload::Operation(Arc::from(text.as_bytes()));
    Entry { index: Index(index), ballot: ballot(round), payload }
}

fn batch(round: u64, commit: u64, entries: Vec<Entry>) -> Batch {
    let hard_state = HardState { promise: ballot(round), commit: Index(commit) };
    Batch { hard_state, cut_after: None, entries }
}

fn create(disk: &SimDisk) -> Journal<SimDisk> {
    Journal::create(disk.clone(), NOWHERE, HardState::NONE, SMALL).unwrap()
}

fn all<D: Disk>(journal: &mut Journal<D>) -> Vec<Entry> {
    let (first, last) = (journal.first(), journal.last().0);
    let mut entries: Vec<Entry> = Vec::new();
    let mut from = first;
    while from <= last {
        entries.extend(journal.read(from, last, 100).unwrap());
        from = entries.last().unwrap().index.next();
    }
    entries
}

/// One step of a workload.
#[derive(Debug, Clone)]
enum Step {
    /// So many entries of so many bytes.
    Append(usize, usize),
    /// The last so many uncommitted entries are replaced by one.
    Cut(u64),
    /// Only the hard state.
    Commit,
    /// What comes next begins a new segment.
    Roll,
    /// Everything committed is released.
    Release,
}

/// What a journal holds, as a plain list.
#[derive(Debug, Clone, Default, PartialEq)]
struct Model {
    entries: Vec<Entry>,
    round: u64,
    commit: u64,
}

impl Model {
    fn last(&self) -> u64 {
        self.entries.len() as u64
    }

    /// The batch of a step, and the model behind it.
    fn step(&self, step: &Step) -> Option<(Batch, Model)> {
        let mut after = self.clone();
        let (cut_after, entries) = match step {
            Step::Append(count, size) => {
                let text = "x".repeat(*size);
                let next = self.last() + 1;
                let entries = (next..).take(*count).map(|at| entry(at, self.round, &text));
                (None, entries.collect())
            }
            Step::Cut(back) => {
                let cut = self.last().saturating_sub(*back).max(self.commit);
                after.round += 1;
                (Some(Index(cut)), vec![entry(cut + 1, after.round, "replaced")])
            }
            Step::Commit => {
                after.commit = self.last();
                (None, Vec::new())
            }
            Step::Roll | Step::Release => return None,
        };
        if let Some(cut) = cut_after {
            after.entries.truncate(usize::try_from(cut.0).unwrap());
        }
        after.entries.extend(entries.iter().cloned());
        let mut batch = batch(after.round, after.commit, entries);
        batch.cut_after = cut_after;
        Some((batch, after))
    }
}

/// Runs the steps until one fails; gives what is surely there and what may be there.
fn run(journal: &mut Journal<SimDisk>, model: Model, steps: &[Step]) -> (Model, Model) {
    let mut sure = model;
    for step in steps {
        match sure.step(step) {
            Some((batch, after)) => {
                if journal.append(&batch).is_err() {
                    return (sure, after);
                }
                sure = after;
                if journal.prepare().is_err() {
                    return (sure.clone(), sure);
                }
            }
            None if matches!(step, Step::Roll) => journal.roll(),
            None => {
                if journal.release(Index(sure.commit), 0).is_err() {
                    return (sure.clone(), sure);
                }
            }
        }
    }
    assert!(holds(journal, &sure), "what was written is read back while it is open");
    (sure.clone(), sure)
}

fn holds(journal: &mut Journal<SimDisk>, model: &Model) -> bool {
    let entries = all(journal);
    let first = usize::try_from(journal.first().0 - 1).unwrap();
    first <= usize::try_from(model.commit).unwrap().max(first)
        && entries == model.entries[first.min(model.entries.len())..]
        && journal.hard_state().commit.0 == model.commit
}

/// Loses power at operation `at`, perhaps again while recovering, and says what must be there.
fn survives(steps: &[Step], at: u64, seed: u64) {
    let disk = SimDisk::new(seed);
    let mut journal = create(&disk);
    let from = disk.operations();
    disk.set_faults(Faults { crash_at: Some(from + at), ..Faults::default() });
    let (sure, perhaps) = run(&mut journal, Model { round: 1, ..Model::default() }, steps);
    drop(journal);
    disk.crash();
    // Recovery itself is cut short, then runs again.
    let from = disk.operations();
    disk.set_faults(Faults { crash_at: Some(from + seed % 3), ..Faults::default() });
    if let Ok(journal) = Journal::open(disk.clone(), SMALL) {
        drop(journal);
    }
    disk.crash();
    let mut journal = Journal::open(disk.clone(), SMALL)
        .unwrap_or_else(|error| panic!("operation {at} seed {seed}: {error}"));
    let there = if holds(&mut journal, &sure) { sure } else { perhaps };
    assert!(holds(&mut journal, &there), "operation {at} seed {seed}: {:?}", all(&mut journal));
    // And it goes on from there.
    let more = [Step::Append(2, 40), Step::Commit, Step::Append(1, 900)];
    let (sure, _) = run(&mut journal, there, &more);
    drop(journal);
    let mut journal = Journal::open(disk, SMALL).unwrap();
    assert!(holds(&mut journal, &sure), "after going on: operation {at} seed {seed}");
}

#[test]
fn a_power_cut_at_any_write_or_sync_loses_nothing_acknowledged() {
    let steps = [
        Step::Append(1, 300),
        Step::Append(3, 200),
        Step::Commit,
        Step::Append(2, 500),
        Step::Cut(2),
        Step::Append(1, 1000),
        Step::Commit,
        Step::Roll,
        Step::Release,
        Step::Append(5, 3),
        Step::Append(1, 3000),
        Step::Cut(1),
        Step::Commit,
        Step::Roll,
        Step::Release,
        Step::Append(4, 100),
    ];
    let disk = SimDisk::new(0);
    let mut journal = create(&disk);
    let from = disk.operations();
    run(&mut journal, Model { round: 1, ..Model::default() }, &steps);
    let operations = disk.operations() - from;
    assert!(operations > 40, "the script touches the disk often: {operations}");
    for at in 0..=operations {
        for seed in 0..12 {
            survives(&steps, at, seed * 31 + at);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn random_workloads_survive_random_power_cuts(
        steps in prop::collection::vec(prop_oneof![
            4 => (1usize..5, 0usize..700).prop_map(|(count, size)| Step::Append(count, size)),
            1 => (0u64..4).prop_map(Step::Cut),
            2 => Just(Step::Commit),
            1 => Just(Step::Roll),
            1 => Just(Step::Release),
        ], 1..25),
        at in 0u64..120,
        seed in any::<u64>(),
    ) {
        survives(&steps, at, seed);
    }
}

#[test]
fn every_single_flipped_bit_is_noticed_or_lies_in_the_last_batch() {
    let disk = SimDisk::new(3);
    let mut journal = create(&disk);
    let mut model = Model { round: 1, ..Model::default() };
    let steps = [Step::Append(2, 100), Step::Append(2, 500), Step::Append(1, 200), Step::Commit];
    let mut before_last = model.clone();
    for step in &steps {
        before_last = model.clone();
        model = run(&mut journal, model, std::slice::from_ref(step)).0;
    }
    assert_eq!(journal.segments.len(), 2, "the flips meet a segment's end, too");
    let last_frame = journal.offset - 88;
    drop(journal);
    let mut names = disk.clone().names().unwrap();
    names.retain(|name| name != SPARE);
    for name in names {
        let bytes = disk.clone().read(&name).unwrap().len();
        for bit in 0..bytes * 8 {
            disk.flip(&name, bit);
            if let Ok(mut journal) = Journal::open(disk.clone(), SMALL) {
                let shorter = holds(&mut journal, &before_last);
                let whole = holds(&mut journal, &model);
                assert!(whole || shorter, "{name} bit {bit}: a wrong log");
                let in_last = name == segments::name(2) && bit as u64 / 8 >= last_frame;
                assert!(whole || in_last, "{name} bit {bit}: silently shorter");
                // Opening zeroes what it takes for a torn tail: write the last batch again.
                if !whole {
                    let mut journal = journal;
                    run(&mut journal, before_last.clone(), &steps[3..]);
                    continue;
                }
                let clean = disk.clone().read(&name).unwrap()[bit / 8] & 1 << (bit % 8) == 0;
                if clean {
                    continue;
                }
            }
            disk.flip(&name, bit);
        }
    }
}

#[test]
fn a_missing_or_swapped_segment_is_noticed() {
    let steps: Vec<Step> = (0..12).map(|_| Step::Append(1, 600)).collect();
    let model = || Model { round: 1, ..Model::default() };
    let disk = SimDisk::new(4);
    let mut journal = create(&disk);
    run(&mut journal, model(), &steps);
    assert!(journal.segments.len() >= 4);
    drop(journal);
    let bytes = disk.clone().read(&segments::name(2)).unwrap();
    disk.clone().remove(&segments::name(2)).unwrap();
    assert!(matches!(Journal::open(disk.clone(), SMALL), Err(OpenError::Corrupt { .. })));
    let other = disk.clone().read(&segments::name(3)).unwrap();
    disk.clone().create(&segments::name(2)).unwrap();
    disk.clone().write_at(&segments::name(2), 0, &other).unwrap();
    assert!(matches!(Journal::open(disk.clone(), SMALL), Err(OpenError::Corrupt { .. })));
    disk.clone().write_at(&segments::name(2), 0, &bytes).unwrap();
    disk.clone().write_at(&segments::name(2), 2040, b"x").unwrap();
    assert!(Journal::open(disk, SMALL).is_ok(), "zeros behind the last frame are not looked at");
}

#[test]
fn after_a_full_disk_or_a_failed_sync_nothing_is_written_any_more() {
    let full = Faults { bytes_max: Some(5000), ..Faults::default() };
    let failing = Faults { failing_sync: Some(12), ..Faults::default() };
    let read_only = Faults { read_only: true, ..Faults::default() };
    for (faults, sentence) in
        [(full, "the disk is full"), (failing, "check the disk"), (read_only, "cannot be written")]
    {
        let disk = SimDisk::new(5);
        let mut journal = create(&disk);
        disk.set_faults(faults);
        let mut model = Model { round: 1, ..Model::default() };
        let fault = loop {
            let (batch, after) = model.step(&Step::Append(1, 400)).unwrap();
            match journal.append(&batch) {
                Ok(()) => model = after,
                Err(fault) => break fault,
            }
            assert!(model.last() < 100, "the fault never came");
        };
        assert!(fault.to_string().contains(sentence), "{fault}");
        disk.set_faults(Faults::default());
        let (batch, _) = model.step(&Step::Append(1, 400)).unwrap();
        assert!(journal.append(&batch).is_err(), "a failed journal stays failed");
        drop(journal);
        disk.crash();
        let mut journal = Journal::open(disk, SMALL).unwrap();
        assert!(all(&mut journal).len() as u64 >= model.last());
    }
}

#[test]
fn a_batch_larger_than_a_segment_gets_a_segment_of_its_own() {
    let disk = SimDisk::new(6);
    let mut journal = create(&disk);
    let model = Model { round: 1, ..Model::default() };
    let (sure, _) = run(&mut journal, model, &[Step::Append(3, 9000), Step::Append(1, 10)]);
    drop(journal);
    let mut journal = Journal::open(disk, SMALL).unwrap();
    assert!(holds(&mut journal, &sure));
}

/// A server that had just begun a segment to release the former ones took entries that replaced its
/// last ones; the segments before went, and with them the place of the first entry, so the next
/// server that asked for what stood behind it ended this one (chaos at random, after 1,240 s).
#[test]
fn a_segment_that_begins_with_a_cut_is_read_after_those_before_it_are_released() {
    let mut journal = create(&SimDisk::new(1));
    journal.append(&batch(1, 5, (1..=10).map(|at| entry(at, 1, "text")).collect())).unwrap();
    journal.roll();
    let replacing: Vec<Entry> = (6..=12).map(|at| entry(at, 2, "other")).collect();
    let cut = Batch { cut_after: Some(Index(5)), ..batch(2, 12, replacing.clone()) };
    journal.append(&cut).unwrap();
    journal.release(Index(12), 0).unwrap();
    assert_eq!(journal.first(), Index(11));
    assert_eq!(journal.read(Index(11), Index(12), 1 << 20).unwrap(), replacing[5..]);
}

#[test]
fn on_a_real_folder_what_was_appended_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || FolderDisk::new(folder.path()).unwrap();
    assert!(matches!(Journal::open(disk(), SMALL), Err(OpenError::Missing)));
    let mut journal = Journal::create(disk(), NOWHERE, HardState::NONE, SMALL).unwrap();
    let member = Incarnation { server: ServerId(1), store: StoreId(5), life: 1 };
    let view = View { cluster: ClusterId([3; 16]), members: vec![member] };
    let first = Entry { index: Index(1), ballot: ballot(1), payload: Payload::View(view) };
    journal.append(&batch(1, 0, vec![first.clone()])).unwrap();
    for at in 2..200 {
        journal.append(&batch(1, at - 1, vec![entry(at, 1, "text")])).unwrap();
    }
    journal.roll();
    journal.append(&batch(1, 199, vec![entry(200, 1, "last")])).unwrap();
    drop(journal);
    let mut journal = Journal::open(disk(), SMALL).unwrap();
    let entries = all(&mut journal);
    assert_eq!((entries.len(), &entries[0]), (200, &first));
    journal.release(Index(200), 0).unwrap();
    assert_eq!(journal.first(), Index(200));
    drop(journal);
    assert_eq!(all(&mut Journal::open(disk(), SMALL).unwrap()), [entry(200, 1, "last")]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn recovery_of_arbitrary_bytes_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        fuzz_recovery(&bytes);
    }
}

/// The process dies at each operation of a workload, the machine goes on; a new life reads what the
/// system still has in memory, and acts on it. Then power fails.
#[test]
fn what_a_new_life_has_read_survives_a_loss_of_power_although_the_former_did_not_sync_it() {
    for crash_at in 0..60 {
        for seed in 0..4 {
            let disk = SimDisk::new(seed);
            let mut journal = create(&disk);
            let crash_at = Some(disk.operations() + crash_at);
            disk.set_faults(Faults { crash_at, ..Faults::default() });
            for index in 1..=8 {
                if journal.append(&batch(1, 0, vec![entry(index, 1, &"x".repeat(300))])).is_err() {
                    break;
                }
            }
            disk.set_faults(Faults::default());
            let read = all(&mut Journal::open(disk.clone(), SMALL).unwrap());
            disk.crash();
            let kept = all(&mut Journal::open(disk, SMALL).unwrap());
            assert_eq!(kept, read, "died at {crash_at:?}, seed {seed}");
        }
    }
}

#[test]
fn a_batch_is_one_write_and_one_sync_and_the_next_segment_is_prepared_behind_it() {
    let disk = SimDisk::new(3);
    let mut journal = create(&disk);
    let before = disk.operations();
    let first = entry(1, 1, &"x".repeat(700));
    journal.append(&batch(1, 0, vec![first.clone()])).unwrap();
    assert_eq!(disk.operations() - before, 2);
    disk.set_faults(Faults { crash_at: Some(disk.operations()), ..Faults::default() });
    assert!(journal.prepare().is_err());
    assert!(journal.append(&batch(1, 0, vec![entry(2, 1, "next")])).is_err());
    disk.crash();
    let mut journal = Journal::open(disk, SMALL).unwrap();
    assert_eq!(all(&mut journal), [first], "what was answered is there");
}

#[test]
fn a_journal_that_was_just_opened_prepares_the_next_segment_step_by_step() {
    let disk = SimDisk::new(4);
    let options = Options { segment_bytes: 4 << 20, first_segment_bytes: 4 << 20, salt: 7 };

    let mut journal = Journal::create(disk.clone(), NOWHERE, HardState::NONE, options).unwrap();
    for index in 1..=20 {
        let text = "x".repeat(100_000);
        journal.append(&batch(1, 0, vec![entry(index, 1, &text)])).unwrap();
    }
    let mut journal = Journal::open(disk.clone(), options).unwrap();
    journal.append(&batch(1, 0, vec![entry(21, 1, "next")])).unwrap();
    let mut steps = 0;
    loop {
        let before = disk.operations();
        let is_more = journal.prepare().unwrap();
        assert!(disk.operations() - before <= 3, "a step holds nobody up for long");
        steps += 1;
        if !is_more {
            break;
        }
    }
    assert!(steps > 10, "there was much to do: {steps}");
    let before = disk.operations();
    for index in 22..=42 {
        let text = "x".repeat(100_000);
        journal.append(&batch(1, 0, vec![entry(index, 1, &text)])).unwrap();
    }
    assert!(disk.operations() - before <= 2 * 21 + 6, "the next segment was ready");
}
