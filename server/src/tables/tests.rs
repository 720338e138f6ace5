//! What holds of rows wherever they are kept.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use super::testing::random;
use super::{DiskRows, MemoryRows, Order, Read, Rows, Write};

fn all(rows: &dyn Read) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    rows.range(&[0], &[u8::MAX], Order::Ascending, &mut |key, value| {
        found.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn batch(state: &mut u64) -> Vec<Write> {
    let mut writes = BTreeMap::new();
    for _ in 0..random(state) % 20 {
        let key = vec![b'k', (random(state) % 50) as u8];
        let value = (!random(state).is_multiple_of(4))
            .then(|| vec![random(state) as u8; (random(state) % 400) as usize]);
        writes.insert(key, value);
    }
    writes.into_iter().collect()
}

#[test]
fn rows_on_disk_are_the_rows_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = DiskRows::open(folder.path()).unwrap();
    let mut memory = MemoryRows::new();
    let mut state = 7;
    for step in 0..400 {
        let writes = batch(&mut state);
        disk.commit(writes.clone()).unwrap();
        memory.commit(writes).unwrap();
        if step == 250 {
            disk.views().compact().unwrap();
        }
        if step % 150 == 99 {
            disk.persist().unwrap();
            drop(disk);
            disk = DiskRows::open(folder.path()).unwrap();
        }
        let from = vec![b'k', (random(&mut state) % 60) as u8];
        let to = vec![b'k', (random(&mut state) % 60) as u8];
        for order in [Order::Ascending, Order::Descending] {
            let page = |rows: &dyn Read| {
                let mut keys = Vec::new();
                rows.range(&from, &to, order, &mut |key, value| {
                    keys.push((key.to_vec(), value.to_vec()));
                    if keys.len() < 7 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })
                .unwrap();
                keys
            };
            assert_eq!(page(&disk), page(&memory), "step {step}");
            assert_eq!(page(&*disk.views().view()), page(&*memory.views().view()), "step {step}");
        }
        assert_eq!(disk.get(&from).unwrap(), memory.get(&from).unwrap());
    }
    assert_eq!(all(&disk), all(&memory));
}

#[test]
fn a_view_never_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = DiskRows::open(folder.path()).unwrap();
    let mut memory = MemoryRows::new();
    for rows in [&mut disk as &mut dyn Rows, &mut memory] {
        rows.commit(vec![(b"k".to_vec(), Some(b"old".to_vec()))]).unwrap();
        let view = rows.views().view();
        rows.commit(vec![(b"k".to_vec(), None), (b"l".to_vec(), Some(b"new".to_vec()))]).unwrap();
        rows.views().compact().unwrap();
        assert_eq!(view.get(b"k").unwrap(), Some(b"old".to_vec()));
        assert_eq!(view.get(b"l").unwrap(), None);
        assert_eq!(rows.views().view().get(b"k").unwrap(), None);
    }
}

#[test]
fn a_crash_in_memory_rolls_back_to_a_batch_at_or_after_the_last_persist() {
    let mut rows = MemoryRows::new();
    let put = |n: u8| vec![(vec![b'k', n], Some(vec![n]))];
    rows.commit(put(1)).unwrap();
    rows.persist().unwrap();
    rows.commit(put(2)).unwrap();
    rows.commit(put(3)).unwrap();
    assert_eq!(rows.unpersisted(), 2);
    rows.crash(1);
    assert_eq!(all(&rows).len(), 2);
    rows.crash(0);
    assert_eq!(all(&rows).len(), 2, "what survived one crash survives the next");
}

/// Copies a folder as a killed process leaves it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

fn file_with(folder: &Path, needle: &[u8]) -> Option<String> {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if let Some(found) = file_with(&path, needle) {
                return Some(found);
            }
        } else if std::fs::read(&path).unwrap().windows(needle.len()).any(|at| at == needle) {
            return Some(path.display().to_string());
        }
    }
    None
}

#[test]
fn a_killed_process_leaves_some_batch_at_or_after_the_last_persist_and_no_part_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("here");
    let mut rows = DiskRows::open(&here).unwrap();
    let mut persisted = 0u32;
    for n in 1..=300u32 {
        // Each batch writes the same two rows: they agree in whatever survives.
        let value = Some([n.to_le_bytes().to_vec(), vec![9; 3000]].concat());
        rows.commit(vec![(b"a".to_vec(), value.clone()), (b"z".to_vec(), value)]).unwrap();
        if n % 70 == 0 {
            rows.persist().unwrap();
            persisted = n;
        }
        if n % 37 == 0 {
            let killed = folder.path().join(format!("killed{n}"));
            copy(&here, &killed);
            let left = DiskRows::open(&killed).unwrap();
            let number = |key: &[u8]| {
                let value = left.get(key).unwrap();
                value.map_or(0, |value| u32::from_le_bytes(value[..4].try_into().unwrap()))
            };
            let (one, other) = (number(b"a"), number(b"z"));
            assert_eq!(one, other, "a part of a batch");
            assert!((persisted..=n).contains(&one), "{one} of {persisted} to {n}");
        }
    }
}

#[test]
fn what_was_overwritten_or_removed_is_in_no_file_after_compaction() {
    let folder = tempfile::tempdir().unwrap();
    let mut rows = DiskRows::open(folder.path()).unwrap();
    let secret = b"a text that must not stay on the disk";
    let filler = |n: u32| (format!("f{n:06}").into_bytes(), Some(vec![n as u8; 500]));
    rows.commit((0..2_000).map(filler).collect()).unwrap();
    rows.commit(vec![(b"one".to_vec(), Some(secret.to_vec()))]).unwrap();
    rows.commit(vec![(b"two".to_vec(), Some(secret.to_vec()))]).unwrap();
    rows.persist().unwrap();
    assert!(file_with(folder.path(), secret).is_some(), "the test looks in the right place");
    rows.commit(vec![(b"one".to_vec(), Some(b"tombstone".to_vec())), (b"two".to_vec(), None)])
        .unwrap();
    rows.views().compact().unwrap();
    rows.persist().unwrap();
    assert_eq!(file_with(folder.path(), secret), None);
    assert_eq!(rows.get(b"one").unwrap(), Some(b"tombstone".to_vec()));
    assert_eq!(rows.get(b"f001999").unwrap().unwrap().len(), 500);
}
