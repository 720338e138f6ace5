//! One TLS session of a pipe.
//!
//! Owns: the state of `rustls` for one connection. Driven by: `connection`. Invariants: plaintext
//! that has come is handed on before a call returns; at most [`SEALED_BYTES_MAX`] are encrypted
//! ahead of the kernel; an idle session holds 4 KiB of buffers, which `rustls` does not give up.
//! Does not: judge the other side (`tls` does).

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

use super::outcome::{CloseReason, FlushState};
use super::queue::SendQueue;
use super::socket::Socket;
use super::tls::ChangedIdentity;
use crate::frame::Decoder;

/// Plaintext encrypted ahead of the kernel: four records, one write.
pub(super) const SEALED_BYTES_MAX: usize = 64 * 1024;

/// Boxed: a plain connection is not to pay for its size.
pub(super) struct Session(Box<rustls::Connection>);

impl Session {
    pub(super) fn accept(config: Arc<ServerConfig>) -> Result<Session, CloseReason> {
        let session = ServerConnection::new(config).map_err(|error| refused(&error))?;
        Ok(Session::bounded(session.into()))
    }

    pub(super) fn dial(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Session, rustls::Error> {
        Ok(Session::bounded(ClientConnection::new(config, name)?.into()))
    }

    fn bounded(mut session: rustls::Connection) -> Session {
        session.set_buffer_limit(Some(SEALED_BYTES_MAX));
        Session(Box::new(session))
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.0.is_handshaking()
    }

    pub(super) fn peer_certificates(&self) -> &[CertificateDer<'static>] {
        self.0.peer_certificates().unwrap_or_default()
    }

    /// Decrypts `records` into `decoder`, and answers what the handshake asks.
    pub(super) fn open(
        &mut self,
        socket: &mut Socket,
        decoder: &mut Decoder,
        records: &[u8],
    ) -> Result<(), CloseReason> {
        let mut rest = records;
        while !rest.is_empty() {
            let taken = self.0.read_tls(&mut rest).map_err(|error| CloseReason::broken(&error))?;
            if taken == 0 {
                return Err(CloseReason::Failed("TLS takes no more records".to_owned()));
            }
            if let Err(error) = self.0.process_new_packets() {
                // The alert tells the other side why. If it cannot leave at once, the end tells
                // enough.
                self.write_records(socket).ok();
                return Err(refused(&error));
            }
            let mut reader = self.0.reader();
            loop {
                match reader.fill_buf() {
                    Ok([]) => return Err(CloseReason::EndOfStream),
                    Ok(bytes) => {
                        let count = bytes.len();
                        decoder.feed(bytes);
                        reader.consume(count);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(CloseReason::broken(&error)),
                }
            }
        }
        self.write_records(socket).map(|_| ())
    }

    /// Encrypts the first of the queued lines; how many bytes.
    pub(super) fn seal(&mut self, queue: &mut SendQueue) -> Result<usize, CloseReason> {
        queue
            .write_with(|lines| self.0.writer().write_vectored(lines))
            .map_err(|error| CloseReason::broken(&error))
    }

    /// Hands finished records to the kernel.
    pub(super) fn write_records(&mut self, socket: &mut Socket) -> Result<FlushState, CloseReason> {
        while self.0.wants_write() {
            match self.0.write_tls(socket) {
                Ok(0) => return Err(CloseReason::broken(&io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(FlushState::Blocked);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CloseReason::broken(&error)),
            }
        }
        Ok(FlushState::Done)
    }

    /// `rustls` shrinks the buffer that a large record has filled only when it is asked to read
    /// again: so it is asked, and there is nothing to read.
    pub(super) fn release_buffer(&mut self) {
        struct Nothing;
        impl Read for Nothing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        self.0.read_tls(&mut Nothing).ok();
    }

    /// Tells the other side that no more will come, as far as that can be done at once.
    pub(super) fn close(&mut self, socket: &mut Socket) {
        self.0.send_close_notify();
        self.write_records(socket).ok();
    }

    /// What it means that the socket ended. Whoever closes a session says so inside of it (then
    /// `open` has seen that); without, anybody on the way may have cut it.
    pub(super) fn cut(&self) -> CloseReason {
        let sentence = if self.is_handshaking() {
            "the connection ended within the TLS handshake"
        } else {
            "the connection was cut: TLS was not closed"
        };
        CloseReason::Failed(sentence.to_owned())
    }
}

fn refused(error: &rustls::Error) -> CloseReason {
    if let Some(changed) = ChangedIdentity::within(error) {
        return CloseReason::ChangedIdentity(changed);
    }
    CloseReason::Failed(if let rustls::Error::InvalidMessage(_) = error {
        format!("what came is not TLS: {error}")
    } else if let rustls::Error::AlertReceived(alert) = error {
        format!("the other side refused the TLS session: {alert:?}")
    } else {
        format!("the TLS session failed: {error}")
    })
}
