//! Operations on their way into the log: logged here by a primary, forwarded there by a backup, and
//! sent again to whoever is primary next.
//!
//! Every operation is idempotent (a txn, a session id, a mark that only grows), so it may be sent
//! again without asking what became of the first try. When the primary or its ballot changes, *all*
//! that is in doubt is sent again in the order in which it came: so writes of one connection take
//! effect in the order sent, over any failover.
//!
//! Owns: every operation without an outcome, and who waits for it. Driven by: `writes`, `sign_in`,
//! `admin` (propose), `links` (what the primary says), the node (what was applied, the clock).
//! Invariants: each is answered once: by the outcome of its own entry, by a refusal while nothing
//! was done, or by `outcome_unknown`. Does not: know what an operation means.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_common::protocol::{ErrorCode, ErrorReply};

use super::Node;
use super::effect::LinkId;
use super::frames::{Forwarded, Frame};
use super::requests::{BUSY_AFTER_MS, busy};
use super::writes::Waiting;
use crate::chat::operation::{Operation, Outcome, Stamped};
use crate::entry::{Ballot, Incarnation, Index};
use crate::replication::Refused;

/// A server's patience: a client learns after this that nobody takes its write (protocol, Errors).
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// How far an operation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Not with the primary of now.
    Unsent,
    /// Forwarded.
    Sent,
    /// In the primary's log.
    Logged,
}

struct Pending {
    operation: Operation,
    waiting: Waiting,
    until: Instant,
    stage: Stage,
    /// An earlier primary may have it in its log.
    is_in_doubt: bool,
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Pipeline {
    next: u64,
    pending: BTreeMap<u64, Pending>,
    /// Those that are in the log, by their place there.
    logged: BTreeMap<Index, (Ballot, u64)>,
    /// Whom the pending ones were sent to, and over which link if that is another server: what was
    /// sent over one that ended may be lost.
    target: Option<(Incarnation, Ballot, Option<LinkId>)>,
}

impl Pipeline {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        // What is in the primary's log has its outcome there, or the primary will change.
        let waits = |pending: &&Pending| pending.stage != Stage::Logged;
        self.pending.values().filter(waits).map(|pending| pending.until).min()
    }

    fn doubt_all(&mut self) {
        self.logged.clear();
        for pending in self.pending.values_mut().filter(|p| p.stage != Stage::Unsent) {
            pending.stage = Stage::Unsent;
            pending.is_in_doubt = true;
        }
    }
}

impl Node {
    /// Sends an operation on its way, unless this server is stopping.
    pub(super) fn propose(&mut self, operation: Operation, waiting: Waiting) {
        if self.upkeep.is_stopping() {
            let text = "this server is stopping; nothing was done";
            let stopping = ErrorReply::with_text(ErrorCode::NoPrimary, text);
            return self.proposal_refused(waiting, stopping.after_ms(BUSY_AFTER_MS));
        }
        let number = self.pipeline.next;
        self.pipeline.next += 1;
        let until = self.now.instant + PATIENCE;
        let stage = Stage::Unsent;
        let pending = Pending { operation, waiting, until, stage, is_in_doubt: false };
        self.pipeline.pending.insert(number, pending);
    }

    /// Hands what is not with the primary of now to it, in order; says whether anything was.
    pub(super) fn pump(&mut self) -> bool {
        let ballot = self.replication.ballot();
        let target = self.replication.forwards_to().and_then(|primary| {
            let is_me = primary == self.replication.incarnation();
            let link = self.links.to(primary);
            (is_me || link.is_some()).then_some((primary, ballot, link))
        });
        if target != self.pipeline.target {
            self.pipeline.target = target;
            self.pipeline.doubt_all();
        }
        let Some((primary, ..)) = target else { return false };
        let unsent = self.pipeline.pending.iter().filter(|(_, p)| p.stage == Stage::Unsent);
        let unsent: Vec<u64> = unsent.map(|(number, _)| *number).collect();
        let mut moved = false;
        for number in unsent {
            let Some(pending) = self.pipeline.pending.get_mut(&number) else { continue };
            if primary != self.replication.incarnation() {
                pending.stage = Stage::Sent;
                let frame = Frame::Forward(number, pending.operation.clone());
                self.say(primary, &frame);
                moved = true;
                continue;
            }
            let operation = pending.operation.clone();
            let stamped = Stamped { ts_ms: self.now.wall_ms, operation };
            match self.replication.propose(stamped.encode()) {
                Ok(index) => {
                    pending.stage = Stage::Logged;
                    self.pipeline.logged.insert(index, (ballot, number));
                }
                Err(Refused::Busy) if !pending.is_in_doubt => self.nothing_done(number, busy()),
                // What may be logged already must not be overtaken by what came behind it.
                Err(Refused::Busy | Refused::NotPrimary) => return moved,
            }
            moved = true;
        }
        moved
    }

    /// A backup asks this server to log something.
    pub(super) fn forward_from(&mut self, from: Incarnation, number: u64, operation: Operation) {
        let stamped = Stamped { ts_ms: self.now.wall_ms, operation };
        let ballot = self.replication.ballot();
        let outcome = match self.replication.propose(stamped.encode()) {
            Ok(index) => Forwarded::Logged(index, ballot),
            Err(Refused::Busy) => Forwarded::Busy,
            Err(Refused::NotPrimary) => Forwarded::NotPrimary,
        };
        self.say(from, &Frame::Forwarded(number, outcome));
    }

    /// The primary says what became of something forwarded.
    pub(super) fn forwarded(&mut self, from: Incarnation, number: u64, outcome: Forwarded) {
        let Some((primary, ..)) = self.pipeline.target else { return };
        let Some(pending) = self.pipeline.pending.get_mut(&number) else { return };
        if from != primary || pending.stage != Stage::Sent {
            return;
        }
        match outcome {
            Forwarded::Logged(index, ballot) => {
                pending.stage = Stage::Logged;
                self.pipeline.logged.insert(index, (ballot, number));
            }
            Forwarded::Busy if !pending.is_in_doubt => self.nothing_done(number, busy()),
            // It is sent again when the primary changes, or its patience ends.
            Forwarded::Busy | Forwarded::NotPrimary => {}
        }
    }

    /// An entry was applied: whoever waits for it is answered; whoever waits for another entry at
    /// its place, or before it, waits for one that is gone.
    pub(super) fn settle(&mut self, index: Index, ballot: Ballot, outcome: Option<Outcome>) {
        let mut outcome = outcome;
        while let Some((&at, &(logged_in, number))) = self.pipeline.logged.first_key_value()
            && at <= index
        {
            self.pipeline.logged.remove(&at);
            if at == index && logged_in == ballot {
                let (Some(pending), Some(outcome)) =
                    (self.pipeline.pending.remove(&number), outcome.take())
                else {
                    continue;
                };
                self.complete(pending.waiting, outcome);
            } else if let Some(pending) = self.pipeline.pending.get_mut(&number) {
                pending.stage = Stage::Unsent;
                pending.is_in_doubt = true;
            }
        }
    }

    /// Gives up what nobody has answered for too long.
    pub(super) fn give_up(&mut self) {
        let now = self.now.instant;
        let is_late = |pending: &Pending| pending.stage != Stage::Logged && pending.until <= now;
        let late = self.pipeline.pending.iter().filter(|(_, pending)| is_late(pending));
        let late: Vec<u64> = late.map(|(number, _)| *number).collect();
        for number in late {
            let Some(pending) = self.pipeline.pending.get(&number) else { continue };
            let is_known = pending.stage == Stage::Unsent && !pending.is_in_doubt;
            let code = if is_known { ErrorCode::NoPrimary } else { ErrorCode::OutcomeUnknown };
            self.nothing_done(number, ErrorReply::new(code).after_ms(BUSY_AFTER_MS));
        }
    }

    fn nothing_done(&mut self, number: u64, error: ErrorReply) {
        if let Some(pending) = self.pipeline.pending.remove(&number) {
            self.proposal_refused(pending.waiting, error);
        }
    }
}
