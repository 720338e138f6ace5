//! The first words with a server: who it is, and whether it is one of ours.
//!
//! Owns: nothing (what it learns goes to `home`). Driven by: `connect`. Invariants: nothing is sent
//! to a server before its identity is known or a person has accepted it; a server of another
//! cluster than the account's is never used, and one of none yet for questions alone; a known
//! cluster that shows another key stops everything.

use super::Engine;
use super::connect::{Candidate, DIAL_PATIENCE, Phase};
use super::sign_in::Session;
use crate::client::stored::ADDRESSES_MAX;
use crate::client::{
    ClusterRecord, ConnectionId, ConnectionState, Effect, Failure, Identity, Write,
};
use crate::protocol::{Hello, HelloOk, PROTOCOL, Reply, Request, ServerLine};

/// Why nobody signs in to a server that does not know its cluster: it never met the others, or
/// there is none yet. It can say how it is, and for whom it waits.
const NO_CLUSTER: &str = "is not in its cluster yet";
/// `hello` is the first request of every connection.
pub(super) const HELLO_ID: u64 = 1;

impl Engine {
    pub(super) fn opened(&mut self, connection: ConnectionId, identity: Identity) {
        let found = self.net.candidates.iter().position(|c| c.connection == connection);
        let Some(at) = found else { return };
        let address = self.net.candidates[at].address.clone();
        let pinned = self.record_of_address(&address).and_then(|record| record.identity);
        self.net.candidates[at].identity = Some(identity);
        if identity != Identity::Plain && pinned.is_some_and(|pinned| pinned != identity) {
            return self.identity_changed(address, identity);
        }
        if self.is_trusted(identity) {
            self.greet(connection);
        } else if self.has_pinned_session() {
            self.drop_candidate(connection, "shows the identity of another cluster");
        } else {
            self.net.candidates[at].phase = Phase::Unconfirmed;
            self.unconfirmed(address, identity);
        }
    }

    /// A cluster's own identity is believed when it is known or was accepted; a certificate that
    /// the web's rules accept, and a connection that the person's own settings leave open, need no
    /// question.
    fn is_trusted(&self, identity: Identity) -> bool {
        let is_pinned = |record: &ClusterRecord| record.identity == Some(identity);
        match identity {
            Identity::Plain | Identity::Ordinary => true,
            Identity::Cluster(_) => {
                self.settings.trusts_first_use
                    || self.net.accepted.contains(&identity)
                    || self.home.clusters.iter().any(is_pinned)
            }
        }
    }

    /// Whether the account's cluster is known by its identity: then another one is not asked about,
    /// because it cannot be the one meant.
    fn has_pinned_session(&self) -> bool {
        let (Session::In, Some(place)) = (&self.session, &self.place) else { return false };
        let ours = self.home.clusters.iter().find(|record| record.cluster == place.key.cluster);
        ours.is_some_and(|record| record.identity.is_some())
    }

    fn greet(&mut self, connection: ConnectionId) {
        let give_up_at = self.instant() + DIAL_PATIENCE;
        let hello = Hello { proto: vec![PROTOCOL], client: self.settings.client.clone() };
        let found = self.net.candidates.iter_mut().find(|c| c.connection == connection);
        let Some(candidate) = found else { return };
        candidate.phase = Phase::Greeted;
        candidate.give_up_at = give_up_at;
        let line = Request::Hello(hello).encode(HELLO_ID);
        self.effects.push(Effect::Send { connection, line });
    }

    /// A line from a server that is not linked: the answer to `hello`, or nonsense.
    pub(super) fn candidate_line(&mut self, connection: ConnectionId, line: &[u8]) {
        let found = self.net.candidates.iter_mut().find(|c| c.connection == connection);
        let Some(candidate) = found else { return };
        if !matches!(candidate.phase, Phase::Greeted) {
            // An event between the answer to `hello` and the choice: the winner's status is fresh
            // enough.
            return;
        }
        match read_hello(line) {
            Err(reason) => self.drop_candidate(connection, &reason),
            Ok(hello) => {
                let (address, identity) = (candidate.address.clone(), candidate.identity);
                candidate.phase = Phase::Good(Box::new(hello.clone()));
                self.hello_came(connection, &address, identity, &hello);
            }
        }
    }

    fn hello_came(
        &mut self,
        connection: ConnectionId,
        address: &str,
        identity: Option<Identity>,
        hello: &HelloOk,
    ) {
        if hello.cluster.is_empty() && !matches!(self.session, Session::Out) {
            let why = hello.status.waiting.as_deref().unwrap_or(NO_CLUSTER);
            return self.drop_candidate(connection, why);
        }
        let known = self.home.clusters.iter().find(|record| record.cluster == hello.cluster);
        let pinned = known.and_then(|record| record.identity);
        let presented = identity.filter(|identity| *identity != Identity::Plain);
        if let (Some(pinned), Some(presented)) = (pinned, presented)
            && pinned != presented
            && !self.net.accepted.contains(&presented)
        {
            let address = address.to_owned();
            self.stop(ConnectionState::IdentityChanged { address, pinned, presented });
            return self.nobody_answers(&Failure::IdentityChanged);
        }
        let ours = match (&self.session, &self.place) {
            (Session::In, Some(place)) => place.key.cluster == hello.cluster,
            _ => true,
        };
        if ours {
            self.decide(false);
        } else {
            self.drop_candidate(connection, "belongs to another cluster");
        }
    }

    /// Keeps what a server said of its cluster: its identity and its servers.
    pub(super) fn learn_servers(&mut self, candidate: &Candidate, hello: &HelloOk) {
        if hello.cluster.is_empty() {
            return;
        }
        let known = self.home.clusters.iter().position(|record| record.cluster == hello.cluster);
        let before = known.map(|at| self.home.clusters[at].clone());
        let mut record = before.clone().unwrap_or_else(|| ClusterRecord {
            cluster: hello.cluster.clone(),
            identity: None,
            servers: Vec::new(),
        });
        if let Some(identity) = candidate.identity.filter(|identity| *identity != Identity::Plain) {
            record.identity = Some(identity);
        }
        record.servers.clear();
        let named = hello.status.servers.iter().map(|server| &server.addr).take(ADDRESSES_MAX - 1);
        record.learn(named.chain([&candidate.address]));
        if before.as_ref() == Some(&record) {
            return;
        }
        match known {
            Some(at) => self.home.clusters[at] = record.clone(),
            None => self.home.clusters.push(record.clone()),
        }
        self.effects.write(Write::Cluster(record));
    }

    pub(super) fn record_of_address(&self, address: &str) -> Option<&ClusterRecord> {
        let has = |record: &&ClusterRecord| record.servers.iter().any(|known| known == address);
        self.home.clusters.iter().find(has)
    }

    /// The person says: this is the cluster meant. If it is a known one with a new key, the old pin
    /// goes.
    pub(super) fn accept_identity(&mut self, identity: Identity) {
        self.net.accepted.push(identity);
        if let Some(ConnectionState::IdentityChanged { address, pinned, .. }) = self.net.stopped() {
            let pinned = *pinned;
            let address = address.clone();
            let holds = |record: &&mut ClusterRecord| {
                record.identity == Some(pinned) && record.servers.contains(&address)
            };
            if let Some(record) = self.home.clusters.iter_mut().find(holds) {
                record.identity = Some(identity);
                self.effects.write(Write::Cluster(record.clone()));
            }
        }
        self.resume_dialling();
        for candidate in std::mem::take(&mut self.net.candidates) {
            let connection = candidate.connection;
            let is_held = matches!(candidate.phase, Phase::Unconfirmed);
            let is_accepted = candidate.identity == Some(identity);
            if is_held && !is_accepted {
                self.effects.push(Effect::Close { connection });
                continue;
            }
            self.net.candidates.push(candidate);
            if is_held {
                self.greet(connection);
            }
        }
        if !self.net.candidates.is_empty() {
            self.decide(false);
        }
    }

    pub(super) fn reject_identity(&mut self) {
        self.nobody_answers(&Failure::IdentityRejected);
        self.stop(ConnectionState::Idle);
    }
}

fn read_hello(line: &[u8]) -> Result<HelloOk, String> {
    let no_server = |reason: String| format!("is no server of this protocol: {reason}");
    match ServerLine::parse(line).map_err(no_server)? {
        ServerLine::Reply { id: Some(HELLO_ID), outcome: Ok(ok) } => {
            let reply = Reply::parse("hello", &ok).map_err(|error| no_server(error.text))?;
            if let Reply::Hello(hello) = reply
                && hello.proto == PROTOCOL
            {
                return Ok(hello);
            }
            Err("speaks another version of the protocol".to_owned())
        }
        ServerLine::Reply { outcome: Err(error), .. } => Err(error.text),
        ServerLine::Reply { .. }
        | ServerLine::Durable(..)
        | ServerLine::Ephemeral(_)
        | ServerLine::UnknownEvent => Err(no_server("no answer to hello".to_owned())),
    }
}
