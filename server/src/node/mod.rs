//! The server as one machine: clients, sessions, the log and the jobs under way, without any IO.
//!
//! ```text
//! line -> requests -> (a question, a password: Job::Reader, Job::Hash) -> writes -> Replication
//!      -> Job::Journal(Append) -> committed -> Job::Tables(Apply) -> outcome -> reply
//!                                                                \-> notices -> events
//! ```
//!
//! Owns: everything the server knows that is not on disk. Driven by: `reactor`, or a simulator:
//! feed a turn's inputs to [`Node::handle`], then drain [`Node::next_effect`] to the end; come back
//! at [`Node::deadline`] at the latest. Invariants:
//! - each request gets exactly one answer while its connection lives;
//! - writes of one connection are proposed in the order sent;
//! - nothing that depends on the state is answered before the state holds everything that an
//!   earlier life of this server acknowledged (`gate`);
//! - a reply leaves after its entry was applied, and entries are applied after they were committed.
//!
//! Who waits for what, on the way of one request (a client's id and the request's go with each):
//!
//! - `Kind` (`SignIn`, `Question`, `Change`): a request as it was asked, until its turn: `gate`
//!   (the state is whole), `held` (what came before it is under way), `questions`;
//! - `Checked`: a change that needs the password. `Change::Checked` is not begun, `Then::Checked`
//!   is in the log and may come back `Stale`;
//! - `Task` (`SignInTask`, `WriteTask`, `AdminTask`, each with its step): how far its preparing has
//!   come, until a job answers, by its `Ticket`;
//! - `HashWaiting`: a hash job, until a hash thread is free;
//! - `Waiting` with its `Then`: what the outcome is for, until its entry is applied (`pipeline`).
//!
//! `replication` is a machine of the same shape: its `Input` and `Effect` stay within this module.
//!
//! Does not: touch a socket, a disk, a clock or a random generator.

mod admin;
mod clients;
mod credentials;
pub mod effect;
mod equality;
mod events;
mod frames;
mod fresh;
mod fuzz;
mod gate;
mod kinds;
mod limits;
mod links;
mod pipeline;
mod requests;
mod sign_in;
mod snapshots;
mod start;
mod status;
mod upkeep;
mod verify;
mod writes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use holdfast_common::config::{Plaintext, Registration};
use holdfast_common::ids::{Cursor, ServerId, SessionId, UserId};
use holdfast_common::protocol::{ErrorReply, PIPELINE_MAX};

use crate::chat::operation::{Applied, Operation};
use crate::chat::query::Query;
use crate::entry::{Ballot, Entry, Index};
use crate::replication::{self, Replication};
use crate::work::{Done, Job, JournalJob, TablesJob, Ticket};
use clients::Clients;
use effect::{ClientId, Effect, Input, Now};
use equality::Equality;
pub use frames::Shared;
use fresh::Freshness;
pub use fuzz::{fuzz_links, fuzz_requests};
use gate::AtGate;
use limits::Buckets;
use links::Links;
use pipeline::Pipeline;
use snapshots::Snapshots;
pub use start::Start;
pub use status::Metrics;
use upkeep::Upkeep;
use verify::Verifications;

/// Entries in one apply: keeps a batch within some tens of milliseconds.
const APPLY_ENTRIES_MAX: usize = 4_096;
/// Committed entries that wait for their apply before replication keeps the next ones.
const TO_APPLY_MAX: usize = 2 * APPLY_ENTRIES_MAX;
/// Successful sign-ins of one account: this many at once, and as many again in a minute. Each costs
/// a hash, and whoever has the password could otherwise keep the hash threads for himself.
const SIGN_INS_PER_MIN: f64 = 30.0;
/// Pages of conversations and of messages that one account may read a second: a client that begins
/// anew reads some hundred at once.
const PAGES_PER_S: f64 = 50.0;
const PAGES_BURST: f64 = 500.0;
/// Marks and ended sessions of one account a second; a client sends a mark a second and
/// conversation at most. Each is an entry of the log, though it changes nothing.
const MARKS_PER_S: f64 = 50.0;
const MARKS_BURST: f64 = 500.0;
/// Questions under way at once; beyond, a read is refused with `busy`.
const READS_MAX: usize = 4_096;

/// What the configuration says that the node needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This server's number.
    pub server: ServerId,
    /// Every server's client address, in the order of their numbers.
    pub servers: Vec<(ServerId, SocketAddr)>,
    /// From where plain text is accepted.
    pub plaintext: Plaintext,
    /// An address that counts as not loopback; for tests on one machine.
    pub foreign_loopback: Option<IpAddr>,
    /// Whether anybody may register.
    pub registration: Registration,
    /// Sends a second an account.
    pub sends_per_s: u32,
    /// Failed sign-ins a minute a name.
    pub sign_in_fails_per_min: u32,
    /// Client connections at once.
    pub connections_max: usize,
    /// Settings that must be equal on all servers.
    pub shared: Shared,
    /// Hash threads: so many hash jobs are handed out at once.
    pub hash_threads: usize,
    /// Operations of former stores that the cluster does not have, in lists that are still there.
    pub diverged: u64,
}

/// See the module's page.
pub struct Node {
    settings: Settings,
    now: Now,
    replication: Replication,
    /// Replication has let this server go, or has waited long enough.
    has_left: bool,
    has_been_whole: bool,
    /// The ballot that this server leads in, as the log was last told.
    leads_since: Option<Ballot>,
    clients: Clients,
    /// Requests that wait until the state is whole.
    gate: VecDeque<AtGate>,
    /// Connections that were greeted before the cluster had an id.
    early: BTreeSet<ClientId>,
    freshness: Freshness,
    /// What the answers of jobs under way are for.
    tasks: BTreeMap<Ticket, Task>,
    next_ticket: u64,
    /// Questions under way.
    reads: usize,
    /// Copies of everything under way.
    maintaining: usize,
    /// Hash jobs that wait for a thread, and how many have one.
    hash_queue: VecDeque<credentials::HashWaiting>,
    hashing: usize,
    links: Links,
    pipeline: Pipeline,
    snapshots: Snapshots,
    equality: Equality,
    verifications: Verifications,
    /// The server's own operations that found no room among the proposals.
    own_operations: VecDeque<Operation>,
    /// Committed entries that the tables thread has not got yet.
    to_apply: VecDeque<Entry>,
    applying: bool,
    /// Up to here the tables' answers have been seen.
    applied: Cursor,
    /// When sessions last ended: an answer read from before that may show a dead session.
    last_ending: Index,
    sends: Buckets<UserId>,
    /// Edits and deletions, at the rate of sends.
    edits: Buckets<UserId>,
    marks: Buckets<UserId>,
    pages: Buckets<UserId>,
    sign_ins: Buckets<UserId>,
    users_asked: Buckets<UserId>,
    name_fails: Buckets<String>,
    address_fails: Buckets<IpAddr>,
    upkeep: Upkeep,
    /// What clients were last told of the cluster.
    announced: Option<status::Announced>,
    metrics: Metrics,
    effects: VecDeque<Effect>,
}

/// What the answer of a job is for.
enum Task {
    /// The answer is the reply to this request; a refusal is confirmed first by asking again.
    Question(ClientId, u64, Option<Query>),
    /// A sign-in.
    SignIn(sign_in::SignInTask),
    /// A write that is being prepared.
    Write(writes::WriteTask),
    /// The next page of events for a connection, as long as it is of this session.
    Backlog(ClientId, SessionId),
    /// An administrator's request.
    Admin(admin::AdminTask),
    /// What a crash left half done.
    FollowUps,
}

/// What it holds are passwords on their way, tokens and texts: it says nothing of them.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl Task {
    /// What may be looked up without news of the cluster is from now on: a session that is known
    /// here resumes. Says whether it may.
    fn goes_without_news(&mut self) -> bool {
        let Task::SignIn(task) = self else { return false };
        let sign_in::Step::ResumeLookup(_, sight) = &mut task.step else { return false };
        *sight = fresh::Sight::Own;
        true
    }
}

impl Node {
    /// A node over a replication machine that has just started; `applied` is where the tables
    /// stand.
    pub fn new(settings: Settings, replication: Replication, applied: Cursor, now: Now) -> Node {
        let sends = f64::from(settings.sends_per_s);
        let fails = f64::from(settings.sign_in_fails_per_min);
        let servers = settings.servers.iter().map(|(server, _)| *server);
        let others: Vec<_> = servers.filter(|server| *server != settings.server).collect();
        Node {
            now,
            clients: Clients::default(),
            gate: VecDeque::new(),
            early: BTreeSet::new(),
            freshness: Freshness::default(),
            tasks: BTreeMap::new(),
            next_ticket: 0,
            reads: 0,
            maintaining: 0,
            hash_queue: VecDeque::new(),
            hashing: 0,
            links: Links::new(others.into_iter(), now.instant),
            pipeline: Pipeline::default(),
            snapshots: Snapshots::default(),
            equality: Equality::new(now.instant),
            verifications: Verifications::default(),
            own_operations: VecDeque::new(),
            to_apply: VecDeque::new(),
            applying: false,
            applied,
            last_ending: Index(0),
            sends: Buckets::new(3.0 * sends, sends),
            edits: Buckets::new(3.0 * sends, sends),
            marks: Buckets::new(MARKS_BURST, MARKS_PER_S),
            pages: Buckets::new(PAGES_BURST, PAGES_PER_S),
            sign_ins: Buckets::new(SIGN_INS_PER_MIN, SIGN_INS_PER_MIN / 60.0),
            users_asked: Buckets::new(5.0, 5.0),
            name_fails: Buckets::new(fails, fails / 60.0),
            address_fails: Buckets::new(6.0 * fails, 6.0 * fails / 60.0),
            upkeep: Upkeep::new(now.instant),
            announced: None,
            metrics: Metrics::default(),
            effects: VecDeque::new(),
            settings,
            replication,
            has_left: false,
            has_been_whole: false,
            leads_since: None,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = now;
        match input {
            Input::ClientOpened(id, origin) => self.client_opened(id, origin),
            Input::ClientTransport(id, transport) => self.client_transport(id, transport),
            Input::ClientFrame(id, line) => self.client_frame(id, &line),
            Input::ClientOverlong(id) => self.client_overlong(id),
            Input::ClientHeard(id) => self.client_heard(id),
            Input::ClientBacklog(id, bytes) => self.client_backlog(id, bytes),
            Input::ClientClosed(id) => self.client_closed(id),
            Input::LinkDialled(link) => self.link_dialled(link),
            Input::LinkAccepted(link, server) => self.link_accepted(link, server),
            Input::LinkRefused(link) => self.link_refused(link),
            Input::LinkFrame(link, frame) => self.link_frame(link, &frame),
            Input::LinkClosed(link) => self.link_closed(link),
            Input::Done(done) => self.done(done),
            Input::Timer => self.timer(),
            Input::Stop => self.stop(),
            Input::ForceSurvivor => self.replicate(replication::Input::ForceSurvivor),
        }
    }

    /// What to do next; call until it says nothing, after all inputs of a turn.
    pub fn next_effect(&mut self) -> Option<Effect> {
        loop {
            if let Some(effect) = self.effects.pop_front() {
                return Some(effect);
            }
            if !self.advance() {
                return None;
            }
        }
    }

    /// When to come back with [`Input::Timer`] if nothing happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let replication = self.replication.deadline().filter(|_| !self.snapshots.stands_still());
        let replication = replication.map(|at| self.now.instant_of(at));
        [
            self.clients.deadline(),
            self.upkeep.deadline(),
            self.links.deadline(),
            self.pipeline.deadline(),
            self.snapshots.deadline(),
            self.freshness.deadline(),
            self.gate_deadline(),
            self.equality_deadline(),
            self.verifications.deadline(self.now.instant),
            replication,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Moves what can move between the machine's parts; says whether anything did.
    fn advance(&mut self) -> bool {
        if self.snapshots.stands_still() {
            return false;
        }
        self.replication.hold_back(self.to_apply.len() >= TO_APPLY_MAX);
        if let Some(effect) = self.replication.next_effect() {
            self.replication_asks(effect);
            return true;
        }
        if self.pump() || self.watch_stream() {
            return true;
        }
        if !self.applying && !self.to_apply.is_empty() {
            let count = self.to_apply.len().min(APPLY_ENTRIES_MAX);
            self.applying = true;
            let entries = self.to_apply.drain(..count).collect();
            self.run(Job::Tables(TablesJob::Apply(entries)));
            return true;
        }
        self.close_early()
            || self.notice_role()
            || self.open_gate()
            || self.freshen()
            || self.announce_status()
            || self.settle_verifications()
            || self.finish_stop()
    }

    fn replication_asks(&mut self, effect: replication::Effect) {
        use replication::Effect as Asked;
        match effect {
            Asked::Append(append) => self.run(Job::Journal(JournalJob::Append(append))),
            Asked::Committed(entries) => self.to_apply.extend(entries),
            Asked::Send { to, message } => self.say(to, &frames::Frame::Replication(message)),
            Asked::Probe(server) => self.dial(server),
            Asked::Read { after, upto, purpose } => {
                self.run(Job::Journal(JournalJob::Read { after, upto, purpose }));
            }
            Asked::Snapshot { to } => self.snapshot_wanted(to),
            // What stops has no other life here.
            Asked::NewLife if self.upkeep.is_stopping() => self.has_left = true,
            Asked::NewLife => self.effects.push_back(Effect::Restart { sets_aside: false }),
            Asked::Diverged { after } => self.yield_store(after),
            Asked::Left => self.has_left = true,
        }
    }

    /// Tells replication what has happened.
    fn replicate(&mut self, input: replication::Input) {
        if self.snapshots.stands_still() {
            return;
        }
        let now = replication::Now { at: self.now.moment(), wall_ms: self.now.wall_ms };
        self.replication.handle(input, now);
    }

    fn yield_store(&mut self, after: Index) {
        log::error!("this store has what the cluster has not, behind entry {after}");
        self.effects.push_back(Effect::Yield { after });
    }

    fn run(&mut self, job: Job) {
        self.effects.push_back(Effect::Run(job));
    }

    fn ticket(&mut self, task: Task) -> Ticket {
        let ticket = self.fresh_ticket();
        self.tasks.insert(ticket, task);
        ticket
    }

    fn fresh_ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// Whether this server leads, and has applied everything from before.
    fn leads(&self) -> bool {
        self.replication.role() == replication::Role::Primary
            && self.applied.index >= self.replication.opening().0
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Appended(number) => self.replicate(replication::Input::Appended { number }),
            Done::Read(purpose, previous, entries) => {
                self.replicate(replication::Input::Read { purpose, previous, entries });
            }
            Done::Applied(applied, marked) => {
                self.marked(marked);
                self.applied(applied);
            }
            Done::Persisted(index) => self.persisted(index),
            Done::Compacted => self.compacted(),
            Done::Answered(ticket, answer, at) => self.answered(ticket, answer, at),
            Done::BackedUp(ticket, result) => self.backed_up(ticket, result),
            Done::RowsHashed(found) => self.rows_hashed(found),
            Done::Exported(stream, at, part) => self.exported(stream, at, part),
            Done::Received(stream, result) => self.received(stream, result),
            Done::Installed => self.installed(),
            Done::Hashed(ticket, hash, entropy) => {
                self.hash_slot_free();
                self.hashed(ticket, hash, &entropy);
            }
            Done::Verified(ticket, right, entropy) => {
                self.hash_slot_free();
                self.verified(ticket, right, &entropy);
            }
        }
    }

    /// Entries were applied: answers first, then events, entry by entry.
    fn applied(&mut self, applied: Vec<Applied>) {
        self.applying = false;
        self.upkeep.applied(applied.len(), self.now.instant);
        self.equality.applied(&applied);
        for Applied { index, ballot, outcome, notices, .. } in applied {
            self.applied = Cursor { generation: ballot.generation, index: index.0 };
            self.settle(index, ballot, outcome);
            for notice in notices {
                self.notice(notice, self.applied);
            }
        }
        self.propose_waiting();
        self.answer_chain();
    }

    /// Says once when this server begins or ceases to lead, and finishes what former primaries
    /// left.
    fn notice_role(&mut self) -> bool {
        let leads = self.leads().then(|| self.replication.ballot());
        if leads == self.leads_since {
            return false;
        }
        self.leads_since = leads;
        let Some(ballot) = leads else {
            log::info!("is not primary any more promise={}", self.replication.ballot());
            return true;
        };
        let in_sync = self.replication.in_sync();
        let cluster = self.replication.cluster();
        log::info!("became primary ballot={ballot} in_sync={in_sync} cluster={cluster}");
        let ticket = self.ticket(Task::FollowUps);
        self.ask(ticket, Query::FollowUps);
        true
    }

    /// Answers a request, unless its client is gone. Requests held behind it may go on.
    fn answer(&mut self, client: ClientId, id: u64, line: Vec<u8>) {
        let Some(entry) = self.clients.get_mut(client) else { return };
        let Some(at) = entry.unanswered.iter().position(|other| *other == id) else { return };
        if entry.unanswered.len() >= PIPELINE_MAX {
            // From here on it is read again, and may be silent for as long as anybody.
            entry.heard = self.now.instant;
        }
        entry.unanswered.swap_remove(at);
        self.effects.push_back(Effect::Send { client, line: line.into(), answers: true });
    }

    fn refuse(&mut self, client: ClientId, id: u64, error: impl Into<ErrorReply>) {
        let line = holdfast_common::protocol::encode_error(Some(id), &error.into());
        self.answer(client, id, line);
    }
}

#[cfg(test)]
mod tests;
