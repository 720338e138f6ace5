//! One machine that serves: its folder, its clocks, and the process on it while there is one.
//!
//! Owns: what survives a process, and the rim of one: which connection is which client or link, and
//! what waits for its loop's next turn. Driven by: the world. Invariants: inputs of a turn come in
//! the reactor's order (a wish to stop, sockets, jobs; the timer is the world's, behind all); the
//! node gets at most as many unanswered requests of a client as the protocol allows. Does not:
//! send anything by itself.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};

use holdfast_common::ids::ServerId;
use holdfast_common::protocol::PIPELINE_MAX;
use holdfast_server::node::Node;
use holdfast_server::node::effect::{ClientId, Input, LinkId, Origin, Transport};
use holdfast_server::work::{Done, Job};

use super::Us;
use super::clock::Clock;
use super::network::{Door, PipeId};
use super::promise::Known;
use super::store::Folder;
use crate::sim::workers::{Thread, Workers};

/// Reader threads: one for look-ups, two for pages, as the reactor has them.
const READERS: usize = 3;

/// What waits for the loop.
#[derive(Debug)]
pub(crate) enum News {
    Stop,
    Incoming(PipeId, Door),
    Welcome(PipeId),
    Ready(PipeId),
    Refused(PipeId),
    Data(PipeId, Vec<u8>),
    End(PipeId),
    Done(Done),
}

/// A client's connection, as the rim knows it.
#[derive(Debug)]
struct Peer {
    id: ClientId,
    unanswered: usize,
    /// Lines that wait until fewer are unanswered.
    lines: VecDeque<Vec<u8>>,
    has_spoken: bool,
}

/// Which connection is whose.
#[derive(Debug, Default)]
pub(crate) struct Rim {
    peers: BTreeMap<PipeId, Peer>,
    clients: BTreeMap<ClientId, PipeId>,
    links: BTreeMap<PipeId, LinkId>,
    link_pipes: BTreeMap<LinkId, PipeId>,
    next_client: u64,
    accepted: u64,
    takes_no_more: bool,
}

impl Rim {
    pub(crate) fn client(&self, id: ClientId) -> Option<PipeId> {
        self.clients.get(&id).copied()
    }

    pub(crate) fn link(&self, id: LinkId) -> Option<PipeId> {
        self.link_pipes.get(&id).copied()
    }

    pub(crate) fn dialled(&mut self, pipe: PipeId, link: LinkId) {
        self.links.insert(pipe, link);
        self.link_pipes.insert(link, pipe);
    }

    /// A line was sent to a client; an answer makes room for a further request.
    pub(crate) fn answered(&mut self, pipe: PipeId) -> Option<Input> {
        let peer = self.peers.get_mut(&pipe)?;
        peer.unanswered -= 1;
        let line = peer.lines.pop_front()?;
        peer.unanswered += 1;
        Some(Input::ClientFrame(peer.id, line))
    }

    /// The node wants no more of a client.
    pub(crate) fn forget_client(&mut self, id: ClientId) -> Option<PipeId> {
        let pipe = self.clients.remove(&id)?;
        self.peers.remove(&pipe);
        Some(pipe)
    }

    pub(crate) fn forget_link(&mut self, id: LinkId) -> Option<PipeId> {
        let pipe = self.link_pipes.remove(&id)?;
        self.links.remove(&pipe);
        Some(pipe)
    }

    /// What a piece of news is to the node. `from` is the server of whoever dialled.
    pub(crate) fn input(&mut self, news: News, from: Option<ServerId>, inputs: &mut Vec<Input>) {
        match news {
            News::Stop => {
                self.takes_no_more = true;
                inputs.push(Input::Stop);
            }
            News::Incoming(pipe, Door::Client) => {
                self.next_client += 1;
                let id = ClientId(self.next_client);
                let peer = Peer { id, unanswered: 0, lines: VecDeque::new(), has_spoken: false };
                self.peers.insert(pipe, peer);
                self.clients.insert(id, pipe);
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 40_000));
                inputs.push(Input::ClientOpened(id, Origin::Network(address)));
            }
            // The node hears of it when the handshake is done.
            News::Incoming(_, Door::Replica) => {}
            News::Welcome(pipe) => {
                inputs.extend(self.links.get(&pipe).map(|link| Input::LinkDialled(*link)));
            }
            News::Ready(pipe) => {
                let Some(server) = from else { return };
                self.accepted += 1;
                let link = LinkId::Theirs(self.accepted);
                self.dialled(pipe, link);
                inputs.push(Input::LinkAccepted(link, server));
            }
            News::Refused(pipe) => {
                let Some(link) = self.links.remove(&pipe) else { return };
                self.link_pipes.remove(&link);
                inputs.push(Input::LinkRefused(link));
            }
            News::Data(pipe, bytes) => self.data(pipe, bytes, inputs),
            News::End(pipe) => self.end(pipe, inputs),
            News::Done(done) => inputs.push(Input::Done(done)),
        }
    }

    fn data(&mut self, pipe: PipeId, bytes: Vec<u8>, inputs: &mut Vec<Input>) {
        if let Some(link) = self.links.get(&pipe) {
            return inputs.push(Input::LinkFrame(*link, bytes));
        }
        let Some(peer) = self.peers.get_mut(&pipe).filter(|_| !self.takes_no_more) else { return };
        if !peer.has_spoken {
            peer.has_spoken = true;
            inputs.push(Input::ClientTransport(peer.id, Transport::Plain));
        }
        if peer.unanswered < PIPELINE_MAX {
            peer.unanswered += 1;
            inputs.push(Input::ClientFrame(peer.id, bytes));
        } else {
            peer.lines.push_back(bytes);
        }
    }

    fn end(&mut self, pipe: PipeId, inputs: &mut Vec<Input>) {
        if let Some(link) = self.links.remove(&pipe) {
            self.link_pipes.remove(&link);
            inputs.push(Input::LinkClosed(link));
        } else if let Some(peer) = self.peers.remove(&pipe) {
            self.clients.remove(&peer.id);
            inputs.push(Input::ClientClosed(peer.id));
        }
    }
}

/// A job on its thread.
pub(crate) struct Under {
    pub(crate) thread: Thread,
    pub(crate) job: Job,
    pub(crate) begins: Us,
}

/// A running server.
pub(crate) struct Process {
    pub(crate) node: Node,
    pub(crate) workers: Workers,
    pub(crate) rim: Rim,
    pub(crate) inbox: Vec<News>,
    /// When the loop goes round next.
    pub(crate) turn_at: Option<Us>,
    pub(crate) busy_until: Us,
    pub(crate) jobs: BTreeMap<u64, Under>,
    /// When each thread has done what it has.
    free_at: BTreeMap<(Thread, usize), Us>,
    /// Everything up to here was handed to the tables.
    pub(crate) applied: u64,
    /// As it was told last.
    pub(crate) told: String,
}

impl Process {
    pub(crate) fn new(node: Node, workers: Workers, applied: u64) -> Process {
        Process {
            node,
            workers,
            rim: Rim::default(),
            inbox: Vec::new(),
            turn_at: None,
            busy_until: 0,
            jobs: BTreeMap::new(),
            free_at: BTreeMap::new(),
            applied,
            told: String::new(),
        }
    }

    /// When a job will be done that takes so long on its thread, and when it begins.
    pub(crate) fn schedule(&mut self, now: Us, thread: Thread, takes: Us) -> (Us, Us) {
        let threads = if thread == Thread::Reader { READERS } else { 1 };
        let slot = (0..threads)
            .min_by_key(|slot| self.free_at.get(&(thread, *slot)).copied().unwrap_or(0))
            .unwrap();
        let free_at = self.free_at.entry((thread, slot)).or_default();
        let begins = now.max(*free_at);
        *free_at = begins + takes;
        (begins, *free_at)
    }
}

/// What comes of a disk that fails.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DiskFault {
    /// The process is started again so long after it has ended.
    pub(crate) back: Us,
    /// It is the machine's power that fails.
    pub(crate) takes_power: bool,
}

/// See the module's page.
pub(crate) struct Host {
    pub(crate) server: ServerId,
    pub(crate) clock: Clock,
    pub(crate) folder: Folder,
    /// The machine has power: its kernel answers.
    pub(crate) is_on: bool,
    /// When it lost power.
    pub(crate) off_since: Us,
    /// Counts processes: what is for a former one is dropped.
    pub(crate) epoch: u64,
    /// The process is stopped (SIGSTOP).
    pub(crate) stalled_until: Us,
    /// What a sync takes.
    pub(crate) sync_us: (Us, Us),
    pub(crate) slow_until: Us,
    /// The disk was made to fail: the process may end by that.
    pub(crate) disk_fails: Option<DiskFault>,
    /// It was asked to stop, and starts again so long after it has.
    pub(crate) starts_after: Option<Us>,
    /// A store of this server was set aside.
    pub(crate) has_set_aside: bool,
    /// What was acknowledged when its process began.
    pub(crate) knew: Known,
    pub(crate) process: Option<Process>,
}
