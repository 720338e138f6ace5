//! Servers whose rows are not what they should be: a disk that lied, or a bug. The tests write into
//! the tables of a server that does not run; the servers find it, whoever is asked.

use std::fs;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_server::chat::{self, Meta};
use holdfast_server::tables::{DiskRows, Order, Read as _, Rows as _, Write};
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(30);

fn change(data: &Path, change: impl Fn(&DiskRows) -> Write) {
    let current = fs::read_to_string(data.join("CURRENT")).unwrap();
    let mut rows = DiskRows::open(&data.join("tables").join(current.trim())).unwrap();
    let write = change(&rows);
    rows.commit(vec![write]).unwrap();
    rows.persist().unwrap();
}

/// Another last letter in one message's text.
fn change_a_message(data: &Path) {
    change(data, |rows| {
        let mut found = None;
        let visit = &mut |key: &[u8], value: &[u8]| {
            found = Some((key.to_vec(), value.to_vec()));
            ControlFlow::Break(())
        };
        rows.range(b"d", b"e", Order::Ascending, visit).unwrap();
        let (key, mut value) = found.unwrap();
        *value.last_mut().unwrap() = b'!';
        (key, Some(value))
    });
}

/// As if an entry had once been applied otherwise than on the others.
fn change_the_running_hash(data: &Path) {
    change(data, |rows| {
        let meta = chat::meta(rows).unwrap();
        let mut chain = meta.chain;
        chain[0] ^= 1;
        let meta = postcard::to_stdvec(&Meta { chain, ..meta }).unwrap();
        (b"m".to_vec(), Some(meta))
    });
}

/// Three servers, and what Ada wrote to Bob.
fn cluster_with_messages(folder: &Path) -> (Cluster, String, Vec<String>) {
    let cluster = Cluster::start(folder, 3);
    let (_, _) = Client::register(cluster.address(1), "bob");
    let (mut ada, token) = Client::register(cluster.address(2), "ada");
    let texts: Vec<String> = (0..30).map(|number| format!("message {number}")).collect();
    for text in &texts {
        ada.send("bob", text);
    }
    (cluster, token, texts)
}

fn verify(cluster: &Cluster, at: u8) -> Value {
    Client::administration(&cluster.data(at)).ok("admin_verify", json!({}))
}

/// The state of each server, by its number.
fn states(found: &Value) -> Vec<&str> {
    let servers = found["servers"].as_array().unwrap().iter();
    servers.map(|server| server["state"].as_str().unwrap()).collect()
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One server sets its store aside and is back with what the others have.
fn joins_anew(cluster: &mut Cluster, number: u8, texts: &[String], token: &str) {
    let aside = cluster.data(number).with_extension("aside-1");
    until("its store is set aside", || aside.exists());
    cluster.until_in_sync(3);
    assert!(aside.join("CURRENT").exists(), "nothing of it was deleted");
    assert!(!cluster.data(number).with_extension("aside-2").exists());
    let logged = cluster.logged(number);
    let says = |line: &str| line.contains(" ERROR ") && line.contains("sets its store aside");
    assert_eq!(logged.lines().filter(|line| says(line)).count(), 1, "{logged}");
    let others = cluster.numbers().into_iter().filter(|other| *other != number);
    for other in others {
        let aside = cluster.data(other).with_extension("aside-1");
        assert!(!aside.exists(), "server {other} had what is right");
    }
    for at in cluster.numbers() {
        let found = verify(cluster, at);
        assert_eq!(found["equal"], true, "{found}");
        let mut ada = Client::resume(cluster.address(at), token, None);
        let conv = ada.ok("conversations", json!({}))["conversations"][0]["conv"].take();
        let found: Vec<String> = ada.texts(&conv).into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, texts, "server {at}");
    }
}

#[test]
fn a_row_that_changed_on_one_disk_is_found_by_verify_and_its_server_joins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_messages(folder.path());
    assert_eq!(states(&verify(&cluster, 1)), ["equal"; 3]);
    let backups = cluster.backups();
    let (changed, asked) = (backups[0], backups[1]);
    cluster.kill(&[changed]);
    cluster.until_in_sync(2);
    change_a_message(&cluster.data(changed));
    cluster.launch(changed);
    cluster.until_in_sync(3);
    let found = verify(&cluster, asked);
    let expected = |number: u8| if number == changed { "differs" } else { "equal" };
    let expected: Vec<_> = cluster.numbers().into_iter().map(expected).collect();
    assert_eq!(states(&found), expected, "{found}");
    assert_eq!(found["equal"], false);
    joins_anew(&mut cluster, changed, &texts, &token);
}

#[test]
fn who_differs_is_told_so_when_it_is_asked_itself_and_sends_its_clients_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_messages(folder.path());
    let changed = cluster.backups()[0];
    cluster.kill(&[changed]);
    cluster.until_in_sync(2);
    change_a_message(&cluster.data(changed));
    cluster.launch(changed);
    cluster.until_in_sync(3);
    let mut ada = Client::resume(cluster.address(changed), &token, None);
    let found = verify(&cluster, changed);
    assert_eq!(states(&found)[usize::from(changed) - 1], "differs", "{found}");
    let bye = ada.event("bye");
    assert_eq!(bye["d"]["reason"], "stopping");
    assert!(bye["d"]["elsewhere"].is_string(), "{bye}");
    joins_anew(&mut cluster, changed, &texts, &token);
}

#[test]
fn a_primary_that_differs_from_the_two_others_steps_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_messages(folder.path());
    let changed = cluster.backups()[0];
    cluster.stop(changed);
    change_a_message(&cluster.data(changed));
    cluster.launch(changed);
    cluster.until_in_sync(3);
    while cluster.primary() != changed {
        let primary = cluster.primary();
        cluster.stop(primary);
        cluster.launch(primary);
        cluster.until_in_sync(3);
    }
    let asked = cluster.backups()[0];
    let found = verify(&cluster, asked);
    assert_eq!(states(&found)[usize::from(changed) - 1], "differs", "{found}");
    joins_anew(&mut cluster, changed, &texts, &token);
}

#[test]
fn a_running_hash_that_differs_is_noticed_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_messages(folder.path());
    let changed = cluster.backups()[0];
    cluster.stop(changed);
    change_the_running_hash(&cluster.data(changed));
    cluster.launch(changed);
    joins_anew(&mut cluster, changed, &texts, &token);
}

#[test]
fn of_two_servers_that_differ_the_primary_has_what_counts() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, token, texts) = cluster_with_messages(folder.path());
    let [changed, away] = cluster.backups()[..] else { panic!("two backups") };
    cluster.stop(changed);
    cluster.stop(away);
    change_the_running_hash(&cluster.data(changed));
    cluster.launch(changed);
    let aside = cluster.data(changed).with_extension("aside-1");
    until("its store is set aside", || aside.exists());
    cluster.until_in_sync(2);
    cluster.launch(away);
    joins_anew(&mut cluster, changed, &texts, &token);
}

#[test]
fn verify_says_whom_it_could_not_compare_and_takes_no_longer_than_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, _, _) = cluster_with_messages(folder.path());
    let [one, other] = cluster.backups()[..] else { panic!("two backups") };
    cluster.freeze(one);
    let start = Instant::now();
    let found = verify(&cluster, other);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let expected = |number: u8| if number == one { "unreachable" } else { "equal" };
    let expected: Vec<_> = cluster.numbers().into_iter().map(expected).collect();
    assert_eq!(states(&found), expected, "{found}");
    assert_eq!(found["equal"], false, "not everything was compared");
    cluster.thaw(one);
    cluster.until_in_sync(3);
    cluster.kill(&[one]);
    cluster.until_in_sync(2);
    let start = Instant::now();
    let found = verify(&cluster, other);
    assert!(start.elapsed() < Duration::from_secs(2), "nobody waits for the dead: {found}");
    assert_eq!(states(&found), expected, "{found}");
    cluster.launch(one);
    cluster.until_in_sync(3);
    assert_eq!(verify(&cluster, one)["equal"], true);
}

#[test]
fn verify_compares_one_index_however_much_is_written_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, token, _) = cluster_with_messages(folder.path());
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for address in cluster.addresses() {
            let (is_over, token) = (&is_over, token.as_str());
            scope.spawn(move || {
                let mut ada = Client::resume(address, token, None);
                while !is_over.load(Ordering::Relaxed) {
                    ada.send("bob", "and so on");
                }
            });
        }
        let found: Vec<Value> =
            [1, 2, 3].repeat(4).iter().map(|at| verify(&cluster, *at)).collect();
        is_over.store(true, Ordering::Relaxed);
        for found in &found {
            assert_eq!(found["equal"], true, "{found}");
        }
        let rows = |found: &Value| found["rows"].as_u64().unwrap();
        assert!(rows(&found[11]) > rows(&found[0]) + 100, "writes went on");
    });
}

#[test]
fn verify_outlives_a_primary_that_freezes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut cluster, _, _) = cluster_with_messages(folder.path());
    let (primary, asked) = (cluster.primary(), cluster.backups()[0]);
    cluster.freeze(primary);
    let start = Instant::now();
    let found = verify(&cluster, asked);
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let away = states(&found)[usize::from(primary) - 1];
    assert_eq!(away, "unreachable", "{found}");
    assert!(!states(&found).contains(&"differs"), "{found}");
    cluster.thaw(primary);
    cluster.until_in_sync(3);
    assert_eq!(verify(&cluster, primary)["equal"], true);
}

/// The administrator's program on the machine of the cluster.
fn holdfast(folder: &Path, words: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("--env").arg(folder.join("settings.env")).args(words);
    command.env("HOLDFAST_HOME", folder.join("home")).env_remove("ENV_FILE");
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

#[test]
fn an_administrator_may_use_any_server() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let numbers = cluster.numbers();
    let does = |at: u8, words: &[&str]| {
        let at = at.to_string();
        let words = [words, &["--id", &at, "--password-file", "-"]].concat();
        let done = holdfast(folder.path(), &words, "battery staple");
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    for at in &numbers {
        let name = format!("user{at}");
        let (code, _, said) = does(*at, &["admin", "add-user", &name]);
        assert_eq!(code, Some(0), "{said}");
        for other in &numbers {
            let (_, told, said) = does(*other, &["admin", "users"]);
            assert!(told.contains(&name), "server {other}: {told} {said}");
        }
        let (code, _, said) = does(*at, &["admin", "reset-password", "user1"]);
        assert_eq!(code, Some(0), "{said}");
        let (code, told, said) = does(*at, &["verify"]);
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(told.lines().filter(|line| line.ends_with("  equal")).count(), 3, "{told}");
    }
    let (code, _, said) = does(cluster.backups()[0], &["admin", "delete-user", "user2", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let down = cluster.backups()[0];
    cluster.kill(&[down]);
    cluster.until_in_sync(2);
    let (code, told, said) = does(cluster.primary(), &["verify"]);
    assert!(told.contains(&format!("server {down}  not reachable")), "{told}");
    assert!(code == Some(1) && said.contains("not all servers"), "{said}");
    let (_, told, _) = does(cluster.primary(), &["verify", "--json"]);
    let found: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(states(&found).iter().filter(|state| **state == "equal").count(), 2);
}
