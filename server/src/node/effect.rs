//! The whole vocabulary of the server: what it can be told, and what it can ask for.
//!
//! Owns: [`Input`] and [`Effect`], closed enums. Driven by: `reactor` and the simulator, which are
//! interchangeable because nothing else crosses. Invariant: everything in here is plain data. Does
//! not: decide.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::ids::ServerId;

use crate::entry::Index;
use crate::replication::Moment;
use crate::work::{Done, Job};

/// A client's socket, counted up and never used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// A link between servers: one of this server's own dials, or one that it has accepted. Neither
/// number is used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LinkId {
    /// Dialled here; the node counts these.
    Own(u64),
    /// Dialled there; the rim counts these.
    Theirs(u64),
}

/// The moment of a turn: the monotonic clock for durations, the wall clock for labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub instant: Instant,
    /// The clock that runs through suspend, in microseconds: leases must run out while a machine
    /// sleeps.
    pub boot_us: u64,
    /// Milliseconds since the Unix epoch; may jump.
    pub wall_ms: u64,
}

impl Now {
    /// As replication sees it.
    pub fn moment(&self) -> Moment {
        Moment(self.boot_us)
    }

    /// When a moment of replication's will be, on the monotonic clock.
    pub fn instant_of(&self, moment: Moment) -> Instant {
        self.instant + Duration::from_micros(moment.0.saturating_sub(self.boot_us))
    }
}

/// By which door a client came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The client port.
    Network(SocketAddr),
    /// The administration socket in the server's own folder.
    Administration,
}

/// What a client's first byte said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// JSON in the open.
    Plain,
    /// TLS 1.3.
    Tls,
}

/// What the node can be told.
#[derive(Debug)]
pub enum Input {
    /// A client has connected.
    ClientOpened(ClientId, Origin),
    /// Its first byte has come.
    ClientTransport(ClientId, Transport),
    /// A whole line, without its newline.
    ClientFrame(ClientId, Vec<u8>),
    /// A line over the limit; nothing that comes behind it can be read.
    ClientOverlong(ClientId),
    /// Bytes came from the client, or it took some, though no whole line came: it is not silent.
    ClientHeard(ClientId),
    /// So many bytes of events wait to be taken by the client: reported at the end of each turn
    /// that queued some, or that changed it. Answers are not counted: their bound is the pipeline.
    ClientBacklog(ClientId, usize),
    /// The socket is gone.
    ClientClosed(ClientId),
    /// An own dial stands: TLS has checked that it is the server that was dialled.
    LinkDialled(LinkId),
    /// A link was accepted, from whom the certificate names.
    LinkAccepted(LinkId, ServerId),
    /// Nobody listens where this was dialled to.
    LinkRefused(LinkId),
    /// A whole frame.
    LinkFrame(LinkId, Vec<u8>),
    /// The link, or the dial, is over.
    LinkClosed(LinkId),
    /// A job has ended.
    Done(Done),
    /// The deadline has come.
    Timer,
    /// An operator wants the server to stop.
    Stop,
    /// The administrator's word that the disks of all other servers are gone: go on alone.
    ForceSurvivor,
}

/// What the node can ask for.
#[derive(Debug)]
pub enum Effect {
    /// Queue this line for a client.
    Send {
        /// Which client.
        client: ClientId,
        /// The line, newline included. An event goes to many, and is held once.
        line: Arc<[u8]>,
        /// Whether it answers a request: the rim reads at most 64 unanswered ones.
        answers: bool,
    },
    /// Write what is queued for this client, then close it.
    Close(ClientId),
    /// Dial a server's replica port.
    Dial {
        /// The number that it gets.
        link: LinkId,
        /// Whom.
        server: ServerId,
    },
    /// Queue this frame for another server.
    SendFrame {
        /// On which link.
        link: LinkId,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Write what is queued on this link, as far as it goes, then close it.
    CloseLink(LinkId),
    /// This life is over: end the process's part in the cluster, and begin another life of the
    /// store (or of an empty one, when this one is to be set aside).
    Restart {
        /// The store is not to be believed, or holds what the cluster does not.
        sets_aside: bool,
    },
    /// This life is over, and its store is not the cluster's: list what stands behind this entry,
    /// set the store aside, and begin another life on an empty one.
    Yield {
        /// Up to here it is the cluster's.
        after: Index,
    },
    /// Do this job on its thread; it comes back as [`Input::Done`].
    Run(Job),
    /// All is durable and said: end the process with code 0.
    Stopped,
}
