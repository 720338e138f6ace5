use super::*;
use crate::tables::MemoryRows;
use crate::tables::testing::{fuzz, random};

fn filled() -> MemoryRows {
    let mut rows = MemoryRows::new();
    let row = |n: u32| (format!("k{n:05}").into_bytes(), Some(vec![7; 1000]));
    rows.commit((0..1000).map(row).collect()).unwrap();
    rows
}

fn exported(rows: &MemoryRows) -> Vec<u8> {
    let mut file = Vec::new();
    export(rows, b"about", &mut file).unwrap();
    file
}

fn refused(file: &[u8]) -> bool {
    install(&mut &file[..], &mut MemoryRows::new()).is_err()
}

#[test]
fn what_was_exported_is_installed_whole() {
    let mut file = Vec::new();
    assert_eq!(export(&filled(), b"about", &mut file).unwrap(), 1000);
    let mut rows = MemoryRows::new();
    assert_eq!(install(&mut file.as_slice(), &mut rows).unwrap(), b"about");
    assert_eq!(exported(&rows), file);
}

#[test]
fn an_installed_snapshot_survives_a_loss_of_power_at_once() {
    let file = exported(&filled());
    let mut rows = MemoryRows::new();
    install(&mut file.as_slice(), &mut rows).unwrap();
    rows.crash(0);
    assert_eq!(exported(&rows), file);
}

#[test]
fn a_snapshot_cut_anywhere_is_refused() {
    let mut rows = MemoryRows::new();
    let row = |n: u8| (vec![b'k', n], Some(vec![n; 40]));
    rows.commit((0..20).map(row).collect()).unwrap();
    let file = exported(&rows);
    for at in 0..file.len() {
        assert!(refused(&file[..at]), "cut at {at}");
    }
    let long = exported(&filled());
    for at in (0..long.len()).step_by(997) {
        assert!(refused(&long[..at]), "cut at {at}");
    }
}

#[test]
fn a_snapshot_with_any_bit_flipped_is_refused() {
    let mut rows = MemoryRows::new();
    let row = |n: u8| (vec![b'k', n], Some(vec![n; 40]));
    rows.commit((0..20).map(row).collect()).unwrap();
    let mut file = exported(&rows);
    for bit in 0..file.len() * 8 {
        file[bit / 8] ^= 1 << (bit % 8);
        assert!(refused(&file), "bit {bit}");
        file[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(!refused(&file));
}

#[test]
fn chunks_in_another_order_are_refused() {
    let file = exported(&filled());
    // magic, then about: 8 + (8 + 5); then the first two chunks, which are of one size.
    let first = 21;
    let length = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize + 8;
    let second = first + length(first);
    let third = second + length(second);
    let swapped =
        [&file[..first], &file[second..third], &file[first..second], &file[third..]].concat();
    assert_eq!(swapped.len(), file.len());
    assert!(refused(&swapped));
}

#[test]
fn rows_that_no_server_writes_are_refused_though_every_checksum_is_right() {
    let part = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let file = |keys: &[&[u8]]| {
        let mut hash = Context::new(&SHA256);
        let mut file = MAGIC.to_vec();
        put_chunk(&mut file, b"about", &mut hash).unwrap();
        let rows: Vec<u8> =
            keys.iter().flat_map(|key| [part(key), part(b"value")].concat()).collect();
        put_chunk(&mut file, &rows, &mut hash).unwrap();
        file.extend_from_slice(&[0; 8]);
        file.extend_from_slice(hash.finish().as_ref());
        file
    };
    assert!(!refused(&file(&[b"a", b"b"])));
    assert!(refused(&file(&[b""])), "an empty key");
    assert!(refused(&file(&[b"a", b"a"])), "a key twice");
    assert!(refused(&file(&[b"b", b"a"])), "keys out of order");
    assert!(refused(&file(&[&[u8::MAX]])), "a key behind all others");
    assert!(refused(&file(&[&[b'a'; KEY_BYTES_MAX + 1]])), "a key that is too long");
}

#[test]
fn installing_arbitrary_bytes_never_panics() {
    fuzz(|seed| {
        // Rows that are nearly right get further than noise does.
        let mut state = seed;
        let mut bytes = Vec::new();
        for n in 0..random(&mut state) % 8 {
            let key = random(&mut state) % 5;
            bytes.extend_from_slice(&(key as u32).to_le_bytes());
            bytes.extend((0..key).map(|_| n as u8));
            let value = random(&mut state) % 30;
            bytes.extend_from_slice(&(value as u32).to_le_bytes());
            bytes.extend((0..value).map(|_| random(&mut state) as u8));
        }
        if random(&mut state).is_multiple_of(2) && !bytes.is_empty() {
            let at = random(&mut state) as usize % bytes.len();
            bytes[at] = random(&mut state) as u8;
        }
        fuzz_install(&bytes);
        let mut whole = exported(&filled_with(&mut state));
        let at = random(&mut state) as usize % whole.len();
        whole[at] ^= 1 << (random(&mut state) % 8);
        fuzz_install(&whole);
    });
}

fn filled_with(state: &mut u64) -> MemoryRows {
    let mut rows = MemoryRows::new();
    let count = random(state) % 10;
    let row = |n| (vec![b'k', n as u8], Some(vec![random(state) as u8; 9]));
    rows.commit((0..count).map(row).collect()).unwrap();
    rows
}
