//! One machine of the world: its disk, its clock, and the process on it while there is one.

use std::collections::{BTreeMap, VecDeque};

use holdfast_common::ids::ServerId;

use super::super::wire::{Hello, Message, Place};
use super::super::{Append, Input, Moment, Now, Recovered, Replication, Role};
use super::Random;
use crate::entry::{Ballot, Entry, HardState, Incarnation, Index, Origins, Payload, StoreId, View};

/// What survives a crash.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Disk {
    pub(crate) store: StoreId,
    pub(crate) life: u64,
    pub(crate) hard_state: HardState,
    /// From index 1 on, so that the world can look; a server reads from `first` only.
    pub(crate) log: Vec<Entry>,
    pub(crate) first: u64,
    /// Applied for good; what was applied beyond may be gone after a crash.
    pub(crate) persisted: u64,
}

pub(crate) fn at(index: u64) -> usize {
    usize::try_from(index).unwrap()
}

impl Disk {
    pub(crate) fn new(store: StoreId) -> Disk {
        let hard_state = HardState::NONE;
        Disk { store, life: 0, hard_state, log: Vec::new(), first: 1, persisted: 0 }
    }

    pub(crate) fn write(&mut self, append: &Append) {
        let Append { hard_state, cut_after, entries, .. } = append;
        assert!(hard_state.promise >= self.hard_state.promise, "a promise is never taken back");
        assert!(hard_state.commit >= self.hard_state.commit, "a commit is never taken back");
        if let Some(cut) = cut_after {
            assert!(*cut >= self.hard_state.commit, "what is committed is never cut");
            assert!(!entries.is_empty(), "a cut comes with what replaces it");
            self.log.truncate(at(cut.0));
        }
        for entry in entries {
            assert_eq!(entry.index.0, self.log.len() as u64 + 1, "entries are dense");
            self.log.push(entry.clone());
        }
        let last = self.log.last().map_or(Ballot::NONE, |entry| entry.ballot);
        assert!(hard_state.promise >= last, "the promise is never below the last entry's");
        assert!(hard_state.commit.0 <= self.log.len() as u64, "what is committed is there");
        self.hard_state = *hard_state;
    }

    pub(crate) fn place(&self, index: u64) -> Place {
        match index.checked_sub(1) {
            None => Place::START,
            Some(before) => Place { ballot: self.log[at(before)].ballot, index: Index(index) },
        }
    }

    pub(crate) fn view_at(&self, index: u64) -> Option<View> {
        self.log[..at(index)].iter().rev().find_map(|entry| match &entry.payload {
            Payload::View(view) => Some(view.clone()),
            Payload::Nothing | Payload::Operation(_) => None,
        })
    }

    /// As the journal knows them: from the place before its first entry on.
    fn origins(&self) -> Origins {
        let base = self.place(self.first - 1);
        let mut origins = Origins::from(base.index, base.ballot);
        self.log[at(base.index.0)..].iter().for_each(|e| origins.push(e.index, e.ballot));
        origins
    }

    pub(crate) fn recovered(&self) -> Recovered {
        Recovered {
            hard_state: self.hard_state,
            applied: Index(self.persisted),
            applied_ballot: self.place(self.persisted).ballot,
            view: self.view_at(self.persisted),
            tail: self.log[at(self.persisted)..].to_vec(),
            origins: self.origins(),
        }
    }
}

/// What waits for a process to take it.
#[derive(Debug, Clone)]
pub(crate) enum Arrival {
    Input(Input),
    Message {
        link: u64,
        message: Message,
    },
    Synced {
        number: u64,
    },
    /// Somebody dials.
    Incoming {
        link: u64,
        hello: Hello,
        began: Moment,
        keep: bool,
    },
    /// A dial of this process came to something.
    Dialled {
        peer: usize,
        link: u64,
        began: Moment,
        keep: bool,
        hello: Option<Hello>,
        refused: bool,
    },
    Redial {
        peer: usize,
    },
    NewLife,
    Timer,
}

/// The state of a process's own link to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    None,
    Dialling,
    Open { link: u64, peer: Incarnation },
}

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) machine: Replication,
    pub(crate) appending: Option<Append>,
    pub(crate) out: Vec<Out>,
    pub(crate) between_lives: bool,
    pub(crate) applied: u64,
    /// Operations that it proposed, and in which ballot.
    pub(crate) proposed: BTreeMap<u64, Ballot>,
    pub(crate) timer: Option<u64>,
    /// As it was traced last.
    pub(crate) role: (Role, Ballot),
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) server: ServerId,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    /// Counts processes: what is for a former one is dropped.
    pub(crate) epoch: u64,
    pub(crate) stalled_until: u64,
    pub(crate) inbox: VecDeque<Arrival>,
    /// Microseconds of this clock in a million.
    pub(crate) rate: u64,
    pub(crate) offset: u64,
    pub(crate) wall_offset_ms: u64,
    pub(crate) sync_us: (u64, u64),
}

impl Host {
    pub(crate) fn moment(&self, now: u64) -> Moment {
        Moment(
            self.offset
                + u64::try_from(u128::from(now) * u128::from(self.rate) / 1_000_000).unwrap(),
        )
    }

    pub(crate) fn clocks(&self, now: u64) -> Now {
        Now { at: self.moment(now), wall_ms: self.wall_offset_ms + now / 1_000 }
    }

    /// When this clock will show `moment`.
    pub(crate) fn when(&self, moment: Moment) -> u64 {
        let own = u128::from(moment.0.saturating_sub(self.offset));
        u64::try_from(own * 1_000_000 / u128::from(self.rate)).unwrap() + 1
    }

    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation { server: self.server, store: self.disk.store, life: self.disk.life }
    }

    /// Loses power: the batch in flight is there or not, and tables go back to some earlier batch.
    pub(crate) fn crash(&mut self, random: &mut Random) {
        let Some(process) = self.process.take() else { return };
        if let Some(append) = &process.appending
            && random.percent(50)
        {
            self.disk.write(append);
        }
        let back = random.below(process.applied - self.disk.persisted + 1);
        self.disk.persisted = (process.applied - back).min(self.disk.log.len() as u64);
        self.inbox.clear();
        self.stalled_until = 0;
    }
}
