use super::fuzz_requests;

/// Lines that reach every operation; what comes out of them by changes is what a confused or
/// hostile client would send.
const LINES: &[&str] = &[
    r#"{"id":3,"op":"ping"}"#,
    r#"{"id":4,"op":"status","d":{}}"#,
    r#"{"id":5,"op":"sessions"}"#,
    r#"{"id":6,"op":"users","d":{"prefix":"f","after":"a","limit":3}}"#,
    r#"{"id":7,"op":"conversations","d":{"after":"c1","limit":2}}"#,
    r#"{"id":8,"op":"send","d":{"to":"fuzz","text":"é\n","txn":"$aa"}}"#,
    r#"{"id":9,"op":"send","d":{"conv":"c1","text":"y","txn":"$ab"}}"#,
    r#"{"id":10,"op":"history","d":{"conv":"c1","before":9,"limit":100}}"#,
    r#"{"id":11,"op":"history","d":{"conv":"c1","after":18446744073709551615}}"#,
    r#"{"id":12,"op":"read","d":{"conv":"c1","upto":1}}"#,
    r#"{"id":13,"op":"delivered","d":{"conv":"c1","upto":18446744073709551615}}"#,
    r#"{"id":14,"op":"edit","d":{"conv":"c1","seq":1,"text":"z","txn":"$ac"}}"#,
    r#"{"id":15,"op":"delete","d":{"conv":"c1","seq":1,"for":"all","txn":"$ad"}}"#,
    r#"{"id":16,"op":"revoke","d":{"session":"others"}}"#,
    r#"{"id":17,"op":"passwd","d":{"old":"word of fuzz","new":"word of fuzz"}}"#,
    r#"{"id":18,"op":"delete_account","d":{"pass":"word of fuzz?","txn":"$ae"}}"#,
    r#"{"id":19,"op":"logout"}"#,
    r#"{"id":20,"op":"resume","d":{"token":"00","cur":"1.2"}}"#,
    r#"{"id":21,"op":"login","d":{"user":"fuzz","pass":"word of fuzz","device":"d"}}"#,
    r#"#{"id":1,"op":"admin_users","d":{"prefix":""}}"#,
    r#"#{"id":2,"op":"admin_register","d":{"user":"other","pass":"word of other"}}"#,
    r#"#{"id":3,"op":"admin_reset_password","d":{"user":"other","pass":"word of another"}}"#,
    r#"#{"id":4,"op":"admin_verify"}"#,
    r#"#{"id":5,"op":"admin_backup","d":{"path":"/x"}}"#,
    r#"#{"id":6,"op":"admin_delete_user","d":{"user":"other"}}"#,
];

/// The lines with their txns written out.
fn lines() -> Vec<String> {
    LINES.iter().map(|line| line.replace('$', &"0".repeat(30))).collect()
}

/// One step of splitmix64: a small generator whose every seed is good.
fn next(random: &mut u64) -> usize {
    *random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *random;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((mixed ^ (mixed >> 31)) >> 8).unwrap()
}

/// A line with up to three small changes: a byte, a digit, a piece cut out, doubled or taken from
/// another line.
fn changed(lines: &[String], random: &mut u64) -> Vec<u8> {
    let mut bytes = lines[next(random) % lines.len()].as_bytes().to_vec();
    for _ in 0..next(random) % 4 {
        let at = next(random) % bytes.len().max(1);
        let end = (at + next(random) % 12).min(bytes.len());
        match next(random) % 6 {
            0 if at < bytes.len() => bytes[at] = next(random).to_le_bytes()[0],
            1 => bytes.insert(at, b"0123456789-{}[]\",:\\"[next(random) % 19]),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].repeat(1 + next(random) % 20);
                bytes.splice(at..at, piece);
            }
            4 => {
                let other = lines[next(random) % lines.len()].as_bytes();
                bytes.splice(at.., other[at.min(other.len())..].iter().copied());
            }
            _ => bytes.truncate(end),
        }
    }
    bytes
}

#[test]
fn whatever_line_comes_is_answered_once_or_ends_its_connection() {
    let lines = lines();
    for seed in 0..150 {
        let mut random = seed;
        let mut bytes = Vec::new();
        for _ in 0..20 {
            bytes.extend(changed(&lines, &mut random));
            bytes.push(b'\n');
        }
        let kept = bytes.clone();
        if std::panic::catch_unwind(|| fuzz_requests(&bytes)).is_err() {
            panic!("seed {seed}: {}", String::from_utf8_lossy(&kept));
        }
    }
}

#[test]
fn every_line_that_the_fuzzer_begins_with_is_answered() {
    fuzz_requests(lines().join("\n").as_bytes());
    fuzz_requests(b"");
    fuzz_requests(b"#\n\n#\xff\n\xff");
}
