//! An opened conversation's messages, as far as they are looked at.
//!
//! Owns: a window of messages that ends at the newest and grows upwards. Driven by: `Model::apply`.
//! Invariant: the window has no hole between what was opened and what was loaded above it; an own
//! message that was acknowledged ahead of its event may stand above its end for a moment.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Model, OwnState, outgoing};
use crate::client::{MessageRecord, OutboxItem, Update, Work};
use crate::ids::{ConversationId, Seq};
use crate::protocol::Target;

/// See the module's page.
#[derive(Debug, Clone)]
pub struct Timeline {
    conv: ConversationId,
    messages: BTreeMap<Seq, MessageRecord>,
    is_loading: bool,
    /// Where the window begins, if it holds nothing.
    begin: Seq,
}

/// One thing in a timeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry<'a> {
    /// A message that a server has stored.
    Message {
        /// The message.
        message: &'a MessageRecord,
        /// What became of it, if it is an own one.
        state: Option<OwnState>,
        /// An edit or a deletion of it that is not answered.
        change: Option<&'a OutboxItem>,
    },
    /// A message in the outbox.
    Outgoing {
        /// Its item.
        item: &'a OutboxItem,
        /// Its text.
        text: &'a str,
        /// How far it is.
        state: OwnState,
    },
}

impl Timeline {
    pub(super) fn new(
        conv: ConversationId,
        messages: Vec<MessageRecord>,
        is_loading: bool,
    ) -> Timeline {
        let messages: BTreeMap<_, _> = messages.into_iter().map(|m| (m.view.seq, m)).collect();
        let begin = messages.keys().next().copied().unwrap_or(Seq(u64::MAX));
        Timeline { conv, messages, is_loading, begin }
    }

    pub(super) fn apply(&mut self, update: Update) {
        match update {
            Update::Older { messages, loading, .. } => {
                self.is_loading = loading;
                for message in messages {
                    self.begin = self.begin.min(message.view.seq);
                    self.messages.entry(message.view.seq).or_insert(message);
                }
            }
            Update::Message(_, mut message) => {
                // What is above the window is new; what is below it belongs to a page that will be
                // loaded.
                if message.view.seq >= self.begin || self.messages.is_empty() {
                    if let Some(known) = self.messages.get(&message.view.seq) {
                        message.copies = message.copies.max(known.copies);
                        message.of = message.of.max(known.of);
                    }
                    self.begin = self.begin.min(message.view.seq);
                    self.messages.insert(message.view.seq, message);
                }
            }
            Update::Edited { seq, text, ts, .. } => {
                if let Some(message) = self.messages.get_mut(&seq).filter(|m| !m.view.deleted) {
                    message.view.text = text;
                    message.view.edited = Some(ts);
                }
            }
            Update::Deleted(_, seq) => {
                if let Some(message) = self.messages.get_mut(&seq) {
                    bury(message);
                }
            }
            Update::PeerGone(_) => {
                for message in self.messages.values_mut().filter(|message| !message.own) {
                    message.view.from = None;
                    bury(message);
                }
            }
            Update::Copies { seq, copies, of, .. } => {
                if let Some(message) = self.messages.get_mut(&seq) {
                    message.copies = copies.max(message.copies);
                    message.of = of;
                }
            }
            Update::Connection(_)
            | Update::Session(_)
            | Update::Cluster(_)
            | Update::CacheDropped
            | Update::Conversation(_)
            | Update::Listed
            | Update::Opened { .. }
            | Update::Outbox(_)
            | Update::OutboxRemoved(_)
            | Update::Draft(..)
            | Update::Interface(..)
            | Update::Answer(..) => {}
        }
    }

    /// Which conversation.
    pub fn conv(&self) -> ConversationId {
        self.conv
    }

    /// The messages in their order.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &MessageRecord> {
        self.messages.values()
    }

    /// The messages between two numbers, both included, in their order.
    pub fn within(
        &self,
        seqs: RangeInclusive<Seq>,
    ) -> impl DoubleEndedIterator<Item = &MessageRecord> {
        self.messages.range(seqs).map(|(_, message)| message)
    }

    /// How many messages the window holds.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Whether the window holds nothing.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// One message, if the window holds it.
    pub fn message(&self, seq: Seq) -> Option<&MessageRecord> {
        self.messages.get(&seq)
    }

    /// Whether a server is being asked for more.
    pub fn is_loading(&self) -> bool {
        self.is_loading
    }

    /// What to name in `LoadOlder` for the messages above the window; nothing when it reaches the
    /// beginning or nothing is known of where it begins.
    pub fn older_than(&self) -> Option<Seq> {
        self.messages.keys().next().copied().filter(|first| *first > Seq(1))
    }
}

fn bury(message: &mut MessageRecord) {
    message.view.text = String::new();
    message.view.deleted = true;
}

impl Model {
    /// What stands in a target's timeline, oldest first: the messages of its window, then what is
    /// in the outbox for it.
    pub fn entries<'a>(&'a self, to: &Target) -> Vec<Entry<'a>> {
        self.entries_within(to, Seq(0)..=Seq(u64::MAX))
    }

    /// The same for the messages between two numbers alone; the outbox belongs to the second one
    /// where the window ends there, or before.
    pub fn entries_within<'a>(&'a self, to: &Target, seqs: RangeInclusive<Seq>) -> Vec<Entry<'a>> {
        let to = self.resolve(to);
        let mut entries = Vec::new();
        if let Target::Conversation(conv) = &to {
            let timeline = self.timeline(*conv);
            let upto = *seqs.end();
            let messages = timeline.into_iter().flat_map(|timeline| timeline.within(seqs.clone()));
            entries.extend(messages.map(|message| Entry::Message {
                message,
                state: self.own_state(*conv, message),
                change: self.outgoing.change(*conv, message.view.seq),
            }));
            let newest = timeline.and_then(|timeline| timeline.messages().next_back());
            if newest.is_some_and(|newest| newest.view.seq > upto) {
                return entries;
            }
        }
        entries.extend(self.outgoing_to(&to).map(|(item, text)| Entry::Outgoing {
            item,
            text,
            state: OwnState::of_item(item),
        }));
        entries
    }

    /// What became of an own message; nothing for those of others.
    pub fn own_state(&self, conv: ConversationId, message: &MessageRecord) -> Option<OwnState> {
        let conversation = self.conversations.get(&conv).filter(|_| message.own)?;
        Some(OwnState::of_message(message, conversation, self.cluster.as_ref()))
    }

    /// The first unread message in an opened timeline: where the line "New messages" stands.
    pub fn first_unread(&self, conv: ConversationId) -> Option<Seq> {
        let read = self.conversations.get(&conv)?.read;
        let mut messages = self.timeline(conv)?.messages();
        let is_unread = |m: &&MessageRecord| m.view.seq > read && !m.own && !m.view.deleted;
        messages.find(is_unread).map(|message| message.view.seq)
    }

    /// Whether the outbox has messages for a target that the person must decide about.
    pub fn has_refused(&self, to: &Target) -> bool {
        self.outgoing_to(&self.resolve(to)).any(|(item, _)| !outgoing::will_be_sent(item))
    }

    /// The messages in the outbox for a resolved target, oldest first, with their texts.
    pub(super) fn outgoing_to<'a>(
        &'a self,
        to: &Target,
    ) -> impl DoubleEndedIterator<Item = (&'a OutboxItem, &'a str)> {
        self.outgoing.items().filter_map(move |item| match &item.work {
            Work::Send { to: target, text } if self.resolve(target) == *to => {
                Some((item, text.as_str()))
            }
            Work::Send { .. } | Work::Edit { .. } | Work::Delete { .. } => None,
        })
    }
}
