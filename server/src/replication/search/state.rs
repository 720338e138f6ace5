//! A state of the searched world, made of parts that many states share.
//!
//! Owns: [`State`] and the [`Shelf`] that keeps each distinct part once. Driven by: `step`, which
//! makes states, and the search, which tells them apart. Invariant: after [`Shelves::keep`] two
//! parts are equal exactly when their numbers are. Does not: know what may happen next.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use holdfast_common::ids::ServerId;

use super::super::sim::{Checker, Disk};
use super::super::wire::Message;
use super::super::{Append, Replication};
use crate::entry::Incarnation;

/// A process, and what its world owes it.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Process {
    pub(crate) machine: Replication,
    /// What is on its way to the disk.
    pub(crate) appending: Option<Append>,
    /// Entries that were handed out.
    pub(crate) applied: u64,
    /// Asked for a new life, which is not durable yet.
    pub(crate) is_between_lives: bool,
    /// The links that it dialled, by the number of the peer.
    pub(crate) links: Vec<Option<Incarnation>>,
}

/// A machine: its disk, and the process on it while there is one.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
}

impl Server {
    pub(crate) fn incarnation(&self) -> Incarnation {
        Incarnation { server: self.id, store: self.disk.store, life: self.disk.life }
    }
}

/// What is under way over the links that one server dialled to another: first in, first out, with
/// the incarnation that said it.
#[derive(Debug, Clone, Hash, Default)]
pub(crate) struct Queue(pub(crate) Vec<(Incarnation, Message)>);

/// How often what is not free may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Budget {
    pub(crate) writes: u8,
    pub(crate) crashes: u8,
    pub(crate) restarts: u8,
    pub(crate) elections: u8,
    pub(crate) ticks: u8,
    pub(crate) cuts: u8,
    pub(crate) wipes: u8,
    pub(crate) leaves: u8,
    /// Jumps of time that were made.
    pub(crate) jumped: u8,
}

/// A part of a state, shared by all states that have it.
#[derive(Debug, Clone)]
pub(crate) struct Part<T> {
    value: Rc<T>,
    number: u32,
}

/// The number of a part that was changed since it was kept.
const CHANGED: u32 = u32::MAX;

impl<T: Clone> Part<T> {
    pub(crate) fn new(value: T) -> Part<T> {
        Part { value: Rc::new(value), number: CHANGED }
    }

    pub(crate) fn edit(&mut self) -> &mut T {
        self.number = CHANGED;
        Rc::make_mut(&mut self.value)
    }
}

impl<T> std::ops::Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Keeps each distinct part once.
#[derive(Debug)]
struct Shelf<T> {
    parts: HashMap<u128, Part<T>>,
}

impl<T: Hash> Shelf<T> {
    fn keep(&mut self, part: &mut Part<T>) {
        if part.number == CHANGED {
            let number = u32::try_from(self.parts.len()).expect("fewer parts than memory");
            let kept = self
                .parts
                .entry(fingerprint(&*part.value))
                .or_insert_with(|| Part { value: Rc::clone(&part.value), number });
            *part = Part { value: Rc::clone(&kept.value), number: kept.number };
        }
    }
}

/// 128 bits of hash: among a billion values no two are likely to meet.
pub(crate) fn fingerprint(value: &impl Hash) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        (salt, value).hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(0) << 64 | half(1)
}

/// The shelves of a search.
#[derive(Debug)]
pub(crate) struct Shelves {
    servers: Shelf<Server>,
    queues: Shelf<Queue>,
    checkers: Shelf<Checker>,
}

impl Shelves {
    pub(crate) fn new() -> Shelves {
        Shelves {
            servers: Shelf { parts: HashMap::new() },
            queues: Shelf { parts: HashMap::new() },
            checkers: Shelf { parts: HashMap::new() },
        }
    }

    pub(crate) fn keep(&mut self, state: &mut State) {
        state.servers.iter_mut().for_each(|part| self.servers.keep(part));
        state.queues.iter_mut().for_each(|part| self.queues.keep(part));
        self.checkers.keep(&mut state.checker);
    }
}

/// Everything that the future depends on.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) servers: Vec<Part<Server>>,
    /// From each server to each, row by row.
    pub(crate) queues: Vec<Part<Queue>>,
    pub(crate) checker: Part<Checker>,
    pub(crate) budget: Budget,
}

impl State {
    /// Equal for equal states, once their parts are kept.
    pub(crate) fn key(&self) -> u128 {
        let servers: Vec<u32> = self.servers.iter().map(|part| part.number).collect();
        let queues: Vec<u32> = self.queues.iter().map(|part| part.number).collect();
        fingerprint(&(servers, queues, self.checker.number, self.budget))
    }

    pub(crate) fn process(&self, server: usize) -> Option<&Process> {
        self.servers[server].process.as_ref()
    }

    pub(crate) fn queue(&self, from: usize, to: usize) -> &[(Incarnation, Message)] {
        &self.queues[from * self.servers.len() + to].0
    }

    pub(crate) fn edit_queue(&mut self, from: usize, to: usize) -> &mut Queue {
        let at = from * self.servers.len() + to;
        self.queues[at].edit()
    }
}
