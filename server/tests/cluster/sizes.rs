//! Five servers, of which four may die one after the other, and seven.

use std::time::Duration;

use serde_json::json;

use crate::status::until;
use crate::support::client::Client;
use crate::support::cluster::Cluster;

/// Sends through a server, and sees it there.
fn writes(cluster: &Cluster, number: u8, text: &str) {
    let (mut client, _) = Client::register(cluster.address(number), text);
    assert_eq!(client.send(text, "here")["seq"], 1);
}

/// Whether each account that `writes` made is known by a server.
fn knows_all(cluster: &Cluster, number: u8, names: &[String]) {
    let mut client = Client::connect(cluster.address(number));
    for name in names {
        let d = json!({"user": name, "pass": "correct horse", "device": "again"});
        client.ok("login", d);
        let page = client.ok("conversations", json!({}));
        assert_eq!(page["conversations"][0]["unread"], 0, "{page}");
        client = Client::connect(cluster.address(number));
    }
}

#[test]
fn of_five_servers_one_after_the_other_dies_down_to_the_last_and_all_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 5);
    let mut names = Vec::new();
    for left in (1..5).rev() {
        // The primary in every other step, else a backup.
        let dies = if left % 2 == 0 { cluster.primary() } else { cluster.backups()[0] };
        cluster.kill(&[dies]);
        cluster.until_in_sync(left);
        let name = format!("left{left}");
        writes(&cluster, cluster.awake()[0], &name);
        names.push(name);
    }
    let last = cluster.awake()[0];
    cluster.launch_all();
    cluster.until_in_sync(5);
    for number in cluster.numbers() {
        knows_all(&cluster, number, &names);
    }
    // What the others hold now does not need the one that held it alone.
    cluster.kill(&[last]);
    cluster.until_in_sync(4);
    writes(&cluster, cluster.awake()[0], "after");
}

#[test]
fn of_five_servers_three_that_die_at_once_leave_two_that_wait_for_them_until_one_returns() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 5);
    writes(&cluster, 1, "before");
    let dead = [cluster.primary(), cluster.backups()[0], cluster.backups()[1]];
    cluster.kill(&dead);
    for number in cluster.awake() {
        until(&cluster, number, "names for whom it waits", |status| {
            let waiting = status["waiting"].as_str().unwrap_or_default();
            let is_named = |number: &u8| waiting.contains(&format!("server {number}"));
            status["writable"] == false && dead.iter().any(is_named)
        });
    }
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cluster.in_sync(), None, "two of five decide nothing");
    cluster.launch(dead[2]);
    cluster.until_in_sync(3);
    writes(&cluster, dead[2], "three");
    cluster.launch_all();
    cluster.until_in_sync(5);
    for number in cluster.numbers() {
        knows_all(&cluster, number, &["before".to_owned(), "three".to_owned()]);
    }
}

#[test]
fn seven_servers_serve_lose_three_and_get_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 7);
    writes(&cluster, 7, "seven");
    let dead = [cluster.primary(), cluster.backups()[0], cluster.backups()[3]];
    cluster.kill(&dead);
    cluster.until_in_sync(4);
    writes(&cluster, cluster.awake()[0], "four");
    cluster.launch_all();
    cluster.until_in_sync(7);
    knows_all(&cluster, dead[0], &["seven".to_owned(), "four".to_owned()]);
}
