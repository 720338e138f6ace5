//! What the server says of itself: `status`, the `cluster` event, and the figures for `/metrics`.

use std::fmt::Write as _;
use std::sync::Arc;

use holdfast_common::ids::ServerId;
use holdfast_common::protocol::{Ephemeral, Role, ServerState, ServerStatus, Status, encode_event};

use super::Node;
use super::events::EPHEMERAL_BYTES_MAX;
use crate::replication::{self, Standing};

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
    /// Operations of this server that the cluster does not have, in lists that are still there.
    pub diverged: u64,
}

/// What of the status is told to clients when it changes: all but lags.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Announced {
    role: Role,
    primary: Option<ServerId>,
    in_sync: u32,
    is_writable: bool,
    /// In the order of the servers' numbers.
    states: Vec<ServerState>,
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
            diverged: self.settings.diverged,
            ..self.metrics
        }
    }

    /// The cluster as this server sees it.
    pub fn status(&self) -> Status {
        let Announced { role, primary, in_sync, is_writable, states } = self.announceable();
        let servers = self.settings.servers.iter().zip(states).map(|((server, address), state)| {
            let (_, lag) = self.replication.standing(*server);
            ServerStatus { server: *server, addr: address.to_string(), state, lag }
        });
        Status {
            server: self.settings.server,
            role,
            primary,
            ballot: self.replication.ballot().to_string(),
            in_sync,
            of: self.of(),
            writable: is_writable,
            waiting: self.waiting(),
            servers: servers.collect(),
            diverged: self.settings.diverged,
        }
    }

    /// The client address of another server that serves, as far as this one knows.
    pub(super) fn elsewhere(&self) -> Option<String> {
        let servers = self.status().servers.into_iter();
        let mut others = servers.filter(|status| status.server != self.settings.server);
        let serves = |state| matches!(state, ServerState::Primary | ServerState::InSync);
        others.find(|other| serves(other.state)).map(|other| other.addr)
    }

    fn announceable(&self) -> Announced {
        let me = self.settings.server;
        let state = |server: ServerId| match self.replication.standing(server).0 {
            // It has not applied yet what it is to lead from.
            Standing::Primary if server == me && !self.leads() => ServerState::Unknown,
            Standing::Primary => ServerState::Primary,
            Standing::InSync => ServerState::InSync,
            Standing::CatchingUp => ServerState::CatchingUp,
            Standing::Down => ServerState::Down,
            Standing::Silent => ServerState::Silent,
            Standing::Unknown => ServerState::Unknown,
        };
        let states: Vec<_> =
            self.settings.servers.iter().map(|(server, _)| state(*server)).collect();
        let primary = match self.replication.primary() {
            Some(primary) if primary.server == me => self.leads().then_some(me),
            primary => primary.map(|primary| primary.server),
        };
        Announced {
            role: self.role(),
            primary,
            in_sync: self.copies(),
            is_writable: self.is_writable(),
            states,
        }
    }

    fn role(&self) -> Role {
        if self.leads() {
            Role::Primary
        } else if self.is_whole() && self.replication.is_in_sync() {
            Role::Backup
        } else {
            Role::Joining
        }
    }

    /// Whether a write that is sent here now finds its way into the log.
    fn is_writable(&self) -> bool {
        let reaches_primary = || {
            let primary = self.replication.forwards_to();
            self.is_whole() && primary.is_some_and(|primary| self.links.to(primary).is_some())
        };
        !self.upkeep.is_stopping() && (self.leads() || reaches_primary())
    }

    /// Why no writes are taken, and what helps.
    fn waiting(&self) -> Option<String> {
        if self.is_writable() {
            return None;
        }
        let is_alone = self.settings.servers.len() == 1;
        let text = if self.upkeep.is_stopping() {
            "this server is stopping: start it again to write".to_owned()
        } else if is_alone || self.replication.role() == replication::Role::Primary {
            "this server is reading its log: it takes writes in a moment".to_owned()
        } else if let Some(primary) = self.replication.primary() {
            match self.links.to(primary) {
                Some(_) => "this server is catching up: it takes writes in a moment".to_owned(),
                None => format!(
                    "this server cannot reach the primary, server {}: mend the network between \
                     them, or use another server",
                    primary.server
                ),
            }
        } else {
            self.waiting_for()
        };
        Some(text)
    }

    /// Nobody leads: for whom everybody waits.
    fn waiting_for(&self) -> String {
        let missing = self.replication.status().waiting_for;
        if missing.is_empty() {
            return "an election is under way: it takes a moment".to_owned();
        }
        let named = |server: &ServerId| {
            let known = self.settings.servers.iter().find(|(other, _)| other == server);
            known.map_or_else(
                || format!("server {server}"),
                |(_, address)| format!("server {server} ({address})"),
            )
        };
        let names = missing.iter().map(named).collect::<Vec<_>>().join(" and ");
        format!(
            "waiting for {names}: start what is down, or mend the network; if their disks are lost \
             for good, start this server with --force-survivor"
        )
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
        let now = self.announceable();
        if self.announced.as_ref() == Some(&now) {
            return false;
        }
        self.log_changes(&now);
        self.announced = Some(now);
        let line: Arc<[u8]> = encode_event(&Ephemeral::Cluster(self.status()), None).into();
        for id in self.clients.ids().collect::<Vec<_>>() {
            let Some(client) = self.clients.get(id) else { continue };
            if client.signed_in().is_some() && client.event_bytes() <= EPHEMERAL_BYTES_MAX {
                self.send_event(id, line.clone());
            }
        }
        true
    }

    /// Writes down once what has changed: how many copies there are, and what became of each
    /// server.
    fn log_changes(&self, now: &Announced) {
        let Some(before) = &self.announced else { return };
        let mut changes = String::new();
        let servers = self.settings.servers.iter().map(|(server, _)| server);
        for ((server, was), is) in servers.zip(&before.states).zip(&now.states) {
            if was != is {
                let _infallible = write!(changes, " server {server}: {was:?} -> {is:?}");
            }
        }
        let (was, is) = (before.in_sync, now.in_sync);
        if was != is {
            log::info!("in sync {is} of {}, before {was};{changes}", self.of());
        } else if !changes.is_empty() {
            log::info!("in sync {is} of {};{changes}", self.of());
        }
        if before.role != now.role {
            let primary = now.primary.map_or_else(|| "none".to_owned(), |p| p.to_string());
            log::info!("role {:?}, before {:?} primary={primary}", now.role, before.role);
        }
    }
}
