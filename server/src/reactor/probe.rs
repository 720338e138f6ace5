//! Asks the other servers, before this one serves, whether the cluster goes on without it.
//!
//! Owns: a few short connections to client ports. Driven by: `main`, for a store that cannot be
//! believed. Invariants: only servers with this cluster's identity are heard; what does not answer
//! within moments says nothing. Does not: say who it is, so nobody takes it for the server that it
//! is about to be.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use holdfast_common::ids::ServerId;
use holdfast_common::net::tls::{Fingerprint, Trust, client_config};
use holdfast_common::protocol::{Role, ServerState, Status};

/// Each step of a connection takes this long at most.
const WITHIN: Duration = Duration::from_secs(1);
/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 128 * 1024;
const QUESTIONS: &[u8] =
    b"{\"id\":1,\"op\":\"hello\",\"d\":{\"proto\":[1],\"client\":\"server/1\"}}\n\
                           {\"id\":2,\"op\":\"status\"}\n";

#[derive(serde::Deserialize)]
struct Reply {
    id: u64,
    ok: Status,
}

/// Whether one of the others leads, takes writes, and has no need of `server` for them.
pub fn goes_on_without(server: ServerId, others: &[SocketAddr], cluster: Fingerprint) -> bool {
    let leads_without = |address: &SocketAddr| match status(*address, cluster) {
        Ok(status) => excludes(&status, server),
        Err(error) => {
            log::debug!("{address} does not say how the cluster is: {error}");
            false
        }
    };
    others.iter().any(leads_without)
}

/// Whether every member of the view is another server.
fn excludes(status: &Status, server: ServerId) -> bool {
    let is_member = |state| matches!(state, ServerState::Primary | ServerState::InSync);
    let others = status.servers.iter().filter(|each| each.server != server);
    let members = others.filter(|each| is_member(each.state)).count();
    status.role == Role::Primary && status.writable && members == status.in_sync as usize
}

fn status(address: SocketAddr, cluster: Fingerprint) -> io::Result<Status> {
    let stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let config = client_config(Trust::Pinned(cluster)).map_err(io::Error::other)?;
    let name = rustls::pki_types::ServerName::from(address.ip());
    let tls = rustls::ClientConnection::new(config, name).map_err(io::Error::other)?;
    let mut stream = rustls::StreamOwned::new(tls, stream);
    stream.write_all(QUESTIONS)?;
    for line in BufReader::new(stream.take(ANSWER_BYTES_MAX)).lines() {
        if let Ok(Reply { id: 2, ok }) = serde_json::from_str(&line?) {
            return Ok(ok);
        }
    }
    Err(io::Error::other("it gives no answer"))
}
