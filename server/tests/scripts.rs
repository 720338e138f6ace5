//! Golden transcripts of the protocol: each file of `tests/scripts` is one subject, played against the
//! real node. `BLESS=1 cargo test --test scripts` writes what the node says now; read the difference.

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
