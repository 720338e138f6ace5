//! A store in memory: what the cache keeps in a file, for those who need no file (the load
//! generator) or must not have one (the simulator, tests).
//!
//! Owns: home and every account's place, messages included. Driven by: whoever executes effects.
//! Invariant: what [`Write`] and [`Load`] promise; the cache is held against this in its tests.
//! Does not: survive its process.

use std::collections::BTreeMap;

use super::{
    Account, AccountKey, ConversationRecord, Home, Load, Loaded, MessageRecord, OutboxItem, Stored,
    Write,
};
use crate::config::Secret;
use crate::ids::{ConversationId, Cursor, Seq, Txn};
use crate::protocol::Target;

/// See the module's page.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    home: Home,
    places: BTreeMap<AccountKey, Place>,
    current: Option<AccountKey>,
}

#[derive(Debug, Clone, Default)]
struct Place {
    user: String,
    token: Option<Secret>,
    cursor: Option<Cursor>,
    deletion: Option<Txn>,
    conversations: BTreeMap<ConversationId, ConversationRecord>,
    messages: BTreeMap<(ConversationId, Seq), MessageRecord>,
    outbox: BTreeMap<Txn, OutboxItem>,
    drafts: BTreeMap<Target, String>,
    interface: BTreeMap<String, String>,
}

impl MemoryStore {
    /// Everything that a client loads at its start.
    pub fn stored(&mut self) -> Stored {
        self.current.clone_from(&self.home.last);
        let account = self.home.last.clone().map(|key| self.account(key));
        Stored { home: self.home.clone(), account }
    }

    /// Executes a transaction.
    pub fn store(&mut self, writes: Vec<Write>) {
        for write in writes {
            self.write(write);
        }
    }

    /// Reads what is asked.
    pub fn load(&mut self, load: Load) -> Loaded {
        match load {
            Load::Account(key) => {
                self.current = Some(key.clone());
                Loaded::Account(Box::new(self.account(key)))
            }
            Load::Messages { conv, before, limit } => {
                let end = before.unwrap_or(Seq(u64::MAX));
                let place = self.current.as_ref().and_then(|key| self.places.get(key));
                let rows = place.into_iter().flat_map(|p| p.messages.range(..(conv, end)).rev());
                let rows = rows.take_while(|((of, _), _)| *of == conv).take(limit);
                let mut messages: Vec<_> = rows.map(|(_, message)| message.clone()).collect();
                messages.reverse();
                Loaded::Messages { conv, before, messages }
            }
        }
    }

    /// Every stored message of the current place's conversation, ascending.
    pub fn messages(&self, conv: ConversationId) -> Vec<&MessageRecord> {
        let place = self.current.as_ref().and_then(|key| self.places.get(key));
        let rows = place.into_iter().flat_map(|place| &place.messages);
        rows.filter(|((of, _), _)| *of == conv).map(|(_, message)| message).collect()
    }

    fn account(&mut self, key: AccountKey) -> Account {
        let place = self.places.entry(key.clone()).or_default();
        Account {
            key,
            user: place.user.clone(),
            token: place.token.clone(),
            cursor: place.cursor,
            deletion: place.deletion,
            conversations: place.conversations.values().cloned().collect(),
            outbox: place.outbox.values().cloned().collect(),
            drafts: place.drafts.clone().into_iter().collect(),
            interface: place.interface.clone().into_iter().collect(),
        }
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::Cluster(record) => {
                self.home.clusters.retain(|known| known.cluster != record.cluster);
                self.home.clusters.push(record);
            }
            Write::Last(last) => self.home.last = last,
            Write::Registration(registration) => self.home.registration = registration,
            Write::AccountDropped => {
                if let Some(key) = self.current.take() {
                    self.places.remove(&key);
                }
            }
            Write::User(_)
            | Write::Token(_)
            | Write::Cursor(_)
            | Write::Deletion(_)
            | Write::Outbox(_)
            | Write::OutboxRemoved(_)
            | Write::Draft(..)
            | Write::Interface(..)
            | Write::Conversation(_)
            | Write::Message(..)
            | Write::Copies { .. }
            | Write::Edited { .. }
            | Write::Deleted(..)
            | Write::PeerGone(_)
            | Write::CacheDropped => {
                if let Some(key) = &self.current {
                    self.places.entry(key.clone()).or_default().write(write);
                }
            }
        }
    }
}

impl Place {
    fn write(&mut self, write: Write) {
        match write {
            Write::User(user) => self.user = user,
            Write::Token(token) => self.token = token,
            Write::Cursor(cursor) => self.cursor = cursor,
            Write::Deletion(txn) => self.deletion = txn,
            Write::Outbox(item) => {
                self.outbox.insert(item.txn, item);
            }
            Write::OutboxRemoved(txn) => {
                self.outbox.remove(&txn);
            }
            Write::Draft(to, text) if text.is_empty() => {
                self.drafts.remove(&to);
            }
            Write::Draft(to, text) => {
                self.drafts.insert(to, text);
            }
            Write::Interface(key, value) if value.is_empty() => {
                self.interface.remove(&key);
            }
            Write::Interface(key, value) => {
                self.interface.insert(key, value);
            }
            Write::Conversation(record) => {
                self.conversations.insert(record.conv, record);
            }
            Write::Message(conv, message) => {
                self.messages.insert((conv, message.view.seq), message);
            }
            Write::Copies { conv, seq, copies, of } => {
                if let Some(message) = self.messages.get_mut(&(conv, seq)) {
                    message.copies = copies;
                    message.of = of;
                }
            }
            Write::Edited { conv, seq, text, ts } => {
                let message = self.messages.get_mut(&(conv, seq));
                if let Some(message) = message.filter(|message| !message.view.deleted) {
                    message.view.text = text;
                    message.view.edited = Some(ts);
                }
            }
            Write::Deleted(conv, seq) => {
                if let Some(message) = self.messages.get_mut(&(conv, seq)) {
                    bury(message);
                }
            }
            Write::PeerGone(conv) => {
                for ((of, _), message) in &mut self.messages {
                    if *of == conv && !message.own {
                        message.view.from = None;
                        bury(message);
                    }
                }
            }
            Write::CacheDropped => {
                self.conversations.clear();
                self.messages.clear();
                self.cursor = None;
            }
            Write::Cluster(_) | Write::Last(_) | Write::Registration(_) | Write::AccountDropped => {
                unreachable!("these are the home's")
            }
        }
    }
}

fn bury(message: &mut MessageRecord) {
    message.view.text = String::new();
    message.view.deleted = true;
}
