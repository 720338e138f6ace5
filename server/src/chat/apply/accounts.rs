//! Accounts and their sessions.

use holdfast_common::ids::{ConversationId, SessionId, Txn, UserId};
use holdfast_common::protocol::ErrorCode;

use super::{Refusal, Ruled, Step, refuse, ruled};
use crate::chat::operation::{Actor, Ended, Ending, NewSession, Notice, Operation, Success};
use crate::chat::schema::{
    Erasure, SessionRow, TxnAnswer, UserRow, erasure_key, name_key, registration_index_key,
    registration_key, session_key, sessions_of, token_key, user_key,
};
use crate::tables::Fault;

/// Live sessions of one account: whoever signs in on another device ends the oldest. So the list
/// of them fits into a line, and ending all of them into a small entry. Few in tests.
const SESSIONS_MAX: usize = if cfg!(test) { 6 } else { 64 };

impl Step<'_, '_> {
    pub(super) fn register(
        &mut self,
        ts_ms: u64,
        name: String,
        password_hash: String,
        session: Option<NewSession>,
        txn: Txn,
    ) -> Ruled<Success> {
        let registration = registration_key(&name, [0], txn);
        let registered: Option<UserId> = self.batch.row(&registration)?;
        if let Some(user) = registered
            && self.is_repeated(user, &password_hash, session.as_ref())?
        {
            return Ok(Ok(Success::SignedIn { user, name }));
        }
        if registered.is_some() || self.batch.has(&name_key(&name))? {
            // The name was free when it was looked up: what stands there now, perhaps this very
            // registration repeated, is for the accepting server to find out.
            return Ok(Err(Refusal::Stale));
        }
        let user = UserId(self.batch.meta.next_user);
        self.batch.meta.next_user += 1;
        let row = UserRow { name: name.clone(), password_hash, revision: 1 };
        self.batch.put(user_key(user), &row);
        self.batch.put(name_key(&name), &user);
        self.batch.put(registration_index_key(self.entry.index), &registration);
        self.batch.put(registration, &user);
        if let Some(session) = session {
            self.add_session(ts_ms, user, session, Some(txn))?;
        }
        Ok(Ok(Success::SignedIn { user, name }))
    }

    /// Whether this very registration was applied before and still stands. The hash tells: its salt
    /// was drawn for this operation and no other.
    fn is_repeated(
        &self,
        user: UserId,
        password_hash: &str,
        session: Option<&NewSession>,
    ) -> Result<bool, Fault> {
        let Some(row) = self.batch.row::<UserRow>(&user_key(user))? else { return Ok(false) };
        let lives = match session {
            Some(session) => self.batch.has(&session_key(user, session.id))?,
            None => true,
        };
        Ok(lives && row.password_hash == password_hash)
    }

    pub(super) fn sign_in(
        &mut self,
        ts_ms: u64,
        user: UserId,
        revision: u64,
        session: NewSession,
        replaces: Option<Txn>,
    ) -> Ruled<Success> {
        let Some(row) = self.batch.row::<UserRow>(&user_key(user))? else {
            return Ok(Err(Refusal::Stale));
        };
        // A session's id is its sign-in's txn: a repeat makes nothing, and above all it does not
        // bring back a session that was ended meanwhile.
        let (once, digest) = (Txn(session.id.0), short(&session.token_hash));
        if ruled!(self.txn(user, once, digest)).is_some() {
            return match self.batch.has(&session_key(user, session.id))? {
                true => Ok(Ok(Success::SignedIn { user, name: row.name })),
                false => refuse!(Unauthorized),
            };
        }
        if row.revision != revision {
            return Ok(Err(Refusal::Stale));
        }
        self.keep_silent_txn(user, once, digest, TxnAnswer::Plain);
        if let Some(txn) = replaces {
            let made_by = |session: &SessionRow| session.registered == Some(txn);
            let ended = self.end_sessions(user, |_, session| made_by(session))?;
            self.ended(user, Ended::These(ended), Ending::Revoked);
        }
        self.add_session(ts_ms, user, session, replaces)?;
        Ok(Ok(Success::SignedIn { user, name: row.name }))
    }

    fn add_session(
        &mut self,
        ts_ms: u64,
        user: UserId,
        session: NewSession,
        registered: Option<Txn>,
    ) -> Result<(), Fault> {
        let NewSession { id, token_hash, device } = session;
        let index = self.entry.index;
        let row = SessionRow { token_hash, device, created_ms: ts_ms, index, registered };
        self.batch.put(session_key(user, id), &row);
        self.batch.put(token_key(&token_hash), &Actor { user, session: id });
        self.end_oldest_sessions(user)
    }

    /// Ends what an account has beyond [`SESSIONS_MAX`], the oldest first.
    fn end_oldest_sessions(&mut self, user: UserId) -> Result<(), Fault> {
        let mut by_age = Vec::new();
        let prefix = sessions_of(user);
        for key in self.batch.keys(&prefix, &prefix, usize::MAX)? {
            let row = self.batch.shared_row::<SessionRow>(&key)?;
            by_age.extend(row.map(|row| row.index));
        }
        if by_age.len() <= SESSIONS_MAX {
            return Ok(());
        }
        by_age.sort_unstable();
        let first_kept = by_age[by_age.len() - SESSIONS_MAX];
        let ended = self.end_sessions(user, |_, session| session.index < first_kept)?;
        self.ended(user, Ended::These(ended), Ending::Revoked);
        Ok(())
    }

    /// Removes the sessions of an account for which `which` says so.
    fn end_sessions(
        &mut self,
        user: UserId,
        which: impl Fn(SessionId, &SessionRow) -> bool,
    ) -> Result<Vec<SessionId>, Fault> {
        let mut ended = Vec::new();
        let prefix = sessions_of(user);
        for key in self.batch.keys(&prefix, &prefix, usize::MAX)? {
            let mut id = [0; 16];
            id.copy_from_slice(&key[prefix.len()..]);
            let Some(row) = self.batch.row::<SessionRow>(&key)? else { continue };
            if which(SessionId(id), &row) {
                self.remove_token(user, &row)?;
                self.batch.remove(key);
                ended.push(SessionId(id));
            }
        }
        Ok(ended)
    }

    /// Removes a session's token, unless it is another account's by now: a registration repeated
    /// after months, its txn forgotten and its account deleted, brings the same one.
    pub(super) fn remove_token(&mut self, user: UserId, session: &SessionRow) -> Result<(), Fault> {
        let key = token_key(&session.token_hash);
        if self.batch.row::<Actor>(&key)?.is_some_and(|holder| holder.user == user) {
            self.batch.remove(key);
        }
        Ok(())
    }

    fn ended(&mut self, user: UserId, sessions: Ended, reason: Ending) {
        if sessions != Ended::These(Vec::new()) {
            self.notices.push(Notice::Ended { user, sessions, reason });
        }
    }

    pub(super) fn logout(&mut self, actor: Actor) -> Ruled<Success> {
        ruled!(self.actor(actor));
        let ended = self.end_sessions(actor.user, |id, _| id == actor.session)?;
        self.ended(actor.user, Ended::These(ended), Ending::LoggedOut);
        Ok(Ok(Success::Plain))
    }

    pub(super) fn revoke(&mut self, actor: Actor, sessions: &[SessionId]) -> Ruled<Success> {
        ruled!(self.actor(actor));
        let ended = self.end_sessions(actor.user, |id, _| sessions.contains(&id))?;
        self.ended(actor.user, Ended::These(ended), Ending::Revoked);
        Ok(Ok(Success::Plain))
    }

    pub(super) fn change_password(
        &mut self,
        actor: Actor,
        revision: u64,
        password_hash: String,
    ) -> Ruled<Success> {
        let row = ruled!(self.actor(actor));
        if row.password_hash == password_hash {
            // Repeated: nobody else drew this salt.
            return Ok(Ok(Success::Plain));
        }
        if row.revision != revision {
            return Ok(Err(Refusal::Stale));
        }
        self.set_password(actor.user, row, password_hash);
        self.end_sessions(actor.user, |id, _| id != actor.session)?;
        self.ended(actor.user, Ended::AllBut(actor.session), Ending::Revoked);
        Ok(Ok(Success::Plain))
    }

    fn set_password(&mut self, user: UserId, row: UserRow, password_hash: String) {
        let row = UserRow { password_hash, revision: row.revision + 1, ..row };
        self.batch.put(user_key(user), &row);
    }

    pub(super) fn admin_reset_password(
        &mut self,
        user: UserId,
        password_hash: String,
    ) -> Ruled<Success> {
        let Some(row) = self.batch.row::<UserRow>(&user_key(user))? else { refuse!(NoSuchUser) };
        if row.password_hash == password_hash {
            // Repeated; whoever has signed in since stays.
            return Ok(Ok(Success::Plain));
        }
        self.set_password(user, row, password_hash);
        self.end_sessions(user, |_, _| true)?;
        self.ended(user, Ended::All, Ending::Revoked);
        Ok(Ok(Success::Plain))
    }

    pub(super) fn delete_account(&mut self, actor: Actor, revision: u64) -> Ruled<Success> {
        let row = ruled!(self.actor(actor));
        if row.revision != revision {
            return Ok(Err(Refusal::Stale));
        }
        self.remove_account(actor.user, &row);
        Ok(Ok(Success::Plain))
    }

    pub(super) fn admin_delete_user(&mut self, user: UserId) -> Ruled<Success> {
        let Some(row) = self.batch.row::<UserRow>(&user_key(user))? else { refuse!(NoSuchUser) };
        self.remove_account(user, &row);
        Ok(Ok(Success::Plain))
    }

    /// From here on the account is gone: its name is free, its sessions are dead, and whatever it
    /// wrote is shown as deleted, because each of these asks for the account's row. The rows
    /// themselves go in the entries that follow.
    fn remove_account(&mut self, user: UserId, row: &UserRow) {
        self.batch.remove(user_key(user));
        self.batch.remove(name_key(&row.name));
        self.batch.put(erasure_key(user), &Erasure::Telling(ConversationId(0)));
        self.ended(user, Ended::All, Ending::Deleted);
        self.notices.push(Notice::FollowUp(Operation::Erase { user }));
        self.notices.push(Notice::Erasable);
    }
}

/// The first half of a hash, which is as good as all of it to tell two sessions apart.
fn short(hash: &[u8; 32]) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&hash[..16]);
    short
}
