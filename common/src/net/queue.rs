//! Lines that wait to be written.
//!
//! Owns: the lines, and how much of the first is gone already. Driven by: `connection`. Invariants:
//! bytes leave in the order in which lines came; an empty queue holds no memory. Its bound is the
//! owner's: it asks `bytes` and stops, or closes.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

/// Lines in one write: far more than a turn makes for one connection, and few enough for the stack.
const SLICES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct SendQueue {
    lines: VecDeque<Arc<[u8]>>,
    front_sent_bytes: usize,
    bytes: usize,
}

impl SendQueue {
    pub(super) fn push(&mut self, line: Arc<[u8]>) {
        if !line.is_empty() {
            self.bytes += line.len();
            self.lines.push_back(line);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands the first lines to `write`, as many as fit one call, and drops what it took.
    pub(super) fn write_with<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut skipped = self.front_sent_bytes;
        for (slice, line) in slices.iter_mut().zip(&self.lines) {
            *slice = IoSlice::new(&line[skipped..]);
            skipped = 0;
        }
        let taken = write(&slices[..self.lines.len().min(SLICES_MAX)])?;
        self.consume(taken);
        Ok(taken)
    }

    fn consume(&mut self, taken: usize) {
        self.bytes -= taken;
        self.front_sent_bytes += taken;
        while let Some(front) = self.lines.front() {
            if self.front_sent_bytes < front.len() {
                return;
            }
            self.front_sent_bytes -= front.len();
            self.lines.pop_front();
        }
        self.lines = VecDeque::new();
    }
}
