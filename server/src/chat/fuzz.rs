//! For the fuzzer: arbitrary bytes as the operations of a log.
//!
//! Owns: nothing. Driven by: the fuzzer and a seeded test. Invariant checked: whatever an operation
//! in the log says, applying it is an outcome that every replica shares or a fault, never a panic;
//! and every question can be answered afterwards. Does not: know which operations make sense.

use holdfast_common::ids::{ConversationId, Cursor, Seq, ServerId, SessionId, Txn, UserId};
use holdfast_common::protocol::{Conversations, History, Page, Users};

use super::operation::{Actor, NewSession, Operation, Recipient, Stamped};
use super::query::Query;
use super::{answer, apply};
use crate::entry::{Ballot, Entry, Index, Payload};
use crate::tables::{MemoryRows, Rows};

/// The session of account 1 and of account 2 that crafted operations can name.
const SESSION: SessionId = SessionId([1; 16]);

/// Applies `bytes` as operations: each is a length byte and that many bytes of an entry's payload.
/// Before them stands a small chat that they can refer to.
///
/// # Panics
/// When a promise is broken, which is what the fuzzer looks for.
pub fn fuzz_apply(bytes: &[u8]) {
    let mut rows = MemoryRows::new();
    let mut log = Vec::new();
    let mut payloads: Vec<Vec<u8>> = small_chat().iter().map(|op| op.encode().to_vec()).collect();
    let mut rest = bytes;
    while let Some((length, behind)) = rest.split_first() {
        let (payload, behind) = behind.split_at(usize::from(*length).min(behind.len()));
        payloads.push(payload.to_vec());
        rest = behind;
    }
    for payload in payloads {
        let ballot = Ballot { generation: 1, round: 1, server: ServerId(1) };
        let index = Index(log.len() as u64 + 1);
        let entry = Entry { index, ballot, payload: Payload::Operation(payload.into()) };
        // A fault ends the process, before anything of its batch is written: the entry is not
        // applied.
        if apply(&mut rows, std::slice::from_ref(&entry)).is_ok() {
            log.push(entry);
        }
    }
    ask_everything(&rows);
    let mut again = MemoryRows::new();
    apply(&mut again, &log).expect("what was applied one by one can be applied at once");
    let stand = |rows: &MemoryRows| super::meta(rows).expect("rows in memory can be read");
    assert!(stand(&rows) == stand(&again), "the same log leads to the same rows");
}

fn small_chat() -> Vec<Stamped> {
    let session = NewSession { id: SESSION, token_hash: [1; 32], device: String::new() };
    let actor = Actor { user: UserId(1), session: SESSION };
    let register = |name: &str| Operation::Register {
        name: name.to_owned(),
        password_hash: String::new(),
        session: Some(session.clone()),
        txn: Txn([0; 16]),
    };
    let send = |to, txn| Operation::Send {
        actor,
        to: Recipient::User(UserId(to)),
        text: "text".to_owned(),
        txn: Txn([txn; 16]),
        digest: [0; 16],
    };
    [register("one"), register("two"), send(2, 1), send(1, 2)]
        .map(|operation| Stamped { ts_ms: 1, operation })
        .to_vec()
}

fn ask_everything(rows: &MemoryRows) {
    let view = rows.views().view();
    let ask = |query: Query| {
        answer(&*view, &query).expect("rows that were written by apply can be read");
    };
    for number in 0..4 {
        let user = UserId(number);
        ask(Query::AccountById(user));
        ask(Query::Sessions(Actor { user, session: SESSION }));
        ask(Query::Conversations(user, Conversations::default()));
        for generation in [0, 1, u64::MAX] {
            for index in [number, u64::MAX - number] {
                let after = Cursor { generation, index };
                ask(Query::Backlog { user, after, bytes_max: 1_000 });
            }
        }
        for page in [Page::Newest, Page::Before(Seq(u64::MAX)), Page::After(Seq(u64::MAX))] {
            for conv in [ConversationId(number), ConversationId(u64::MAX)] {
                ask(Query::History(user, History { conv, page, limit: Some(u32::MAX) }));
            }
        }
    }
    ask(Query::AccountByName("ONE".to_owned()));
    ask(Query::Registration { name: "two".to_owned(), txn: Txn([0; 16]) });
    ask(Query::Token([1; 32]));
    for after in [None, Some("\u{10ffff}".to_owned())] {
        ask(Query::Users(Users { prefix: String::new(), after, limit: None }));
    }
    ask(Query::FollowUps);
}
