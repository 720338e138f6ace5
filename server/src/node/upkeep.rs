//! What is done by the clock: silent clients, durable tables, day marks, erasing, and stopping.

use std::time::{Duration, Instant};

use holdfast_common::protocol::ByeReason;

use super::Node;
use super::effect::{ClientId, Effect, Origin};
use crate::chat::operation::Operation;
use crate::entry::Index;
use crate::work::{Job, JournalJob, MaintenanceJob, TablesJob};

/// The tables are made durable this long after something was applied; it bounds how much is applied
/// again after a crash.
const PERSIST_AFTER: Duration = Duration::from_secs(5);
/// Or after this many entries, if that is sooner.
const PERSIST_ENTRIES: usize = 20_000;
/// A day mark is logged after this much running time since the last one.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Deleted texts leave the files within 24 hours; half of that leaves room for the work itself.
const ERASE_AFTER: Duration = Duration::from_secs(12 * 60 * 60);
/// A former life may have deleted texts and not erased them yet. It is done so soon that only a
/// server that is started every hour of a day could be late.
const ERASE_AFTER_START: Duration = Duration::from_secs(60 * 60);
/// While a snapshot is streamed, erasing waits for so long at a time.
const ERASE_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// A stopping server waits this long for what is under way.
const DRAIN_WITHIN: Duration = Duration::from_secs(3);
/// A server whose state is not what it should be waits so long for what others found.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// By then it ends, so that it does within five seconds, with the last lines to clients. Tables
/// that are not durable yet are none that are lost: the journal holds everything.
const STOP_WITHIN: Duration = Duration::from_millis(4_300);

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopping {
    /// Requests under way are still answered; the rim takes no more.
    Draining { until: Instant, end: Instant },
    /// Clients are sent away; the tables are being made durable.
    Persisting { end: Instant },
    /// The state is not what it should be: nobody is served, but an administrator who waits for
    /// what `verify` found.
    Differing { until: Instant },
    /// The others take this server out of the view and go on without it.
    Leaving { end: Instant },
    /// All is done.
    Done,
}

/// The clocks, and what runs by them.
#[derive(Debug)]
pub(super) struct Upkeep {
    dirty_since: Option<Instant>,
    dirty_entries: usize,
    persisting: bool,
    day_mark_at: Instant,
    erase_at: Option<Instant>,
    /// Compacted: the journal's segments up to this entry go once the tables are durable beyond it.
    erasing: Option<Index>,
    stopping: Option<Stopping>,
    /// What ends is this life only: the next one begins on an empty store.
    sets_aside: bool,
}

impl Upkeep {
    pub(super) fn new(now: Instant) -> Upkeep {
        Upkeep {
            dirty_since: None,
            dirty_entries: 0,
            persisting: false,
            day_mark_at: now + DAY,
            erase_at: Some(now + ERASE_AFTER_START),
            erasing: None,
            stopping: None,
            sets_aside: false,
        }
    }

    pub(super) fn applied(&mut self, entries: usize, now: Instant) {
        self.dirty_since.get_or_insert(now);
        self.dirty_entries += entries;
    }

    pub(super) fn day_marked(&mut self, now: Instant) {
        self.day_mark_at = now + DAY;
    }

    /// So much of the day had run in former lives, after its last mark.
    pub(super) fn has_run(&mut self, ran: Duration) {
        self.day_mark_at = self.day_mark_at.checked_sub(ran.min(DAY)).unwrap_or(self.day_mark_at);
    }

    pub(super) fn erasable(&mut self, now: Instant) {
        // Never later than what is planned: that would put off what was deleted before.
        self.erase_at.get_or_insert(now + ERASE_AFTER);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }

    fn persist_at(&self) -> Option<Instant> {
        if self.persisting {
            return None;
        }
        let full = self.dirty_entries >= PERSIST_ENTRIES;
        self.dirty_since.map(|since| if full { since } else { since + PERSIST_AFTER })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let stop_at = match self.stopping {
            Some(Stopping::Draining { until, .. } | Stopping::Differing { until }) => Some(until),
            Some(Stopping::Persisting { end } | Stopping::Leaving { end }) => Some(end),
            Some(Stopping::Done) | None => None,
        };
        [self.persist_at(), Some(self.day_mark_at), self.erase_at, stop_at]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Node {
    pub(super) fn timer(&mut self) {
        let now = self.now.instant;
        self.redial();
        self.give_up();
        self.give_up_news();
        self.give_up_gate();
        self.ask_chains();
        self.replicate(crate::replication::Input::Timer);
        while let Some(client) = self.clients.next_expired(now) {
            self.say_bye(client, ByeReason::Idle);
        }
        if self.upkeep.persist_at().is_some_and(|at| at <= now) {
            self.persist();
        }
        if self.upkeep.day_mark_at <= now {
            self.upkeep.day_mark_at = now + DAY;
            self.propose_own(Operation::DayMark);
        }
        if let Some(Stopping::Persisting { end }) = self.upkeep.stopping
            && end <= now
        {
            log::warn!("stopping before the tables are durable: the next start reads the journal");
            self.stopped();
        }
        if let Some(Stopping::Leaving { end }) = self.upkeep.stopping
            && end <= now
        {
            log::warn!("stopping before the others have let this server go");
            self.stopped();
        }
        if self.upkeep.erase_at.is_some_and(|at| at <= now) {
            // The files would keep what the view of a stream still shows.
            let waits = self.snapshots.is_streaming();
            self.upkeep.erase_at = waits.then(|| now + ERASE_AGAIN_AFTER);
            if !waits {
                self.run(Job::Maintenance(MaintenanceJob::Compact));
            }
        }
    }

    fn persist(&mut self) {
        self.upkeep.persisting = true;
        self.upkeep.dirty_since = None;
        self.upkeep.dirty_entries = 0;
        let to_go = self.upkeep.day_mark_at.saturating_duration_since(self.now.instant);
        let ran_ms = DAY.saturating_sub(to_go).as_millis().try_into().unwrap_or(u64::MAX);
        self.run(Job::Tables(TablesJob::Persist { ran_ms }));
    }

    pub(super) fn persisted(&mut self, index: Index) {
        self.upkeep.persisting = false;
        let erase = self.upkeep.erasing.take_if(|last| *last <= index).is_some();
        let below = self.snapshots.releasable(index.next(), self.now.instant);
        self.run(Job::Journal(JournalJob::Release { below, erase }));
        if let Some(Stopping::Persisting { end }) = self.upkeep.stopping {
            if self.of() > 1 {
                // The others go on writing; what follows is in the journal.
                self.upkeep.stopping = Some(Stopping::Leaving { end });
                return self.replicate(crate::replication::Input::Leave);
            }
            if self.upkeep.dirty_since.is_some() {
                // That was one that had begun before the last entries were applied.
                return self.persist();
            }
            self.stopped();
        }
    }

    fn stopped(&mut self) {
        self.upkeep.stopping = Some(Stopping::Done);
        if !self.upkeep.sets_aside {
            return self.effects.push_back(Effect::Stopped);
        }
        // The others might need what is on this disk, unless they have let it go.
        let sets_aside = self.replication.is_let_go();
        if !sets_aside {
            log::warn!("the others have not let this server go: it keeps its store for now");
        }
        self.effects.push_back(Effect::Restart { sets_aside });
    }

    /// The state is not what it should be: nobody is served from it any more, and the others are
    /// asked to go on without this server.
    pub(super) fn step_back(&mut self) {
        let until = self.now.instant + LAST_WORDS;
        self.upkeep.stopping = Some(Stopping::Differing { until });
        self.upkeep.sets_aside = true;
        let is_of_network = |id: &ClientId| {
            let client = self.clients.get(*id);
            client.is_some_and(|client| matches!(client.origin, Origin::Network(_)))
        };
        for client in self.clients.ids().filter(is_of_network).collect::<Vec<_>>() {
            self.say_bye(client, ByeReason::Stopping);
        }
    }

    /// The tables are rid of what was deleted; the journal follows once they are durable. What it
    /// holds by now goes whole: later entries are in another segment.
    pub(super) fn compacted(&mut self) {
        self.run(Job::Journal(JournalJob::Roll));
        self.upkeep.erasing = Some(self.replication.last().index);
        self.upkeep.dirty_since.get_or_insert(self.now.instant);
    }

    pub(super) fn stop(&mut self) {
        if self.upkeep.stopping.is_none() {
            log::info!("stopping connections={}", self.clients.len());
            let (until, end) = (self.now.instant + DRAIN_WITHIN, self.now.instant + STOP_WITHIN);
            self.upkeep.stopping = Some(Stopping::Draining { until, end });
        }
        // Whoever stops sets nothing aside: that is for the next life to find out again.
        self.upkeep.sets_aside = false;
    }

    /// Goes on stopping when what is under way has been answered; says whether it did.
    pub(super) fn finish_stop(&mut self) -> bool {
        if matches!(self.upkeep.stopping, Some(Stopping::Leaving { .. })) && self.has_left {
            self.stopped();
            return true;
        }
        if let Some(Stopping::Differing { until }) = self.upkeep.stopping {
            if self.verifications.is_awaited() && self.now.instant < until {
                return false;
            }
            let end = self.now.instant + STOP_WITHIN;
            self.upkeep.stopping = Some(Stopping::Leaving { end });
            self.replicate(crate::replication::Input::Leave);
            return true;
        }
        let Some(Stopping::Draining { until, end }) = self.upkeep.stopping else { return false };
        // What others send never ends, and is theirs to see to.
        let is_still = || self.to_apply.is_empty() && !self.applying && self.replication.is_idle();
        let idle = self.clients.all_answered()
            && self.pipeline.is_empty()
            && (self.of() > 1 || is_still());
        if !idle && self.now.instant < until {
            return false;
        }
        self.upkeep.stopping = Some(Stopping::Persisting { end });
        for client in self.clients.ids().collect::<Vec<_>>() {
            self.say_bye(client, ByeReason::Stopping);
        }
        if !self.upkeep.persisting {
            self.persist();
        }
        true
    }
}
