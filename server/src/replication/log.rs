//! The log as the machine sees it, and the one ordered queue through which it reaches the disk.
//!
//! ```text
//! base | entries in memory ............................ last
//!      |   handed out <= commit      durable <= appended
//! ```
//!
//! Promise, commit index, cut and entries go to disk together in numbered appends, one in flight at
//! a time. Whatever must wait for a sync waits for the number of the append that carries it
//! ([`Log::barrier`]); nothing else says that something is durable.
//!
//! Owns: entries in memory, views that still matter, hard state. Driven by: the rest of
//! `replication`. Invariants: [`Log::commit_to`] alone moves the commit index, only up;
//! [`Log::cut_after`] alone drops entries, never at or below it; the promise is never below the
//! last entry's ballot; an entry is handed out once, in order, after it was committed and synced.
//! Does not: know why something is committed, promised or cut.

use std::collections::VecDeque;

use super::quorum::{Placed, in_force, live_views};
use super::wire::Place;
use crate::entry::{Ballot, ClusterId, Entry, HardState, Index, Origins, Payload, View};

/// Entries in one append: keeps a batch's encoding within a few milliseconds.
const APPEND_ENTRIES_MAX: usize = 8_192;
/// Bytes of entries in one append, for the same reason.
pub(super) const APPEND_BYTES_MAX: usize = 8 << 20;
/// Entries that are committed and not handed out before a primary is told of no more: a quarter of
/// a second of applying.
const AHEAD_ENTRIES_MAX: u64 = 16_384;

/// What an append puts on disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Append {
    /// Comes back with [`super::Input::Appended`].
    pub number: u64,
    /// The hard state from here on.
    pub hard_state: HardState,
    /// Every entry behind this index is dropped first.
    pub cut_after: Option<Index>,
    /// Then these follow; may be none.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone, Hash)]
struct InFlight {
    number: u64,
    hard_state: HardState,
    /// The last index that will be durable, as far as it was not cut meanwhile.
    last: Index,
}

/// The log's newest state does not allow what was asked: what is committed here is not in the other
/// log, so one of both served while the other did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Diverged;

/// See the module's page.
#[derive(Debug, Clone, Hash)]
pub(super) struct Log {
    /// The entry before the first one in memory.
    base: Place,
    entries: VecDeque<Entry>,
    uncommitted_bytes: usize,
    /// The newest committed view and all behind it; all, if none is known to be committed.
    views: Vec<Placed>,
    hard_state: HardState,
    /// As it is on disk.
    synced: HardState,
    durable: Index,
    /// The last index that was handed to an append.
    appended: Index,
    /// What is on disk, or on its way there, behind this index is to be dropped.
    cut: Option<Index>,
    in_flight: Option<InFlight>,
    /// Of the last append that was handed out.
    number: u64,
    /// The hard state is to be written even if no entry is.
    is_urgent: bool,
    /// The next append takes all entries, however many: it is atomic.
    is_atomic: bool,
    handed_out: Index,
    /// Whoever applies has enough to do.
    holds_back: bool,
    /// Applied before this life began, and so known to be committed without the hard state.
    applied_before: Index,
    /// Committed entries that stay in memory for backups that are a little behind.
    memory_entries: usize,
    /// Reaches further back than the entries in memory.
    origins: Origins,
}

impl Log {
    pub(super) fn new(recovered: super::Recovered, memory_entries: usize) -> Log {
        let super::Recovered { hard_state, applied, applied_ballot, view, tail, origins } =
            recovered;
        let mut log = Log {
            base: Place { ballot: applied_ballot, index: applied },
            entries: VecDeque::new(),
            uncommitted_bytes: 0,
            views: view.map(|view| Placed { index: applied, view }).into_iter().collect(),
            hard_state: HardState { commit: applied, ..hard_state },
            synced: hard_state,
            durable: applied,
            appended: applied,
            cut: None,
            in_flight: None,
            number: 0,
            is_urgent: false,
            is_atomic: false,
            handed_out: applied,
            holds_back: false,
            applied_before: applied,
            memory_entries,
            origins,
        };
        // The tail says its own.
        log.origins.cut_after(applied);
        for entry in tail {
            log.take_in(entry);
        }
        log.appended = log.last().index;
        log.durable = log.appended;
        log.commit_to(hard_state.commit.min(log.durable));
        log.is_urgent = false;
        log
    }

    /// The last entry's place.
    pub(super) fn last(&self) -> Place {
        let place = |entry: &Entry| Place { ballot: entry.ballot, index: entry.index };
        self.entries.back().map_or(self.base, place)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.last().index == Index(0)
    }

    pub(super) fn promise(&self) -> Ballot {
        self.hard_state.promise
    }

    pub(super) fn commit(&self) -> Index {
        self.hard_state.commit
    }

    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    /// The newest entry that is known to be committed.
    pub(super) fn committed(&self) -> Place {
        let index = self.commit();
        // What is not in memory any more cannot be named; that nothing is committed is always true.
        self.place(index).unwrap_or(Place::START)
    }

    /// The place of an entry that is in memory, or of the one just before.
    pub(super) fn place(&self, index: Index) -> Option<Place> {
        if index == self.base.index {
            return Some(self.base);
        }
        self.entry(index).map(|entry| Place { ballot: entry.ballot, index })
    }

    fn entry(&self, index: Index) -> Option<&Entry> {
        let offset = index.0.checked_sub(self.base.index.0)?.checked_sub(1)?;
        self.entries.get(usize::try_from(offset).ok()?)
    }

    /// The index before the first entry in memory.
    pub(super) fn base(&self) -> Index {
        self.base.index
    }

    /// Entries in memory behind `after` up to `upto`, about `bytes_max` bytes of them.
    pub(super) fn slice(&self, after: Index, upto: Index, bytes_max: usize) -> Vec<Entry> {
        if after < self.base.index {
            return Vec::new();
        }
        let mut bytes = 0;
        let wanted = self.behind(after).take_while(|entry| entry.index <= upto);
        let fits = |entry: &&Entry| {
            let is_first = bytes == 0;
            bytes += entry.bytes();
            is_first || bytes <= bytes_max
        };
        wanted.take(APPEND_ENTRIES_MAX).take_while(fits).cloned().collect()
    }

    /// Entries in memory behind this index.
    fn behind(&self, index: Index) -> impl Iterator<Item = &Entry> {
        let skip = index.0.saturating_sub(self.base.index.0);
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(skip..)
    }

    pub(super) fn live_views(&self) -> &[Placed] {
        live_views(&self.views, self.commit())
    }

    pub(super) fn in_force(&self, index: Index) -> Option<&View> {
        in_force(&self.views, index)
    }

    /// The newest view of the log.
    pub(super) fn newest_view(&self) -> Option<&Placed> {
        self.views.last()
    }

    pub(super) fn cluster(&self) -> Option<ClusterId> {
        self.views.last().map(|placed| placed.view.cluster)
    }

    /// Entries that are not handed out yet, and bytes of those that are not committed.
    pub(super) fn waiting(&self) -> (u64, usize) {
        (self.last().index.0 - self.handed_out.0, self.uncommitted_bytes)
    }

    /// What a primary may be told to be durable here. Not all of it where much that is committed
    /// has not been handed out: so the primary sends no more than can be applied, memory stays
    /// bounded, and nobody is admitted who would need long before it can lead. What is not known to
    /// be committed is never kept back, for its commit may wait for this.
    pub(super) fn durable_to_tell(&self) -> Index {
        match self.is_ahead() {
            true => self.durable.min(Index(self.handed_out.0 + AHEAD_ENTRIES_MAX)),
            false => self.durable,
        }
    }

    /// Whether so much that is committed has not been handed out that less is told.
    pub(super) fn is_ahead(&self) -> bool {
        self.commit().0.saturating_sub(self.handed_out.0) > AHEAD_ENTRIES_MAX
    }

    /// Promises a ballot; the next append carries the promise.
    pub(super) fn raise_promise(&mut self, ballot: Ballot) {
        assert!(ballot >= self.hard_state.promise, "a promise is never taken back");
        self.is_urgent |= ballot > self.hard_state.promise;
        self.hard_state.promise = ballot;
    }

    /// Appends an entry of an own ballot.
    pub(super) fn push(&mut self, ballot: Ballot, payload: Payload) -> Index {
        let index = self.last().index.next();
        self.take_in(Entry { index, ballot, payload });
        index
    }

    fn take_in(&mut self, entry: Entry) {
        let last = self.last();
        assert!(entry.index == last.index.next(), "entries are dense");
        assert!(entry.ballot >= last.ballot, "ballots never fall");
        if entry.ballot > self.hard_state.promise {
            self.raise_promise(entry.ballot);
        }
        if let Payload::View(view) = &entry.payload {
            self.views.push(Placed { index: entry.index, view: view.clone() });
        }
        self.uncommitted_bytes += entry.bytes();
        self.origins.push(entry.index, entry.ballot);
        self.entries.push_back(entry);
    }

    /// Whether the log has the entry of this place. Of one so old that nothing is known of it any
    /// more the answer is no: whoever offers it goes on from the last committed entry then, which
    /// is always known.
    pub(super) fn has(&self, place: Place) -> Result<bool, Diverged> {
        if place.index > self.last().index || place == Place::START {
            return Ok(place == Place::START);
        }
        match self.origins.ballot_at(place.index) {
            Some(mine) if mine == place.ballot => Ok(true),
            Some(_) if place.index <= self.commit() => Err(Diverged),
            Some(_) | None => Ok(false),
        }
    }

    /// Takes entries of another log behind a place that this one has; drops what contradicts them.
    /// Says whether it took all; it takes nothing where too little is known of the own log.
    pub(super) fn accept(
        &mut self,
        previous: Place,
        entries: Vec<Entry>,
    ) -> Result<bool, Diverged> {
        if !self.has(previous)? {
            return Ok(false);
        }
        for entry in entries {
            let place = Place { ballot: entry.ballot, index: entry.index };
            if entry.index <= self.last().index {
                if self.has(place)? {
                    continue;
                }
                if entry.index <= self.commit() {
                    return Ok(false);
                }
                self.cut_after(entry.index.previous());
            }
            self.take_in(entry);
        }
        Ok(true)
    }

    pub(super) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The only place that drops entries from the log's end.
    fn cut_after(&mut self, index: Index) {
        assert!(index >= self.commit(), "what is committed is never cut");
        while self.entries.back().is_some_and(|entry| entry.index > index) {
            let entry = self.entries.pop_back().expect("there is a back");
            self.uncommitted_bytes -= entry.bytes();
        }
        self.views.retain(|placed| placed.index <= index);
        self.origins.cut_after(index);
        if self.appended > index {
            self.cut = Some(self.cut.map_or(index, |cut| cut.min(index)));
            self.appended = index;
            self.durable = self.durable.min(index);
            if let Some(in_flight) = &mut self.in_flight {
                in_flight.last = in_flight.last.min(index);
            }
        }
    }

    /// The only place that moves the commit index. A view that commits is synced at once.
    pub(super) fn commit_to(&mut self, index: Index) {
        let index = index.min(self.last().index);
        let from = self.commit();
        if index <= from {
            return;
        }
        let bytes: usize =
            self.behind(from).take_while(|entry| entry.index <= index).map(Entry::bytes).sum();
        self.uncommitted_bytes -= bytes;
        self.hard_state.commit = index;
        self.is_urgent |= self.views.iter().any(|v| v.index > from && v.index <= index);
        let settled = self.views.len() - live_views(&self.views, index).len();
        self.views.drain(..settled);
    }

    /// Whoever holds the entry of a commit fact learns that it is committed.
    pub(super) fn learn(&mut self, committed: Place) {
        if committed.index > self.commit() && self.place(committed.index) == Some(committed) {
            self.commit_to(committed.index);
        }
    }

    /// The number of the append that will carry what has been said so far.
    pub(super) fn barrier(&self) -> u64 {
        self.number + 1
    }

    /// Whether this append is durable.
    pub(super) fn is_durable(&self, number: u64) -> bool {
        let done = if self.in_flight.is_some() { self.number - 1 } else { self.number };
        number <= done
    }

    /// The number of the append with which everything that answers rest on is durable: the promise,
    /// and that the newest committed view is committed.
    pub(super) fn settled_with(&self) -> u64 {
        let covers = |state: &HardState| {
            state.promise == self.promise() && self.is_view_settled(state.commit)
        };
        match &self.in_flight {
            _ if covers(&self.synced) => 0,
            Some(in_flight) if covers(&in_flight.hard_state) => in_flight.number,
            _ => self.barrier(),
        }
    }

    pub(super) fn is_promise_durable(&self) -> bool {
        self.synced.promise == self.promise()
    }

    /// Whether a restart that finds this commit index knows the newest committed view as such.
    fn is_view_settled(&self, commit: Index) -> bool {
        let newest = self.views.first().map_or(Index(0), |placed| placed.index);
        newest > self.commit() || newest <= commit.max(self.applied_before)
    }

    /// The next append takes everything, and is made even if it carries no entry.
    pub(super) fn demand_atomic(&mut self) {
        self.is_urgent = true;
        self.is_atomic = true;
    }

    /// The next append, unless one is in flight or there is nothing to write.
    pub(super) fn next_append(&mut self) -> Option<Append> {
        let has_entries = self.appended < self.last().index;
        if self.in_flight.is_some() || !(has_entries || self.is_urgent) {
            return None;
        }
        let entries = match self.is_atomic {
            true => self.behind(self.appended).cloned().collect(),
            false => self.slice(self.appended, self.last().index, APPEND_BYTES_MAX),
        };
        self.number += 1;
        self.appended = entries.last().map_or(self.appended, |entry| entry.index);
        let commit = self.commit().min(self.appended);
        let hard_state = HardState { commit, ..self.hard_state };
        self.in_flight = Some(InFlight { number: self.number, hard_state, last: self.appended });
        self.is_urgent = false;
        self.is_atomic = false;
        let cut_after = self.cut.take();
        Some(Append { number: self.number, hard_state, cut_after, entries })
    }

    /// The append in flight is durable.
    pub(super) fn appended(&mut self, number: u64) {
        let in_flight = self.in_flight.take().expect("only an append in flight ends");
        assert!(in_flight.number == number, "appends end in their order");
        self.durable = self.durable.max(in_flight.last);
        self.synced = in_flight.hard_state;
        // A commit index that ran ahead of the entries reaches the disk with them, or now.
        self.is_urgent |= !self.is_view_settled(self.synced.commit);
    }

    /// Nothing is handed out while this is so.
    pub(super) fn hold_back(&mut self, holds_back: bool) {
        self.holds_back = holds_back;
    }

    /// Committed entries that may be applied, each once; what is behind a view that has just
    /// committed waits until that is durable.
    pub(super) fn next_committed(&mut self) -> Option<Vec<Entry>> {
        if self.holds_back {
            return None;
        }
        let mut upto = self.commit().min(self.durable);
        if !self.is_view_settled(self.synced.commit) {
            upto = upto.min(self.views.first().map_or(upto, |placed| placed.index));
        }
        self.hand_out(upto)
    }

    /// Hands out everything up to here.
    pub(super) fn hand_out(&mut self, upto: Index) -> Option<Vec<Entry>> {
        let from = self.handed_out;
        if upto <= from {
            return None;
        }
        let entries = self.behind(from).take_while(|entry| entry.index <= upto).cloned().collect();
        self.handed_out = upto;
        self.trim();
        Some(entries)
    }

    /// Lets go of old entries: whoever still needs them has them read from disk.
    fn trim(&mut self) {
        let bound = self.handed_out.min(self.commit()).min(self.durable);
        while self.entries.len() > self.memory_entries
            && self.entries.front().is_some_and(|entry| entry.index < bound)
        {
            let entry = self.entries.pop_front().expect("there is a front");
            self.base = Place { ballot: entry.ballot, index: entry.index };
        }
    }

    /// Numbers appends from the beginning again, where nothing waits for one of them. Whoever holds
    /// the one in flight has to call it number one.
    #[cfg(test)]
    pub(super) fn forget_numbers(&mut self) {
        self.number = u64::from(self.in_flight.is_some());
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.number = 1;
        }
    }

    /// Whether nothing is in flight, and everything is committed and handed out.
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight.is_none() && !self.is_urgent && self.handed_out == self.last().index
    }

    /// A snapshot stands in this log's place; the store holds nothing else, and the hard state that
    /// the last append had.
    pub(super) fn install(&mut self, place: Place, view: View) {
        assert!(place.index > self.commit(), "a snapshot does not take back what is committed");
        self.base = place;
        self.origins = Origins::from(place.index, place.ballot);
        self.entries.clear();
        self.uncommitted_bytes = 0;
        self.views = vec![Placed { index: place.index, view }];
        self.hard_state.commit = place.index;
        self.hard_state.promise = self.hard_state.promise.max(place.ballot);
        (self.durable, self.appended) = (place.index, place.index);
        (self.handed_out, self.applied_before) = (place.index, place.index);
        self.cut = None;
        if let Some(in_flight) = &mut self.in_flight {
            in_flight.last = place.index;
        }
        self.is_urgent = true;
    }
}
