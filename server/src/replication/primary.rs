//! Leading: sending entries, counting who holds them, committing, granting leases, stepping down.
//!
//! Owns: [`Primary`], the role, and [`Peer`], what it knows of everybody it sends to. Driven by:
//! the doors. Invariants: nothing leaves before the own promise is durable; what is committed is
//! held by every member of the view in force there, and agreed by a majority of every live view; a
//! stamp is granted only when a round that began after it was answered by such majorities. Does
//! not: choose views (`views`), or open a generation (`takeover`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::backup::Backup;
use super::quorum::{Placed, decides};
use super::wire::{self, Answer, Message, Place};
use super::{Effect, Moment, Now, Part, Purpose, Replication, Stamp, holds};
use crate::entry::{Ballot, Entry, Incarnation, Index};

/// Bytes of entries in one message: some milliseconds of a slow link.
pub(super) const SEND_BYTES_MAX: usize = 1 << 20;
/// Entries that may be under way to one peer; what is behind waits for its answers.
const WINDOW_ENTRIES: u64 = 8_192;
/// Stamps of one member that wait for a round; more only wait when no round is answered, and then
/// the newest say nothing that the oldest do not.
const STAMPS_MAX: usize = 64;

/// The role of whoever leads.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Primary {
    ballot: Ballot,
    /// The first entry of this ballot.
    opening: Index,
    /// It is the view of a cold start: whom that drops was not waited for.
    begins_cold: bool,
    elected: Moment,
    /// The newest round; the election counts as the first.
    round: u64,
    /// When rounds began that are not confirmed yet.
    rounds: VecDeque<(u64, Stamp)>,
    confirmed: u64,
    tick_at: Moment,
    /// The members that the next view ought to have, and the round in which they are asked.
    asked: (Vec<Incarnation>, u64),
    pub(super) peers: BTreeMap<Incarnation, Peer>,
}

/// What a primary knows of somebody it sends to.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, Hash))]
pub(super) struct Peer {
    /// What is sent next.
    next: Index,
    /// Whatever is before was rejected, or is known to be there.
    floor: Index,
    /// Its store has my log up to here.
    pub(super) matched: Index,
    /// It knows that everything up to here is committed.
    known_commit: Index,
    /// The newest of my rounds that it answered, and when it answered anything.
    pub(super) round: u64,
    pub(super) answered: Option<Moment>,
    /// Its stamps by the round in which they came; the newest of each.
    stamps: VecDeque<(u64, Stamp)>,
    granted: Option<Stamp>,
    /// When a stamp came last that was granted or may yet be.
    pub(super) stamped: Option<Moment>,
    pub(super) is_leaving: bool,
    sent_round: u64,
    sent_commit: Index,
    transfer: Option<Transfer>,
}

/// Entries that it lacks and that are not in memory are on their way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Transfer {
    /// They are being read from disk.
    Reading,
    /// A snapshot; it knew to be committed so much before.
    Snapshot(Index),
}

impl Primary {
    pub(super) fn new(ballot: Ballot, opening: Index, now: Now, began: Stamp) -> Primary {
        Primary {
            ballot,
            opening,
            begins_cold: false,
            elected: now.at,
            round: 1,
            rounds: VecDeque::from([(1, began)]),
            confirmed: 0,
            tick_at: now.at,
            asked: (Vec::new(), 0),
            peers: BTreeMap::new(),
        }
    }

    pub(super) fn ballot(&self) -> Ballot {
        self.ballot
    }

    pub(super) fn opening(&self) -> Index {
        self.opening
    }

    /// Its first entry is the view of a cold start.
    pub(super) fn begin_cold(&mut self) {
        self.begins_cold = true;
    }

    /// Whether a view was not chosen by what this primary has heard since its election.
    pub(super) fn inherits(&self, view: Index) -> bool {
        view < self.opening || view == self.opening && self.begins_cold
    }

    pub(super) fn elected(&self) -> Moment {
        self.elected
    }

    pub(super) fn tick_at(&self) -> Moment {
        self.tick_at
    }

    fn begin_round(&mut self, now: Now) {
        self.round += 1;
        self.rounds.push_back((self.round, now.into()));
    }

    /// The round in which these members are asked; it begins now if they are not asked yet. Whoever
    /// has voted has answered the first one.
    pub(super) fn ask(&mut self, members: &[Incarnation], now: Now) -> u64 {
        if self.asked.0 != members {
            if self.asked.1 > 0 {
                self.begin_round(now);
            }
            self.asked = (members.to_vec(), self.round);
        }
        self.asked.1
    }

    /// Whom it has asked whether they would be the next view.
    #[cfg(test)]
    pub(super) fn asks(&self) -> &[Incarnation] {
        &self.asked.0
    }

    /// The election is over: what is asked from now on is asked in a new round.
    pub(super) fn end_election(&mut self) {
        self.asked.1 = self.asked.1.max(1);
    }

    /// A link to this peer stands.
    pub(super) fn meet(&mut self, peer: Incarnation, last: Index) {
        let peer = self.peers.entry(peer).or_default();
        // What it knows to be committed is there too, and equal to mine.
        let known = peer.matched.max(peer.known_commit).min(last);
        let from = if known > Index(0) { known } else { last };
        (peer.next, peer.floor) = (from.next(), from);
        (peer.sent_round, peer.sent_commit, peer.transfer) = (0, Index(0), None);
    }
}

impl Replication {
    pub(super) fn meet_all(&mut self) {
        let links: Vec<Incarnation> = self.evidence.links().collect();
        let last = self.log.last().index;
        let Part::Primary(primary) = &mut self.part else { return };
        for link in links {
            primary.meet(link, last);
        }
    }

    /// These have just voted: they answer.
    pub(super) fn answered_by(&mut self, voters: &[Incarnation]) {
        let Part::Primary(primary) = &mut self.part else { return };
        for voter in voters {
            let peer = primary.peers.entry(*voter).or_default();
            peer.answered = Some(self.now.at);
            peer.round = 1;
        }
    }

    /// A heartbeat is due: begins a round, and looks whether anybody still answers.
    pub(super) fn tick(&mut self) {
        let Part::Primary(primary) = &mut self.part else { return };
        primary.begin_round(self.now);
        primary.tick_at = self.now.at.plus_ms(self.settings.heartbeat_ms);
        self.confirm_rounds();
        if !self.has_majorities() {
            self.step_down();
        }
    }

    /// Whether a majority of each live view has answered within `ELECTION_MS`.
    fn has_majorities(&self) -> bool {
        let Part::Primary(primary) = &self.part else { return false };
        let recent = |peer: &Peer| {
            peer.answered.is_some_and(|at| self.now.at.ms_since(at) < self.settings.election_ms)
        };
        let answering = primary.peers.iter().filter(|(_, peer)| recent(peer)).map(|(one, _)| one);
        let yes = self.stores(answering.chain([&self.me]));
        let young = self.now.at.ms_since(primary.elected) < self.settings.election_ms;
        young || self.log.live_views().iter().all(|placed| decides(&placed.view, &yes))
    }

    fn step_down(&mut self) {
        self.part = Part::Backup(Backup::default());
        self.schedule_election();
    }

    /// Commits, changes the view, or makes room for whoever can go on.
    pub(super) fn settle_primary(&mut self) {
        if !matches!(self.part, Part::Primary(_)) {
            return;
        }
        self.advance_commit();
        if self.must_release_joiner() {
            self.step_down();
            return self.canvass();
        }
        if let Some(members) = self.due_members()
            && self.is_answered(&members)
        {
            self.change_view(members);
        }
    }

    /// Whether some live view cannot decide any more, and waits for a joiner that may not act.
    fn must_release_joiner(&self) -> bool {
        let Part::Primary(_) = &self.part else { return false };
        let live = self.log.live_views();
        let linked: Vec<Incarnation> =
            self.evidence.links().filter(|link| !self.is_dead(*link)).collect();
        let here = self.stores(linked.iter().chain([&self.me]));
        let lacks = |placed: &Placed| !decides(&placed.view, &here);
        let Some(at) = live.iter().position(lacks) else { return false };
        let joins = |placed: &Placed| {
            let members = placed.view.members.iter();
            let new = members.filter(|m| !live[0].view.members.contains(m));
            placed.index > self.log.commit() && new.into_iter().any(|m| linked.contains(m))
        };
        holds!(self.settings.rules, StepDownForOrphan) && live[at + 1..].iter().any(joins)
    }

    /// Moves the commit index as far as it may go.
    fn advance_commit(&mut self) {
        let Part::Primary(primary) = &self.part else { return };
        let last = self.log.last().index;
        let commit = self.log.commit();
        // The answer can change at these places only: where somebody's log ends, or a view begins.
        let ends = primary.peers.values().map(|peer| peer.matched).chain([self.log.durable()]);
        let before_views = self.log.live_views().iter().map(|placed| placed.index.previous());
        let places: BTreeSet<Index> =
            ends.chain(before_views).filter(|at| *at > commit && *at <= last).collect();
        if let Some(index) = places.into_iter().rev().find(|index| self.may_commit(*index)) {
            self.log.commit_to(index);
        }
    }

    /// Whether everything up to here is committed: replication.md, section 7.
    fn may_commit(&self, index: Index) -> bool {
        let Part::Primary(primary) = &self.part else { return false };
        if index < primary.opening && holds!(self.settings.rules, OwnEntryCommit) {
            return false;
        }
        let holders = primary.peers.iter().filter(|(_, peer)| peer.matched >= index);
        let own = (self.log.durable() >= index).then_some(&self.me);
        let durable = self.stores(holders.map(|(one, _)| one).chain(own));
        let Some(in_force) = self.log.in_force(index) else { return false };
        let all_hold = match holds!(self.settings.rules, AllOfView) {
            true => in_force.members.iter().all(|member| durable.contains(&member.store)),
            false => decides(in_force, &durable),
        };
        let live = self.log.live_views();
        let mut live = match holds!(self.settings.rules, AllLiveViews) {
            true => live,
            false => &live[live.len() - 1..],
        }
        .iter()
        .take_while(|placed| placed.index <= index);
        all_hold
            && live.all(|placed| decides(&placed.view, &durable))
            && !self.waits_for_inherited_removal(index)
    }

    /// Notes what a backup has.
    pub(super) fn answer(&mut self, from: Incarnation, answer: &Answer) {
        self.hear_round(answer.promise);
        self.learn(answer.committed);
        let last = self.log.last().index;
        let is_member =
            self.log.newest_view().is_some_and(|placed| placed.view.members.contains(&from));
        let is_dead = self.is_dead(from);
        let now = self.now;
        let Part::Primary(primary) = &mut self.part else { return };
        if answer.ballot != primary.ballot {
            return;
        }
        if answer.promise > primary.ballot {
            // Its promise was asked for by a real vote: only a higher ballot can be its primary's.
            self.step_down();
            return self.canvass();
        }
        if self.shows_another_history(from, answer.committed) {
            return;
        }
        let Part::Primary(primary) = &mut self.part else { return };
        let peer = primary.peers.entry(from).or_default();
        peer.matched = peer.matched.max(answer.durable.min(last));
        peer.known_commit = peer.known_commit.max(answer.committed.index);
        peer.next = peer.next.max(peer.matched.next());
        peer.is_leaving = answer.is_leaving;
        if let Some(after) = answer.resend_after {
            let after = after.min(last);
            (peer.next, peer.floor) = (after.next(), after);
        }
        if let Some(Transfer::Snapshot(before)) = peer.transfer
            && answer.committed.index > before
        {
            let after = answer.committed.index.min(last);
            (peer.next, peer.floor, peer.transfer) = (after.next(), after, None);
        }
        if is_dead {
            return;
        }
        peer.answered = Some(now.at);
        let is_newer = answer.round > peer.round;
        peer.round = peer.round.max(answer.round);
        if is_member && !peer.is_leaving {
            peer.stamped = Some(now.at);
            if !holds!(self.settings.rules, ConfirmedGrants) {
                peer.granted = Some(answer.stamp);
            }
            if peer.stamps.back().is_some_and(|(round, _)| *round == primary.round) {
                peer.stamps.pop_back();
            }
            if peer.stamps.len() < STAMPS_MAX {
                peer.stamps.push_back((primary.round, answer.stamp));
            }
        }
        if is_newer {
            self.confirm_rounds();
        }
    }

    /// Lets leases run on from what a majority of each live view has answered.
    fn confirm_rounds(&mut self) {
        let Part::Primary(primary) = &self.part else { return };
        let answered = |round: u64| {
            let who = primary.peers.iter().filter(|(_, peer)| peer.round >= round);
            let yes = self.stores(who.map(|(one, _)| one).chain([&self.me]));
            self.log.live_views().iter().all(|placed| decides(&placed.view, &yes))
        };
        let newest = primary.rounds.iter().rev().find(|(round, _)| answered(*round)).copied();
        let Some((confirmed, began)) = newest else { return };
        let now = self.now;
        self.lease.extend(began, now, self.settings.remove_ms);
        let Part::Primary(primary) = &mut self.part else { return };
        primary.confirmed = confirmed;
        primary.rounds.retain(|(round, _)| *round > confirmed);
        for peer in primary.peers.values_mut() {
            while let Some((_, stamp)) = peer.stamps.pop_front_if(|(round, _)| *round < confirmed) {
                peer.granted = Some(stamp);
            }
        }
    }

    /// A member whose removal is appended is granted nothing any more.
    pub(super) fn forget_stamps_but(&mut self, members: &[Incarnation]) {
        let Part::Primary(primary) = &mut self.part else { return };
        for (one, peer) in &mut primary.peers {
            if !members.contains(one) {
                peer.stamps.clear();
                peer.granted = None;
            }
        }
    }

    /// All members of the newest view know that everything up to here is committed.
    pub(super) fn known_by_all(&self) -> Index {
        let (Part::Primary(primary), Some(newest)) = (&self.part, self.log.newest_view()) else {
            return Index(0);
        };
        let known = |member: &Incarnation| match *member == self.me {
            true => self.log.commit(),
            false => primary.peers.get(member).map_or(Index(0), |peer| peer.known_commit),
        };
        newest.view.members.iter().map(known).min().unwrap_or(Index(0))
    }

    /// Sends everybody what they lack, the newest round, and what has committed.
    pub(super) fn send_appends(&mut self) {
        let known_by_all = self.known_by_all();
        let Replication { part: Part::Primary(primary), log, evidence, effects, .. } = self else {
            return;
        };
        if !log.is_promise_durable() {
            return;
        }
        let last = log.last().index;
        let head = wire::Append {
            ballot: primary.ballot,
            cluster: log.cluster().expect("a primary's log has a view"),
            previous: Place::START,
            entries: Vec::new(),
            committed: log.committed(),
            known_by_all,
            round: primary.round,
            view: log.newest_view().map_or(Index(0), |placed| placed.index),
            granted: None,
        };
        for (&to, peer) in primary.peers.iter_mut().filter(|(one, _)| evidence.is_linked(**one)) {
            loop {
                let is_news =
                    peer.sent_round < head.round || peer.sent_commit < head.committed.index;
                let may_send = peer.transfer.is_none()
                    && peer.next <= last
                    && peer.next.0 <= peer.matched.max(peer.floor).0 + WINDOW_ENTRIES;
                let before = peer.next.previous();
                let (previous, entries) = match log.place(before) {
                    None if may_send => {
                        peer.transfer = Some(Transfer::Reading);
                        let purpose = Purpose::Append(to);
                        let (after, upto) = (before, log.base());
                        effects.push_back(Effect::Read { after, upto, purpose });
                        continue;
                    }
                    Some(place) if may_send => (place, log.slice(before, last, SEND_BYTES_MAX)),
                    // The start is in every log: a heartbeat need not name anything else.
                    Some(place) if peer.transfer.is_none() => (place, Vec::new()),
                    _ => (Place::START, Vec::new()),
                };
                if entries.is_empty() && !is_news {
                    break;
                }
                peer.next = Index(peer.next.0 + entries.len() as u64);
                (peer.sent_round, peer.sent_commit) = (head.round, head.committed.index);
                let granted = peer.granted;
                let append = wire::Append { previous, entries, granted, ..head.clone() };
                effects.push_back(Effect::Send { to, message: Message::Append(append) });
            }
        }
    }

    /// Entries were read from disk for somebody, or are not there any more.
    pub(super) fn read(&mut self, purpose: Purpose, previous: Option<Place>, entries: Vec<Entry>) {
        match purpose {
            Purpose::Pull(to, attempt) => self.read_for_candidate((to, attempt), previous, entries),
            Purpose::Append(to) => self.read_for_backup(to, previous, entries),
        }
    }

    fn read_for_backup(&mut self, to: Incarnation, previous: Option<Place>, entries: Vec<Entry>) {
        let known_by_all = self.known_by_all();
        let (cluster, committed) = (self.cluster(), self.log.committed());
        let view = self.log.newest_view().map_or(Index(0), |placed| placed.index);
        let Part::Primary(primary) = &mut self.part else { return };
        let Some(peer) = primary.peers.get_mut(&to) else { return };
        if peer.transfer != Some(Transfer::Reading) {
            return;
        }
        peer.transfer = None;
        let Some(previous) = previous else {
            peer.transfer = Some(Transfer::Snapshot(peer.known_commit));
            return self.effects.push_back(Effect::Snapshot { to });
        };
        if previous.index.next() != peer.next {
            return;
        }
        peer.next = Index(peer.next.0 + entries.len() as u64);
        let append = wire::Append {
            ballot: primary.ballot,
            cluster,
            previous,
            entries,
            committed,
            known_by_all,
            round: primary.round,
            view,
            granted: peer.granted,
        };
        self.send(to, Message::Append(append));
    }
}
