//! Following a primary: taking its entries, learning what is committed, answering.
//!
//! Owns: [`Backup`], the role. Driven by: the doors. Invariants: an append below the promise
//! changes nothing; what is answered as durable is on disk and equal to the primary's log; an
//! answer leaves only after the promise that it rests on is durable. Does not: ask whether this
//! server is in any view; whoever is linked is sent the log, and a joiner follows like everybody.

use super::primary;
use super::wire::{self, Answer, Message, Place, Pull};
use super::{Effect, Moment, Part, Replication, holds};
use crate::entry::{Ballot, Incarnation, Index};

/// The role of whoever follows, or waits for somebody to follow.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Backup {
    following: Option<Following>,
}

/// A candidate that catches up with my log.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Pulling {
    /// What it asked for last and has no answer to.
    wanted: Option<Pull>,
    /// Entries for it are being read from disk.
    is_reading: bool,
}

/// Whom I follow.
#[derive(Debug, Clone, Copy, Hash)]
struct Following {
    ballot: Ballot,
    primary: Incarnation,
    /// When it was heard last.
    heard: Moment,
    /// Its newest round.
    round: u64,
    /// Up to here my log is equal to its log.
    matched: Index,
    /// What it knew to be committed when I first heard it.
    opening: Index,
    /// All members know that this is committed.
    known_by_all: Index,
    /// The farthest place of its log that I have heard of.
    newest: Index,
}

impl Backup {
    /// Whom I follow.
    pub(super) fn primary(&self) -> Option<Incarnation> {
        self.following.map(|following| following.primary)
    }

    /// What was committed when I first heard this primary.
    pub(super) fn opening(&self) -> Option<Index> {
        self.following.map(|following| following.opening)
    }

    /// The farthest place of my primary's log that I have heard of.
    pub(super) fn newest(&self) -> Index {
        self.following.map_or(Index(0), |following| following.newest)
    }

    /// Up to here all members know what is committed.
    pub(super) fn known_by_all(&self) -> Index {
        self.following.map_or(Index(0), |following| following.known_by_all)
    }
}

impl Replication {
    /// Whether a primary is alive as far as I know.
    pub(super) fn knows_live_primary(&self) -> bool {
        let Part::Backup(Backup { following: Some(following) }) = &self.part else {
            return matches!(self.part, Part::Primary(_));
        };
        let silent_ms = self.now.at.ms_since(following.heard);
        silent_ms < self.settings.election_ms && !self.is_dead(following.primary)
    }

    /// My own link to a server has ended, or could not be made again.
    pub(super) fn lost_link(&mut self, server: holdfast_common::ids::ServerId) {
        let Part::Backup(backup) = &self.part else { return };
        if backup.primary().is_some_and(|primary| primary.server == server) {
            self.end_life_if_orphaned();
        }
    }

    /// A primary says something.
    pub(super) fn append(&mut self, from: Incarnation, append: wire::Append) {
        self.hear_round(append.ballot);
        let is_foreign = self.log.cluster().is_some_and(|mine| mine != append.cluster);
        let leads_it = matches!(&self.part, Part::Primary(p) if p.ballot() == append.ballot);
        if is_foreign || leads_it || append.ballot.server != from.server {
            return;
        }
        if append.ballot < self.log.promise() {
            return self.refuse_append(from, append.ballot);
        }
        if self.leads_another_history(&append) {
            return self.show_own_history(from, &append);
        }
        if !self.follow(from, &append) {
            return;
        }
        let after = append.previous.index;
        let count = append.entries.len() as u64;
        let accepted = self.log.accept(append.previous, append.entries);
        let has_previous = accepted.expect("what contradicts this log was not followed");
        let Part::Backup(Backup { following: Some(following) }) = &mut self.part else { return };
        if has_previous {
            following.matched = following.matched.max(Index(after.0 + count));
            // Up to `matched` my log is the primary's, so its commit index is mine.
            let committed = append.committed.index.min(following.matched);
            self.log.commit_to(committed);
        }
        // A grant speaks of the primary's newest view, and a takeover of the views in my log. That
        // no lease was taken for an older one follows from how servers are admitted (`views`); it
        // is not left to follow.
        let has_view =
            following.matched >= append.view || !holds!(self.settings.rules, LeaseNeedsView);
        if let Some(stamp) = append.granted
            && has_view
        {
            self.lease.extend(stamp, self.now, self.settings.remove_ms);
        }
        let resend_after = (!has_previous).then(|| self.log.commit());
        self.send_answer(resend_after);
    }

    fn refuse_append(&mut self, to: Incarnation, ballot: Ballot) {
        let answer = Answer { is_leaving: self.leaving.is_some(), ..self.holds_nothing(ballot) };
        self.send(to, Message::Answer(answer));
    }

    /// An answer to whoever leads in this ballot that counts for nothing: no entry of its log is
    /// said to be here.
    pub(super) fn holds_nothing(&self, ballot: Ballot) -> Answer {
        Answer {
            ballot,
            promise: self.log.promise(),
            round: 0,
            stamp: self.now.into(),
            durable: Index(0),
            committed: self.log.committed(),
            resend_after: None,
            is_leaving: false,
        }
    }

    /// Follows whoever leads in this ballot; says no if that costs this life.
    fn follow(&mut self, from: Incarnation, append: &wire::Append) -> bool {
        let now = self.now;
        let former = match &self.part {
            Part::Backup(backup) => backup.following,
            Part::Candidate(_) | Part::Primary(_) | Part::TakingOver(_) => None,
        };
        let is_same = former.is_some_and(|f| f.ballot == append.ballot && f.primary == from);
        if !is_same {
            if matches!(self.part, Part::Primary(_)) {
                self.part = Part::Backup(Backup::default());
            }
            if former.is_some() && self.end_life_if_orphaned() {
                return false;
            }
            let following = Following {
                ballot: append.ballot,
                primary: from,
                heard: now.at,
                round: append.round,
                matched: Index(0),
                opening: append.committed.index,
                known_by_all: Index(0),
                newest: Index(0),
            };
            self.part = Part::Backup(Backup { following: Some(following) });
        }
        self.log.raise_promise(append.ballot);
        self.schedule_election();
        let Part::Backup(Backup { following: Some(following) }) = &mut self.part else {
            return false;
        };
        following.heard = now.at;
        following.round = following.round.max(append.round);
        let end = append.previous.index.0 + append.entries.len() as u64;
        following.newest = following.newest.max(append.committed.index).max(Index(end));
        following.known_by_all = following.known_by_all.max(append.known_by_all);
        true
    }

    /// Tells the primary how much of its log is durable here.
    pub(super) fn answer_primary(&mut self) {
        if !self.is_between_lives {
            self.send_answer(None);
        }
    }

    fn send_answer(&mut self, resend_after: Option<Index>) {
        let Part::Backup(Backup { following: Some(following) }) = &self.part else { return };
        // With an entry of that ballot in it, this log is the primary's up to there.
        let is_compared = self.log.last().ballot == following.ballot;
        let committed = if is_compared { self.log.commit() } else { Index(0) };
        let answer = Answer {
            ballot: following.ballot,
            promise: self.log.promise(),
            round: following.round,
            stamp: self.now.into(),
            durable: self.log.durable_to_tell().min(following.matched.max(committed)),
            committed: self.log.committed(),
            resend_after,
            is_leaving: self.leaving.is_some(),
        };
        let to = following.primary;
        self.send(to, Message::Answer(answer));
    }

    /// A candidate lacks what is in my log. However often it asks within a turn, it gets one
    /// answer: each may be a megabyte.
    pub(super) fn pulled(&mut self, from: Incarnation, pull: Pull) {
        self.pulls.entry(from).or_default().wanted = Some(pull);
    }

    /// Answers candidates with what is durable of my log; one read for each is under way at a time.
    pub(super) fn answer_pulls(&mut self) {
        let due = |(to, pulling): (&Incarnation, &mut Pulling)| {
            let wanted = if pulling.is_reading { None } else { pulling.wanted.take() };
            wanted.map(|pull| (*to, pull))
        };
        let due: Vec<(Incarnation, Pull)> = self.pulls.iter_mut().filter_map(due).collect();
        self.pulls.retain(|_, pulling| pulling.is_reading);
        let silent = holds!(self.settings.rules, TakeoverSilence);
        let upto = if silent { self.log.durable() } else { self.log.last().index };
        for (to, Pull { attempt, after }) in due {
            if after < self.log.base() {
                self.pulls.insert(to, Pulling { wanted: None, is_reading: true });
                let purpose = super::Purpose::Pull(to, attempt);
                self.effects.push_back(Effect::Read { after, upto, purpose });
            } else if let Some(previous) = self.log.place(after) {
                let entries = self.log.slice(after, upto, primary::SEND_BYTES_MAX);
                self.send_suffix(to, attempt, previous, entries);
            }
        }
    }

    /// What was read for a candidate is sent, unless it has asked for something else meanwhile.
    pub(super) fn read_for_candidate(
        &mut self,
        (to, attempt): (Incarnation, u64),
        previous: Option<Place>,
        entries: Vec<crate::entry::Entry>,
    ) {
        let Some(pulling) = self.pulls.get_mut(&to) else { return };
        pulling.is_reading = false;
        if let (None, Some(previous)) = (&pulling.wanted, previous) {
            self.send_suffix(to, attempt, previous, entries);
        }
    }

    pub(super) fn send_suffix(
        &mut self,
        to: Incarnation,
        attempt: u64,
        previous: Place,
        entries: Vec<crate::entry::Entry>,
    ) {
        let committed = self.log.committed();
        // One that waits for a sync is of an older attempt.
        self.held.retain(|(_, one, held)| *one != to || !matches!(held, Message::Suffix(_)));
        self.send(to, Message::Suffix(wire::Suffix { attempt, previous, entries, committed }));
    }
}
