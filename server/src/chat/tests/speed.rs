//! A measurement to run by hand, in release:
//! `cargo test --release -p holdfast-server measure_ -- --ignored --nocapture`
#![expect(clippy::disallowed_methods, reason = "it measures time")]

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_common::ids::{ConversationId, ServerId};
use holdfast_common::protocol::{History, Page, Reply};

use super::world::{register, send, session};
use crate::chat::operation::{Actor, Operation, Outcome, Recipient, Stamped, Success};
use crate::chat::query::{Answer, Query};
use crate::chat::{answer, apply};
use crate::entry::{Ballot, Entry, Index, Payload};
use crate::tables::{DiskRows, Rows};

const ACCOUNTS: u32 = 1_000;
const CONVERSATIONS: u32 = 10_000;
const MESSAGES: u32 = 1_000_000;
const BATCH: usize = 1_000;
const PERSIST_ENTRIES: usize = 20_000;

/// Resident memory of this process in MiB, all of it and without the pages of mapped files.
fn resident_mib() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    (line("VmRSS:"), line("RssAnon:"))
}

/// How long this thread has run: what is measured is not what else the machine has to do.
fn on_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

struct Log {
    index: u64,
    random: u64,
}

impl Log {
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn entry(&mut self, operation: Operation) -> Entry {
        self.index += 1;
        let ballot = Ballot { generation: 1, round: 1, server: ServerId(1) };
        let stamped = Stamped { ts_ms: 1_795_420_800_000 + self.index, operation };
        Entry { index: Index(self.index), ballot, payload: Payload::Operation(stamped.encode()) }
    }

    fn text(&mut self) -> String {
        const WORDS: [&str; 8] = ["the", "ship", "holds", "fast", "in", "any", "weather", "and"];
        let count = 8 + self.random() % 48;
        let mut text = String::new();
        for _ in 0..count {
            let random = self.random();
            let word = WORDS[(random % 8) as usize];
            text.push_str(word);
            text.push_str(&format!("{:x} ", random >> 52));
        }
        text
    }
}

fn accounts(rows: &mut DiskRows, log: &mut Log) -> Vec<Actor> {
    let made = |n: u32| register(&format!("account{n}"), n);
    let entries: Vec<Entry> = (0..ACCOUNTS).map(|n| log.entry(made(n))).collect();
    let applied = apply(rows, &entries).unwrap();
    let actor = |(n, applied): (usize, crate::chat::operation::Applied)| match applied.outcome {
        Some(Outcome::Done(Success::SignedIn { user, .. })) => {
            Actor { user, session: session(n as u32) }
        }
        other => panic!("{other:?}"),
    };
    applied.into_iter().enumerate().map(actor).collect()
}

/// Copies a folder so that nothing of the copy is in the system's memory.
fn copied(from: &Path, to: &Path) -> u64 {
    std::fs::create_dir_all(to).unwrap();
    let mut bytes = 0;
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        bytes += match entry.file_type().unwrap().is_dir() {
            true => copied(&entry.path(), &target),
            false => {
                let bytes = std::fs::copy(entry.path(), &target).unwrap();
                let file = std::fs::File::open(&target).unwrap();
                file.sync_all().unwrap();
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
                bytes
            }
        };
    }
    bytes
}

fn newest_of_any(rows: &DiskRows, actors: &[Actor], log: &mut Log, what: &str) {
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..2_000 {
        let n = (log.random() % u64::from(CONVERSATIONS)) as u32;
        let conv = ConversationId(u64::from(n) + 1);
        let user = actors[pair(n).0].user;
        let query = Query::History(user, History { conv, page: Page::Newest, limit: Some(50) });
        let begun = Instant::now();
        let view = rows.views().view();
        let (found, _) = answer(&*view, &query).unwrap();
        times.push(begun.elapsed());
        let Answer::Reply(Reply::History(page)) = found else { panic!("{found:?}") };
        assert_eq!(page.messages.len(), 50);
    }
    times.sort();
    let (median, high) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!(
        "newest 50, {what}: median {median:?}, 99 % {high:?}, max {:?}",
        times.last().unwrap()
    );
}

/// The two accounts of conversation `n`.
fn pair(n: u32) -> (usize, usize) {
    let one = n % ACCOUNTS;
    ((one) as usize, ((one + 1 + n / ACCOUNTS) % ACCOUNTS) as usize)
}

#[test]
#[ignore = "a measurement, run by hand"]
fn measure_a_million_messages_in_ten_thousand_conversations() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("tables");
    let mut rows = DiskRows::open(&here).unwrap();
    let mut log = Log { index: 0, random: 42 };
    let actors = accounts(&mut rows, &mut log);
    let (mut applying, mut on_core) = (Duration::ZERO, Duration::ZERO);
    let mut slowest = Duration::ZERO;
    let mut peak = (0, 0);
    let mut waiting = Vec::new();
    for n in 0..MESSAGES {
        // Every conversation begins in turn, then they come in any order.
        let conv = match n < CONVERSATIONS {
            true => n,
            false => (log.random() % u64::from(CONVERSATIONS)) as u32,
        };
        let (one, other) = pair(conv);
        let to = match n < CONVERSATIONS {
            true => Recipient::User(actors[other].user),
            false => Recipient::Conversation(ConversationId(u64::from(conv) + 1)),
        };
        let author = if n >= CONVERSATIONS && n % 2 == 0 { other } else { one };
        let text = log.text();
        let operation = send(actors[author], to, &text, 1_000_000 + n);
        waiting.push(log.entry(operation));
        if waiting.len() == BATCH {
            let (begun, begun_cpu) = (Instant::now(), on_cpu());
            let applied = apply(&mut rows, &waiting).unwrap();
            if (n as usize + 1).is_multiple_of(PERSIST_ENTRIES) {
                rows.persist().unwrap();
            }
            let took = begun.elapsed();
            applying += took;
            on_core += on_cpu() - begun_cpu;
            slowest = slowest.max(took);
            let done = |one: &crate::chat::operation::Applied| {
                matches!(one.outcome, Some(Outcome::Done(Success::Sent { .. })))
            };
            assert!(applied.iter().all(done));
            waiting.clear();
            let now = resident_mib();
            peak = (peak.0.max(now.0), peak.1.max(now.1));
            if (n + 1) % 100_000 == 0 {
                println!("{} messages: {applying:?}, resident {now:?} MiB", n + 1);
            }
        }
    }
    let rate = |time: Duration| f64::from(MESSAGES) / time.as_secs_f64();
    let (rate, rate_on_core) = (rate(applying), rate(on_core));
    println!(
        "applied {rate:.0} messages a second, {rate_on_core:.0} a second of the thread's core"
    );
    println!("slowest batch {slowest:?}, peak {peak:?} MiB");
    newest_of_any(&rows, &actors, &mut log, "just written");
    // What a killed process leaves is what the files hold now.
    let killed = folder.path().join("killed");
    let bytes = copied(&here, &killed);
    drop(rows);
    let before = resident_mib();
    let begun = Instant::now();
    let rows = DiskRows::open(&killed).unwrap();
    println!("opened after a kill in {:?}, {} MiB on disk", begun.elapsed(), bytes >> 20);
    newest_of_any(&rows, &actors, &mut log, "cold");
    newest_of_any(&rows, &actors, &mut log, "warm");
    println!("resident {:?} MiB, before opening {before:?}", resident_mib());
}
