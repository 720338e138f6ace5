//! Golden transcripts of the client engine, one subject each: `scripts/*.txt`.
//!
//! A line `> words` is an input; the lines under it, up to the next empty one, are what the engine
//! wants done and tells, in order. Inputs that follow each other directly are one turn. `BLESS=1
//! cargo test -p holdfast-common --test scripts` writes what the engine does now: read the
//! difference before keeping it. The words are in `script/words.rs`; txns are shown as t1, t2, … in
//! the order in which they appear.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test: a wrong script may panic, the blessing is asked by the environment"
)]

mod script;

use std::fmt::Write as _;
use std::path::PathBuf;

use script::World;

#[test]
fn every_script_plays_as_it_is_written() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    scripts.sort();
    assert!(scripts.len() > 10, "the scripts are in {}", folder.display());
    let mut failures = String::new();
    for path in scripts {
        let written = std::fs::read_to_string(&path).unwrap();
        let played = play(&written);
        if played == written {
            continue;
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &played).unwrap();
        } else {
            writeln!(failures, "{}:\n{}", path.display(), difference(&written, &played)).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// The script with the outputs that the engine gives now.
fn play(script: &str) -> String {
    let mut world = World::default();
    let mut played = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some(words) = line.strip_prefix("> ") {
            played += line;
            played += "\n";
            world.input(words);
            if lines.peek().is_some_and(|next| next.starts_with("> ")) {
                continue;
            }
            while lines.next_if(|line| !line.is_empty()).is_some() {}
            for output in world.finish_turn() {
                played += &output;
                played += "\n";
            }
        } else {
            played += line;
            played += "\n";
        }
    }
    played
}

/// The first lines at which two texts differ, with what stands before them.
fn difference(written: &str, played: &str) -> String {
    let same = written.lines().zip(played.lines()).take_while(|(a, b)| a == b).count();
    let part = |text: &str| {
        let from = same.saturating_sub(6);
        text.lines().skip(from).take(20).collect::<Vec<_>>().join("\n")
    };
    format!("--- written\n{}\n--- played\n{}\n", part(written), part(played))
}
