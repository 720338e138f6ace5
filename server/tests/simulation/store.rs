//! A data folder in memory, with what a loss of power does to it.
//!
//! Owns: journal and tables of one server, its store's id and life. Driven by: the world (lives and
//! deaths) and the maintenance worker (a snapshot takes the place of both). Invariants: as on a
//! disk, the pair in force changes in one step, and a new life is durable before it speaks. Does
//! not: recover anything by itself; that is the journal's and `work::recover`'s.

use std::sync::{Arc, Mutex, MutexGuard};

use holdfast_common::ids::{Cursor, ServerId};
use holdfast_server::chat;
use holdfast_server::entry::{Ballot, HardState, Incarnation, Index, StoreId};
use holdfast_server::journal::sim::SimDisk;
use holdfast_server::journal::{Journal, Options};
use holdfast_server::replication::Recovered;
use holdfast_server::replication::wire::Place;
use holdfast_server::tables::{MemoryRows, Rows};
use holdfast_server::work::{Fault, NextStore, recover};

use crate::sim::workers::Random;

/// Small, so that a run outlives some of them.
const SEGMENT_BYTES: u64 = 16 * 1024;

#[derive(Debug)]
struct State {
    disk: SimDisk,
    rows: MemoryRows,
    random: Random,
}

/// A server's data folder. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    store: StoreId,
    life: u64,
    state: Arc<Mutex<State>>,
}

/// What a start finds.
pub(crate) struct Opened {
    pub(crate) journal: Journal<SimDisk>,
    pub(crate) rows: MemoryRows,
    pub(crate) incarnation: Incarnation,
    pub(crate) recovered: Recovered,
    pub(crate) applied: Cursor,
}

fn options(random: &mut Random) -> Options {
    let salt = u32::try_from(random.next() >> 32).unwrap();
    Options { segment_bytes: SEGMENT_BYTES, first_segment_bytes: SEGMENT_BYTES, salt }
}

impl Folder {
    /// An empty folder.
    pub(crate) fn new(mut random: Random) -> Folder {
        let store = StoreId(random.next());
        let disk = SimDisk::new(random.next());
        let options = options(&mut random);
        Journal::create(disk.clone(), (Index(0), Ballot::NONE), HardState::NONE, options)
            .expect("a disk without faults");
        let state = State { disk, rows: MemoryRows::new(), random };
        Folder { store, life: 0, state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(crate) fn disk(&self) -> SimDisk {
        self.state().disk.clone()
    }

    pub(crate) fn rows(&self) -> MemoryRows {
        self.state().rows.clone()
    }

    /// Begins the next life. What is not whole is a sentence.
    pub(crate) fn open(&mut self, server: ServerId) -> Result<Opened, String> {
        let mut state = self.state();
        let options = options(&mut state.random);
        let (disk, rows) = (state.disk.clone(), state.rows.clone());
        drop(state);
        let mut journal = Journal::open(disk, options).map_err(|error| error.to_string())?;
        let meta = chat::meta(&rows).map_err(|error| error.to_string())?;
        let recovered = recover(&mut journal, &meta).map_err(|error| error.to_string())?;
        self.life += 1;
        let incarnation = Incarnation { server, store: self.store, life: self.life };
        let applied = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
        Ok(Opened { journal, rows, incarnation, recovered, applied })
    }

    /// Power is lost: what was not synced is there, or not, or in parts.
    pub(crate) fn lose_power(&self, random: &mut Random) {
        let state = self.state();
        state.disk.crash();
        let kept = random.below(state.rows.unpersisted() + 1);
        state.rows.crash(kept);
    }

    /// Where a snapshot is put.
    pub(crate) fn beside(&self) -> Box<dyn NextStore> {
        Box::new(Beside { state: self.state.clone(), making: None })
    }
}

#[derive(Debug)]
struct Beside {
    state: Arc<Mutex<State>>,
    making: Option<MemoryRows>,
}

impl NextStore for Beside {
    fn begin(&mut self) -> Result<Box<dyn Rows>, Fault> {
        Ok(Box::new(self.making.insert(MemoryRows::new()).clone()))
    }

    fn install(&mut self, place: Place, promise: Ballot) -> Result<(), Fault> {
        let rows = self.making.take().expect("what is installed was begun");
        let mut state = self.state.lock().expect("no holder of this lock panics");
        let disk = SimDisk::new(state.random.next());
        let hard_state = HardState { promise: promise.max(place.ballot), commit: place.index };
        let options = options(&mut state.random);
        Journal::create(disk.clone(), (place.index, place.ballot), hard_state, options)?;
        (state.disk, state.rows) = (disk, rows);
        Ok(())
    }

    fn discard(&mut self) -> Result<(), Fault> {
        self.making = None;
        Ok(())
    }
}
