//! The operations of `chat/1`: what a client asks (`d`) and what the server answers (`ok`), each pair
//! named once in the list at the top.

use serde::{Deserialize, Serialize};

use super::{ErrorCode, ErrorReply, MessageView, Status};
use crate::ids::{ConversationId, Cursor, Seq, SessionId, Txn};

/// From one list of operations: the enum of requests, the enum of replies, and their readers.
macro_rules! operations {
    (
        $(#[$request_doc:meta])* requests $Request:ident;
        $(#[$reply_doc:meta])* replies $Reply:ident;
        $( $name:literal $variant:ident $body:ident -> $ok:ident; )*
    ) => {
        $(#[$request_doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $Request {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant($body),
            )*
        }

        $(#[$reply_doc])*
        #[derive(Debug, Clone, PartialEq, ::serde::Serialize)]
        #[serde(untagged)]
        pub enum $Reply {
            $(
                #[doc = concat!("the answer to `", $name, "`")]
                $variant($ok),
            )*
        }

        impl $Request {
            /// Every operation's name, in the order of the protocol's table.
            pub const NAMES: &[&str] = &[$($name),*];

            /// The operation's name on the wire.
            pub const fn name(&self) -> &'static str {
                match self { $($Request::$variant(_) => $name,)* }
            }

            /// Reads the operation `name` with its `d`.
            ///
            /// # Errors
            /// `unknown_op`, or `bad_request` with a text that names the field.
            pub fn parse(name: &str, d: Option<&::serde_json::value::RawValue>) -> Result<$Request, $crate::protocol::ErrorReply> {
                let d = d.map_or("{}", ::serde_json::value::RawValue::get);
                match name {
                    $($name => $crate::protocol::operations::parse_body(d).map($Request::$variant),)*
                    _ => Err($crate::protocol::ErrorReply::new($crate::protocol::ErrorCode::UnknownOp)),
                }
            }

            /// The line that asks this under `id`, newline included.
            pub fn encode(&self, id: u64) -> Vec<u8> {
                $crate::protocol::envelope::encode_request(id, self.name(), self)
            }
        }

        /// Writes the operation's `d`.
        impl ::serde::Serialize for $Request {
            fn serialize<S: ::serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                match self { $($Request::$variant(body) => body.serialize(s),)* }
            }
        }

        impl $Reply {
            /// The line that answers request `id` with this, newline included.
            pub fn encode(&self, id: u64) -> Vec<u8> {
                $crate::protocol::envelope::encode_reply(id, self)
            }

            /// Reads the `ok` of an answer to the operation `name`.
            ///
            /// # Errors
            /// A sentence: the server answered with something that is no answer to that.
            pub fn parse(name: &str, ok: &::serde_json::value::RawValue) -> Result<$Reply, $crate::protocol::ErrorReply> {
                match name {
                    $($name => $crate::protocol::operations::parse_body(ok.get()).map($Reply::$variant),)*
                    _ => Err($crate::protocol::ErrorReply::new($crate::protocol::ErrorCode::UnknownOp)),
                }
            }
        }
    };
}
pub(super) use operations;

/// Reads a `d` or an `ok`; a fault names the field it is in.
pub(super) fn parse_body<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, ErrorReply> {
    let deserializer = &mut serde_json::Deserializer::from_str(body);
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.inner().to_string();
        // serde_json's position counts from the start of `d`, which helps nobody.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let text = match path.as_str() {
            "." => reason.to_owned(),
            path => format!("field `{path}`: {reason}"),
        };
        ErrorReply::with_text(ErrorCode::BadRequest, text)
    })
}

operations! {
    /// What a client may ask on the client port.
    requests Request;
    /// What the server answers.
    replies Reply;
    "hello" Hello Hello -> HelloOk;
    "ping" Ping Empty -> PingOk;
    "status" Status Empty -> Status;
    "register" Register Register -> SignedInOk;
    "login" Login Login -> SignedInOk;
    "resume" Resume Resume -> ResumeOk;
    "logout" Logout Empty -> Empty;
    "sessions" Sessions Empty -> SessionsOk;
    "revoke" Revoke Revoke -> Empty;
    "passwd" Passwd Passwd -> Empty;
    "delete_account" DeleteAccount DeleteAccount -> Empty;
    "users" Users Users -> UsersOk;
    "conversations" Conversations Conversations -> ConversationsOk;
    "send" Send Send -> SendOk;
    "history" History History -> HistoryOk;
    "read" Read Mark -> Empty;
    "delivered" Delivered Mark -> Empty;
    "edit" Edit Edit -> EditOk;
    "delete" Delete Delete -> Empty;
}

/// No fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// `hello`: the first request of every connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The versions of the protocol that the client speaks.
    pub proto: Vec<u32>,
    /// The client's name and version, such as `holdfast/0.1`.
    pub client: String,
}

/// Answer to `hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HelloOk {
    /// The version chosen.
    pub proto: u32,
    /// The cluster's id, hex: what a client keeps belongs to one cluster.
    pub cluster: String,
    /// What this connection must keep to.
    pub limits: Limits,
    /// Send `ping` after this many seconds in which nothing was sent.
    pub ping_s: u32,
    /// All fields of `status`, flat beside the others.
    #[serde(flatten)]
    pub status: Status,
}

/// The limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest line in bytes, newline included, both ways.
    pub line: usize,
    /// Longest text of a message in bytes.
    pub text: usize,
    /// Requests without an answer.
    pub pipeline: usize,
}

/// Answer to `ping`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingOk {
    /// The server's wall clock, milliseconds since the Unix epoch.
    pub ts: u64,
}

/// `register`: a new account, and this connection signed in to it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Register {
    /// The name, shown as given, unique without regard to case.
    pub user: String,
    /// The password.
    pub pass: String,
    /// What the person calls this device.
    pub device: String,
    /// Makes a repeat safe.
    pub txn: Txn,
}

/// `login`: this connection signed in with a password.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// The name, in any case.
    pub user: String,
    /// The password.
    pub pass: String,
    /// What the person calls this device.
    pub device: String,
}

/// Answer to `register` and `login`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SignedInOk {
    /// The name as registered.
    pub user: String,
    /// What `resume` takes: 64 hex digits, known to nobody but this device.
    pub token: String,
    /// Events after this place follow.
    pub cur: Cursor,
    /// A repeat of a registration that had succeeded.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dup: bool,
}

/// `resume`: this connection signed in with a token.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Resume {
    /// The token of an earlier `register` or `login`.
    pub token: String,
    /// The place up to which the client has seen events; without it they start from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cur: Option<Cursor>,
}

/// Answer to `resume`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResumeOk {
    /// The name as registered.
    pub user: String,
    /// Where the events that follow start from.
    pub cur: Cursor,
}

/// Answer to `sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionsOk {
    /// Every session of the account, oldest first.
    pub sessions: Vec<SessionView>,
}

/// One signed-in device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionView {
    /// What `revoke` takes.
    pub session: SessionId,
    /// What the person calls the device.
    pub device: String,
    /// When it signed in, milliseconds since the Unix epoch.
    pub created: u64,
    /// Whether it is the session of the asking connection.
    pub this: bool,
}

/// `revoke`: ends one session, or all others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revoke {
    /// A session's id, or `"others"`.
    pub session: RevokeTarget,
}

/// Which sessions `revoke` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeTarget {
    /// That one.
    Session(SessionId),
    /// All but the asking one.
    Others,
}

impl Serialize for RevokeTarget {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RevokeTarget::Session(session) => session.serialize(serializer),
            RevokeTarget::Others => serializer.serialize_str("others"),
        }
    }
}

impl<'de> Deserialize<'de> for RevokeTarget {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match text.as_ref() {
            "others" => Ok(RevokeTarget::Others),
            id => id.parse().map(RevokeTarget::Session).map_err(|_| {
                serde::de::Error::custom("expected a session id of 32 hex digits, or \"others\"")
            }),
        }
    }
}

/// `passwd`: a new password; all other sessions end.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Passwd {
    /// The present password.
    pub old: String,
    /// The new one.
    pub new: String,
}

/// `delete_account`: the account and everything it wrote.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct DeleteAccount {
    /// The password.
    pub pass: String,
    /// Makes a repeat safe.
    pub txn: Txn,
}

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

pub(super) fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Bodies with a password or a token in them print without it, so that no log can hold one.
macro_rules! debug_without_secrets {
    ($($name:ident),*) => { $(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), " { .. }"))
            }
        }
    )* };
}
debug_without_secrets!(Register, Login, SignedInOk, Resume, Passwd, DeleteAccount);
