//! Owns: one [`Node`] with the workers that its jobs go to, their queues, the clock, and what
//! survives when the server dies. Driven by: scripts and the random driver. Invariants: nothing
//! moves by itself; journal and tables do their jobs in the order given and answer in that order,
//! as threads with a queue do (so does the one for maintenance), while readers and hash threads may
//! overtake each other; everything follows from the seed. Does not: play the rim, so whoever drives
//! it keeps to the bound of unanswered requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use holdfast_common::config::{Plaintext, Registration};
use holdfast_common::ids::{Cursor, ServerId};
use holdfast_server::chat;
use holdfast_server::entry::{Ballot, ClusterId, HardState, Incarnation, Index, StoreId};
use holdfast_server::journal::sim::{Faults, SimDisk};
use holdfast_server::journal::{Journal, Options};
use holdfast_server::node::effect::{ClientId, Effect, Input, Now, Origin, Transport};
use holdfast_server::node::{Node, Settings, Shared};
use holdfast_server::replication::Replication;
use holdfast_server::tables::MemoryRows;
use holdfast_server::work::{
    Done, Job, JournalJob, JournalWorker, MaintenanceJob, TablesJob, recover,
};

use super::workers::{Random, Thread, Workers};

/// The wall clock at the beginning: 2026-11-23.
pub(crate) const WALL_MS: u64 = 1_795_420_800_000;
/// Small, so that a few hundred messages begin a new segment.
const SEGMENT_BYTES: u64 = 64 * 1024;

/// What a thread has taken, or has done but not told yet.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) thread: Thread,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Todo(Job),
    Done(Done),
}

impl Work {
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }
}

/// What the node asked of the rim.
#[derive(Debug)]
pub(crate) enum Said {
    Line(ClientId, String),
    Closed(ClientId),
    Stopped,
    /// Work of the clock's: which job.
    Job(String),
}

struct Server {
    node: Node,
    workers: Workers,
}

/// See the module's page.
pub(crate) struct World {
    pub(crate) disk: SimDisk,
    pub(crate) rows: MemoryRows,
    pub(crate) settings: Settings,
    random: Random,
    base: Instant,
    elapsed: Duration,
    life: u64,
    server: Option<Server>,
    next_client: u64,
    works: Vec<Work>,
    said: Vec<Said>,
    /// Bytes of events that wait for clients that do not take them.
    backlogs: BTreeMap<ClientId, usize>,
}

#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
fn any_instant() -> Instant {
    Instant::now()
}

/// The settings that a script starts from.
pub(crate) fn settings() -> Settings {
    Settings {
        server: ServerId(1),
        servers: vec![(ServerId(1), SocketAddr::from((Ipv4Addr::LOCALHOST, 8091)))],
        plaintext: Plaintext::Loopback,
        foreign_loopback: None,
        registration: Registration::Open,
        sends_per_s: 20,
        sign_in_fails_per_min: 5,
        connections_max: 100,
        hash_threads: 1,
        diverged: 0,
        shared: Shared(Vec::new()),
    }
}

impl World {
    /// A machine without a server: see [`World::start`].
    pub(crate) fn new(seed: u64, settings: Settings) -> World {
        World {
            disk: SimDisk::new(seed),
            rows: MemoryRows::new(),
            settings,
            random: Random(seed),
            base: any_instant(),
            elapsed: Duration::ZERO,
            life: 0,
            server: None,
            next_client: 1,
            works: Vec::new(),
            said: Vec::new(),
            backlogs: BTreeMap::new(),
        }
    }

    /// Begins a life over what is on the disk.
    pub(crate) fn start(&mut self) {
        self.life += 1;
        let salt = u32::try_from(self.random.next() >> 32).unwrap();
        let options =
            Options { segment_bytes: SEGMENT_BYTES, first_segment_bytes: SEGMENT_BYTES, salt };
        let disk = self.disk.clone();
        let mut journal = if self.life == 1 {
            Journal::create(disk, (Index(0), Ballot::NONE), HardState::NONE, options).unwrap()
        } else {
            Journal::open(disk, options).expect("a journal survives whatever happens to the server")
        };
        let meta = chat::meta(&self.rows).unwrap();
        let recovered = recover(&mut journal, &meta).expect("journal and tables fit together");
        let me = Incarnation { server: ServerId(1), store: StoreId(7), life: self.life };
        let replication = Replication::alone(me, recovered, ClusterId([0xc1; 16])).unwrap();
        let applied = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
        let random = Random(self.random.next());
        self.server = Some(Server {
            node: Node::new(self.settings.clone(), replication, applied, self.now()),
            workers: Workers::new(JournalWorker::new(journal), &self.rows, None, random),
        });
        self.drain();
    }

    /// The process dies. What it gave to the system survives.
    pub(crate) fn kill(&mut self) {
        self.server = None;
        self.works.clear();
        self.said.clear();
    }

    /// Power is lost: unsynced parts of the journal survive or not, as do the first `kept` batches
    /// of the tables since they were made durable.
    pub(crate) fn lose_power(&mut self, kept: usize) {
        self.kill();
        self.disk.crash();
        self.rows.crash(kept);
    }

    /// The journal's disk fails after so many more operations.
    pub(crate) fn fail_disk_after(&mut self, operations: u64) {
        let crash_at = Some(self.disk.operations() + operations);
        self.disk.set_faults(Faults { crash_at, ..Faults::default() });
    }

    /// The disk works again.
    pub(crate) fn mend_disk(&mut self) {
        self.disk.set_faults(Faults::default());
    }

    pub(crate) fn node(&self) -> &Node {
        &self.server.as_ref().expect("the server lives").node
    }

    pub(crate) fn now(&self) -> Now {
        let wall_ms = WALL_MS + u64::try_from(self.elapsed.as_millis()).unwrap();
        let boot_us = u64::try_from(self.elapsed.as_micros()).unwrap();
        Now { instant: self.base + self.elapsed, boot_us, wall_ms }
    }

    pub(crate) fn open(&mut self, origin: Origin) -> ClientId {
        let id = ClientId(self.next_client);
        self.next_client += 1;
        self.feed(Input::ClientOpened(id, origin));
        self.drain();
        id
    }

    /// A client of the network at `address`, over TLS or in the clear.
    pub(crate) fn connect(&mut self, address: IpAddr, transport: Transport) -> ClientId {
        let id = self.open(Origin::Network(SocketAddr::new(address, 40_000)));
        self.input(Input::ClientTransport(id, transport));
        id
    }

    pub(crate) fn input(&mut self, input: Input) {
        self.feed(input);
        self.drain();
    }

    /// An input of a turn that goes on: [`World::drain`] ends it.
    pub(crate) fn feed(&mut self, input: Input) {
        let now = self.now();
        self.server.as_mut().expect("the server lives").node.handle(input, now);
    }

    /// The rim's part of a turn: takes what the node asks for, and reports what waits for clients.
    pub(crate) fn drain(&mut self) {
        loop {
            let mut queued = BTreeSet::new();
            let node = &mut self.server.as_mut().expect("the server lives").node;
            while let Some(effect) = node.next_effect() {
                match effect {
                    Effect::Send { client, line, answers } => {
                        let line = String::from_utf8(line.to_vec()).expect("lines are UTF-8");
                        assert!(line.len() <= 65_536, "a line of {} bytes", line.len());
                        let line = line.strip_suffix('\n').expect("a line ends with a newline");
                        assert!(!line.contains('\n'), "one line at a time");
                        self.said.push(Said::Line(client, line.to_owned()));
                        if !answers {
                            queued.insert(client);
                        }
                    }
                    Effect::Close(client) => self.said.push(Said::Closed(client)),
                    Effect::Stopped => self.said.push(Said::Stopped),
                    Effect::Dial { .. }
                    | Effect::SendFrame { .. }
                    | Effect::CloseLink(_)
                    | Effect::Restart { .. }
                    | Effect::Yield { .. } => unreachable!("this server is alone: {effect:?}"),
                    Effect::Run(job) => {
                        let thread = Thread::of(&job);
                        self.said.extend(told_of(&job).map(Said::Job));
                        self.works.push(Work { thread, stage: Stage::Todo(job) });
                    }
                }
            }
            if queued.is_empty() {
                return;
            }
            for client in queued {
                let bytes = self.backlogs.get(&client).copied().unwrap_or(0);
                self.feed(Input::ClientBacklog(client, bytes));
            }
        }
    }

    /// From here on so many bytes of events wait for a client; none without this.
    pub(crate) fn backlog(&mut self, client: ClientId, bytes: usize) {
        self.backlogs.insert(client, bytes);
        self.input(Input::ClientBacklog(client, bytes));
    }

    pub(crate) fn take_said(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    /// Jobs under way, the oldest first.
    pub(crate) fn works(&self) -> &[Work] {
        &self.works
    }

    /// Whether the work at this place is the next one that its thread would do, or tell.
    pub(crate) fn may_step(&self, at: usize) -> bool {
        let work = &self.works[at];
        let in_order =
            matches!(work.thread, Thread::Journal | Thread::Tables | Thread::Maintenance);
        let mut earlier = self.works[..at].iter().filter(|other| other.thread == work.thread);
        !in_order || earlier.all(|other| other.is_done() && !work.is_done())
    }

    /// Does a job, or tells the node that it is done. False: the disk failed, and the server is
    /// dead.
    pub(crate) fn step(&mut self, at: usize) -> bool {
        let server = self.server.as_mut().expect("the server lives");
        let Work { thread, stage } = self.works.remove(at);
        let done = match stage {
            Stage::Done(done) => {
                self.input(Input::Done(done));
                return true;
            }
            Stage::Todo(job) => server.workers.run(job),
        };
        match done {
            Ok(Some(done)) => {
                self.works.insert(at, Work { thread, stage: Stage::Done(done) });
            }
            Ok(None) => {}
            Err(_) => {
                self.kill();
                return false;
            }
        }
        true
    }

    /// Lets time pass, deadline by deadline; `settle` is called after each.
    pub(crate) fn advance(&mut self, by: Duration, mut settle: impl FnMut(&mut World)) {
        let until = self.elapsed + by;
        for _ in 0..100_000 {
            let deadline = self.server.as_ref().and_then(|server| server.node.deadline());
            let deadline = deadline.map(|at| at.saturating_duration_since(self.base));
            let Some(deadline) = deadline.filter(|at| *at <= until) else {
                self.elapsed = until;
                return;
            };
            self.elapsed = self.elapsed.max(deadline);
            self.input(Input::Timer);
            settle(self);
        }
        panic!("the node's deadline does not move: {:?}", self.node().deadline());
    }
}

/// What to tell of a job when it is the clock's.
fn told_of(job: &Job) -> Option<String> {
    match job {
        Job::Journal(JournalJob::Release { below, erase }) => {
            let erasing = if *erase { ", erasing" } else { "" };
            Some(format!("release the journal below {below}{erasing}"))
        }
        Job::Journal(JournalJob::Roll) => Some("begin a new segment".to_owned()),
        Job::Tables(TablesJob::Persist { .. }) => Some("persist the tables".to_owned()),
        Job::Maintenance(MaintenanceJob::Compact) => Some("compact the tables".to_owned()),
        Job::Journal(JournalJob::Append(_) | JournalJob::Read { .. })
        | Job::Tables(TablesJob::Apply(_))
        | Job::Reader(_)
        | Job::Maintenance(_)
        | Job::Hash(_) => None,
    }
}
