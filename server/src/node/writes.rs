//! Writes of a signed-in connection, from the request to its reply.
//!
//! Owns: how a write is prepared (names into ids, passwords verified), its limits, and what its
//! outcome is for. Driven by: `requests` (a change whose turn has come), the answers of jobs, and
//! `pipeline` (its outcome). Invariants: writes of one connection are proposed in the order sent;
//! whatever is not deterministic is in the operation before it is proposed; what was verified and
//! is no longer so is prepared again. Does not: log or forward an operation (`pipeline`).

use std::mem::discriminant;

use holdfast_common::ids::{SessionId, Txn, UserId};
use holdfast_common::protocol::{
    Delete, Edit, EditOk, ErrorCode, ErrorReply, Mark, Passwd, Reply, RevokeTarget, Send, SendOk,
    SignedInOk, Target, check_password, check_text, encode_done, fold_name,
};
use zeroize::Zeroizing;

use super::admin::AdminChange;
use super::effect::ClientId;
use super::kinds::{Change, Checked};
use super::requests::{busy, rate_limited};
use super::sign_in::Again;
use super::{Node, Task};
use crate::chat::operation::{Actor, Operation, Outcome, Recipient, Stamped, Success, send_digest};
use crate::chat::query::{Account, Answer, Query, RecipientAnswer};
use crate::work::HashJob;

/// A request whose entry is in the log.
pub(super) struct Waiting {
    pub(super) client: ClientId,
    pub(super) id: u64,
    pub(super) then: Then,
}

/// What its outcome is for.
pub(super) enum Then {
    /// The connection is signed in, with this token.
    SignIn { session: SessionId, token: String, dup: bool, again: Again },
    /// The connection is no longer signed in.
    Logout,
    /// The reply follows from the outcome.
    Reply,
    /// A write whose password is verified again if it changed meanwhile; writes behind it wait.
    Checked(Actor, Checked),
    /// An administrator's request.
    Admin(AdminChange),
}

/// A write that is being prepared.
pub(super) struct WriteTask {
    client: ClientId,
    id: u64,
    actor: Actor,
    step: WriteStep,
}

/// What its next answer is for.
pub(super) enum WriteStep {
    /// Who a message goes to.
    Recipient { text: String, txn: Txn, digest: [u8; 16] },
    /// All sessions but the own.
    Others,
    /// The account whose password is to be verified.
    Account(Checked),
    /// Its password.
    Verify(Checked, Account),
    /// The hash of the new password.
    Hash(Passwd, Account),
}

impl Checked {
    fn password(&self) -> Zeroizing<String> {
        Zeroizing::new(match self {
            Checked::Passwd(passwd) => passwd.old.clone(),
            Checked::DeleteAccount(delete) => delete.pass.clone(),
        })
    }
}

impl Node {
    pub(super) fn change(&mut self, client: ClientId, id: u64, actor: Actor, change: Change) {
        if let Err(error) = self.take_change(actor.user, &change) {
            return self.refuse(client, id, error);
        }
        let then = Then::Reply;
        let operation = match change {
            Change::Send(send) => return self.send(client, id, actor, send),
            Change::Checked(checked) => return self.checked(client, id, actor, checked),
            Change::Revoke(RevokeTarget::Others) => {
                let step = WriteStep::Others;
                return self.prepare(client, id, actor, step, Query::OtherSessions(actor));
            }
            Change::Revoke(RevokeTarget::Session(session)) => {
                Operation::Revoke { actor, sessions: vec![session] }
            }
            Change::Logout => {
                let then = Then::Logout;
                self.propose(Operation::Logout { actor }, Waiting { client, id, then });
                return;
            }
            Change::Read(Mark { conv, upto }) => Operation::Read { actor, conv, upto },
            Change::Delivered(Mark { conv, upto }) => Operation::Delivered { actor, conv, upto },
            Change::Edit(Edit { conv, seq, text, txn }) => {
                if let Err(broken) = check_text(&text) {
                    return self.refuse(client, id, broken);
                }
                Operation::Edit { actor, conv, seq, text, txn }
            }
            Change::Delete(Delete { conv, seq, scope, txn }) => {
                Operation::Delete { actor, conv, seq, scope, txn }
            }
        };
        self.propose(operation, Waiting { client, id, then });
    }

    /// Takes a token of what the account may do so often, or refuses. Those that cost a password's
    /// hash have the limits of sign-ins.
    fn take_change(&mut self, user: UserId, change: &Change) -> Result<(), ErrorReply> {
        let (buckets, what) = match change {
            Change::Send(_) => (&mut self.sends, "messages"),
            Change::Edit(_) | Change::Delete(_) => (&mut self.edits, "edits and deletions"),
            Change::Read(_) | Change::Delivered(_) | Change::Revoke(_) | Change::Logout => {
                (&mut self.marks, "marks")
            }
            Change::Checked(_) => return Ok(()),
        };
        buckets.take(&user, self.now.instant).map_err(|wait| rate_limited(what, wait))
    }

    fn send(&mut self, client: ClientId, id: u64, actor: Actor, send: Send) {
        if let Err(broken) = check_text(&send.text) {
            return self.refuse(client, id, broken);
        }
        let digest = send_digest(&send.to, &send.text);
        let Send { to, text, txn } = send;
        match to {
            Target::Conversation(conv) => {
                let to = Recipient::Conversation(conv);
                let operation = Operation::Send { actor, to, text, txn, digest };
                self.propose(operation, Waiting { client, id, then: Then::Reply });
            }
            Target::User(name) => {
                let step = WriteStep::Recipient { text, txn, digest };
                let query = Query::Recipient { user: actor.user, to: name, txn, digest };
                self.prepare(client, id, actor, step, query);
            }
        }
    }

    fn checked(&mut self, client: ClientId, id: u64, actor: Actor, checked: Checked) {
        if let Checked::Passwd(passwd) = &checked {
            let signed_in = self.clients.get(client).and_then(|client| client.signed_in());
            let name = signed_in.map_or("", |signed_in| signed_in.name.as_str());
            if let Err(broken) = check_password(name, &passwd.new) {
                return self.refuse(client, id, broken);
            }
        }
        self.check_password_first(client, id, actor, checked);
    }

    fn check_password_first(&mut self, client: ClientId, id: u64, actor: Actor, checked: Checked) {
        let step = WriteStep::Account(checked);
        self.prepare(client, id, actor, step, Query::AccountById(actor.user));
    }

    fn prepare(&mut self, client: ClientId, id: u64, actor: Actor, step: WriteStep, query: Query) {
        if let Some(client) = self.clients.get_mut(client) {
            client.preparing = true;
        }
        self.ask_fresh(Task::Write(WriteTask { client, id, actor, step }), query);
    }

    /// What it rests on cannot be looked up.
    pub(super) fn write_refused(&mut self, task: &WriteTask, error: ErrorReply) {
        self.prepared_refused(task.client, task.id, error);
    }

    /// The write is proposed or refused: the next one may go on.
    fn prepared(&mut self, client: ClientId) {
        if let Some(client) = self.clients.get_mut(client) {
            client.preparing = false;
        }
        self.release_held(client);
    }

    fn prepared_refused(&mut self, client: ClientId, id: u64, error: impl Into<ErrorReply>) {
        self.refuse(client, id, error);
        self.prepared(client);
    }

    fn prepared_propose(&mut self, operation: Operation, waiting: Waiting) {
        let client = waiting.client;
        self.propose(operation, waiting);
        self.prepared(client);
    }

    pub(super) fn write_answered(&mut self, task: WriteTask, answer: Answer) {
        let WriteTask { client, id, actor, step } = task;
        if self.clients.get(client).is_none() {
            return;
        }
        match (step, answer) {
            (WriteStep::Recipient { text, txn, digest }, Answer::Recipient(found)) => match found {
                RecipientAnswer::User(user) => {
                    let to = Recipient::User(user);
                    let operation = Operation::Send { actor, to, text, txn, digest };
                    let waiting = Waiting { client, id, then: Then::Reply };
                    self.prepared_propose(operation, waiting);
                }
                RecipientAnswer::Answered(success) => {
                    self.reply_success(client, id, success);
                    self.prepared(client);
                }
                RecipientAnswer::Refused(code) => self.prepared_refused(client, id, code),
            },
            (WriteStep::Others, Answer::Sessions(sessions)) => {
                let waiting = Waiting { client, id, then: Then::Reply };
                self.prepared_propose(Operation::Revoke { actor, sessions }, waiting);
            }
            (WriteStep::Account(_), Answer::Account(None)) => {
                self.prepared_refused(client, id, ErrorCode::Unauthorized);
            }
            (WriteStep::Account(checked), Answer::Account(Some(account))) => {
                if let Err(error) = self.take_sign_in(client, &account.name) {
                    return self.prepared_refused(client, id, error);
                }
                let password = checked.password();
                let hash = Some(account.password_hash.clone());
                let step = WriteStep::Verify(checked, account);
                self.write_hash(WriteTask { client, id, actor, step }, |ticket| {
                    HashJob::Verify(ticket, password, hash)
                });
            }
            (step, answer) => unreachable!(
                "{:?} is no answer to {:?}",
                discriminant(&answer),
                discriminant(&step)
            ),
        }
    }

    fn write_hash(&mut self, task: WriteTask, job: impl FnOnce(crate::work::Ticket) -> HashJob) {
        let (client, id) = (task.client, task.id);
        let signed_in = self.clients.get(client).and_then(|client| client.signed_in());
        let name = signed_in.map_or_else(String::new, |signed_in| fold_name(&signed_in.name));
        let ticket = self.ticket(Task::Write(task));
        if self.hash(client, name, job(ticket)).is_err() {
            if let Some(Task::Write(WriteTask { step: WriteStep::Verify(_, account), .. })) =
                self.tasks.remove(&ticket)
            {
                self.give_back_sign_in(client, &account.name);
            }
            self.prepared_refused(client, id, busy());
        }
    }

    pub(super) fn write_verified(&mut self, task: WriteTask, right: bool) {
        let WriteTask { client, id, actor, step } = task;
        let WriteStep::Verify(checked, account) = step else {
            unreachable!("{:?} verifies nothing", discriminant(&step))
        };
        if self.clients.get(client).is_none() {
            return;
        }
        if !right {
            self.audit_failure(client, "password check", Some(&account));
            return self.prepared_refused(client, id, ErrorCode::WrongCredentials);
        }
        self.give_back_sign_in(client, &account.name);
        match checked {
            Checked::Passwd(passwd) => {
                let password = Zeroizing::new(passwd.new.clone());
                let step = WriteStep::Hash(passwd, account);
                self.write_hash(WriteTask { client, id, actor, step }, |ticket| {
                    HashJob::Hash(ticket, password)
                });
            }
            Checked::DeleteAccount(_) => {
                let operation = Operation::DeleteAccount { actor, revision: account.revision };
                let then = Then::Checked(actor, checked);
                self.propose(operation, Waiting { client, id, then });
            }
        }
    }

    pub(super) fn write_hashed(&mut self, task: WriteTask, password_hash: String) {
        let WriteTask { client, id, actor, step } = task;
        let WriteStep::Hash(passwd, account) = step else {
            unreachable!("{:?} hashes nothing", discriminant(&step))
        };
        let revision = account.revision;
        let operation = Operation::ChangePassword { actor, revision, password_hash };
        let then = Then::Checked(actor, Checked::Passwd(passwd));
        self.propose(operation, Waiting { client, id, then });
    }

    pub(super) fn proposal_refused(&mut self, waiting: Waiting, error: ErrorReply) {
        let Waiting { client, id, then } = waiting;
        match then {
            Then::SignIn { .. } => self.sign_in_refused(client, id, error),
            Then::Checked(..) => self.prepared_refused(client, id, error),
            Then::Logout | Then::Reply | Then::Admin(_) => self.refuse(client, id, error),
        }
    }

    /// The server's own operation: follow-ups, day marks. It waits when there is no room; what a
    /// stopping server leaves undone is found again by the next life.
    pub(super) fn propose_own(&mut self, operation: Operation) {
        self.own_operations.push_back(operation);
        self.propose_waiting();
    }

    pub(super) fn propose_waiting(&mut self) {
        // Another primary finds by itself what is left to do.
        if !self.leads() {
            self.own_operations.clear();
        }
        while !self.upkeep.is_stopping()
            && let Some(operation) = self.own_operations.front()
        {
            let stamped = Stamped { ts_ms: self.now.wall_ms, operation: operation.clone() };
            if self.replication.propose(stamped.encode()).is_err() {
                return;
            }
            self.own_operations.pop_front();
        }
    }

    /// The entry of a request was applied: answer it.
    pub(super) fn complete(&mut self, waiting: Waiting, outcome: Outcome) {
        self.metrics.writes += 1;
        let Waiting { client, id, then } = waiting;
        match (then, outcome) {
            (Then::SignIn { session, token, dup, .. }, Outcome::Done(success)) => {
                let Success::SignedIn { user, name } = success else {
                    unreachable!("a sign-in yields a session, not {:?}", discriminant(&success))
                };
                let cur = self.applied;
                let ok = SignedInOk { user: name, token, cur, dup };
                self.session_made(client, id, Actor { user, session }, ok);
            }
            (Then::SignIn { again, .. }, Outcome::Stale) => self.sign_in_again(client, id, again),
            (Then::SignIn { .. }, Outcome::Refused(code)) => {
                self.sign_in_refused(client, id, code);
            }
            (Then::Logout, Outcome::Done(_)) => {
                self.clients.leave(client);
                self.answer(client, id, encode_done(id));
            }
            (Then::Checked(actor, checked), Outcome::Stale) => {
                self.check_password_first(client, id, actor, checked);
            }
            (Then::Checked(..), Outcome::Done(success)) => {
                self.reply_success(client, id, success);
                self.prepared(client);
            }
            (Then::Checked(..), Outcome::Refused(code)) => {
                self.prepared_refused(client, id, code);
            }
            (Then::Admin(change), outcome) => self.admin_complete(client, id, change, outcome),
            (Then::Reply, Outcome::Done(success)) => self.reply_success(client, id, success),
            (Then::Reply | Then::Logout, Outcome::Refused(code)) => self.refuse(client, id, code),
            (then @ (Then::Reply | Then::Logout), Outcome::Stale) => {
                unreachable!("{:?} verified nothing", discriminant(&then))
            }
        }
    }

    fn reply_success(&mut self, client: ClientId, id: u64, success: Success) {
        let reply = match success {
            Success::Plain => return self.answer(client, id, encode_done(id)),
            Success::Sent { conv, seq, ts_ms, dup } => Reply::Send(SendOk {
                conv,
                seq,
                ts: ts_ms,
                copies: self.copies(),
                of: self.of(),
                dup,
            }),
            Success::Edited { ts_ms } => Reply::Edit(EditOk { ts: ts_ms }),
            Success::SignedIn { .. } => unreachable!("a write of a session signs nobody in"),
        };
        self.answer(client, id, reply.encode(id));
    }
}
