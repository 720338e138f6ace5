//! For the fuzzer: arbitrary lines through the whole server, without threads. The frames of links
//! are in [`links`].
//!
//! Owns: nothing. Driven by: the fuzzer and a seeded test. Invariants checked: whatever a line
//! says, it is answered once or ends its connection; no line that is sent is longer than the
//! protocol allows; and the server still serves afterwards. Does not: know which requests make
//! sense.

mod links;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use holdfast_common::config::{Plaintext, Registration};
use holdfast_common::ids::{Cursor, ServerId};
use holdfast_common::protocol::LINE_BYTES_MAX;

use super::effect::{ClientId, Effect, Input, Now, Origin, Transport};
use super::{Node, Settings};
use crate::entry::{Ballot, ClusterId, HardState, Incarnation, Index, Origins, StoreId};
use crate::journal::sim::SimDisk;
use crate::journal::{Journal, Options};
use crate::replication::{Recovered, Replication};
use crate::tables::MemoryRows;
use crate::work::{
    Done, Entropy, Fault, Hasher, Job, JournalWorker, MaintenanceJob, MaintenanceWorker,
    Randomness, ReaderWorker, TablesWorker,
};
pub use links::fuzz_links;

const HELLO: &str = r#"{"id":1,"op":"hello","d":{"proto":[1],"client":"fuzz"}}"#;
/// What makes an account and a conversation, once; asked again it is refused.
const ACCOUNT: &[&str] = &[
    HELLO,
    concat!(
        r#"{"id":2,"op":"register","d":{"user":"fuzz","pass":"word of fuzz","device":"","#,
        r#""txn":"00000000000000000000000000000001"}}"#
    ),
    concat!(
        r#"{"id":3,"op":"send","d":{"to":"fuzz","text":"x","#,
        r#""txn":"00000000000000000000000000000002"}}"#
    ),
];
/// What a connection says first, so that the lines behind it reach further.
const GREETING: &[&str] =
    &[HELLO, r#"{"id":2,"op":"login","d":{"user":"fuzz","pass":"word of fuzz","device":""}}"#];

struct Counting(u8);

impl Randomness for Counting {
    fn entropy(&mut self) -> Entropy {
        self.0 = self.0.wrapping_add(1);
        Entropy([self.0; 48])
    }
}

/// Does a server's jobs at once, on a store in memory.
struct Hands {
    journal: JournalWorker<SimDisk>,
    tables: TablesWorker,
    readers: ReaderWorker,
    maintenance: MaintenanceWorker,
    hasher: Hasher<Counting>,
}

/// A server whose jobs are done at once.
struct Bench {
    node: Node,
    hands: Hands,
    now: Now,
    /// How many connections there were.
    clients: u64,
}

/// One of the two ways in, and who stands in it now.
struct Door {
    origin: Origin,
    greeting: &'static [&'static str],
    client: Option<ClientId>,
}

/// Sends `bytes`, line by line, to a client's connection, or, behind a `#`, to an administrator's.
///
/// # Panics
/// When a promise is broken, which is what the fuzzer looks for.
pub fn fuzz_requests(bytes: &[u8]) {
    let mut bench = Bench::new();
    let network = Origin::Network(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let account = Door { origin: network, greeting: ACCOUNT, client: None };
    bench.enter(&account);
    let mut door = Door { origin: network, greeting: GREETING, client: None };
    let mut back_door = Door { origin: Origin::Administration, greeting: &[], client: None };
    for line in bytes.split(|byte| *byte == b'\n') {
        let (door, line) = match line.strip_prefix(b"#") {
            Some(line) => (&mut back_door, line),
            None => (&mut door, line),
        };
        let client = door.client.unwrap_or_else(|| bench.enter(door));
        door.client = bench.send(client, line).then_some(client);
    }
    bench.enter(&account);
}

impl Bench {
    #[expect(clippy::disallowed_methods, reason = "any instant will do: no time passes here")]
    fn new() -> Bench {
        let now = Now { instant: Instant::now(), boot_us: 1, wall_ms: 1 };
        let me = Incarnation { server: ServerId(1), store: StoreId(1), life: 1 };
        let replication = Replication::alone(me, new_store(), ClusterId([1; 16]))
            .expect("a new store is nobody else's");
        let mut bench = Bench {
            node: Node::new(settings(1, 1), replication, Cursor { generation: 0, index: 0 }, now),
            hands: Hands::new(),
            now,
            clients: 0,
        };
        bench.settle(None);
        bench
    }

    /// A new connection that has greeted.
    fn enter(&mut self, door: &Door) -> ClientId {
        self.clients += 1;
        let client = ClientId(self.clients);
        self.node.handle(Input::ClientOpened(client, door.origin), self.now);
        self.node.handle(Input::ClientTransport(client, Transport::Plain), self.now);
        for line in door.greeting {
            assert!(self.send(client, line.as_bytes()), "{line} ends no connection");
        }
        client
    }

    /// Sends a line, and says whether the connection is still open.
    fn send(&mut self, client: ClientId, line: &[u8]) -> bool {
        self.node.handle(Input::ClientFrame(client, line.to_vec()), self.now);
        let (answers, closed) = self.settle(Some(client));
        assert!(answers == 1 || (closed && answers == 0), "{answers} answers, closed: {closed}");
        !closed
    }

    /// Does whatever there is to do; how often `client` was answered, and whether it was closed.
    fn settle(&mut self, client: Option<ClientId>) -> (usize, bool) {
        let (mut answers, mut closed) = (0, false);
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Send { client: to, line, answers: is_answer } => {
                    assert!(line.len() <= LINE_BYTES_MAX, "{} bytes", line.len());
                    answers += usize::from(is_answer && Some(to) == client);
                }
                Effect::Close(id) => closed |= Some(id) == client,
                Effect::Run(job) => {
                    if let Some(done) = self.hands.run(job) {
                        self.node.handle(Input::Done(done), self.now);
                    }
                }
                Effect::Dial { .. }
                | Effect::SendFrame { .. }
                | Effect::CloseLink(_)
                | Effect::Restart { .. }
                | Effect::Yield { .. }
                | Effect::Stopped => unreachable!("it is alone, and nobody stops it"),
            }
        }
        (answers, closed)
    }
}

/// Settings of one of so many servers.
fn settings(server: u8, count: u8) -> Settings {
    let address = |number| SocketAddr::from((Ipv4Addr::LOCALHOST, u16::from(number)));
    Settings {
        server: ServerId(server),
        servers: (1..=count).map(|number| (ServerId(number), address(number))).collect(),
        plaintext: Plaintext::Allow,
        foreign_loopback: None,
        registration: Registration::Open,
        sends_per_s: 1_000_000,
        sign_in_fails_per_min: 1_000_000,
        connections_max: 1_000_000,
        hash_threads: 1,
        diverged: 0,
        shared: crate::node::Shared(Vec::new()),
    }
}

/// What a start finds in a store of which nothing was written yet.
fn new_store() -> Recovered {
    Recovered {
        hard_state: HardState::NONE,
        applied: Index(0),
        view: None,
        applied_ballot: Ballot::NONE,
        tail: Vec::new(),
        origins: Origins::from(Index(0), Ballot::NONE),
    }
}

impl Hands {
    fn new() -> Hands {
        let none = (Index(0), Ballot::NONE);
        let options = Options { segment_bytes: 1 << 16, first_segment_bytes: 1 << 16, salt: 1 };
        let journal = Journal::create(SimDisk::new(1), none, HardState::NONE, options)
            .expect("a simulated disk without faults does not fail");
        let tables = TablesWorker::new(Box::new(MemoryRows::new()));
        Hands {
            journal: JournalWorker::new(journal),
            readers: ReaderWorker::new(tables.views()),
            maintenance: MaintenanceWorker::new(tables.views()),
            tables,
            hasher: Hasher::new(4, Counting(0)),
        }
    }

    fn run(&mut self, job: Job) -> Option<Done> {
        self.try_run(job).expect("disk and rows in memory do not fail")
    }

    fn try_run(&mut self, job: Job) -> Result<Option<Done>, Fault> {
        match job {
            Job::Journal(job) => self.journal.run(job),
            Job::Tables(job) => self.tables.run(job).map(Some),
            // Where a crafted request says, a file would be written.
            Job::Maintenance(MaintenanceJob::Backup(ticket, _)) => {
                Ok(Some(Done::BackedUp(ticket, Err("not here".to_owned()))))
            }
            Job::Maintenance(job) => self.maintenance.run(job),
            Job::Reader(job) => self.readers.run(job).map(Some),
            Job::Hash(job) => Ok(Some(self.hasher.run(job))),
        }
    }
}
