//! `kill -9` at random moments under load, judged from outside: what was acknowledged is there,
//! once, in order, and whoever resumes by cursor misses nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::server::Server;

const KILLS: u64 = 20;
const WRITERS: u64 = 3;
/// Requests that a writer has under way at once.
const PIPELINE: usize = 16;

/// What one writer knows: its messages are numbered, and their txns follow from that.
#[derive(Default)]
struct Written {
    conv: Value,
    /// The number in the conversation under which each message was acknowledged.
    acknowledged: BTreeMap<u64, u64>,
    sent: u64,
}

/// Connects as soon as a server answers; nothing once the test is over.
fn resume(
    address: SocketAddr,
    token: &str,
    cur: Option<&str>,
    over: &AtomicBool,
) -> Option<Client> {
    while !over.load(Ordering::Relaxed) {
        let connected = std::panic::catch_unwind(|| {
            let stream = std::net::TcpStream::connect(address).ok()?;
            let mut client = Client::bare(Box::new(crate::support::client::ready(stream)));
            let hello = client.try_ask("hello", json!({"proto": [1], "client": "test/1"})).ok()?;
            client.answer(hello)?;
            let id = client.try_ask("resume", json!({"token": token, "cur": cur})).ok()?;
            let answer = client.answer(id)?;
            assert!(answer.get("ok").is_some(), "a session was lost: {answer}");
            Some(client)
        });
        match connected {
            Ok(Some(client)) => return Some(client),
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    None
}

fn send(client: &mut Client, writer: u64, n: u64) -> std::io::Result<u64> {
    let txn = format!("{writer:016x}{n:016x}");
    client.try_ask("send", json!({"to": "reader", "text": format!("{writer}: {n}"), "txn": txn}))
}

/// Notes an answer; whether there was one.
fn note(answer: Option<Value>, n: u64, written: &mut Written) -> bool {
    let Some(mut answer) = answer else { return false };
    assert!(answer.get("ok").is_some(), "message {n} was refused: {answer}");
    let seq = answer["ok"]["seq"].as_u64().unwrap();
    written.conv = answer["ok"]["conv"].take();
    let before = written.acknowledged.insert(n, seq);
    assert!(before.is_none_or(|before| before == seq), "message {n} has two places");
    true
}

/// Sends message after message, many at once; whatever had no answer is sent again with its txn.
fn write(address: SocketAddr, token: &str, writer: u64, over: &AtomicBool) -> Written {
    let mut written = Written::default();
    // What is under way at the end is brought to its end.
    let never = AtomicBool::new(false);
    while let Some(mut client) = resume(address, token, None, &never) {
        let first = (1..=written.sent).find(|n| !written.acknowledged.contains_key(n));
        let mut next = first.unwrap_or(written.sent + 1);
        let mut under_way = std::collections::VecDeque::new();
        loop {
            let go_on = next <= written.sent || !over.load(Ordering::Relaxed);
            if go_on && under_way.len() < PIPELINE {
                written.sent = written.sent.max(next);
                let Ok(id) = send(&mut client, writer, next) else { break };
                under_way.push_back((id, next));
                next += 1;
                continue;
            }
            let Some((id, n)) = under_way.pop_front() else { return written };
            if !note(client.answer(id), n, &mut written) {
                break;
            }
        }
    }
    written
}

/// Sees every message once, in order, over all connections.
fn read(
    address: SocketAddr,
    (token, mut cur): (&str, String),
    over: &AtomicBool,
    seen: &Mutex<BTreeMap<String, u64>>,
) {
    while let Some(mut client) = resume(address, token, Some(&cur), over) {
        while let Some(event) = client.events.pop_front().or_else(|| client.line()) {
            if event["ev"] == "msg" {
                let conv = event["d"]["conv"].as_str().unwrap().to_owned();
                let mut seen = seen.lock().unwrap();
                let last = seen.entry(conv).or_default();
                *last += 1;
                assert_eq!(event["d"]["seq"], *last, "an event is missing, or came twice");
            }
            if let Some(at) = event["cur"].as_str() {
                at.clone_into(&mut cur);
            }
        }
    }
}

/// A small generator: its seed is printed, so that a failure can be tried again.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[expect(clippy::print_stdout, reason = "the seed of a failure is needed to try it again")]
fn kill_again_and_again(server: &mut Server) {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or(clock.as_nanos() as u64 | 1);
    println!("SEED={seed}");
    let mut random = Random(seed);
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(random.below(150)));
        server.kill();
        if kill % 4 == 3 {
            // Also while it is getting up.
            server.launch();
            std::thread::sleep(Duration::from_millis(random.below(60)));
            server.kill();
        }
        server.spawn();
    }
}

#[test]
fn twenty_kills_under_load_lose_nothing_double_nothing_and_hide_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\nLOG_LEVEL=warn\n";
    let mut server = Server::start(folder.path(), settings);
    let address = server.address;
    let (mut reader, reader_token) = Client::register(address, "reader");
    let from = reader.ok("conversations", json!({}))["cur"].as_str().unwrap().to_owned();
    drop(reader);
    let tokens: Vec<_> =
        (0..WRITERS).map(|w| Client::register(address, &format!("writer{w}")).1).collect();
    let (writers_over, reader_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let seen = Mutex::new(BTreeMap::new());
    let written: Vec<Written> = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(address, (&reader_token, from), &reader_over, &seen));
        let over = &writers_over;
        let writing: Vec<_> = (0..WRITERS)
            .zip(&tokens)
            .map(|(writer, token)| scope.spawn(move || write(address, token, writer, over)))
            .collect();
        kill_again_and_again(&mut server);
        over.store(true, Ordering::Relaxed);
        let written: Vec<_> = writing.into_iter().map(|thread| thread.join().unwrap()).collect();
        // The reader has time to see the rest; then its connection is cut.
        let total: u64 = written.iter().map(|written| written.sent).sum();
        let sees_all_until = Instant::now() + Duration::from_secs(20);
        let count = || seen.lock().unwrap().values().sum::<u64>();
        while count() < total && !reading.is_finished() && Instant::now() < sees_all_until {
            std::thread::sleep(Duration::from_millis(5));
        }
        reader_over.store(true, Ordering::Relaxed);
        server.kill();
        reading.join().unwrap();
        assert_eq!(count(), total, "the reader misses messages");
        written
    });
    server.spawn();
    for (writer, (written, token)) in written.iter().zip(&tokens).enumerate() {
        assert!(written.sent > KILLS, "there was no load: {} messages", written.sent);
        assert_eq!(written.acknowledged.len() as u64, written.sent, "in the end all are answered");
        let texts = Client::resume(address, token, None).texts(&written.conv);
        let expected = (1..=written.sent).map(|n| (n, format!("{writer}: {n}")));
        assert!(texts.into_iter().eq(expected), "not each message once, in order, from 1");
        assert!(written.acknowledged.iter().all(|(n, seq)| n == seq));
    }
}
