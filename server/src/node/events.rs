//! Events on their way to connections: live ones as they are applied, missed ones page by page.
//!
//! Owns: how much may wait for a client, and for all. Driven by: notices of applied entries, pages
//! that the readers answer, and the rim's reports of what waits. Invariants: each connection gets
//! the durable events of its account in order, once; what waits is counted when it is queued, so
//! one batch cannot go beyond a bound; whoever falls behind gets the rest from the tables, as he
//! drains. Does not: keep an event that was not sent; the tables have it.

use std::sync::Arc;

use holdfast_common::ids::{Cursor, SessionId, UserId};
use holdfast_common::protocol::{ByeReason, Durable, ErrorCode, encode_event};

use super::clients::Feed;
use super::effect::{ClientId, Effect};
use super::{Node, Task};
use crate::chat::operation::{Actor, Ended, Ending, Notice, Operation};
use crate::chat::query::{Answer, Query};
use crate::entry::Index;

/// Bytes of events in one page of a resumed backlog.
pub(super) const BACKLOG_PAGE_BYTES: usize = 128 * 1024;
/// The next page is read when no more than this waits in the client's queue.
const BACKLOG_LOW_BYTES: usize = 64 * 1024;
/// A client with more than this waiting gets no ephemeral events.
pub(super) const EPHEMERAL_BYTES_MAX: usize = 256 * 1024;
/// A client with more than this waiting gets no live events either; if none of it left by the end
/// of the turn, it is closed: it resumes by cursor and misses nothing.
const LIVE_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of events that may wait for all clients together; then the slowest of them is closed.
const ALL_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Node {
    pub(super) fn notice(&mut self, notice: Notice, at: Cursor) {
        match notice {
            Notice::Event { user, event } => self.event(user, &event, at),
            Notice::Ended { user, sessions, reason } => {
                self.sessions_ended(user, &sessions, reason, at);
            }
            // What an earlier life left half done is asked of the tables, once, when they are
            // whole.
            Notice::FollowUp(operation) if Index(at.index) > self.replication.opening() => {
                if matches!(operation, Operation::Erase { .. }) {
                    // The texts go only now: an erasing of the files before that would miss them.
                    self.upkeep.erasable(self.now.instant);
                }
                self.propose_own(operation);
            }
            Notice::FollowUp(_) => {}
            Notice::DayMarked => self.upkeep.day_marked(self.now.instant),
            Notice::Erasable => self.upkeep.erasable(self.now.instant),
        }
    }

    /// Sends an event to every connection of an account that gets its events live.
    fn event(&mut self, user: UserId, event: &Durable, at: Cursor) {
        let mut line: Option<Arc<[u8]>> = None;
        for id in self.clients.of_user(user).to_vec() {
            let Some(client) = self.clients.get_mut(id) else { continue };
            let is_behind = client.event_bytes() > LIVE_BYTES_MAX;
            let Some(signed_in) = client.signed_in_mut() else { continue };
            match &mut signed_in.feed {
                Feed::Live { shown } if at.index <= shown.index => continue,
                Feed::Live { shown } if is_behind => {
                    let (after, missed) = (*shown, Index(at.index));
                    signed_in.feed = Feed::CatchingUp { after, missed, fetching: false };
                    continue;
                }
                Feed::Live { shown } => *shown = at,
                Feed::CatchingUp { missed, .. } => {
                    *missed = Index(at.index);
                    continue;
                }
            }
            let line = line.get_or_insert_with(|| encode_event(event, Some(at)).into()).clone();
            self.metrics.events += 1;
            self.send_event(id, line);
        }
    }

    /// Queues an event's line. There is a bound for all clients together.
    pub(super) fn send_event(&mut self, client: ClientId, line: Arc<[u8]>) {
        let Some(entry) = self.clients.get(client) else { return };
        let mut waiting = self.clients.set_event_bytes(client, entry.event_bytes() + line.len());
        self.effects.push_back(Effect::Send { client, line, answers: false });
        while waiting > ALL_BYTES_MAX
            && let Some(slowest) = self.clients.slowest()
        {
            self.say_bye(slowest, ByeReason::Slow);
            waiting = self.clients.set_event_bytes(slowest, 0);
        }
    }

    fn sessions_ended(&mut self, user: UserId, sessions: &Ended, reason: Ending, at: Cursor) {
        self.last_ending = Index(at.index);
        let bye = match reason {
            Ending::LoggedOut | Ending::Revoked => ByeReason::Revoked,
            Ending::Deleted => ByeReason::Deleted,
        };
        for client in self.clients.of_user(user).to_vec() {
            let signed_in = self.clients.get(client).and_then(|client| client.signed_in());
            if signed_in.is_some_and(|signed_in| sessions.contains(signed_in.actor.session)) {
                self.say_bye(client, bye);
            }
        }
    }

    /// A page of missed events has been read: sends it, and sees what comes next.
    pub(super) fn backlog_page(
        &mut self,
        client: ClientId,
        lines: Vec<(Index, Vec<u8>)>,
        upto: Cursor,
        more: bool,
    ) {
        if self.clients.get(client).is_none() {
            return;
        }
        for (_, line) in lines {
            self.send_event(client, line.into());
        }
        let Some(entry) = self.clients.get_mut(client) else { return };
        let Some(signed_in) = entry.signed_in_mut() else { return };
        let Feed::CatchingUp { missed, .. } = signed_in.feed else { return };
        if !more && Index(upto.index) >= missed {
            signed_in.feed = Feed::Live { shown: upto };
        } else {
            signed_in.feed = Feed::CatchingUp { after: upto, missed, fetching: false };
            self.backlog_next(client);
        }
    }

    /// Reads the next page, if the client has drained enough of the last one.
    fn backlog_next(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let drained = client.event_bytes() <= BACKLOG_LOW_BYTES;
        let Some(signed_in) = client.signed_in_mut() else { return };
        let Actor { user, session } = signed_in.actor;
        if let Feed::CatchingUp { after, fetching, .. } = &mut signed_in.feed
            && drained
            && !*fetching
        {
            *fetching = true;
            let query = Query::Backlog { user, after: *after, bytes_max: BACKLOG_PAGE_BYTES };
            let ticket = self.ticket(Task::Backlog(id, session));
            self.ask(ticket, query);
        }
    }

    pub(super) fn backlog_answered(
        &mut self,
        client: ClientId,
        session: SessionId,
        answer: Answer,
    ) {
        let signed_in = self.clients.get(client).and_then(|client| client.signed_in());
        if signed_in.is_none_or(|signed_in| signed_in.actor.session != session) {
            // It has signed out, or gone; what it sees now may be another account's.
            return;
        }
        if let Answer::Backlog { lines, upto, more } = answer {
            return self.backlog_page(client, lines, upto, more);
        }
        let Answer::Refused(error) = answer else { unreachable!("this is no page of events") };
        let reason = if error.code == ErrorCode::Unauthorized {
            // The notice of it is on its way, behind the page that was asked for.
            ByeReason::Deleted
        } else {
            // Events were pruned while the client drained, for days: it must begin anew.
            ByeReason::Slow
        };
        self.say_bye(client, reason);
    }

    pub(super) fn client_backlog(&mut self, id: ClientId, bytes: usize) {
        self.clients.set_event_bytes(id, bytes);
        if bytes > LIVE_BYTES_MAX && self.clients.get(id).is_some() {
            self.say_bye(id, ByeReason::Slow);
        } else {
            self.backlog_next(id);
        }
    }
}
