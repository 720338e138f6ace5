//! Questions about accounts and sessions, and the door to all questions.

use std::ops::ControlFlow;

use holdfast_common::ids::{Cursor, SessionId, Txn, UserId};
use holdfast_common::protocol::{
    ErrorCode, LINE_BYTES_MAX, Reply, SessionView, SessionsOk, USERS_PAGE_MAX, UserView, Users,
    UsersOk, fold_name,
};

use super::{Account, Answer, LiveSession, Query, RecipientAnswer, Registration};
use crate::chat::operation::{Actor, Operation};
use crate::chat::schema::{
    PRUNING, SessionRow, TxnRow, UserRow, decode, end_of, meta, name_key, number_at,
    registration_key, row, session_key, sessions_of, token_key, txn_key, user_key,
};
use crate::tables::{Fault, Order, Read};

/// A line's own part around a page of things.
const ENVELOPE_BYTES: usize = 256;

/// Answers `query` from `rows`; with it goes the place (generation and applied index) of the view.
///
/// # Errors
/// [`Fault`] when the rows cannot be read.
pub fn answer(rows: &dyn Read, query: &Query) -> Result<(Answer, Cursor), Fault> {
    let meta = meta(rows)?;
    let at = Cursor { generation: meta.ballot.generation, index: meta.applied.0 };
    let answer = match query {
        Query::AccountByName(name) => {
            let user = row(rows, &name_key(name))?;
            Answer::Account(user.map(|user| account(rows, user)).transpose()?.flatten())
        }
        Query::AccountById(user) => Answer::Account(account(rows, *user)?),
        Query::Registration { name, txn } => Answer::Registration(registration(rows, name, *txn)?),
        Query::Token(hash) => Answer::Session(session(rows, hash)?),
        Query::Recipient { user, to, txn, digest } => {
            Answer::Recipient(recipient(rows, *user, to, *txn, *digest)?)
        }
        Query::OtherSessions(actor) => {
            let sessions = sessions(rows, actor.user)?.into_iter().map(|(id, _)| id);
            Answer::Sessions(sessions.filter(|id| *id != actor.session).collect())
        }
        Query::Sessions(actor) => Answer::Reply(Reply::Sessions(sessions_reply(rows, *actor)?)),
        Query::Users(page) => Answer::Reply(Reply::Users(users(rows, page)?)),
        Query::Conversations(user, page) => super::messages::conversations(rows, *user, page, at)?,
        Query::History(user, page) => super::messages::history(rows, *user, page)?,
        Query::Backlog { user, after, bytes_max } => {
            super::backlog::backlog(rows, &meta, *user, *after, *bytes_max)?
        }
        Query::FollowUps => Answer::FollowUps(follow_ups(rows)?, meta.ran_ms),
    };
    Ok((answer, at))
}

/// How many of `items` fit into one line, each counted as `bytes_of` says.
pub(super) fn fitting<T: serde::Serialize>(items: &[T]) -> usize {
    let mut bytes = ENVELOPE_BYTES;
    let fits = |item: &&T| {
        bytes += serde_json::to_vec(item).map_or(LINE_BYTES_MAX, |json| json.len() + 1);
        bytes <= LINE_BYTES_MAX
    };
    items.iter().take_while(fits).count()
}

fn account(rows: &dyn Read, user: UserId) -> Result<Option<Account>, Fault> {
    let found: Option<UserRow> = row(rows, &user_key(user))?;
    Ok(found.map(|row| Account {
        user,
        name: row.name,
        password_hash: row.password_hash,
        revision: row.revision,
    }))
}

/// The name of an account that is still there.
pub(super) fn name_of(rows: &dyn Read, user: UserId) -> Result<Option<String>, Fault> {
    Ok(row::<UserRow>(rows, &user_key(user))?.map(|user| user.name))
}

fn registration(rows: &dyn Read, name: &str, txn: Txn) -> Result<Registration, Fault> {
    let holder: Option<UserId> = row(rows, &name_key(name))?;
    let registered: Option<UserId> = row(rows, &registration_key(name, [0], txn))?;
    Ok(match (holder, registered) {
        (None, None) => Registration::Free,
        (Some(_), None) => Registration::Taken,
        (Some(holder), Some(registered)) if holder == registered => {
            account(rows, holder)?.map_or(Registration::TxnSpent, Registration::SameTxn)
        }
        (_, Some(_)) => Registration::TxnSpent,
    })
}

fn session(rows: &dyn Read, hash: &[u8; 32]) -> Result<Option<LiveSession>, Fault> {
    let Some(actor) = row::<Actor>(rows, &token_key(hash))? else { return Ok(None) };
    let lives = rows.get(&session_key(actor.user, actor.session))?.is_some();
    let name = name_of(rows, actor.user)?;
    Ok(name.filter(|_| lives).map(|name| LiveSession { actor, name }))
}

fn recipient(
    rows: &dyn Read,
    user: UserId,
    to: &str,
    txn: Txn,
    digest: [u8; 16],
) -> Result<RecipientAnswer, Fault> {
    // The txn first: whoever has the name now, a repeat gets the first result.
    match row::<TxnRow>(rows, &txn_key(user, txn))? {
        Some(known) if known.digest == digest => {
            return Ok(RecipientAnswer::Answered(known.answer.repeated()));
        }
        Some(_) => return Ok(RecipientAnswer::Refused(ErrorCode::TxnConflict)),
        None => {}
    }
    let found: Option<UserId> = row(rows, &name_key(to))?;
    Ok(found.map_or(RecipientAnswer::Refused(ErrorCode::NoSuchUser), RecipientAnswer::User))
}

/// The sessions of an account, oldest first.
fn sessions(rows: &dyn Read, user: UserId) -> Result<Vec<(SessionId, SessionRow)>, Fault> {
    let prefix = sessions_of(user);
    let mut found: Vec<(SessionId, SessionRow)> = Vec::new();
    rows.try_range(&prefix, &end_of(&prefix), Order::Ascending, &mut |key, value| {
        let mut id = [0; 16];
        id.copy_from_slice(&key[prefix.len()..]);
        found.push((SessionId(id), decode(value)?));
        Ok(ControlFlow::Continue(()))
    })?;
    found.sort_by_key(|(_, row)| row.index);
    Ok(found)
}

fn sessions_reply(rows: &dyn Read, actor: Actor) -> Result<SessionsOk, Fault> {
    let view = |(session, row): (SessionId, SessionRow)| SessionView {
        session,
        device: row.device,
        created: row.created_ms,
        this: session == actor.session,
    };
    let mut sessions: Vec<SessionView> =
        sessions(rows, actor.user)?.into_iter().map(view).collect();
    // Hundreds of devices do not fit into a line: the newest are the ones that matter.
    sessions.reverse();
    sessions.truncate(fitting(&sessions));
    sessions.reverse();
    Ok(SessionsOk { sessions })
}

fn users(rows: &dyn Read, page: &Users) -> Result<UsersOk, Fault> {
    let limit = page.limit.map_or(USERS_PAGE_MAX, |limit| limit as usize).clamp(1, USERS_PAGE_MAX);
    let prefix = name_key(&page.prefix);
    let from = match &page.after {
        // The first key behind that name's own.
        Some(after) => prefix.clone().max([name_key(after), vec![0]].concat()),
        None => prefix.clone(),
    };
    let mut found = Vec::new();
    rows.range(&from, &end_of(&prefix), Order::Ascending, &mut |_, value| {
        found.push(decode::<UserId>(value));
        if found.len() <= limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let more = found.len() > limit;
    let mut users = Vec::new();
    for user in found.into_iter().take(limit) {
        if let Some(user) = name_of(rows, user?)? {
            users.push(UserView { user });
        }
    }
    debug_assert!(users.iter().all(|u| fold_name(&u.user).starts_with(&fold_name(&page.prefix))));
    Ok(UsersOk { users, more })
}

/// What a crash, or a change of primary, left half done.
fn follow_ups(rows: &dyn Read) -> Result<Vec<Operation>, Fault> {
    let mut operations = Vec::new();
    rows.range(b"x", b"y", Order::Ascending, &mut |key, _| {
        operations.push(Operation::Erase { user: UserId(number_at(key, 1)) });
        ControlFlow::Continue(())
    })?;
    if rows.get(PRUNING)?.is_some() {
        operations.push(Operation::Prune);
    }
    Ok(operations)
}
