//! The one connection in use: requests out, lines in, pings.
//!
//! Owns: the requests without an answer, and when the server was last heard. Driven by: `connect`,
//! and by `pump`, which sends what waits. Invariants: every id is answered at most once, and never
//! more than the server's limit are unanswered; what was asked on a link that is lost is taken back
//! and asked again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::asks::Ask;
use super::connect::Candidate;
use super::history::Fetch;
use super::{Engine, Nonsense};
use crate::client::{ConnectionId, Effect, Update};
use crate::ids::{ConversationId, Seq, ServerId, Txn};
use crate::protocol::{
    ByeReason, Empty, Ephemeral, HelloOk, Request, SILENCE_S_MAX, ServerLine, Status,
};

/// A link on which nothing was heard for longer is dead, whatever TCP believes.
const SILENCE_MAX: Duration = Duration::from_secs(SILENCE_S_MAX);
/// A request older than this, with nothing heard since it was sent: look whether another server
/// answers, long before the link counts as dead. Above the two seconds of patience that a server
/// has itself.
const STALL: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Link {
    pub(super) connection: ConnectionId,
    pub(super) address: String,
    pub(super) server: ServerId,
    pub(super) cluster: String,
    pub(super) since: Instant,
    /// Signed in as the account of the place: requests of the account may be sent.
    pub(super) signed_in: bool,
    /// A sign-in was sent on it and not answered.
    pub(super) signing_in: bool,
    pipeline: usize,
    ping_after: Duration,
    heard: Instant,
    sent: Instant,
    next_id: u64,
    pub(super) pending: BTreeMap<u64, Pending>,
    scouted_at: Option<Instant>,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    sent: Instant,
}

/// What a request was sent for: who gets its answer, and what is asked again if none comes.
#[derive(Debug)]
pub(super) enum Purpose {
    Ping,
    SignIn,
    Resume,
    Ask(Box<Ask>),
    Item(Txn),
    Listing,
    Fetch(Fetch),
    Read(ConversationId, Seq),
    Delivered(ConversationId, Seq),
}

impl Link {
    pub(super) fn new(candidate: &Candidate, hello: &HelloOk, now: Instant) -> Link {
        Link {
            connection: candidate.connection,
            address: candidate.address.clone(),
            server: hello.status.server,
            cluster: hello.cluster.clone(),
            since: now,
            signed_in: false,
            signing_in: false,
            pipeline: hello.limits.pipeline.max(1),
            ping_after: Duration::from_secs(u64::from(hello.ping_s.max(1))),
            heard: now,
            sent: now,
            next_id: super::hello::HELLO_ID + 1,
            pending: BTreeMap::new(),
            scouted_at: None,
        }
    }

    /// The oldest request that was sent after anything was last heard.
    fn stalled_since(&self) -> Option<Instant> {
        if !self.signed_in {
            // A sign-in may wait for its turn at the password threads.
            return None;
        }
        let oldest = self.pending.values().find(|pending| pending.sent >= self.heard);
        oldest.map(|oldest| self.scouted_at.unwrap_or(oldest.sent).max(oldest.sent))
    }

    pub(super) fn deadline(&self) -> Instant {
        let timers = [Some(self.heard + SILENCE_MAX), self.stalled_since().map(|at| at + STALL)];
        let ping = (self.sent + self.ping_after).min(self.heard + SILENCE_MAX);
        timers.into_iter().flatten().fold(ping, Instant::min)
    }

    /// How many more requests may be sent.
    pub(super) fn room(&self) -> usize {
        self.pipeline.saturating_sub(self.pending.len())
    }
}

impl Engine {
    /// Sends a request on the link; the caller has seen that there is room.
    pub(super) fn request(&mut self, purpose: Purpose, request: &Request) {
        let now = self.instant();
        let Some(link) = &mut self.net.link else { return };
        let id = link.next_id;
        link.next_id += 1;
        link.sent = now;
        link.pending.insert(id, Pending { purpose, sent: now });
        let line = request.encode(id);
        self.effects.push(Effect::Send { connection: link.connection, line });
    }

    pub(super) fn has_room(&self) -> bool {
        self.net.link.as_ref().is_some_and(|link| link.room() > 0)
    }

    pub(super) fn is_signed_in_now(&self) -> bool {
        self.net.link.as_ref().is_some_and(|link| link.signed_in)
    }

    pub(super) fn keep_link_alive(&mut self, now: Instant) {
        let Some(link) = &mut self.net.link else { return };
        if link.heard + SILENCE_MAX <= now {
            return self.leave_link();
        }
        let is_stalled = link.stalled_since().is_some_and(|since| since + STALL <= now);
        if is_stalled {
            link.scouted_at = Some(now);
        }
        if link.sent + link.ping_after <= now && link.room() > 0 {
            self.request(Purpose::Ping, &Request::Ping(Empty {}));
        }
        if is_stalled {
            self.scout();
        }
    }

    pub(super) fn line(&mut self, connection: ConnectionId, line: &[u8]) {
        let now = self.instant();
        match &mut self.net.link {
            Some(link) if link.connection == connection => link.heard = now,
            _ => return self.candidate_line(connection, line),
        }
        if let Err(Nonsense(reason)) = self.link_line(line) {
            log::warn!("closing a connection: {reason}");
            self.leave_link();
        }
    }

    fn link_line(&mut self, line: &[u8]) -> Result<(), Nonsense> {
        match ServerLine::parse(line).map_err(Nonsense::new)? {
            ServerLine::Reply { id, outcome } => {
                let link = self.net.link.as_mut();
                let pending = id.and_then(|id| link?.pending.remove(&id));
                let pending =
                    pending.ok_or_else(|| Nonsense::new("answered what was not asked"))?;
                self.reply(pending.purpose, outcome)
            }
            ServerLine::Durable(event, cur) if self.is_signed_in_now() => self.event(event, cur),
            ServerLine::Durable(..) => Err(Nonsense::new("an event before the sign-in")),
            ServerLine::Ephemeral(Ephemeral::Cluster(status)) => {
                self.cluster_changed(status);
                Ok(())
            }
            ServerLine::Ephemeral(Ephemeral::Bye(bye)) => {
                self.bye(bye.reason);
                Ok(())
            }
            ServerLine::UnknownEvent => Ok(()),
        }
    }

    pub(super) fn cluster_changed(&mut self, status: Status) {
        let link = self.net.link.as_ref();
        if let Some(at) = link.and_then(|link| self.cluster_at(&link.cluster)) {
            let known = &mut self.home.clusters[at];
            if known.learn(status.servers.iter().map(|server| &server.addr)) {
                self.effects.write(crate::client::Write::Cluster(known.clone()));
            }
        }
        self.effects.update(Update::Cluster(status));
    }

    fn cluster_at(&self, cluster: &str) -> Option<usize> {
        self.home.clusters.iter().position(|record| record.cluster == cluster)
    }

    /// The server closes this connection; so do we, at once.
    fn bye(&mut self, reason: ByeReason) {
        match reason {
            ByeReason::Revoked => self.session_ended(crate::client::SignedOut::Ended),
            ByeReason::Deleted => self.account_gone(),
            ByeReason::Stopping | ByeReason::Idle => self.leave_link(),
            ByeReason::Slow => {
                self.leave_link();
                // Nothing is wrong with that server: it serves us as well as any.
                self.net.avoid = None;
            }
        }
    }

    /// Everything on a lost link is asked again on the next one.
    pub(super) fn take_back(&mut self, link: Link) {
        for pending in link.pending.into_values().rev() {
            match pending.purpose {
                Purpose::Ask(ask) => self.asks.push_front(*ask),
                Purpose::Ping
                | Purpose::SignIn
                | Purpose::Resume
                | Purpose::Item(_)
                | Purpose::Listing
                | Purpose::Fetch(_)
                | Purpose::Read(..)
                | Purpose::Delivered(..) => {}
            }
        }
        self.confirm_seen();
        if let Some(place) = &mut self.place {
            place.link_lost();
        }
    }
}
