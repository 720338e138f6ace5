//! The driver's connections: dialling, lines in and out, and what a server has shown.
//!
//! Owns: the poll and one [`Connection`] for each that an engine has dialled. Driven by: the
//! driver's turns. Invariants: an engine hears `Opened` once, before any line; then lines in order;
//! then `Closed` once, unless it closed the connection itself. Does not: time out (the engine
//! does).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;

use super::names::Names;
use crate::client::{CloseReason, ConnectionId, Identity, Input};
use crate::net::connection::{self, Connection, ReadState, Socket, Transport};
use crate::net::tls::{self, ChangedIdentity, Fingerprint, Trust};
use crate::protocol::LINE_BYTES_MAX;

/// Bytes read of one connection before the others have their turn.
const TURN_BYTES: usize = 256 * 1024;
/// The first connection's token; 0 is the waker's.
const FIRST: usize = 1;

/// How servers are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// TLS, always: what every program for people uses.
    Tls,
    /// None. Servers take this from their own machine only; for measuring.
    Plain,
}

/// A connection by its engine and the engine's number for it.
pub(super) type Name = (usize, ConnectionId);

/// A connection that waits for its server's address.
struct Dial {
    name: Name,
    address: String,
    pinned: Option<Identity>,
    encryption: Encryption,
}

struct Line {
    name: Name,
    connection: Connection,
    opened: bool,
}

/// See the module's page.
pub(super) struct Wire {
    poll: Poll,
    lines: BTreeMap<Token, Line>,
    tokens: BTreeMap<Name, Token>,
    next: usize,
    /// Those that may have bytes to read.
    ready: BTreeSet<Token>,
    /// Those that may have bytes to write.
    dirty: BTreeSet<Token>,
    ends: Vec<(Name, CloseReason)>,
    names: Names<Dial>,
    configs: BTreeMap<Option<[u8; 32]>, Arc<rustls::ClientConfig>>,
    ordinary: Option<Arc<rustls::ClientConfig>>,
}

impl Wire {
    /// `wake` ends a `wait` of this wire.
    pub(super) fn new(poll: Poll, wake: Arc<dyn Fn() + Send + Sync>) -> Wire {
        Wire {
            poll,
            lines: BTreeMap::new(),
            tokens: BTreeMap::new(),
            next: FIRST,
            ready: BTreeSet::new(),
            dirty: BTreeSet::new(),
            ends: Vec::new(),
            names: Names::new(wake),
            configs: BTreeMap::new(),
            ordinary: None,
        }
    }

    pub(super) fn wait(
        &mut self,
        events: &mut Events,
        timeout: Option<Duration>,
    ) -> io::Result<()> {
        let timeout = if self.ready.is_empty() { timeout } else { Some(Duration::ZERO) };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    pub(super) fn edge(&mut self, token: Token) {
        self.ready.insert(token);
        self.dirty.insert(token);
    }

    pub(super) fn dial(
        &mut self,
        name: Name,
        address: &str,
        pinned: Option<Identity>,
        encryption: Encryption,
    ) {
        let dial = Dial { name, address: address.to_owned(), pinned, encryption };
        // Addresses are numbers as a rule. A name is looked up, which may take a while.
        if let Ok(resolved) = address.parse() {
            self.connect(&dial, resolved);
        } else if let Err(error) = self.names.ask(address, dial) {
            self.ends.push((name, failed(&error)));
        }
    }

    /// Connects to the servers whose names were found since this was asked last.
    pub(super) fn dial_found(&mut self) {
        while let Some((dials, found)) = self.names.take_found() {
            for dial in dials {
                match &found {
                    Ok(resolved) => self.connect(&dial, *resolved),
                    Err(error) => self.ends.push((dial.name, failed(error))),
                }
            }
        }
    }

    fn connect(&mut self, dial: &Dial, resolved: SocketAddr) {
        match self.open(dial, resolved) {
            Ok((token, line)) => {
                self.tokens.insert(line.name, token);
                self.lines.insert(token, line);
                self.edge(token);
            }
            Err(error) => self.ends.push((dial.name, failed(&error))),
        }
    }

    fn open(&mut self, dial: &Dial, resolved: SocketAddr) -> io::Result<(Token, Line)> {
        let tls = match dial.encryption {
            Encryption::Plain => None,
            Encryption::Tls => {
                let host = dial.address.rsplit_once(':').map_or(&*dial.address, |(host, _)| host);
                let host = host.trim_matches(['[', ']']).to_owned();
                let host = ServerName::try_from(host).map_err(io::Error::other)?;
                Some((self.config(dial.pinned)?, host))
            }
        };
        let socket = Socket::Tcp(TcpStream::connect(resolved)?);
        let connection = Connection::dial(socket, tls, LINE_BYTES_MAX).map_err(io::Error::other)?;
        let mut line = Line { name: dial.name, connection, opened: false };
        let token = Token(self.next);
        self.next += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(line.connection.source(), token, interest)?;
        Ok((token, line))
    }

    /// The configuration that accepts what was pinned; made once, for all connections.
    fn config(&mut self, pinned: Option<Identity>) -> io::Result<Arc<rustls::ClientConfig>> {
        let (trust, key) = match pinned {
            Some(Identity::Ordinary) => {
                if let Some(config) = &self.ordinary {
                    return Ok(config.clone());
                }
                let config = tls::client_config(Trust::OrdinaryCertificate);
                let config = config.map_err(io::Error::other)?;
                self.ordinary = Some(config.clone());
                return Ok(config);
            }
            Some(Identity::Cluster(key)) => (Trust::Pinned(Fingerprint(key)), Some(key)),
            Some(Identity::Plain) | None => (Trust::FirstUse, None),
        };
        if let Some(config) = self.configs.get(&key) {
            return Ok(config.clone());
        }
        let config = tls::client_config(trust).map_err(io::Error::other)?;
        self.configs.insert(key, config.clone());
        Ok(config)
    }

    pub(super) fn send(&mut self, name: Name, line: Vec<u8>) {
        let Some(token) = self.tokens.get(&name).copied() else { return };
        if let Some(connected) = self.lines.get_mut(&token) {
            connected.connection.send(line);
            self.dirty.insert(token);
        }
    }

    /// Closes a connection after what was sent on it is written as far as it goes at once.
    pub(super) fn close(&mut self, name: Name) {
        self.ends.retain(|(other, _)| *other != name);
        self.names.forget(|dial| dial.name == name);
        let Some(token) = self.tokens.remove(&name) else { return };
        if let Some(mut line) = self.lines.remove(&token) {
            say_all(&mut line.connection);
        }
    }

    pub(super) fn close_all(&mut self, engine: usize) {
        self.names.forget(|dial| dial.name.0 == engine);
        let all = (engine, ConnectionId(0))..=(engine, ConnectionId(u64::MAX));
        let names: Vec<Name> = self.tokens.range(all).map(|(name, _)| *name).collect();
        names.into_iter().for_each(|name| self.close(name));
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self) {
        for token in std::mem::take(&mut self.dirty) {
            let Some(line) = self.lines.get_mut(&token) else { continue };
            if let Err(reason) = line.connection.flush() {
                self.end(token, reason);
            }
        }
    }

    /// Reads what has come; each line is told as it is found.
    pub(super) fn read(&mut self, tell: &mut dyn FnMut(usize, Input)) {
        for token in std::mem::take(&mut self.ready) {
            let Some(line) = self.lines.get_mut(&token) else { continue };
            let state = line.connection.read(TURN_BYTES);
            let (engine, connection) = line.name;
            if !line.opened && line.connection.is_ready() {
                line.opened = true;
                let identity = identity(&line.connection);
                tell(engine, Input::Opened { connection, identity });
            }
            let too_long = loop {
                match line.connection.next_line() {
                    Ok(Some(line)) => tell(engine, Input::Line { connection, line }),
                    Ok(None) => break false,
                    Err(_too_large) => break true,
                }
            };
            self.dirty.insert(token);
            match state {
                _ if too_long => {
                    let why = "it sent a line that is too long".to_owned();
                    self.end(token, connection::CloseReason::Failed(why));
                }
                ReadState::Drained => {}
                ReadState::More => {
                    self.ready.insert(token);
                }
                ReadState::Closed(reason) => self.end(token, reason),
            }
        }
    }

    /// The connections that have ended since this was asked last.
    pub(super) fn take_ends(&mut self) -> Vec<(usize, Input)> {
        let ends = std::mem::take(&mut self.ends);
        let told = |((engine, connection), reason)| (engine, Input::Closed { connection, reason });
        ends.into_iter().map(told).collect()
    }

    /// Everything is closed in good order.
    pub(super) fn say_goodbye(&mut self) {
        for line in self.lines.values_mut() {
            say_all(&mut line.connection);
        }
    }

    fn end(&mut self, token: Token, reason: connection::CloseReason) {
        let Some(line) = self.lines.remove(&token) else { return };
        self.tokens.remove(&line.name);
        let reason = match reason {
            connection::CloseReason::EndOfStream => CloseReason::Ended,
            refused @ connection::CloseReason::Refused => CloseReason::Failed(refused.to_string()),
            connection::CloseReason::Failed(sentence) => CloseReason::Failed(sentence),
            connection::CloseReason::ChangedIdentity(ChangedIdentity { presented, .. }) => {
                let presented =
                    presented.map_or(Identity::Ordinary, |key| Identity::Cluster(key.0));
                CloseReason::IdentityChanged { presented }
            }
        };
        self.ends.push((line.name, reason));
    }
}

/// Writes what is queued and says that no more comes; whatever does not go at once is lost, and the
/// other side sees the end all the same.
fn say_all(connection: &mut Connection) {
    let said = connection.flush().and_then(|_state| {
        connection.shutdown_write();
        connection.flush()
    });
    if let Err(reason) = said {
        log::debug!("a connection ended while it was being closed: {reason}");
    }
}

fn failed(error: &io::Error) -> CloseReason {
    CloseReason::Failed(error.to_string())
}

fn identity(connection: &Connection) -> Identity {
    match connection.transport() {
        Some(Transport::Tls) => tls::cluster_fingerprint(connection.peer_certificates())
            .map_or(Identity::Ordinary, |fingerprint| Identity::Cluster(fingerprint.0)),
        Some(Transport::Plain) | None => Identity::Plain,
    }
}
