//! Two histories meet, on built servers: the policy `timeout` lets both sides of a split serve, and
//! an administrator's word may be wrong. Whoever yields lists what it had acknowledged alone.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::{Client, fresh_txn};
use support::cluster::Cluster;
use support::proxy::Wire;

/// The policy's ten seconds of silence, and as long again for a slow machine.
const ALONE_WITHIN: Duration = Duration::from_secs(25);

/// Three wired servers that take ten seconds of silence for death, in sync.
fn cluster(folder: &Path) -> Cluster {
    let mut cluster = Cluster::prepare(folder, 3, true);
    cluster.environment.push(("SURVIVOR_POLICY".to_owned(), "timeout".to_owned()));
    cluster.launch_all();
    cluster.until_in_sync(3);
    cluster
}

/// Waits until a server leads with so many copies; gives how long that took.
fn until_leads(cluster: &Cluster, number: u8, copies: u64) -> Duration {
    let start = Instant::now();
    loop {
        let status = cluster.status(number).unwrap_or_default();
        if status["role"] == "primary" && status["in_sync"] == copies && status["writable"] == true
        {
            return start.elapsed();
        }
        assert!(start.elapsed() < ALONE_WITHIN, "server {number}: {status:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until any of these leads with so many copies.
fn until_one_leads(cluster: &Cluster, numbers: [u8; 2], copies: u64) -> u8 {
    let start = Instant::now();
    loop {
        for number in numbers {
            let status = cluster.status(number).unwrap_or_default();
            if status["role"] == "primary" && status["in_sync"] == copies {
                return number;
            }
        }
        assert!(start.elapsed() < ALONE_WITHIN, "none of {numbers:?} leads");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a server has listed, file by file.
fn lists(cluster: &Cluster, number: u8) -> Vec<(PathBuf, Vec<Value>)> {
    let data = cluster.data(number).parent().expect("it stands in a folder").to_owned();
    let prefix = format!("diverged-server{number}-");
    let files = fs::read_dir(data).expect("a folder").map(|file| file.expect("a file").path());
    let is_list = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
    };
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a file of ours");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
        let lines = lines.collect();
        (path, lines)
    };
    files.filter(is_list).map(read).collect()
}

/// The texts that a server has listed as sent.
fn sent(lines: &[Value]) -> Vec<&str> {
    let sends = lines.iter().filter(|line| line["op"] == "send");
    sends.map(|line| line["text"].as_str().expect("a text")).collect()
}

#[test]
fn after_a_split_the_lower_ballot_yields_and_lists_exactly_what_it_acknowledged_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = cluster(folder.path());
    Client::register(cluster.address(1), "bob");
    let (mut ada, token) = Client::register(cluster.address(2), "ada");
    let conv = ada.send("bob", "before")["conv"].clone();

    cluster.wires_of(1).for_each(|wire| wire.set(Wire::Blocked));
    let leader = until_one_leads(&cluster, [2, 3], 2);
    until_leads(&cluster, 1, 1);
    let mut theirs = Client::resume(cluster.address(leader), &token, None);
    let mut expected = Vec::new();
    for number in 0..20 {
        let text = format!("theirs {number}");
        assert_eq!(theirs.send("bob", &text)["copies"], 2);
        expected.push(text);
    }
    let seq = theirs.send("bob", "to be deleted")["seq"].clone();
    let txn = fresh_txn();
    theirs.ok("delete", json!({"conv": conv, "seq": seq, "for": "all", "txn": txn}));
    let lost_cursor = theirs.ok("conversations", json!({}))["cur"].clone();
    let (_, lost_token) = Client::register(cluster.address(leader), "carol");
    let mut ours = Client::resume(cluster.address(1), &token, None);
    for number in 0..10 {
        assert_eq!(ours.send("bob", &format!("ours {number}"))["copies"], 1);
    }
    let kept_cursor = ours.ok("conversations", json!({}))["cur"].clone();

    cluster.wires().for_each(|wire| wire.set(Wire::Whole));
    let healed = Instant::now();
    cluster.until_in_sync(3);
    println!("three copies {} ms after the network was mended", healed.elapsed().as_millis());

    assert!(lists(&cluster, 1).is_empty(), "the higher ballot has nothing to list");
    for number in [2, 3] {
        let [(path, lines)] = &lists(&cluster, number)[..] else { panic!("one list each") };
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(sent(&lines[..20]), expected, "{lines:#?}");
        let first = &lines[0];
        assert_eq!(
            (&first["user"], &first["with"], &first["conv"], &first["acknowledged"]),
            (&json!("ada"), &json!("bob"), &conv, &json!(true)),
        );
        assert_eq!(first["txn"].as_str().unwrap().len(), 32);
        assert!(first["time"].as_str().unwrap().ends_with('Z'));
        let rest: Vec<_> = lines[20..].iter().map(|line| line["op"].as_str().unwrap()).collect();
        assert_eq!(rest, ["send", "delete", "register"]);
        assert_eq!(lines[20].get("text"), None, "what was deleted is not told");
        let status = cluster.status(number).unwrap();
        assert_eq!(status["diverged"], lines.len(), "{status:#}");
        let aside = cluster.data(number).with_extension("aside-1");
        assert!(aside.join("journal").exists(), "the store itself is kept");
        let logged = cluster.logged(number);
        let said = logged.lines().find(|line| line.contains("yields to another history"));
        let said = said.expect("it is logged");
        assert!(said.contains("ERROR") && said.contains(&*path.to_string_lossy()), "{said}");
        assert!(said.contains(&format!("{} operations", lines.len())), "{said}");
    }
    assert_eq!(cluster.status(1).unwrap().get("diverged"), None);
    for number in cluster.numbers() {
        let mut ada = Client::resume(cluster.address(number), &token, kept_cursor.as_str());
        let found = ada.texts(&conv);
        assert_eq!((found.len(), &*found[0].1, &*found[1].1), (11, "before", "ours 0"));
    }
    let mut stale = Client::connect(cluster.address(3));
    let refused = stale.refused("resume", json!({"token": token, "cur": lost_cursor}));
    assert_eq!(refused, "cursor_expired");
    let refused = stale.refused("resume", json!({"token": lost_token}));
    assert_eq!(refused, "unauthorized", "a session of the lost history");
}

#[test]
fn a_third_of_which_both_others_vanish_without_a_word_serves_after_ten_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = cluster(folder.path());
    let last = cluster.backups()[1];
    let others: Vec<u8> = cluster.numbers().into_iter().filter(|one| *one != last).collect();
    let (mut ada, _) = Client::register(cluster.address(last), "ada");
    ada.send("ada", "before");
    cluster.wires_of(last).for_each(|wire| wire.set(Wire::Blocked));
    others.iter().for_each(|other| cluster.freeze(*other));
    let alone = until_leads(&cluster, last, 1);
    println!("serves alone after {} ms", alone.as_millis());
    assert!(alone > Duration::from_secs(8), "not before: {alone:?}");
    assert_eq!(ada.send("ada", "alone")["copies"], 1);
}

#[test]
fn of_three_that_each_served_alone_one_stays_and_two_list_what_was_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = cluster(folder.path());
    let (mut ada, token) = Client::register(cluster.address(1), "ada");
    let conv = ada.send("ada", "before")["conv"].clone();
    cluster.wires().for_each(|wire| wire.set(Wire::Blocked));
    let mut cursors = Vec::new();
    for number in cluster.numbers() {
        until_leads(&cluster, number, 1);
        let mut ada = Client::resume(cluster.address(number), &token, None);
        for message in 0..3 {
            ada.send("ada", &format!("{number} says {message}"));
        }
        cursors.push(ada.ok("conversations", json!({}))["cur"].clone());
    }
    cluster.wires().for_each(|wire| wire.set(Wire::Whole));
    cluster.until_in_sync(3);
    let mut ada = Client::resume(cluster.address(1), &token, None);
    let stayed = ada.texts(&conv)[1].1.chars().next().unwrap();
    for (number, cursor) in cluster.numbers().into_iter().zip(cursors) {
        let mut ada = Client::connect(cluster.address(1));
        let resumed = ada.call("resume", json!({"token": token, "cur": cursor}));
        if stayed == char::from(b'0' + number) {
            assert!(lists(&cluster, number).is_empty());
            assert!(resumed.get("ok").is_some(), "{resumed}");
            continue;
        }
        assert_eq!(resumed["err"]["code"], "cursor_expired", "its own generation is gone");
        let [(_, lines)] = &lists(&cluster, number)[..] else { panic!("one list") };
        let expected: Vec<_> = (0..3).map(|message| format!("{number} says {message}")).collect();
        assert_eq!(sent(lines), expected);
    }
}
