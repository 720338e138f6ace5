//! The client as a pure machine, and its vocabulary: what a person wants ([`Command`]), what
//! happened ([`Update`]), what comes in from the world ([`Input`]) and what is to be done in it
//! ([`Effect`]).
//!
//! Owns: nothing but these words. Driven by: every client: the terminal, the window, the load
//! generator and the simulator. `engine` turns commands and lines into effects and updates, `model`
//! turns updates into what a person sees; `driver` and `cache` are the rim around them.
//!
//! The contract of the doors: feed a turn's inputs by `handle`, then drain `next_effect` to the
//! end, and execute strictly in order. `Store` returns only when it is durable, and that is what
//! puts the outbox before the wire: its `Send` stands behind it. `Load` is answered by
//! [`Input::Loaded`] before any other input is handed in. Then wait until `deadline` at most, and
//! hand in [`Input::Timer`].
//!
//! Does not: read a clock, open a socket or a file, draw a random number but from the seed it was
//! given.

pub mod cache;
pub mod driver;
pub mod engine;
mod memory;
pub mod model;
mod stored;

use std::time::Instant;

use crate::config::Secret;
use crate::ids::{ConversationId, Seq, ServerId, Txn};
use crate::protocol::{
    Conversations, ErrorReply, History, Reply, RevokeTarget, Scope, SendOk, Status, Target, Users,
};
pub use engine::Engine;
pub use memory::MemoryStore;
pub use model::Model;
pub use stored::*;

/// The moment of a turn: the monotonic clock for durations, the wall clock for labels and for
/// noticing that the machine slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Never goes back.
    pub instant: Instant,
    /// Milliseconds since the Unix epoch; may jump.
    pub wall_ms: u64,
}

/// What an engine is told at its construction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The program and its version, for `hello`: `holdfast/0.1`.
    pub client: String,
    /// What the person calls this device.
    pub device: String,
    /// The addresses that the person or `.env` named, `host:port`. Others are learned from the
    /// servers.
    pub servers: Vec<String>,
    /// Whether a first contact that shows a cluster's own identity is pinned without asking (the
    /// load generator, tests). People are asked.
    pub trusts_first_use: bool,
}

/// A connection, numbered by the engine that dials it and never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// A command's number, chosen by whoever gives it; its [`Update::Answer`] carries it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub u64);

/// What comes in from the world.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A person wants something.
    Command(CommandId, Command),
    /// A connection stands, its handshake included.
    Opened {
        /// Which one.
        connection: ConnectionId,
        /// What the server has shown.
        identity: Identity,
    },
    /// A line came, without its newline.
    Line {
        /// On which connection.
        connection: ConnectionId,
        /// The line.
        line: Vec<u8>,
    },
    /// A connection is no more, or never came to be. None follows an [`Effect::Close`].
    Closed {
        /// Which one.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
    /// What [`Effect::Load`] asked for.
    Loaded(Loaded),
    /// The deadline has come (one too early does no harm).
    Timer,
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// It could not be opened, or broke; the sentence is for people and logs.
    Failed(String),
    /// The server closed it.
    Ended,
    /// The server showed another identity than the pinned one: a full stop.
    IdentityChanged {
        /// What it showed.
        presented: Identity,
    },
}

/// What is to be done in the world, strictly in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Open a connection; answered by `Opened` or `Closed`.
    Dial {
        /// Its number.
        connection: ConnectionId,
        /// Where to, `host:port`.
        address: String,
        /// What it must show; nothing at a first contact.
        pinned: Option<Identity>,
    },
    /// Send a line, newline included.
    Send {
        /// On which connection.
        connection: ConnectionId,
        /// The line.
        line: Vec<u8>,
    },
    /// Close a connection, after what was sent on it has been flushed as far as it goes at once.
    Close {
        /// Which one.
        connection: ConnectionId,
    },
    /// One transaction; the next effect waits until it is durable.
    Store(Vec<Write>),
    /// Read from what is stored; the answer is the next input.
    Load(Load),
    /// Tell whoever draws.
    Update(Update),
}

/// What a person wants. Each command is answered by one [`Update::Answer`].
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Use the token that is stored.
    Resume,
    /// Sign in with a password.
    Login {
        /// The name, in any case.
        user: String,
        /// The password.
        pass: Secret,
    },
    /// Create an account and sign in to it.
    Register {
        /// The name.
        user: String,
        /// The password.
        pass: Secret,
    },
    /// Stop trying to sign in.
    CancelSignIn,
    /// End this session; drafts and outbox stay here.
    SignOut,
    /// Change the password; all other sessions end.
    Passwd {
        /// The present one.
        old: Secret,
        /// The new one.
        new: Secret,
    },
    /// End one session, or all others.
    Revoke(RevokeTarget),
    /// End the account with everything it wrote, and drop what is stored of it here.
    DeleteAccount {
        /// The password.
        pass: Secret,
    },
    /// Write a message. Answered when a server has stored or refused it, however long that takes.
    Send {
        /// Where to.
        to: Target,
        /// The text.
        text: String,
    },
    /// Give an own message another text. Answered like `Send`.
    Edit {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// Its new text.
        text: String,
    },
    /// Delete a message. Answered like `Send`.
    Delete {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// For whom.
        scope: Scope,
    },
    /// Try a refused or stale outbox item again (a refused one with a new txn).
    Retry(Txn),
    /// Drop an outbox item that was refused, is stale, or never was on the wire.
    Discard(Txn),
    /// The person has seen everything up to this number.
    MarkRead {
        /// Which conversation.
        conv: ConversationId,
        /// Every message up to this number.
        upto: Seq,
    },
    /// Show a conversation: its newest messages come as [`Update::Opened`], from the store at once
    /// and from a server where the store has less.
    Open(ConversationId),
    /// Load older messages of a conversation: they come as [`Update::Older`].
    LoadOlder {
        /// Which conversation.
        conv: ConversationId,
        /// Those below this number.
        before: Seq,
    },
    /// Ask the server something that changes nothing; answered with its reply.
    Ask(Question),
    /// Keep typed text; empty drops it.
    SaveDraft {
        /// Where it was typed.
        to: Target,
        /// The text.
        text: String,
    },
    /// Keep something of the screens' over a restart; empty drops it.
    KeepInterface {
        /// Its key.
        key: String,
        /// Its value.
        value: String,
    },
    /// Do not wait for the next try: dial now.
    TryNow,
    /// This is the cluster that the person means: pin what it shows.
    AcceptIdentity(Identity),
    /// It is not.
    RejectIdentity,
}

/// A question to the server.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// Who is there.
    Users(Users),
    /// A page of conversations.
    Conversations(Conversations),
    /// A page of a conversation.
    History(History),
    /// The account's sessions.
    Sessions,
    /// How the cluster is. Needs no sign-in.
    Status,
}

/// What happened. Those who draw feed each to `Model::apply`; a terminal program may look at them
/// itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// The connection's state has changed.
    Connection(ConnectionState),
    /// The session's state has changed.
    Session(SessionState),
    /// The cluster, as the connected server sees it.
    Cluster(Status),
    /// All conversations and messages known so far are void; drafts and outbox are not.
    CacheDropped,
    /// A conversation is new or has changed: activity, marks, unread.
    Conversation(ConversationRecord),
    /// Every conversation has been told.
    Listed,
    /// A conversation's newest messages, as a page without holes that ends at its end.
    Opened {
        /// Which conversation.
        conv: ConversationId,
        /// Ascending, dense.
        messages: Vec<MessageRecord>,
        /// Whether a server is being asked for more; then [`Update::Older`] follows.
        loading: bool,
    },
    /// Older messages, directly below what was told before.
    Older {
        /// Which conversation.
        conv: ConversationId,
        /// Those below this number.
        before: Seq,
        /// Ascending, dense; empty when nothing could be had now.
        messages: Vec<MessageRecord>,
        /// Whether a server is being asked for more.
        loading: bool,
    },
    /// A message is new, or was not known: by an event, or in a gap that was repaired.
    Message(ConversationId, MessageRecord),
    /// A message has another text.
    Edited {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// Its text now.
        text: String,
        /// When it was edited, milliseconds since the Unix epoch.
        ts: u64,
    },
    /// A message is now a tombstone.
    Deleted(ConversationId, Seq),
    /// The other account is gone, and so is everything that it wrote.
    PeerGone(ConversationId),
    /// An acknowledgement said on how many servers an own message is stored.
    Copies {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// On how many.
        copies: u32,
        /// Of how many.
        of: u32,
    },
    /// An outbox item is new or has another state.
    Outbox(OutboxItem),
    /// An outbox item is done: answered, seen as an event, or discarded.
    OutboxRemoved(Txn),
    /// Typed text is kept; empty: dropped.
    Draft(Target, String),
    /// Something of the screens' is kept; empty: dropped.
    Interface(String, String),
    /// What came of a command.
    Answer(CommandId, Result<Answer, Failure>),
}

/// The connection: exactly one state at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nobody is signed in and nothing is to be asked: no server is dialled.
    Idle,
    /// The first dial, nobody has answered yet.
    Connecting,
    /// A server answers.
    Connected {
        /// Its number.
        server: ServerId,
        /// Its address.
        address: String,
        /// The server that was used before, if it is another one and this switch is news.
        instead_of: Option<ServerId>,
    },
    /// The connection was lost a moment ago; all servers are being dialled.
    Switching {
        /// The server that stopped answering.
        from: ServerId,
        /// Since when, wall clock milliseconds.
        since_ms: u64,
    },
    /// A whole round of dialling brought nothing.
    NotConnected {
        /// Since when, wall clock milliseconds.
        since_ms: u64,
        /// When the next try is due, wall clock milliseconds; nothing while it is under way.
        next_try_ms: Option<u64>,
        /// Which servers were tried, and what came of it.
        tried: Vec<Tried>,
    },
    /// First contact: a person must say whether this is the cluster meant.
    Unconfirmed {
        /// Who answered.
        address: String,
        /// What it showed.
        identity: Identity,
    },
    /// Full stop: a known server shows another identity. Nothing is dialled until a person decides.
    IdentityChanged {
        /// Which one.
        address: String,
        /// What it must show.
        pinned: Identity,
        /// What it showed.
        presented: Identity,
    },
}

/// A server that was tried without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its address.
    pub address: String,
    /// What came of it, in a sentence.
    pub reason: String,
}

/// The session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionState {
    /// Nobody is signed in.
    SignedOut(SignedOut),
    /// A sign-in is under way.
    SigningIn {
        /// As whom.
        user: String,
    },
    /// Signed in: cached chats are shown, whether a server answers or not.
    SignedIn {
        /// The name as registered.
        user: String,
        /// The cluster's id, hex.
        cluster: String,
    },
}

/// Why nobody is signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedOut {
    /// Nobody was, or the person signed out.
    ByPerson,
    /// The session was ended elsewhere, or is unknown; drafts and outbox are kept.
    Ended,
    /// The account was deleted.
    AccountDeleted,
}

/// What came of a command that succeeded.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Done.
    Done,
    /// Signed in, under this name as registered.
    SignedIn(String),
    /// The message is stored. Copies and number may be unknown (0) when only the event told of it.
    Sent(SendOk),
    /// The server's reply to a question.
    Reply(Reply),
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// A server refused it: `code` tells the reasons apart (wrong credentials, name taken, too many
    /// attempts with `after_ms`, …), `text` is for people.
    Refused(ErrorReply),
    /// No server answers; these were tried.
    NoServer(Vec<Tried>),
    /// A known server shows another identity.
    IdentityChanged,
    /// The person rejected the identity that was shown.
    IdentityRejected,
    /// Nobody is signed in, or no longer.
    NotSignedIn,
    /// Somebody is signed in already.
    AlreadySignedIn,
    /// The person cancelled it, or discarded the item.
    Cancelled,
    /// There is no such outbox item, or it is in no state for that.
    NoSuchItem,
}
