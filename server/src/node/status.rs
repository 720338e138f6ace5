//! What the server says of itself: `status`, the `cluster` event, and the figures for `/metrics`.

use std::sync::Arc;

use holdfast_common::protocol::{Ephemeral, Role, ServerState, ServerStatus, Status, encode_event};

use super::Node;
use super::events::EPHEMERAL_BYTES_MAX;

/// Counters since the start, and gauges of now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Connections that were accepted.
    pub connections_opened: u64,
    /// Writes that were answered.
    pub writes: u64,
    /// Events that were sent live.
    pub events: u64,
    /// Sign-ins and password checks that were refused.
    pub sign_in_failures: u64,
    /// Connections now.
    pub connections: u64,
    /// Accounts with a connection now.
    pub users_connected: u64,
    /// Entries that wait for their commit or their turn to be applied.
    pub entries_waiting: u64,
    /// The commit index.
    pub commit_index: u64,
    /// The applied index.
    pub applied_index: u64,
    /// Servers that hold each new write.
    pub in_sync: u64,
    /// Whether writes are taken.
    pub writable: bool,
}

impl Node {
    /// Counters and gauges.
    pub fn metrics(&self) -> Metrics {
        Metrics {
            connections: self.clients.len() as u64,
            users_connected: self.clients.users_len() as u64,
            entries_waiting: (self.pipeline.len() + self.to_apply.len()) as u64,
            commit_index: self.replication.commit().0,
            applied_index: self.applied.index,
            in_sync: u64::from(self.copies()),
            writable: self.is_writable(),
            ..self.metrics
        }
    }

    /// The cluster as this server sees it.
    pub fn status(&self) -> Status {
        let me = self.settings.server;
        // A server that stops leads to the end: nobody else can.
        let leads = self.is_whole();
        let state = |server| match server == me {
            true if leads => ServerState::Primary,
            _ => ServerState::Unknown,
        };
        let servers = self.settings.servers.iter().map(|(server, address)| ServerStatus {
            server: *server,
            addr: address.to_string(),
            state: state(*server),
            lag: (*server == me).then_some(0),
        });
        Status {
            server: me,
            role: if leads { Role::Primary } else { Role::Joining },
            primary: leads.then_some(me),
            ballot: self.replication.ballot().to_string(),
            in_sync: self.copies(),
            of: self.of(),
            writable: self.is_writable(),
            waiting: self.waiting(),
            servers: servers.collect(),
        }
    }

    fn is_writable(&self) -> bool {
        self.is_whole() && !self.upkeep.is_stopping()
    }

    fn waiting(&self) -> Option<String> {
        if self.upkeep.is_stopping() {
            Some("this server is stopping: start it again to write".to_owned())
        } else if !self.is_whole() {
            Some("this server is reading its log: it takes writes in a moment".to_owned())
        } else {
            None
        }
    }

    /// How many servers hold each new write.
    pub(super) fn copies(&self) -> u32 {
        u32::try_from(self.replication.in_sync()).expect("a view has at most seven members")
    }

    /// How many servers the cluster has.
    pub(super) fn of(&self) -> u32 {
        u32::try_from(self.settings.servers.len()).expect("a cluster has at most seven servers")
    }

    /// Tells every signed-in connection when the status has changed; says whether it has.
    pub(super) fn announce_status(&mut self) -> bool {
        let key = (self.is_writable(), self.copies());
        if self.announced == Some(key) {
            return false;
        }
        self.announced = Some(key);
        let line: Arc<[u8]> = encode_event(&Ephemeral::Cluster(self.status()), None).into();
        for id in self.clients.ids().collect::<Vec<_>>() {
            let Some(client) = self.clients.get(id) else { continue };
            if client.signed_in().is_some() && client.event_bytes() <= EPHEMERAL_BYTES_MAX {
                self.send_event(id, line.clone());
            }
        }
        true
    }
}
