//! The outbox as it is drawn.
//!
//! Owns: the items in their order, and which of them concern a message that is there already.
//! Driven by: `Model::apply`.

use std::collections::BTreeMap;

use crate::client::{OutboxItem, OutboxState, Work};
use crate::ids::{ConversationId, Seq, Txn};

#[derive(Debug, Clone, Default)]
pub(super) struct Outgoing {
    items: BTreeMap<u64, OutboxItem>,
    numbers: BTreeMap<Txn, u64>,
    /// The newest edit or deletion of each message that has one.
    changes: BTreeMap<(ConversationId, Seq), u64>,
}

/// Whether an item goes out by itself when a server answers.
pub(super) fn will_be_sent(item: &OutboxItem) -> bool {
    matches!(item.state, OutboxState::Waiting | OutboxState::Sent { .. })
}

fn changed_message(item: &OutboxItem) -> Option<(ConversationId, Seq)> {
    match item.work {
        Work::Send { .. } => None,
        Work::Edit { conv, seq, .. } | Work::Delete { conv, seq, .. } => Some((conv, seq)),
    }
}

impl Outgoing {
    pub(super) fn put(&mut self, item: OutboxItem) {
        if let Some(message) = changed_message(&item) {
            let newest = self.changes.entry(message).or_insert(item.number);
            *newest = item.number.max(*newest);
        }
        self.numbers.insert(item.txn, item.number);
        self.items.insert(item.number, item);
    }

    pub(super) fn remove(&mut self, txn: Txn) {
        let Some(number) = self.numbers.remove(&txn) else { return };
        let Some(item) = self.items.remove(&number) else { return };
        let Some(message) = changed_message(&item) else { return };
        if self.changes.get(&message) == Some(&number) {
            self.changes.remove(&message);
            let left = self.items.values().rev().find(|i| changed_message(i) == Some(message));
            if let Some(left) = left {
                self.changes.insert(message, left.number);
            }
        }
    }

    pub(super) fn items(&self) -> impl DoubleEndedIterator<Item = &OutboxItem> {
        self.items.values()
    }

    /// The edit or deletion of a message that is not answered.
    pub(super) fn change(&self, conv: ConversationId, seq: Seq) -> Option<&OutboxItem> {
        self.items.get(self.changes.get(&(conv, seq))?)
    }
}
