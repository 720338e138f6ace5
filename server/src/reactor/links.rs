//! The links between servers: dialled and accepted, frames in and out.
//!
//! Owns: one [`Connection`] for each. Driven by: the reactor's loop. Invariants: a link speaks TLS
//! with the cluster's own authority on both sides before the node hears of it; a refused dial is
//! told apart from every other failure, for it alone proves something; the node hears of each end
//! exactly once, unless it closed the link itself; what waits to be written to one server is
//! bounded. Does not: look into a frame, or dial by itself.

#![expect(clippy::disallowed_methods, reason = "the rim: this is where sockets are opened")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use holdfast_common::ids::ServerId;
use holdfast_common::net::connection::{CloseReason, Connection, ReadState, Socket};
use holdfast_common::net::tls::{self, Identity};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::node::effect::{Input, LinkId};

/// Bytes of a frame at most: an append's entries are a megabyte, a snapshot's part is a quarter.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Bytes read of one link in one turn; then the others have theirs.
const TURN_BYTES: usize = 1 << 20;
/// Frames taken of one link in one turn, for the same reason: small ones are cheap to send.
const TURN_FRAMES: usize = 1_024;
/// A link with more than this waiting is closed: the other side has not read for a long time, and
/// gets what it lacks from the log when it is back.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// A link on which no greeting has come after this is closed: handshake and greeting take
/// milliseconds.
const GREETING_WITHIN: Duration = Duration::from_secs(3);
/// Accepted links without a greeting. For one more the oldest is closed, not the newest: a server
/// takes milliseconds to greet, so those who only sit there cannot keep it out.
const STRANGERS_MAX: usize = 64;
/// Accepted links of one server. It has one, and those that it has lost without knowing; for one
/// more the oldest is closed.
const LINKS_A_SERVER_MAX: usize = 16;

#[derive(Debug)]
struct Link {
    id: LinkId,
    connection: Connection,
    is_ready: bool,
    /// Its first frame has come.
    has_greeted: bool,
    /// No greeting by then: closed.
    until: Instant,
    /// Whose certificate it has shown to this server, which accepted it.
    dialled_by: Option<ServerId>,
}

impl Link {
    fn is_stranger(&self) -> bool {
        matches!(self.id, LinkId::Theirs(_)) && !self.has_greeted
    }
}

/// See the module's page.
pub(super) struct Links {
    identity: Identity,
    addresses: BTreeMap<ServerId, SocketAddr>,
    links: BTreeMap<Token, Link>,
    tokens: BTreeMap<LinkId, Token>,
    ready: BTreeSet<Token>,
    dirty: BTreeSet<Token>,
    accepted: u64,
    inputs: Vec<Input>,
}

impl Links {
    pub(super) fn new(identity: Identity, addresses: BTreeMap<ServerId, SocketAddr>) -> Links {
        Links {
            identity,
            addresses,
            links: BTreeMap::new(),
            tokens: BTreeMap::new(),
            ready: BTreeSet::new(),
            dirty: BTreeSet::new(),
            accepted: 0,
            inputs: Vec::new(),
        }
    }

    /// Dials a server; what comes of it is an input.
    pub(super) fn dial(
        &mut self,
        id: LinkId,
        server: ServerId,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) {
        let opened = self.addresses.get(&server).copied().map(|address| {
            let stream = TcpStream::connect(address)?;
            let config = self.identity.link_dialer_config(server).map_err(io::Error::other)?;
            Connection::dial_link(Socket::Tcp(stream), config, FRAME_BYTES_MAX)
                .map_err(io::Error::other)
        });
        match opened {
            Some(Ok(connection)) => self.insert(id, connection, registry, token, now),
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.inputs.push(Input::LinkRefused(id));
            }
            Some(Err(error)) => {
                log::debug!("server {server} cannot be dialled: {error}");
                self.inputs.push(Input::LinkClosed(id));
            }
            None => self.inputs.push(Input::LinkClosed(id)),
        }
    }

    /// Takes a link that another server has dialled.
    pub(super) fn accept(
        &mut self,
        stream: TcpStream,
        (registry, token): (&Registry, Token),
        now: Instant,
    ) {
        self.bound(STRANGERS_MAX, "too many have not said who they are", Link::is_stranger);
        let config = match self.identity.link_listener_config() {
            Ok(config) => config,
            Err(error) => return log::error!("no link can be accepted: {error}"),
        };
        self.accepted += 1;
        let id = LinkId::Theirs(self.accepted);
        match Connection::accept_link(Socket::Tcp(stream), config, FRAME_BYTES_MAX) {
            Ok(connection) => self.insert(id, connection, registry, token, now),
            Err(reason) => log::debug!("a link cannot be accepted: {reason}"),
        }
    }

    /// Makes room for one more of those, of which so many may be there.
    fn bound(&mut self, max: usize, why: &str, is_one: impl Fn(&Link) -> bool) {
        let mut those = self.links.iter().filter(|(_, link)| is_one(link));
        // Tokens count up: the first one is the oldest.
        let oldest = those.next().map(|(token, _)| *token);
        let others = those.count();
        if let Some(oldest) = oldest
            && others + 1 >= max
        {
            self.end(oldest, why);
        }
    }

    fn insert(
        &mut self,
        id: LinkId,
        connection: Connection,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) {
        let mut link = Link {
            id,
            connection,
            is_ready: false,
            has_greeted: false,
            until: now + GREETING_WITHIN,
            dialled_by: None,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        match registry.register(link.connection.source(), token, interest) {
            Ok(()) => {
                self.links.insert(token, link);
                self.tokens.insert(id, token);
                self.edge(token);
            }
            Err(error) => {
                log::warn!("a link cannot be watched: {error}");
                self.inputs.push(Input::LinkClosed(id));
            }
        }
    }

    pub(super) fn has(&self, token: Token) -> bool {
        self.links.contains_key(&token)
    }

    /// The socket can be read or written again.
    pub(super) fn edge(&mut self, token: Token) {
        self.ready.insert(token);
        self.dirty.insert(token);
    }

    /// Whether the next turn has something to do without waiting for an edge.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.inputs.is_empty()
    }

    pub(super) fn send(&mut self, id: LinkId, frame: Vec<u8>) {
        let Some(token) = self.tokens.get(&id).copied() else { return };
        let Some(link) = self.links.get_mut(&token) else { return };
        link.connection.send_frame(frame);
        self.dirty.insert(token);
        if link.connection.queued_bytes() > WAITING_BYTES_MAX {
            self.end(token, "it does not read what it is sent");
        }
    }

    /// Closes a link after what was sent on it has been written as far as it goes at once.
    pub(super) fn close(&mut self, id: LinkId) {
        let Some(token) = self.tokens.remove(&id) else { return };
        if let Some(mut link) = self.links.remove(&token) {
            let said = link.connection.flush().and_then(|_state| {
                link.connection.shutdown_write();
                link.connection.flush()
            });
            if let Err(reason) = said {
                log::debug!("a link ended while it was being closed: {reason}");
            }
        }
    }

    /// One turn of reading; everything that happened to links since the last one.
    pub(super) fn read(&mut self, inputs: &mut Vec<Input>) {
        for token in std::mem::take(&mut self.ready) {
            self.read_one(token);
        }
        inputs.append(&mut self.inputs);
    }

    fn read_one(&mut self, token: Token) {
        let Some(link) = self.links.get_mut(&token) else { return };
        // What was left over comes first; the end of a link comes behind all that was said on it.
        let state = match link.connection.has_lines() {
            true => ReadState::More,
            false => link.connection.read(TURN_BYTES),
        };
        self.dirty.insert(token);
        if !link.is_ready && link.connection.is_ready() {
            match self.become_ready(token) {
                Ok(input) => self.inputs.push(input),
                Err(why) => return self.end(token, why),
            }
        }
        let Some(link) = self.links.get_mut(&token) else { return };
        for _ in 0..TURN_FRAMES {
            match link.connection.next_line() {
                Ok(Some(frame)) if link.is_ready => {
                    link.has_greeted = true;
                    self.inputs.push(Input::LinkFrame(link.id, frame));
                }
                Ok(Some(_)) | Ok(None) => break,
                Err(_too_large) => {
                    let why = "it claims a frame beyond the limit";
                    if !link.is_stranger() {
                        log::warn!("link {:?} refused: {why}", link.id);
                    }
                    return self.end(token, why);
                }
            }
        }
        match state {
            _ if link.connection.has_lines() => {
                self.ready.insert(token);
            }
            ReadState::Drained => {}
            ReadState::More => {
                self.ready.insert(token);
            }
            ReadState::Closed(CloseReason::Refused) => self.refused(token),
            ReadState::Closed(reason) => self.end(token, &reason.to_string()),
        }
    }

    /// Nobody listens where this link was dialled to.
    fn refused(&mut self, token: Token) {
        let Some(link) = self.links.remove(&token) else { return };
        self.tokens.remove(&link.id);
        self.inputs.push(Input::LinkRefused(link.id));
    }

    /// The handshake is done: whose certificate is it?
    fn become_ready(&mut self, token: Token) -> Result<Input, &'static str> {
        let link = self.links.get_mut(&token).ok_or("it is gone")?;
        if let LinkId::Own(_) = link.id {
            // TLS has checked the name of whom was dialled.
            link.is_ready = true;
            return Ok(Input::LinkDialled(link.id));
        }
        let certificate = link.connection.peer_certificates().first();
        let certificate = certificate.ok_or("it shows no certificate")?;
        let of = |server: &&ServerId| tls::names_server(certificate, **server);
        let server = self.addresses.keys().find(of).copied();
        let server = server.ok_or("its certificate is no server's of this cluster")?;
        let id = link.id;
        let is_its = |link: &Link| link.dialled_by == Some(server);
        self.bound(LINKS_A_SERVER_MAX, "its server has dialled again and again", is_its);
        if let Some(link) = self.links.get_mut(&token) {
            (link.is_ready, link.dialled_by) = (true, Some(server));
        }
        Ok(Input::LinkAccepted(id, server))
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) {
        for token in std::mem::take(&mut self.dirty) {
            let Some(link) = self.links.get_mut(&token) else { continue };
            match link.connection.flush() {
                Ok(_state) => {}
                Err(CloseReason::Refused) => self.refused(token),
                Err(reason) => self.end(token, &reason.to_string()),
            }
        }
    }

    /// When [`Links::expire`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.links.values().filter(|link| !link.has_greeted).map(|link| link.until).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let late = |(token, link): (&Token, &Link)| {
            (!link.has_greeted && link.until <= now).then_some(*token)
        };
        let tokens: Vec<Token> = self.links.iter().filter_map(late).collect();
        for token in tokens {
            self.end(token, "it takes too long to say who it is");
        }
    }

    fn end(&mut self, token: Token, why: &str) {
        let Some(link) = self.links.remove(&token) else { return };
        self.tokens.remove(&link.id);
        if link.is_stranger() {
            log::info!("link refused: {why}");
        } else {
            log::debug!("link {:?} ended: {why}", link.id);
        }
        // Of a stranger the node has heard only once its certificate was right.
        if matches!(link.id, LinkId::Own(_)) || link.is_ready {
            self.inputs.push(Input::LinkClosed(link.id));
        }
    }
}
