//! The clients' sockets: bytes in and out, and how much of either may wait.
//!
//! Owns: one [`Connection`] for each client. Driven by: the reactor's loop. Invariants:
//! - a socket whose edge was seen is read until it would block, over as many turns as that takes;
//! - of a client with [`PIPELINE_MAX`] requests unanswered, or with more than
//!   [`ANSWERS_BYTES_MAX`] of answers unread, no further line is taken: its own TCP window fills;
//! - after [`Sockets::close`] nothing of it reaches the node; what was queued is still written, and the
//!   end is lingered for, so that the last line is not lost to a reset;
//! - the node hears of each end exactly once, unless it closed the connection itself.
//!
//! Does not: look into a line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use holdfast_common::net::connection::{CloseReason, Connection, FlushState, ReadState, Transport};
use holdfast_common::protocol::PIPELINE_MAX;

use crate::node::effect::{self, ClientId, Input};

/// While more answers than this wait unread, no further request is taken (protocol, Transport).
const ANSWERS_BYTES_MAX: usize = 256 * 1024;
/// Bytes read of one client in one turn; then the others have theirs.
const TURN_BYTES: usize = 64 * 1024;
/// How long a closed connection's last lines may take to be written and seen.
const LINGER: Duration = Duration::from_secs(3);
/// Bytes of a closed connection that are read and dropped while lingering.
const LINGER_BYTES_MAX: usize = 64 << 20;

/// What may still come from a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inward {
    /// More requests.
    Open,
    /// Nothing: it has said all; what it asked is still answered.
    Ended,
    /// Nothing that could be understood: a line was too long.
    Broken,
}

/// The node has closed it: it only lingers.
#[derive(Debug, Clone, Copy)]
struct Closing {
    dropped_bytes: usize,
    said_all: bool,
}

#[derive(Debug)]
struct Peer {
    connection: Connection,
    inward: Inward,
    /// An edge was seen, and reading has not reached the end of what is there.
    has_more: bool,
    /// Lines taken without an answer yet.
    unanswered: usize,
    transport_told: bool,
    backlog_told: usize,
    closing: Option<Closing>,
}

impl Peer {
    fn may_take(&self) -> bool {
        self.unanswered < PIPELINE_MAX && self.connection.queued_bytes() <= ANSWERS_BYTES_MAX
    }

    fn wants_turn(&self) -> bool {
        let takes = self.closing.is_some() || self.may_take();
        takes && self.inward != Inward::Broken && (self.has_more || self.connection.has_lines())
    }

    /// Whether all that it asked was answered, and it asks nothing more.
    fn is_over(&self) -> bool {
        self.inward == Inward::Ended
            && self.unanswered == 0
            && self.connection.queued_bytes() == 0
            && !self.connection.has_lines()
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    peers: BTreeMap<ClientId, Peer>,
    /// Those that have a turn to read coming.
    ready: BTreeSet<ClientId>,
    /// Those that may have something to write.
    dirty: BTreeSet<ClientId>,
    lingering: VecDeque<(Instant, ClientId)>,
}

impl Sockets {
    /// Takes a new connection.
    pub(super) fn open(&mut self, id: ClientId, connection: Connection) {
        let peer = Peer {
            connection,
            inward: Inward::Open,
            has_more: true,
            unanswered: 0,
            transport_told: false,
            backlog_told: 0,
            closing: None,
        };
        self.peers.insert(id, peer);
        self.ready.insert(id);
    }

    /// The socket can be read or written again.
    pub(super) fn edge(&mut self, id: ClientId) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.has_more = true;
        self.ready.insert(id);
        self.dirty.insert(id);
    }

    /// Whether the next turn has something to read without waiting for an edge.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// One turn of reading for every client that has one coming.
    pub(super) fn read(&mut self, inputs: &mut Vec<Input>) {
        for id in std::mem::take(&mut self.ready) {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let end = match peer.closing {
                Some(_) => peer.drop_input(),
                None => peer.read(id, inputs),
            };
            // A handshake answers by itself.
            self.dirty.insert(id);
            if let Some(reason) = end {
                self.end(id, &reason, inputs);
            } else if self.peers.get(&id).is_some_and(Peer::wants_turn) {
                self.ready.insert(id);
            }
        }
    }

    /// Queues a line.
    pub(super) fn send(&mut self, id: ClientId, line: Vec<u8>, answers: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.connection.send(line);
        if answers {
            peer.unanswered -= 1;
        }
        self.dirty.insert(id);
    }

    /// Closes a connection once what is queued for it is written.
    pub(super) fn close(&mut self, id: ClientId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let until = now + LINGER;
        peer.closing = Some(Closing { dropped_bytes: 0, said_all: false });
        self.lingering.push_back((until, id));
        self.dirty.insert(id);
    }

    /// Writes what can be written; tells the node how much waits where that changed.
    pub(super) fn flush(&mut self, inputs: &mut Vec<Input>) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let flushed = match peer.closing {
                Some(_) => peer.flush_last(),
                None => peer.connection.flush().map(|_state| ()),
            };
            if let Err(reason) = flushed {
                self.end(id, &reason, inputs);
                continue;
            }
            let backlog = peer.connection.queued_bytes();
            if peer.closing.is_none() && (backlog > 0 || peer.backlog_told > 0) {
                peer.backlog_told = backlog;
                inputs.push(Input::ClientBacklog(id, backlog));
            }
            if peer.wants_turn() {
                self.ready.insert(id);
            }
            if peer.closing.is_none() && peer.is_over() {
                self.end(id, &CloseReason::EndOfStream, inputs);
            }
        }
    }

    /// When [`Sockets::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Drops what has lingered long enough.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((until, id)) = self.lingering.front().copied()
            && until <= now
        {
            self.lingering.pop_front();
            self.peers.remove(&id);
        }
    }

    /// Whether everything that was queued for closed connections is written.
    pub(super) fn is_settled(&self) -> bool {
        self.peers.values().all(|peer| peer.connection.queued_bytes() == 0)
    }

    fn end(&mut self, id: ClientId, reason: &CloseReason, inputs: &mut Vec<Input>) {
        let Some(peer) = self.peers.remove(&id) else { return };
        if peer.closing.is_none() {
            log::debug!("{id} ended: {reason}");
            inputs.push(Input::ClientClosed(id));
        }
    }
}

impl Peer {
    /// Takes lines that wait, then bytes, then the lines in those.
    fn read(&mut self, id: ClientId, inputs: &mut Vec<Input>) -> Option<CloseReason> {
        self.take_lines(id, inputs);
        if self.has_more && self.inward == Inward::Open && self.may_take() {
            match self.connection.read(TURN_BYTES) {
                ReadState::Drained => self.has_more = false,
                ReadState::More => {}
                ReadState::Closed(CloseReason::EndOfStream) => {
                    self.has_more = false;
                    self.inward = Inward::Ended;
                }
                ReadState::Closed(reason) => return Some(reason),
            }
            self.tell_transport(id, inputs);
            self.take_lines(id, inputs);
        }
        self.is_over().then_some(CloseReason::EndOfStream)
    }

    fn tell_transport(&mut self, id: ClientId, inputs: &mut Vec<Input>) {
        if let Some(transport) = self.connection.transport()
            && !self.transport_told
        {
            self.transport_told = true;
            let transport = match transport {
                Transport::Plain => effect::Transport::Plain,
                Transport::Tls => effect::Transport::Tls,
            };
            inputs.push(Input::ClientTransport(id, transport));
        }
    }

    fn take_lines(&mut self, id: ClientId, inputs: &mut Vec<Input>) {
        while self.inward != Inward::Broken && self.may_take() {
            match self.connection.next_line() {
                Ok(Some(line)) => {
                    self.unanswered += 1;
                    inputs.push(Input::ClientFrame(id, line));
                }
                Ok(None) => return,
                Err(_too_large) => {
                    self.inward = Inward::Broken;
                    inputs.push(Input::ClientOverlong(id));
                }
            }
        }
    }

    /// Reads what nobody wants any more, so that the end is no reset.
    fn drop_input(&mut self) -> Option<CloseReason> {
        if !self.has_more {
            return None;
        }
        let state = self.connection.read(TURN_BYTES);
        while let Ok(Some(_)) = self.connection.next_line() {}
        let closing = self.closing.as_mut()?;
        closing.dropped_bytes += TURN_BYTES;
        match state {
            ReadState::Closed(reason) => Some(reason),
            _ if closing.dropped_bytes > LINGER_BYTES_MAX => Some(CloseReason::EndOfStream),
            ReadState::Drained => {
                self.has_more = false;
                None
            }
            ReadState::More => None,
        }
    }

    /// Writes the last lines, and then the end.
    fn flush_last(&mut self) -> Result<(), CloseReason> {
        while let FlushState::Done = self.connection.flush()? {
            let Some(closing) = self.closing.as_mut() else { return Ok(()) };
            if closing.said_all {
                return Ok(());
            }
            closing.said_all = true;
            self.connection.shutdown_write();
            if self.inward == Inward::Ended {
                // Both sides have said all.
                self.connection.flush()?;
                return Err(CloseReason::EndOfStream);
            }
        }
        Ok(())
    }
}
