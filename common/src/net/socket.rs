//! A stream socket of either kind behind one face.
//!
//! Owns: the socket. Driven by: `connection`. Does not: open one.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};

/// A connected socket, or one that is being connected.
#[derive(Debug)]
pub enum Socket {
    /// Client port, link, and whoever dials them.
    Tcp(TcpStream),
    /// Administration socket.
    Unix(UnixStream),
}

impl Socket {
    /// Whether the socket is connected by now.
    ///
    /// # Errors
    /// Why it never will be.
    pub(super) fn connected(&self) -> io::Result<bool> {
        let (error, peer) = match self {
            Socket::Tcp(tcp) => (tcp.take_error()?, tcp.peer_addr().map(|_| ())),
            Socket::Unix(unix) => (unix.take_error()?, unix.peer_addr().map(|_| ())),
        };
        if let Some(error) = error {
            return Err(error);
        }
        match peer {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lines must leave when they are written, not when more have gathered (`TCP_NODELAY`). A
    /// socket that refuses this is about to fail, and its next read says why.
    pub(super) fn send_promptly(&self) {
        if let Socket::Tcp(tcp) = self {
            tcp.set_nodelay(true).ok();
        }
    }

    /// The other side reads the end after what was written. A socket that refuses this has ended.
    pub(super) fn shutdown_write(&self) {
        match self {
            Socket::Tcp(tcp) => tcp.shutdown(Shutdown::Write),
            Socket::Unix(unix) => unix.shutdown(Shutdown::Write),
        }
        .ok();
    }

    pub(super) fn source(&mut self) -> &mut dyn Source {
        match self {
            Socket::Tcp(tcp) => tcp,
            Socket::Unix(unix) => unix,
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.read(buffer),
            Socket::Unix(unix) => unix.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.write(bytes),
            Socket::Unix(unix) => unix.write(bytes),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.write_vectored(pieces),
            Socket::Unix(unix) => unix.write_vectored(pieces),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
