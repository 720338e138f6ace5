//! The chat written down again, as naively as can be: everything in memory, every promise at once,
//! no rows, no steps, no sharing with the real one but the words. What the real one must equal.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_common::ids::{ConversationId, Cursor, Seq, SessionId, Txn, UserId};
use holdfast_common::protocol::{Durable, ErrorCode, GoneEvent, Scope};

use crate::chat::operation::{Actor, NewSession, Operation, Outcome, Success};
use crate::entry::Index;

mod answers;
mod messages;

/// Gone conversations are told in pieces of so many: the one thing of erasing that can be seen.
const TOLD_AT_ONCE: usize = 4;
const MARKS_KEPT: usize = 30;
const SESSIONS_MAX: usize = 6;

pub(super) struct User {
    pub(super) name: String,
    pub(super) hash: String,
    pub(super) revision: u64,
    pub(super) sessions: BTreeMap<SessionId, Session>,
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) token_hash: [u8; 32],
    pub(super) device: String,
    pub(super) created: u64,
    pub(super) index: u64,
    pub(super) registered: Option<Txn>,
}

#[derive(Clone)]
pub(super) struct Message {
    pub(super) from: UserId,
    pub(super) ts: u64,
    pub(super) text: String,
    pub(super) edited: Option<u64>,
    pub(super) deleted: bool,
}

pub(super) struct Conversation {
    pub(super) members: [UserId; 2],
    pub(super) messages: Vec<Message>,
    pub(super) read: BTreeMap<UserId, Seq>,
    pub(super) delivered: BTreeMap<UserId, Seq>,
    pub(super) active: u64,
}

impl Conversation {
    pub(super) fn peer(&self, user: UserId) -> UserId {
        if self.members[0] == user { self.members[1] } else { self.members[0] }
    }
}

/// What a txn stands for.
#[derive(Clone, PartialEq)]
enum Content {
    Send([u8; 16]),
    Edit(ConversationId, Seq, String),
    Delete(ConversationId, Seq, Scope),
    SignIn([u8; 32]),
}

#[derive(Clone, Copy)]
pub(super) enum Told {
    Msg(ConversationId, Seq, Option<Txn>),
    Read(ConversationId, UserId, Seq),
    Delivered(ConversationId, UserId, Seq),
    Edited(ConversationId, Seq, u64),
    Deleted(ConversationId, Seq, Scope),
    Gone(ConversationId),
}

#[derive(Default)]
pub(super) struct Model {
    pub(super) users: BTreeMap<UserId, User>,
    pub(super) conversations: BTreeMap<ConversationId, Conversation>,
    pub(super) hidden: BTreeSet<(UserId, ConversationId, Seq)>,
    /// Who was told what, at which place of the log.
    pub(super) told: BTreeMap<UserId, Vec<(Cursor, Told)>>,
    /// What the entry being applied tells to whoever is connected.
    pub(super) live: Vec<(UserId, Durable)>,
    pub(super) registrations: BTreeMap<(String, Txn), (UserId, u64)>,
    txns: BTreeMap<(UserId, Txn), (Content, Success, u64)>,
    untold: BTreeMap<UserId, Vec<ConversationId>>,
    marks: Vec<u64>,
    pub(super) floor: u64,
    users_ever: u64,
    at: Cursor0,
}

/// The place of the entry being applied.
#[derive(Clone, Copy, Default)]
struct Cursor0 {
    generation: u64,
    index: u64,
    ts: u64,
}

type Ruled = Result<Success, Outcome>;

fn refuse<T>(code: ErrorCode) -> Result<T, Outcome> {
    Err(Outcome::Refused(code))
}

impl Model {
    pub(super) fn apply(
        &mut self,
        index: Index,
        generation: u64,
        ts: u64,
        operation: &Operation,
    ) -> Outcome {
        self.at = Cursor0 { generation, index: index.0, ts };
        self.live.clear();
        match self.ruled(operation.clone()) {
            Ok(success) => Outcome::Done(success),
            Err(refusal) => refusal,
        }
    }

    fn ruled(&mut self, operation: Operation) -> Ruled {
        match operation {
            Operation::Register { name, password_hash, session, txn } => {
                return self.register(name, password_hash, session, txn);
            }
            Operation::SignIn { user, revision, session, replaces } => {
                return self.sign_in(user, revision, session, replaces);
            }
            Operation::Logout { actor } => {
                self.actor(actor)?.sessions.remove(&actor.session);
            }
            Operation::Revoke { actor, sessions } => {
                self.actor(actor)?.sessions.retain(|id, _| !sessions.contains(id));
            }
            Operation::ChangePassword { actor, revision, password_hash } => {
                let user = self.actor(actor)?;
                if user.hash == password_hash {
                    return Ok(Success::Plain);
                }
                if user.revision != revision {
                    return Err(Outcome::Stale);
                }
                user.hash = password_hash;
                user.revision += 1;
                user.sessions.retain(|id, _| *id == actor.session);
            }
            Operation::DeleteAccount { actor, revision } => {
                if self.actor(actor)?.revision != revision {
                    return Err(Outcome::Stale);
                }
                self.remove(actor.user);
            }
            Operation::Send { actor, to, text, txn, digest } => {
                return self.send(actor, to, text, txn, digest);
            }
            Operation::Read { actor, conv, upto } => self.mark(actor, conv, upto, true)?,
            Operation::Delivered { actor, conv, upto } => self.mark(actor, conv, upto, false)?,
            Operation::Edit { actor, conv, seq, text, txn } => {
                return self.edit(actor, conv, seq, text, txn);
            }
            Operation::Delete { actor, conv, seq, scope, txn } => {
                return self.delete(actor, conv, seq, scope, txn);
            }
            Operation::Erase { user } => self.tell_gone(user),
            Operation::DayMark => self.day_mark(),
            Operation::Prune => {}
            Operation::Verify => unreachable!("the test compares hashes itself"),
            Operation::AdminResetPassword { user, password_hash } => {
                let Some(user) = self.users.get_mut(&user) else {
                    return refuse(ErrorCode::NoSuchUser);
                };
                if user.hash != password_hash {
                    user.hash = password_hash;
                    user.revision += 1;
                    user.sessions.clear();
                }
            }
            Operation::AdminDeleteUser { user } => {
                if !self.users.contains_key(&user) {
                    return refuse(ErrorCode::NoSuchUser);
                }
                self.remove(user);
            }
        }
        Ok(Success::Plain)
    }

    fn actor(&mut self, actor: Actor) -> Result<&mut User, Outcome> {
        match self.users.get_mut(&actor.user) {
            Some(user) if user.sessions.contains_key(&actor.session) => Ok(user),
            Some(_) | None => refuse(ErrorCode::Unauthorized),
        }
    }

    pub(super) fn named(&self, name: &str) -> Option<UserId> {
        let name = name.to_lowercase();
        self.users.iter().find(|(_, user)| user.name.to_lowercase() == name).map(|(id, _)| *id)
    }

    fn session(&self, new: NewSession, registered: Option<Txn>) -> Session {
        Session {
            token_hash: new.token_hash,
            device: new.device,
            created: self.at.ts,
            index: self.at.index,
            registered,
        }
    }

    fn register(
        &mut self,
        name: String,
        hash: String,
        session: Option<NewSession>,
        txn: Txn,
    ) -> Ruled {
        let key = (name.to_lowercase(), txn);
        if let Some((user, _)) = self.registrations.get(&key) {
            let stands = self.users.get(user).is_some_and(|row| {
                let lives = session.is_none_or(|session| row.sessions.contains_key(&session.id));
                lives && row.hash == hash
            });
            let repeat = Success::SignedIn { user: *user, name };
            return if stands { Ok(repeat) } else { Err(Outcome::Stale) };
        }
        if self.named(&name).is_some() {
            return Err(Outcome::Stale);
        }
        self.users_ever += 1;
        let user = UserId(self.users_ever);
        let sessions = session.into_iter().map(|s| (s.id, self.session(s, Some(txn)))).collect();
        let row = User { name: name.clone(), hash, revision: 1, sessions };
        self.users.insert(user, row);
        self.registrations.insert(key, (user, self.at.index));
        Ok(Success::SignedIn { user, name })
    }

    fn sign_in(
        &mut self,
        user: UserId,
        revision: u64,
        session: NewSession,
        replaces: Option<Txn>,
    ) -> Ruled {
        let Some(row) = self.users.get(&user) else { return Err(Outcome::Stale) };
        let name = row.name.clone();
        let once = Txn(session.id.0);
        let content = Content::SignIn(session.token_hash);
        if self.answered(user, once, &content)?.is_some() {
            return match row_has(self.users.get(&user), session.id) {
                true => Ok(Success::SignedIn { user, name }),
                false => refuse(ErrorCode::Unauthorized),
            };
        }
        if self.users[&user].revision != revision {
            return Err(Outcome::Stale);
        }
        self.answer(user, once, content, Success::Plain);
        let id = session.id;
        let made = self.session(session, replaces);
        let Some(row) = self.users.get_mut(&user) else { return Err(Outcome::Stale) };
        if replaces.is_some() {
            row.sessions.retain(|_, session| session.registered != replaces);
        }
        row.sessions.insert(id, made);
        while row.sessions.len() > SESSIONS_MAX {
            let oldest = row.sessions.iter().min_by_key(|(_, session)| session.index);
            let oldest = *oldest.unwrap().0;
            row.sessions.remove(&oldest);
        }
        Ok(Success::SignedIn { user, name })
    }

    /// The account is gone with its messages and marks; others are told bit by bit.
    fn remove(&mut self, user: UserId) {
        self.users.remove(&user);
        self.told.remove(&user);
        self.txns.retain(|(holder, _), _| *holder != user);
        let mut untold = Vec::new();
        for (conv, conversation) in &mut self.conversations {
            if !conversation.members.contains(&user) {
                continue;
            }
            untold.push(*conv);
            conversation.read.remove(&user);
            conversation.delivered.remove(&user);
            for message in &mut conversation.messages {
                if message.from == user {
                    *message = Message {
                        text: String::new(),
                        edited: None,
                        deleted: true,
                        ..message.clone()
                    };
                }
            }
        }
        self.untold.insert(user, untold);
    }

    fn tell_gone(&mut self, user: UserId) {
        let Some(untold) = self.untold.get_mut(&user) else { return };
        let now: Vec<_> = untold.drain(..untold.len().min(TOLD_AT_ONCE)).collect();
        for conv in now {
            let peer = self.conversations[&conv].peer(user);
            self.tell(peer, Told::Gone(conv), Durable::Gone(GoneEvent { conv }));
        }
    }

    fn tell(&mut self, user: UserId, told: Told, event: Durable) {
        if self.users.contains_key(&user) {
            let Cursor0 { generation, index, .. } = self.at;
            self.told.entry(user).or_default().push((Cursor { generation, index }, told));
            self.live.push((user, event));
        }
    }

    fn answered(
        &self,
        user: UserId,
        txn: Txn,
        content: &Content,
    ) -> Result<Option<Success>, Outcome> {
        match self.txns.get(&(user, txn)) {
            None => Ok(None),
            Some((known, success, _)) if known == content => {
                let mut success = success.clone();
                if let Success::Sent { dup, .. } = &mut success {
                    *dup = true;
                }
                Ok(Some(success))
            }
            Some(_) => refuse(ErrorCode::TxnConflict),
        }
    }

    fn answer(&mut self, user: UserId, txn: Txn, content: Content, success: Success) {
        self.txns.insert((user, txn), (content, success, self.at.index));
    }

    fn day_mark(&mut self) {
        self.marks.push(self.at.index);
        let Some(oldest) = self.marks.len().checked_sub(MARKS_KEPT + 1) else { return };
        let floor = self.marks[oldest];
        self.floor = floor;
        for told in self.told.values_mut() {
            told.retain(|(cursor, _)| cursor.index >= floor);
        }
        self.txns.retain(|_, (_, _, index)| *index >= floor);
        self.registrations.retain(|_, (_, index)| *index >= floor);
    }
}

fn row_has(user: Option<&User>, session: SessionId) -> bool {
    user.is_some_and(|user| user.sessions.contains_key(&session))
}
