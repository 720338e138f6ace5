//! A small world to apply operations in: rows, a log, a clock that the test turns.

use holdfast_common::ids::{Cursor, ServerId, SessionId, Txn, UserId};

use crate::chat::operation::{
    Actor, Applied, NewSession, Notice, Operation, Outcome, Recipient, Stamped, Success,
    send_digest,
};
use crate::chat::query::{Answer, Query};
use crate::chat::{answer, apply};
use crate::entry::{Ballot, Entry, Index, Payload};
use crate::tables::Rows;
use holdfast_common::protocol::Target;

/// Rows and the log that was applied to them.
pub(super) struct World<R> {
    pub(super) rows: R,
    pub(super) log: Vec<Entry>,
    pub(super) generation: u64,
    pub(super) ts_ms: u64,
}

impl<R: Rows> World<R> {
    pub(super) fn new(rows: R) -> World<R> {
        World { rows, log: Vec::new(), generation: 1, ts_ms: 1_000 }
    }

    pub(super) fn next_index(&self) -> Index {
        Index(self.log.len() as u64 + 1)
    }

    fn entry(&self, payload: Payload) -> Entry {
        let ballot = Ballot { generation: self.generation, round: 1, server: ServerId(1) };
        Entry { index: self.next_index(), ballot, payload }
    }

    /// Applies one operation; its follow-ups are for whoever asks.
    pub(super) fn apply(&mut self, operation: Operation) -> Applied {
        self.ts_ms += 1;
        let stamped = Stamped { ts_ms: self.ts_ms, operation };
        let entry = self.entry(Payload::Operation(stamped.encode()));
        self.log.push(entry.clone());
        apply(&mut self.rows, &[entry]).unwrap().pop().unwrap()
    }

    /// The outcome alone.
    pub(super) fn outcome(&mut self, operation: Operation) -> Outcome {
        self.apply(operation).outcome.unwrap()
    }

    /// Applies an operation and everything that follows from it; gives how many entries followed.
    pub(super) fn settle(&mut self, operation: Operation) -> usize {
        let mut waiting = follow_ups(&self.apply(operation));
        let mut followed = 0;
        while let Some(next) = waiting.pop() {
            followed += 1;
            waiting.extend(follow_ups(&self.apply(next)));
        }
        followed
    }

    pub(super) fn ask(&self, query: &Query) -> Answer {
        answer(&*self.rows.views().view(), query).unwrap().0
    }

    pub(super) fn at(&self) -> Cursor {
        answer(&*self.rows.views().view(), &Query::FollowUps).unwrap().1
    }

    /// A new account with one session, numbered `n`.
    pub(super) fn register(&mut self, name: &str, n: u32) -> Actor {
        let id = session(n);
        let operation = register(name, n);
        let outcome = self.outcome(operation);
        let Outcome::Done(Success::SignedIn { user, .. }) = outcome else { panic!("{outcome:?}") };
        Actor { user, session: id }
    }
}

pub(super) fn follow_ups(applied: &Applied) -> Vec<Operation> {
    let follow_up = |notice: &Notice| match notice {
        Notice::FollowUp(operation) => Some(operation.clone()),
        Notice::Event { .. } | Notice::Ended { .. } | Notice::DayMarked | Notice::Erasable => None,
    };
    applied.notices.iter().filter_map(follow_up).collect()
}

fn sixteen(kind: u8, n: u32) -> [u8; 16] {
    let mut bytes = [kind; 16];
    bytes[12..].copy_from_slice(&n.to_be_bytes());
    bytes
}

pub(super) fn session(n: u32) -> SessionId {
    SessionId(sixteen(b's', n))
}

pub(super) fn txn(n: u32) -> Txn {
    Txn(sixteen(b't', n))
}

pub(super) fn token_hash(n: u32) -> [u8; 32] {
    let mut hash = [b'k'; 32];
    hash[..4].copy_from_slice(&n.to_be_bytes());
    hash
}

pub(super) fn new_session(n: u32) -> NewSession {
    NewSession { id: session(n), token_hash: token_hash(n), device: format!("device {n}") }
}

pub(super) fn register(name: &str, n: u32) -> Operation {
    Operation::Register {
        name: name.to_owned(),
        password_hash: format!("hash {n}"),
        session: Some(new_session(n)),
        txn: txn(n),
    }
}

/// A message to an account, as the accepting server makes it of a request by id.
pub(super) fn send(actor: Actor, to: Recipient, text: &str, n: u32) -> Operation {
    let target = match to {
        Recipient::User(UserId(user)) => Target::User(format!("user{user}")),
        Recipient::Conversation(conv) => Target::Conversation(conv),
    };
    let digest = send_digest(&target, text);
    Operation::Send { actor, to, text: text.to_owned(), txn: txn(n), digest }
}
