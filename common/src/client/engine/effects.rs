//! The queue of effects.
//!
//! Owns: what is to be done and has not been taken. Driven by: every part of the engine.
//! Invariants: effects leave in the order in which they were asked for, with one exception that
//! saves syncs: a write joins the transaction that already waits, so one turn of the driver costs
//! one sync. That only makes it durable earlier than asked; writes among themselves keep their
//! order, and none passes a `Load`, which may change the place that they go to.

use std::collections::VecDeque;

use crate::client::{Effect, Update, Write};

#[derive(Debug, Default)]
pub(super) struct Effects {
    queue: VecDeque<Effect>,
    /// How many were ever taken: with it, a place in the queue has a number that does not shift.
    taken: u64,
    /// The number of the transaction that writes still join.
    open_store: Option<u64>,
}

impl Effects {
    pub(super) fn push(&mut self, effect: Effect) {
        if matches!(effect, Effect::Load(_)) {
            self.open_store = None;
        }
        self.queue.push_back(effect);
    }

    pub(super) fn write(&mut self, write: Write) {
        let waiting = self.open_store.and_then(|number| number.checked_sub(self.taken));
        let place = waiting.and_then(|at| self.queue.get_mut(usize::try_from(at).ok()?));
        match place {
            Some(Effect::Store(writes)) => writes.push(write),
            _ => {
                self.open_store = Some(self.taken + self.queue.len() as u64);
                self.queue.push_back(Effect::Store(vec![write]));
            }
        }
    }

    pub(super) fn update(&mut self, update: Update) {
        self.queue.push_back(Effect::Update(update));
    }

    pub(super) fn pop(&mut self) -> Option<Effect> {
        let effect = self.queue.pop_front()?;
        self.taken += 1;
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some(effect)
    }
}
