//! What stands in a timeline, line by line, as a pure function of the model.
//!
//! Owns: [`Item`] and its making. Driven by: `timeline`. Invariants: nothing is measured here; an
//! item's key stays the same as long as it is the same thing, so the view can hold on to it while
//! others come and go above and below. Does not: draw.

use std::ops::RangeInclusive;

use holdfast_common::client::model::{Entry, Model, OwnState};
use holdfast_common::client::{OutboxItem, Work};
use holdfast_common::ids::{ConversationId, Seq, Txn};
use holdfast_common::protocol::Target;

use crate::words::Clock;

/// Messages of one sender within this time belong together.
const GROUP_MS: u64 = 5 * 60 * 1_000;

/// Names an item while others come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    /// The chip of the day that begins with this message.
    Day(Seq),
    /// The chip of a day that begins with an unanswered message.
    DayOfOutgoing(Txn),
    /// The line above the first unread message.
    New,
    /// A message that a server has stored.
    Message(Seq),
    /// A message in the outbox.
    Outgoing(Txn),
}

/// One line of a timeline.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A day begins: what to call it.
    Day(Key, String),
    /// From here on it is unread.
    New,
    /// A message.
    Bubble(Bubble),
}

impl Item {
    /// Its name.
    pub(super) fn key(&self) -> Key {
        match self {
            Item::Day(key, _) => *key,
            Item::New => Key::New,
            Item::Bubble(bubble) => bubble.key,
        }
    }
}

/// A message as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bubble {
    /// Its name.
    pub(super) key: Key,
    /// Whether this account wrote it.
    pub(super) is_own: bool,
    /// The author's name; nothing when that account is gone.
    pub(super) from: Option<String>,
    /// Its text, as the person wants it: an edit under way counts already.
    pub(super) text: String,
    /// When, milliseconds since the Unix epoch.
    pub(super) ts: u64,
    /// It has another text than it was sent with.
    pub(super) is_edited: bool,
    /// A tombstone.
    pub(super) is_deleted: bool,
    /// What became of it; nothing for those of others.
    pub(super) state: Option<OwnState>,
    /// An edit or deletion of it that no server has answered, by its state.
    pub(super) change: Option<OwnState>,
    /// The first of a group: there is room above.
    pub(super) begins_group: bool,
    /// The last of a group: its corner points to its author.
    pub(super) ends_group: bool,
}

/// What stands in a chat near some messages, oldest first. `unread_from`: where the line "New
/// messages" stands.
pub(super) fn items(
    model: &Model,
    to: &Target,
    near: RangeInclusive<Seq>,
    unread_from: Option<Seq>,
    clock: &Clock,
) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut last: Option<(bool, u64)> = None;
    for entry in model.entries_within(to, near) {
        let bubble = bubble(model, to, &entry);
        let day = clock.day(bubble.ts);
        let is_new_day = last.is_none_or(|(_, ts)| clock.day(ts) != day);
        if is_new_day {
            let key = match bubble.key {
                Key::Outgoing(txn) => Key::DayOfOutgoing(txn),
                Key::Message(seq) => Key::Day(seq),
                other @ (Key::Day(_) | Key::DayOfOutgoing(_) | Key::New) => other,
            };
            items.push(Item::Day(key, clock.long(bubble.ts)));
        }
        let is_first_unread = matches!(bubble.key, Key::Message(seq) if unread_from == Some(seq));
        if is_first_unread {
            items.push(Item::New);
        }
        let continues = last.is_some_and(|(is_own, ts)| {
            is_own == bubble.is_own && bubble.ts.abs_diff(ts) < GROUP_MS
        });
        let begins = is_new_day || is_first_unread || !continues;
        if !begins && let Some(Item::Bubble(before)) = items.last_mut() {
            before.ends_group = false;
        }
        last = Some((bubble.is_own, bubble.ts));
        items.push(Item::Bubble(Bubble { begins_group: begins, ..bubble }));
    }
    items
}

fn bubble(model: &Model, to: &Target, entry: &Entry<'_>) -> Bubble {
    match entry {
        Entry::Message { message, state, change } => {
            let edit = change.and_then(|item| edited_text(item));
            Bubble {
                key: Key::Message(message.view.seq),
                is_own: message.own,
                from: message.view.from.clone(),
                text: edit.map_or_else(|| message.view.text.clone(), str::to_owned),
                ts: message.view.ts,
                is_edited: message.view.edited.is_some() || edit.is_some(),
                is_deleted: message.view.deleted,
                state: state.clone(),
                change: change.map(OwnState::of_item),
                begins_group: true,
                ends_group: true,
            }
        }
        Entry::Outgoing { item, text, state } => Bubble {
            key: Key::Outgoing(item.txn),
            is_own: true,
            from: model.user().map(str::to_owned),
            text: (*text).to_owned(),
            ts: item.created_ms.max(newest_ms(model, to)),
            is_edited: false,
            is_deleted: false,
            state: Some(state.clone()),
            change: None,
            begins_group: true,
            ends_group: true,
        },
    }
}

fn edited_text(item: &OutboxItem) -> Option<&str> {
    match &item.work {
        Work::Edit { text, .. } => Some(text),
        Work::Send { .. } | Work::Delete { .. } => None,
    }
}

/// An unanswered message stands below all others, whatever this machine's clock says.
fn newest_ms(model: &Model, to: &Target) -> u64 {
    let Some(conv) = conversation(model, to) else { return 0 };
    let newest = model.timeline(conv).and_then(|timeline| timeline.messages().next_back());
    newest.map_or(0, |message| message.view.ts)
}

/// The conversation of a target, as far as it has one.
pub fn conversation(model: &Model, to: &Target) -> Option<ConversationId> {
    match model.resolve(to) {
        Target::Conversation(conv) => Some(conv),
        Target::User(_) => None,
    }
}
