//! A server that is told to stop hands over what it does, and nobody notices.

use std::time::Duration;

use holdfast_common::client::Answer;
use serde_json::json;

use crate::support::client::{Client, fresh_txn};
use crate::support::cluster::Cluster;
use crate::support::person::Person;

/// A stop takes at most this, with the others in reach.
const STOPS_WITHIN: Duration = Duration::from_millis(2_000);

#[test]
fn a_primary_that_stops_leaves_the_view_and_the_others_go_on_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let primary = cluster.primary();
    let other = cluster.backups()[0];
    let (mut ada, _) = Client::register(cluster.address(primary), "ada");
    let (mut bob, _) = Client::register(cluster.address(other), "bob");
    let took = cluster.stop(primary);
    assert!(took < STOPS_WITHIN, "{took:?}");
    let bye = ada.event("bye");
    assert_eq!(bye["d"]["reason"], "stopping");
    assert!(bye["d"]["elsewhere"].is_string(), "{bye}");
    let d = json!({"to": "ada", "text": "still here", "txn": fresh_txn()});
    let sent = bob.ok("send", d);
    assert_eq!(sent["copies"], 2);
    let took = cluster.stop(other);
    assert!(took < STOPS_WITHIN, "{took:?}");
    assert!(cluster.until_in_sync(1) < STOPS_WITHIN);
    cluster.launch_all();
    cluster.until_in_sync(3);
}

#[test]
fn each_server_is_restarted_in_turn_under_load_and_no_program_shows_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let servers = cluster.addresses();
    let mut ada = Person::start(&folder.path().join("ada"), &servers);
    let mut bob = Person::start(&folder.path().join("bob"), &servers);
    ada.register("ada");
    bob.register("bob");
    let mut asked = vec![ada.send("bob", "0")];
    for number in cluster.numbers() {
        let before = asked.len();
        asked.extend((before..before + 40).map(|at| ada.send("bob", &at.to_string())));
        cluster.stop(number);
        cluster.launch(number);
        cluster.until_in_sync(3);
    }
    let expected: Vec<String> = (0..asked.len()).map(|number| number.to_string()).collect();
    for id in asked {
        let answer = ada.answer(id);
        assert!(matches!(answer, Ok(Answer::Sent(_))), "{answer:?}");
    }
    bob.until("every message", |bob| bob.told.len() >= expected.len());
    let told: Vec<_> = bob.told.iter().map(|(_, _, text)| text.clone()).collect();
    assert_eq!(told, expected, "what Bob saw");
}
