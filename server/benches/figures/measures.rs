//! The measurements, one function each.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_common::ids::{ConversationId, Txn};
use holdfast_common::net::tls::{Trust, client_config};
use holdfast_common::protocol::{Login, Register, Reply, Request, Resume, Send, Target};
use rustls::pki_types::ServerName;

use crate::server::Server;
use crate::swarm::{Swarm, Tls};
use crate::{Figure, Histogram, failover, floor, million, parts};

const PASSWORD: &str = "correct horse battery";
/// A message as people write them.
const TEXT: &str = "Are we still on for tomorrow at ten? I can bring the drawings, and coffee.";

/// Settings for everything but sign-ins: no limit on sends, and passwords that cost next to
/// nothing.
pub(crate) const CHEAP: &str = "LIMIT_SENDS_PER_S=1000000\nLIMIT_SIGNIN_FAILS_PER_MIN=1000000\n\
                     LOG_LEVEL=error\nBCRYPT_COST=4\n";
/// The same with passwords as the product hashes them.
const COSTLY: &str = "LIMIT_SENDS_PER_S=1000000\nLIMIT_SIGNIN_FAILS_PER_MIN=1000000\n\
                      LOG_LEVEL=error\nBCRYPT_COST=12\n";

/// Passwords under way at once: the server refuses more than that of one address.
const HASHES_AT_ONCE: usize = 16;
/// No bound on who asks at once.
pub(crate) const EVERYBODY: usize = usize::MAX;

type Measure = fn(&Path) -> Vec<Figure>;

/// Runs the measurements whose names contain one of `words` (all, without words).
pub(crate) fn all(words: &[String]) -> Vec<Figure> {
    let measures: [(&str, Measure); 11] = [
        ("parts", without_sockets),
        ("latency", latency),
        ("throughput", throughput),
        ("idle", idle),
        ("million", million::one),
        ("sign-ins", sign_ins),
        ("failover", failover::failovers),
        ("copies", failover::copies),
        ("start", failover::starts),
        ("cut", failover::cuts),
        ("million-of-three", million::three),
    ];
    let mut figures = Vec::new();
    for (name, measure) in measures {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            println!("{name} …");
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
            figures.extend(measure(folder.path()));
        }
    }
    figures
}

/// Microseconds, as people read them.
pub(crate) fn micros(time: Duration) -> String {
    format!("{:.0} us", time.as_secs_f64() * 1e6)
}

fn txn(number: u64) -> Txn {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Txn(bytes)
}

pub(crate) fn name(at: usize) -> String {
    format!("user{at:05}")
}

/// `count` connections, each signed in to an account of its own.
pub(crate) fn registered(address: SocketAddr, count: usize) -> (Swarm, Vec<String>) {
    let mut swarm = Swarm::connect(address, count, &None).expect("a server that takes connections");
    let replies = swarm.all(HASHES_AT_ONCE, |at| {
        Request::Register(Register {
            user: name(at),
            pass: PASSWORD.to_owned(),
            device: "figures".to_owned(),
            txn: txn(at as u64),
        })
    });
    let token = |reply| {
        let Reply::Register(ok) = reply else { panic!("{reply:?}") };
        ok.token
    };
    let tokens = replies.expect("everybody can register").into_iter().map(token).collect();
    (swarm, tokens)
}

pub(crate) fn send(to: Target, number: u64) -> Request {
    Request::Send(Send { to, text: TEXT.to_owned(), txn: txn(number) })
}

/// The conversation that a message went into.
pub(crate) fn conversation(reply: Reply) -> ConversationId {
    let Reply::Send(ok) = reply else { panic!("{reply:?}") };
    ok.conv
}

/// Opens a conversation of each member with its neighbour; gives their ids.
fn conversations(swarm: &mut Swarm) -> Vec<ConversationId> {
    let count = swarm.len();
    let replies =
        swarm.all(EVERYBODY, |at| send(Target::User(name(at ^ 1)), (1 << 40) + at as u64));
    assert!(count.is_multiple_of(2), "members come in pairs");
    replies.expect("everybody can send").into_iter().map(conversation).collect()
}

/// The parts alone: printed, not promised.
fn without_sockets(folder: &Path) -> Vec<Figure> {
    parts::print(folder);
    Vec::new()
}

/// One request at a time, against the floors of disk and loopback.
fn latency(folder: &Path) -> Vec<Figure> {
    let sync = floor::sync(folder).expect("a disk");
    let ping = floor::ping_pong().expect("a loopback");
    println!(
        "  floor: sync of 512 bytes {} (p99 {})",
        micros(sync.median()),
        micros(sync.at(0.99))
    );
    println!("  floor: loopback there and back {}", micros(ping.median()));
    let server = Server::start(folder, CHEAP);
    let (mut swarm, _) = registered(server.address, 2);
    let conv = conversations(&mut swarm)[0];
    let mut times = Histogram::default();
    for round in 0..2_000 {
        let request = send(Target::Conversation(conv), (1 << 41) + round);
        let (answer, took) = swarm.one(0, &request).expect("a connection");
        assert!(answer.is_ok(), "{answer:?}");
        times.add(took);
    }
    let again = floor::sync(folder).expect("a disk");
    let floor = sync.median().max(again.median());
    let bound = floor * 2 + Duration::from_micros(300);
    vec![Figure {
        name: "latency of one request at a time, median",
        measured: format!("{} (p99 {})", micros(times.median()), micros(times.at(0.99))),
        promised: format!("2 x {} + 300 us = {}", micros(floor), micros(bound)),
        kept: times.median() <= bound,
    }]
}

/// The median time of one request at a time, by a fresh pair of accounts.
pub(crate) fn pair_latency(address: SocketAddr) -> Duration {
    let (mut swarm, _) = registered(address, 2);
    let conv = conversations(&mut swarm)[0];
    let mut times = Histogram::default();
    for round in 0..2_000 {
        let request = send(Target::Conversation(conv), (1 << 41) + round);
        let (answer, took) = swarm.one(0, &request).expect("a connection");
        assert!(answer.is_ok(), "{answer:?}");
        times.add(took);
    }
    times.median()
}

/// Sends a second of so many connections with one in flight each; the accounts of [`pair_latency`]
/// are among them.
pub(crate) fn rate(address: SocketAddr, members: usize) -> f64 {
    let (mut swarm, _) = registered(address, members);
    let convs = conversations(&mut swarm);
    let mut number = 1 << 42;
    let driven = swarm.drive(1, Duration::from_secs(10), |at| {
        number += 1;
        Some(send(Target::Conversation(convs[at]), number))
    });
    let (times, took) = driven.expect("connections that stay");
    times.count() as f64 / took.as_secs_f64()
}

fn throughput(folder: &Path) -> Vec<Figure> {
    let server = Server::start(folder, CHEAP);
    let mut figures = Vec::new();
    let cases = [
        ("sends a second, 256 connections with 1 in flight", 256, 1, 20_000.0),
        ("sends a second, 64 connections with 16 in flight", 64, 16, 30_000.0),
    ];
    let (mut everybody, tokens) = registered(server.address, 256);
    let convs = conversations(&mut everybody);
    drop(everybody);
    let mut number = 1 << 42;
    for (name, members, in_flight, promised) in cases {
        let mut swarm = resumed(server.address, &tokens[..members], &None);
        let (times, took) = swarm
            .drive(in_flight, Duration::from_secs(10), |at| {
                number += 1;
                Some(send(Target::Conversation(convs[at]), number))
            })
            .expect("connections that stay");
        let rate = times.count() as f64 / took.as_secs_f64();
        figures.push(Figure {
            name,
            measured: format!(
                "{rate:.0} (median {}, p99 {})",
                micros(times.median()),
                micros(times.at(0.99))
            ),
            promised: format!("{promised:.0}"),
            kept: rate >= promised,
        });
    }
    figures
}

/// Connections signed in by token.
pub(crate) fn resumed(address: SocketAddr, tokens: &[String], tls: &Tls) -> Swarm {
    let mut swarm = Swarm::connect(address, tokens.len(), tls).expect("connections");
    let resumed =
        swarm.all(EVERYBODY, |at| Request::Resume(Resume { token: tokens[at].clone(), cur: None }));
    resumed.expect("tokens that are good");
    swarm
}

/// 10,000 signed-in connections that only ping.
fn idle(folder: &Path) -> Vec<Figure> {
    const CONNECTIONS: usize = 9_500;
    let mut figures = Vec::new();
    rlimit::increase_nofile_limit(u64::MAX).expect("more open files");
    for (over, bound_mb) in [("plain", 80), ("TLS", 200)] {
        let folder = folder.join(over);
        std::fs::create_dir_all(&folder).expect("a folder");
        let server = Server::start(&folder, CHEAP);
        let (swarm, tokens) = registered(server.address, 100);
        drop(swarm);
        let tls: Tls = (over == "TLS").then(|| {
            let config = client_config(Trust::FirstUse).expect("a configuration");
            (config, ServerName::try_from("holdfast").expect("a name"))
        });
        let tokens: Vec<_> = tokens.iter().cycle().take(CONNECTIONS).cloned().collect();
        let start = Instant::now();
        let mut swarm = resumed(server.address, &tokens, &tls);
        println!("  {CONNECTIONS} {over} connections signed in after {:.1?}", start.elapsed());
        swarm.idle(Duration::from_secs(5), Duration::from_secs(15)).expect("they stay");
        let (before, start) = (server.processor_time(), Instant::now());
        swarm.idle(Duration::from_secs(30), Duration::from_secs(15)).expect("they stay");
        let used = server.processor_time() - before;
        let share = 100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64();
        // What the promise says of 10,000 holds for each.
        let resident = server.resident_bytes() as f64 * 10_000.0 / CONNECTIONS as f64;
        let megabytes = resident / (1 << 20) as f64;
        let (memory, processor) = match over {
            "plain" => ("memory for 10,000 idle plain connections", "their pings, plain"),
            _ => ("memory for 10,000 idle TLS connections", "their pings, TLS"),
        };
        figures.push(Figure {
            name: memory,
            measured: format!("{megabytes:.0} MB"),
            promised: format!("{bound_mb} MB"),
            kept: megabytes <= f64::from(bound_mb),
        });
        figures.push(Figure {
            name: processor,
            measured: format!("{share:.1} % of a core"),
            promised: "3 %".to_owned(),
            kept: share <= 3.0,
        });
    }
    figures
}

/// Sends while twenty people sign in at cost 12.
fn sign_ins(folder: &Path) -> Vec<Figure> {
    let server = Server::start(folder, COSTLY);
    let (mut writers, tokens) = registered(server.address, 20);
    let conv = conversations(&mut writers)[0];
    let mut number = 1 << 45;
    let mut measure = |swarm: &mut Swarm, time: Duration| {
        let request = |_| {
            number += 1;
            Some(send(Target::Conversation(conv), number))
        };
        swarm.drive(1, time, request).expect("connections that stay").0
    };
    let mut writers = resumed(server.address, &tokens[..1], &None);
    let alone = measure(&mut writers, Duration::from_secs(6));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        let signing_in = scope.spawn(|| {
            let mut signed_in = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let mut swarm = Swarm::connect(server.address, 20, &None).expect("connections");
                let login = |at: usize| {
                    Request::Login(Login {
                        user: name(at),
                        pass: PASSWORD.to_owned(),
                        device: "figures".to_owned(),
                    })
                };
                signed_in +=
                    swarm.all(HASHES_AT_ONCE, login).expect("passwords that are right").len();
            }
            signed_in
        });
        std::thread::sleep(Duration::from_millis(300));
        let beside = measure(&mut writers, Duration::from_secs(6));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("  {} sign-ins beside the sends", signing_in.join().expect("no panic"));
        beside
    });
    let (alone, beside) = (alone.at(0.99), beside.at(0.99));
    vec![Figure {
        name: "p99 of sends with 20 sign-ins under way",
        measured: format!("{} (without: {})", micros(beside), micros(alone)),
        promised: format!("2 x {}", micros(alone)),
        kept: beside <= alone * 2,
    }]
}
