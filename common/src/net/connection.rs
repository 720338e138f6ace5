//! The only non-blocking byte pipe: lines over a socket, plain or within TLS.
//!
//! Owns: one socket, its TLS session, the line that has come in part, lines that nobody has taken
//! yet, and lines that wait to be written. Driven by: the reactor and the client's driver, edge
//! triggered: register [`Connection::source`] once for reading and writing; after an edge
//! [`Connection::read`] until `Drained`, and [`Connection::flush`] until `Blocked` or `Done`.
//! Either of them also carries the connect and the TLS handshake on, so both follow every edge.
//!
//! Invariants: no call waits; an idle connection holds no buffers (except 4 KiB that `rustls`
//! keeps); no plaintext waits unseen behind a drained socket; what is encrypted ahead of the kernel
//! is bounded. Does not: time out (the owner closes whoever does not get ready in time), bound its
//! queues (while [`Connection::has_lines`], the owner does not read; it watches
//! [`Connection::queued_bytes`]), or look inside a line.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ServerConfig};

pub use super::outcome::{CloseReason, FlushState, ReadState, Transport};
use super::queue::SendQueue;
use super::session::Session;
pub use super::socket::Socket;
use crate::frame::{Decoder, TooLarge};

/// What one system call reads at most. It lives on the stack of `read`, so it costs no connection
/// anything, and it is a TLS record's worth.
const SCRATCH_BYTES: usize = 16 * 1024;

/// A TLS handshake begins with this byte, and no line of JSON does.
const TLS_HANDSHAKE: u8 = 0x16;

/// See the module's page.
pub struct Connection {
    socket: Socket,
    connected: bool,
    pipe: Pipe,
    decoder: Decoder,
    queue: SendQueue,
    /// Bytes of lines that TLS has taken and the kernel has not.
    sealed_bytes: usize,
    read_end: Option<CloseReason>,
    write_end: Option<CloseReason>,
}

enum Pipe {
    /// Accepted, and the first byte has not come.
    Undecided(Arc<ServerConfig>),
    Plain,
    Tls(Session),
}

impl Connection {
    /// A pipe over an accepted socket. With `tls` the first byte decides whether the other side
    /// speaks TLS; without, lines are plain.
    pub fn accept(
        socket: Socket,
        tls: Option<Arc<ServerConfig>>,
        line_bytes_max: usize,
    ) -> Connection {
        socket.send_promptly();
        let pipe = tls.map_or(Pipe::Plain, Pipe::Undecided);
        Connection {
            connected: true,
            ..Connection::over(socket, pipe, Decoder::new(line_bytes_max))
        }
    }

    /// A pipe over a socket that is being connected.
    ///
    /// # Errors
    /// A TLS configuration that cannot work.
    pub fn dial(
        socket: Socket,
        tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
        line_bytes_max: usize,
    ) -> Result<Connection, rustls::Error> {
        let pipe = match tls {
            None => Pipe::Plain,
            Some((config, name)) => Pipe::Tls(Session::dial(config, name)?),
        };
        Ok(Connection::over(socket, pipe, Decoder::new(line_bytes_max)))
    }

    /// A link between servers that was accepted: always TLS, and frames of at most
    /// `frame_bytes_max` bytes in place of lines.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn accept_link(
        socket: Socket,
        tls: Arc<ServerConfig>,
        frame_bytes_max: usize,
    ) -> Result<Connection, CloseReason> {
        socket.send_promptly();
        let pipe = Pipe::Tls(Session::accept(tls)?);
        let connection = Connection::over(socket, pipe, Decoder::frames(frame_bytes_max));
        Ok(Connection { connected: true, ..connection })
    }

    /// A link between servers that is being dialled.
    ///
    /// # Errors
    /// The configuration cannot be used.
    pub fn dial_link(
        socket: Socket,
        (config, name): (Arc<ClientConfig>, ServerName<'static>),
        frame_bytes_max: usize,
    ) -> Result<Connection, rustls::Error> {
        let pipe = Pipe::Tls(Session::dial(config, name)?);
        Ok(Connection::over(socket, pipe, Decoder::frames(frame_bytes_max)))
    }

    fn over(socket: Socket, pipe: Pipe, decoder: Decoder) -> Connection {
        Connection {
            socket,
            connected: false,
            pipe,
            decoder,
            queue: SendQueue::default(),
            sealed_bytes: 0,
            read_end: None,
            write_end: None,
        }
    }

    /// What the owner registers with its poll, once, for reading and writing.
    pub fn source(&mut self) -> &mut dyn mio::event::Source {
        self.socket.source()
    }

    /// How bytes travel; unknown until the first has come to a socket that may speak either way.
    pub fn transport(&self) -> Option<Transport> {
        match self.pipe {
            Pipe::Undecided(_) => None,
            Pipe::Plain => Some(Transport::Plain),
            Pipe::Tls(_) => Some(Transport::Tls),
        }
    }

    /// Whether lines can travel: connected, transport known, TLS handshake complete. It changes
    /// in `read` and `flush`.
    pub fn is_ready(&self) -> bool {
        self.connected
            && match &self.pipe {
                Pipe::Undecided(_) => false,
                Pipe::Plain => true,
                Pipe::Tls(tls) => !tls.is_handshaking(),
            }
    }

    /// The chain that the other side has shown, its own certificate first; empty without one.
    pub fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        match &self.pipe {
            Pipe::Tls(tls) => tls.peer_certificates(),
            Pipe::Undecided(_) | Pipe::Plain => &[],
        }
    }

    /// Takes what has come: until nothing is left, or about `budget_bytes`.
    pub fn read(&mut self, budget_bytes: usize) -> ReadState {
        if let Some(reason) = &self.read_end {
            return ReadState::Closed(reason.clone());
        }
        self.receive(budget_bytes).unwrap_or_else(|reason| {
            self.read_end = Some(reason.clone());
            ReadState::Closed(reason)
        })
    }

    /// The next whole line without its newline. It is pulled, so that an owner that is behind
    /// leaves lines here, does not read, and the sender feels it.
    ///
    /// # Errors
    /// [`TooLarge`] behind the last good line: nothing more can be read from this connection.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        self.decoder.next_line()
    }

    /// Whether `next_line` has something to say.
    pub fn has_lines(&self) -> bool {
        self.decoder.has_lines()
    }

    /// Queues a line, which ends with its newline; `flush` writes it.
    /// One line may wait in many connections' queues at once: it is shared.
    pub fn send(&mut self, line: impl Into<Arc<[u8]>>) {
        let line = line.into();
        debug_assert!(line.ends_with(b"\n"), "what is sent is a line");
        if self.write_end.is_none() {
            self.queue.push(line);
        }
    }

    /// Queues a frame of a link; its length goes before it.
    ///
    /// # Panics
    /// When it has 4 GiB or more.
    pub fn send_frame(&mut self, frame: Vec<u8>) {
        let length = u32::try_from(frame.len()).expect("frames are far smaller than 4 GiB");
        if self.write_end.is_none() {
            self.queue.push(length.to_le_bytes().into());
            self.queue.push(frame.into());
        }
    }

    /// Bytes of lines that the kernel has not taken.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes() + self.sealed_bytes
    }

    /// Writes until nothing is left or nothing more can be written; many lines go in one system
    /// call.
    ///
    /// # Errors
    /// Why nothing can be written any more, now and ever after. Lines may still be there to read.
    pub fn flush(&mut self) -> Result<FlushState, CloseReason> {
        if let Some(reason) = &self.write_end {
            return Err(reason.clone());
        }
        self.transmit().inspect_err(|reason| {
            self.write_end = Some(reason.clone());
            self.queue = SendQueue::default();
            self.sealed_bytes = 0;
        })
    }

    /// Nothing has come that says how the other side speaks, and no more is waited for: what is
    /// queued leaves in the clear. Changes nothing once a byte has come.
    pub fn assume_plain(&mut self) {
        if let Pipe::Undecided(_) = self.pipe {
            self.pipe = Pipe::Plain;
        }
    }

    /// Says that no more will be sent, within TLS as far as that can be done at once. The owner has
    /// flushed before; it may go on reading.
    pub fn shutdown_write(&mut self) {
        if let Pipe::Tls(tls) = &mut self.pipe {
            tls.close(&mut self.socket);
        }
        self.socket.shutdown_write();
        self.write_end = Some(CloseReason::EndOfStream);
    }

    /// Whether the socket is connected by now.
    fn connect(&mut self) -> Result<bool, CloseReason> {
        if self.connected {
            return Ok(true);
        }
        match self.socket.connected() {
            Ok(connected) => {
                self.connected = connected;
                if connected {
                    self.socket.send_promptly();
                }
                Ok(connected)
            }
            Err(error) => {
                // The system tells this once, and it is the end of both directions.
                let reason = match error.kind() == io::ErrorKind::ConnectionRefused {
                    true => CloseReason::Refused,
                    false => CloseReason::Failed(format!("cannot connect: {error}")),
                };
                self.read_end = Some(reason.clone());
                self.write_end = Some(reason.clone());
                Err(reason)
            }
        }
    }

    fn receive(&mut self, budget_bytes: usize) -> Result<ReadState, CloseReason> {
        if !self.connect()? {
            return Ok(ReadState::Drained);
        }
        let mut scratch = [0; SCRATCH_BYTES];
        let mut read_bytes = 0;
        while read_bytes < budget_bytes {
            match self.socket.read(&mut scratch) {
                Ok(0) => return Err(self.end_of_stream()),
                Ok(count) => {
                    read_bytes += count;
                    self.take_in(&scratch[..count])?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if let Pipe::Tls(tls) = &mut self.pipe {
                        tls.release_buffer();
                    }
                    return Ok(ReadState::Drained);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CloseReason::broken(&error)),
            }
        }
        Ok(ReadState::More)
    }

    /// Bytes as they came from the socket; there is at least one.
    fn take_in(&mut self, bytes: &[u8]) -> Result<(), CloseReason> {
        if let Pipe::Undecided(config) = &self.pipe {
            self.pipe = if bytes.first() == Some(&TLS_HANDSHAKE) {
                Pipe::Tls(Session::accept(Arc::clone(config))?)
            } else {
                Pipe::Plain
            };
        }
        match &mut self.pipe {
            Pipe::Undecided(_) | Pipe::Plain => {
                self.decoder.feed(bytes);
                Ok(())
            }
            Pipe::Tls(tls) => tls.open(&mut self.socket, &mut self.decoder, bytes),
        }
    }

    fn end_of_stream(&self) -> CloseReason {
        match &self.pipe {
            Pipe::Undecided(_) | Pipe::Plain => CloseReason::EndOfStream,
            Pipe::Tls(tls) => tls.cut(),
        }
    }

    fn transmit(&mut self) -> Result<FlushState, CloseReason> {
        if !self.connect()? {
            return Ok(FlushState::Blocked);
        }
        // Lines wait for the first byte or the handshake, and its edge comes with the other side's
        // bytes.
        let waiting = if self.queue.is_empty() { FlushState::Done } else { FlushState::Blocked };
        let tls = match &mut self.pipe {
            Pipe::Undecided(_) => return Ok(waiting),
            Pipe::Plain => {
                while !self.queue.is_empty() {
                    match self.queue.write_with(|lines| self.socket.write_vectored(lines)) {
                        Ok(0) => return Err(CloseReason::broken(&io::ErrorKind::WriteZero.into())),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            return Ok(FlushState::Blocked);
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(CloseReason::broken(&error)),
                    }
                }
                return Ok(FlushState::Done);
            }
            Pipe::Tls(tls) => tls,
        };
        loop {
            if tls.write_records(&mut self.socket)? == FlushState::Blocked {
                return Ok(FlushState::Blocked);
            }
            self.sealed_bytes = 0;
            if tls.is_handshaking() {
                return Ok(waiting);
            }
            if self.queue.is_empty() {
                return Ok(FlushState::Done);
            }
            self.sealed_bytes = tls.seal(&mut self.queue)?;
        }
    }
}

/// It shows no bytes: they are people's messages.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("socket", &self.socket)
            .field("transport", &self.transport())
            .field("is_ready", &self.is_ready())
            .field("queued_bytes", &self.queued_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
