//! What a person sees, made of updates.
//!
//! Owns: the state of everything that is drawn: connection, session, cluster, conversations, the
//! open timelines, the outbox, drafts. Driven by: [`Model::apply`], with every update in its order;
//! read by the screens. Invariants: pure (no input but updates, no clock); nothing is counted that
//! can be computed; a message's state is what a server said of it, or that none has said anything.
//! Does not: keep answers to commands (whoever gave the command waits for its [`Update::Answer`]),
//! nor format anything: times, words and colours are the screens'.

mod outgoing;
mod rows;
mod state;
mod timeline;

use std::collections::BTreeMap;

use super::{ConnectionState, ConversationRecord, OutboxItem, SessionState, SignedOut, Update};
use crate::ids::ConversationId;
use crate::protocol::{Status, Target, fold_name};
use outgoing::Outgoing;
pub use rows::{Preview, Row};
pub use state::OwnState;
pub use timeline::{Entry, Timeline};

/// Timelines kept in memory: going back and forth between a few chats costs nothing, and the rest
/// is in the store. The one opened longest ago is dropped.
const TIMELINES_MAX: usize = 4;

/// See the module's page.
#[derive(Debug, Clone)]
pub struct Model {
    connection: ConnectionState,
    session: SessionState,
    cluster: Option<Status>,
    conversations: BTreeMap<ConversationId, ConversationRecord>,
    by_name: BTreeMap<String, ConversationId>,
    is_listed: bool,
    /// The most recently opened last.
    timelines: Vec<Timeline>,
    outgoing: Outgoing,
    drafts: BTreeMap<Target, String>,
    interface: BTreeMap<String, String>,
    revision: u64,
}

impl Default for Model {
    fn default() -> Model {
        Model {
            connection: ConnectionState::Idle,
            session: SessionState::SignedOut(SignedOut::ByPerson),
            cluster: None,
            conversations: BTreeMap::new(),
            by_name: BTreeMap::new(),
            is_listed: false,
            timelines: Vec::new(),
            outgoing: Outgoing::default(),
            drafts: BTreeMap::new(),
            interface: BTreeMap::new(),
            revision: 0,
        }
    }
}

impl Model {
    /// Takes one update; they must come in the order in which the engine made them.
    pub fn apply(&mut self, update: Update) {
        self.revision += 1;
        match update {
            Update::Connection(state) => self.connection = state,
            Update::Session(state) => self.session = state,
            Update::Cluster(status) => self.cluster = Some(status),
            Update::CacheDropped => {
                self.conversations.clear();
                self.by_name.clear();
                self.timelines.clear();
                self.is_listed = false;
            }
            Update::Conversation(record) => self.conversation_changed(record),
            Update::Listed => self.is_listed = true,
            Update::Opened { conv, messages, loading } => {
                self.timelines.retain(|timeline| timeline.conv() != conv);
                if self.timelines.len() == TIMELINES_MAX {
                    self.timelines.remove(0);
                }
                self.timelines.push(Timeline::new(conv, messages, loading));
            }
            Update::Outbox(item) => self.outgoing.put(item),
            Update::OutboxRemoved(txn) => self.outgoing.remove(txn),
            Update::Draft(to, text) if text.is_empty() => {
                self.drafts.remove(&to);
            }
            Update::Draft(to, text) => {
                self.drafts.insert(to, text);
            }
            Update::Interface(key, value) if value.is_empty() => {
                self.interface.remove(&key);
            }
            Update::Interface(key, value) => {
                self.interface.insert(key, value);
            }
            Update::Answer(..) => {}
            Update::Older { conv, .. }
            | Update::Message(conv, _)
            | Update::Edited { conv, .. }
            | Update::Deleted(conv, _)
            | Update::PeerGone(conv)
            | Update::Copies { conv, .. } => {
                if let Some(timeline) = self.timelines.iter_mut().find(|t| t.conv() == conv) {
                    timeline.apply(update);
                }
            }
        }
    }

    fn conversation_changed(&mut self, record: ConversationRecord) {
        let conv = record.conv;
        let before = self.conversations.get(&conv).and_then(|before| before.with.as_deref());
        if let Some(before) = before.map(fold_name)
            && self.by_name.get(&before) == Some(&conv)
        {
            self.by_name.remove(&before);
        }
        if let Some(with) = &record.with {
            self.by_name.insert(fold_name(with), conv);
        }
        self.conversations.insert(conv, record);
    }

    /// Counts updates: what was computed from this model holds as long as this is the same.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The connection's state.
    pub fn connection(&self) -> &ConnectionState {
        &self.connection
    }

    /// The session's state.
    pub fn session(&self) -> &SessionState {
        &self.session
    }

    /// The signed-in account's name.
    pub fn user(&self) -> Option<&str> {
        match &self.session {
            SessionState::SignedIn { user, .. } => Some(user),
            SessionState::SignedOut(_) | SessionState::SigningIn { .. } => None,
        }
    }

    /// The cluster as last heard; who is not connected sees what was true then.
    pub fn cluster(&self) -> Option<&Status> {
        self.cluster.as_ref()
    }

    /// How many servers hold each new message, and of how many, when that is not all of them.
    pub fn degraded(&self) -> Option<(u32, u32)> {
        self.cluster.as_ref().map(|c| (c.in_sync, c.of)).filter(|(in_sync, of)| in_sync < of)
    }

    /// Whether every conversation is known; until then an empty list means nothing.
    pub fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// One conversation.
    pub fn conversation(&self, conv: ConversationId) -> Option<&ConversationRecord> {
        self.conversations.get(&conv)
    }

    /// Unread messages in all conversations.
    pub fn unread_total(&self) -> u64 {
        self.conversations.values().map(|record| record.unread.total()).sum()
    }

    /// The target as it is best known: a name with a conversation is that conversation.
    pub fn resolve(&self, to: &Target) -> Target {
        match to {
            Target::User(name) => match self.by_name.get(&fold_name(name)) {
                Some(conv) => Target::Conversation(*conv),
                None => Target::User(fold_name(name)),
            },
            Target::Conversation(conv) => Target::Conversation(*conv),
        }
    }

    /// The other's name in a target, where it is known.
    pub fn name<'a>(&'a self, to: &'a Target) -> Option<&'a str> {
        match to {
            Target::User(name) => Some(name),
            Target::Conversation(conv) => self.conversations.get(conv)?.with.as_deref(),
        }
    }

    /// Typed text that was not sent; one that was typed before the conversation existed counts too.
    pub fn draft(&self, to: &Target) -> Option<&str> {
        let found = self.drafts.iter().find(|(typed, _)| *typed == to).or_else(|| {
            let to = self.resolve(to);
            self.drafts.iter().find(|(typed, _)| self.resolve(typed) == to)
        });
        found.map(|(_, text)| text.as_str())
    }

    /// What the screens keep under a key.
    pub fn interface(&self, key: &str) -> Option<&str> {
        self.interface.get(key).map(String::as_str)
    }

    /// Everything that was asked for and is not answered, oldest first.
    pub fn outbox(&self) -> impl Iterator<Item = &OutboxItem> {
        self.outgoing.items()
    }

    /// How many outbox items will be sent when a server answers.
    pub fn waiting(&self) -> usize {
        self.outgoing.items().filter(|item| outgoing::will_be_sent(item)).count()
    }

    /// An opened timeline.
    pub fn timeline(&self, conv: ConversationId) -> Option<&Timeline> {
        self.timelines.iter().find(|timeline| timeline.conv() == conv)
    }
}

#[cfg(test)]
mod tests;
