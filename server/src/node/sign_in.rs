//! `register`, `login` and `resume`: how a connection becomes somebody's.
//!
//! Each walks through questions and hash jobs, whose answers come back by ticket; whatever else the
//! connection sends meanwhile is held. What was verified can be overtaken by another write (a
//! changed password, a name taken): applying then says `Stale`, and the walk begins anew.
//!
//! Owns: the steps of a sign-in, and its limits. Driven by: `requests`, then the answers of jobs
//! and the outcome of the entry. Invariants: every refusal is made from a state that holds what was
//! acknowledged; an unknown name and a wrong password are answered alike, in the same time; no view
//! from before the end of a session makes a connection signed in; a token leaves once, to its
//! client. Does not: hash (`credentials` has the queue), or send events (`events`).

use std::mem::discriminant;
use std::net::IpAddr;
use std::time::Duration;

use holdfast_common::ids::{Cursor, UserId};
use holdfast_common::protocol::{
    ErrorCode, ErrorReply, Login, Register, Reply, Resume, ResumeOk, SILENCE_S_MAX, SignedInOk,
    check_device, check_name, check_password, fold_name,
};
use zeroize::Zeroizing;

use super::clients::{Feed, SignedIn, Stage};
use super::effect::{ClientId, Origin};
use super::events::BACKLOG_PAGE_BYTES;
use super::fresh::{Sight, behind};
use super::limits::address_key;
use super::requests::{busy, rate_limited};
use super::writes::{Then, Waiting};
use super::{Node, Task};
use crate::chat::operation::{Actor, NewSession, Operation};
use crate::chat::query::{Account, Answer, LiveSession, Query, Registration};
use crate::entry::Index;
use crate::work::{Entropy, HashJob};

/// Connections of one account; beyond, a sign-in is refused, for whoever were closed instead would
/// come back and close another.
const CONNECTIONS_MAX: usize = 128;
/// By then those whose clients are gone have been silent for too long.
const CONNECTIONS_AFTER: Duration = Duration::from_secs(SILENCE_S_MAX);

/// A sign-in under way.
pub(super) struct SignInTask {
    pub(super) client: ClientId,
    pub(super) id: u64,
    pub(super) step: Step,
}

/// What its next answer is for.
pub(super) enum Step {
    /// What stands under the name.
    RegisterLookup(Register),
    /// The new account's hash.
    RegisterHash(Register),
    /// The password of a registration that is repeated.
    RegisterVerify(Register, Account),
    /// The account of the name.
    LoginLookup(Login),
    /// Its password.
    LoginVerify(Login, Option<Account>),
    /// The session of the token.
    ResumeLookup(Resume, Sight),
    /// The first page of events behind the cursor, for the session that was there at this index.
    ResumeBacklog(Resume, LiveSession, Index, Cursor, Sight),
}

/// A request that may have to walk again from its beginning.
#[derive(Clone)]
pub(super) enum Again {
    Register(Register),
    Login(Login),
}

impl Node {
    pub(super) fn register(&mut self, client: ClientId, id: u64, register: Register) {
        let checked = check_name(&register.user)
            .and_then(|()| check_password(&register.user, &register.pass))
            .and_then(|()| check_device(&register.device));
        if let Err(broken) = checked {
            return self.refuse(client, id, broken);
        }
        if self.settings.registration == holdfast_common::config::Registration::Closed {
            let text = "registration is closed here: ask an administrator for an account";
            return self.refuse(client, id, ErrorReply::with_text(ErrorCode::Forbidden, text));
        }
        if let Err(error) = self.take_address(client) {
            return self.refuse(client, id, error);
        }
        self.begin_sign_in(client);
        self.register_lookup(client, id, register);
    }

    fn register_lookup(&mut self, client: ClientId, id: u64, register: Register) {
        let query = Query::Registration { name: register.user.clone(), txn: register.txn };
        self.sign_in_look_up(client, id, Step::RegisterLookup(register), query);
    }

    pub(super) fn login(&mut self, client: ClientId, id: u64, login: Login) {
        if let Err(broken) = check_device(&login.device) {
            return self.refuse(client, id, broken);
        }
        if let Err(error) = self.take_sign_in(client, &login.user) {
            return self.refuse(client, id, error);
        }
        self.begin_sign_in(client);
        self.login_lookup(client, id, login);
    }

    fn login_lookup(&mut self, client: ClientId, id: u64, login: Login) {
        let query = Query::AccountByName(login.user.clone());
        self.sign_in_look_up(client, id, Step::LoginLookup(login), query);
    }

    pub(super) fn resume(&mut self, client: ClientId, id: u64, resume: Resume) {
        self.begin_sign_in(client);
        self.resume_lookup(client, id, resume);
    }

    fn resume_lookup(&mut self, client: ClientId, id: u64, resume: Resume) {
        let query = Query::Token(token_hash(&resume.token));
        self.sign_in_look_up(client, id, Step::ResumeLookup(resume, Sight::Fresh), query);
    }

    /// What was verified is no longer so: the walk begins anew.
    pub(super) fn sign_in_again(&mut self, client: ClientId, id: u64, again: Again) {
        match again {
            Again::Register(register) => self.register_lookup(client, id, register),
            Again::Login(login) => match self.take_sign_in(client, &login.user) {
                Ok(()) => self.login_lookup(client, id, login),
                Err(error) => self.sign_in_refused(client, id, error),
            },
        }
    }

    fn begin_sign_in(&mut self, client: ClientId) {
        if let Some(client) = self.clients.get_mut(client) {
            client.stage = Stage::SigningIn;
        }
    }

    /// The sign-in is refused: the connection is as before, and what was held behind it goes on.
    pub(super) fn sign_in_refused(
        &mut self,
        client: ClientId,
        id: u64,
        error: impl Into<ErrorReply>,
    ) {
        if let Some(client) = self.clients.get_mut(client)
            && matches!(client.stage, Stage::SigningIn)
        {
            client.stage = Stage::Greeted;
        }
        self.refuse(client, id, error);
        self.release_held(client);
    }

    fn sign_in_look_up(&mut self, client: ClientId, id: u64, step: Step, query: Query) {
        self.ask_fresh(Task::SignIn(SignInTask { client, id, step }), query);
    }

    fn sign_in_ask(&mut self, client: ClientId, id: u64, step: Step, query: Query) {
        let ticket = self.ticket(Task::SignIn(SignInTask { client, id, step }));
        self.ask(ticket, query);
    }

    fn sign_in_hash(&mut self, client: ClientId, id: u64, step: Step, hash: HashFor) {
        let name = match &step {
            Step::RegisterHash(register) | Step::RegisterVerify(register, _) => &register.user,
            Step::LoginVerify(login, _) => &login.user,
            Step::RegisterLookup(_)
            | Step::LoginLookup(_)
            | Step::ResumeLookup(..)
            | Step::ResumeBacklog(..) => unreachable!("a look-up needs no hash"),
        };
        let name = fold_name(name);
        let ticket = self.ticket(Task::SignIn(SignInTask { client, id, step }));
        let job = match hash {
            HashFor::New(password) => HashJob::Hash(ticket, password),
            HashFor::Known(password, hash) => HashJob::Verify(ticket, password, hash),
        };
        if self.hash(client, name, job).is_err() {
            if let Some(Task::SignIn(SignInTask { step: Step::LoginVerify(login, _), .. })) =
                self.tasks.remove(&ticket)
            {
                self.give_back_sign_in(client, &login.user);
            }
            self.sign_in_refused(client, id, busy());
        }
    }

    pub(super) fn sign_in_answered(&mut self, task: SignInTask, answer: Answer, at: Cursor) {
        let SignInTask { client, id, step } = task;
        if self.clients.get(client).is_none() {
            return;
        }
        match (step, answer) {
            (Step::RegisterLookup(register), Answer::Registration(found)) => {
                self.register_found(client, id, register, found);
            }
            (Step::LoginLookup(login), Answer::Account(account)) => {
                let password = Zeroizing::new(login.pass.clone());
                let hash = account.as_ref().map(|account| account.password_hash.clone());
                let step = Step::LoginVerify(login, account);
                self.sign_in_hash(client, id, step, HashFor::Known(password, hash));
            }
            (Step::ResumeLookup(resume, sight), Answer::Session(session)) => {
                self.resume_found((client, id), resume, session, at, sight);
            }
            (
                Step::ResumeBacklog(resume, session, seen, from, _),
                Answer::Backlog { lines, upto, more },
            ) => {
                if seen < self.last_ending {
                    // Some session ended since this one was seen: perhaps this one.
                    return self.resume_lookup(client, id, resume);
                }
                self.resumed(client, id, session, from);
                self.backlog_page(client, lines, upto, more);
            }
            (Step::ResumeBacklog(.., sight), Answer::Refused(error)) => {
                let error = match (sight, error.code) {
                    (Sight::Own, _) => behind(),
                    // Everything acknowledged is here: a cursor beyond belongs to a history that is
                    // no more.
                    (Sight::Fresh, ErrorCode::Behind) => ErrorCode::CursorExpired.into(),
                    (Sight::Fresh, _) => error,
                };
                self.sign_in_refused(client, id, error);
            }
            (step, answer) => unreachable!(
                "{:?} is no answer to {:?}",
                discriminant(&answer),
                discriminant(&step)
            ),
        }
    }

    fn register_found(
        &mut self,
        client: ClientId,
        id: u64,
        register: Register,
        found: Registration,
    ) {
        let password = Zeroizing::new(register.pass.clone());
        match found {
            Registration::Free => {
                let step = Step::RegisterHash(register);
                self.sign_in_hash(client, id, step, HashFor::New(password));
            }
            Registration::SameTxn(account) => {
                let hash = Some(account.password_hash.clone());
                let step = Step::RegisterVerify(register, account);
                self.sign_in_hash(client, id, step, HashFor::Known(password, hash));
            }
            Registration::Taken => self.sign_in_refused(client, id, ErrorCode::UserExists),
            Registration::TxnSpent => self.sign_in_refused(client, id, ErrorCode::TxnConflict),
        }
    }

    fn resume_found(
        &mut self,
        (client, id): (ClientId, u64),
        resume: Resume,
        session: Option<LiveSession>,
        at: Cursor,
        sight: Sight,
    ) {
        if Index(at.index) < self.last_ending {
            // The view is older than the end of some session, perhaps of this one.
            return self.resume_lookup(client, id, resume);
        }
        let Some(session) = session else {
            return match sight {
                Sight::Fresh => self.resume_failed(client, id),
                Sight::Own => self.sign_in_refused(client, id, behind()),
            };
        };
        match resume.cur {
            Some(from) => {
                let query = Query::Backlog {
                    user: session.actor.user,
                    after: from,
                    bytes_max: BACKLOG_PAGE_BYTES,
                };
                let step = Step::ResumeBacklog(resume, session, Index(at.index), from, sight);
                self.sign_in_ask(client, id, step, query);
            }
            None => {
                self.resumed(client, id, session, at);
                self.backlog_page(client, Vec::new(), at, false);
            }
        }
    }

    /// No such token. Whoever asks so too often is told so, and no more of it is logged; others of
    /// the address go on resuming, for their tokens are right.
    fn resume_failed(&mut self, client: ClientId, id: u64) {
        if let Err(error) = self.take_address(client) {
            self.metrics.sign_in_failures += 1;
            return self.sign_in_refused(client, id, error);
        }
        self.audit_failure(client, "resume", None);
        self.sign_in_refused(client, id, ErrorCode::Unauthorized);
    }

    fn resumed(&mut self, client: ClientId, id: u64, session: LiveSession, from: Cursor) {
        let LiveSession { actor, name } = session;
        if let Err(error) = self.connection_free(actor.user) {
            return self.sign_in_refused(client, id, error);
        }
        let reply = Reply::Resume(ResumeOk { user: name.clone(), cur: from });
        // What was applied since the tables were asked may concern it.
        let missed = Index(self.applied.index);
        let feed = Feed::CatchingUp { after: from, missed, fetching: false };
        self.signed_in(client, SignedIn { actor, name, feed });
        self.answer(client, id, reply.encode(id));
        self.release_held(client);
    }

    pub(super) fn sign_in_hashed(&mut self, task: SignInTask, hash: String, entropy: &Entropy) {
        let SignInTask { client, id, step } = task;
        let Step::RegisterHash(register) = step else {
            unreachable!("{:?} hashes nothing", discriminant(&step))
        };
        if self.clients.get(client).is_none() {
            return;
        }
        let (session, token) = new_session(entropy, &register.device);
        let operation = Operation::Register {
            name: register.user.clone(),
            password_hash: hash,
            session: Some(session.clone()),
            txn: register.txn,
        };
        let then = Then::SignIn {
            session: session.id,
            token,
            dup: false,
            again: Again::Register(register),
        };
        self.propose(operation, Waiting { client, id, then });
    }

    pub(super) fn sign_in_verified(&mut self, task: SignInTask, right: bool, entropy: &Entropy) {
        let SignInTask { client, id, step } = task;
        if self.clients.get(client).is_none() {
            return;
        }
        let (account, device, replaces, again) = match (step, right) {
            (Step::RegisterVerify(register, account), true) => {
                let device = register.device.clone();
                (account, device, Some(register.txn), Again::Register(register))
            }
            (Step::RegisterVerify(..), false) => {
                return self.sign_in_refused(client, id, ErrorCode::TxnConflict);
            }
            (Step::LoginVerify(login, Some(account)), true) => {
                (account, login.device.clone(), None, Again::Login(login))
            }
            (Step::LoginVerify(_, account), _) => {
                self.audit_failure(client, "login", account.as_ref());
                return self.sign_in_refused(client, id, ErrorCode::WrongCredentials);
            }
            (step, _) => unreachable!("{:?} verifies nothing", discriminant(&step)),
        };
        let dup = replaces.is_some();
        if !dup {
            self.give_back_sign_in(client, &account.name);
        }
        let sign_ins = self.sign_ins.take(&account.user, self.now.instant);
        let allowed = sign_ins.map_err(|wait| rate_limited("sign-ins", wait));
        if let Err(error) = allowed.and_then(|()| self.connection_free(account.user)) {
            return self.sign_in_refused(client, id, error);
        }
        let (session, token) = new_session(entropy, &device);
        let then = Then::SignIn { session: session.id, token, dup, again };
        let operation =
            Operation::SignIn { user: account.user, revision: account.revision, session, replaces };
        self.propose(operation, Waiting { client, id, then });
    }

    /// Each connection of an account costs a line for each of its events.
    fn connection_free(&self, user: UserId) -> Result<(), ErrorReply> {
        match self.clients.of_user(user).len() < CONNECTIONS_MAX {
            true => Ok(()),
            false => Err(rate_limited("connections of this account", CONNECTIONS_AFTER)),
        }
    }

    /// The session is made: the connection is signed in with it.
    pub(super) fn session_made(&mut self, client: ClientId, id: u64, actor: Actor, ok: SignedInOk) {
        log::info!(target: "audit", "signed in user={} address={}", ok.user, self.origin(client));
        let feed = Feed::Live { shown: ok.cur };
        self.signed_in(client, SignedIn { actor, name: ok.user.clone(), feed });
        self.answer(client, id, Reply::Login(ok).encode(id));
        self.release_held(client);
    }

    fn signed_in(&mut self, client: ClientId, signed_in: SignedIn) {
        log::debug!("{client} signed in user={}", signed_in.name);
        self.clients.enter(client, signed_in);
    }

    fn origin(&self, client: ClientId) -> String {
        match self.clients.get(client).map(|client| client.origin) {
            Some(Origin::Network(address)) => address.ip().to_string(),
            Some(Origin::Administration) => "administration".to_owned(),
            None => "-".to_owned(),
        }
    }

    /// Only an account's own name is written down: what else was typed as one could be anything,
    /// a password in the wrong field included.
    pub(super) fn audit_failure(
        &mut self,
        client: ClientId,
        what: &str,
        account: Option<&Account>,
    ) {
        self.metrics.sign_in_failures += 1;
        let name = account.map_or("-", |account| account.name.as_str());
        let address = self.origin(client);
        log::warn!(target: "audit", "{what} refused user={name} address={address}");
    }

    /// Whom the limits of addresses count a connection for.
    pub(super) fn address(&self, client: ClientId) -> Option<IpAddr> {
        match self.clients.get(client)?.origin {
            Origin::Network(address) => Some(address_key(address.ip())),
            Origin::Administration => None,
        }
    }

    fn take_address(&mut self, client: ClientId) -> Result<(), ErrorReply> {
        let Some(address) = self.address(client) else { return Ok(()) };
        let taken = self.address_fails.take(&address, self.now.instant);
        taken.map_err(|wait| rate_limited("sign-ins from this address", wait))
    }

    /// Reserves one failure of the name and of the address; given back when the password was right.
    pub(super) fn take_sign_in(&mut self, client: ClientId, name: &str) -> Result<(), ErrorReply> {
        // What is no name is nobody's, and may be long: it is counted for the address alone.
        if check_name(name).is_err() {
            return self.take_address(client);
        }
        let name = fold_name(name);
        let taken = self.name_fails.take(&name, self.now.instant);
        taken.map_err(|wait| rate_limited("failed sign-ins for this name", wait))?;
        self.take_address(client).inspect_err(|_| {
            self.name_fails.give_back(&name, self.now.instant);
        })
    }

    pub(super) fn give_back_sign_in(&mut self, client: ClientId, name: &str) {
        self.name_fails.give_back(&fold_name(name), self.now.instant);
        if let Some(address) = self.address(client) {
            self.address_fails.give_back(&address, self.now.instant);
        }
    }
}

/// What a hash job is asked.
enum HashFor {
    /// The hash of a new password.
    New(Zeroizing<String>),
    /// Whether this password has this hash.
    Known(Zeroizing<String>, Option<String>),
}

/// What the tables know of a token.
fn token_hash(token: &str) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    hash
}

/// A session out of random bytes, and the token that goes to its client and nowhere else.
fn new_session(entropy: &Entropy, device: &str) -> (NewSession, String) {
    let (id, token) = entropy.0.split_at(16);
    let mut session = [0; 16];
    session.copy_from_slice(id);
    let token = holdfast_common::ids::hex(token);
    let session = NewSession {
        id: holdfast_common::ids::SessionId(session),
        token_hash: token_hash(&token),
        device: device.to_owned(),
    };
    (session, token)
}
