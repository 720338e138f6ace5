//! Changing the view: who is removed, replaced, admitted, or let go.
//!
//! A view is appended only if a majority of it answers now: no later view cures one that cannot
//! decide. The proven dead are dropped at once, or replaced in the same entry when a successor on
//! the same store already answers. The silent are dropped when no lease of theirs can still run.
//! Whoever is in no view is sent the log like everybody, and is admitted when it is nearly at the
//! end, has the newest view, and no other one is under way.
//!
//! Owns: the choice of the next view, and leaving. Driven by: `primary` and `election`. Invariant:
//! a member is dropped without a proof only `REMOVE_MS` after its last stamp that counts and after
//! the own election. Does not: count who holds what (`primary`).

use super::primary::Peer;
use super::quorum::Placed;
use super::{Effect, LEAVE_MS_MAX, Part, Replication, holds};
use crate::entry::{Incarnation, Index, Payload, View};

/// A joiner is admitted when so few entries are missing.
const NEARLY_ENTRIES: u64 = 1_000;

impl Replication {
    /// Whom the next view ought to name, if not whom the newest one names.
    pub(super) fn due_members(&self) -> Option<Vec<Incarnation>> {
        let newest = self.log.newest_view()?;
        let members = &newest.view.members;
        let mut next: Vec<Incarnation> =
            members.iter().filter_map(|member| self.stays_as(*member)).collect();
        if next == *members && newest.index <= self.log.commit() {
            let servers: Vec<_> = members.iter().map(|member| member.server).collect();
            let joins = |one: &Incarnation| !servers.contains(&one.server) && self.is_near(*one);
            next.extend(self.evidence.links().filter(joins));
        }
        next.sort_unstable();
        next.dedup();
        (next != *members && !next.is_empty()).then_some(next)
    }

    /// Whether a majority of these answers now: in a round that began after the need for this view
    /// arose. An answer from before says nothing of a machine that has stopped since.
    pub(super) fn is_answered(&mut self, next: &[Incarnation]) -> bool {
        let now = self.now;
        let Part::Primary(primary) = &mut self.part else { return false };
        let round = primary.ask(next, now);
        let answers = |one: &&Incarnation| {
            let answered = self.peer(**one).is_some_and(|peer| peer.round >= round);
            **one == self.me || self.evidence.is_linked(**one) && !self.is_dead(**one) && answered
        };
        2 * next.iter().filter(answers).count() > next.len()
            || !holds!(self.settings.rules, ViewsThatDecide)
    }

    pub(super) fn change_view(&mut self, members: Vec<Incarnation>) {
        let former = self.log.newest_view().map_or(&[][..], |placed| &placed.view.members);
        let new = members.iter().filter(|member| !former.contains(member));
        let Part::Primary(primary) = &mut self.part else { return };
        for member in new {
            // It could not send a stamp that counts before: from now on it can be silent.
            primary.peers.entry(*member).or_default().stamped = Some(self.now.at);
        }
        let (ballot, cluster) = (primary.ballot(), self.cluster());
        self.forget_stamps_but(&members);
        self.log.push(ballot, Payload::View(View { cluster, members }));
    }

    fn peer(&self, one: Incarnation) -> Option<&Peer> {
        let Part::Primary(primary) = &self.part else { return None };
        primary.peers.get(&one)
    }

    /// Whether it answered me lately, over a link that stands.
    pub(super) fn answers(&self, one: Incarnation) -> bool {
        let lately = |peer: &Peer| {
            peer.answered.is_some_and(|at| self.now.at.ms_since(at) < self.settings.election_ms)
        };
        one == self.me
            || self.evidence.is_linked(one)
                && !self.is_dead(one)
                && self.peer(one).is_some_and(lately)
    }

    /// What becomes of a member: itself, its successor, or nothing.
    fn stays_as(&self, member: Incarnation) -> Option<Incarnation> {
        if member == self.me {
            return self.leaving.is_none().then_some(member);
        }
        if self.is_dead(member) {
            let succeeds = |one: &Incarnation| {
                one.store == member.store && one.server == member.server && one.life > member.life
            };
            let successor = self.evidence.links().find(succeeds);
            let may = holds!(self.settings.rules, Replacing);
            return successor
                .filter(|one| may && self.answers(*one) && !self.is_leaving_peer(*one));
        }
        let is_gone = self.is_leaving_peer(member) || self.is_silent(member);
        (!is_gone).then_some(member)
    }

    fn is_leaving_peer(&self, one: Incarnation) -> bool {
        self.peer(one).is_some_and(|peer| peer.is_leaving)
    }

    /// Whether no lease of this member can still run, as far as this primary and all before
    /// granted.
    fn is_silent(&self, member: Incarnation) -> bool {
        let Part::Primary(primary) = &self.part else { return false };
        let rules = self.settings.rules;
        let stamped = self.peer(member).and_then(|peer| peer.stamped);
        let since = match holds!(rules, RemoveWaitSinceElection) {
            true => stamped.unwrap_or_default().max(primary.elected()),
            false => stamped.unwrap_or_default(),
        };
        let wait_ms = match holds!(rules, RemoveWait) {
            true => self.settings.remove_ms,
            false => self.settings.election_ms / 2,
        };
        self.now.at.ms_since(since) >= wait_ms
    }

    /// Whether a joiner may be admitted. Its log must hold the newest view: one that was removed
    /// while it was stopped takes itself for a member of an old one, and as such refuses the vote
    /// that the others need of it, once they have admitted it, to come back from their deaths.
    fn is_near(&self, one: Incarnation) -> bool {
        let last = self.log.last().index.0;
        let newest = match holds!(self.settings.rules, AdmitWithView) {
            true => self.log.newest_view().map_or(Index(0), |placed| placed.index),
            false => Index(1),
        };
        let near = |peer: &Peer| {
            peer.matched >= newest && peer.matched.0 + NEARLY_ENTRIES >= last && !peer.is_leaving
        };
        self.answers(one) && self.peer(one).is_some_and(near)
    }

    /// A view that drops somebody, and that this primary did not choose by what it has heard since
    /// its election: it is inherited, or of a cold start. The lease of whoever is dropped may still
    /// run, granted by whoever led in between or by the former lives of those who voted now. It is
    /// not committed before every such lease has ended.
    pub(super) fn waits_for_inherited_removal(&self, index: Index) -> bool {
        let Part::Primary(primary) = &self.part else { return false };
        let waited = self.now.at.ms_since(primary.elected()) >= self.settings.remove_ms;
        if waited || !holds!(self.settings.rules, InheritedRemovalWait) {
            return false;
        }
        let live = self.log.live_views();
        let newest = self.log.newest_view().map_or(&[][..], |placed| &placed.view.members);
        let drops = |at: usize, placed: &Placed| {
            let before = live[..at].iter().flat_map(|former| &former.view.members);
            let mut dropped = before.filter(|member| !placed.view.members.contains(member));
            dropped.any(|member| {
                let is_back = newest.iter().any(|one| one.server == member.server);
                *member != self.me && !self.is_dead(*member) && !is_back
            })
        };
        let is_inherited =
            |placed: &Placed| placed.index > self.log.commit() && primary.inherits(placed.index);
        let mut views = live.iter().enumerate().take_while(|(_, placed)| placed.index <= index);
        views.any(|(at, placed)| is_inherited(placed) && drops(at, placed))
    }

    /// The server stops: from now on it is not active.
    pub(super) fn leave(&mut self) {
        self.leaving.get_or_insert(self.now.at.plus_ms(LEAVE_MS_MAX));
        self.answer_primary();
    }

    /// Exits when every remaining member knows that this one has left, when nobody remains, or when
    /// it has taken too long.
    pub(super) fn settle_leaving(&mut self) {
        let Some(until) = self.leaving else { return };
        let Some(newest) = self.log.newest_view() else { return self.left() };
        let is_out = !newest.view.members.contains(&self.me) && newest.index <= self.log.commit();
        let known = match &self.part {
            Part::Backup(backup) => backup.known_by_all(),
            Part::Primary(_) => self.known_by_all(),
            Part::Candidate(_) | Part::TakingOver(_) => Index(0),
        };
        let others = newest.view.members.iter().filter(|member| **member != self.me);
        let is_last = others.filter(|one| self.evidence.is_linked(**one)).count() == 0;
        let is_synced = self.log.is_idle();
        if is_out && known >= newest.index || is_last && is_synced || self.now.at >= until {
            self.left();
        }
    }

    fn left(&mut self) {
        if !self.has_left {
            self.has_left = true;
            self.effects.push_back(Effect::Left);
        }
    }
}
