//! The doors: every port that a server listens on, and its administration socket.
//!
//! Owns: the listeners. Driven by: `main` (binds, and tells a person what is in the way) and the
//! loop (accepts). Invariant: all ports are open, or none. Does not: keep connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use holdfast_common::config::ServerAddresses;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry};

use super::{ADMINISTRATION, CLIENTS, HTTP, REPLICAS};

/// A port that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({key}): {}", explain(.source, .key))]
pub struct BindError {
    address: SocketAddr,
    key: String,
    #[source]
    source: io::Error,
}

fn explain(error: &io::Error, key: &str) -> String {
    let kind = error.kind();
    if kind == io::ErrorKind::AddrInUse {
        format!("the port is in use by another program: stop that, or change {key}")
    } else if kind == io::ErrorKind::AddrNotAvailable {
        "this is no address of this machine: start this server there, or change its IP".to_owned()
    } else if kind == io::ErrorKind::PermissionDenied {
        format!("ports below 1024 are the system's: change {key} ({error})")
    } else {
        error.to_string()
    }
}

/// See the module's page.
#[derive(Debug)]
pub struct Listeners {
    clients: TcpListener,
    replicas: TcpListener,
    http: Option<TcpListener>,
    administration: Option<UnixListener>,
}

impl Listeners {
    /// Opens every port of a server. The administration socket is opened as well, if it can be: a
    /// server that cannot be administered still serves.
    ///
    /// # Errors
    /// [`BindError`]
    pub fn bind(
        addresses: &ServerAddresses,
        http_bind: IpAddr,
        admin_socket: &Path,
    ) -> Result<Listeners, BindError> {
        let number = addresses.server;
        let http = addresses
            .http_port
            .map(|port| listen(SocketAddr::new(http_bind, port), &format!("HTTP_PORT{number}")));
        Ok(Listeners {
            replicas: listen(addresses.replica(), &format!("REPLICA_PORT{number}"))?,
            clients: listen(addresses.client(), &format!("CLIENT_PORT{number}"))?,
            http: http.transpose()?,
            administration: administration(admin_socket),
        })
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut self.clients, CLIENTS, Interest::READABLE)?;
        registry.register(&mut self.replicas, REPLICAS, Interest::READABLE)?;
        if let Some(http) = &mut self.http {
            registry.register(http, HTTP, Interest::READABLE)?;
        }
        if let Some(administration) = &mut self.administration {
            registry.register(administration, ADMINISTRATION, Interest::READABLE)?;
        }
        Ok(())
    }

    pub(super) fn accept_client(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.clients.accept()
    }

    pub(super) fn accept_replica(&self) -> io::Result<TcpStream> {
        self.replicas.accept().map(|(stream, _address)| stream)
    }

    pub(super) fn accept_http(&self) -> io::Result<TcpStream> {
        let http = self.http.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        http.accept().map(|(stream, _address)| stream)
    }

    pub(super) fn accept_administration(&self) -> io::Result<UnixStream> {
        let administration = self.administration.as_ref().ok_or(io::ErrorKind::WouldBlock)?;
        administration.accept().map(|(stream, _address)| stream)
    }
}

fn listen(address: SocketAddr, key: &str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).map_err(|source| BindError { address, key: key.to_owned(), source })
}

/// The socket file of a former life is in the way; that life is over, for this one holds the lock.
fn administration(path: &Path) -> Option<UnixListener> {
    let bind = || {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind()
        .inspect_err(|error| {
            log::warn!(
                "no administration socket at {}: {error} (its path may have 107 bytes)",
                path.display()
            );
        })
        .ok()
}
