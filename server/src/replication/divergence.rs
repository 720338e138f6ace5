//! Two histories meet: with the policy `timeout`, or after an administrator's word that was wrong,
//! both sides of a split have served. The lower ballot yields.
//!
//! ```text
//! lower: takes nothing that contradicts what is committed here, and says what that is
//! higher: where a follower knows to be committed what its log never had: its ballots' origins
//! lower: finds where both part, and asks for a next life on an empty store
//! ```
//!
//! A log of a higher ballot holds whatever was acknowledged below it, unless somebody went on
//! without a proof; so a contradiction with what is committed here is never ordinary. Nothing is
//! known to be equal only because it is old: it is compared by ballot (`Origins`).
//!
//! Owns: who notices, and the end of the yielding life. Driven by: appends and their answers.
//! Invariants: who yields has promised nothing to the other history, if the contradiction shows in
//! the first append; what it acknowledges until it yields is behind the place where both part. Does
//! not: write the list of what the cluster lacks (`store`), nor merge anything.

use holdfast_common::ids::ServerId;

use super::backup::Backup;
use super::log::Log;
use super::wire::{Append, Message, Place};
use super::{Effect, Part, Replication, wire};
use crate::entry::{Entry, Incarnation, Index, View};

impl Replication {
    /// Whether a primary of a higher ballot leads another history than mine.
    pub(super) fn leads_another_history(&self, append: &Append) -> bool {
        self.log.contradicts(append.previous, &append.entries, self.me.server)
    }

    /// Tells a primary that I do not follow what is committed here, and nothing else.
    pub(super) fn show_own_history(&mut self, to: Incarnation, append: &Append) {
        self.send(to, Message::Answer(self.holds_nothing(append.ballot)));
    }

    /// Whether a follower knows to be committed what my log never had: then it is told which log
    /// this is.
    pub(super) fn shows_another_history(&mut self, from: Incarnation, committed: Place) -> bool {
        let Part::Primary(primary) = &self.part else { return false };
        let is_other = self.log.lacks(committed);
        if is_other {
            let origins = self.log.origins().clone();
            let (ballot, last) = (primary.ballot(), self.log.last().index);
            let message = Message::History(wire::History { ballot, origins, last });
            self.send(from, message);
        }
        is_other
    }

    /// A primary says which log it leads.
    pub(super) fn history(&mut self, history: &wire::History) {
        let last = self.log.last().index;
        let common = self.log.origins().last_common(last, &history.origins, history.last);
        if history.ballot < self.log.promise() || common >= last {
            return;
        }
        let cut = Place {
            ballot: history.origins.ballot_at(common.next()).unwrap_or(history.ballot),
            index: common.next(),
        };
        if common < self.log.commit() || self.log.contradicts(cut, &[], self.me.server) {
            self.diverge(common);
        }
    }

    /// This store is to be set aside, with what it alone acknowledged, before this server joins
    /// again: from here on this life says and hears nothing.
    fn diverge(&mut self, after: Index) {
        self.held.clear();
        self.pulls.clear();
        self.part = Part::Backup(Backup::default());
        self.is_between_lives = true;
        self.effects.push_back(Effect::Diverged { after });
    }
}

impl Log {
    /// Whether a log that leads in a higher ballot, and has these entries behind this place, lacks
    /// something that is committed here, or may have been acknowledged here: then one of both
    /// served while the other did.
    pub(super) fn contradicts(&self, previous: Place, entries: &[Entry], me: ServerId) -> bool {
        let places = entries.iter().map(|entry| Place { ballot: entry.ballot, index: entry.index });
        let differs = |place: Place| {
            let mine = self.origins().ballot_at(place.index);
            place.index <= self.last().index && mine.is_some_and(|mine| mine != place.ballot)
        };
        let Some(first) = [previous].into_iter().chain(places).find(|place| differs(*place)) else {
            return false;
        };
        first.index <= self.commit() || self.was_opened_by_an_outsider(first, me)
    }

    /// Whether this place, up to which both logs are equal, opens a generation by the word of
    /// somebody whom the view in force there does not name, though it names me. No proof allows
    /// that: it was an administrator's word, and what follows in my log may have been acknowledged,
    /// whether or not this disk knows so.
    fn was_opened_by_an_outsider(&self, place: Place, me: ServerId) -> bool {
        let before = place.index.previous();
        let generation = self.origins().ballot_at(before).map_or(0, |ballot| ballot.generation);
        let names = |view: &View, server| view.members.iter().any(|one| one.server == server);
        place.ballot.generation > generation
            && self
                .in_force(before)
                .is_some_and(|view| names(view, me) && !names(view, place.ballot.server))
    }

    /// Whether somebody who follows this log, and knows this place to be committed, knows what this
    /// log never had.
    pub(super) fn lacks(&self, committed: Place) -> bool {
        let mine = self.origins().ballot_at(committed.index);
        committed.index > self.last().index || mine.is_some_and(|mine| mine != committed.ballot)
    }
}
