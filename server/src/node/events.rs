//! Events on their way to connections: live ones as they are applied, missed ones page by page.

use holdfast_common::ids::{Cursor, UserId};
use holdfast_common::protocol::{ByeReason, Durable, encode_event};

use super::clients::Feed;
use super::effect::{ClientId, Effect};
use super::{Node, Task};
use crate::chat::operation::{Ended, Ending, Notice};
use crate::chat::query::{Answer, Query};
use crate::entry::Index;

/// Bytes of events in one page of a resumed backlog.
pub(super) const BACKLOG_PAGE_BYTES: usize = 128 * 1024;
/// The next page is read when no more than this waits in the client's queue.
const BACKLOG_LOW_BYTES: usize = 64 * 1024;
/// A client with more than this waiting gets no ephemeral events.
pub(super) const EPHEMERAL_BYTES_MAX: usize = 256 * 1024;
/// A client with more than this waiting is closed: it resumes by cursor and misses nothing.
const LIVE_BYTES_MAX: usize = 1024 * 1024;

impl Node {
    pub(super) fn notice(&mut self, notice: Notice, at: Cursor) {
        match notice {
            Notice::Event { user, event } => self.event(user, &event, at),
            Notice::Ended { user, sessions, reason } => {
                self.sessions_ended(user, &sessions, reason, at);
            }
            Notice::FollowUp(operation) => self.propose_own(operation),
            Notice::Erasable => self.upkeep.erasable(self.now.instant),
        }
    }

    /// Sends an event to every connection of an account that gets its events live.
    fn event(&mut self, user: UserId, event: &Durable, at: Cursor) {
        let mut line: Option<Vec<u8>> = None;
        for id in self.clients.of_user(user).to_vec() {
            let Some(client) = self.clients.get_mut(id) else { continue };
            let Some(signed_in) = client.signed_in_mut() else { continue };
            match &mut signed_in.feed {
                Feed::Live { shown } if Index(at.index) > *shown => *shown = Index(at.index),
                Feed::Live { .. } | Feed::CatchingUp { .. } => continue,
            }
            let line = line.get_or_insert_with(|| encode_event(event, Some(at))).clone();
            self.metrics.events += 1;
            self.effects.push_back(Effect::Send { client: id, line, answers: false });
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
            self.effects.push_back(Effect::Send { client, line, answers: false });
        }
        let reached_live = !more && upto.index >= self.applied.index;
        let Some(entry) = self.clients.get_mut(client) else { return };
        let Some(signed_in) = entry.signed_in_mut() else { return };
        if reached_live {
            signed_in.feed = Feed::Live { shown: Index(upto.index) };
        } else {
            signed_in.feed = Feed::CatchingUp { after: upto, fetching: false };
            self.backlog_next(client);
        }
    }

    /// Reads the next page, if the client has drained enough of the last one.
    fn backlog_next(&mut self, id: ClientId) {
        let Some(client) = self.clients.get_mut(id) else { return };
        let drained = client.backlog_bytes <= BACKLOG_LOW_BYTES;
        let Some(signed_in) = client.signed_in_mut() else { return };
        let user = signed_in.actor.user;
        if let Feed::CatchingUp { after, fetching } = &mut signed_in.feed
            && drained
            && !*fetching
        {
            *fetching = true;
            let query = Query::Backlog { user, after: *after, bytes_max: BACKLOG_PAGE_BYTES };
            let ticket = self.ticket(Task::Backlog(id));
            self.ask(ticket, query);
        }
    }

    pub(super) fn backlog_answered(&mut self, client: ClientId, answer: Answer) {
        let catching_up = self.clients.get(client).and_then(|client| client.signed_in());
        let Some(Feed::CatchingUp { .. }) = catching_up.map(|signed_in| signed_in.feed) else {
            // It has signed out, or gone.
            return;
        };
        match answer {
            Answer::Backlog { lines, upto, more } => self.backlog_page(client, lines, upto, more),
            // Events were pruned while the client drained, for days: it must begin anew.
            Answer::Refused(_) => self.say_bye(client, ByeReason::Slow),
            other => unreachable!("{other:?} is no page of events"),
        }
    }

    pub(super) fn client_backlog(&mut self, id: ClientId, bytes: usize) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.backlog_bytes = bytes;
        match client.signed_in().map(|signed_in| signed_in.feed) {
            Some(Feed::Live { .. }) if bytes > LIVE_BYTES_MAX => self.say_bye(id, ByeReason::Slow),
            Some(Feed::CatchingUp { .. }) => self.backlog_next(id),
            Some(Feed::Live { .. }) | None => {}
        }
    }
}
