//! Requests on the administration socket. Whoever can open that file is the administrator.
//!
//! Owns: the steps of these requests, and how many long ones are under way. Driven by: `requests`
//! (a line), then by the answers of the jobs that it asks for. Invariants: each thing done here is
//! written to the audit log; what takes long goes to the maintenance thread, one at a time, and
//! only so many wait for it. Does not: ask for a password, nor use the limits of accounts.

use std::mem::discriminant;

use holdfast_common::ids::Txn;
use holdfast_common::protocol::{
    AdminReply, AdminRequest, BackupOk, ErrorCode, ErrorReply, Reply, RequestFrame, check_name,
    check_password, encode_done,
};
use zeroize::Zeroizing;

use super::effect::ClientId;
use super::requests::busy;
use super::writes::{Then, Waiting};
use super::{Node, Task};
use crate::chat::operation::{Operation, Outcome};
use crate::chat::query::{Account, Answer, Query, Registration};
use crate::work::{BackedUp, Entropy, HashJob, Job, MaintenanceJob, Ticket};

/// Copies of everything that may be under way; beyond, such a request is refused with `busy`: each
/// takes as long as the store is large.
const MAINTENANCE_MAX: usize = 4;

/// An administrator's change whose entry is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminChange {
    /// The account is made, has another password, or is gone.
    Account,
    /// The marker behind which every server hashes its rows.
    Verify,
}

/// An administrator's request under way.
pub(super) struct AdminTask {
    client: ClientId,
    id: u64,
    step: AdminStep,
}

/// What its next answer is for.
enum AdminStep {
    /// The answer is the reply.
    Users,
    /// Whether the name is free.
    RegisterLookup { name: String, password: Zeroizing<String> },
    /// The new account's hash.
    RegisterHash { name: String },
    /// The account whose password is set.
    ResetLookup { password: Zeroizing<String> },
    /// Its new hash.
    ResetHash { account: Account },
    /// The account that is deleted.
    DeleteLookup,
    /// The copy is being written.
    Backup,
}

impl Node {
    pub(super) fn admin_request(&mut self, client: ClientId, frame: &RequestFrame) {
        let id = frame.id;
        let request = frame.operation().and_then(|(op, d)| AdminRequest::parse(op, d));
        let request = match request {
            Ok(request) => request,
            Err(error) => return self.refuse(client, id, error),
        };
        if !self.is_whole() {
            return self.refuse(client, id, busy());
        }
        log::info!(target: "audit", "administration op={}", request.name());
        match request {
            AdminRequest::Users(users) => {
                self.admin_ask(client, id, AdminStep::Users, Query::Users(users));
            }
            AdminRequest::Register(account) => {
                let checked = check_name(&account.user)
                    .and_then(|()| check_password(&account.user, &account.pass));
                if let Err(broken) = checked {
                    return self.refuse(client, id, broken);
                }
                // The administrator's registrations are never repeated under a txn.
                let query = Query::Registration { name: account.user.clone(), txn: Txn([0; 16]) };
                let password = Zeroizing::new(account.pass);
                let step = AdminStep::RegisterLookup { name: account.user, password };
                self.admin_ask(client, id, step, query);
            }
            AdminRequest::ResetPassword(account) => {
                if let Err(broken) = check_password(&account.user, &account.pass) {
                    return self.refuse(client, id, broken);
                }
                let password = Zeroizing::new(account.pass);
                let step = AdminStep::ResetLookup { password };
                self.admin_ask(client, id, step, Query::AccountByName(account.user));
            }
            AdminRequest::DeleteUser(account) => {
                let query = Query::AccountByName(account.user);
                self.admin_ask(client, id, AdminStep::DeleteLookup, query);
            }
            AdminRequest::Verify(_) => {
                let then = Then::Admin(AdminChange::Verify);
                self.propose(Operation::Verify, Waiting { client, id, then });
            }
            AdminRequest::Backup(backup) => {
                if !std::path::Path::new(&backup.path).is_absolute() {
                    let text = "field `path`: expected an absolute path";
                    let error = ErrorReply::with_text(ErrorCode::BadRequest, text);
                    return self.refuse(client, id, error);
                }
                self.maintain(client, id, AdminStep::Backup, |ticket| {
                    MaintenanceJob::Backup(ticket, backup.path.into())
                });
            }
        }
    }

    fn maintain(
        &mut self,
        client: ClientId,
        id: u64,
        step: AdminStep,
        job: impl FnOnce(Ticket) -> MaintenanceJob,
    ) {
        if self.maintaining >= MAINTENANCE_MAX {
            return self.refuse(client, id, busy());
        }
        self.maintaining += 1;
        let ticket = self.ticket(Task::Admin(AdminTask { client, id, step }));
        self.run(Job::Maintenance(job(ticket)));
    }

    /// The request that a maintenance job was for.
    fn maintained(&mut self, ticket: Ticket) -> AdminTask {
        self.maintaining -= 1;
        let task = self.tasks.remove(&ticket).expect("each ticket is answered once");
        let Task::Admin(task) = task else {
            unreachable!("{:?} maintains nothing", discriminant(&task))
        };
        task
    }

    fn admin_ask(&mut self, client: ClientId, id: u64, step: AdminStep, query: Query) {
        self.ask_fresh(Task::Admin(AdminTask { client, id, step }), query);
    }

    /// What it rests on cannot be looked up.
    pub(super) fn admin_refused(&mut self, task: &AdminTask, error: ErrorReply) {
        self.refuse(task.client, task.id, error);
    }

    fn admin_hash(
        &mut self,
        client: ClientId,
        id: u64,
        step: AdminStep,
        password: Zeroizing<String>,
    ) {
        let ticket = self.ticket(Task::Admin(AdminTask { client, id, step }));
        if self.hash(client, String::new(), HashJob::Hash(ticket, password)).is_err() {
            self.tasks.remove(&ticket);
            self.refuse(client, id, busy());
        }
    }

    pub(super) fn admin_answered(&mut self, task: AdminTask, answer: Answer) {
        let AdminTask { client, id, step } = task;
        match (step, answer) {
            (AdminStep::Users, Answer::Reply(Reply::Users(users))) => {
                self.answer(client, id, AdminReply::Users(users).encode(id));
            }
            (
                AdminStep::RegisterLookup { name, password },
                Answer::Registration(Registration::Free),
            ) => {
                self.admin_hash(client, id, AdminStep::RegisterHash { name }, password);
            }
            (AdminStep::RegisterLookup { .. }, Answer::Registration(_)) => {
                self.refuse(client, id, ErrorCode::UserExists);
            }
            (AdminStep::ResetLookup { password }, Answer::Account(Some(account))) => {
                self.admin_hash(client, id, AdminStep::ResetHash { account }, password);
            }
            (AdminStep::DeleteLookup, Answer::Account(Some(account))) => {
                log::info!(target: "audit", "administration deletes user={}", account.name);
                let operation = Operation::AdminDeleteUser { user: account.user };
                let then = Then::Admin(AdminChange::Account);
                self.propose(operation, Waiting { client, id, then });
            }
            (_, Answer::Account(None)) => self.refuse(client, id, ErrorCode::NoSuchUser),
            (step, answer) => unreachable!(
                "{:?} is no answer to {:?}",
                discriminant(&answer),
                discriminant(&step)
            ),
        }
    }

    pub(super) fn admin_hashed(
        &mut self,
        task: AdminTask,
        password_hash: String,
        entropy: &Entropy,
    ) {
        let AdminTask { client, id, step } = task;
        let operation = match step {
            AdminStep::RegisterHash { name } => {
                log::info!(target: "audit", "administration adds user={name}");
                let mut txn = [0; 16];
                txn.copy_from_slice(&entropy.0[..16]);
                let txn = Txn(txn);
                Operation::Register { name, password_hash, session: None, txn }
            }
            AdminStep::ResetHash { account } => {
                log::info!(target: "audit", "administration resets password user={}", account.name);
                let user = account.user;
                Operation::AdminResetPassword { user, password_hash }
            }
            step @ (AdminStep::Users
            | AdminStep::RegisterLookup { .. }
            | AdminStep::ResetLookup { .. }
            | AdminStep::DeleteLookup
            | AdminStep::Backup) => unreachable!("{:?} hashes nothing", discriminant(&step)),
        };
        self.propose(operation, Waiting { client, id, then: Then::Admin(AdminChange::Account) });
    }

    pub(super) fn admin_complete(
        &mut self,
        client: ClientId,
        id: u64,
        change: AdminChange,
        outcome: Outcome,
    ) {
        match (outcome, change) {
            (Outcome::Done(_), AdminChange::Account) => self.answer(client, id, encode_done(id)),
            (Outcome::Done(_), AdminChange::Verify) => self.verify_asked(client, id),
            (Outcome::Refused(code), _) => self.refuse(client, id, code),
            // The name was taken between the question and the entry.
            (Outcome::Stale, _) => self.refuse(client, id, ErrorCode::UserExists),
        }
    }

    pub(super) fn backed_up(&mut self, ticket: Ticket, result: Result<BackedUp, String>) {
        let AdminTask { client, id, .. } = self.maintained(ticket);
        match result {
            Ok(BackedUp { index, rows, bytes }) => {
                log::info!("backup made index={index} rows={rows} bytes={bytes}");
                let reply = AdminReply::Backup(BackupOk { index: index.0, rows, bytes });
                self.answer(client, id, reply.encode(id));
            }
            Err(why) => {
                log::warn!("backup failed: {why}");
                // The path is the administrator's, and so is the disk behind it.
                let text = format!("field `path`: {why}");
                self.refuse(client, id, ErrorReply::with_text(ErrorCode::BadRequest, text));
            }
        }
    }
}
