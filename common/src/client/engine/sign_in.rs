//! Who is signed in: register, login, resume, and the ways in which a session ends.
//!
//! Owns: the session's state, and the password while a sign-in is under way, no longer. Driven by:
//! `commands`, `connect` (a link is there) and `reply`. Invariants: a registration's txn is stored
//! before it is sent and used for every repeat; a session that ended takes neither drafts nor the
//! outbox with it.

use std::time::{Duration, Instant};

use super::asks::{LATER, SOON};
use super::link::Purpose;
use super::place::Place;
use super::{Engine, Nonsense};
use crate::client::{
    Account, AccountKey, Answer, CommandId, Effect, Failure, Load, RegistrationRecord,
    SessionState, SignedOut, Write,
};
use crate::config::Secret;
use crate::ids::Txn;
use crate::protocol::{
    ErrorCode, ErrorReply, Login, Register, Request, Resume, ResumeOk, Retry, SignedInOk, fold_name,
};

/// A sign-in is sent elsewhere this often before the person is told.
const TRIES_MAX: u32 = 5;

#[derive(Debug)]
pub(super) enum Session {
    Out,
    Signing(Box<SignIn>),
    /// The place has a token.
    In,
}

/// A sign-in with a password under way.
#[derive(Debug)]
pub(super) struct SignIn {
    pub(super) command: CommandId,
    pub(super) user: String,
    pub(super) pass: Secret,
    pub(super) is_new: bool,
    not_before: Option<Instant>,
    tries: u32,
    /// What the server answered, while the account's place is being read.
    ok: Option<SignedInOk>,
}

impl Session {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Session::Signing(sign_in) => sign_in.not_before,
            Session::Out | Session::In => None,
        }
    }
}

impl Engine {
    pub(super) fn is_signed_in(&self) -> bool {
        matches!(self.session, Session::In)
    }

    pub(super) fn sign_in(&mut self, command: CommandId, user: String, pass: Secret, is_new: bool) {
        if self.is_signed_in() {
            return self.answer(command, Err(Failure::AlreadySignedIn));
        }
        self.cancel_sign_in();
        self.tell_session(SessionState::SigningIn { user: user.clone() });
        let (not_before, tries, ok) = (None, 0, None);
        let sign_in = SignIn { command, user, pass, is_new, not_before, tries, ok };
        self.session = Session::Signing(Box::new(sign_in));
        // A person waits: whatever the backoff says.
        self.dial_now();
    }

    pub(super) fn resume(&mut self, command: CommandId) {
        if self.is_signed_in() {
            return self.answer(command, Err(Failure::AlreadySignedIn));
        }
        let Some(place) = self.place.as_mut().filter(|place| place.token.is_some()) else {
            return self.answer(command, Err(Failure::NotSignedIn));
        };
        place.resume = Some(command);
        let (user, cluster) = (place.user.clone(), place.key.cluster.clone());
        self.cancel_sign_in();
        self.session = Session::In;
        self.tell_session(SessionState::SignedIn { user, cluster });
    }

    pub(super) fn cancel_sign_in(&mut self) {
        self.sign_in_failed(&Failure::Cancelled);
    }

    fn sign_in_failed(&mut self, failure: &Failure) {
        if let Session::Signing(sign_in) = &self.session {
            let command = sign_in.command;
            self.session = Session::Out;
            if self.net.link.as_ref().is_some_and(|link| link.signing_in) {
                // Its answer would sign us in after all.
                self.hang_up();
            }
            self.answer(command, Err(failure.clone()));
            self.tell_session(SessionState::SignedOut(SignedOut::ByPerson));
        }
    }

    /// A whole round of dialling brought nothing, or a person must decide: whoever waits is told.
    pub(super) fn nobody_answers(&mut self, failure: &Failure) {
        self.sign_in_failed(failure);
        self.fail_asks(failure);
        if let Some(command) = self.place.as_mut().and_then(|place| place.resume.take()) {
            self.answer(command, Err(failure.clone()));
        }
    }

    /// The link is new, or free for another try.
    pub(super) fn start_on_link(&mut self) {
        match self.session {
            Session::In => self.send_resume(),
            Session::Out | Session::Signing(_) => self.tell_connected(),
        }
    }

    /// Sends the sign-in that waits, if there is one.
    pub(super) fn pump_sign_in(&mut self) {
        let now = self.instant();
        let Session::Signing(sign_in) = &mut self.session else { return };
        let Some(link) = self.net.link.as_mut() else { return };
        let is_due = sign_in.not_before.is_none_or(|due| due <= now);
        if link.signing_in || sign_in.ok.is_some() || !is_due {
            return;
        }
        if link.cluster.is_empty() {
            // It was asked how it is, and has no cluster to sign in to: is there another?
            self.leave_link();
            return self.dial_now();
        }
        sign_in.not_before = None;
        link.signing_in = true;
        let (user, pass) = (sign_in.user.clone(), sign_in.pass.expose().to_owned());
        let device = self.settings.device.clone();
        let request = if sign_in.is_new {
            let account = AccountKey { cluster: link.cluster.clone(), user: fold_name(&user) };
            let txn = self.registration_txn(account);
            Request::Register(Register { user, pass, device, txn })
        } else {
            Request::Login(Login { user, pass, device })
        };
        self.request(Purpose::SignIn, &request);
    }

    /// The txn of a registration without an answer is used again, whatever happened in between.
    fn registration_txn(&mut self, account: AccountKey) -> Txn {
        if let Some(known) = &self.home.registration
            && known.account == account
        {
            return known.txn;
        }
        let record = RegistrationRecord { account, txn: self.random.txn() };
        let txn = record.txn;
        self.home.registration = Some(record.clone());
        self.effects.write(Write::Registration(Some(record)));
        txn
    }

    fn forget_registration(&mut self) {
        if self.home.registration.take().is_some() {
            self.effects.write(Write::Registration(None));
        }
    }

    pub(super) fn signed_in(&mut self, ok: SignedInOk) -> Result<(), Nonsense> {
        let Session::Signing(sign_in) = &mut self.session else { return Ok(()) };
        let Some(link) = self.net.link.as_mut() else { return Ok(()) };
        let user = fold_name(&ok.user);
        if user != fold_name(&sign_in.user) {
            return Err(Nonsense::new("signed in as somebody else"));
        }
        let key = AccountKey { cluster: link.cluster.clone(), user };
        link.signing_in = false;
        link.signed_in = true;
        sign_in.ok = Some(ok);
        if self.place.as_ref().is_some_and(|place| place.key == key) {
            self.begin_session();
        } else {
            self.abandon_place();
            self.effects.push(Effect::Load(Load::Account(key)));
        }
        Ok(())
    }

    /// Another account is used from now on: what waited for the old one's answers is told so. Its
    /// outbox stays in its own place.
    fn abandon_place(&mut self) {
        if let Some(place) = self.place.take() {
            for command in place.outbox.commands() {
                self.answer(command, Err(Failure::NotSignedIn));
            }
            self.effects.update(crate::client::Update::CacheDropped);
            for txn in place.outbox.txns() {
                self.effects.update(crate::client::Update::OutboxRemoved(txn));
            }
            for to in place.drafts {
                self.effects.update(crate::client::Update::Draft(to, String::new()));
            }
        }
    }

    pub(super) fn account_loaded(&mut self, account: Account) {
        self.place = Some(Place::new(account, &mut self.effects));
        self.begin_session();
    }

    fn begin_session(&mut self) {
        let Session::Signing(sign_in) = &mut self.session else { return };
        let (command, Some(ok)) = (sign_in.command, sign_in.ok.take()) else { return };
        self.session = Session::In;
        let Some(place) = self.place.as_mut() else { return };
        place.begin(&ok, &mut self.effects);
        let key = place.key.clone();
        self.home.last = Some(key.clone());
        self.effects.write(Write::Last(Some(key.clone())));
        self.forget_registration();
        let (user, cluster) = (ok.user, key.cluster);
        self.tell_session(SessionState::SignedIn { user: user.clone(), cluster });
        self.answer(command, Ok(Answer::SignedIn(user)));
    }

    pub(super) fn sign_in_refused(&mut self, error: ErrorReply) {
        let now = self.instant();
        if let Some(link) = &mut self.net.link {
            link.signing_in = false;
        }
        let Session::Signing(sign_in) = &mut self.session else { return };
        let wait = |default: Duration| error.after_ms.map_or(default, Duration::from_millis);
        let is_new = sign_in.is_new;
        sign_in.tries += 1;
        let may_retry = sign_in.tries < TRIES_MAX;
        match (error.code, error.retry) {
            // The earlier try with this txn had another password: this one is a registration of its
            // own.
            (ErrorCode::TxnConflict, _) if is_new && may_retry => self.forget_registration(),
            // A person should see how long to wait, rather than a sign-in that hangs.
            (ErrorCode::RateLimited, _) => self.sign_in_failed(&Failure::Refused(error)),
            (_, Retry::Later) if may_retry => sign_in.not_before = Some(now + wait(LATER)),
            (_, Retry::SameTxn) if may_retry => sign_in.not_before = Some(now + SOON),
            (_, Retry::Elsewhere) if may_retry => {
                sign_in.not_before = Some(now + wait(SOON));
                self.leave_link();
            }
            (_, Retry::Never | Retry::Auth) => {
                if is_new {
                    self.forget_registration();
                }
                self.sign_in_failed(&Failure::Refused(error));
            }
            (_, Retry::Later | Retry::SameTxn | Retry::Elsewhere) => {
                self.sign_in_failed(&Failure::Refused(error));
            }
        }
    }

    fn send_resume(&mut self) {
        let Some(link) = self.net.link.as_mut() else { return };
        let Some(place) = &self.place else { return };
        let Some(token) = &place.token else { return };
        link.signing_in = true;
        let request = Resume { token: token.expose().to_owned(), cur: place.cursor };
        self.request(Purpose::Resume, &Request::Resume(request));
    }

    pub(super) fn resumed(&mut self, ok: ResumeOk) -> Result<(), Nonsense> {
        let Some(place) = &mut self.place else { return Ok(()) };
        if fold_name(&ok.user) != place.key.user {
            return Err(Nonsense::new("resumed somebody else's session"));
        }
        if let Some(link) = &mut self.net.link {
            link.signing_in = false;
            link.signed_in = true;
        }
        place.resumed(&ok, &mut self.effects);
        let command = place.resume.take();
        self.tell_connected();
        if let Some(command) = command {
            self.answer(command, Ok(Answer::SignedIn(ok.user)));
        }
        Ok(())
    }

    pub(super) fn resume_refused(&mut self, error: ErrorReply) {
        if let Some(link) = &mut self.net.link {
            link.signing_in = false;
        }
        let Some(place) = &mut self.place else { return };
        match (error.code, error.retry) {
            (ErrorCode::CursorExpired, _) if place.cursor.is_some() => {
                place.drop_cache(&mut self.effects);
                self.send_resume();
            }
            (_, Retry::Auth) => match self.take_deletion_under_way() {
                Some(command) => self.account_deleted(Some(command)),
                // By a life of this program that ended before it heard.
                None if self.has_asked_deletion() => self.account_deleted(None),
                None => self.session_ended(SignedOut::Ended),
            },
            (_, Retry::Never | Retry::Later | Retry::Elsewhere | Retry::SameTxn) => {
                self.leave_link();
            }
        }
    }

    /// The session is no more; what was typed and not sent stays.
    pub(super) fn session_ended(&mut self, why: SignedOut) {
        if !self.is_signed_in() {
            return;
        }
        self.hang_up();
        self.session = Session::Out;
        if let Some(place) = &mut self.place {
            place.token = None;
            self.effects.write(Write::Token(None));
        }
        self.nobody_answers(&Failure::NotSignedIn);
        self.tell_session(SessionState::SignedOut(why));
    }

    /// The person signed out: what was cached goes from this device.
    pub(super) fn signed_out_here(&mut self, command: CommandId) {
        if let Some(place) = &mut self.place {
            place.drop_cache(&mut self.effects);
        }
        self.home.last = None;
        self.effects.write(Write::Last(None));
        self.session_ended(SignedOut::ByPerson);
        self.answer(command, Ok(Answer::Done));
    }

    /// The account is gone, by this person's word, and with it everything stored of it here.
    pub(super) fn account_deleted(&mut self, command: Option<CommandId>) {
        self.session_ended(SignedOut::AccountDeleted);
        self.abandon_place();
        self.home.last = None;
        self.effects.write(Write::AccountDropped);
        self.effects.write(Write::Last(None));
        if let Some(command) = command {
            self.answer(command, Ok(Answer::Done));
        }
    }

    /// A server says that the account was deleted: by us, or by somebody else.
    pub(super) fn account_gone(&mut self) {
        self.hang_up();
        match self.take_deletion_under_way() {
            Some(command) => self.account_deleted(Some(command)),
            None if self.has_asked_deletion() => self.account_deleted(None),
            None => self.session_ended(SignedOut::AccountDeleted),
        }
    }
}
