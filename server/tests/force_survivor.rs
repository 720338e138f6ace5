//! `--force-survivor` on the built server: the administrator's word when all other disks are gone,
//! and what becomes of it when they were not.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

use std::fs;

use serde_json::{Value, json};
use support::client::{Client, fresh_txn};
use support::cluster::Cluster;

/// What the administrator types.
fn digits(cluster: &Cluster) -> String {
    let hello = Client::bare(Box::new(support::client::dial(cluster.address(1)))).hello();
    hello["cluster"].as_str().expect("an id")[..8].to_owned() + "\n"
}

#[test]
fn the_last_disk_serves_by_the_administrators_word_and_by_nothing_less() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let (mut ada, token) = Client::register(cluster.address(1), "ada");
    let txn = fresh_txn();
    let sent = ada.ok("send", json!({"to": "ada", "text": "still here", "txn": txn}));
    assert_eq!(sent["copies"], 3);
    let digits = digits(&cluster);
    cluster.kill(&[1, 2, 3]);
    cluster.wipe(2);
    cluster.wipe(3);

    cluster.force(1, "00000000\n");
    assert_eq!(cluster.ended(1), Some(2));
    let said = cluster.said(1);
    assert!(said.contains(digits.trim()) && said.contains("nothing was changed"), "{said}");

    cluster.force(1, &digits);
    cluster.until_in_sync(1);
    let mut ada = Client::resume(cluster.address(1), &token, None);
    let again = ada.ok("send", json!({"to": "ada", "text": "still here", "txn": txn}));
    assert_eq!((&again["dup"], &again["seq"]), (&json!(true), &json!(1)));

    // The wiped ones join, and the word is not needed a second time.
    cluster.launch_all();
    cluster.until_in_sync(3);
}

/// The texts that a server lists as sent to nobody in the cluster any more.
fn listed(cluster: &Cluster, number: u8) -> Vec<String> {
    let data = cluster.data(number).parent().expect("it stands in a folder").to_owned();
    let prefix = format!("diverged-server{number}-");
    let files = fs::read_dir(data).expect("a folder").map(|file| file.expect("a file").path());
    let lists = files.filter(|path| path.to_string_lossy().contains(&prefix));
    let lines: Vec<Value> = lists
        .flat_map(|path| {
            let text = fs::read_to_string(path).expect("a file of ours");
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect::<Vec<_>>()
        })
        .collect();
    let sends = lines.iter().filter(|line| line["op"] == "send");
    sends.map(|line| line["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_word_that_was_wrong_costs_no_message_silently_not_even_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let (mut ada, token) = Client::register(cluster.address(1), "ada");
    let conv = ada.send("ada", "before")["conv"].clone();
    let digits = digits(&cluster);
    // It leaves in order, so that it knows of everything up to there, and of its own leave.
    cluster.stop(1);
    cluster.until_in_sync(2);
    let mut ada = Client::resume(cluster.address(2), &token, None);
    assert_eq!(ada.send("ada", "acknowledged by two")["copies"], 2);
    cluster.kill(&[2, 3]);

    cluster.force(1, &digits);
    cluster.until_in_sync(1);
    let mut ada = Client::resume(cluster.address(1), &token, None);
    ada.send("ada", "acknowledged by one");
    cluster.launch_all();
    cluster.until_in_sync(3);
    for number in [2, 3] {
        assert_eq!(listed(&cluster, number), ["acknowledged by two"], "server {number}");
        let texts = Client::resume(cluster.address(number), &token, None).texts(&conv);
        let texts: Vec<_> = texts.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["before", "acknowledged by one"]);
    }
    assert_eq!(listed(&cluster, 1), Vec::<String>::new());
}
