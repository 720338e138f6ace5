//! Questions about accounts and sessions.

use std::ops::ControlFlow;

use holdfast_common::ids::{SessionId, Txn, UserId};
use holdfast_common::protocol::{
    ErrorCode, LINE_BYTES_MAX, SessionView, SessionsOk, USERS_PAGE_MAX, UserView, Users, UsersOk,
    fold_name,
};

use super::{Account, LiveSession, RecipientAnswer, Registration};
use crate::chat::operation::{Actor, Operation};
use crate::chat::schema::{
    PRUNING, SessionRow, TxnRow, UserRow, decode, end_of, name_key, number_at, registration_key,
    row, session_key, sessions_of, token_key, txn_key, user_key,
};
use crate::tables::{Fault, Order, Read};

/// A line's own part around a page of things.
const ENVELOPE_BYTES: usize = 256;

/// How many of `items` fit into one line, each counted as `bytes_of` says.
pub(super) fn fitting<T: serde::Serialize>(items: &[T]) -> usize {
    let mut bytes = ENVELOPE_BYTES;
    let fits = |item: &&T| {
        bytes += serde_json::to_vec(item).map_or(LINE_BYTES_MAX, |json| json.len() + 1);
        bytes <= LINE_BYTES_MAX
    };
    items.iter().take_while(fits).count()
}

pub(super) fn account(rows: &dyn Read, user: UserId) -> Result<Option<Account>, Fault> {
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

pub(super) fn registration(rows: &dyn Read, name: &str, txn: Txn) -> Result<Registration, Fault> {
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

pub(super) fn session(rows: &dyn Read, hash: &[u8; 32]) -> Result<Option<LiveSession>, Fault> {
    let Some(actor) = row::<Actor>(rows, &token_key(hash))? else { return Ok(None) };
    let lives = rows.get(&session_key(actor.user, actor.session))?.is_some();
    let name = name_of(rows, actor.user)?;
    Ok(name.filter(|_| lives).map(|name| LiveSession { actor, name }))
}

pub(super) fn recipient(
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
pub(super) fn sessions(
    rows: &dyn Read,
    user: UserId,
) -> Result<Vec<(SessionId, SessionRow)>, Fault> {
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

pub(super) fn sessions_reply(rows: &dyn Read, actor: Actor) -> Result<SessionsOk, Fault> {
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

pub(super) fn users(rows: &dyn Read, page: &Users) -> Result<UsersOk, Fault> {
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
pub(super) fn follow_ups(rows: &dyn Read) -> Result<Vec<Operation>, Fault> {
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
