//! The parts alone, without sockets: what the journal and the tables can take. Printed, not
//! promised.

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_common::ids::{ConversationId, ServerId, SessionId, Txn, UserId};
use holdfast_server::chat;
use holdfast_server::chat::operation::{Actor, NewSession, Operation, Recipient, Stamped};
use holdfast_server::entry::{Ballot, Entry, HardState, Index, Payload};
use holdfast_server::journal::{Batch, FolderDisk, Journal, Options};
use holdfast_server::tables::{DiskRows, Rows};

const BALLOT: Ballot = Ballot { generation: 1, round: 1, server: ServerId(1) };
const ACCOUNTS: u64 = 1_000;
const CONVERSATIONS: u64 = 10_000;
const MESSAGES: u64 = 500_000;
/// Entries of one apply, and of a large append.
const BATCH: usize = 1_000;
/// The server makes its tables durable after so many entries.
const PERSIST_ENTRIES: u64 = 20_000;

/// Measures and prints.
pub(crate) fn print(folder: &Path) {
    for (entries, batches) in [(1, 2_000), (BATCH, 200)] {
        let took = journal(&folder.join(format!("journal{entries}")), entries, batches);
        let rate = batches as f64 / took.as_secs_f64();
        let all = rate * entries as f64;
        println!("  journal, batches of {entries}: {rate:.0} a second, {all:.0} entries a second");
    }
    let took = tables(&folder.join("tables"));
    let rate = MESSAGES as f64 / took.as_secs_f64();
    println!("  tables: {rate:.0} messages applied a second, {MESSAGES} in {CONVERSATIONS}");
}

fn journal(folder: &Path, entries: usize, batches: usize) -> Duration {
    let disk = FolderDisk::new(folder).expect("a folder");
    let empty = (Index(0), Ballot::NONE);
    let mut journal =
        Journal::create(disk, empty, HardState::NONE, Options::new(1)).expect("a journal");
    let mut log = Log { index: Index(0) };
    let start = Instant::now();
    for _ in 0..batches {
        let entries = (0..entries).map(|_| log.message(0)).collect();
        let hard_state = HardState { promise: BALLOT, commit: Index(0) };
        let batch = Batch { hard_state, cut_after: None, entries };
        journal.append(&batch).expect("a disk that works");
        // The next batch waits for it, so it counts.
        journal.prepare().expect("a disk that works");
    }
    start.elapsed()
}

fn tables(folder: &Path) -> Duration {
    let mut rows = DiskRows::open(folder).expect("tables");
    let mut log = Log { index: Index(0) };
    let accounts: Vec<Entry> = (0..ACCOUNTS).map(|number| log.account(number)).collect();
    chat::apply(&mut rows, &accounts).expect("a disk that works");
    let first: Vec<Entry> = (0..CONVERSATIONS).map(|number| log.first_message(number)).collect();
    chat::apply(&mut rows, &first).expect("a disk that works");
    let mut took = Duration::ZERO;
    for from in (0..MESSAGES).step_by(BATCH) {
        let entries: Vec<Entry> = (0..BATCH as u64).map(|at| log.message(from + at)).collect();
        let start = Instant::now();
        chat::apply(&mut rows, &entries).expect("a disk that works");
        if from.is_multiple_of(PERSIST_ENTRIES) {
            rows.persist().expect("a disk that works");
        }
        took += start.elapsed();
    }
    took
}

/// Entries in a row.
struct Log {
    index: Index,
}

impl Log {
    fn entry(&mut self, operation: Operation) -> Entry {
        self.index = self.index.next();
        let stamped = Stamped { ts_ms: 1_795_420_800_000 + self.index.0, operation };
        let payload = Payload::Operation(stamped.encode());
        Entry { index: self.index, ballot: BALLOT, payload }
    }

    fn account(&mut self, number: u64) -> Entry {
        self.entry(Operation::Register {
            name: format!("account{number}"),
            password_hash: "x".repeat(60),
            session: Some(NewSession {
                id: session(number),
                token_hash: *ring::digest::digest(&ring::digest::SHA256, &number.to_be_bytes())
                    .as_ref()
                    .first_chunk()
                    .expect("SHA-256 has 32 bytes"),
                device: "figures".to_owned(),
            }),
            txn: txn(number),
        })
    }

    /// Opens conversation `number`.
    fn first_message(&mut self, number: u64) -> Entry {
        let (from, to) = pair(number);
        self.send(from, Recipient::User(UserId(to + 1)))
    }

    /// A message somewhere, for `random` is spread over all conversations.
    fn message(&mut self, random: u64) -> Entry {
        let number = random.wrapping_mul(0x9e37_79b9_7f4a_7c15) % CONVERSATIONS;
        self.send(pair(number).0, Recipient::Conversation(ConversationId(number + 1)))
    }

    fn send(&mut self, from: u64, to: Recipient) -> Entry {
        let text = format!("{} and some words that people write, {}", self.index, "x".repeat(150));
        let number = (1 << 40) + self.index.0;
        self.entry(Operation::Send {
            actor: Actor { user: UserId(from + 1), session: session(from) },
            to,
            text,
            txn: txn(number),
            digest: txn(number).0,
        })
    }
}

/// The two accounts of a conversation.
fn pair(number: u64) -> (u64, u64) {
    let from = number % ACCOUNTS;
    (from, (from + 1 + number / ACCOUNTS) % ACCOUNTS)
}

fn txn(number: u64) -> Txn {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Txn(bytes)
}

fn session(number: u64) -> SessionId {
    SessionId(txn(number).0)
}
