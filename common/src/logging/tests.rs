use std::os::unix::fs::PermissionsExt;

use log::{Log, Record};

use super::*;

fn levels(default: LevelFilter, targets: &[(&str, LevelFilter)]) -> LogLevels {
    let targets = targets.iter().map(|(target, level)| ((*target).to_owned(), *level)).collect();
    LogLevels { default, targets }
}

/// A log of a test's own; the process's stays unset.
fn log_to(path: &Path, levels: LogLevels, bytes_max: u64) -> (Box<dyn Log>, Logging) {
    let file = Some(path.to_owned());
    let (instance, stderr) = ("server2".to_owned(), Stderr::Nothing);
    let options = Options { instance, file, stderr, levels };
    let (dispatch, logging) = build(options, bytes_max).unwrap();
    (dispatch.into_log().1, logging)
}

fn say(log: &dyn Log, level: Level, target: &str, message: &str) {
    log.log(&Record::builder().level(level).target(target).args(format_args!("{message}")).build());
}

#[test]
fn a_line_has_time_level_instance_module_and_message() {
    let now = "2026-11-23T08:00:00.1239Z".parse().unwrap();
    let form = |level, target, message: &str| {
        line(now, level, "server2", target, &format_args!("{message}"))
    };
    assert_eq!(
        form(Level::Info, "holdfast_server::replication", "became primary in_sync=3"),
        "2026-11-23T08:00:00.123Z INFO  server2 replication: became primary in_sync=3"
    );
    assert_eq!(form(Level::Error, "audit", "é"), "2026-11-23T08:00:00.123Z ERROR server2 audit: é");
    assert!(form(Level::Warn, "holdfast_server", "x").contains(" server: x"));
    assert!(form(Level::Warn, "holdfast::chat::screen", "x").contains(" chat::screen: x"));
    assert!(form(Level::Warn, "rustls::conn", "x").contains(" rustls::conn: x"));
}

#[test]
fn a_message_with_newlines_stays_one_line() {
    let now = Timestamp::UNIX_EPOCH;
    let line = line(now, Level::Info, "s", "audit", &format_args!("name=a\n2026 INFO\x1b[2J é"));
    assert!(line.ends_with("name=a\\n2026 INFO\\u{1b}[2J é"), "{line}");
}

#[test]
fn levels_go_by_the_most_particular_target() {
    let levels = levels(
        LevelFilter::Info,
        &[
            ("holdfast_server::replication", LevelFilter::Debug),
            ("holdfast_server::replication::lease", LevelFilter::Off),
            ("rustls", LevelFilter::Trace),
        ],
    );
    for (target, expected) in [
        ("holdfast_server::node", LevelFilter::Info),
        ("holdfast_server::replication", LevelFilter::Debug),
        ("holdfast_server::replication::quorum", LevelFilter::Debug),
        ("holdfast_server::replicationist", LevelFilter::Info),
        ("holdfast_server::replication::lease", LevelFilter::Off),
        ("audit", LevelFilter::Info),
        ("rustls::conn", LevelFilter::Trace),
        ("fjall::journal", LevelFilter::Warn),
    ] {
        assert_eq!(level_of(&levels, target), expected, "{target}");
    }
}

#[test]
fn lines_go_to_a_file_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logs").join("server2.log");
    let (log, _) = log_to(&path, levels(LevelFilter::Info, &[]), FILE_BYTES_MAX);
    say(&*log, Level::Info, "holdfast_server::node", "heard");
    say(&*log, Level::Debug, "holdfast_server::node", "not heard");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with(" INFO  server2 node: heard\n") && text.lines().count() == 1, "{text}");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_full_file_moves_up_and_five_elders_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server2.log");
    let (log, _) = log_to(&path, levels(LevelFilter::Info, &[]), 200);
    for at in 0..40 {
        say(&*log, Level::Info, "holdfast_server::node", &format!("number {at:02}"));
    }
    let name =
        |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = folder.path().read_dir().unwrap().map(name).collect();
    names.sort();
    let expected = ["", ".1", ".2", ".3", ".4", ".5"].map(|age| format!("server2.log{age}"));
    assert_eq!(names, expected);
    let all: String = expected
        .iter()
        .rev()
        .map(|name| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            assert!(text.len() < 300, "at most the limit and a line");
            text
        })
        .collect();
    let numbers: Vec<&str> = all.lines().map(|line| &line[line.len() - 2..]).collect();
    let first: usize = numbers[0].parse().unwrap();
    let expected: Vec<String> = (first..40).map(|at| format!("{at:02}")).collect();
    assert_eq!(numbers, expected, "whole lines, in order, up to the last");
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("a.log"), folder.path().join("moved"));
    let (log, logging) = log_to(&path, levels(LevelFilter::Info, &[]), 150);
    say(&*log, Level::Info, "audit", "before");
    std::fs::rename(&path, &moved).unwrap();
    say(&*log, Level::Info, "audit", "still there");
    logging.reopen().unwrap();
    for at in 0..3 {
        say(&*log, Level::Info, "audit", &format!("after {at}"));
    }
    assert_eq!(std::fs::read_to_string(&moved).unwrap().lines().count(), 2);
    assert!(std::fs::read_to_string(&path).unwrap().contains("after 0"));
    say(&*log, Level::Info, "audit", "rotated");
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1, "it still rotates");
}

#[test]
fn a_log_that_cannot_be_reopened_or_rotated_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let (log, logging) = log_to(&path, levels(LevelFilter::Info, &[]), 10);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    std::fs::create_dir(folder.path().join("a.log.1")).unwrap();
    std::fs::write(folder.path().join("a.log.1").join("full"), "").unwrap();
    assert!(logging.reopen().unwrap_err().to_string().contains("a.log"));
    for _ in 0..5 {
        say(&*log, Level::Error, "audit", "no panic");
    }
}

#[test]
fn a_full_disk_costs_lines_and_not_the_program() {
    let full = Path::new("/dev/full");
    if !full.exists() {
        return;
    }
    let (log, _) = log_to(full, levels(LevelFilter::Info, &[]), FILE_BYTES_MAX);
    for _ in 0..5 {
        say(&*log, Level::Error, "audit", "lost");
    }
}
