//! What a command asks of a server and what is not kept over a restart: questions, and the writes
//! that concern the account itself.
//!
//! Owns: how often each was tried. Driven by: `commands`, `pump` and `reply`. Invariant: each is
//! answered once, by a reply or by a failure; while no server answers at all they fail at the end
//! of a round of dialling, because whoever asked waits for it.

use std::time::{Duration, Instant};

use super::Engine;
use super::link::Purpose;
use crate::client::{Answer, CommandId, Failure, Question, SignedOut, Update, Write};
use crate::config::Secret;
use crate::ids::Txn;
use crate::protocol::{
    DeleteAccount, Empty, ErrorCode, ErrorReply, Passwd, Reply, Request, Retry, Revoke,
    RevokeTarget,
};

/// A server may say "later" or "elsewhere" this often before the person is told so.
const TRIES_MAX: u32 = 5;
/// How long to wait where a server asked to, without saying how long.
pub(super) const LATER: Duration = Duration::from_secs(1);
/// How long to wait before asking again when the cluster is in the middle of something.
pub(super) const SOON: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) command: CommandId,
    pub(super) what: Asked,
    pub(super) not_before: Option<Instant>,
    /// How often it was sent: more than once means that an earlier try may have taken effect.
    sent: u32,
    put_off: u32,
}

#[derive(Debug)]
pub(super) enum Asked {
    Question(Question),
    Passwd {
        old: Secret,
        new: Secret,
        /// An earlier try may have succeeded: asking with the new one as the old tells.
        is_check: bool,
    },
    Revoke(RevokeTarget),
    SignOut,
    DeleteAccount {
        pass: Secret,
        txn: Txn,
    },
}

impl Ask {
    pub(super) fn new(command: CommandId, what: Asked) -> Ask {
        Ask { command, what, not_before: None, sent: 0, put_off: 0 }
    }

    fn needs_session(&self) -> bool {
        !matches!(self.what, Asked::Question(Question::Status))
    }

    fn request(&self) -> Request {
        match &self.what {
            Asked::Question(Question::Users(users)) => Request::Users(users.clone()),
            Asked::Question(Question::Conversations(page)) => Request::Conversations(page.clone()),
            Asked::Question(Question::History(history)) => Request::History(history.clone()),
            Asked::Question(Question::Sessions) => Request::Sessions(Empty {}),
            Asked::Question(Question::Status) => Request::Status(Empty {}),
            Asked::Passwd { old, new, is_check } => Request::Passwd(Passwd {
                old: if *is_check { new } else { old }.expose().to_owned(),
                new: new.expose().to_owned(),
            }),
            Asked::Revoke(session) => Request::Revoke(Revoke { session: *session }),
            Asked::SignOut => Request::Logout(Empty {}),
            Asked::DeleteAccount { pass, txn } => {
                Request::DeleteAccount(DeleteAccount { pass: pass.expose().to_owned(), txn: *txn })
            }
        }
    }

    pub(super) fn op(&self) -> &'static str {
        match &self.what {
            Asked::Question(Question::Users(_)) => "users",
            Asked::Question(Question::Conversations(_)) => "conversations",
            Asked::Question(Question::History(_)) => "history",
            Asked::Question(Question::Sessions) => "sessions",
            Asked::Question(Question::Status) => "status",
            Asked::Passwd { .. } => "passwd",
            Asked::Revoke(_) => "revoke",
            Asked::SignOut => "logout",
            Asked::DeleteAccount { .. } => "delete_account",
        }
    }
}

impl Engine {
    /// Takes a command's question. Where no server has answered for a whole round, and the next one
    /// is not under way, whoever asked is told at once.
    pub(super) fn ask(&mut self, command: CommandId, what: Asked) {
        let ask = Ask::new(command, what);
        if ask.needs_session() && !self.is_signed_in() {
            return self.answer(command, Err(Failure::NotSignedIn));
        }
        match self.net.failed_state() {
            Some(tried) => {
                let failure = Failure::NoServer(tried.clone());
                if matches!(ask.what, Asked::SignOut) {
                    return self.signed_out_here(command);
                }
                self.answer(command, Err(failure));
            }
            None => self.asks.push_back(ask),
        }
    }

    pub(super) fn pump_asks(&mut self) {
        let now = self.instant();
        let signed_in = self.is_signed_in_now();
        let mut at = 0;
        while at < self.asks.len() && self.has_room() {
            let ask = &self.asks[at];
            let is_due = ask.not_before.is_none_or(|due| due <= now);
            if !is_due || (ask.needs_session() && !signed_in) {
                at += 1;
                continue;
            }
            let Some(mut ask) = self.asks.remove(at) else { return };
            ask.sent += 1;
            let request = ask.request();
            self.request(Purpose::Ask(Box::new(ask)), &request);
        }
    }

    pub(super) fn ask_answered(&mut self, ask: Ask, reply: Reply) {
        let Ask { command, what, .. } = ask;
        let answer = match what {
            Asked::SignOut => return self.signed_out_here(command),
            Asked::DeleteAccount { .. } => return self.account_deleted(Some(command)),
            Asked::Question(_) => {
                if let Reply::Status(status) = &reply {
                    self.effects.update(Update::Cluster(status.clone()));
                }
                Answer::Reply(reply)
            }
            Asked::Passwd { .. } | Asked::Revoke(_) => Answer::Done,
        };
        self.answer(command, Ok(answer));
    }

    pub(super) fn ask_refused(&mut self, mut ask: Ask, error: ErrorReply) {
        ask.put_off += 1;
        let wait = |default: Duration| error.after_ms.map_or(default, Duration::from_millis);
        let now = self.instant();
        match error.retry {
            Retry::Later if ask.put_off < TRIES_MAX => ask.not_before = Some(now + wait(LATER)),
            Retry::Elsewhere if ask.put_off < TRIES_MAX => {
                ask.not_before = Some(now + wait(SOON));
                self.scout();
            }
            Retry::SameTxn if ask.put_off < TRIES_MAX => ask.not_before = Some(now + SOON),
            Retry::Auth if matches!(ask.what, Asked::DeleteAccount { .. }) && ask.sent > 1 => {
                return self.account_deleted(Some(ask.command));
            }
            Retry::Auth => {
                let command = ask.command;
                self.answer(command, Err(Failure::NotSignedIn));
                return self.session_ended(SignedOut::Ended);
            }
            Retry::Later | Retry::Elsewhere | Retry::SameTxn | Retry::Never => {
                match &mut ask.what {
                    Asked::Passwd { is_check, .. }
                        if error.code == ErrorCode::WrongCredentials
                            && ask.sent > 1
                            && !*is_check =>
                    {
                        *is_check = true;
                    }
                    Asked::SignOut => return self.signed_out_here(ask.command),
                    Asked::DeleteAccount { .. } => return self.deletion_refused(&ask, error),
                    Asked::Question(_) | Asked::Passwd { .. } | Asked::Revoke(_) => {
                        return self.answer(ask.command, Err(Failure::Refused(error)));
                    }
                }
            }
        }
        self.asks.push_back(ask);
    }

    fn deletion_refused(&mut self, ask: &Ask, error: ErrorReply) {
        if let Some(place) = &mut self.place {
            place.deletion = None;
            self.effects.write(Write::Deletion(None));
        }
        self.answer(ask.command, Err(Failure::Refused(error)));
    }

    /// Whether an account's deletion was sent and not answered: a session that ended means it is
    /// done.
    pub(super) fn take_deletion_under_way(&mut self) -> Option<CommandId> {
        let is_deletion =
            |ask: &Ask| matches!(ask.what, Asked::DeleteAccount { .. }) && ask.sent > 0;
        let at = self.asks.iter().position(is_deletion)?;
        self.asks.remove(at).map(|ask| ask.command)
    }

    /// Whether a deletion was asked for, now or by a former life, and nothing was heard of it.
    pub(super) fn has_asked_deletion(&self) -> bool {
        let waits = |ask: &Ask| matches!(ask.what, Asked::DeleteAccount { .. });
        // One that waits here was never sent: `take_deletion_under_way` has looked.
        self.place.as_ref().is_some_and(|place| place.deletion.is_some())
            && !self.asks.iter().any(waits)
    }

    pub(super) fn fail_asks(&mut self, failure: &Failure) {
        for ask in std::mem::take(&mut self.asks) {
            if matches!((&ask.what, failure), (Asked::SignOut, Failure::NoServer(_))) {
                self.signed_out_here(ask.command);
                continue;
            }
            self.answer(ask.command, Err(failure.clone()));
        }
    }
}
