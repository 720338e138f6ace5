//! Figures of three servers: how long writes pause when servers die or stall, what three copies
//! cost beside one, and how soon a cluster takes its first write.
//!
//! The steady writer asks one thing at a time, of a server that survives: a person whose own server
//! dies waits for the same, and for a new connection (a millisecond).

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Figure;
use crate::cluster::Cluster;
use crate::line::Line;
use crate::measures::{micros, pair_latency, rate};
use crate::proxy::Wire;
use crate::server::Server;

/// Runs of each fault.
const ROUNDS: usize = 20;
/// Starts of a cluster.
const STARTS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(10);
/// Writes go on for so long before a fault, and are watched for so long after it at least.
const BEFORE: Duration = Duration::from_millis(200);
const AFTER: Duration = Duration::from_millis(300);

fn txn(number: u64) -> String {
    format!("{number:032x}")
}

/// Makes an account by any server that can; gives its token.
pub(crate) fn register(cluster: &Cluster, name: &str) -> String {
    let d = json!({"user": name, "pass": "correct horse", "device": "figures", "txn": txn(1)});
    loop {
        for address in cluster.addresses() {
            let answer = Line::dial(address, PATIENCE).and_then(|mut l| l.call("register", &d));
            if let Some(Ok(ok)) = answer {
                return ok["token"].as_str().expect("a token").to_owned();
            }
        }
    }
}

/// Somebody who writes all the time, to one server.
struct Writer {
    over: Arc<AtomicBool>,
    answered: Arc<Mutex<Vec<Instant>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    fn begin(cluster: &Cluster, server: u8, token: &str, first_txn: u64) -> Writer {
        let mut line = Line::dial(cluster.address(server), PATIENCE).expect("a server");
        let resumed = line.call("resume", &json!({"token": token}));
        resumed.expect("a server").expect("a token that is good");
        let over = Arc::new(AtomicBool::new(false));
        let answered: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let (is_over, times) = (Arc::clone(&over), Arc::clone(&answered));
        let thread = std::thread::spawn(move || {
            let mut number = first_txn;
            while !is_over.load(Ordering::SeqCst) {
                let request = json!({"to": "writer", "text": "still here", "txn": txn(number)});
                match line.call("send", &request).expect("a server that survives") {
                    Ok(_) => {
                        number += 1;
                        times.lock().expect("no panic in between").push(Instant::now());
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        Writer { over, answered, thread: Some(thread) }
    }

    /// Waits until a write was answered that was begun later than `since`, and a little longer;
    /// gives
    /// the longest pause from shortly before `since` on.
    fn gap(mut self, since: Instant) -> Duration {
        let written = || self.answered.lock().expect("no panic in between").last().copied();
        while written().is_none_or(|last| last < since + AFTER) {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.over.store(true, Ordering::SeqCst);
        self.thread.take().expect("it runs").join().expect("a writer that does not panic");
        let times = self.answered.lock().expect("no panic in between");
        let pairs = times.windows(2).filter(|pair| pair[1] >= since);
        pairs.map(|pair| pair[1] - pair[0]).max().expect("writes before and after")
    }
}

/// What goes wrong, with the primary and the two others: one of them is where the writer is.
type Fault = fn(&mut Cluster, primary: u8, backup: u8);

fn gaps(cluster: &mut Cluster, token: &str, series: u64, fault: Fault) -> Vec<Duration> {
    let mut gaps = Vec::new();
    for round in 0..ROUNDS as u64 {
        let (primary, backups) = (cluster.primary(), cluster.backups());
        let first_txn = (series << 40) + (round << 24);
        let writer = Writer::begin(cluster, backups[1], token, first_txn);
        std::thread::sleep(BEFORE);
        let since = Instant::now();
        fault(cluster, primary, backups[0]);
        gaps.push(writer.gap(since));
        cluster.wires().for_each(|wire| wire.set(Wire::Whole));
        cluster.thaw_all();
        cluster.launch_all();
        cluster.until_in_sync(3);
    }
    gaps.sort();
    gaps
}

pub(crate) fn figure(
    name: &'static str,
    mut times: Vec<Duration>,
    median_ms: u64,
    worst_ms: u64,
) -> Figure {
    times.sort();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let (median_max, worst_max) =
        (Duration::from_millis(median_ms), Duration::from_millis(worst_ms));
    Figure {
        name,
        measured: format!("median {median:.1?}, worst of {} {worst:.1?}", times.len()),
        promised: format!("median {median_max:.1?}, worst {worst_max:.1?}"),
        kept: median <= median_max && worst <= worst_max,
    }
}

/// Pauses of writes.
pub(crate) fn failovers(folder: &Path) -> Vec<Figure> {
    let mut cluster = Cluster::start(folder, 3);
    let token = register(&cluster, "writer");
    let cases: [(&str, u64, u64, Fault); 4] = [
        ("pause of writes, the primary killed", 100, 500, |cluster, primary, _| {
            cluster.kill(&[primary]);
        }),
        ("pause of writes, primary and a backup killed at once", 100, 500, |cluster, p, backup| {
            cluster.kill(&[p, backup]);
        }),
        ("pause of writes, a backup stopped", 1_500, 1_500, |cluster, _, backup| {
            cluster.freeze(backup);
        }),
        ("pause of writes, the primary stopped", 2_500, 2_500, |cluster, primary, _| {
            cluster.freeze(primary);
        }),
    ];
    measure(&mut cluster, &token, &cases)
}

fn measure(
    cluster: &mut Cluster,
    token: &str,
    cases: &[(&'static str, u64, u64, Fault)],
) -> Vec<Figure> {
    let measure = |(series, &(name, median, worst, fault))| {
        figure(name, gaps(cluster, token, series, fault), median, worst)
    };
    (1..).zip(cases).map(measure).collect()
}

/// What two servers say to each other, either way.
fn set_both(cluster: &Cluster, one: u8, other: u8, wire: Wire) {
    cluster.wire(one, other).set(wire);
    cluster.wire(other, one).set(wire);
}

/// Pauses of writes when one of three links does not carry: it ends, or it says nothing more.
pub(crate) fn cuts(folder: &Path) -> Vec<Figure> {
    let mut cluster = Cluster::start_wired(folder, 3);
    let token = register(&cluster, "writer");
    let cases: [(&str, u64, u64, Fault); 3] = [
        ("pause of writes, the link of primary and backup cut", 2_000, 2_000, |cluster, p, b| {
            set_both(cluster, p, b, Wire::Cut);
        }),
        ("pause of writes, the same link silent", 2_000, 2_000, |cluster, primary, backup| {
            set_both(cluster, primary, backup, Wire::Blocked);
        }),
        ("pause of writes, the link of two backups cut", 2_000, 2_000, |cluster, primary, b| {
            let other = cluster.numbers().into_iter().find(|n| ![primary, b].contains(n));
            set_both(cluster, other.expect("three servers"), b, Wire::Cut);
        }),
    ];
    measure(&mut cluster, &token, &cases)
}

/// Three copies beside one, in the same run.
pub(crate) fn copies(folder: &Path) -> Vec<Figure> {
    let (one, three) = (folder.join("one"), folder.join("three"));
    for folder in [&one, &three] {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let mut server = Server::start(&one, crate::measures::CHEAP);
    let (alone, alone_rate) = (pair_latency(server.address), rate(server.address, 256));
    server.kill();
    let cluster = Cluster::start(&three, 3);
    let primary = cluster.address(cluster.primary());
    let (copied, copied_rate) = (pair_latency(primary), rate(primary, 256));
    vec![
        Figure {
            name: "sends a second with three servers, 256 connections",
            measured: format!("{copied_rate:.0} (one server: {alone_rate:.0})"),
            promised: format!("{:.0}", alone_rate / 3.0),
            kept: copied_rate >= alone_rate / 3.0,
        },
        Figure {
            name: "latency with three servers, median",
            measured: format!("{} (one server: {})", micros(copied), micros(alone)),
            promised: micros(alone * 3),
            kept: copied <= alone * 3,
        },
    ]
}

/// From the start of three processes to the first answered write.
pub(crate) fn starts(folder: &Path) -> Vec<Figure> {
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for round in 0..STARTS {
        let folder = folder.join(round.to_string());
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut cluster = Cluster::prepare(&folder, 3, false);
        for (times, name) in [(&mut fresh, "first"), (&mut again, "second")] {
            let start = Instant::now();
            cluster.launch_all();
            register(&cluster, name);
            times.push(start.elapsed());
            cluster.until_in_sync(3);
            cluster.kill(&[1, 2, 3]);
        }
    }
    vec![
        figure("first write of a new cluster", fresh, 1_000, 1_000),
        figure("first write after all were killed", again, 1_000, 1_000),
    ]
}
