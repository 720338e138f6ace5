//! Which server: dialling all at once, and staying with one.
//!
//! Owns: the dials under way, the link that won, the backoff, and the state that is told. Driven
//! by: the engine's doors. Invariants: at most one link; exactly one connection state at a time; no
//! dial while a person must decide about an identity. Does not: speak on the link (`link`,
//! `hello`).

use std::time::{Duration, Instant};

use super::Engine;
use super::link::Link;
use super::sign_in::Session;
use crate::client::{
    CloseReason, ConnectionId, ConnectionState, Effect, Failure, Identity, Tried, Update,
};
use crate::ids::ServerId;
use crate::protocol::HelloOk;

/// The first wait after a failed round; it doubles each time.
const BACKOFF_MIN: Duration = Duration::from_millis(250);
/// The longest wait: a person who looks at the banner should not wait long after a server is back.
const BACKOFF_MAX: Duration = Duration::from_secs(8);
/// A link that held this long forgives the failures before it.
const HEALTH: Duration = Duration::from_secs(30);
/// After a link that held this long the loss is news, and all servers are dialled at once; after a
/// shorter one the backoff holds, so that a server that accepts and hangs up is not dialled in a
/// circle.
const GOOD: Duration = Duration::from_secs(1);
/// A server that has not said hello by then is not waited for.
pub(super) const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a server that cannot write just now waits for one that can.
const WRITABLE_GRACE: Duration = Duration::from_millis(300);

/// A dial under way.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) connection: ConnectionId,
    pub(super) address: String,
    pub(super) identity: Option<Identity>,
    pub(super) phase: Phase,
    pub(super) give_up_at: Instant,
}

#[derive(Debug)]
pub(super) enum Phase {
    Dialing,
    /// A person must say whether this is the cluster meant.
    Unconfirmed,
    /// `hello` was sent.
    Greeted,
    /// It could be used.
    Good(Box<HelloOk>),
}

#[derive(Debug)]
pub(super) struct Net {
    connections: u64,
    pub(super) candidates: Vec<Candidate>,
    pub(super) link: Option<Link>,
    grace_until: Option<Instant>,
    redial_at: Option<Instant>,
    /// Dials since the last healthy link.
    attempts: u32,
    /// A server that just sent us away: used only if there is no other.
    pub(super) avoid: Option<String>,
    tried: Vec<Tried>,
    /// The server that was used before, and since when it is lost (wall clock, ms).
    lost: Option<(ServerId, u64)>,
    since_ms: u64,
    state: ConnectionState,
    pub(super) accepted: Vec<Identity>,
}

impl Default for Net {
    fn default() -> Net {
        Net {
            connections: 0,
            candidates: Vec::new(),
            link: None,
            grace_until: None,
            redial_at: None,
            attempts: 0,
            avoid: None,
            tried: Vec::new(),
            lost: None,
            since_ms: 0,
            state: ConnectionState::Idle,
            accepted: Vec::new(),
        }
    }
}

impl Net {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let give_up = self.candidates.iter().filter(|c| !matches!(c.phase, Phase::Unconfirmed));
        let link = self.link.as_ref().map(Link::deadline);
        let give_up = give_up.map(|candidate| candidate.give_up_at);
        give_up.chain(link).chain(self.grace_until).chain(self.redial_at).min()
    }

    /// Whether a person must decide before anything is dialled.
    fn is_stopped(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Unconfirmed { .. } | ConnectionState::IdentityChanged { .. }
        )
    }

    /// The state in which a person must decide, if it is one.
    pub(super) fn stopped(&self) -> Option<&ConnectionState> {
        self.is_stopped().then_some(&self.state)
    }

    /// Which servers were tried, if none answers.
    pub(super) fn failed_state(&self) -> Option<&Vec<Tried>> {
        match &self.state {
            ConnectionState::NotConnected { tried, .. } => Some(tried),
            ConnectionState::Idle
            | ConnectionState::Connecting
            | ConnectionState::Connected { .. }
            | ConnectionState::Switching { .. }
            | ConnectionState::Unconfirmed { .. }
            | ConnectionState::IdentityChanged { .. } => None,
        }
    }
}

impl Engine {
    fn tell_connection(&mut self, state: ConnectionState) {
        if self.net.state != state {
            self.net.state = state.clone();
            self.effects.update(Update::Connection(state));
        }
    }

    fn wants_connection(&self) -> bool {
        match self.session {
            Session::In | Session::Signing(_) => true,
            Session::Out => !self.asks.is_empty(),
        }
    }

    pub(super) fn dial_if_wanted(&mut self) {
        let idle = self.net.link.is_none() && self.net.candidates.is_empty();
        if !self.wants_connection() {
            self.net.redial_at = None;
            if self.net.link.is_none() {
                self.drop_candidates();
                self.net.lost = None;
                if !matches!(self.net.state, ConnectionState::IdentityChanged { .. }) {
                    self.tell_connection(ConnectionState::Idle);
                }
            }
        } else if matches!(self.net.state, ConnectionState::IdentityChanged { .. }) {
            self.nobody_answers(&Failure::IdentityChanged);
        } else if idle && !self.net.is_stopped() && self.net.redial_at.is_none() {
            self.dial_all();
        }
    }

    /// Every address that could belong to the cluster meant.
    fn addresses(&self) -> Vec<String> {
        let mut addresses = self.settings.servers.clone();
        let named = self.settings.servers.iter();
        let cluster = match (&self.session, &self.place) {
            (Session::In, Some(place)) => Some(&place.key.cluster),
            _ => named
                .filter_map(|address| self.record_of_address(address))
                .map(|record| &record.cluster)
                .next()
                .or(self.home.last.as_ref().map(|last| &last.cluster))
                .filter(|_| addresses.is_empty()),
        };
        let known = self.home.clusters.iter().find(|record| Some(&record.cluster) == cluster);
        for address in known.iter().flat_map(|record| &record.servers) {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// Dials every server but the one that is linked.
    pub(super) fn dial_all(&mut self) {
        let now = self.instant();
        self.net.redial_at = None;
        self.net.grace_until = None;
        self.net.tried.clear();
        if self.net.link.is_none() {
            self.net.attempts = self.net.attempts.saturating_add(1);
        }
        let linked = self.net.link.as_ref().map(|link| link.address.clone());
        for address in self.addresses() {
            if Some(&address) == linked.as_ref() {
                continue;
            }
            self.net.connections += 1;
            let connection = ConnectionId(self.net.connections);
            let pinned = self.record_of_address(&address).and_then(|record| record.identity);
            self.net.candidates.push(Candidate {
                connection,
                address: address.clone(),
                identity: None,
                phase: Phase::Dialing,
                give_up_at: now + DIAL_PATIENCE,
            });
            self.effects.push(Effect::Dial { connection, address, pinned });
        }
        if self.net.link.is_some() {
            return;
        }
        if let Some(tried) = self.net.failed_state() {
            let (since_ms, tried) = (self.net.since_ms, tried.clone());
            let state = ConnectionState::NotConnected { since_ms, next_try_ms: None, tried };
            self.tell_connection(state);
        } else if self.net.lost.is_none() {
            self.tell_connection(ConnectionState::Connecting);
        }
        self.decide(false);
    }

    /// Looks for a better server while the present link stays.
    pub(super) fn scout(&mut self) {
        if self.net.candidates.is_empty() && self.net.link.is_some() {
            self.dial_all();
        }
    }

    pub(super) fn candidate_failed(&mut self, connection: ConnectionId, reason: &str) {
        let found = self.net.candidates.iter().position(|c| c.connection == connection);
        let Some(at) = found else { return };
        let candidate = self.net.candidates.remove(at);
        self.net.tried.push(Tried { address: candidate.address, reason: reason.to_owned() });
        self.decide(false);
    }

    pub(super) fn drop_candidate(&mut self, connection: ConnectionId, reason: &str) {
        self.effects.push(Effect::Close { connection });
        self.candidate_failed(connection, reason);
    }

    fn drop_candidates(&mut self) {
        self.net.grace_until = None;
        for candidate in std::mem::take(&mut self.net.candidates) {
            self.effects.push(Effect::Close { connection: candidate.connection });
        }
    }

    /// Takes the best candidate, as soon as it is clear which that is.
    pub(super) fn decide(&mut self, grace_is_over: bool) {
        if self.net.is_stopped() {
            return;
        }
        let avoid = self.net.avoid.as_deref();
        let rank = |candidate: &Candidate| match &candidate.phase {
            Phase::Good(hello) => {
                let welcome = avoid != Some(candidate.address.as_str());
                let writable = hello.status.writable;
                Some((writable && welcome, welcome, writable))
            }
            Phase::Dialing | Phase::Unconfirmed | Phase::Greeted => None,
        };
        let ranked = self.net.candidates.iter().enumerate();
        let best = ranked
            .filter_map(|(at, candidate)| rank(candidate).map(|rank| (rank, at)))
            .min_by_key(|(rank, at)| (std::cmp::Reverse(*rank), *at));
        let undecided = self.net.candidates.iter().any(|candidate| rank(candidate).is_none());
        match best {
            Some(((true, ..), at)) => self.take(at),
            Some((_, at)) if grace_is_over || !undecided => match self.net.link {
                None => self.take(at),
                Some(_) => self.drop_candidates(),
            },
            Some(_) if self.net.grace_until.is_none() => {
                self.net.grace_until = Some(self.instant() + WRITABLE_GRACE);
            }
            Some(_) => {}
            None if !undecided && self.net.link.is_none() => self.round_failed(),
            None => {}
        }
    }

    fn take(&mut self, at: usize) {
        let candidate = self.net.candidates.remove(at);
        self.drop_candidates();
        if let Some(link) = self.net.link.take() {
            self.net.lost = Some((link.server, self.wall_ms()));
            self.effects.push(Effect::Close { connection: link.connection });
            self.take_back(link);
        }
        let Phase::Good(hello) = &candidate.phase else { return };
        self.learn_servers(&candidate, hello);
        self.effects.update(Update::Cluster(hello.status.clone()));
        self.net.link = Some(Link::new(&candidate, hello, self.instant()));
        self.net.avoid = None;
        self.start_on_link();
    }

    /// The link serves what it is wanted for: from here on the person sees "connected".
    pub(super) fn tell_connected(&mut self) {
        let Some(link) = &self.net.link else { return };
        let before = self.net.lost.map(|(server, _)| server);
        let state = ConnectionState::Connected {
            server: link.server,
            address: link.address.clone(),
            instead_of: before.filter(|before| *before != link.server),
        };
        self.net.lost = None;
        self.tell_connection(state);
    }

    fn round_failed(&mut self) {
        if !self.wants_connection() {
            return;
        }
        let wait = self.backoff();
        self.net.redial_at = Some(self.instant() + wait);
        let wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if self.net.failed_state().is_none() {
            self.net.since_ms = self.net.lost.map_or(self.wall_ms(), |(_, since_ms)| since_ms);
        }
        self.tell_connection(ConnectionState::NotConnected {
            since_ms: self.net.since_ms,
            next_try_ms: Some(self.wall_ms().saturating_add(wait_ms)),
            tried: self.net.tried.clone(),
        });
        self.nobody_answers(&Failure::NoServer(self.net.tried.clone()));
    }

    /// Full jitter: clients that lost the same server do not come back in step.
    fn backoff(&mut self) -> Duration {
        let doublings = self.net.attempts.saturating_sub(1).min(10);
        self.random.up_to((BACKOFF_MIN * (1 << doublings)).min(BACKOFF_MAX))
    }

    /// The link is gone; everything on it is taken back, and all servers are dialled.
    pub(super) fn link_lost(&mut self) {
        let Some(link) = self.net.link.take() else { return };
        let now = self.instant();
        let since = link.since;
        if now.saturating_duration_since(since) >= HEALTH {
            self.net.attempts = 0;
        }
        if self.net.lost.is_none() {
            self.net.lost = Some((link.server, self.wall_ms()));
        }
        self.take_back(link);
        if !self.wants_connection() {
            return;
        }
        if let Some((from, since_ms)) = self.net.lost {
            self.tell_connection(ConnectionState::Switching { from, since_ms });
        }
        let was_good = now.saturating_duration_since(since) >= GOOD;
        if self.net.candidates.is_empty() && self.net.attempts > 0 && !was_good {
            let wait = self.backoff();
            self.net.redial_at = Some(now + wait);
        }
    }

    /// This server cannot serve us: look elsewhere, and come back only if there is no other.
    pub(super) fn leave_link(&mut self) {
        if let Some(link) = &self.net.link {
            self.net.avoid = Some(link.address.clone());
            self.effects.push(Effect::Close { connection: link.connection });
            self.link_lost();
        }
    }

    pub(super) fn closed(&mut self, connection: ConnectionId, reason: CloseReason) {
        if self.net.link.as_ref().is_some_and(|link| link.connection == connection) {
            return self.link_lost();
        }
        match reason {
            CloseReason::IdentityChanged { presented } => {
                let found = self.net.candidates.iter().position(|c| c.connection == connection);
                if let Some(at) = found {
                    let candidate = self.net.candidates.remove(at);
                    self.identity_changed(candidate.address, presented);
                }
            }
            CloseReason::Failed(text) => self.candidate_failed(connection, &text),
            CloseReason::Ended => self.candidate_failed(connection, "closed the connection"),
        }
    }

    /// Full stop: nothing is dialled or sent until a person decides.
    pub(super) fn identity_changed(&mut self, address: String, presented: Identity) {
        let record = self.record_of_address(&address);
        let pinned = record.and_then(|record| record.identity).unwrap_or(presented);
        self.stop(ConnectionState::IdentityChanged { address, pinned, presented });
        self.nobody_answers(&Failure::IdentityChanged);
    }

    /// Drops every connection and waits for a person.
    pub(super) fn stop(&mut self, state: ConnectionState) {
        self.drop_candidates();
        if let Some(link) = self.net.link.take() {
            self.effects.push(Effect::Close { connection: link.connection });
            self.take_back(link);
        }
        self.net.redial_at = None;
        self.tell_connection(state);
    }

    /// First contact. The connection is kept, so that a quick yes goes on with it.
    pub(super) fn unconfirmed(&mut self, address: String, identity: Identity) {
        if !self.net.is_stopped() {
            self.tell_connection(ConnectionState::Unconfirmed { address, identity });
        }
    }

    /// A person has decided: go on, with nothing held against anybody.
    pub(super) fn resume_dialling(&mut self) {
        if self.net.is_stopped() {
            self.tell_connection(ConnectionState::Connecting);
        }
        self.dial_now();
    }

    pub(super) fn dial_now(&mut self) {
        self.net.attempts = 0;
        self.net.redial_at = None;
    }

    pub(super) fn clock_jumped(&mut self) {
        self.dial_now();
        if let Some(link) = &self.net.link {
            self.effects.push(Effect::Close { connection: link.connection });
            self.drop_candidates();
            self.link_lost();
            self.dial_now();
        }
    }

    /// Closes the link although nothing is wrong with it: nobody is signed in any more.
    pub(super) fn hang_up(&mut self) {
        self.drop_candidates();
        if let Some(link) = self.net.link.take() {
            self.effects.push(Effect::Close { connection: link.connection });
            self.take_back(link);
        }
        self.net.lost = None;
    }

    pub(super) fn run_timers(&mut self, now: Instant) {
        if self.net.redial_at.is_some_and(|at| at <= now) {
            self.net.redial_at = None;
        }
        let late: Vec<ConnectionId> = self
            .net
            .candidates
            .iter()
            .filter(|c| c.give_up_at <= now && !matches!(c.phase, Phase::Unconfirmed))
            .map(|candidate| candidate.connection)
            .collect();
        for connection in late {
            self.drop_candidate(connection, "did not answer in 5 s");
        }
        if self.net.grace_until.is_some_and(|at| at <= now) {
            self.net.grace_until = None;
            self.decide(true);
        }
        self.keep_link_alive(now);
    }
}
