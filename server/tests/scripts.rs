//! Golden transcripts of the protocol: each file of `tests/scripts` is one subject, played against
//! the real node. `BLESS=1 cargo test --test scripts` writes what the node says now; read the
//! difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod sim;

use std::fs;
use std::path::{Path, PathBuf};

use sim::script::play;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut scripts: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    scripts.sort();
    scripts
}

/// The first lines that differ, and where.
fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let same = expected.iter().zip(&found).take_while(|(one, other)| one == other).count();
    let part = |lines: &[&str], mark: &str| -> String {
        let lines = lines.iter().skip(same).take(6);
        lines.map(|line| format!("  {mark} {line}\n")).collect()
    };
    let (wrote, said) = (part(&expected, "-"), part(&found, "+"));
    format!("line {}, after {:?}:\n{wrote}{said}", same + 1, expected.get(same.saturating_sub(1)))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for new transcripts by a variable")]
fn every_script_is_answered_as_it_was_written() {
    let bless = std::env::var("BLESS").is_ok();
    let only = std::env::var("SCRIPT").ok();
    let mut failures = String::new();
    for path in scripts() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap();
        let found = play(&name, &expected);
        if expected != found && bless {
            fs::write(&path, found).unwrap();
        } else if expected != found {
            failures += &format!("{name}.txt, {}\n", difference(&expected, &found));
        }
    }
    assert!(failures.is_empty(), "{failures}BLESS=1 accepts what the node says now");
}

/// Seeds of the random driver that every run plays: from this one on, so many.
const SEEDS: (u64, u64) = (1, 100);

#[test]
#[expect(clippy::disallowed_methods, reason = "a person asks for other seeds by a variable")]
fn whatever_happens_nothing_acknowledged_is_lost_doubled_or_out_of_order() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let first = number("SEED").unwrap_or(SEEDS.0);
    let count = number("SEEDS").unwrap_or(if number("SEED").is_some() { 1 } else { SEEDS.1 });
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for seed in first..first + count {
        let run = std::panic::catch_unwind(|| sim::random::run(seed).counts);
        let Ok(seen) = run else {
            panic!("SEED={seed} cargo test --test scripts whatever_happens");
        };
        for (what, times) in seen {
            *counts.entry(what).or_default() += times;
        }
    }
    println!("{counts:#?}");
    let rare = ["Send: ok", "Send: unauthorized", "Logout: ok", "DeleteAccount: ok", "a new life"];
    for what in rare.into_iter().filter(|_| count >= SEEDS.1) {
        assert!(counts.contains_key(what), "{what} never happened: {counts:#?}");
    }
}
