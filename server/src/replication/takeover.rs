//! Going on alone: what the last one left may do, and nobody else.
//!
//! An active server for which every other member of every live view is proven dead appends the view
//! of itself alone, in a new generation. That is a statement about the past, so no pause between
//! check and use can break it: when the last of them was dead, I still belonged to every view that
//! could matter; nobody was left to remove me, and a restarted server acts only after I admit it.
//! In a view of three and more the others might have removed me before they died: there my lease
//! must have run on beyond the last proof. It is one local write: promise, view and commit index in
//! one record, so a generation exists only if its takeover was completed, and any log of a higher
//! generation holds everything that was acknowledged below it.
//!
//! One wait is longer than it must be. With {A, B} committed and {A, B, C} under way, A dies, and
//! C, an orphaned joiner, takes a new life; if B hears of that life only after its lease, B waits
//! for A. The lease cannot simply be dropped: had C known {A, B, C} to be committed, C could have
//! led with A's store and removed B. What might replace it: the Hello of C's next life, if it does
//! not know that view to be committed, says that the former one never acted. Not tried yet.
//!
//! Owns: [`TakingOver`], the role while that write is in the air. Driven by: the doors, after every
//! input. Invariants: while it is in the air the server says and hears nothing, and nobody gets the
//! entry. Does not: involve anybody else; opened by several together, generations lost data.

use super::primary::Primary;
use super::wire::Place;
use super::{Part, Policy, Replication, Role, SILENCE_IS_DEATH_MS, holds};
use crate::entry::{Ballot, Incarnation, Index, Payload, View, generation_above};

/// A takeover whose write is in the air.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct TakingOver {
    ballot: Ballot,
    /// The number of the append that carries it.
    number: u64,
    /// Where its view stands.
    index: Index,
}

/// What speaks for a death.
#[derive(Debug, Clone, Copy)]
enum Death {
    /// A proof, first observed at this moment.
    Proven(super::Moment),
    /// Silence, under the policy that lets it count.
    Silence,
}

impl Replication {
    /// Whether this server may go on alone now.
    pub(super) fn may_take_over(&self) -> bool {
        let leads_alone = self.role() == Role::Primary
            && self.log.live_views().iter().all(|placed| placed.view.members.len() == 1);
        let is_late =
            !holds!(self.settings.rules, TakeoverAtEachProof) && self.role() != Role::Candidate;
        if self.settings.policy == Policy::Majority
            || leads_alone
            || is_late
            || self.role() == Role::TakingOver
            || !self.is_active()
        {
            return false;
        }
        let mut others = 0;
        for placed in self.log.live_views() {
            let members = &placed.view.members;
            for member in members.iter().filter(|member| **member != self.me) {
                others += 1;
                match self.death(*member) {
                    None => return false,
                    Some(Death::Silence) => {}
                    Some(Death::Proven(at)) => {
                        // Of two, nobody removes me without my vote or my death.
                        let others_decide = 2 * (members.len() - 1) > members.len();
                        let needs_lease =
                            others_decide && holds!(self.settings.rules, TakeoverLease);
                        if needs_lease && !self.lease.covers(at) {
                            return false;
                        }
                    }
                }
            }
        }
        others > 0
    }

    fn death(&self, member: Incarnation) -> Option<Death> {
        if let Some(at) = self.evidence.dead_since(self.settings.rules, member) {
            return Some(Death::Proven(at));
        }
        let heard = self.evidence.last_heard(member)?;
        let is_silent = self.settings.policy == Policy::Timeout
            && self.now.at.ms_since(heard) >= SILENCE_IS_DEATH_MS;
        is_silent.then_some(Death::Silence)
    }

    /// Opens a generation of my own.
    pub(super) fn take_over(&mut self) {
        let highest = self.log.promise().max(self.log.last().ballot);
        let generation = match holds!(self.settings.rules, TakeoverGeneration) {
            true => generation_above(highest.generation, self.me.server),
            false => highest.generation,
        };
        self.open_generation(generation);
    }

    /// The administrator says that all other disks are gone.
    pub(super) fn force_survivor(&mut self) {
        let highest = self.log.promise().generation.max(self.log.last().ballot.generation);
        let generation = generation_above(highest, self.me.server);
        if self.role() != Role::TakingOver {
            self.open_generation(generation);
        }
    }

    fn open_generation(&mut self, generation: u64) {
        self.highest_round += 1;
        let ballot = Ballot { generation, round: self.highest_round, server: self.me.server };
        let view = View { cluster: self.cluster(), members: vec![self.me] };
        self.held.clear();
        self.pulls.clear();
        self.log.raise_promise(ballot);
        let index = self.log.push(ballot, Payload::View(view));
        self.log.demand_atomic();
        let number = self.log.barrier();
        self.part = Part::TakingOver(TakingOver { ballot, number, index });
    }

    /// Goes on as primary once the write is durable.
    pub(super) fn settle_takeover(&mut self) {
        let Part::TakingOver(TakingOver { ballot, number, index }) = self.part else { return };
        if !self.log.is_durable(number) {
            return;
        }
        debug_assert!(self.log.last() == Place { ballot, index }, "nothing else was let in");
        self.log.commit_to(index);
        let now = self.now;
        self.lease.extend(now.into(), now, self.settings.remove_ms);
        let mut primary = Primary::new(ballot, index, now, now.into());
        primary.end_election();
        self.part = Part::Primary(primary);
        self.meet_all();
    }
}
