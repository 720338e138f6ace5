//! Bad input on the replica port: strangers, and servers that lie. Each is refused with the reason
//! in the log, nobody else is disturbed, and no memory is taken beyond a bound.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use holdfast_common::ids::ServerId;
use holdfast_common::net::tls::Trust;
use holdfast_server::entry::{Ballot, Index};
use holdfast_server::node::Shared;
use holdfast_server::replication::wire::{Canvass, Message, Opinion, Place, Pull, Vote};
use holdfast_server::work::Part;
use serde_json::json;

use crate::peer::{self, Frame, Greeting, forged, framed, greet, greeting};
use crate::support::client::{Client, dial};
use crate::support::cluster::Cluster;
use crate::support::tls::session;

/// The longest that a writer may wait meanwhile.
const GAP_MAX: Duration = Duration::from_millis(500);
/// What a server may take more for all that.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// What is refused is said in the log within this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom it comes to, and as whom.
struct Target {
    number: u8,
    address: SocketAddr,
    secret: String,
    /// Another server of the cluster, whose name is used.
    other: u8,
    third: u8,
}

impl Target {
    fn link(&self) -> crate::support::tls::Stream {
        peer::link(self.address, self.number, &self.secret, self.other)
    }

    /// What it says to a greeting that it does not accept.
    fn refuses(&self, greeting: Greeting) {
        let mut link = greet(self.link(), greeting);
        let answer = peer::next(&mut link);
        assert!(matches!(answer, Some(Frame::Refused(_))), "{answer:?}");
        assert!(peer::next(&mut link).is_none(), "it ends the link");
    }

    /// Greets as a server would, then says this.
    fn says(&self, bytes: &[u8]) {
        let mut link = greet(self.link(), greeting(self.other));
        let answer = peer::next(&mut link);
        assert!(matches!(answer, Some(Frame::Hello(_))), "{answer:?}");
        link.write_all(bytes).ok();
        link.flush().ok();
        link.sock.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        peer::next(&mut link);
    }
}

/// Somebody does something bad, and what the log must say of it.
type Case = (&'static str, fn(&Target), &'static str);

const CASES: &[Case] = &[
    ("random bytes", random_bytes, "link refused"),
    (
        "a client in the open",
        |target| {
            let mut stream = dial(target.address);
            stream
                .write_all(b"{\"id\":1,\"op\":\"hello\",\"d\":{\"proto\":[1],\"client\":\"t\"}}\n")
                .ok();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            assert!(!answer.starts_with(b"{"), "no client is answered here");
        },
        "link refused",
    ),
    (
        "a client within TLS",
        |target| {
            let mut client = session(dial(target.address), Trust::FirstUse);
            client.write_all(b"{\"id\":1,\"op\":\"hello\"}\n").ok();
            client.flush().ok();
            assert!(client.read(&mut [0; 1]).is_err(), "whoever shows no certificate is sent away");
        },
        "certificate",
    ),
    (
        "another secret",
        |target| {
            let mut link = peer::link(target.address, target.number, &"x".repeat(40), target.other);
            assert!(link.write_all(&Frame::Ask(1).bytes()).is_err());
        },
        "link refused",
    ),
    (
        "another secret, and nothing checked",
        |target| {
            let mut link = forged(target.address, &"x".repeat(40), &["server-2"]);
            link.write_all(&Frame::Ask(1).bytes()).ok();
            assert!(peer::next(&mut link).is_none());
        },
        "link refused",
    ),
    (
        "a certificate for clients only",
        |target| {
            let mut link = forged(target.address, &target.secret, &["holdfast"]);
            link.write_all(&Frame::Ask(1).bytes()).ok();
            assert!(peer::next(&mut link).is_none());
        },
        "its certificate is no server's of this cluster",
    ),
    (
        "a server that the settings do not know",
        |target| {
            let link = peer::link(target.address, target.number, &target.secret, 9);
            assert!(peer::next(&mut greet(link, greeting(9))).is_none());
        },
        "its certificate is no server's of this cluster",
    ),
    ("another server's name", |target| target.refuses(greeting(target.third)), "'s, the greeting "),
    (
        "another cluster",
        |target| {
            target.refuses(peer::of_another_cluster(target.other));
        },
        "cluster 07070707070707070707070707070707 there",
    ),
    (
        "an older wire version",
        |target| {
            target.refuses(Greeting { wire: 1, ..greeting(target.other) });
        },
        "wire version 1 there",
    ),
    (
        "another number of settings",
        |target| {
            target.refuses(Greeting { shared: Shared(Vec::new()), ..greeting(target.other) });
        },
        "settings of different versions",
    ),
    (
        "settings without end",
        |target| {
            let shared = Shared(vec![("x".repeat(1_000), "y".repeat(1_000_000))]);
            let mut link = greet(target.link(), Greeting { shared, ..greeting(target.other) });
            assert!(peer::next(&mut link).is_none());
        },
        "its greeting cannot be a server's",
    ),
    (
        "a claim of 4 GB before a greeting",
        |target| {
            let mut link = target.link();
            link.write_all(&[0xff; 4]).unwrap();
            assert!(peer::next(&mut link).is_none());
        },
        "it claims a frame beyond the limit",
    ),
    (
        "a claim of 4 GB behind a greeting",
        |target| target.says(&[0xff; 4]),
        "it claims a frame beyond the limit",
    ),
    (
        "a frame before its greeting",
        |target| {
            let mut link = target.link();
            link.write_all(&Frame::Ask(1).bytes()).unwrap();
            assert!(peer::next(&mut link).is_none());
        },
        "it speaks before its greeting",
    ),
    (
        "two greetings",
        |target| {
            target.says(&Frame::Hello(greeting(target.other)).bytes());
        },
        "it greets twice",
    ),
    ("a frame of nonsense", |target| target.says(&framed(&[0xee; 100])), "a frame cannot be read"),
    (
        "a part of a snapshot from nobody's primary",
        |target| {
            let part = Part { bytes: vec![1; 1_000], is_last: false };
            target.says(&Frame::Snapshot { stream: 1, number: 0, part }.bytes());
        },
        "it sends a snapshot, but this server does not follow it",
    ),
    (
        "a part of a snapshot without end",
        |target| {
            let part = Part { bytes: vec![1; 3 << 20], is_last: false };
            target.says(&Frame::Snapshot { stream: 1, number: 0, part }.bytes());
        },
        "a part of a snapshot beyond the limit",
    ),
    (
        "counters beyond all reason",
        |target| {
            let after = Index(u64::MAX);
            let pull = Frame::Replication(Message::Pull(Pull { attempt: 1, after }));
            target.says(&pull.bytes());
        },
        "a counter beyond all reason",
    ),
];

fn random_bytes(target: &Target) {
    let mut random = 7_u64;
    for round in 0..100 {
        let mut bytes: Vec<u8> = (0..200)
            .map(|_| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 56) as u8
            })
            .collect();
        if round % 2 == 0 {
            // As if TLS began, which is not refused by its first byte.
            bytes.splice(..0, *b"\x16\x03\x01\x00\xc8\x01");
        }
        let mut stream = dial(target.address);
        stream.write_all(&bytes).ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    }
}

/// Three servers that hold no election in a hurry.
fn start(folder: &std::path::Path) -> Cluster {
    let mut cluster = Cluster::prepare(folder, 3, false);
    let patient = peer::PATIENT.map(|(key, value)| (key.to_owned(), value.to_owned()));
    cluster.environment.extend(patient);
    cluster.launch_all();
    cluster.until_in_sync(3);
    cluster
}

/// Writes through a server until it is over; gives the longest wait for an answer.
fn write(server: SocketAddr, token: &str, over: &AtomicBool) -> Duration {
    let mut client = Client::resume(server, token, None);
    let mut worst = Duration::ZERO;
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        client.send("ada", "undisturbed");
        worst = worst.max(start.elapsed());
        client.events.clear();
        std::thread::sleep(Duration::from_millis(5));
    }
    worst
}

fn until_logged(cluster: &Cluster, number: u8, from: usize, what: &str) {
    let start = Instant::now();
    loop {
        let logged = cluster.logged(number);
        if logged[from..].contains(what) {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "no `{what}` in: {}", &logged[from..]);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does something bad to a server while somebody writes through it: nobody is disturbed.
fn besiege<T>(cluster: &Cluster, number: u8, token: &str, act: impl FnOnce(&Target) -> T) -> T {
    let numbers = cluster.numbers();
    let [other, third] =
        numbers.iter().copied().filter(|one| *one != number).collect::<Vec<_>>()[..]
    else {
        panic!("three servers")
    };
    let (address, secret) = (cluster.replica(number), cluster.secret());
    let target = Target { number, address, secret, other, third };
    let ballot = cluster.status(number).unwrap()["ballot"].clone();
    let before_bytes = cluster.resident_bytes(number);
    let over = AtomicBool::new(false);
    let (result, worst) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(cluster.address(number), token, &over));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| act(&target)));
        over.store(true, Ordering::Relaxed);
        (result, writer.join().expect("the writer is served"))
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(worst < GAP_MAX, "a writer waited {worst:?}");
    let more_bytes = cluster.resident_bytes(number).saturating_sub(before_bytes);
    assert!(more_bytes < MEMORY_BYTES_MAX, "it took {more_bytes} bytes");
    let status = cluster.status(number).unwrap();
    assert_eq!((&status["ballot"], &status["in_sync"]), (&ballot, &json!(3)), "an election");
    result
}

#[test]
fn whatever_comes_to_the_replica_port_is_refused_with_the_reason_and_disturbs_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = start(folder.path());
    let (_, token) = Client::register(cluster.address(1), "ada");
    for number in [cluster.primary(), cluster.backups()[0]] {
        besiege(&cluster, number, &token, |target| {
            for (name, act, reason) in CASES {
                let from = cluster.logged(number).len();
                act(target);
                println!("{name}");
                until_logged(&cluster, number, from, reason);
            }
            for at in 0..greeting(1).shared.0.len() {
                let mut greeting = greeting(target.other);
                let (key, value) = &mut greeting.shared.0[at];
                let text = format!("{key}={value} here, {key}=other there");
                *value = "other".to_owned();
                let from = cluster.logged(number).len();
                target.refuses(greeting);
                until_logged(&cluster, number, from, &text);
            }
        });
    }
    cluster.must_run();
}

#[test]
fn messages_from_the_past_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = start(folder.path());
    let (_, token) = Client::register(cluster.address(1), "ada");
    for number in cluster.numbers() {
        besiege(&cluster, number, &token, |target| {
            let ballot = Ballot { generation: 0, round: 1, server: ServerId(target.other) };
            let place = Place { ballot, index: Index(1) };
            let canvass =
                Canvass { attempt: 1, last: place, is_active: true, committed: Place::START };
            let opinion = Opinion {
                attempt: 1,
                ballot: Some(ballot),
                is_yes: true,
                last: place,
                promise: ballot,
                highest_round: 1,
                is_fresh: true,
                committed: Place::START,
            };
            let messages = [
                Message::Vote(Vote { ballot, canvass: canvass.clone() }),
                Message::Canvass(canvass),
                Message::Opinion(opinion),
                Message::Pull(Pull { attempt: 1, after: Index(0) }),
            ];
            let bytes: Vec<u8> =
                messages.into_iter().flat_map(|m| Frame::Replication(m).bytes()).collect();
            for _ in 0..20 {
                target.says(&bytes.repeat(50));
            }
        });
    }
    cluster.must_run();
}

#[test]
fn whoever_asks_again_and_again_for_the_log_is_not_answered_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = start(folder.path());
    let (mut ada, token) = Client::register(cluster.address(1), "ada");
    for _ in 0..300 {
        ada.send("ada", &"x".repeat(4_000));
    }
    besiege(&cluster, cluster.primary(), &token, |target| {
        let pull = |attempt| Message::Pull(Pull { attempt, after: Index(2) });
        let asks: Vec<u8> =
            (0..50_000).flat_map(|at| Frame::Replication(pull(at)).bytes()).collect();
        target.says(&asks);
    });
}

/// Connections that say a byte a second of what TLS begins with.
fn drip(to: SocketAddr, count: usize, over: &AtomicBool) {
    let mut streams: Vec<TcpStream> =
        (0..count).filter_map(|_| TcpStream::connect(to).ok()).collect();
    for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" {
        streams.retain_mut(|stream| stream.write_all(&[*byte]).is_ok());
        for _ in 0..10 {
            if over.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn those_who_never_say_who_they_are_keep_no_server_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = start(folder.path());
    let (_, token) = Client::register(cluster.address(1), "ada");
    let (primary, backup) = (cluster.primary(), cluster.backups()[0]);
    let from = cluster.logged(primary).len();
    let to = cluster.replica(primary);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // 400 of them, where 64 may be there at once; and who is sent away comes back.
        for _ in 0..4 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    drip(to, 100, &over);
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        besiege(&cluster, primary, &token, |_| {
            until_logged(&cluster, primary, from, "too many have not said who they are");
            until_logged(&cluster, primary, from, "it takes too long to say who it is");
        });
        cluster.kill(&[backup]);
        cluster.until_in_sync(2);
        cluster.launch(backup);
        let took = cluster.until_in_sync(3);
        over.store(true, Ordering::Relaxed);
        assert!(took < Duration::from_secs(10), "{took:?}");
    });
}
