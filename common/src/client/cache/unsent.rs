//! What cannot be had again from a server: the outbox, drafts, the token, and what the screens
//! keep.
//!
//! Owns: the tables of `unsent.redb`. Driven by: `place`. Invariant: a batch is one durable commit.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::tables::{Fault, META, decode, encode, encode_text, meta, set_meta};
use crate::client::stored::{Account, OutboxItem, Write};
use crate::config::Secret;

/// By txn.
const OUTBOX: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("outbox");
/// Texts by target.
const DRAFTS: TableDefinition<'_, &str, &str> = TableDefinition::new("drafts");
const INTERFACE: TableDefinition<'_, &str, &str> = TableDefinition::new("interface");

const USER: &str = "user";
const TOKEN: &str = "token";
const DELETION: &str = "deletion";

fn holds(write: &Write) -> bool {
    matches!(
        write,
        Write::User(_)
            | Write::Token(_)
            | Write::Deletion(_)
            | Write::Outbox(_)
            | Write::OutboxRemoved(_)
            | Write::Draft(..)
            | Write::Interface(..)
    )
}

/// Reads everything into `account`.
pub(super) fn load(database: &Database, account: &mut Account) -> Result<(), Fault> {
    begin(database)?;
    let transaction = database.begin_read()?;
    let table = transaction.open_table(META)?;
    account.user = meta(&table, USER)?.unwrap_or_default();
    account.token = meta(&table, TOKEN)?.map(Secret::new);
    account.deletion = meta(&table, DELETION)?;
    account.outbox = transaction
        .open_table(OUTBOX)?
        .iter()?
        .map(|row| decode::<OutboxItem>(row?.1.value()))
        .collect::<Result<_, _>>()?;
    account.outbox.sort_by_key(|item| item.number);
    account.drafts = Vec::new();
    for row in transaction.open_table(DRAFTS)?.iter()? {
        let (target, text) = row?;
        account.drafts.push((decode(target.value().as_bytes())?, text.value().to_owned()));
    }
    account.interface = Vec::new();
    for row in transaction.open_table(INTERFACE)?.iter()? {
        let (key, value) = row?;
        account.interface.push((key.value().to_owned(), value.value().to_owned()));
    }
    Ok(())
}

/// A new database has no tables, and what is not there cannot be read.
fn begin(database: &Database) -> Result<(), Fault> {
    let transaction = database.begin_read()?;
    if transaction.list_tables()?.count() > 1 {
        return Ok(());
    }
    drop(transaction);
    let transaction = database.begin_write()?;
    transaction.open_table(OUTBOX)?;
    transaction.open_table(DRAFTS)?;
    transaction.open_table(INTERFACE)?;
    Ok(transaction.commit()?)
}

/// Makes those of `writes` durable that belong here.
pub(super) fn store(database: &Database, writes: &[Write]) -> Result<(), Fault> {
    if !writes.iter().any(holds) {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(META)?;
        let mut outbox = transaction.open_table(OUTBOX)?;
        let mut drafts = transaction.open_table(DRAFTS)?;
        let mut interface = transaction.open_table(INTERFACE)?;
        for write in writes.iter().filter(|write| holds(write)) {
            if let Write::User(user) = write {
                set_meta(&mut table, USER, Some(user))?;
            } else if let Write::Token(token) = write {
                set_meta(&mut table, TOKEN, token.as_ref().map(Secret::expose).as_ref())?;
            } else if let Write::Deletion(txn) = write {
                set_meta(&mut table, DELETION, txn.as_ref())?;
            } else if let Write::Outbox(item) = write {
                outbox.insert(&item.txn.0, encode(item)?.as_slice())?;
            } else if let Write::OutboxRemoved(txn) = write {
                outbox.remove(&txn.0)?;
            } else if let Write::Draft(target, text) = write {
                keep(&mut drafts, &encode_text(target)?, text)?;
            } else if let Write::Interface(key, value) = write {
                keep(&mut interface, key, value)?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Keeps a text; an empty one removes it.
fn keep(
    table: &mut redb::Table<'_, &'static str, &'static str>,
    key: &str,
    text: &str,
) -> Result<(), Fault> {
    if text.is_empty() {
        table.remove(key)?;
    } else {
        table.insert(key, text)?;
    }
    Ok(())
}
