//! Processes that die, come back, and lose their disks.

use std::time::Duration;

use super::support::cluster::Cluster;
use super::{Folder, crowd, settle};

#[test]
fn nothing_is_lost_when_the_primary_is_killed() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let primary = cluster.primary();
    cluster.kill(&[primary]);
    crowd.until_answered(100);
    settle(&mut cluster, crowd);
}

#[test]
fn nothing_is_lost_when_the_primary_and_a_backup_are_killed_at_once() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let (primary, backup) = (cluster.primary(), cluster.backups()[0]);
    cluster.kill(&[primary, backup]);
    crowd.until_answered(100);
    settle(&mut cluster, crowd);
}

#[test]
fn nothing_is_lost_when_both_backups_are_killed_at_once() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let backups = cluster.backups();
    cluster.kill(&backups);
    crowd.until_answered(100);
    settle(&mut cluster, crowd);
}

#[test]
fn nothing_is_lost_when_the_next_one_dies_while_the_first_death_is_being_noticed() {
    for pause_ms in [1, 3, 5] {
        let folder = Folder::new();
        let mut cluster = Cluster::start(folder.path(), 3);
        let crowd = crowd(&cluster);
        let (primary, backup) = (cluster.primary(), cluster.backups()[1]);
        cluster.kill(&[primary]);
        std::thread::sleep(Duration::from_millis(pause_ms));
        cluster.kill(&[backup]);
        crowd.until_answered(100);
        settle(&mut cluster, crowd);
    }
}

#[test]
fn any_two_die_in_turn_and_come_back_to_three_copies_over_and_over() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    for round in 0..3 {
        let first = cluster.primary();
        cluster.kill(&[first]);
        crowd.until_answered(20);
        let second = cluster.primary();
        cluster.kill(&[second]);
        crowd.until_answered(20);
        let (first, second) = if round == 1 { (second, first) } else { (first, second) };
        cluster.launch(first);
        cluster.launch(second);
        cluster.until_in_sync(3);
    }
    settle(&mut cluster, crowd);
}

#[test]
fn a_whole_cluster_that_is_killed_comes_back_with_everything() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    for _ in 0..2 {
        cluster.kill(&[1, 2, 3]);
        cluster.launch_all();
        crowd.until_answered(50);
    }
    settle(&mut cluster, crowd);
}

#[test]
fn the_last_to_die_is_the_first_to_return_and_the_others_wait_for_it() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    let first = cluster.primary();
    cluster.kill(&[first]);
    cluster.until_in_sync(2);
    crowd.until_answered(20);
    let second = cluster.primary();
    cluster.kill(&[second]);
    cluster.until_in_sync(1);
    crowd.until_answered(20);
    let last = cluster.primary();
    cluster.kill(&[last]);
    cluster.launch(first);
    cluster.launch(second);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(cluster.in_sync(), None, "two old copies must not write without the newest one");
    cluster.launch(last);
    crowd.until_answered(20);
    settle(&mut cluster, crowd);
}

#[test]
fn a_server_that_lost_its_disk_gets_everything_from_the_others() {
    let folder = Folder::new();
    let mut cluster = Cluster::start(folder.path(), 3);
    let crowd = crowd(&cluster);
    for _ in 0..2 {
        let lost = cluster.backups()[0];
        cluster.kill(&[lost]);
        cluster.until_in_sync(2);
        cluster.wipe(lost);
        cluster.launch(lost);
        cluster.until_in_sync(3);
    }
    let lost = cluster.primary();
    cluster.kill(&[lost]);
    cluster.until_in_sync(2);
    cluster.wipe(lost);
    cluster.launch(lost);
    settle(&mut cluster, crowd);
}
