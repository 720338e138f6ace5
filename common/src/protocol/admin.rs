//! The operations of the administration socket: the same lines as `chat/1`, over a socket file in
//! the server's own folder (mode 0600). Whoever can open that file may do all of this; nobody else
//! can.

use serde::{Deserialize, Serialize};

use super::operations::operations;
use super::{Empty, Users, UsersOk};
use crate::ids::ServerId;

operations! {
    /// What the terminal client may ask on the administration socket.
    requests AdminRequest;
    /// What the server answers there.
    replies AdminReply;
    "admin_users" Users Users -> UsersOk;
    "admin_register" Register AdminPassword -> Empty;
    "admin_reset_password" ResetPassword AdminPassword -> Empty;
    "admin_delete_user" DeleteUser AdminUser -> Empty;
    "admin_verify" Verify Empty -> VerifyOk;
    "admin_backup" Backup Backup -> BackupOk;
}

/// `admin_register` (also when registration is closed) and `admin_reset_password` (all its sessions
/// end).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminPassword {
    /// The account's name.
    pub user: String,
    /// Its password from now on.
    pub pass: String,
}

impl std::fmt::Debug for AdminPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AdminPassword {{ user: {:?}, .. }}", self.user)
    }
}

/// `admin_delete_user`: as if the person had deleted the account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdminUser {
    /// The account's name.
    pub user: String,
}

/// Answer to `admin_verify`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyOk {
    /// The index of the log at which every server hashed every row.
    pub index: u64,
    /// How many rows there were on the server that was asked.
    pub rows: u64,
    /// SHA-256 over all of them, hex.
    pub hash: String,
    /// Whether every server of the cluster was compared, and all are equal.
    pub equal: bool,
    /// Each server of the cluster, by its number.
    pub servers: Vec<Verified>,
}

/// What one server found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Which.
    pub server: ServerId,
    /// How it compares.
    pub state: VerifiedState,
    /// How many rows it has at that index, if it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Their hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// How a server compares to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerifiedState {
    /// It has what most have, or what the primary has where there is no majority.
    Equal,
    /// It has something else: it sets its store aside and joins again.
    Differs,
    /// It is down, silent, or was not up to date at that index: nothing is known.
    Unreachable,
}

/// `admin_backup`: a consistent copy of everything, made while serving.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Absolute path of a file that does not exist yet; the server writes it, mode 0600.
    pub path: String,
}

/// Answer to `admin_backup`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupOk {
    /// The index of the log that the copy stands at.
    pub index: u64,
    /// How many rows it holds.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
}
