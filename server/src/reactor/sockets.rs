//! The clients' sockets: bytes in and out, and how much of either may wait.
//!
//! Owns: one [`Connection`] for each client. Driven by: the reactor's loop. Invariants:
//! - a socket whose edge was seen is read until it would block, over as many turns as that takes;
//! - of a client with [`PIPELINE_MAX`] requests unanswered, or with more than
//!   [`ANSWERS_BYTES_MAX`] of answers unread, no further line is taken: its own TCP window fills;
//! - after [`Sockets::close`] nothing of it reaches the node; what was queued is still written,
//!   then our end of the socket is closed, and what the client still says is read and dropped for a
//!   while: closing a socket with bytes unread is a reset, which can overtake the last line;
//! - the node hears of each end exactly once, unless it closed the connection itself.
//!
//! Does not: look into a line.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_common::net::connection::{CloseReason, Connection, FlushState, ReadState, Transport};
use holdfast_common::protocol::PIPELINE_MAX;

use crate::node::effect::{self, ClientId, Input};

/// While more answers than this wait unread, no further request is taken (protocol, Transport).
const ANSWERS_BYTES_MAX: usize = 256 * 1024;
/// Bytes read of one client in one turn; then the others have theirs.
const TURN_BYTES: usize = 64 * 1024;
/// Handshakes carried on in one turn: each takes a core for some 190 us, and others wait.
const HANDSHAKES_A_TURN: usize = 16;
/// How long a closed connection's last lines may take to be written and seen.
const LINGER: Duration = Duration::from_secs(3);
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

/// What the node wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outward {
    /// To go on.
    Open,
    /// To be closed: its last lines are being written.
    Closing,
    /// They are written: it only lingers.
    Closed,
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
    outbox: Outbox,
    /// Bytes of events that the node believes to wait.
    backlog_told: usize,
    outward: Outward,
}

/// Which of the bytes in a connection's queue are events: the rest are answers.
#[derive(Debug, Default)]
struct Outbox {
    /// Bytes queued since the connection began.
    queued_bytes: u64,
    /// The events that wait: the place behind each, and how long it is.
    events: VecDeque<(u64, usize)>,
    event_bytes: usize,
}

impl Outbox {
    fn push(&mut self, line_bytes: usize, is_event: bool) {
        self.queued_bytes += line_bytes as u64;
        if is_event {
            self.events.push_back((self.queued_bytes, line_bytes));
            self.event_bytes += line_bytes;
        }
    }

    /// So many bytes still wait.
    fn drained(&mut self, left_bytes: usize) {
        let gone = self.queued_bytes - left_bytes as u64;
        while let Some((end, line_bytes)) = self.events.front().copied()
            && end <= gone
        {
            self.events.pop_front();
            self.event_bytes -= line_bytes;
        }
        if self.events.is_empty() {
            self.events = VecDeque::new();
        }
    }
}

impl Peer {
    fn may_take(&self) -> bool {
        let answers_bytes = self.connection.queued_bytes().saturating_sub(self.outbox.event_bytes);
        self.unanswered < PIPELINE_MAX && answers_bytes <= ANSWERS_BYTES_MAX
    }

    /// Whether a turn of reading would do something now.
    fn wants_turn(&self) -> bool {
        if self.outward != Outward::Open {
            return self.has_more;
        }
        let has_lines = self.inward != Inward::Broken && self.connection.has_lines();
        self.may_take() && (has_lines || (self.has_more && self.inward == Inward::Open))
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
#[derive(Debug)]
pub(super) struct Sockets {
    peers: BTreeMap<ClientId, Peer>,
    /// Those that have a turn to read coming.
    ready: BTreeSet<ClientId>,
    /// Those that may have something to write.
    dirty: BTreeSet<ClientId>,
    /// Closed connections that are still there, the oldest first.
    lingering: VecDeque<(Instant, ClientId)>,
    /// So many at most: each holds a file descriptor that the node does not count.
    lingering_max: usize,
    /// The server stops: no client's lines are taken any more.
    takes_no_more: bool,
}

impl Sockets {
    /// None yet; so many may linger.
    pub(super) fn new(lingering_max: usize) -> Sockets {
        Sockets {
            peers: BTreeMap::new(),
            ready: BTreeSet::new(),
            dirty: BTreeSet::new(),
            lingering: VecDeque::new(),
            lingering_max,
            takes_no_more: false,
        }
    }

    /// Takes a new connection.
    pub(super) fn open(&mut self, id: ClientId, connection: Connection) {
        let peer = Peer {
            connection,
            inward: Inward::Open,
            has_more: true,
            unanswered: 0,
            transport_told: false,
            outbox: Outbox::default(),
            backlog_told: 0,
            outward: Outward::Open,
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

    /// From here on no lines are taken: the server stops.
    pub(super) fn take_no_more(&mut self) {
        self.takes_no_more = true;
    }

    /// One turn of reading for every client that has one coming.
    pub(super) fn read(&mut self, inputs: &mut Vec<Input>) {
        let mut handshakes = 0;
        for id in std::mem::take(&mut self.ready) {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let was_ready = peer.connection.is_ready();
            if !was_ready && handshakes >= HANDSHAKES_A_TURN {
                self.ready.insert(id);
                continue;
            }
            let end = match peer.outward {
                Outward::Open if self.takes_no_more => continue,
                Outward::Open => {
                    let (saw_edge, lines) = (peer.has_more, inputs.len());
                    let end = peer.read(id, inputs);
                    if saw_edge && inputs.len() == lines {
                        inputs.push(Input::ClientHeard(id));
                    }
                    end
                }
                Outward::Closing | Outward::Closed => peer.drop_input(),
            };
            if !was_ready && peer.connection.transport() == Some(Transport::Tls) {
                handshakes += 1;
            }
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
    pub(super) fn send(&mut self, id: ClientId, line: Arc<[u8]>, answers: bool) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.outbox.push(line.len(), !answers);
        if !answers {
            // The node has counted it already, and must hear that it is gone.
            peer.backlog_told += line.len();
        }
        peer.connection.send(line);
        if answers {
            peer.unanswered -= 1;
        }
        self.dirty.insert(id);
    }

    /// Closes a connection once what is queued for it is written.
    pub(super) fn close(&mut self, id: ClientId, now: Instant) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.outward = Outward::Closing;
        if peer.connection.transport().is_none() && peer.connection.queued_bytes() == 0 {
            // Nothing was said on either side, so nothing can be lost.
            self.peers.remove(&id);
            return;
        }
        self.lingering.push_back((now + LINGER, id));
        self.dirty.insert(id);
    }

    /// Lets the oldest go where too many linger: by the end of a turn their last lines are with the
    /// system, unless they do not read.
    fn bound_lingering(&mut self) {
        while self.lingering.len() > self.lingering_max
            && let Some((_, oldest)) = self.lingering.pop_front()
        {
            self.peers.remove(&oldest);
        }
    }

    /// Writes what can be written; tells the node how much waits where that changed.
    pub(super) fn flush(&mut self, inputs: &mut Vec<Input>) {
        for id in std::mem::take(&mut self.dirty) {
            let Some(peer) = self.peers.get_mut(&id) else { continue };
            let flushed = match peer.outward {
                Outward::Open => peer.connection.flush().map(|_state| ()),
                Outward::Closing | Outward::Closed => peer.flush_last(),
            };
            if let Err(reason) = flushed {
                self.end(id, &reason, inputs);
                continue;
            }
            peer.outbox.drained(peer.connection.queued_bytes());
            let backlog = peer.outbox.event_bytes;
            let is_open = peer.outward == Outward::Open;
            if is_open && (backlog > 0 || peer.backlog_told > 0) {
                peer.backlog_told = backlog;
                inputs.push(Input::ClientBacklog(id, backlog));
            }
            if peer.wants_turn() && !(is_open && self.takes_no_more) {
                self.ready.insert(id);
            }
            if is_open && peer.is_over() {
                self.end(id, &CloseReason::EndOfStream, inputs);
            }
        }
        self.bound_lingering();
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

    /// Whether every connection is gone: its last lines written, and seen by its client.
    pub(super) fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    fn end(&mut self, id: ClientId, reason: &CloseReason, inputs: &mut Vec<Input>) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        if peer.outward == Outward::Open {
            if *reason == CloseReason::EndOfStream {
                peer.connection.shutdown_write();
            }
            log::debug!("{id} ended: {reason}");
            inputs.push(Input::ClientClosed(id));
        } else {
            self.lingering.retain(|(_, lingering)| *lingering != id);
        }
    }
}

impl Peer {
    /// Takes lines that wait, then bytes, then the lines in those.
    fn read(&mut self, id: ClientId, inputs: &mut Vec<Input>) -> Option<CloseReason> {
        self.take_lines(id, inputs);
        let mut end = CloseReason::EndOfStream;
        if self.has_more && self.inward == Inward::Open && self.may_take() {
            match self.connection.read(TURN_BYTES) {
                ReadState::Drained => self.has_more = false,
                ReadState::More => {}
                // No line can have come before it was ready.
                ReadState::Closed(reason)
                    if reason != CloseReason::EndOfStream && !self.connection.is_ready() =>
                {
                    return Some(reason);
                }
                // However it ends: whole lines that came before are requests like any other. If
                // nothing can be written any more, the answer to the first of them shows it.
                ReadState::Closed(reason) => {
                    self.has_more = false;
                    self.inward = Inward::Ended;
                    end = reason;
                }
            }
            self.tell_transport(id, inputs);
            self.take_lines(id, inputs);
        }
        self.is_over().then_some(end)
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
        match state {
            ReadState::More => None,
            ReadState::Drained => {
                self.has_more = false;
                None
            }
            // It has said all, and still gets what was queued for it.
            ReadState::Closed(CloseReason::EndOfStream) if self.outward == Outward::Closing => {
                self.has_more = false;
                self.inward = Inward::Ended;
                None
            }
            ReadState::Closed(reason) => Some(reason),
        }
    }

    /// Writes the last lines, and then the end.
    fn flush_last(&mut self) -> Result<(), CloseReason> {
        if self.outward == Outward::Closed {
            return Ok(());
        }
        // Nothing has come that would say how to speak, and nothing will be waited for.
        self.connection.assume_plain();
        if self.connection.flush()? == FlushState::Blocked {
            return Ok(());
        }
        self.outward = Outward::Closed;
        self.connection.shutdown_write();
        // Where both sides have said all there is nothing to linger for.
        if self.inward == Inward::Ended { Err(CloseReason::EndOfStream) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
