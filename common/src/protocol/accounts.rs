//! What is asked and answered about connections, accounts and sessions.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::ids::{Cursor, SessionId, Txn};

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
    /// The cluster's id, hex: what a client keeps belongs to one cluster. Empty from a server that
    /// does not know it yet: nobody can sign in there, and it hangs up once it does.
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
