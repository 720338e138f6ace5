//! The gate: nothing that depends on the state is answered before the state holds everything that
//! was acknowledged when this life began.
//!
//! Owns: when the state may be asked, the requests that wait for it, and the connections that came
//! before the cluster had an id. Driven by: `requests`, the node (what was applied, the clock).
//! Invariants: what is open stays open; what waits goes on in the order in which it came, or is
//! sent elsewhere; nobody signs in on a connection that was told no id. Does not: make sure that
//! what is read later is the newest (`fresh` does).

use std::time::Instant;

use super::effect::ClientId;
use super::kinds::Kind;
use super::{Node, fresh};

/// A request that waits until the state is whole.
pub(super) struct AtGate {
    pub(super) client: ClientId,
    pub(super) id: u64,
    pub(super) kind: Kind,
    pub(super) until: Instant,
}

impl Node {
    /// Whether the state holds everything that was acknowledged when this life began: from then on
    /// it may be read, with a primary or without.
    pub(super) fn is_whole(&self) -> bool {
        self.has_been_whole || self.applied.index >= self.replication.opening().0
    }

    /// From when the state is whole on it may be asked; says whether it just became so.
    pub(super) fn open_gate(&mut self) -> bool {
        if self.has_been_whole || !self.is_whole() {
            return false;
        }
        self.has_been_whole = true;
        for AtGate { client, id, kind, .. } in std::mem::take(&mut self.gate) {
            self.submit(client, id, kind);
        }
        true
    }

    /// The cluster has its id: whoever was greeted before comes again and is told it, for a client
    /// keeps what it has under that. This happens as soon as the first view is known to be
    /// committed, so before anything behind it can be answered. Says whether anybody was there.
    pub(super) fn close_early(&mut self) -> bool {
        if self.early.is_empty() || self.replication.settled_cluster().is_none() {
            return false;
        }
        for client in std::mem::take(&mut self.early) {
            self.close(client);
        }
        true
    }

    /// Sends elsewhere who has waited at the gate for too long. Of a server that is alone there is
    /// no elsewhere, and its log has an end.
    pub(super) fn give_up_gate(&mut self) {
        let now = self.now.instant;
        while self.gate_deadline().is_some_and(|at| at <= now) {
            let Some(AtGate { client, id, .. }) = self.gate.pop_front() else { return };
            self.refuse(client, id, fresh::behind());
        }
    }

    pub(super) fn gate_deadline(&self) -> Option<Instant> {
        let has_others = self.settings.servers.len() > 1;
        self.gate.front().filter(|_| has_others).map(|waiting| waiting.until)
    }
}
