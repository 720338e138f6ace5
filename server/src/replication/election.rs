//! Standing for election: canvass, vote, catching up, cold start, first start.
//!
//! A canvass asks whether a vote would be won, and binds nobody: whoever cannot win disturbs
//! nobody. A vote binds: it raises the voter's promise, durably, before the answer leaves. A voter
//! refuses a candidate whose log ends before its own; that candidate pulls what it lacks and asks
//! again. An active candidate needs a majority of every live view. Where nobody active is left, a
//! restarted one needs all stores of every live view, so that the last survivor's is among them;
//! and with all logs empty the lowest number founds the cluster, with everybody's vote.
//!
//! Owns: [`Candidate`], the role. Driven by: the doors. Invariants: a ballot is proposed once,
//! above every round that was ever heard of; the own vote counts when it is durable. Does not: open
//! a generation (`takeover`).

use std::collections::{BTreeMap, BTreeSet};

use super::backup::Backup;
use super::log::Log;
use super::primary::Primary;
use super::quorum::{Placed, decides};
use super::wire::{Canvass, Message, Opinion, Place, Pull, Suffix, Vote};
use super::{Moment, Now, Part, Policy, Replication, holds};
use crate::entry::{Ballot, Incarnation, Index, Payload, StoreId, View};

/// After a proof of the primary's death the candidates begin so far apart at most, by rank: the
/// second hears the first before it begins.
pub(super) const STAGGER_US: u64 = 20_000;
/// A new link while no primary is known brings the next canvass forward to within this.
const HURRY_US: u64 = 20_000;

/// The role of whoever stands for election.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Candidate {
    attempt: u64,
    is_active: bool,
    expires: Moment,
    /// None: this is the canvass.
    vote: Option<Candidacy>,
    /// Who said yes at this stage.
    yes: BTreeSet<Incarnation>,
    /// Of those, who could take part in a first start.
    fresh: BTreeSet<Incarnation>,
    /// The highest generation that anybody spoke of.
    generation: u64,
    /// Whom I catch up with.
    pulling: Option<(Incarnation, Place)>,
    /// Whose log contradicts what is committed in mine: the last entry of a log may have the higher
    /// ballot although it lacks an entry that was committed by a ballot higher still.
    unfit: BTreeSet<Incarnation>,
}

/// A vote that was called.
#[derive(Debug, Clone, Copy, Hash)]
struct Candidacy {
    ballot: Ballot,
    began: Now,
    /// The append that makes my own promise durable.
    own_vote: u64,
    last: Place,
}

impl Candidate {
    /// When to give up.
    pub(super) fn expires(&self) -> Moment {
        self.expires
    }

    /// How many others support the vote that was called.
    #[cfg(test)]
    pub(super) fn votes(&self) -> Option<usize> {
        self.vote.map(|_| self.yes.len())
    }

    /// The question to a newcomer.
    pub(super) fn question(&self, log: &Log) -> Canvass {
        Canvass {
            attempt: self.attempt,
            last: self.vote.map_or(log.last(), |candidacy| candidacy.last),
            is_active: self.is_active,
            committed: log.committed(),
        }
    }

    /// The vote that was called, to a newcomer.
    pub(super) fn vote(&self) -> Option<Vote> {
        let candidacy = self.vote?;
        let canvass = Canvass {
            attempt: self.attempt,
            last: candidacy.last,
            is_active: self.is_active,
            committed: Place::START,
        };
        Some(Vote { ballot: candidacy.ballot, canvass })
    }
}

impl Replication {
    /// Stands for election after one to two times `ELECTION_MS`, unless a primary is heard.
    pub(super) fn schedule_election(&mut self) {
        let election_us = self.settings.election_ms * 1_000;
        let at = self.now.at.plus_us(election_us + self.next_random() % election_us);
        self.elect_at = at;
    }

    /// Somebody new is there: ask soon, if there is nobody to follow.
    pub(super) fn hurry_election(&mut self) {
        if !self.knows_live_primary() {
            let at = self.now.at.plus_us(self.next_random() % HURRY_US);
            self.elect_at = self.elect_at.min(at);
        }
    }

    /// Gives up standing, for a while.
    pub(super) fn retire(&mut self) {
        self.part = Part::Backup(Backup::default());
        let election_us = self.settings.election_ms * 1_000;
        let at = self.now.at.plus_us(self.next_random() % election_us);
        self.elect_at = at;
    }

    /// Asks everybody whether a vote would be won.
    pub(super) fn canvass(&mut self) {
        self.schedule_election();
        let is_lowest = self.settings.servers.first() == Some(&self.me.server);
        if self.leaving.is_some()
            || self.log.is_empty() && (!is_lowest || self.settings.has_set_aside)
        {
            self.part = Part::Backup(Backup::default());
            return;
        }
        self.attempt += 1;
        let unfit = match &mut self.part {
            Part::Candidate(former) => std::mem::take(&mut former.unfit),
            Part::Backup(_) | Part::TakingOver(_) | Part::Primary(_) => BTreeSet::new(),
        };
        let is_active = self.is_active()
            || !holds!(self.settings.rules, ActiveCandidate) && !self.log.is_empty();
        let expires = self.now.at.plus_ms(self.settings.election_ms);
        let candidate = Candidate {
            attempt: self.attempt,
            is_active,
            expires,
            vote: None,
            yes: BTreeSet::new(),
            fresh: BTreeSet::new(),
            generation: 0,
            pulling: None,
            unfit,
        };
        let message = Message::Canvass(candidate.question(&self.log));
        self.part = Part::Candidate(candidate);
        self.broadcast(&message);
    }

    /// To everybody to whom a link stands. A question rests on nothing that must be durable.
    fn broadcast(&mut self, message: &Message) {
        for to in self.evidence.links().collect::<Vec<_>>() {
            self.effects.push_back(super::Effect::Send { to, message: message.clone() });
        }
    }

    /// Goes on to the next stage, or wins.
    pub(super) fn settle_candidate(&mut self) {
        let Part::Candidate(candidate) = &self.part else { return };
        let is_bound = holds!(self.settings.rules, Canvass);
        let wins = self.wins(candidate);
        match candidate.vote {
            None if wins || !is_bound => self.call_vote(),
            None => return,
            Some(candidacy) => {
                // With nobody else to ask, promise and first entry go to disk in one record.
                let is_alone = self.evidence.links().next().is_none();
                if wins && (is_alone || self.log.is_durable(candidacy.own_vote)) {
                    self.win(candidacy);
                }
                return;
            }
        }
        self.settle_candidate();
    }

    fn wins(&self, candidate: &Candidate) -> bool {
        let yes = self.stores(candidate.yes.iter().chain([&self.me]));
        let live = self.log.live_views();
        let by_majority = candidate.is_active
            || self.settings.policy == Policy::Majority
            || !holds!(self.settings.rules, AllStoresAtColdStart);
        if live.is_empty() {
            let fresh = candidate.yes.intersection(&candidate.fresh);
            let servers: BTreeSet<_> =
                fresh.map(|one| one.server).chain([self.me.server]).collect();
            return self.settings.servers.iter().all(|server| servers.contains(server));
        }
        let all = |placed: &Placed, yes: &BTreeSet<StoreId>| {
            placed.view.members.iter().all(|member| yes.contains(&member.store))
        };
        let live = match holds!(self.settings.rules, AllLiveViews) {
            true => live,
            false => &live[live.len() - 1..],
        };
        live.iter().all(|placed| match by_majority {
            true => decides(&placed.view, &yes),
            false => all(placed, &yes),
        })
    }

    fn call_vote(&mut self) {
        let Part::Candidate(candidate) = &self.part else { return };
        let highest = self.log.promise().max(self.log.last().ballot);
        let heard = holds!(self.settings.rules, ColdStartGeneration) && !candidate.is_active;
        let generation = match heard {
            true => highest.generation.max(candidate.generation),
            false => highest.generation,
        };
        // Generations begin at one: a cursor of generation zero is nobody's.
        let generation = generation.max(1);
        let round = match holds!(self.settings.rules, RoundAboveAll) {
            true => self.highest_round + 1,
            false if generation == highest.generation => highest.round + 1,
            false => 1,
        };
        let ballot = Ballot { generation, round, server: self.me.server };
        if ballot <= self.log.promise() {
            return self.retire();
        }
        self.highest_round = self.highest_round.max(round);
        self.log.raise_promise(ballot);
        let last = self.log.last();
        let candidacy = Candidacy { ballot, began: self.now, own_vote: self.log.barrier(), last };
        let expires = self.now.at.plus_ms(self.settings.election_ms);
        let Part::Candidate(candidate) = &mut self.part else { return };
        candidate.vote = Some(candidacy);
        candidate.yes.clear();
        candidate.expires = expires;
        let vote = candidate.vote().expect("a vote was just called");
        self.broadcast(&Message::Vote(vote));
    }

    fn win(&mut self, candidacy: Candidacy) {
        let Part::Candidate(candidate) = &self.part else { return };
        let is_cold = !candidate.is_active;
        let voters: Vec<Incarnation> = candidate.yes.iter().copied().collect();
        let began = candidacy.began;
        self.lease.extend(began.into(), self.now, self.settings.remove_ms);
        let opening = self.log.last().index.next();
        let mut primary = Primary::new(candidacy.ballot, opening, self.now, began.into());
        let cold = is_cold.then(|| self.cold_view(&voters));
        if is_cold && holds!(self.settings.rules, ColdRemovalWait) {
            primary.begin_cold();
        }
        self.part = Part::Primary(primary);
        self.meet_all();
        self.answered_by(&voters);
        match cold {
            Some(view) => {
                self.log.push(candidacy.ballot, Payload::View(view));
            }
            None => self.open_ballot(candidacy.ballot),
        }
        if let Part::Primary(primary) = &mut self.part {
            primary.end_election();
        }
    }

    /// The first entry of an ordinary ballot: a new view if one is due, otherwise nothing.
    fn open_ballot(&mut self, ballot: Ballot) {
        match self.due_members() {
            Some(members) if self.is_answered(&members) => self.change_view(members),
            Some(_) | None => {
                self.log.push(ballot, Payload::Nothing);
            }
        }
    }

    /// The view that a cold start begins with: the new incarnations that are there.
    fn cold_view(&self, voters: &[Incarnation]) -> View {
        let live = self.log.live_views();
        let named = |one: &Incarnation| {
            live.is_empty()
                || live.iter().any(|p| p.view.members.iter().any(|m| m.store == one.store))
        };
        let there = voters.iter().copied().filter(named).chain([self.me]);
        let members: BTreeMap<_, _> = there.map(|one| (one.server, one)).collect();
        View { cluster: self.cluster(), members: members.into_values().collect() }
    }

    fn opinion_on(&self, canvass: &Canvass, ballot: Option<Ballot>, is_yes: bool) -> Opinion {
        Opinion {
            attempt: canvass.attempt,
            ballot,
            is_yes,
            last: self.log.last(),
            promise: self.log.promise(),
            highest_round: self.highest_round,
            is_fresh: self.log.is_empty() && !self.settings.has_set_aside,
            committed: self.log.committed(),
        }
    }

    /// Whether a candidate's log and standing are good enough for my vote. Who is active has none
    /// for a cold start: one proof later it may go on alone, while those it voted for remove it
    /// and go on as well.
    fn would_follow(&self, canvass: &Canvass) -> bool {
        let is_behind =
            canvass.last < self.log.last() && holds!(self.settings.rules, LogComparison);
        let is_cold_among_active = !canvass.is_active
            && holds!(self.settings.rules, NoActiveVoterInColdStart)
            && (self.is_active() || self.knows_live_primary());
        !is_behind && !is_cold_among_active
    }

    pub(super) fn canvassed(&mut self, from: Incarnation, canvass: &Canvass) {
        self.learn(canvass.committed);
        // Whoever stands for election knows of no primary: a joiner has lost its own.
        if self.end_life_if_orphaned() {
            return;
        }
        let is_yes =
            self.would_follow(canvass) && (!self.knows_live_primary() || self.follows(from));
        let opinion = self.opinion_on(canvass, None, is_yes);
        self.send(from, Message::Opinion(opinion));
    }

    /// Whoever stands for election is no primary.
    fn follows(&self, other: Incarnation) -> bool {
        matches!(&self.part, Part::Backup(backup) if backup.primary() == Some(other))
    }

    pub(super) fn asked_for_vote(&mut self, from: Incarnation, vote: &Vote) {
        self.learn(vote.canvass.committed);
        let may_win = vote.ballot > self.log.promise()
            && vote.ballot.server == from.server
            && self.would_follow(&vote.canvass);
        self.hear_round(vote.ballot);
        if self.end_life_if_orphaned() {
            return;
        }
        if may_win {
            self.log.raise_promise(vote.ballot);
            self.part = Part::Backup(Backup::default());
            self.schedule_election();
        }
        let opinion = self.opinion_on(&vote.canvass, Some(vote.ballot), may_win);
        self.send(from, Message::Opinion(opinion));
    }

    pub(super) fn opinion(&mut self, from: Incarnation, opinion: &Opinion) {
        self.highest_round = self.highest_round.max(opinion.highest_round);
        self.hear_round(opinion.promise);
        self.learn(opinion.committed);
        let last = self.log.last();
        let commit = self.log.commit();
        let Part::Candidate(candidate) = &mut self.part else { return };
        let ballot = candidate.vote.map(|candidacy| candidacy.ballot);
        if opinion.attempt != candidate.attempt {
            return;
        }
        let generation = opinion.promise.generation.max(opinion.last.ballot.generation);
        candidate.generation = candidate.generation.max(generation);
        if opinion.is_yes && opinion.ballot == ballot {
            candidate.yes.insert(from);
            if opinion.is_fresh {
                candidate.fresh.insert(from);
            }
        } else if opinion.last > last
            && candidate.pulling.is_none()
            && !candidate.unfit.contains(&from)
            && holds!(self.settings.rules, CatchUp)
        {
            candidate.pulling = Some((from, opinion.last));
            let pull = Pull { attempt: candidate.attempt, after: commit };
            self.effects.push_back(super::Effect::Send { to: from, message: Message::Pull(pull) });
        }
    }

    /// What I lacked, or its beginning: then I ask for the rest, and in the end everybody again.
    pub(super) fn suffix(&mut self, from: Incarnation, suffix: Suffix) {
        let Part::Candidate(candidate) = &self.part else { return };
        let Some((whom, end)) = candidate.pulling else { return };
        let attempt = candidate.attempt;
        if whom != from || suffix.attempt != attempt || suffix.entries.is_empty() {
            return;
        }
        let upto = Index(suffix.previous.index.0 + suffix.entries.len() as u64);
        let Ok(is_accepted) = self.log.accept(suffix.previous, suffix.entries) else {
            if let Part::Candidate(candidate) = &mut self.part {
                candidate.unfit.insert(from);
            }
            return self.canvass();
        };
        self.learn(suffix.committed);
        self.highest_round = self.highest_round.max(self.log.promise().round);
        if is_accepted && upto < end.index {
            let pull = Pull { attempt, after: upto };
            self.effects.push_back(super::Effect::Send { to: from, message: Message::Pull(pull) });
        } else {
            self.canvass();
        }
    }
}
