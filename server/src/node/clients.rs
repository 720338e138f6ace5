//! The book of connected clients: who they are, what they wait for, and until when they may be
//! silent.
//!
//! Owns: one [`Client`] for each open connection, the index from accounts to connections, the
//! timers. Driven by: the rest of the node. Invariants: a connection stands in `by_user` exactly
//! while it is signed in; every network client has exactly one timer. Does not: send anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use holdfast_common::ids::{Cursor, UserId};
use holdfast_common::protocol::{HELLO_S_MAX, PIPELINE_MAX, SIGN_IN_S_MAX, SILENCE_S_MAX};

use super::effect::{ClientId, Origin};
use super::kinds::Kind;
use crate::chat::operation::Actor;
use crate::entry::Index;

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// No valid `hello` yet.
    New,
    /// Greeted, not signed in.
    Greeted,
    /// A sign-in is under way; whatever comes behind it waits.
    SigningIn,
    /// Signed in.
    SignedIn(Box<SignedIn>),
}

/// Whose connection it is.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) actor: Actor,
    pub(super) name: String,
    pub(super) feed: Feed,
}

/// Where a connection gets its events from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feed {
    /// From the turns, as they are applied; events up to here were sent already.
    Live { shown: Cursor },
    /// From the tables, page by page, as the client drains them.
    /// There may be events for it up to `missed`; behind that there are none yet.
    CatchingUp { after: Cursor, missed: Index, fetching: bool },
}

/// A connected client.
pub(super) struct Client {
    pub(super) origin: Origin,
    pub(super) stage: Stage,
    /// Since when it is not signed in.
    pub(super) unsigned_since: Instant,
    /// When it last said anything.
    pub(super) heard: Instant,
    /// The ids of its requests without an answer: at most the pipeline's bound, the rim sees to it.
    pub(super) unanswered: Vec<u64>,
    /// Requests that wait behind a sign-in, or behind a write that is being prepared.
    pub(super) held: VecDeque<(u64, Kind)>,
    /// A write is being prepared (a name looked up, a password verified): later writes wait, so
    /// that they take effect in the order sent.
    pub(super) preparing: bool,
    /// A question of it is under way; the others wait here, so that whoever asks many at once waits
    /// for the readers, and nobody else waits for him.
    pub(super) asking: bool,
    pub(super) questions: VecDeque<(u64, Kind)>,
    /// Bytes of events that wait in its send queue: as last reported, and what was queued since.
    event_bytes: usize,
    timer: Instant,
}

impl Client {
    /// Bytes of events that wait in its send queue.
    pub(super) fn event_bytes(&self) -> usize {
        self.event_bytes
    }

    /// The connection's session, if it has one.
    pub(super) fn signed_in(&self) -> Option<&SignedIn> {
        match &self.stage {
            Stage::SignedIn(signed_in) => Some(signed_in),
            Stage::New | Stage::Greeted | Stage::SigningIn => None,
        }
    }

    /// The same, to be changed.
    pub(super) fn signed_in_mut(&mut self) -> Option<&mut SignedIn> {
        match &mut self.stage {
            Stage::SignedIn(signed_in) => Some(signed_in),
            Stage::New | Stage::Greeted | Stage::SigningIn => None,
        }
    }

    /// When the connection must be closed if nothing changes.
    fn expires(&self) -> Instant {
        let silence = self.heard + Duration::from_secs(SILENCE_S_MAX);
        match self.stage {
            Stage::New => self.unsigned_since + Duration::from_secs(HELLO_S_MAX),
            Stage::Greeted | Stage::SigningIn => {
                silence.min(self.unsigned_since + Duration::from_secs(SIGN_IN_S_MAX))
            }
            Stage::SignedIn(_) => silence,
        }
    }
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Clients {
    clients: BTreeMap<ClientId, Client>,
    by_user: BTreeMap<UserId, Vec<ClientId>>,
    timers: BTreeSet<(Instant, ClientId)>,
    /// Bytes of events that wait in all send queues.
    event_bytes: usize,
}

impl Clients {
    pub(super) fn open(&mut self, id: ClientId, origin: Origin, now: Instant) {
        let mut client = Client {
            origin,
            stage: Stage::New,
            unsigned_since: now,
            heard: now,
            unanswered: Vec::new(),
            held: VecDeque::new(),
            preparing: false,
            asking: false,
            questions: VecDeque::new(),
            event_bytes: 0,
            timer: now,
        };
        if let Origin::Network(_) = origin {
            client.timer = client.expires();
            self.timers.insert((client.timer, id));
        }
        self.clients.insert(id, client);
    }

    /// Forgets a client; what was under way for it goes on and is answered to nobody.
    pub(super) fn close(&mut self, id: ClientId) -> Option<Client> {
        self.leave(id);
        let client = self.clients.remove(&id)?;
        self.timers.remove(&(client.timer, id));
        self.event_bytes -= client.event_bytes;
        Some(client)
    }

    pub(super) fn get(&self, id: ClientId) -> Option<&Client> {
        self.clients.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        self.clients.get_mut(&id)
    }

    /// So many bytes of events wait for this client now; gives how many wait for all.
    pub(super) fn set_event_bytes(&mut self, id: ClientId, bytes: usize) -> usize {
        if let Some(client) = self.clients.get_mut(&id) {
            self.event_bytes = self.event_bytes - client.event_bytes + bytes;
            client.event_bytes = bytes;
        }
        self.event_bytes
    }

    /// For whom most bytes of events wait.
    pub(super) fn slowest(&self) -> Option<ClientId> {
        self.clients.iter().max_by_key(|(_, client)| client.event_bytes).map(|(id, _)| *id)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = ClientId> + '_ {
        self.clients.keys().copied()
    }

    /// Whether nobody waits for an answer.
    pub(super) fn all_answered(&self) -> bool {
        self.clients.values().all(|client| client.unanswered.is_empty())
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// How many accounts have a connection.
    pub(super) fn users_len(&self) -> usize {
        self.by_user.len()
    }

    /// The connection is signed in from here on.
    pub(super) fn enter(&mut self, id: ClientId, signed_in: SignedIn) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        self.by_user.entry(signed_in.actor.user).or_default().push(id);
        client.stage = Stage::SignedIn(Box::new(signed_in));
    }

    /// The connection is not signed in any more, but stays open; returns whose it was.
    pub(super) fn leave(&mut self, id: ClientId) -> Option<Actor> {
        let client = self.clients.get_mut(&id)?;
        let actor = client.signed_in()?.actor;
        client.stage = Stage::Greeted;
        client.unsigned_since = client.heard;
        if let Some(ids) = self.by_user.get_mut(&actor.user) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.by_user.remove(&actor.user);
            }
        }
        Some(actor)
    }

    /// The signed-in connections of an account.
    pub(super) fn of_user(&self, user: UserId) -> &[ClientId] {
        self.by_user.get(&user).map_or(&[], Vec::as_slice)
    }

    /// When the next timer may end.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// A client that has been silent, or not signed in, for too long. Timers are moved lazily:
    /// hearing from a client costs nothing, and its timer is set anew when it ends.
    pub(super) fn next_expired(&mut self, now: Instant) -> Option<ClientId> {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            let Some(client) = self.clients.get_mut(&id) else { continue };
            if client.unanswered.len() >= PIPELINE_MAX {
                // Nothing of it is read until it is answered: the silence is ours.
                client.heard = now;
            }
            let expires = client.expires();
            if expires <= now {
                return Some(id);
            }
            client.timer = expires;
            self.timers.insert((expires, id));
        }
        None
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an instant can only be had from the clock")]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_counted_for_each_and_for_all_and_the_slowest_is_known() {
        let mut clients = Clients::default();
        let [one, other] = [ClientId(1), ClientId(2)];
        for id in [one, other] {
            clients.open(id, Origin::Administration, Instant::now());
        }
        assert_eq!(clients.set_event_bytes(one, 70), 70);
        assert_eq!(clients.set_event_bytes(other, 100), 170);
        assert_eq!(clients.slowest(), Some(other));
        assert_eq!(clients.set_event_bytes(other, 10), 80);
        assert_eq!(clients.slowest(), Some(one));
        clients.close(one);
        assert_eq!(clients.set_event_bytes(one, 5), 10, "who is gone waits for nothing");
    }
}
