//! Several windows of one account: whoever comes when the account's place is taken has one beside
//! it, `USER~2` and on, with a session, an outbox and drafts of its own.
//!
//! Owns: which of them is free, and what becomes of what a window that is gone had not sent. Driven
//! by: `cache`. Invariants: the first free one is taken; what waited in one that nobody has open is
//! stored in another before it is removed there, under its txn, so a cut between them sends nothing
//! twice. Does not: keep windows in step: the servers tell each what the others do.

use std::path::Path;

use super::CacheError;
use super::place::{self, Place};
use super::tables::{Fault, open_database};
use super::unsent;
use crate::client::stored::{Account, AccountKey, OutboxItem, Write};

/// Programs that have the same account open at once.
const SEATS_MAX: u32 = 8;
/// A small file, read once.
const CACHE_BYTES: usize = 256 * 1024;

/// Opens the first place of this account that nobody has, or, `alone`, only the first of all. Says
/// which one it is.
pub(super) fn open(
    home: &Path,
    key: &AccountKey,
    alone: bool,
) -> Result<(u32, Place, Account), CacheError> {
    let mut seat = 1;
    let (mut place, mut account) = loop {
        match Place::open(home, key, seat) {
            Err(CacheError::InUse { .. }) if !alone && seat < SEATS_MAX => seat += 1,
            opened => break opened?,
        }
    };
    for other in seat + 1..=SEATS_MAX {
        // It stays there otherwise, and is found by whoever opens that place.
        if let Err(fault) = take_over(home, other, &mut place, &mut account)? {
            let user = &key.user;
            log::warn!("what a window of {user} left unsent cannot be had now: {fault:?}");
        }
    }
    Ok((seat, place, account))
}

/// Takes what waits in a place that nobody has open. The outer failure is one of the own place, the
/// inner one of the other.
fn take_over(
    home: &Path,
    other: u32,
    place: &mut Place,
    account: &mut Account,
) -> Result<Result<(), Fault>, CacheError> {
    let (lock, path) = match place::abandoned(home, &account.key, other) {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Ok(())),
        Err(error) => return Ok(Err(Fault::Disk(error))),
    };
    let mut left = Account::new(account.key.clone());
    let opened = open_database(&path, CACHE_BYTES, true);
    let opened = opened.and_then(|database| {
        unsent::load(&database, &mut left)?;
        Ok(database)
    });
    let database = match opened {
        Ok(database) => database,
        Err(fault) => return Ok(Err(fault)),
    };
    let (mut taken, mut removed) = (Vec::new(), Vec::new());
    let mut number = account.outbox.last().map_or(0, |item| item.number);
    for item in left.outbox {
        removed.push(Write::OutboxRemoved(item.txn));
        if account.outbox.iter().all(|known| known.txn != item.txn) {
            number += 1;
            let item = OutboxItem { number, ..item };
            taken.push(Write::Outbox(item.clone()));
            account.outbox.push(item);
        }
    }
    for (to, text) in left.drafts {
        // Where something is typed already, the other text waits for its own window.
        if account.drafts.iter().all(|(known, _)| *known != to) {
            removed.push(Write::Draft(to.clone(), String::new()));
            taken.push(Write::Draft(to.clone(), text.clone()));
            account.drafts.push((to, text));
        }
    }
    place.store(&taken)?;
    let done = unsent::store(&database, &removed);
    drop((database, lock));
    Ok(done)
}
