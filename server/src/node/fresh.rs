//! Never wrong from ignorance: what must be known of the cluster before this server's own state may
//! speak for it.
//!
//! ```text
//! look-up -> what has the cluster acknowledged by now? -> wait until that is applied here -> look
//! ```
//!
//! Sign-ins, names and passwords are looked up only after that. A question that this server's state
//! refuses is looked up again after it, once. The primary knows the answer as long as its lease
//! runs; a backup asks it, once for all that wait.
//!
//! Owns: whatever waits to be looked up. Driven by: `sign_in`, `writes`, `admin`, `requests` (what
//! to look up), `links` (what the primary says), the node (what was applied, the clock).
//! Invariants: an answer counts for what waited before its question left; nothing waits longer than
//! the server's patience. Does not: read the state, or know what is looked up.

use std::time::{Duration, Instant};

use holdfast_common::protocol::{ErrorCode, ErrorReply};

use super::frames::Frame;
use super::pipeline::PATIENCE;
use super::requests::BUSY_AFTER_MS;
use super::{Node, Task};
use crate::chat::query::Query;
use crate::entry::{Incarnation, Index};
use crate::replication::Role;

/// A question without an answer is asked again after this: the primary may have had no answer, or
/// be another one by now.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What a look at the own state is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The state held whatever was acknowledged when the request came.
    Fresh,
    /// There was nobody to ask.
    Own,
}

/// How far something that waits has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Unasked,
    /// With the question of this number, and again with each behind it.
    Asked(u64),
    /// Everything up to here must be applied.
    Known(Index),
}

impl Stage {
    /// Whether a state at this place has everything that must be known.
    fn is_covered_by(self, place: Index) -> bool {
        matches!(self, Stage::Known(index) if index <= place)
    }
}

struct Waiter {
    until: Instant,
    stage: Stage,
    task: Task,
    query: Query,
    /// It was looked up at this place of the log already, and refused.
    refusal: Option<(ErrorReply, Index)>,
}

/// See the module's page.
#[derive(Default)]
pub(super) struct Freshness {
    /// In the order in which they came.
    waiting: Vec<Waiter>,
    /// The newest question.
    number: u64,
    /// It is unanswered, and asked again at this moment.
    ask_again_at: Option<Instant>,
}

impl Freshness {
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.waiting.first().map(|waiter| waiter.until);
        first.into_iter().chain(self.ask_again_at).min()
    }

    fn learn(&mut self, upto: u64, index: Index) {
        for waiter in &mut self.waiting {
            if matches!(waiter.stage, Stage::Asked(number) if number <= upto) {
                waiter.stage = Stage::Known(index);
            }
        }
    }

    /// Whatever knows nothing yet is with the question of this number, or an earlier one.
    fn asked(&mut self, number: u64) {
        for waiter in self.waiting.iter_mut().filter(|w| w.stage == Stage::Unasked) {
            waiter.stage = Stage::Asked(number);
        }
    }

    fn has_questions(&self) -> bool {
        self.waiting.iter().any(|waiter| !matches!(waiter.stage, Stage::Known(_)))
    }
}

impl Node {
    /// Asks the state as soon as it holds everything that is acknowledged by now.
    pub(super) fn ask_fresh(&mut self, task: Task, query: Query) {
        self.wait_for_news(task, query, None);
    }

    /// The state refuses, as it was at this place: is that so where everything acknowledged is
    /// known? Else it is asked again.
    pub(super) fn confirm(&mut self, task: Task, query: Query, error: ErrorReply, seen: Index) {
        self.wait_for_news(task, query, Some((error, seen)));
    }

    fn wait_for_news(&mut self, task: Task, query: Query, refusal: Option<(ErrorReply, Index)>) {
        let until = self.now.instant + PATIENCE;
        let waiter = Waiter { until, stage: Stage::Unasked, task, query, refusal };
        self.freshness.waiting.push(waiter);
    }

    /// Asks what must be known, and lets go on what is; says whether anything moved.
    pub(super) fn freshen(&mut self) -> bool {
        if self.freshness.waiting.is_empty() {
            self.freshness.ask_again_at = None;
            return false;
        }
        let has_asked = self.ask_for_news();
        let applied = Index(self.applied.index);
        let is_due = |waiter: &mut Waiter| {
            let seen = waiter.refusal.as_ref().map_or(Index(0), |(_, seen)| *seen);
            waiter.stage.is_covered_by(applied.max(seen))
        };
        let due: Vec<Waiter> = self.freshness.waiting.extract_if(.., is_due).collect();
        let has_moved = !due.is_empty();
        for Waiter { stage, task, query, refusal, .. } in due {
            match refusal {
                Some((error, seen)) if stage.is_covered_by(seen) => self.stays_refused(task, error),
                _ => {
                    let ticket = self.ticket(task);
                    self.ask(ticket, query);
                }
            }
        }
        has_asked || has_moved
    }

    fn ask_for_news(&mut self) -> bool {
        if !self.freshness.has_questions() {
            self.freshness.ask_again_at = None;
            return false;
        }
        if self.replication.role() == Role::Primary {
            let Some(index) = self.read_index() else { return false };
            self.freshness.asked(self.freshness.number);
            self.freshness.learn(self.freshness.number, index);
            return true;
        }
        let now = self.now.instant;
        let primary = self.replication.primary();
        let Some(primary) = primary.filter(|primary| self.links.to(*primary).is_some()) else {
            self.freshness.ask_again_at = None;
            return false;
        };
        if self.freshness.ask_again_at.is_some_and(|at| at > now) {
            return false;
        }
        self.freshness.number += 1;
        self.freshness.ask_again_at = Some(now + ASK_AGAIN);
        self.freshness.asked(self.freshness.number);
        self.say(primary, &Frame::Ask(self.freshness.number));
        true
    }

    /// Up to here everything is acknowledged by now, if this primary can know it. What a server
    /// that is alone has acknowledged, it has applied.
    fn read_index(&self) -> Option<Index> {
        match self.settings.servers.len() {
            1 => Some(Index(0)),
            _ => self.replication.read_index(self.now.moment()),
        }
    }

    /// A backup asks what has been acknowledged. Without an answer, there is none: it asks again.
    pub(super) fn asked_for_news(&mut self, from: Incarnation, number: u64) {
        if let Some(index) = self.replication.read_index(self.now.moment()) {
            self.say(from, &Frame::News(number, index));
        }
    }

    /// The primary says what has been acknowledged.
    pub(super) fn news(&mut self, number: u64, index: Index) {
        self.freshness.learn(number, index);
        if number == self.freshness.number {
            self.freshness.ask_again_at = None;
        }
    }

    /// Ends the wait of what has waited too long.
    pub(super) fn give_up_news(&mut self) {
        let now = self.now.instant;
        let is_late = |waiter: &mut Waiter| waiter.until <= now;
        let late: Vec<Waiter> = self.freshness.waiting.extract_if(.., is_late).collect();
        for Waiter { mut task, query, .. } in late {
            if task.goes_without_news() {
                let ticket = self.ticket(task);
                self.ask(ticket, query);
            } else {
                let error = self.not_known(&task);
                self.stays_refused(task, error);
            }
        }
    }

    /// Why it went no further. A write needs a primary whatever would have been found.
    fn not_known(&self, task: &Task) -> ErrorReply {
        let is_leaderless = self.replication.primary().is_none();
        if is_leaderless && matches!(task, Task::Write(_)) {
            return ErrorReply::new(ErrorCode::NoPrimary).after_ms(BUSY_AFTER_MS);
        }
        behind()
    }

    fn stays_refused(&mut self, task: Task, error: ErrorReply) {
        match task {
            Task::Question(client, id, _) => self.question_refused(client, id, error),
            Task::SignIn(task) => self.sign_in_refused(task.client, task.id, error),
            Task::Write(task) => self.write_refused(&task, error),
            Task::Admin(task) => self.admin_refused(&task, error),
            Task::Backlog(..) | Task::FollowUps => unreachable!("these wait for no news"),
        }
    }
}

/// The refusal of a server that cannot know whether it is up to date.
pub(super) fn behind() -> ErrorReply {
    ErrorReply::new(ErrorCode::Behind).after_ms(BUSY_AFTER_MS)
}
