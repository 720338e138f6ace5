//! A server that has lost its folder joins by a snapshot, where the log does not reach back any
//! more: three built servers, one of them wiped, while people go on writing.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and sleeps, and fails where it must not go on"
)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::{Client, fresh_txn};
use support::cluster::Cluster;

/// Whatever is waited for happens within this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Somebody who writes without a pause, through any server that lives, each text until it is
/// acknowledged.
struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Writer {
    fn start(addresses: Vec<SocketAddr>, token: String) -> Writer {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut written = Vec::new();
            let mut client: Option<Client> = None;
            while !stopped.load(Ordering::Relaxed) {
                let text = format!("text {} {}", written.len(), "x".repeat(500));
                let d = json!({"to": "reader", "text": text, "txn": fresh_txn()});
                let mut attempts = 0;
                while !try_once(&mut client, &addresses, &token, &d, &mut attempts) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                written.push(text);
                std::thread::sleep(Duration::from_millis(1));
            }
            written
        });
        Writer { stop, thread }
    }

    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Whether the text was acknowledged.
fn try_once(
    client: &mut Option<Client>,
    addresses: &[SocketAddr],
    token: &str,
    d: &Value,
    attempts: &mut usize,
) -> bool {
    *attempts += 1;
    assert!(*attempts < 10_000, "no server takes a text");
    if client.is_none() {
        let address = addresses[*attempts % addresses.len()];
        if !support::server::greets(address) {
            return false;
        }
        let mut fresh = Client::connect(address);
        let id = fresh.try_ask("resume", json!({"token": token}));
        let answer = id.ok().and_then(|id| fresh.answer(id));
        *client = Some(fresh).filter(|_| answer.is_some_and(|line| line.get("ok").is_some()));
    }
    let Some(open) = client else { return false };
    let id = open.try_ask("send", d.clone());
    match id.ok().and_then(|id| open.answer(id)) {
        Some(line) if line.get("ok").is_some() => true,
        Some(line) => {
            let code = line["err"]["code"].as_str().unwrap_or_default().to_owned();
            assert!(["no_primary", "outcome_unknown", "busy"].contains(&code.as_str()), "{line}");
            false
        }
        None => {
            *client = None;
            false
        }
    }
}

/// A cluster with some texts in it and journals that do not hold the first ones any more.
fn cluster_with_short_journals(
    folder: &Path,
    count: usize,
    text_bytes: usize,
) -> (Cluster, String, Vec<String>) {
    let mut cluster = Cluster::prepare(folder, 3, false);
    // Old segments go as soon as the tables are durable.
    cluster.environment.push(("TEST_JOURNAL_KEEP_BYTES".to_owned(), "0".to_owned()));
    cluster.launch_all();
    cluster.until_in_sync(3);
    let (_, _) = Client::register(cluster.address(2), "reader");
    let (mut writer, token) = Client::register(cluster.address(1), "writer");
    let mut texts = Vec::new();
    for number in 0..count {
        let text = format!("before {number} {}", "y".repeat(text_bytes));
        writer.send("reader", &text);
        texts.push(text);
    }
    let numbers = cluster.numbers();
    until("old segments are dropped", || {
        numbers.iter().all(|number| has_dropped_journal(&cluster.data(*number)))
    });
    (cluster, token, texts)
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether the segment that a journal began with is gone.
fn has_dropped_journal(data: &Path) -> bool {
    let folders = std::fs::read_dir(data.join("journal")).into_iter().flatten();
    let names = folders.flatten().flat_map(|folder| std::fs::read_dir(folder.path()));
    let names = names.flatten().flatten().map(|file| file.file_name());
    let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    !names.is_empty() && !names.iter().any(|name| name.trim_start_matches('0') == "1.segment")
}

/// How often a server has begun a life on a snapshot.
fn joined(cluster: &Cluster, number: u8) -> usize {
    cluster.logged(number).matches("begins another life on it").count()
}

/// Every acknowledged text stands once on every server, in one order.
fn nothing_is_lost(cluster: &Cluster, token: &str, expected: &[String]) {
    for number in cluster.numbers() {
        let mut client = Client::resume(cluster.address(number), token, None);
        let page = client.ok("conversations", json!({}));
        let conv = page["conversations"][0]["conv"].clone();
        let found: Vec<String> = client.texts(&conv).into_iter().map(|(_, text)| text).collect();
        assert!(found == expected, "server {number} has {} of {}", found.len(), expected.len());
    }
    all_equal(cluster);
}

/// All rows of all servers are equal at one index.
fn all_equal(cluster: &Cluster) {
    let mut door = Client::administration(&cluster.data(cluster.numbers()[0]));
    let found = door.ok("admin_verify", json!({}));
    assert_eq!(found["equal"], true, "{found}");
}

#[test]
fn a_wiped_server_joins_by_a_snapshot_while_people_write() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, mut texts) = cluster_with_short_journals(folder.path(), 1_000, 1_000);
    let wiped = cluster.backups()[0];
    let writer = Writer::start(cluster.addresses(), token.clone());
    cluster.kill(&[wiped]);
    cluster.wipe(wiped);
    std::thread::sleep(Duration::from_millis(500));
    cluster.launch(wiped);
    until("it joins by a snapshot", || joined(&cluster, wiped) == 1);
    cluster.until_in_sync(3);
    texts.extend(writer.end());
    nothing_is_lost(&cluster, &token, &texts);
    let current = std::fs::read_to_string(cluster.data(wiped).join("CURRENT")).unwrap();
    assert_eq!(current, "2\n");
    assert!(!cluster.data(wiped).join("tables/1").exists(), "what was replaced is gone");
}

#[test]
fn a_stream_that_is_cut_in_the_middle_begins_again_whoever_died() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, mut texts) = cluster_with_short_journals(folder.path(), 1_500, 8_000);
    let primary = cluster.primary();
    let wiped = cluster.backups()[0];
    let begun = |cluster: &Cluster| cluster.logged(wiped).matches("takes a snapshot from").count();
    cluster.kill(&[wiped]);
    cluster.wipe(wiped);
    let writer = Writer::start(cluster.addresses(), token.clone());
    cluster.launch(wiped);
    until("a first stream begins", || begun(&cluster) == 1);
    cluster.kill(&[wiped]);
    assert_eq!(joined(&cluster, wiped), 0, "the joiner died in the middle");
    cluster.launch(wiped);
    until("a second stream begins", || begun(&cluster) == 2);
    cluster.kill(&[primary]);
    assert_eq!(joined(&cluster, wiped), 0, "the primary died in the middle");
    until("it joins by a snapshot", || joined(&cluster, wiped) == 1);
    cluster.launch(primary);
    cluster.until_in_sync(3);
    texts.extend(writer.end());
    nothing_is_lost(&cluster, &token, &texts);
}

#[test]
fn a_damaged_store_is_set_aside_once_the_others_go_on_and_its_server_joins_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_short_journals(folder.path(), 200, 1_000);
    let damaged = cluster.backups()[0];
    cluster.kill(&[damaged]);
    let tables = cluster.data(damaged).join("tables/1");
    std::fs::remove_dir_all(tables).unwrap();
    cluster.launch(damaged);
    until("it joins by a snapshot", || joined(&cluster, damaged) == 1);
    cluster.until_in_sync(3);
    let aside = cluster.data(damaged).with_extension("aside-1");
    assert!(aside.join("journal/1").exists(), "nothing of it was deleted");
    nothing_is_lost(&cluster, &token, &texts);
}
