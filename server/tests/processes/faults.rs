//! Faults of the machine: a clear sentence, the right exit code, nothing acknowledged lost.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::client::{Client, fresh_txn};
use crate::support::server::Server;

/// Starts a server that must not come up; gives its exit code and what it said, which must be in
/// its log as well, and must say this.
fn refuses(server: &Server, sentence: &str) -> (Option<i32>, String) {
    let (code, _, said) = server.run(&[]);
    assert!(said.contains(sentence), "no `{sentence}` in: {said}");
    assert!(!said.contains("panicked"), "{said}");
    (code, said)
}

/// Everything in a folder, except for what each start touches: nothing is in a lock, nor in a
/// spare.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let within = contents(&path);
            found.extend(
                within.into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else if path.is_file() && name != "lock" && name != "spare" {
            found.insert(name, fs::read(&path).unwrap());
        }
    }
    found
}

fn must_be_equal(now: &BTreeMap<String, Vec<u8>>, before: &BTreeMap<String, Vec<u8>>) {
    let all = now.keys().chain(before.keys());
    let changed: Vec<_> = all.filter(|name| now.get(*name) != before.get(*name)).collect();
    assert!(changed.is_empty(), "files were changed: {changed:?}");
}

/// A killed server with some messages in it.
fn written(folder: &Path) -> (Server, String, Value) {
    let mut server = Server::start(folder, "BCRYPT_COST=4\n");
    let (mut ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let mut conv = Value::Null;
    for n in 0..20 {
        conv = ada.send("bob", &format!("message {n}"))["conv"].take();
    }
    server.kill();
    (server, token, conv)
}

/// Sends until the server is gone; gives how many were acknowledged.
fn send_until_it_ends(client: &mut Client, text: &str) -> u64 {
    let mut acknowledged = 0;
    loop {
        let d = json!({"to": "bob", "text": text, "txn": fresh_txn()});
        let Ok(id) = client.try_ask("send", d) else { return acknowledged };
        match client.answer(id) {
            Some(answer) => {
                assert!(answer.get("ok").is_some(), "{answer}");
                acknowledged += 1;
            }
            None => return acknowledged,
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_server_and_with_space_again_every_acknowledged_message_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(folder.path(), "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=100000\n");
    let disk = crate::support::disk::SmallDisk::mount(&folder.path().join("data"), 48);
    server.within = disk.within();
    server.spawn();
    let (mut ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let conv = ada.send("bob", "the first")["conv"].take();
    disk.fill();
    let acknowledged = send_until_it_ends(&mut ada, &"x".repeat(16_000));
    assert_eq!(server.ended().code(), Some(1));
    let said = server.said();
    assert!(said.contains("ERROR") && said.contains("No space left on device"), "{said}");
    // With nothing left at all it does not start either, and says why.
    disk.fill();
    let (code, _, said) = server.run(&[]);
    assert!(code == Some(1) && said.contains("No space left on device"), "{code:?} {said}");
    disk.free();
    server.spawn();
    let mut ada = Client::resume(server.address, &token, None);
    let texts = ada.texts(&conv);
    // One that was not answered may be there as well.
    let expected = acknowledged + 1;
    let count = texts.len() as u64;
    assert!((expected..=expected + 1).contains(&count), "{count} of {expected} are there");
    assert!(texts.iter().map(|(seq, _)| *seq).eq(1..=count));
    ada.send("bob", "goes on");
    assert!(server.stop().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_data_folder_is_said_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(folder.path(), "BCRYPT_COST=4\n");
    let disk = crate::support::disk::SmallDisk::mount(&folder.path().join("data"), 64);
    server.within = disk.within();
    server.spawn();
    let (mut ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let conv = ada.send("bob", "still here")["conv"].take();
    server.kill();
    disk.remount("ro");
    let (code, _) = refuses(&server, "Read-only file system");
    assert_eq!(code, Some(1));
    disk.remount("rw");
    server.spawn();
    let mut ada = Client::resume(server.address, &token, None);
    assert_eq!(ada.texts(&conv), [(1, "still here".to_owned())]);
}

#[test]
fn a_flipped_bit_in_the_journal_stops_the_start_and_nothing_is_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, token, conv) = written(folder.path());
    let journal = server.folder.join("journal").join("1");
    let segment = fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.filter(|path| path.extension().is_some()).min().unwrap();
    let whole = fs::read(&segment).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    for tenth in 0..9 {
        let at = used * tenth / 10;
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (tenth % 8);
        fs::write(&segment, &flipped).unwrap();
        let before = contents(&server.folder);
        let (code, _) = refuses(&server, "damaged");
        assert_eq!(code, Some(1));
        let (code, _, said) = server.run(&["--check"]);
        assert!(code == Some(1) && said.contains("damaged"), "{code:?} {said}");
        must_be_equal(&contents(&server.folder), &before);
    }
    assert!(server.logged().contains("ERROR server1 server: the data in"));
    fs::write(&segment, &whole).unwrap();
    server.spawn();
    assert_eq!(Client::resume(server.address, &token, None).texts(&conv).len(), 20);
}

#[test]
fn tables_that_were_cut_or_removed_stop_the_start_or_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, token, conv) = written(folder.path());
    // Once more, so that the tables were made durable in good order before.
    server.spawn();
    assert!(server.stop().success());
    let tables = server.folder.join("tables").join("1");
    let whole = contents(&tables);
    for (name, bytes) in &whole {
        let path = tables.join(name);
        for cut in [Some(bytes.len() / 2), None] {
            match cut {
                Some(length) => fs::write(&path, &bytes[..length]).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let (code, _, said) = server.run(&["--check"]);
            assert!(!said.contains("panicked"), "{name} cut to {cut:?}: {said}");
            if code == Some(0) {
                server.spawn();
                let texts = Client::resume(server.address, &token, None).texts(&conv);
                assert_eq!(texts.len(), 20, "{name} cut to {cut:?}");
                server.kill();
            } else {
                assert_eq!(code, Some(1), "{name} cut to {cut:?}: {said}");
                assert!(said.contains("damaged"), "{name} cut to {cut:?}: {said}");
            }
            fs::remove_dir_all(&tables).unwrap();
            for (name, bytes) in &whole {
                fs::create_dir_all(tables.join(name).parent().unwrap()).unwrap();
                fs::write(tables.join(name), bytes).unwrap();
            }
        }
    }
    fs::remove_dir_all(&tables).unwrap();
    let (code, _) = refuses(&server, "damaged");
    assert_eq!(code, Some(1));
    assert!(!tables.exists(), "tables were begun anew in place of the lost ones");
}

#[test]
fn a_store_without_its_current_is_refused_and_an_unfinished_first_start_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (mut server, token, conv) = written(folder.path());
    let current = server.folder.join("CURRENT");
    fs::rename(&current, folder.path().join("away")).unwrap();
    let before = contents(&server.folder);
    let (code, _) = refuses(&server, "CURRENT is missing");
    assert_eq!(code, Some(1));
    must_be_equal(&contents(&server.folder), &before);
    for (name, why) in
        [("seven\n", "CURRENT names nothing"), ("7\n", "there is none in this folder")]
    {
        fs::write(&current, name).unwrap();
        let (code, _) = refuses(&server, why);
        assert_eq!(code, Some(1));
    }
    fs::rename(folder.path().join("away"), &current).unwrap();
    let store = server.folder.join("store");
    fs::rename(&store, folder.path().join("away")).unwrap();
    let before = contents(&server.folder);
    let (code, _) = refuses(&server, "the file `store` is missing");
    assert_eq!(code, Some(1));
    must_be_equal(&contents(&server.folder), &before);
    fs::rename(folder.path().join("away"), &store).unwrap();
    server.spawn();
    assert_eq!(Client::resume(server.address, &token, None).texts(&conv).len(), 20);
    let elsewhere = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(elsewhere.path(), "BCRYPT_COST=4\n");
    fs::create_dir_all(server.folder.join("tables").join("1")).unwrap();
    fs::create_dir_all(server.folder.join("journal").join("1")).unwrap();
    fs::write(server.folder.join("store"), "server=1 store=00000000000000ff life=0\n").unwrap();
    fs::write(server.folder.join("journal").join("1").join("spare"), [0; 100]).unwrap();
    server.spawn();
}

#[test]
fn one_data_folder_serves_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let (code, _) = refuses(&server, "is in use by another process");
    assert_eq!(code, Some(1));
    let (code, _, said) = server.run(&["--check"]);
    assert!(code == Some(1) && said.contains("is in use by another process"), "{said}");
    Client::connect(server.address);
}

#[test]
fn check_tells_whole_from_missing_and_gives_the_same_hash_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _, _) = written(folder.path());
    let (code, first, said) = server.run(&["--check"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(first.starts_with("whole: last entry "), "{first}");
    assert_eq!(server.run(&["--check"]).1, first);
    let elsewhere = tempfile::tempdir().unwrap();
    let empty = Server::prepare(elsewhere.path(), "");
    let (code, _, said) = empty.run(&["--check"]);
    assert!(code == Some(1) && said.contains("there is no store"), "{code:?} {said}");
    assert!(!empty.folder.exists(), "looking made a folder");
}
