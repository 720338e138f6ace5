//! Processes that stop for a while, and wires between them that do not carry.

use std::time::Duration;

use super::support::cluster::Cluster;
use super::support::proxy::Wire;
use super::{Folder, crowd, settle};

#[test]
fn a_backup_that_is_frozen_is_left_behind_and_comes_back() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let backup = cluster.backups()[0];
    cluster.freeze(backup);
    cluster.until_in_sync(2);
    crowd.until_answered(50);
    cluster.thaw(backup);
    cluster.until_in_sync(3);
    settle(&mut cluster, crowd);
}

#[test]
fn a_primary_that_is_frozen_is_replaced_and_does_not_speak_for_anybody_when_it_wakes() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let primary = cluster.primary();
    cluster.freeze(primary);
    cluster.until_in_sync(2);
    crowd.until_answered(50);
    cluster.thaw(primary);
    cluster.until_in_sync(3);
    settle(&mut cluster, crowd);
}

#[test]
fn a_frozen_primary_that_wakes_after_both_others_died_waits_for_them() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let (primary, others) = (cluster.primary(), cluster.backups());
    cluster.freeze(primary);
    cluster.until_in_sync(2);
    crowd.until_answered(50);
    cluster.kill(&others);
    cluster.thaw(primary);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cluster.in_sync(), None, "it lacks what was acknowledged while it was frozen");
    cluster.launch_all();
    crowd.until_answered(20);
    settle(&mut cluster, crowd);
}

#[test]
fn a_server_that_is_cut_off_is_left_behind_and_comes_back() {
    let folder = Folder::new();
    let mut cluster = Cluster::start_wired(folder.path(), 3);
    let crowd = crowd(&cluster);
    for alone in [cluster.backups()[0], cluster.primary()] {
        for wire in [Wire::Cut, Wire::Blocked] {
            cluster.wires_of(alone).for_each(|way| way.set(wire));
            cluster.until_in_sync(2);
            crowd.until_answered(20);
            cluster.wires_of(alone).for_each(|way| way.set(Wire::Whole));
            cluster.until_in_sync(3);
        }
    }
    settle(&mut cluster, crowd);
}

#[test]
fn writes_go_on_when_one_way_between_two_servers_carries_nothing() {
    let folder = Folder::new();
    let mut cluster = Cluster::start_wired(folder.path(), 3);
    let crowd = crowd(&cluster);
    let (primary, backups) = (cluster.primary(), cluster.backups());
    let ways = [(primary, backups[0]), (backups[0], primary), (backups[0], backups[1])];
    for (from, to) in ways {
        for wire in [Wire::Cut, Wire::BlockedForth] {
            cluster.wire(from, to).set(wire);
            std::thread::sleep(Duration::from_millis(500));
            crowd.until_answered(20);
            cluster.wire(from, to).set(Wire::Whole);
            cluster.until_in_sync(3);
        }
    }
    settle(&mut cluster, crowd);
}

#[test]
fn writes_go_on_over_slow_wires_and_over_a_death_behind_them() {
    let folder = Folder::new();
    let mut cluster = Cluster::start_wired(folder.path(), 3);
    let crowd = crowd(&cluster);
    cluster.wires().for_each(|way| way.delay(Duration::from_millis(10)));
    crowd.until_answered(50);
    let primary = cluster.primary();
    cluster.kill(&[primary]);
    crowd.until_answered(50);
    settle(&mut cluster, crowd);
}

/// `STALLS` says how often (default 5): more is for a machine that does nothing else.
#[test]
fn a_backup_that_is_frozen_over_and_over_costs_no_primary_its_place() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let ballot = |cluster: &Cluster| cluster.status(cluster.primary()).unwrap()["ballot"].clone();
    let before = ballot(&cluster);
    let count = std::env::var("STALLS").map_or(5, |count| count.parse().unwrap());
    for round in 0..count {
        let backups = cluster.backups();
        let backup = backups[round % backups.len()];
        cluster.freeze(backup);
        // Now and then too short to be removed from the view, else long enough.
        std::thread::sleep(Duration::from_millis([100, 350, 800, 1_500][round % 4]));
        cluster.thaw(backup);
        cluster.until_in_sync(3);
        crowd.until_answered(20);
        assert_eq!(ballot(&cluster), before, "in round {round}");
    }
    settle(&mut cluster, crowd);
}
