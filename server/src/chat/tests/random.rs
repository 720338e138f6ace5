//! Random operations, applied to the real chat and to the naive one; every answer must be the same.

use std::collections::VecDeque;

use holdfast_common::ids::{ConversationId, Seq, Txn, UserId};
use holdfast_common::protocol::{Durable, Scope};
use proptest::prelude::*;

use super::compare::compare;
use super::model::Model;
use super::world::{World, follow_ups, new_session, register, send, session, txn};
use crate::chat::apply;
use crate::chat::operation::{Actor, Applied, Notice, Operation, Recipient, Stamped};
use crate::entry::{Index, Payload};
use crate::tables::testing::{fuzz, random};
use crate::tables::{MemoryRows, Rows, snapshot};

const NAMES: [&str; 7] = ["anna", "Anna", "bob", "Bob.2", "carl", "carla", "dora-3"];

/// Both chats, and what was done to them so far.
pub(super) struct Run {
    pub(super) world: World<MemoryRows>,
    pub(super) model: Model,
    /// Every session ever, the dead ones too.
    pub(super) actors: Vec<Actor>,
    done: Vec<Operation>,
    /// Erasing that is to be gone on with.
    erasing: VecDeque<Operation>,
    made: u32,
}

impl Run {
    pub(super) fn new() -> Run {
        Run {
            world: World::new(MemoryRows::new()),
            model: Model::default(),
            actors: Vec::new(),
            done: Vec::new(),
            erasing: VecDeque::new(),
            made: 0,
        }
    }

    /// A number that was not used for an id before.
    fn fresh(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    fn actor(&self, choice: u8) -> Actor {
        let none = Actor { user: UserId(9), session: session(0) };
        // The newest ones mostly: the others tend to be dead.
        let count = self.actors.len();
        let back = usize::from(choice) % count.clamp(1, 8);
        count.checked_sub(back + 1).map_or(none, |at| self.actors[at])
    }

    fn user(&self, choice: u8) -> UserId {
        self.actor(choice).user
    }

    fn conversation(&self, choice: u8) -> ConversationId {
        ConversationId(u64::from(choice) % (self.model.conversations.len() as u64 + 1) + 1)
    }

    fn seq(&self, conv: ConversationId, choice: u8) -> Seq {
        let last = self.model.conversations.get(&conv).map_or(0, |c| c.messages.len() as u64);
        // The newest ones mostly, and now and then one that is not there.
        Seq((last + 1).saturating_sub(u64::from(choice % 6)))
    }

    fn hash(&mut self) -> String {
        format!("hash {}", self.fresh())
    }

    /// The operation that five random bytes choose.
    fn choose(&mut self, [kind, a, b, c, d]: [u8; 5]) -> Operation {
        let actor = self.actor(a);
        let conv = self.conversation(b);
        let seq = self.seq(conv, c);
        let revision = self.model.users.get(&actor.user).map_or(1, |user| user.revision);
        let revision = if d % 16 == 0 { revision + 1 } else { revision };
        match kind % 40 {
            0..=3 => register(NAMES[usize::from(a) % NAMES.len()], self.fresh()),
            4 | 5 => {
                let replaces = (b % 3 == 0).then(|| txn(u32::from(c) % self.made.max(1)));
                let session = new_session(self.fresh());
                Operation::SignIn { user: actor.user, revision, session, replaces }
            }
            6 => Operation::Logout { actor },
            7 => {
                let sessions = self.actors.iter().rev().take(usize::from(b % 5));
                Operation::Revoke { actor, sessions: sessions.map(|one| one.session).collect() }
            }
            8 => Operation::ChangePassword { actor, revision, password_hash: self.hash() },
            9 if b % 2 == 0 => Operation::DeleteAccount { actor, revision },
            9 => Operation::AdminDeleteUser { user: actor.user },
            10 => Operation::AdminResetPassword { user: actor.user, password_hash: self.hash() },
            11..=16 => self.send(actor, Recipient::User(self.user(b)), c),
            17..=21 => self.send(actor, Recipient::Conversation(conv), c),
            22 | 23 => Operation::Read { actor, conv, upto: seq },
            24 | 25 => Operation::Delivered { actor, conv, upto: seq },
            26 | 27 => {
                let (text, txn) = (format!("edited {d}"), txn(self.fresh()));
                Operation::Edit { actor, conv, seq, text, txn }
            }
            28..=30 => {
                let scope = if d % 2 == 0 { Scope::Me } else { Scope::All };
                Operation::Delete { actor, conv, seq, scope, txn: txn(self.fresh()) }
            }
            31..=33 => self.repeated(b),
            34 => with_txn(self.repeated(b), txn(u32::from(c) % (self.made + 1))),
            35..=38 => self.erasing.pop_front().unwrap_or(Operation::Prune),
            _ => Operation::DayMark,
        }
    }

    fn send(&mut self, actor: Actor, to: Recipient, choice: u8) -> Operation {
        let text = match choice % 8 {
            0 => "ü".repeat(usize::from(choice) + 20),
            _ => format!("text {choice}"),
        };
        let txn = self.fresh();
        send(actor, to, &text, txn)
    }

    /// One of the operations before, as a forwarder repeats it.
    fn repeated(&self, choice: u8) -> Operation {
        let back = usize::from(choice) % self.done.len().clamp(1, 40);
        match self.done.len().checked_sub(back + 1) {
            Some(at) => self.done[at].clone(),
            None => Operation::Prune,
        }
    }

    /// Applies one operation to both, and compares what became of it.
    fn apply(&mut self, operation: Operation) {
        let index = self.world.next_index();
        let applied = self.world.apply(operation.clone());
        let (generation, ts) = (self.world.generation, self.world.ts_ms);
        let expected = self.model.apply(index, generation, ts, &operation);
        assert_eq!(applied.outcome, Some(expected), "entry {index}: {operation:?}");
        assert_eq!(told(&applied), self.told_live(), "entry {index}: {operation:?}");
        let is_prune = matches!(operation, Operation::Prune | Operation::DayMark);
        for next in follow_ups(&applied) {
            match is_prune {
                // Pruning must be done before a txn is repeated: until then it may be there or not.
                true => self.apply(next),
                false => self.erasing.push_back(next),
            }
        }
        let made = if let Operation::Register { session, .. } = &operation {
            session.clone()
        } else if let Operation::SignIn { session, .. } = &operation {
            Some(session.clone())
        } else {
            None
        };
        if let (Some(session), Some(user)) = (made, signed_in(&applied)) {
            self.actors.push(Actor { user, session: session.id });
        }
        if !is_prune {
            self.done.push(operation);
        }
    }

    fn told_live(&self) -> Vec<(UserId, Durable)> {
        let mut told = self.model.live.clone();
        told.sort_by_key(|(user, _)| *user);
        told
    }

    pub(super) fn step(&mut self, bytes: [u8; 5]) {
        let [kind, a, b, ..] = bytes;
        match (kind, a) {
            (255, _) => self.world.generation += 1,
            (254, _) => self.crash(usize::from(b)),
            (253, _) => self.world.rows.persist().unwrap(),
            (252, _) => {
                for _ in 0..b % 40 {
                    self.apply(Operation::DayMark);
                }
            }
            _ => {
                let operation = self.choose(bytes);
                self.apply(operation);
            }
        }
    }

    /// Power is lost: the rows fall back, and what they lack is applied again from the log.
    fn crash(&mut self, kept: usize) {
        let before = all(&self.world.rows);
        let kept = kept % (self.world.rows.unpersisted() + 1);
        self.world.rows.crash(kept);
        let applied = crate::chat::meta(&self.world.rows).unwrap().applied;
        let missing = &self.world.log[applied.0 as usize..];
        if !missing.is_empty() {
            apply(&mut self.world.rows, missing).unwrap();
        }
        assert!(all(&self.world.rows) == before, "the log leads to the same rows again");
    }
}

pub(super) fn all(rows: &dyn crate::tables::Read) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    rows.range(&[0], &[u8::MAX], crate::tables::Order::Ascending, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn told(applied: &Applied) -> Vec<(UserId, Durable)> {
    let event = |notice: &Notice| match notice {
        Notice::Event { user, event } => Some((*user, event.clone())),
        Notice::Ended { .. } | Notice::FollowUp(_) | Notice::DayMarked | Notice::Erasable => None,
    };
    let mut told: Vec<_> = applied.notices.iter().filter_map(event).collect();
    told.sort_by_key(|(user, _)| *user);
    assert!(told.windows(2).all(|two| two[0].0 != two[1].0), "one event an account and entry");
    told
}

fn signed_in(applied: &Applied) -> Option<UserId> {
    use crate::chat::operation::{Outcome, Success};
    let Some(Outcome::Done(Success::SignedIn { user, .. })) = applied.outcome else { return None };
    Some(user)
}

/// The same operation under another txn, if it has one.
fn with_txn(mut operation: Operation, other: Txn) -> Operation {
    if let Operation::Send { txn, .. }
    | Operation::Edit { txn, .. }
    | Operation::Delete { txn, .. }
    | Operation::Register { txn, .. } = &mut operation
    {
        *txn = other;
    }
    operation
}

/// Replays the log of a run in batches cut otherwise.
pub(super) fn replay(run: &Run, rows: &mut dyn Rows, state: &mut u64) {
    let mut rest = run.world.log.as_slice();
    while !rest.is_empty() {
        let count = (random(state) as usize % 9 + 1).min(rest.len());
        apply(rows, &rest[..count]).unwrap();
        rest = &rest[count..];
    }
}

fn run(steps: &[[u8; 5]], compared_every: usize) -> Run {
    let mut run = Run::new();
    for (n, step) in steps.iter().enumerate() {
        run.step(*step);
        if n % compared_every == 0 {
            compare(&run);
        }
    }
    compare(&run);
    run
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(60)
    })]
    #[test]
    fn every_answer_is_the_naive_one(steps in prop::collection::vec(any::<[u8; 5]>(), 1..250)) {
        run(&steps, 7);
    }
}

#[test]
fn thousands_of_operations_later_every_answer_is_still_the_naive_one() {
    fuzz(|seed| {
        let mut state = seed;
        let mut run = Run::new();
        for n in 0..3_000 {
            let bytes = random(&mut state).to_le_bytes();
            run.step([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
            if n % 50 == 0 {
                compare(&run);
            }
        }
        compare(&run);
    });
}

#[test]
fn the_same_log_makes_the_same_rows_however_it_is_cut_and_wherever_they_are_kept() {
    let mut state = 11;
    let mut one = Run::new();
    for _ in 0..1_500 {
        let bytes = random(&mut state).to_le_bytes();
        one.step([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
    }
    let expected = all(&one.world.rows);
    let mut memory = MemoryRows::new();
    replay(&one, &mut memory, &mut state);
    assert!(all(&memory) == expected, "batches cut otherwise");
    let folder = tempfile::tempdir().unwrap();
    let mut disk = crate::tables::DiskRows::open(folder.path()).unwrap();
    replay(&one, &mut disk, &mut state);
    assert!(all(&disk) == expected, "rows on disk");
    disk.persist().unwrap();
    drop(disk);
    let disk = crate::tables::DiskRows::open(folder.path()).unwrap();
    assert!(all(&disk) == expected, "rows on disk, opened again");
}

#[test]
fn an_installed_snapshot_goes_on_like_the_rows_that_it_is_of() {
    let mut state = 17;
    let mut run = Run::new();
    for _ in 0..400 {
        let bytes = random(&mut state).to_le_bytes();
        run.step([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
    }
    let mut file = Vec::new();
    snapshot::export(&*run.world.rows.views().view(), b"about", &mut file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut joined = crate::tables::DiskRows::open(folder.path()).unwrap();
    assert_eq!(snapshot::install(&mut file.as_slice(), &mut joined).unwrap(), b"about");
    assert!(all(&joined) == all(&run.world.rows));
    let known = run.world.log.len();
    for _ in 0..200 {
        let bytes = random(&mut state).to_le_bytes();
        run.step([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
    }
    apply(&mut joined, &run.world.log[known..]).unwrap();
    assert!(all(&joined) == all(&run.world.rows));
}

#[test]
fn the_running_hash_tells_two_histories_apart() {
    let mut state = 5;
    let mut one = Run::new();
    for _ in 0..200 {
        let bytes = random(&mut state).to_le_bytes();
        one.step([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4]]);
    }
    let chain = |run: &Run, rows: &mut MemoryRows| {
        replay(run, rows, &mut 3);
        crate::chat::meta(rows).unwrap().chain
    };
    let expected = chain(&one, &mut MemoryRows::new());
    for at in [0, 90, one.world.log.len() - 1] {
        let entry = one.world.log[at].clone();
        let Payload::Operation(bytes) = &entry.payload else { unreachable!() };
        let mut stamped = Stamped::decode(bytes).unwrap();
        stamped.ts_ms += 1;
        one.world.log[at].payload = Payload::Operation(stamped.encode());
        assert_ne!(chain(&one, &mut MemoryRows::new()), expected, "entry {}", Index(at as u64));
        one.world.log[at] = entry;
    }
}
