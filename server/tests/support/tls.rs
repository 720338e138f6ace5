//! The client's side of TLS over a blocking socket.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use holdfast_common::net::tls::{CLUSTER_NAME, Trust, client_config};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::client::{Client, dial};

/// A TLS session over a connected socket.
pub(crate) type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A session for a client with this trust; the handshake has not begun.
pub(crate) fn session(stream: TcpStream, trust: Trust) -> Stream {
    over(stream, client_config(trust).expect("a configuration"), CLUSTER_NAME)
}

/// The same with a configuration of the test's own.
pub(crate) fn over(stream: TcpStream, config: Arc<ClientConfig>, name: &str) -> Stream {
    let name = name.to_owned().try_into().expect("a name");
    StreamOwned::new(ClientConnection::new(config, name).expect("a session"), stream)
}

/// A connection that trusts at first use, greeted.
pub(crate) fn connect(address: SocketAddr) -> Client {
    Client::over(Box::new(session(dial(address), Trust::FirstUse)))
}
