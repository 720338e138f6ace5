//! What a client keeps on its own disk, as plain records.
//!
//! Owns: the shape of what is stored ([`Stored`]), of each change to it ([`Write`]) and of what is
//! read back while running ([`Load`], [`Loaded`]). Driven by: the engine (it decides what is
//! written) and the cache (it writes and reads). Invariants: a list of [`Write`]s is one
//! transaction; what an account keeps belongs to one cluster and is never shown to another. Does
//! not: hold a password, ever.
//!
//! There are two places. *Home* is the machine's: the clusters ever met, with their identities and
//! servers, and who signed in last. An *account's place* is one for each (cluster, account). Writes
//! for an account go to the place that was loaded last; each variant below says which it belongs
//! to.

use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::ids::{ConversationId, Cursor, Seq, Txn};
use crate::protocol::{ErrorReply, MessageView, Scope, Target};

/// How a server has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Identity {
    /// By a chain of the cluster's own authority, whose key has this SHA-256.
    Cluster([u8; 32]),
    /// By an ordinary certificate, valid by the web's rules.
    Ordinary,
    /// Not at all: the connection is not encrypted. Never pinned.
    Plain,
}

/// A cluster that was met (home).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterRecord {
    /// Its id, hex.
    pub cluster: String,
    /// What it must show again; nothing as long as it was met without encryption only.
    pub identity: Option<Identity>,
    /// The addresses of its servers, as last heard and as they were dialled.
    pub servers: Vec<String>,
}

/// Far more than the servers of a cluster and the names that people dial them by: a server that
/// names ever more must not fill memory and disk.
pub(super) const ADDRESSES_MAX: usize = 32;

impl ClusterRecord {
    /// Adds the addresses that are new, as long as there is room; whether there was any.
    pub fn learn<'a>(&mut self, addresses: impl IntoIterator<Item = &'a String>) -> bool {
        let before = self.servers.len();
        for address in addresses {
            if self.servers.len() < ADDRESSES_MAX && !self.servers.contains(address) {
                self.servers.push(address.clone());
            }
        }
        self.servers.len() > before
    }
}

/// Names an account's place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountKey {
    /// The cluster's id, hex.
    pub cluster: String,
    /// The account's name, folded.
    pub user: String,
}

/// A registration that has been tried and not been answered (home): a repeat uses the same txn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationRecord {
    /// Where and as whom.
    pub account: AccountKey,
    /// Stored before the first try.
    pub txn: Txn,
}

/// All that home holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Home {
    /// Every cluster that was met.
    pub clusters: Vec<ClusterRecord>,
    /// Who signed in last and has not signed out.
    pub last: Option<AccountKey>,
    /// A registration without an answer.
    pub registration: Option<RegistrationRecord>,
}

/// All that an account's place holds, messages excepted: those are read by [`Load::Messages`].
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Which place this is.
    pub key: AccountKey,
    /// The name as registered; empty in a new place.
    pub user: String,
    /// Signs in without the password; nothing when signed out.
    pub token: Option<Secret>,
    /// Up to where events are in this place.
    pub cursor: Option<Cursor>,
    /// The txn of a deletion of the account that was tried and not answered.
    pub deletion: Option<Txn>,
    /// Every conversation, in any order.
    pub conversations: Vec<ConversationRecord>,
    /// What waits to be sent, in the order in which it was written.
    pub outbox: Vec<OutboxItem>,
    /// Typed text that was not sent.
    pub drafts: Vec<(Target, String)>,
    /// What the screens keep for themselves (scroll positions, the open chat, the window's place).
    pub interface: Vec<(String, String)>,
}

impl Account {
    /// The place of an account that never signed in here.
    pub fn new(key: AccountKey) -> Account {
        Account {
            key,
            user: String::new(),
            token: None,
            cursor: None,
            deletion: None,
            conversations: Vec::new(),
            outbox: Vec::new(),
            drafts: Vec::new(),
            interface: Vec::new(),
        }
    }
}

/// Everything that is loaded at the start of a client.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Stored {
    /// What the machine keeps.
    pub home: Home,
    /// The place of `home.last`.
    pub account: Option<Account>,
}

/// A conversation as this device knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversationRecord {
    /// Its id.
    pub conv: ConversationId,
    /// The other's name; nothing when that account is gone.
    pub with: Option<String>,
    /// The newest message's number; 0 in an empty one.
    pub last_seq: Seq,
    /// The newest message, its text cut; nothing in an empty one.
    pub last: Option<MessageRecord>,
    /// Up to where the person has read, here or on another device.
    pub read: Seq,
    /// Up to where the server knows that.
    pub read_told: Seq,
    /// Up to where this device has told the server that it has received.
    pub delivered_told: Seq,
    /// Up to where the other has read.
    pub peer_read: Seq,
    /// Up to where a device of the other has received.
    pub peer_delivered: Seq,
    /// What of it is unread.
    pub unread: Unread,
}

/// Which messages of others above `read` are not deleted: the server's count up to a number, and
/// every one above it by its number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unread {
    /// Up to where the server has counted.
    pub counted_upto: Seq,
    /// What it counted.
    pub counted: u64,
    /// The unread ones above `counted_upto`, ascending.
    pub above: Vec<Seq>,
    /// `counted` is an upper bound: only the server can say, and is asked.
    pub is_unsure: bool,
}

impl Unread {
    /// How many there are.
    pub fn total(&self) -> u64 {
        self.counted + self.above.len() as u64
    }
}

/// One message as this device knows it (its key is (`conv`, `seq`)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageRecord {
    /// What the server shows of it.
    pub view: MessageView,
    /// Whether this account wrote it.
    pub own: bool,
    /// What the acknowledgement said of its copies; 0 where this device saw none.
    pub copies: u32,
    /// Of how many servers; 0 where this device saw no acknowledgement.
    pub of: u32,
}

/// Something that was asked for and is not answered: kept until it is, over any restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxItem {
    /// The item's key; sent with every try.
    pub txn: Txn,
    /// Places items in the order in which they were made, in each outbox from 1.
    pub number: u64,
    /// When the person asked for it, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// What it asks.
    pub work: Work,
    /// How far it is.
    pub state: OutboxState,
}

/// What an outbox item asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// A message.
    Send {
        /// Where to; a name only until the conversation is known.
        to: Target,
        /// Its text.
        text: String,
    },
    /// Another text for an own message.
    Edit {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// Its new text.
        text: String,
    },
    /// A deletion.
    Delete {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// For whom.
        scope: Scope,
    },
}

/// How far an outbox item is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutboxState {
    /// Not on the wire.
    Waiting,
    /// On the wire once or more, without an answer.
    Sent {
        /// When it was first tried, milliseconds since the Unix epoch.
        since_ms: u64,
    },
    /// Refused, and why; the person retries or discards it.
    Refused(ErrorReply),
    /// Without an answer for 29 days: repeated only when the person says so, because the servers
    /// forget answers after 30.
    Stale,
}

/// One change to what is stored.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Home: a cluster, by its id.
    Cluster(ClusterRecord),
    /// Home: who is signed in.
    Last(Option<AccountKey>),
    /// Home: a registration under way.
    Registration(Option<RegistrationRecord>),
    /// Account: the name as registered.
    User(String),
    /// Account: the token.
    Token(Option<Secret>),
    /// Account: up to where events are stored; in the same transaction as what the events changed.
    Cursor(Option<Cursor>),
    /// Account: a deletion under way.
    Deletion(Option<Txn>),
    /// Account: an outbox item, by its txn.
    Outbox(OutboxItem),
    /// Account: this item is done with.
    OutboxRemoved(Txn),
    /// Account: typed text; empty removes it.
    Draft(Target, String),
    /// Account: something of the screens', by its key; empty removes it.
    Interface(String, String),
    /// Account: a conversation, by its id.
    Conversation(ConversationRecord),
    /// Account: a message, by (conversation, number).
    Message(ConversationId, MessageRecord),
    /// Account: what an acknowledgement said of a message, if it is here.
    Copies {
        /// Which conversation.
        conv: ConversationId,
        /// Which message.
        seq: Seq,
        /// On how many servers it is.
        copies: u32,
        /// Of how many.
        of: u32,
    },
    /// Account: another text, if that message is here and no tombstone.
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
    /// Account: that message, if it is here, becomes a tombstone: no text, `deleted`.
    Deleted(ConversationId, Seq),
    /// Account: the other is gone: every message here that is not `own` becomes a tombstone from
    /// nobody.
    PeerGone(ConversationId),
    /// Account: all conversations, messages and the cursor are dropped; drafts and outbox stay.
    CacheDropped,
    /// Account: everything is dropped, the place itself too: the account is gone.
    AccountDropped,
}

/// What is read while running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// An account's place, made when it is not there. Later writes go to it.
    Account(AccountKey),
    /// The newest stored messages of a conversation.
    Messages {
        /// Which conversation.
        conv: ConversationId,
        /// Only those below this number.
        before: Option<Seq>,
        /// How many at most.
        limit: usize,
    },
}

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub enum Loaded {
    /// The account's place.
    Account(Box<Account>),
    /// Messages.
    Messages {
        /// Which conversation.
        conv: ConversationId,
        /// What was asked.
        before: Option<Seq>,
        /// Ascending by number; there may be holes.
        messages: Vec<MessageRecord>,
    },
}
