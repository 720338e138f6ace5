//! The rules of replication as a machine without clock, disk or socket.
//!
//! A server's log is a row of entries, each with an index and the ballot of the primary that put it
//! there. *Views* stand in the log like everything else and name who must hold what follows them.
//! An entry is **committed** once every member of the view in force there has it on disk and a
//! majority of every live view agrees; nothing is applied, answered, pushed or readable before. So
//! any one member has everything that was acknowledged, and may go on alone once all others are
//! proven dead.
//!
//! ```text
//!            silence, or a proof of the primary's death
//!   backup -------------------------------------------> candidate: canvass, then vote
//!     ^                                                     |  majority of every live view
//!     |   a higher ballot, or no majority answers           v
//!     +------------------------------------------------- primary
//!     all others proven dead, from any role -> taking over (one write) -> primary of a view of one
//! ```
//!
//! Owns: everything that decides what counts. Driven by: `node`, or a simulator: feed inputs to
//! [`Replication::handle`], drain [`Replication::next_effect`], come back with [`Input::Timer`] at
//! [`Replication::deadline`]. Invariants:
//! - one append is in flight at a time, and each carries the hard state, so promise, log and commit
//!   index reach the disk in one order; what must wait for a sync waits for its number (`log`);
//! - one place moves the commit index, one drops entries (`log`), one function says who decides
//!   (`quorum`); *active* and live views are derived at each question and never stored;
//! - any message in any state from anybody is handled; only broken own invariants end the process.
//!
//! Does not: know what an operation means, nor read a clock.

mod backup;
mod divergence;
mod doors;
mod election;
mod evidence;
mod lease;
mod log;
mod primary;
mod quorum;
mod rules;
mod status;
mod takeover;
mod time;
mod views;
pub mod wire;

use std::collections::{BTreeMap, VecDeque};

use holdfast_common::ids::ServerId;

pub use doors::{
    CannotStart, Effect, Input, Policy, Probe, Purpose, Recovered, Refused, Role, Settings,
};
pub use log::Append;
pub use rules::Rules;
pub use status::{Standing, Status};
pub use time::{Moment, Now, Stamp};

use backup::{Backup, Pulling};
use election::Candidate;
use evidence::{Evidence, Outcome};
use lease::Lease;
use log::Log;
use primary::Primary;
use rules::holds;
use takeover::TakingOver;
use wire::{Hello, Message};

use crate::entry::{Ballot, Incarnation, Index};

/// Entries that may wait for their commit; beyond, a proposal is refused with `busy`.
pub const WAITING_ENTRIES_MAX: usize = 65_536;
/// Bytes of entries that may wait for their commit; beyond, a proposal is refused with `busy`.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// A server that stops exits after this, whether or not it was let go.
const LEAVE_MS_MAX: u64 = 2_000;
/// With the policy `timeout`, silence for so long counts as death.
const SILENCE_IS_DEATH_MS: u64 = 10_000;

/// What a server is, with all that only this role knows.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
enum Part {
    Backup(Backup),
    Candidate(Candidate),
    TakingOver(TakingOver),
    Primary(Primary),
}

/// See the module's page.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Hash))]
pub struct Replication {
    settings: Settings,
    me: Incarnation,
    now: Now,
    log: Log,
    evidence: Evidence,
    lease: Lease,
    part: Part,
    /// When to stand for election unless a primary is heard.
    elect_at: Moment,
    /// Candidacies of this life.
    attempt: u64,
    /// The highest round ever heard of, in any generation.
    highest_round: u64,
    /// Wants to leave the view, and exits at this moment at the latest.
    leaving: Option<Moment>,
    has_left: bool,
    /// This life is over and the next one is not durable yet: says and hears nothing.
    is_between_lives: bool,
    /// What must wait for a sync before it leaves, by the number of its append.
    held: VecDeque<(u64, Incarnation, Message)>,
    pulls: BTreeMap<Incarnation, Pulling>,
    effects: VecDeque<Effect>,
    random: u64,
}

impl Replication {
    /// A server that has just started, on what its former lives left.
    pub fn start(me: Incarnation, settings: Settings, recovered: Recovered, now: Now) -> Self {
        let log = Log::new(recovered, settings.memory_entries);
        let highest_round = log.promise().round.max(log.last().ballot.round);
        let mut replication = Replication {
            me,
            now,
            log,
            evidence: Evidence::default(),
            lease: Lease::default(),
            part: Part::Backup(Backup::default()),
            elect_at: now.at,
            attempt: 0,
            highest_round,
            leaving: None,
            has_left: false,
            is_between_lives: false,
            held: VecDeque::new(),
            pulls: BTreeMap::new(),
            effects: VecDeque::new(),
            random: settings.seed | 1,
            settings,
        };
        if replication.settings.servers.len() == 1 {
            replication.canvass();
        } else {
            // Links first; each new one brings this forward.
            replication.elect_at = now.at.plus_ms(replication.settings.election_ms / 2);
        }
        replication.settle();
        replication
    }

    /// Starts a server that is alone: it leads at once. `fresh_cluster` is the id that a new
    /// cluster gets; it is random, and unused on an old store.
    ///
    /// # Errors
    /// [`CannotStart`]: the store belongs to a cluster of several servers.
    pub fn alone(
        me: Incarnation,
        recovered: Recovered,
        fresh_cluster: crate::entry::ClusterId,
    ) -> Result<Replication, CannotStart> {
        let settings = Settings {
            servers: vec![me.server],
            policy: Policy::Proof,
            heartbeat_ms: 50,
            election_ms: 300,
            remove_ms: 1_000,
            has_set_aside: false,
            memory_entries: 0,
            seed: 0,
            fresh_cluster,
            rules: Rules::default(),
        };
        let now = Now { at: Moment::default(), wall_ms: 0 };
        let replication = Replication::start(me, settings, recovered, now);
        match replication.role() {
            Role::Primary => Ok(replication),
            Role::Backup | Role::Candidate | Role::TakingOver => {
                Err(CannotStart::NotAlone { members: replication.in_sync() })
            }
        }
    }

    /// Takes what has happened.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.now = Now { at: now.at.max(self.now.at), wall_ms: now.wall_ms };
        match input {
            Input::Appended { number } => self.appended(number),
            Input::NewLife(incarnation) => self.begin_life(incarnation),
            _ if self.is_between_lives => {}
            Input::Opened { hello, began } => self.opened(&hello, began),
            Input::Closed { peer } => self.closed(peer),
            Input::Heard(hello) => self.heard_hello(&hello),
            Input::Ended { peer } => self.ended(peer),
            Input::Message { from, message } => self.message(from, message),
            Input::Probed { server, began, probe } => self.probed(server, began, probe),
            Input::Read { purpose, previous, entries } => self.read(purpose, previous, entries),
            Input::Installed { place, view } => self.log.install(place, view),
            Input::Leave => self.leave(),
            Input::ForceSurvivor => self.force_survivor(),
            Input::Timer => self.timer(),
        }
        self.settle();
    }

    /// What to do next; call until it says nothing.
    pub fn next_effect(&mut self) -> Option<Effect> {
        if self.effects.is_empty() {
            self.flush();
        }
        self.effects.pop_front()
    }

    /// When to come back with [`Input::Timer`] if nothing happens before.
    pub fn deadline(&self) -> Option<Moment> {
        if self.is_between_lives {
            return None;
        }
        let of_part = match &self.part {
            Part::Backup(_) => Some(self.elect_at),
            Part::Candidate(candidate) => Some(candidate.expires()),
            Part::TakingOver(_) => None,
            // A sole server has nobody to say anything to.
            Part::Primary(_) if self.settings.servers.len() == 1 => None,
            Part::Primary(primary) => Some(primary.tick_at()),
        };
        let leaving = self.leaving.filter(|_| !self.has_left);
        of_part.into_iter().chain(leaving).min()
    }

    /// Makes effects of what is due: one append, what is committed, what backups lack.
    fn flush(&mut self) {
        if let Some(append) = self.log.next_append() {
            self.effects.push_back(Effect::Append(append));
        }
        let was_ahead = self.log.is_ahead();
        let committed = match holds!(self.settings.rules, CommitBeforeApply) {
            true => self.log.next_committed(),
            false => self.log.hand_out(self.log.last().index),
        };
        self.effects.extend(committed.map(Effect::Committed));
        if was_ahead && !self.log.is_ahead() {
            self.answer_primary();
        }
        if !self.is_between_lives {
            self.answer_pulls();
            self.send_appends();
        }
    }

    /// Does what has become possible; whatever was handled, this comes after it.
    fn settle(&mut self) {
        if self.is_between_lives {
            return;
        }
        if self.may_take_over() {
            self.take_over();
        }
        let follows = matches!(&self.part, Part::Backup(backup) if backup.primary().is_some());
        if !follows && self.end_life_if_orphaned() {
            return;
        }
        match &self.part {
            Part::Backup(_) => {}
            Part::Candidate(_) => self.settle_candidate(),
            Part::TakingOver(_) => self.settle_takeover(),
            Part::Primary(_) => {}
        }
        self.settle_primary();
        self.settle_leaving();
    }

    fn timer(&mut self) {
        match &self.part {
            Part::Backup(_) if self.now.at >= self.elect_at => self.canvass(),
            Part::Candidate(candidate) if self.now.at >= candidate.expires() => self.retire(),
            Part::Primary(primary) if self.now.at >= primary.tick_at() => self.tick(),
            Part::Backup(_) | Part::Candidate(_) | Part::TakingOver(_) | Part::Primary(_) => {}
        }
    }

    fn appended(&mut self, number: u64) {
        self.log.appended(number);
        while self.held.front().is_some_and(|(needed, ..)| self.log.is_durable(*needed)) {
            let (_, to, message) = self.held.pop_front().expect("there is a front");
            self.effects.push_back(Effect::Send { to, message });
        }
        self.answer_primary();
    }

    /// Sends, or holds until what it rests on is durable: a takeover's entry cannot leave before it
    /// is synced, whoever asks for it.
    fn send(&mut self, to: Incarnation, message: Message) {
        let is_bold = matches!(self.part, Part::TakingOver(_))
            && !holds!(self.settings.rules, TakeoverSilence);
        let needed = match holds!(self.settings.rules, DurablePromise) && !is_bold {
            true => self.log.settled_with(),
            false => 0,
        };
        // Nothing overtakes what is held.
        let needed = self.held.back().map_or(needed, |(held, ..)| needed.max(*held));
        if self.log.is_durable(needed) {
            self.effects.push_back(Effect::Send { to, message });
        } else {
            self.held.push_back((needed, to, message));
        }
    }

    fn opened(&mut self, hello: &Hello, began: Moment) {
        let peer = hello.incarnation;
        self.dialled(peer.server, began, Outcome::Answered(peer));
        if self.refuses(hello) || self.is_dead(peer) {
            return;
        }
        self.learn(hello.committed);
        self.evidence.linked(peer);
        match &mut self.part {
            Part::Primary(primary) => primary.meet(peer, self.log.last().index),
            Part::Candidate(candidate) => {
                let (vote, canvass) = (candidate.vote(), candidate.question(&self.log));
                let message = vote.map_or(Message::Canvass(canvass), Message::Vote);
                self.effects.push_back(Effect::Send { to: peer, message });
            }
            Part::Backup(_) | Part::TakingOver(_) => self.hurry_election(),
        }
    }

    fn heard_hello(&mut self, hello: &Hello) {
        self.evidence.hello(hello.incarnation, self.now.at);
        if !self.refuses(hello) {
            self.learn(hello.committed);
        }
        self.proofs_changed();
    }

    /// Whether this peer is none of ours.
    fn refuses(&self, hello: &Hello) -> bool {
        let is_stranger = !self.settings.servers.contains(&hello.incarnation.server);
        let other = hello.cluster.zip(self.log.cluster()).is_some_and(|(his, mine)| his != mine);
        is_stranger || other || hello.incarnation.server == self.me.server
    }

    fn closed(&mut self, peer: Incarnation) {
        if self.evidence.unlinked(peer) {
            self.effects.push_back(Effect::Probe(peer.server));
            self.lost_link(peer.server);
        }
    }

    fn ended(&mut self, peer: Incarnation) {
        if !self.is_dead(peer) {
            self.effects.push_back(Effect::Probe(peer.server));
        }
    }

    fn probed(&mut self, server: ServerId, began: Moment, probe: Probe) {
        match probe {
            Probe::Refused => self.dialled(server, began, Outcome::Refused),
            Probe::Hello(hello) => {
                self.dialled(server, began, Outcome::Answered(hello.incarnation));
                if !self.refuses(&hello) {
                    self.learn(hello.committed);
                }
            }
            Probe::Nothing => {}
        }
        if !self.evidence.links().any(|link| link.server == server) {
            self.lost_link(server);
        }
    }

    fn dialled(&mut self, server: ServerId, began: Moment, outcome: Outcome) {
        self.evidence.dialled(self.settings.rules, server, began, outcome, self.now.at);
        self.proofs_changed();
    }

    /// A proof of the primary's death ends the wait for it.
    fn proofs_changed(&mut self) {
        if let Part::Backup(backup) = &self.part
            && backup.primary().is_some_and(|primary| self.is_dead(primary))
        {
            let rank = self.settings.servers.iter().position(|server| *server == self.me.server);
            let rank = u64::try_from(rank.unwrap_or(0)).unwrap_or(0);
            let others = u64::try_from(self.settings.servers.len()).unwrap_or(1).max(2) - 1;
            let at = self.now.at.plus_us(election::STAGGER_US * rank / others);
            self.elect_at = self.elect_at.min(at);
        }
    }

    fn message(&mut self, from: Incarnation, message: Message) {
        // The dead say nothing new, and while a takeover is in the air nothing may be said or
        // heard.
        let is_silent = matches!(self.part, Part::TakingOver(_))
            && holds!(self.settings.rules, TakeoverSilence);
        if from.server == self.me.server || is_silent {
            return;
        }
        self.evidence.heard(from, self.now.at);
        match message {
            Message::Append(append) => self.append(from, append),
            Message::Answer(answer) => self.answer(from, &answer),
            Message::Canvass(canvass) => self.canvassed(from, &canvass),
            Message::Vote(vote) => self.asked_for_vote(from, &vote),
            Message::Opinion(opinion) => self.opinion(from, &opinion),
            Message::Pull(pull) => self.pulled(from, pull),
            Message::Suffix(suffix) => self.suffix(from, suffix),
            Message::History(history) => self.history(&history),
        }
    }

    fn learn(&mut self, committed: wire::Place) {
        if holds!(self.settings.rules, CommitFacts) {
            self.log.learn(committed);
        }
    }

    fn hear_round(&mut self, ballot: Ballot) {
        self.highest_round = self.highest_round.max(ballot.round);
    }

    fn is_dead(&self, incarnation: Incarnation) -> bool {
        self.evidence.dead_since(self.settings.rules, incarnation).is_some()
    }

    /// Whether my own incarnation may act for the cluster: it is in every live view, and that is
    /// not only what an entry says that others may never have got.
    fn is_active(&self) -> bool {
        self.is_member()
            && (self.leaving.is_none() || !holds!(self.settings.rules, LeavingEndsActive))
    }

    fn is_member(&self) -> bool {
        let live = self.log.live_views();
        let names_me = |placed: &quorum::Placed| placed.view.members.contains(&self.me);
        if !holds!(self.settings.rules, ActiveByCommittedView) {
            return live.last().is_some_and(names_me);
        }
        // The first view ever has no view before it that others could decide by.
        let is_sound = |placed: &quorum::Placed| placed.index <= self.log.commit().max(Index(1));
        live.first().is_some_and(is_sound) && live.iter().all(names_me)
    }

    /// Whether some view counts on me that I do not know to be committed, while I may not act.
    fn is_joiner(&self) -> bool {
        let named = |placed: &quorum::Placed| placed.view.members.contains(&self.me);
        !self.is_member() && self.log.live_views().iter().any(named)
    }

    /// A joiner without a primary must not stand in the way of those who wait for its vote: it ends
    /// this life, so that the next one's Hello proves it dead. At once: whoever waits for that
    /// proof may have to have it while a lease runs.
    fn end_life_if_orphaned(&mut self) -> bool {
        let leads = matches!(self.part, Part::Primary(_) | Part::TakingOver(_));
        if leads || !self.is_joiner() || !holds!(self.settings.rules, NewLifeOfOrphan) {
            return false;
        }
        self.held.clear();
        self.pulls.clear();
        self.part = Part::Backup(Backup::default());
        self.is_between_lives = true;
        self.effects.push_back(Effect::NewLife);
        true
    }

    fn begin_life(&mut self, incarnation: Incarnation) {
        assert!(self.is_between_lives, "a new life begins when it was asked for");
        assert!(incarnation > self.me && incarnation.store == self.me.store, "lives count up");
        self.me = incarnation;
        self.is_between_lives = false;
        self.lease = Lease::default();
        self.evidence.unlink_all();
        self.schedule_election();
    }

    fn next_random(&mut self) -> u64 {
        // xorshift64: spreads timers, decides nothing.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }
}

#[cfg(test)]
mod search;
#[cfg(test)]
mod sim;
#[cfg(test)]
mod tests;
