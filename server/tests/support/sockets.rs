//! Sockets as only bad clients use them.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::client::ready;

/// Connects from an address of this machine's choice.
pub(crate) fn dial_from(from: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None);
    let socket = socket.expect("a socket");
    rustix::net::bind(&socket, &from).expect("an address of this machine");
    rustix::net::connect(&socket, &to).expect("a server that listens");
    ready(TcpStream::from(socket))
}

/// Ends a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("a socket");
    drop(stream);
}
