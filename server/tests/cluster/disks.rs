//! One server's disk is full, or takes no writes: that server says so and ends, the others go on,
//! and it comes back by itself once there is room.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Client, fresh_txn};
use crate::support::cluster::Cluster;
use crate::support::disk::SmallDisk;

/// The longest that a writer may wait while a server ends and is removed, in a debug build.
const GAP_MAX: Duration = Duration::from_millis(1_000);

/// Writes through a server until it is over; gives what was acknowledged and the longest wait.
fn write(client: &mut Client, over: &AtomicBool) -> (Vec<String>, Duration) {
    let (mut written, mut worst) = (Vec::new(), Duration::ZERO);
    while !over.load(Ordering::Relaxed) {
        let text = format!("{} {}", written.len(), "x".repeat(4_000));
        let d = json!({"to": "ada", "text": text, "txn": fresh_txn()});
        let start = Instant::now();
        while client.call("send", d.clone()).get("ok").is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        worst = worst.max(start.elapsed());
        written.push(text);
        client.events.clear();
    }
    (written, worst)
}

#[test]
fn a_full_disk_ends_its_server_the_others_go_on_and_with_room_it_comes_back() {
    for is_primary in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Cluster::prepare(folder.path(), 3, false);
        // Room for the next segment of the journal too: only one of them is to be full.
        let disks: Vec<SmallDisk> =
            cluster.numbers().iter().map(|n| SmallDisk::mount(&cluster.data(*n), 256)).collect();
        for (number, disk) in (1..).zip(&disks) {
            cluster.start_within(number, disk.within());
        }
        cluster.launch_all();
        cluster.until_in_sync(3);
        let (full, other) = match is_primary {
            true => (cluster.primary(), cluster.backups()[0]),
            false => (cluster.backups()[0], cluster.backups()[1]),
        };
        let disk = &disks[usize::from(full) - 1];
        let (mut ada, token) = Client::register(cluster.address(other), "ada");
        let over = AtomicBool::new(false);
        let (written, worst) = std::thread::scope(|scope| {
            let writer = scope.spawn(|| write(&mut ada, &over));
            std::thread::sleep(Duration::from_millis(200));
            disk.fill();
            assert_eq!(cluster.ended(full), Some(1));
            cluster.until_in_sync(2);
            std::thread::sleep(Duration::from_millis(500));
            over.store(true, Ordering::Relaxed);
            writer.join().expect("the writer is served")
        });
        let said = cluster.said(full);
        assert!(said.contains("ERROR") && said.contains("No space left on device"), "{said}");
        assert!(worst < GAP_MAX, "the primary's: {is_primary}; a writer waited {worst:?}");
        // Without room it does not start, and disturbs nobody.
        disk.fill();
        cluster.launch(full);
        assert_eq!(cluster.ended(full), Some(1));
        disk.free();
        cluster.launch(full);
        cluster.until_in_sync(3);
        let mut again = Client::resume(cluster.address(full), &token, None);
        let conv = again.ok("conversations", json!({}))["conversations"][0]["conv"].clone();
        let texts: Vec<String> = again.texts(&conv).into_iter().map(|(_, text)| text).collect();
        assert!(texts == written, "{} of {} are there", texts.len(), written.len());
    }
}

#[test]
fn a_disk_that_takes_no_writes_keeps_its_server_from_starting_and_nobody_else_from_serving() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::prepare(folder.path(), 3, false);
    let disk = SmallDisk::mount(&cluster.data(2), 64);
    cluster.start_within(2, disk.within());
    cluster.launch_all();
    cluster.until_in_sync(3);
    cluster.kill(&[2]);
    cluster.until_in_sync(2);
    disk.remount("ro");
    cluster.launch(2);
    assert_eq!(cluster.ended(2), Some(1));
    assert!(cluster.said(2).contains("Read-only file system"), "{}", cluster.said(2));
    assert_eq!(cluster.in_sync(), Some(2));
    disk.remount("rw");
    cluster.launch(2);
    cluster.until_in_sync(3);
}
