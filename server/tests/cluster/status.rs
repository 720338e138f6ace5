//! What each server says of the others, and when it says so unasked.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(20);

/// The state of each server by its number, as server `number` sees it.
fn states(status: &Value) -> Vec<(u64, String)> {
    let servers = status["servers"].as_array().unwrap().iter();
    let state = |server: &Value| {
        (server["server"].as_u64().unwrap(), server["state"].as_str().unwrap().to_owned())
    };
    servers.map(state).collect()
}

/// Waits until a server's status is as wished.
pub(crate) fn until(cluster: &Cluster, number: u8, what: &str, done: impl Fn(&Value) -> bool) {
    let start = Instant::now();
    loop {
        let status = cluster.status(number);
        if status.as_ref().is_some_and(&done) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: {status:#?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn every_server_says_the_same_of_who_leads_and_who_is_in_sync() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::start(folder.path(), 3);
    let primary = cluster.primary();
    for number in cluster.numbers() {
        let is_told = |status: &Value| {
            let expected = |(server, state): &(u64, String)| match *server == u64::from(primary) {
                true => state == "primary",
                false => state == "in_sync",
            };
            let role = if number == primary { "primary" } else { "backup" };
            status["primary"] == primary
                && status["in_sync"] == 3
                && status["of"] == 3
                && status["writable"] == true
                && status.get("waiting").is_none()
                && status["role"] == role
                && states(status).iter().all(expected)
        };
        until(&cluster, number, "one picture", is_told);
    }
}

#[test]
fn each_death_is_told_to_those_connected_and_the_last_survivor_says_who_is_down() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let primary = cluster.primary();
    let [second, last] = cluster.backups()[..] else { panic!("two backups") };
    let (mut ada, _) = Client::register(cluster.address(last), "ada");
    cluster.kill(&[second]);
    while ada.event("cluster")["d"]["in_sync"] != 2 {}
    cluster.kill(&[primary]);
    loop {
        let told = ada.event("cluster")["d"].take();
        if told["role"] == "primary" && told["in_sync"] == 1 && told["writable"] == true {
            break;
        }
    }
    let sent = ada.send("ada", "alone");
    assert_eq!((&sent["copies"], &sent["of"]), (&json!(1), &json!(3)));
    until(&cluster, last, "who is down", |status| {
        let state = |server| if server == u64::from(last) { "primary" } else { "down" };
        states(status).iter().all(|(server, found)| found == state(*server))
    });
    cluster.launch_all();
    while ada.event("cluster")["d"]["in_sync"] != 3 {}
    for number in [primary, second] {
        until(&cluster, number, "a backup again", |status| status["role"] == "backup");
    }
}
