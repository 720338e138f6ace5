//! What was asked for and is not answered, in lanes.
//!
//! Owns: the items, and a lane for each conversation (or name, as long as the conversation is not
//! known). Driven by: `submit`. Invariants: one item of a lane is under way at any time, and always
//! the oldest, so a refusal cannot reorder; an item that was on the wire keeps its content for
//! ever, because the same txn with other content is a conflict; refused and stale items are in no
//! lane and wait for the person.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use super::effects::Effects;
use crate::client::{CommandId, OutboxItem, OutboxState, Update, Work, Write};
use crate::ids::{ConversationId, Txn};
use crate::protocol::{SendOk, Target, fold_name};

/// Servers forget answers after 30 days; an unanswered item is not repeated in the last of them.
pub(super) const STALE_AFTER_MS: u64 = 29 * 24 * 60 * 60 * 1000;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    items: BTreeMap<u64, Item>,
    by_txn: BTreeMap<Txn, u64>,
    lanes: BTreeMap<Target, Lane>,
    /// Items whose state has changed since they were stored.
    unsaved: BTreeSet<u64>,
    /// Items whose event came before their answer: the answer still says on how many servers they
    /// are.
    confirmed: BTreeMap<Txn, (Option<CommandId>, SendOk)>,
}

#[derive(Debug)]
pub(super) struct Item {
    pub(super) record: OutboxItem,
    pub(super) command: Option<CommandId>,
    lane: Target,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<u64>,
    /// At most one, but for a lane that two were merged into.
    under_way: BTreeSet<u64>,
    not_before: Option<Instant>,
}

fn lane_of(work: &Work) -> Target {
    match work {
        Work::Send { to: Target::User(name), .. } => Target::User(fold_name(name)),
        Work::Send { to: Target::Conversation(conv), .. }
        | Work::Edit { conv, .. }
        | Work::Delete { conv, .. } => Target::Conversation(*conv),
    }
}

impl Outbox {
    /// The outbox as it was stored.
    pub(super) fn new(mut stored: Vec<OutboxItem>, effects: &mut Effects) -> Outbox {
        stored.sort_by_key(|item| item.number);
        let mut outbox = Outbox::default();
        for record in stored {
            effects.update(Update::Outbox(record.clone()));
            outbox.insert(record, None);
        }
        outbox
    }

    fn insert(&mut self, record: OutboxItem, command: Option<CommandId>) {
        let (number, lane) = (record.number, lane_of(&record.work));
        self.by_txn.insert(record.txn, number);
        if matches!(record.state, OutboxState::Waiting | OutboxState::Sent { .. }) {
            self.lanes.entry(lane.clone()).or_default().queue.push_back(number);
        }
        self.items.insert(number, Item { record, command, lane });
    }

    pub(super) fn add(&mut self, txn: Txn, created_ms: u64, work: Work, command: CommandId) {
        let number = self.items.last_key_value().map_or(0, |(number, _)| *number) + 1;
        let state = OutboxState::Waiting;
        self.insert(OutboxItem { txn, number, created_ms, work, state }, Some(command));
        self.unsaved.insert(number);
    }

    pub(super) fn item(&mut self, txn: Txn) -> Option<&mut Item> {
        self.items.get_mut(self.by_txn.get(&txn)?)
    }

    /// The operation that an item is asked by; a confirmed one is a message.
    pub(super) fn op(&self, txn: Txn) -> &'static str {
        let item = self.by_txn.get(&txn).and_then(|number| self.items.get(number));
        match item.map(|item| &item.record.work) {
            None | Some(Work::Send { .. }) => "send",
            Some(Work::Edit { .. }) => "edit",
            Some(Work::Delete { .. }) => "delete",
        }
    }

    pub(super) fn commands(&self) -> Vec<CommandId> {
        self.items.values().filter_map(|item| item.command).collect()
    }

    pub(super) fn txns(&self) -> Vec<Txn> {
        self.items.values().map(|item| item.record.txn).collect()
    }

    /// Messages to `name` go into its conversation from now on, those that were on the wire
    /// excepted.
    pub(super) fn conversation_known(&mut self, name: &str, conv: ConversationId) {
        let Some(named) = self.lanes.remove(&Target::User(name.to_owned())) else { return };
        let lane = Target::Conversation(conv);
        for number in &named.queue {
            let Some(item) = self.items.get_mut(number) else { continue };
            item.lane = lane.clone();
            if let (OutboxState::Waiting, Work::Send { to, .. }) =
                (&item.record.state, &mut item.record.work)
            {
                *to = lane.clone();
                self.unsaved.insert(*number);
            }
        }
        let into = self.lanes.entry(lane).or_default();
        into.under_way.extend(named.under_way);
        into.not_before = into.not_before.max(named.not_before);
        into.queue.extend(named.queue);
        into.queue.make_contiguous().sort_unstable();
    }

    /// Whether messages to names wait beside messages into conversations. As long as the
    /// conversations are not all known, a name may be one of them, and neither may overtake the
    /// other.
    pub(super) fn has_names_and_conversations(&self) -> bool {
        let is_name = |lane: &Target| matches!(lane, Target::User(_));
        self.lanes.keys().any(is_name) && !self.lanes.keys().all(is_name)
    }

    /// The oldest item of each lane that may go on the wire now, at most `room`. What was on the
    /// wire without an answer for too long is set aside instead, for the person to decide.
    pub(super) fn take_due(&mut self, now: Instant, wall_ms: u64, room: usize) -> Vec<Txn> {
        let mut due = Vec::new();
        for lane in self.lanes.values_mut() {
            let is_free = lane.under_way.is_empty() && lane.not_before.is_none_or(|at| at <= now);
            while is_free && due.len() < room {
                let Some(number) = lane.queue.front() else { break };
                let Some(item) = self.items.get_mut(number) else { break };
                match item.record.state {
                    OutboxState::Sent { since_ms }
                        if wall_ms.saturating_sub(since_ms) > STALE_AFTER_MS =>
                    {
                        item.record.state = OutboxState::Stale;
                        self.unsaved.insert(*number);
                        lane.queue.pop_front();
                        continue;
                    }
                    OutboxState::Waiting => {
                        item.record.state = OutboxState::Sent { since_ms: wall_ms };
                        self.unsaved.insert(*number);
                    }
                    OutboxState::Sent { .. } | OutboxState::Refused(_) | OutboxState::Stale => {}
                }
                lane.under_way.insert(*number);
                lane.not_before = None;
                due.push((*number, item.record.txn));
                break;
            }
        }
        self.lanes.retain(|_, lane| !lane.queue.is_empty() || !lane.under_way.is_empty());
        due.sort_unstable();
        due.into_iter().map(|(_, txn)| txn).collect()
    }

    /// Stores and tells every item that has changed.
    pub(super) fn save(&mut self, effects: &mut Effects) {
        for number in std::mem::take(&mut self.unsaved) {
            if let Some(item) = self.items.get(&number) {
                effects.write(Write::Outbox(item.record.clone()));
                effects.update(Update::Outbox(item.record.clone()));
            }
        }
    }

    /// The item's try is over; it waits until `not_before` for the next one.
    pub(super) fn put_off(&mut self, txn: Txn, not_before: Instant) {
        let Some(number) = self.by_txn.get(&txn).copied() else { return };
        if let Some(lane) = self.lane_mut(txn) {
            lane.under_way.remove(&number);
            lane.not_before = Some(not_before);
        }
    }

    fn lane_mut(&mut self, txn: Txn) -> Option<&mut Lane> {
        let item = self.items.get(self.by_txn.get(&txn)?)?;
        self.lanes.get_mut(&item.lane)
    }

    fn leave_lane(&mut self, txn: Txn) {
        let Some(number) = self.by_txn.get(&txn).copied() else { return };
        let Some(lane) = self.lane_mut(txn) else { return };
        lane.under_way.remove(&number);
        lane.queue.retain(|queued| *queued != number);
    }

    /// The item is in another state, in which it waits for the person.
    pub(super) fn set_aside(&mut self, txn: Txn, state: OutboxState) -> Option<CommandId> {
        self.leave_lane(txn);
        let number = *self.by_txn.get(&txn)?;
        self.unsaved.insert(number);
        let item = self.items.get_mut(&number)?;
        item.record.state = state;
        item.command.take()
    }

    /// The person wants a stale item to be repeated: with the same txn, in case it is still
    /// remembered.
    pub(super) fn repeat_stale(&mut self, txn: Txn, wall_ms: u64, command: CommandId) {
        let Some(number) = self.by_txn.get(&txn).copied() else { return };
        let Some(mut item) = self.items.remove(&number) else { return };
        item.record.state = OutboxState::Sent { since_ms: wall_ms };
        self.insert(item.record, Some(command));
        self.unsaved.insert(number);
    }

    /// The item is done with.
    pub(super) fn remove(&mut self, txn: Txn, effects: &mut Effects) -> Option<Item> {
        self.leave_lane(txn);
        let number = self.by_txn.remove(&txn)?;
        self.unsaved.remove(&number);
        effects.write(Write::OutboxRemoved(txn));
        effects.update(Update::OutboxRemoved(txn));
        self.items.remove(&number)
    }

    /// An event shows that the item is done; its answer may still come.
    pub(super) fn confirm(&mut self, txn: Txn, ok: SendOk, effects: &mut Effects) {
        if let Some(item) = self.remove(txn, effects) {
            self.confirmed.insert(txn, (item.command, ok));
        }
    }

    pub(super) fn take_confirmed(&mut self, txn: Txn) -> Option<(Option<CommandId>, SendOk)> {
        self.confirmed.remove(&txn)
    }

    /// No answer will come to these any more: the events must do.
    pub(super) fn take_all_confirmed(&mut self) -> Vec<(Option<CommandId>, SendOk)> {
        std::mem::take(&mut self.confirmed).into_values().collect()
    }

    pub(super) fn link_lost(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.under_way.clear();
            lane.not_before = None;
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.lanes
            .values()
            .filter(|lane| lane.under_way.is_empty())
            .filter_map(|l| l.not_before)
            .min()
    }
}

#[cfg(test)]
mod tests;
