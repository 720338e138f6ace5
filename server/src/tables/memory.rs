//! The rows in memory, for tests and the simulator: they crash as the ones on disk do.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use super::{Fault, Order, Read, Rows, Views, Visit, Write};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    now: Arc<Map>,
    /// The state at the last persist, and every batch since.
    persisted: Arc<Map>,
    since: Vec<Vec<Write>>,
}

/// A handle to the rows; clones are the same rows, so that they outlive the process that used them.
#[derive(Debug, Clone, Default)]
pub struct MemoryRows(Arc<Mutex<State>>);

impl MemoryRows {
    /// No rows.
    pub fn new() -> MemoryRows {
        MemoryRows::default()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Power is lost and comes back: the first `kept` batches since the last persist survive.
    pub fn crash(&self, kept: usize) {
        let mut state = self.state();
        let since = std::mem::take(&mut state.since);
        let mut rows = (*state.persisted).clone();
        for batch in since.into_iter().take(kept) {
            write(&mut rows, batch);
        }
        state.now = Arc::new(rows);
        state.persisted = state.now.clone();
    }

    /// How many batches there were since the last persist.
    pub fn unpersisted(&self) -> usize {
        self.state().since.len()
    }
}

fn write(rows: &mut Map, batch: Vec<Write>) {
    for (key, value) in batch {
        match value {
            Some(value) => rows.insert(key, value),
            None => rows.remove(&key),
        };
    }
}

fn range(
    rows: &Map,
    from: &[u8],
    to: &[u8],
    order: Order,
    visit: &mut Visit<'_>,
) -> Result<(), Fault> {
    if from >= to {
        return Ok(());
    }
    let mut see = |(key, value): (&Vec<u8>, &Vec<u8>)| visit(key, value);
    let rows = rows.range(from.to_vec()..to.to_vec());
    // Whether the visitor had enough does not matter to whoever asked.
    let _flow: ControlFlow<()> = match order {
        Order::Ascending => rows.into_iter().try_for_each(&mut see),
        Order::Descending => rows.rev().try_for_each(&mut see),
    };
    Ok(())
}

impl Read for MemoryRows {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.state().now.get(key).cloned())
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        let now = self.state().now.clone();
        range(&now, from, to, order, visit)
    }
}

struct MemoryView(Arc<Map>);

impl Read for MemoryView {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.0.get(key).cloned())
    }

    fn range(
        &self,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut Visit<'_>,
    ) -> Result<(), Fault> {
        range(&self.0, from, to, order, visit)
    }
}

impl Views for MemoryRows {
    fn view(&self) -> Box<dyn Read + Send> {
        Box::new(MemoryView(self.state().now.clone()))
    }

    fn compact(&self) -> Result<(), Fault> {
        Ok(())
    }
}

impl Rows for MemoryRows {
    fn views(&self) -> Box<dyn Views> {
        Box::new(self.clone())
    }

    fn commit(&mut self, batch: Vec<Write>) -> Result<(), Fault> {
        let mut state = self.state();
        write(Arc::make_mut(&mut state.now), batch.clone());
        state.since.push(batch);
        Ok(())
    }

    fn persist(&mut self) -> Result<(), Fault> {
        let mut state = self.state();
        state.persisted = state.now.clone();
        state.since.clear();
        Ok(())
    }
}
