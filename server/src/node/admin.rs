//! Requests on the administration socket. Whoever can open that file is the administrator; each
//! thing done here is written to the audit log.

use holdfast_common::ids::{Txn, hex};
use holdfast_common::protocol::{
    AdminReply, AdminRequest, BackupOk, Empty, ErrorCode, ErrorReply, Reply, RequestFrame,
    VerifyOk, check_name, check_password,
};
use zeroize::Zeroizing;

use super::effect::ClientId;
use super::requests::busy;
use super::writes::{Then, Waiting};
use super::{Node, Task};
use crate::chat::operation::{Operation, Outcome, Success};
use crate::chat::query::{Account, Answer, Query, Registration};
use crate::work::{BackedUp, Entropy, HashJob, Job, ReaderJob, Ticket};

/// An administrator's request under way.
#[derive(Debug)]
pub(super) struct AdminTask {
    client: ClientId,
    id: u64,
    step: AdminStep,
}

/// What its next answer is for.
#[derive(Debug)]
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
                let then = Then::Admin("verify");
                self.propose(Operation::Verify, Waiting { client, id, then });
            }
            AdminRequest::Backup(backup) => {
                if !std::path::Path::new(&backup.path).is_absolute() {
                    let text = "field `path`: expected an absolute path";
                    let error = ErrorReply::with_text(ErrorCode::BadRequest, text);
                    return self.refuse(client, id, error);
                }
                let task = AdminTask { client, id, step: AdminStep::Backup };
                let ticket = self.ticket(Task::Admin(task));
                self.run(Job::Reader(ReaderJob::Backup(ticket, backup.path.into())));
            }
        }
    }

    fn admin_ask(&mut self, client: ClientId, id: u64, step: AdminStep, query: Query) {
        let ticket = self.ticket(Task::Admin(AdminTask { client, id, step }));
        self.ask(ticket, query);
    }

    fn admin_hash(
        &mut self,
        client: ClientId,
        id: u64,
        step: AdminStep,
        password: Zeroizing<String>,
    ) {
        let ticket = self.ticket(Task::Admin(AdminTask { client, id, step }));
        if self.hash(Some(client), HashJob::Hash(ticket, password)).is_err() {
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
                let then = Then::Admin("delete_user");
                self.propose(operation, Waiting { client, id, then });
            }
            (_, Answer::Account(None)) => self.refuse(client, id, ErrorCode::NoSuchUser),
            (step, answer) => unreachable!("{answer:?} is no answer to {step:?}"),
        }
    }

    pub(super) fn admin_hashed(
        &mut self,
        task: AdminTask,
        password_hash: String,
        entropy: &Entropy,
    ) {
        let AdminTask { client, id, step } = task;
        let (operation, what) = match step {
            AdminStep::RegisterHash { name } => {
                log::info!(target: "audit", "administration adds user={name}");
                let mut txn = [0; 16];
                txn.copy_from_slice(&entropy.0[..16]);
                let txn = Txn(txn);
                let operation = Operation::Register { name, password_hash, session: None, txn };
                (operation, "register")
            }
            AdminStep::ResetHash { account } => {
                log::info!(target: "audit", "administration resets password user={}", account.name);
                let user = account.user;
                (Operation::AdminResetPassword { user, password_hash }, "reset_password")
            }
            step @ (AdminStep::Users
            | AdminStep::RegisterLookup { .. }
            | AdminStep::ResetLookup { .. }
            | AdminStep::DeleteLookup
            | AdminStep::Backup) => unreachable!("{step:?} hashes nothing"),
        };
        self.propose(operation, Waiting { client, id, then: Then::Admin(what) });
    }

    pub(super) fn admin_complete(
        &mut self,
        client: ClientId,
        id: u64,
        what: &'static str,
        outcome: Outcome,
    ) {
        match outcome {
            Outcome::Done(Success::Verified { rows, hash }) => {
                let index = self.applied.index;
                log::info!("verified index={index} rows={rows} hash={}", hex(&hash));
                let reply = AdminReply::Verify(VerifyOk { index, rows, hash: hex(&hash) });
                self.answer(client, id, reply.encode(id));
            }
            Outcome::Done(_) => {
                self.answer(client, id, AdminReply::Register(Empty {}).encode(id));
            }
            Outcome::Refused(code) => self.refuse(client, id, code),
            // The name was taken between the question and the entry.
            Outcome::Stale => self.refuse(client, id, ErrorCode::UserExists),
        }
        log::debug!("administration done op={what}");
    }

    pub(super) fn backed_up(&mut self, ticket: Ticket, result: Result<BackedUp, String>) {
        let task = self.tasks.remove(&ticket).expect("each ticket is answered once");
        let Task::Admin(AdminTask { client, id, step: AdminStep::Backup }) = task else {
            unreachable!("{task:?} backs up nothing")
        };
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
