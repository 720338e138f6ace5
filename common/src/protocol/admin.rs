//! The operations of the administration socket: the same lines as `chat/1`, over a socket file in
//! the server's own folder (mode 0600). Whoever can open that file may do all of this; nobody else
//! can.

use serde::{Deserialize, Serialize};

use super::operations::operations;
use super::{Empty, Users, UsersOk};

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
    /// The index of the log at which every row was hashed.
    pub index: u64,
    /// How many rows there were.
    pub rows: u64,
    /// SHA-256 over all of them, hex: equal on every server at the same index.
    pub hash: String,
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
