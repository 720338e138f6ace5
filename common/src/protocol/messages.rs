//! What is asked and answered about people, conversations and messages.

use serde::{Deserialize, Serialize};

use super::MessageView;
use super::accounts::is_false;
use crate::ids::{ConversationId, Cursor, Seq, Txn};

/// `users`: accounts by the beginning of their name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// The beginning, in any case; empty for all.
    pub prefix: String,
    /// Only names behind this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Page size, at most [`super::USERS_PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to `users`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsersOk {
    /// By folded name.
    pub users: Vec<UserView>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// One account, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// The name as registered.
    pub user: String,
}

/// `conversations`: what this account takes part in, newest activity first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conversations {
    /// Only those behind this one (the last of the page before).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ConversationId>,
    /// Page size, at most [`super::CONVERSATIONS_PAGE_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// Answer to `conversations`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationsOk {
    /// Newest activity first.
    pub conversations: Vec<ConversationView>,
    /// Whether there are more behind the last one.
    pub more: bool,
    /// The place in the events at which this page was read: keep the first page's.
    pub cur: Cursor,
}

/// One conversation, as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConversationView {
    /// Its id.
    pub conv: ConversationId,
    /// The other's name; null when that account is gone.
    pub with: Option<String>,
    /// The newest message's number; 0 in an empty one.
    pub last_seq: Seq,
    /// Up to where this account has read.
    pub read: Seq,
    /// Up to where the other has read.
    pub peer_read: Seq,
    /// Up to where a device of the other has received.
    pub peer_delivered: Seq,
    /// Messages of others above `read` that are not deleted: counted, never stored.
    pub unread: u64,
    /// The newest message, its text cut.
    pub last: LastMessage,
}

/// The newest message of a conversation, for a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastMessage {
    /// Its number.
    pub seq: Seq,
    /// Its author; null when that account is gone.
    pub from: Option<String>,
    /// Its text, cut at [`super::PREVIEW_BYTES_MAX`] bytes; empty if it was deleted.
    pub text: String,
    /// When the primary took it, milliseconds since the Unix epoch.
    pub ts: u64,
    /// Whether it was deleted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
}

/// `send`: a message to a person or into a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SendFields", into = "SendFields")]
pub struct Send {
    /// Where to.
    pub to: Target,
    /// The text.
    pub text: String,
    /// Makes a repeat safe.
    pub txn: Txn,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Target {
    /// To the account of this name, whoever holds it when the server takes the message.
    User(String),
    /// Into this conversation.
    Conversation(ConversationId),
}

#[derive(Clone, Serialize, Deserialize)]
struct SendFields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    conv: Option<ConversationId>,
    text: String,
    txn: Txn,
}

impl TryFrom<SendFields> for Send {
    type Error = &'static str;

    fn try_from(fields: SendFields) -> Result<Send, Self::Error> {
        let to = match (fields.to, fields.conv) {
            (Some(user), None) => Target::User(user),
            (None, Some(conv)) => Target::Conversation(conv),
            (None, None) => return Err("missing field `to` or `conv`"),
            (Some(_), Some(_)) => return Err("fields `to` and `conv`: one of them, not both"),
        };
        Ok(Send { to, text: fields.text, txn: fields.txn })
    }
}

impl From<Send> for SendFields {
    fn from(send: Send) -> SendFields {
        let (to, conv) = match send.to {
            Target::User(user) => (Some(user), None),
            Target::Conversation(conv) => (None, Some(conv)),
        };
        SendFields { to, conv, text: send.text, txn: send.txn }
    }
}

/// Answer to `send`: the message is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendOk {
    /// The conversation it went into.
    pub conv: ConversationId,
    /// Its number there.
    pub seq: Seq,
    /// When the primary took it, milliseconds since the Unix epoch.
    pub ts: u64,
    /// How many servers hold it on disk.
    pub copies: u32,
    /// How many servers the cluster has.
    pub of: u32,
    /// A repeat: this is the first try's result, and nothing was changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dup: bool,
}

/// `history`: messages of a conversation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "HistoryFields", into = "HistoryFields")]
pub struct History {
    /// Which conversation.
    pub conv: ConversationId,
    /// Which part of it.
    pub page: Page,
    /// Page size, at most [`super::HISTORY_PAGE_MAX`].
    pub limit: Option<u32>,
}

/// Which messages of a conversation a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest ones.
    Newest,
    /// The newest ones below this number.
    Before(Seq),
    /// The oldest ones above this number.
    After(Seq),
}

#[derive(Clone, Serialize, Deserialize)]
struct HistoryFields {
    conv: ConversationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    before: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
}

impl TryFrom<HistoryFields> for History {
    type Error = &'static str;

    fn try_from(fields: HistoryFields) -> Result<History, Self::Error> {
        let page = match (fields.before, fields.after) {
            (None, None) => Page::Newest,
            (Some(seq), None) => Page::Before(seq),
            (None, Some(seq)) => Page::After(seq),
            (Some(_), Some(_)) => return Err("fields `before` and `after`: one of them, not both"),
        };
        Ok(History { conv: fields.conv, page, limit: fields.limit })
    }
}

impl From<History> for HistoryFields {
    fn from(history: History) -> HistoryFields {
        let (before, after) = match history.page {
            Page::Newest => (None, None),
            Page::Before(seq) => (Some(seq), None),
            Page::After(seq) => (None, Some(seq)),
        };
        HistoryFields { conv: history.conv, before, after, limit: history.limit }
    }
}

/// Answer to `history`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryOk {
    /// Ascending by number.
    pub messages: Vec<MessageView>,
    /// Whether there are more in the direction that was asked.
    pub more: bool,
}

/// `read` and `delivered`: a mark that only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Which conversation.
    pub conv: ConversationId,
    /// Every message up to this number.
    pub upto: Seq,
}

/// `edit`: another text for an own message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edit {
    /// Which conversation.
    pub conv: ConversationId,
    /// Which message.
    pub seq: Seq,
    /// Its new text.
    pub text: String,
    /// Makes a repeat safe.
    pub txn: Txn,
}

/// Answer to `edit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditOk {
    /// When the primary took the edit, milliseconds since the Unix epoch.
    pub ts: u64,
}

/// `delete`: a message leaves a numbered tombstone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Delete {
    /// Which conversation.
    pub conv: ConversationId,
    /// Which message.
    pub seq: Seq,
    /// For whom.
    #[serde(rename = "for")]
    pub scope: Scope,
    /// Makes a repeat safe.
    pub txn: Txn,
}

/// For whom a message is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// For the asking account only; any message.
    Me,
    /// For everybody; own messages only.
    All,
}
