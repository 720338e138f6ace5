//! Never wrong from ignorance: any server may be asked anything, and none refuses what another one
//! has acknowledged.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::status::until;
use crate::support::client::{Client, fresh_txn};
use crate::support::cluster::Cluster;

const PASSWORD: &str = "correct horse";

fn login(cluster: &Cluster, number: u8, user: &str, pass: &str) -> serde_json::Value {
    let mut client = Client::connect(cluster.address(number));
    client.call("login", json!({"user": user, "pass": pass, "device": "test"}))
}

#[test]
fn what_one_server_has_acknowledged_every_other_one_knows_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3);
    let numbers = cluster.numbers();
    for round in 0..20 {
        let at = |step: usize| cluster.address(numbers[(round + step) % numbers.len()]);
        let (user, friend) = (format!("ada{round}"), format!("bob{round}"));
        let (mut ada, token) = Client::register(at(0), &user);
        let (mut bob, _) = Client::register(at(1), &friend);
        let mut other = Client::connect(at(2));
        let d = json!({"user": user, "pass": PASSWORD, "device": "other"});
        let other_token = other.ok("login", d)["token"].clone();
        let sent = other.send(&friend, "hi");
        assert_eq!(bob.event("msg")["d"]["text"], "hi");
        let cur = ada.event("msg")["cur"].as_str().unwrap().to_owned();
        let mut again = Client::resume(at(1), &token, Some(&cur));
        let page = again.ok("history", json!({"conv": sent["conv"]}));
        assert_eq!(page["messages"][0]["text"], "hi");
        // An end on one server is an end on all: for those connected, and for the token.
        let d = json!({"old": PASSWORD, "new": "battery staple"});
        ada.ok("passwd", d);
        assert_eq!(other.event("bye")["d"]["reason"], "revoked");
        let number = numbers[(round + 2) % numbers.len()];
        let old = login(&cluster, number, &user, PASSWORD);
        assert_eq!(old["err"]["code"], "wrong_credentials");
        assert!(login(&cluster, number, &user, "battery staple").get("ok").is_some());
        let mut client = Client::connect(at(1));
        let refused = client.refused("resume", json!({"token": other_token}));
        assert_eq!(refused, "unauthorized");
        let d = json!({"user": user, "pass": PASSWORD, "device": "t", "txn": fresh_txn()});
        assert_eq!(client.refused("register", d), "user_exists");
    }
}

#[test]
fn without_a_primary_a_known_session_reads_and_nothing_is_refused_that_others_may_know() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let last = cluster.backups()[0];
    let (mut ada, token) = Client::register(cluster.address(last), "ada");
    let sent = ada.send("ada", "note");
    let others: Vec<u8> = cluster.numbers().into_iter().filter(|one| *one != last).collect();
    for number in &others {
        cluster.freeze(*number);
    }
    until(&cluster, last, "names of whom it waits for", |status| {
        let waiting = status["waiting"].as_str().unwrap_or_default();
        let names = |number: &u8| waiting.contains(&format!("server {number}"));
        status["writable"] == false && others.iter().all(names)
    });
    let start = Instant::now();
    let d = json!({"to": "ada", "text": "lost?", "txn": fresh_txn()});
    let code = ada.refused("send", d);
    assert_eq!(code, "no_primary");
    let d = json!({"conv": sent["conv"], "text": "lost?", "txn": fresh_txn()});
    assert_eq!(ada.refused("send", d), "no_primary");
    assert!(start.elapsed() < Duration::from_secs(6), "patience ends");
    let mut again = Client::resume(cluster.address(last), &token, None);
    let page = again.ok("history", json!({"conv": sent["conv"]}));
    assert_eq!(page["messages"][0]["text"], "note");
    assert_eq!(again.refused("history", json!({"conv": "c999"})), "behind");
    let mut stranger = Client::connect(cluster.address(last));
    let unknown = json!({"token": "00".repeat(32)});
    assert_eq!(stranger.refused("resume", unknown), "behind");
    assert_eq!(login(&cluster, last, "nobody", PASSWORD)["err"]["code"], "behind");
    cluster.thaw_all();
    cluster.until_in_sync(3);
    assert_eq!(login(&cluster, last, "nobody", PASSWORD)["err"]["code"], "wrong_credentials");
    let page = again.ok("history", json!({"conv": sent["conv"]}));
    assert_eq!(page["messages"].as_array().unwrap().len(), 1, "what was refused was not done");
}

#[test]
fn a_server_that_has_met_no_primary_says_behind_and_whom_it_waits_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let (_, token) = Client::register(cluster.address(1), "ada");
    let numbers = cluster.numbers();
    cluster.kill(&numbers);
    cluster.launch(1);
    until(&cluster, 1, "names of whom it waits for", |status| {
        let waiting = status["waiting"].as_str().unwrap_or_default();
        let is_named = waiting.contains("server 2") && waiting.contains("server 3");
        status["writable"] == false && status["role"] == "joining" && is_named
    });
    let mut client = Client::connect(cluster.address(1));
    assert_eq!(client.refused("resume", json!({"token": token})), "behind");
    cluster.launch_all();
    cluster.until_in_sync(3);
    client.ok("resume", json!({"token": token}));
}

#[test]
fn a_write_whose_primary_is_lost_under_way_is_of_unknown_outcome_and_its_repeat_is_the_one_write() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let last = cluster.backups()[0];
    let (mut ada, _) = Client::register(cluster.address(last), "ada");
    let conv = ada.send("ada", "first")["conv"].clone();
    for number in cluster.numbers().into_iter().filter(|one| *one != last) {
        cluster.freeze(number);
    }
    // Forwarded before the silence is noticed: whether it was logged, nobody here can know.
    let d = json!({"conv": conv, "text": "second", "txn": fresh_txn()});
    let line = ada.call("send", d.clone());
    let (code, retry) = (&line["err"]["code"], &line["err"]["retry"]);
    assert_eq!((code, retry), (&json!("outcome_unknown"), &json!("same_txn")), "{line}");
    cluster.thaw_all();
    until(&cluster, last, "takes writes again", |status| status["writable"] == true);
    assert_eq!(ada.ok("send", d)["seq"], 2);
    let page = ada.ok("history", json!({"conv": conv}));
    let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| &m["text"]).collect();
    assert_eq!(texts, ["first", "second"]);
}
