//! The poll loop: the one thread that owns every socket and the node.
//!
//! ```text
//! poll -> events -> lines, results, deadlines -> Node::handle -> Node::next_effect -> jobs, lines
//! -> flush
//! ```
//!
//! Owns: the listeners, the sockets, the signals, the clock. Driven by: `main`, once. Invariants:
//! - sockets are registered once, edge-triggered; what an edge announced and one turn did not get
//!   to is kept in a set, and the next poll does not wait;
//! - every turn ends with flushing every socket that has something to write, so nothing that can be
//!   written waits for an event (the stall that sozu documents);
//! - no client's error goes beyond that client.
//!
//! Does not: decide anything about chat. That is the node's, which sees only inputs and effects.

#![expect(
    clippy::disallowed_methods,
    reason = "the rim: this is where clocks are read and sockets are opened"
)]

mod http;
mod links;
mod listeners;
mod probe;
mod sockets;
mod workers;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use holdfast_common::ids::ServerId;
use holdfast_common::net::connection::{Connection, Socket};
use holdfast_common::net::tls::Identity;
use holdfast_common::protocol::LINE_BYTES_MAX;
use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag::register_conditional_default;
use signal_hook_mio::v1_0::Signals;

use crate::entry::Index;
use crate::node::Node;
use crate::node::effect::{ClientId, Effect, Input, Now, Origin};
use crate::work::Fault;
use http::{Health, Http};
use links::Links;
pub use listeners::{BindError, Listeners};
pub use probe::goes_on_without;
use sockets::Sockets;
use workers::{Bell, Workers};

const CLIENTS: Token = Token(0);
const REPLICAS: Token = Token(1);
const WAKER: Token = Token(2);
const HTTP: Token = Token(3);
const ADMINISTRATION: Token = Token(4);
const SIGNALS: Token = Token(5);
/// Connections are counted up from here; a token is never used again.
const FIRST_CONNECTION: usize = 16;

/// Events taken from one poll.
const EVENTS_MAX: usize = 1024;
/// Connections accepted in one turn: each may bring a handshake, and others wait.
const ACCEPTS_A_TURN: usize = 64;
/// With no file descriptors left, accepting rests for this long.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// A stopping server gives its last lines this long to be written and seen.
const GOODBYE: Duration = Duration::from_millis(500);

/// Why the loop ended otherwise than by a wish.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// A store cannot be written or read.
    #[error(transparent)]
    Store(#[from] Fault),
    /// The system does not give what a server needs.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// What the loop is made of.
#[derive(Debug)]
pub struct Parts {
    /// The machine.
    pub node: Node,
    /// The ports, bound.
    pub listeners: Listeners,
    /// TLS for the client port.
    pub tls: Arc<rustls::ServerConfig>,
    /// Who this server is to the others.
    pub identity: Identity,
    /// Where the others' replica ports are.
    pub others: BTreeMap<ServerId, SocketAddr>,
    /// The store's journal.
    pub journal: crate::work::JournalWorker<crate::journal::FolderDisk>,
    /// The store's tables.
    pub tables: crate::work::TablesWorker,
    /// Where a snapshot is put.
    pub next_store: Box<dyn crate::work::NextStore>,
    /// bcrypt's cost.
    pub bcrypt_cost: u32,
    /// Threads for passwords.
    pub hash_threads: usize,
    /// Closed connections that may stay for a moment, until their last lines were seen.
    pub lingering_max: usize,
}

/// The clocks, as the node is told of them.
pub fn now() -> Now {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall_ms = wall.as_millis().try_into().unwrap_or(u64::MAX);
    Now { instant: Instant::now(), boot_us: boot_us(), wall_ms }
}

/// The clock that runs through suspend; where there is none, the one that does not go back.
fn boot_us() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000
}

/// How the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By an operator's wish.
    Stopped,
    /// This life is over; the next one is to begin.
    Restart {
        /// On an empty store: this one is to be set aside.
        sets_aside: bool,
    },
    /// The same; what this store holds behind an entry is to be listed before.
    Yield {
        /// That entry.
        after: Index,
    },
}

/// Serves until a signal or a fault ends it. `reopen_logs` is called at SIGHUP.
///
/// # Errors
/// [`LoopError`]: the process must end with code 1.
pub fn run(parts: Parts, reopen_logs: &mut dyn FnMut()) -> Result<Ended, LoopError> {
    let mut reactor = Reactor::new(parts)?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    // What a start asks for waits for nobody to connect.
    let mut ended = reactor.effects(Instant::now());
    loop {
        if let Some(ended) = ended {
            reactor.say_goodbye(&mut events)?;
            let is_last = ended == Ended::Stopped || reactor.is_told_to_stop()?;
            return Ok(if is_last { Ended::Stopped } else { ended });
        }
        ended = reactor.turn(&mut events, reopen_logs)?;
    }
}

struct Reactor {
    poll: Poll,
    node: Node,
    listeners: Listeners,
    tls: Arc<rustls::ServerConfig>,
    sockets: Sockets,
    links: Links,
    http: Http,
    workers: Workers,
    bell: Arc<Bell>,
    signals: Signals,
    /// A signal has asked for the end.
    is_told: bool,
    next_token: usize,
    /// Listeners that have more connections waiting.
    accepting: Vec<Token>,
    /// Accepting rests until then: there are no file descriptors left.
    rest_until: Option<Instant>,
    /// That was logged, and those that waited were not all accepted since.
    starved: bool,
    started: Instant,
    inputs: Vec<Input>,
}

impl Reactor {
    fn new(parts: Parts) -> Result<Reactor, LoopError> {
        let Parts { node, mut listeners, tls, identity, others, .. } = parts;
        let Parts { journal, tables, next_store, .. } = parts;
        let Parts { bcrypt_cost, hash_threads, lingering_max, .. } = parts;
        let poll = Poll::new()?;
        let registry = poll.registry();
        let bell = Arc::new(Bell::new(mio::Waker::new(registry, WAKER)?));
        listeners.register(registry)?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
        registry.register(&mut signals, SIGNALS, Interest::READABLE)?;
        let stores = (journal, tables, next_store);
        let workers = Workers::start(stores, bcrypt_cost, hash_threads, bell.clone())?;
        Ok(Reactor {
            poll,
            node,
            listeners,
            tls,
            sockets: Sockets::new(lingering_max),
            links: Links::new(identity, others),
            http: Http::default(),
            workers,
            bell,
            signals,
            is_told: false,
            next_token: FIRST_CONNECTION,
            accepting: Vec::new(),
            rest_until: None,
            starved: false,
            started: Instant::now(),
            inputs: Vec::new(),
        })
    }

    /// One round; says whether the node wants the process to end, and how.
    fn turn(
        &mut self,
        events: &mut Events,
        reopen_logs: &mut dyn FnMut(),
    ) -> Result<Option<Ended>, LoopError> {
        self.wait(events)?;
        let now = now();
        self.events(events, now.instant, reopen_logs);
        self.accept(now.instant);
        self.sockets.read(&mut self.inputs);
        if self.inputs.iter().any(|input| matches!(input, Input::Stop)) {
            // What was taken is answered; nothing more is.
            self.sockets.take_no_more();
        }
        self.links.expire(now.instant);
        self.links.read(&mut self.inputs);
        self.results()?;
        // Behind everything else: after a long stall, what is queued is news that a timer must not
        // overtake.
        if self.node.deadline().is_some_and(|at| at <= now.instant) {
            self.inputs.push(Input::Timer);
        }
        self.sockets.expire(now.instant);
        self.http.expire(now.instant);
        for input in self.inputs.drain(..) {
            self.node.handle(input, now);
        }
        let ended = self.effects(now.instant);
        self.sockets.flush(&mut self.inputs);
        self.links.flush();
        Ok(ended)
    }

    fn wait(&mut self, events: &mut Events) -> Result<(), LoopError> {
        let busy = self.sockets.has_ready()
            || self.links.has_ready()
            || !self.inputs.is_empty()
            || (!self.accepting.is_empty() && self.rest_until.is_none());
        let deadline =
            [self.node.deadline(), self.sockets.deadline(), self.http.deadline(), self.rest_until];
        let deadline = deadline.into_iter().chain([self.links.deadline()]);
        let deadline = deadline.flatten().min();
        let timeout = match busy {
            true => Some(Duration::ZERO),
            false => deadline.map(|at| at.saturating_duration_since(Instant::now())),
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => Ok(other?),
        }
    }

    fn events(&mut self, events: &Events, now: Instant, reopen_logs: &mut dyn FnMut()) {
        self.bell.hush();
        for event in events {
            match event.token() {
                listener @ (CLIENTS | REPLICAS | HTTP | ADMINISTRATION) => {
                    if !self.accepting.contains(&listener) {
                        self.accepting.push(listener);
                    }
                }
                WAKER => {}
                SIGNALS => {
                    for signal in self.signals.pending() {
                        match signal {
                            SIGHUP => reopen_logs(),
                            _ => {
                                self.is_told = true;
                                self.inputs.push(Input::Stop);
                            }
                        }
                    }
                }
                Token(token) if self.http.has(token) => self.serve_http(token, now),
                token if self.links.has(token) => self.links.edge(token),
                Token(token) => self.sockets.edge(ClientId(token as u64)),
            }
        }
    }

    fn results(&mut self) -> Result<(), LoopError> {
        for result in self.workers.done.try_iter() {
            self.inputs.push(Input::Done(result?));
        }
        Ok(())
    }

    fn effects(&mut self, now: Instant) -> Option<Ended> {
        let mut ended = None;
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Send { client, line, answers } => self.sockets.send(client, line, answers),
                Effect::Close(client) => self.sockets.close(client, now),
                Effect::Run(job) => self.workers.run(job),
                Effect::Dial { link, server } => {
                    let token = Token(self.next_token);
                    self.next_token += 1;
                    self.links.dial(link, server, (self.poll.registry(), token), now);
                }
                Effect::SendFrame { link, frame } => self.links.send(link, frame),
                Effect::CloseLink(link) => self.links.close(link),
                Effect::Restart { sets_aside } => ended = Some(Ended::Restart { sets_aside }),
                Effect::Yield { after } => ended = Some(Ended::Yield { after }),
                Effect::Stopped => ended = Some(Ended::Stopped),
            }
        }
        ended
    }

    /// Takes connections that wait, so many a turn.
    fn accept(&mut self, now: Instant) {
        if self.rest_until.is_some_and(|until| until > now) {
            return;
        }
        self.rest_until = None;
        for listener in std::mem::take(&mut self.accepting) {
            if !self.accept_some(listener, now) {
                self.accepting.push(listener);
            }
        }
    }

    /// Whether no more connections wait at this listener.
    fn accept_some(&mut self, listener: Token, now: Instant) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            match self.accept_one(listener, now) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.starved = false;
                    return true;
                }
                Err(error) if is_of_one_connection(&error) => {
                    log::debug!("a connection ended before it was accepted: {error}");
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.starved, true) {
                        log::warn!("no connections can be accepted for now: {error}");
                    }
                    self.rest_until = Some(now + ACCEPT_REST);
                    return false;
                }
            }
        }
        false
    }

    fn accept_one(&mut self, listener: Token, now: Instant) -> io::Result<()> {
        let token = self.next_token;
        let id = ClientId(token as u64);
        let (mut connection, origin) = match listener {
            CLIENTS => {
                let (stream, address) = self.listeners.accept_client()?;
                let tls = Some(self.tls.clone());
                let socket = Socket::Tcp(stream);
                let origin = Origin::Network(address);
                (Connection::accept(socket, tls, LINE_BYTES_MAX), origin)
            }
            ADMINISTRATION => {
                let socket = Socket::Unix(self.listeners.accept_administration()?);
                (Connection::accept(socket, None, LINE_BYTES_MAX), Origin::Administration)
            }
            HTTP => return self.accept_http(now),
            _ => {
                let stream = self.listeners.accept_replica()?;
                self.next_token += 1;
                self.links.accept(stream, (self.poll.registry(), Token(token)), now);
                return Ok(());
            }
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(connection.source(), Token(token), interest)?;
        self.next_token += 1;
        self.sockets.open(id, connection);
        self.inputs.push(Input::ClientOpened(id, origin));
        Ok(())
    }

    fn accept_http(&mut self, now: Instant) -> io::Result<()> {
        let mut stream = self.listeners.accept_http()?;
        let token = self.next_token;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(token), interest)?;
        self.next_token += 1;
        if self.http.open(token, stream, now) {
            self.serve_http(token, now);
        }
        Ok(())
    }

    fn serve_http(&mut self, token: usize, now: Instant) {
        let uptime_s = now.duration_since(self.started).as_secs();
        self.http.proceed(token, Health { metrics: self.node.metrics(), uptime_s });
    }

    /// Whether this life is to have no successor. What a signal asks of a process that is about to
    /// execute itself anew would be lost with its handlers: from here on it ends the process at
    /// once.
    fn is_told_to_stop(&mut self) -> io::Result<bool> {
        for signal in [SIGTERM, SIGINT] {
            register_conditional_default(signal, Arc::new(AtomicBool::new(true)))?;
        }
        Ok(self.is_told || self.signals.pending().any(|signal| signal != SIGHUP))
    }

    /// All is durable and the clients are sent away: their last lines are written and seen, then
    /// the process may end. What happens to a socket here concerns nobody any more.
    fn say_goodbye(&mut self, events: &mut Events) -> Result<(), LoopError> {
        let until = Instant::now() + GOODBYE;
        while !self.sockets.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let timeout = if self.sockets.has_ready() { Duration::ZERO } else { left };
            match self.poll.poll(events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(error.into());
                }
                Ok(()) | Err(_) => {}
            }
            for event in events.iter() {
                self.sockets.edge(ClientId(event.token().0 as u64));
            }
            self.sockets.read(&mut self.inputs);
            self.sockets.flush(&mut self.inputs);
            self.inputs.clear();
        }
        Ok(())
    }
}

/// Whether an error of accept says something about one connection only.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}
