//! The whole vocabulary of the server: what it can be told, and what it can ask for.
//!
//! Owns: [`Input`] and [`Effect`], closed enums. Driven by: `reactor` and the simulator, which are
//! interchangeable because nothing else crosses. Invariant: everything in here is plain data. Does
//! not: decide.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use crate::work::{Done, Job};

/// A client's socket, counted up and never used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

/// The moment of a turn: the monotonic clock for durations, the wall clock for labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub instant: Instant,
    /// Milliseconds since the Unix epoch; may jump.
    pub wall_ms: u64,
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
    /// So many bytes of events wait to be taken by the client: reported at the end of a turn, when
    /// there are any or when there are none any more. Answers are not counted: their bound is the
    /// pipeline.
    ClientBacklog(ClientId, usize),
    /// The socket is gone.
    ClientClosed(ClientId),
    /// A job has ended.
    Done(Done),
    /// The deadline has come.
    Timer,
    /// An operator wants the server to stop.
    Stop,
}

/// What the node can ask for.
#[derive(Debug)]
pub enum Effect {
    /// Queue this line for a client.
    Send {
        /// Which client.
        client: ClientId,
        /// The line, newline included.
        line: Vec<u8>,
        /// Whether it answers a request: the rim reads at most 64 unanswered ones.
        answers: bool,
    },
    /// Write what is queued for this client, then close it.
    Close(ClientId),
    /// Do this job on its thread; it comes back as [`Input::Done`].
    Run(Job),
    /// All is durable and said: end the process with code 0.
    Stopped,
}
