//! What the server says without being asked, and the shapes that replies and events share.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::accounts::is_false;
use super::{ErrorReply, Scope};
use crate::ids::{ConversationId, Cursor, Seq, ServerId, Txn};

/// The cluster as one server sees it: the answer to `status`, part of `hello`, and the `cluster`
/// event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The answering server's number.
    pub server: ServerId,
    /// What it is just now.
    pub role: Role,
    /// The primary's number, when one is known.
    pub primary: Option<ServerId>,
    /// The ballot, for display.
    pub ballot: String,
    /// How many servers hold each new write.
    pub in_sync: u32,
    /// How many servers the cluster has.
    pub of: u32,
    /// Whether a write would be taken now.
    pub writable: bool,
    /// When not writable: who is waited for, and what helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// Every server of the cluster.
    pub servers: Vec<ServerStatus>,
    /// Operations that the answering server had acknowledged and the cluster does not have: they
    /// are in its files `diverged-*.jsonl`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub diverged: u64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It takes the writes.
    Primary,
    /// It holds what the primary holds.
    Backup,
    /// It is catching up and counts for nothing yet.
    Joining,
}

/// One server of the cluster, as the answering one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Its number.
    pub server: ServerId,
    /// Its client address.
    pub addr: String,
    /// What is known of it.
    pub state: ServerState,
    /// How many entries it lacks, where that is known.
    pub lag: Option<u64>,
}

/// What one server knows of another; [`ServerState::words`] says it to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It takes the writes.
    Primary,
    /// It holds every acknowledged write.
    InSync,
    /// It is receiving what it lacks.
    CatchingUp,
    /// Proven dead.
    Down,
    /// It does not answer, which proves nothing.
    Silent,
    /// Not known.
    Unknown,
}

impl ServerState {
    /// As people read it, in every client alike.
    pub const fn words(self) -> &'static str {
        match self {
            ServerState::Primary => "primary",
            ServerState::InSync => "in sync",
            ServerState::CatchingUp => "catching up",
            ServerState::Down => "down",
            ServerState::Silent => "silent",
            ServerState::Unknown => "unknown",
        }
    }
}

/// A message, as `history` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageView {
    /// Its number in the conversation.
    pub seq: Seq,
    /// Its author; null when that account is gone.
    pub from: Option<String>,
    /// Its text; empty when deleted.
    pub text: String,
    /// When the primary took it, milliseconds since the Unix epoch.
    pub ts: u64,
    /// When it was last edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<u64>,
    /// A tombstone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
}

/// What happened to an account: each is sent to every signed-in connection of it, with a cursor,
/// and sent again in order to a connection that resumes from before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", content = "d", rename_all = "snake_case")]
pub enum Durable {
    /// A message, the author's own included.
    Msg(MsgEvent),
    /// Somebody in the conversation has read up to a number.
    Read(MarkEvent),
    /// A device of somebody in the conversation has received up to a number.
    Delivered(MarkEvent),
    /// A message has another text.
    Edited(EditedEvent),
    /// A message is now a tombstone.
    Deleted(DeletedEvent),
    /// The other account of this conversation was deleted, with all that it wrote.
    Gone(GoneEvent),
}

/// `msg`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MsgEvent {
    /// Which conversation.
    pub conv: ConversationId,
    /// The message's number there.
    pub seq: Seq,
    /// Its author; null when that account is gone.
    pub from: Option<String>,
    /// Its text; empty if it was deleted meanwhile.
    pub text: String,
    /// When the primary took it, milliseconds since the Unix epoch.
    pub ts: u64,
    /// The other member; null when that account is gone.
    pub with: Option<String>,
    /// To the author's own devices: the txn it was sent with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<Txn>,
    /// Deleted since it was sent.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
}

/// `read` and `delivered`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkEvent {
    /// Which conversation.
    pub conv: ConversationId,
    /// Whose mark; null when that account is gone.
    pub user: Option<String>,
    /// Every message up to this number.
    pub upto: Seq,
}

/// `edited`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditedEvent {
    /// Which conversation.
    pub conv: ConversationId,
    /// Which message.
    pub seq: Seq,
    /// Its text now (empty if it was deleted meanwhile).
    pub text: String,
    /// When it was edited, milliseconds since the Unix epoch.
    pub ts: u64,
}

/// `deleted`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletedEvent {
    /// Which conversation.
    pub conv: ConversationId,
    /// Which message.
    pub seq: Seq,
    /// For whom.
    #[serde(rename = "for")]
    pub scope: Scope,
}

/// `gone`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneEvent {
    /// Which conversation.
    pub conv: ConversationId,
}

/// What concerns only the moment: no cursor, dropped first under pressure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ev", content = "d", rename_all = "snake_case")]
pub enum Ephemeral {
    /// A role, a state or the number of servers in sync has changed.
    Cluster(Status),
    /// The server closes this connection.
    Bye(ByeEvent),
}

/// `bye`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByeEvent {
    /// Why.
    pub reason: ByeReason,
    /// The client address of a server that goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<String>,
}

/// Why a server closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ByeReason {
    /// The server is stopping.
    Stopping,
    /// Nothing came for too long, or no `hello`, or no sign-in.
    Idle,
    /// The client does not read its events fast enough; it resumes by cursor and misses nothing.
    Slow,
    /// The session was ended.
    Revoked,
    /// The account was deleted.
    Deleted,
}

/// One line from a server, as a client reads it.
#[derive(Debug, Clone)]
pub enum ServerLine {
    /// The answer to request `id`; `None` before the connection is closed for a broken line.
    Reply {
        /// The request's id.
        id: Option<u64>,
        /// The `ok`, still to be read by `Reply::parse` as the answer to what was asked, or the
        /// error.
        outcome: Result<Box<RawValue>, ErrorReply>,
    },
    /// A durable event and the cursor behind it.
    Durable(Durable, Cursor),
    /// An ephemeral event.
    Ephemeral(Ephemeral),
    /// An event that this code does not know: ignored.
    UnknownEvent,
}
