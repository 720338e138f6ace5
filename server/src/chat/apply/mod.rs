//! Applying committed entries to the rows: what each operation does, on every server alike.
//!
//! Owns: the meaning of operations. Driven by: the tables thread, with committed entries in order.
//! Invariants: the outcome and every row follow from the rows and the entry alone (no clock, no
//! randomness, no order of a hash map); a refused operation changes nothing; an entry writes a
//! bounded number of rows, larger work goes on in entries of its own (`FollowUp`); an account gets
//! at most one event an entry. Does not: know who is connected, or what is on the way.

mod accounts;
mod erase;
mod messages;

use holdfast_common::ids::{Txn, UserId};
use holdfast_common::protocol::{Durable, ErrorCode};

use super::batch::Batch;
use super::operation::{Actor, Applied, Notice, Operation, Outcome, Stamped, Success};
use super::schema::{
    EventKind, EventRow, SessionRow, TxnAnswer, TxnRow, UserRow, encode, event_key, generation_key,
    session_key, txn_key, user_key,
};
use crate::entry::{Entry, Payload};
use crate::tables::{Fault, Rows};

/// Rows that one entry of a longer work reads or writes, about. Few in tests: their accounts are
/// small and must be erased in several steps all the same.
const STEP_ROWS: usize = if cfg!(test) { 8 } else { 1_000 };

/// Applies `entries` as one batch.
///
/// # Errors
/// [`Fault`] when the rows cannot be read or written, or an operation cannot be read: the process
/// must end.
///
/// # Panics
/// When the entries do not follow what is applied already.
pub fn apply(rows: &mut dyn Rows, entries: &[Entry]) -> Result<Vec<Applied>, Fault> {
    let mut applied = Vec::with_capacity(entries.len());
    let writes = {
        let view: &dyn crate::tables::Read = &*rows;
        let mut batch = Batch::new(view)?;
        for entry in entries {
            applied.push(apply_entry(&mut batch, entry)?);
        }
        batch.into_writes()
    };
    rows.commit(writes)?;
    Ok(applied)
}

fn apply_entry(batch: &mut Batch<'_>, entry: &Entry) -> Result<Applied, Fault> {
    assert!(entry.index == batch.meta.applied.next(), "entries are applied in order, once");
    batch.begin_entry();
    batch.absorb(&entry.index.0.to_le_bytes());
    batch.absorb(&encode(&entry.ballot));
    let generation = entry.ballot.generation;
    if generation > batch.meta.ballot.generation {
        batch.put(generation_key(generation), &entry.index);
    }
    batch.meta.applied = entry.index;
    batch.meta.ballot = entry.ballot;
    let mut step = Step { batch, entry, notices: Vec::new() };
    let outcome = match &entry.payload {
        Payload::Nothing => None,
        Payload::View(view) => {
            step.batch.absorb(&encode(view));
            step.batch.meta.view = Some(view.clone());
            None
        }
        Payload::Operation(bytes) => {
            step.batch.absorb(bytes);
            let Stamped { ts_ms, operation } = Stamped::decode(bytes).map_err(|error| Fault {
                doing: "read an operation of the log",
                source: Box::new(error),
            })?;
            let outcome = match step.operation(ts_ms, operation)? {
                Ok(success) => Outcome::Done(success),
                Err(Refusal::Code(code)) => Outcome::Refused(code),
                Err(Refusal::Stale) => Outcome::Stale,
            };
            step.batch.absorb(&encode(&outcome));
            Some(outcome)
        }
    };
    let notices = step.notices;
    batch.end_entry();
    let chain = batch.meta.chain;
    Ok(Applied { index: entry.index, ballot: entry.ballot, outcome, notices, chain })
}

/// Why an operation is not done.
enum Refusal {
    Code(ErrorCode),
    Stale,
}

/// Inside: the rules' answer. Outside: whether the rows could be read at all.
type Ruled<T> = Result<Result<T, Refusal>, Fault>;

/// Leaves with a refusal.
macro_rules! refuse {
    ($code:ident) => {
        return Ok(Err(Refusal::Code(ErrorCode::$code)))
    };
}
use refuse;

/// Takes the value of a ruled step, or leaves with its refusal.
macro_rules! ruled {
    ($step:expr) => {
        match $step? {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}
use ruled;

/// One entry being applied.
struct Step<'s, 'b> {
    batch: &'s mut Batch<'b>,
    entry: &'s Entry,
    notices: Vec<Notice>,
}

impl Step<'_, '_> {
    fn operation(&mut self, ts_ms: u64, operation: Operation) -> Ruled<Success> {
        match operation {
            Operation::Register { name, password_hash, session, txn } => {
                self.register(ts_ms, name, password_hash, session, txn)
            }
            Operation::SignIn { user, revision, session, replaces } => {
                self.sign_in(ts_ms, user, revision, session, replaces)
            }
            Operation::Logout { actor } => self.logout(actor),
            Operation::Revoke { actor, sessions } => self.revoke(actor, &sessions),
            Operation::ChangePassword { actor, revision, password_hash } => {
                self.change_password(actor, revision, password_hash)
            }
            Operation::DeleteAccount { actor, revision } => self.delete_account(actor, revision),
            Operation::Send { actor, to, text, txn, digest } => {
                self.send(ts_ms, actor, to, text, txn, digest)
            }
            Operation::Read { actor, conv, upto } => self.mark(actor, conv, upto, true),
            Operation::Delivered { actor, conv, upto } => self.mark(actor, conv, upto, false),
            Operation::Edit { actor, conv, seq, text, txn } => {
                self.edit(ts_ms, actor, (conv, seq), text, txn)
            }
            Operation::Delete { actor, conv, seq, scope, txn } => {
                self.delete(actor, (conv, seq), scope, txn)
            }
            Operation::Erase { user } => self.erase(user),
            Operation::DayMark => self.day_mark(),
            Operation::Prune => self.prune(),
            // A place in the log, nothing else: the rows are hashed aside, from a view of it.
            Operation::Verify => Ok(Ok(Success::Plain)),
            Operation::AdminResetPassword { user, password_hash } => {
                self.admin_reset_password(user, password_hash)
            }
            Operation::AdminDeleteUser { user } => self.admin_delete_user(user),
        }
    }

    /// The actor's account, if its session lives.
    fn actor(&self, actor: Actor) -> Ruled<UserRow> {
        let session = session_key(actor.user, actor.session);
        let session: Option<SessionRow> = self.batch.shared_row(&session)?;
        match self.batch.shared_row(&user_key(actor.user))? {
            Some(user) if session.is_some() => Ok(Ok(user)),
            Some(_) | None => refuse!(Unauthorized),
        }
    }

    /// Whether a txn is new; if it was answered before with the same content, with what.
    fn txn(&self, user: UserId, txn: Txn, digest: [u8; 16]) -> Ruled<Option<Success>> {
        match self.batch.row::<TxnRow>(&txn_key(user, txn))? {
            None => Ok(Ok(None)),
            Some(row) if row.digest == digest => Ok(Ok(Some(row.answer.repeated()))),
            Some(_) => refuse!(TxnConflict),
        }
    }

    /// Keeps what a txn was answered with. The actor's event of this entry names the txn, and takes
    /// it along when it is pruned.
    fn keep_txn(&mut self, user: UserId, txn: Txn, digest: [u8; 16], answer: TxnAnswer) {
        self.batch.put(txn_key(user, txn), &TxnRow { digest, answer });
    }

    /// Keeps a txn whose entry tells its account nothing: a row without an event takes it along.
    fn keep_silent_txn(&mut self, user: UserId, txn: Txn, digest: [u8; 16], answer: TxnAnswer) {
        self.keep_txn(user, txn, digest, answer);
        let row = EventRow { what: EventKind::Nothing, txn: Some(txn) };
        self.batch.put(event_key(user, self.entry.index), &row);
    }

    /// Tells an account something, now and to whoever resumes from before.
    fn tell(&mut self, user: UserId, what: EventKind, txn: Option<Txn>, event: Durable) {
        self.batch.put(event_key(user, self.entry.index), &EventRow { what, txn });
        self.notices.push(Notice::Event { user, event });
    }
}
