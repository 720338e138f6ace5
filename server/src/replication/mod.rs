//! The rules of replication as a machine without clock, disk or socket.
//!
//! A server's log is a row of entries, each with an index and the ballot of the primary that put it
//! there. *Views* stand in the log like everything else and name who must hold what follows them.
//! An entry is **committed** once every member of the view in force there has it on disk and a
//! majority of every live view agrees; nothing is applied, answered, pushed or readable before.
//! This page knows the view of one: the server is its own majority, so an entry is committed as
//! soon as it is synced, and a restart is a cold start that needs no other vote. Elections, leases,
//! evidence and catching up join it here, behind the same doors.
//!
//! Owns: ballot, log tail, commit index. Driven by: `node`, through [`Replication::handle`] and
//! [`Replication::next_effect`]. Invariants:
//! - one append is in flight at a time, and each carries the hard state, so promise, log and commit
//!   index reach the disk in one order;
//! - [`Replication::advance_commit`] is the only place that moves the commit index;
//! - an entry leaves in [`Effect::Committed`] exactly once, in order.
//!
//! Does not: know what an operation means, nor read a clock.

mod quorum;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use quorum::{Placed, decides, in_force, live_views};

use crate::entry::{Ballot, ClusterId, Entry, HardState, Incarnation, Index, Payload, View};

/// Entries that may wait for their commit; beyond, a proposal is refused with `busy`.
pub const WAITING_ENTRIES_MAX: usize = 65_536;
/// Bytes of entries that may wait for their commit; beyond, a proposal is refused with `busy`.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Entries in one append: keeps a batch's encoding within a few milliseconds.
const APPEND_ENTRIES_MAX: usize = 8_192;
/// Bytes of entries in one append, for the same reason.
const APPEND_BYTES_MAX: usize = 8 << 20;

/// What the machine is told.
#[derive(Debug)]
pub enum Input {
    /// The append in flight is durable.
    Appended,
}

/// What the machine asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put this on disk; answer with [`Input::Appended`] when it is synced.
    Append {
        /// The hard state that goes with it.
        hard_state: HardState,
        /// Entries to follow the log's last one; may be none.
        entries: Vec<Entry>,
    },
    /// These entries are committed: apply them, in order.
    Committed(Vec<Entry>),
}

/// What the journal and the tables remember of former lives.
#[derive(Debug)]
pub struct Recovered {
    /// The hard state of the newest durable frame.
    pub hard_state: HardState,
    /// Everything up to here is applied, and thereby committed.
    pub applied: Index,
    /// The view in force at `applied`; none in a new store.
    pub view: Option<View>,
    /// The log's last place.
    pub last: (Index, Ballot),
    /// The entries behind `applied`.
    pub tail: Vec<Entry>,
}

/// Why a server cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// The view names servers whose votes are needed.
    #[error(
        "this store belongs to a cluster of {members} servers, and this version serves alone only"
    )]
    NotAlone {
        /// How many the view in force has.
        members: usize,
    },
}

/// A proposal that was not taken; nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// See the module's page.
#[derive(Debug)]
pub struct Replication {
    me: Incarnation,
    ballot: Ballot,
    hard_state: HardState,
    /// The views from the newest applied one on.
    views: Vec<Placed>,
    cluster: ClusterId,
    last: Index,
    durable: Index,
    /// Entries behind the commit index, the oldest first.
    uncommitted: VecDeque<Entry>,
    uncommitted_bytes: usize,
    /// The last index of the append in flight.
    in_flight: Option<Index>,
    /// The last index that was handed to an append.
    appended: Index,
    /// Entries committed but not handed out yet.
    committed: Vec<Entry>,
    /// The index of this ballot's first entry: once applied, the state is whole.
    opening: Index,
}

impl Replication {
    /// Starts a server that is alone: on a new store it mints the first view, on an old one it
    /// comes back in a new ballot by a cold start (all stores of every live view are this one).
    ///
    /// `fresh_cluster` is the id that a new cluster gets; it is random, and unused on an old store.
    ///
    /// # Errors
    /// [`CannotStart`]
    pub fn start(
        me: Incarnation,
        recovered: Recovered,
        fresh_cluster: ClusterId,
    ) -> Result<Replication, CannotStart> {
        let Recovered { hard_state, applied, view, last, tail } = recovered;
        let mut views: Vec<Placed> =
            view.map(|view| Placed { index: applied, view }).into_iter().collect();
        for entry in &tail {
            if let Payload::View(view) = &entry.payload {
                views.push(Placed { index: entry.index, view: view.clone() });
            }
        }
        let own: BTreeSet<_> = [me.store].into();
        for placed in live_views(&views, hard_state.commit.max(applied)) {
            if !placed.view.members.iter().all(|member| own.contains(&member.store)) {
                return Err(CannotStart::NotAlone { members: placed.view.members.len() });
            }
        }
        let cluster = views.last().map_or(fresh_cluster, |placed| placed.view.cluster);
        let highest = hard_state.promise.max(last.1);
        let ballot = Ballot {
            generation: highest.generation.max(1),
            round: highest.round + 1,
            server: me.server,
        };
        let mut replication = Replication {
            me,
            ballot,
            // The tables may stand behind what was committed: after a loss of power they are rolled
            // back, and what is known to be committed never is.
            hard_state: HardState { promise: ballot, commit: hard_state.commit.max(applied) },
            views,
            cluster,
            last: last.0,
            durable: last.0,
            uncommitted_bytes: tail.iter().map(entry_bytes).sum(),
            uncommitted: tail.into(),
            in_flight: None,
            appended: last.0,
            committed: Vec::new(),
            opening: last.0.next(),
        };
        let view = View { cluster, members: vec![me] };
        replication.push(Payload::View(view));
        Ok(replication)
    }

    /// The ballot that this server leads in.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The cluster's id.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// The last entry's index.
    pub fn last(&self) -> Index {
        self.last
    }

    /// Everything up to here is committed.
    pub fn commit(&self) -> Index {
        self.hard_state.commit
    }

    /// Until this index is applied, the state may lack writes that an earlier life acknowledged.
    pub fn opening(&self) -> Index {
        self.opening
    }

    /// How many servers hold each new write.
    pub fn in_sync(&self) -> usize {
        in_force(&self.views, self.last).map_or(0, |view| view.members.len())
    }

    /// Takes an operation; it is committed when an [`Effect::Committed`] holds its index.
    ///
    /// # Errors
    /// [`Busy`]: too much waits already; nothing was done.
    pub fn propose(&mut self, operation: Arc<[u8]>) -> Result<Index, Busy> {
        if self.uncommitted.len() >= WAITING_ENTRIES_MAX
            || self.uncommitted_bytes >= WAITING_BYTES_MAX
        {
            return Err(Busy);
        }
        Ok(self.push(Payload::Operation(operation)))
    }

    /// Takes what has happened.
    pub fn handle(&mut self, input: Input) {
        match input {
            Input::Appended => {
                let durable = self.in_flight.take().expect("only an append in flight ends");
                self.durable = self.durable.max(durable);
                self.advance_commit();
            }
        }
    }

    /// What to do next; call until it says nothing.
    pub fn next_effect(&mut self) -> Option<Effect> {
        if !self.committed.is_empty() {
            return Some(Effect::Committed(std::mem::take(&mut self.committed)));
        }
        if self.in_flight.is_some() || self.appended == self.last {
            return None;
        }
        let entries = self.next_batch();
        self.appended = entries.last().map_or(self.appended, |entry| entry.index);
        self.in_flight = Some(self.appended);
        Some(Effect::Append { hard_state: self.hard_state, entries })
    }

    /// Whether everything that was taken is committed and handed out.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.uncommitted.is_empty() && self.committed.is_empty()
    }

    fn push(&mut self, payload: Payload) -> Index {
        self.last = self.last.next();
        let entry = Entry { index: self.last, ballot: self.ballot, payload };
        if let Payload::View(view) = &entry.payload {
            self.views.push(Placed { index: entry.index, view: view.clone() });
        }
        self.uncommitted_bytes += entry_bytes(&entry);
        self.uncommitted.push_back(entry);
        self.last
    }

    /// The entries behind the last append, as many as one append takes.
    fn next_batch(&self) -> Vec<Entry> {
        let first_waiting = self.uncommitted.front().map_or(self.last, |entry| entry.index);
        let skip = usize::try_from(self.appended.next().0.saturating_sub(first_waiting.0))
            .expect("fewer entries wait than memory holds");
        let mut bytes = 0;
        let fits = |entry: &&Entry| {
            // The first one always goes, however large: nothing behind it can go before.
            let is_first = bytes == 0;
            bytes += entry_bytes(entry);
            is_first || bytes <= APPEND_BYTES_MAX
        };
        let waiting = self.uncommitted.range(skip..);
        waiting.take(APPEND_ENTRIES_MAX).take_while(fits).cloned().collect()
    }

    /// Commits what may be: an entry of the own ballot is at or before it, every member of the view
    /// in force there is durable there, and a majority of every live view agrees (replication.md,
    /// 7).
    fn advance_commit(&mut self) {
        let to = self.durable;
        let durable: BTreeSet<_> = [self.me.store].into();
        let all_hold = in_force(&self.views, to)
            .is_some_and(|view| view.members.iter().all(|member| durable.contains(&member.store)));
        let agreed = live_views(&self.views, self.hard_state.commit)
            .iter()
            .take_while(|placed| placed.index <= to)
            .all(|placed| decides(&placed.view, &durable));
        if to < self.opening || to <= self.hard_state.commit || !all_hold || !agreed {
            return;
        }
        self.hard_state.commit = to;
        let settled = self.views.len() - live_views(&self.views, to).len();
        self.views.drain(..settled);
        while self.uncommitted.front().is_some_and(|entry| entry.index <= to) {
            let entry = self.uncommitted.pop_front().expect("there is a front");
            self.uncommitted_bytes -= entry_bytes(&entry);
            self.committed.push(entry);
        }
    }
}

/// What an entry counts against the bounds.
fn entry_bytes(entry: &Entry) -> usize {
    match &entry.payload {
        Payload::Operation(bytes) => bytes.len() + 64,
        Payload::View(_) | Payload::Nothing => 64,
    }
}

#[cfg(test)]
mod tests;
