//! What can be had again from a server: conversations, messages, and the cursor up to which they
//! are known.
//!
//! Owns: the tables of `history.redb`. Driven by: `place`. Invariant: a batch is one durable
//! commit, so the cursor is never ahead of what its events changed.

use redb::{Database, ReadableDatabase, ReadableTable, Table, TableDefinition, WriteTransaction};

use super::tables::{Fault, META, decode, encode, meta, set_meta};
use crate::client::stored::{Account, MessageRecord, Write};
use crate::ids::{ConversationId, Seq};

/// By id.
const CONVERSATIONS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("conversations");
/// By conversation and number.
const MESSAGES: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("messages");

const CURSOR: &str = "cursor";

type Messages<'t> = Table<'t, (u64, u64), &'static [u8]>;

fn holds(write: &Write) -> bool {
    matches!(
        write,
        Write::Cursor(_)
            | Write::Conversation(_)
            | Write::Message(..)
            | Write::Copies { .. }
            | Write::Edited { .. }
            | Write::Deleted(..)
            | Write::PeerGone(_)
            | Write::CacheDropped
    )
}

/// Reads all but messages into `account`.
pub(super) fn load(database: &Database, account: &mut Account) -> Result<(), Fault> {
    begin(database)?;
    let transaction = database.begin_read()?;
    account.cursor = meta(&transaction.open_table(META)?, CURSOR)?;
    account.conversations = transaction
        .open_table(CONVERSATIONS)?
        .iter()?
        .map(|row| decode(row?.1.value()))
        .collect::<Result<_, Fault>>()?;
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
    transaction.open_table(CONVERSATIONS)?;
    transaction.open_table(MESSAGES)?;
    Ok(transaction.commit()?)
}

/// The newest messages of a conversation, below a number if one is given; ascending.
pub(super) fn messages(
    database: &Database,
    conv: ConversationId,
    before: Option<Seq>,
    limit: usize,
) -> Result<Vec<MessageRecord>, Fault> {
    let table = database.begin_read()?.open_table(MESSAGES)?;
    let below = (conv.0, before.map_or(u64::MAX, |seq| seq.0));
    let mut messages = table
        .range((conv.0, 0)..below)?
        .rev()
        .take(limit)
        .map(|row| decode(row?.1.value()))
        .collect::<Result<Vec<_>, Fault>>()?;
    messages.reverse();
    Ok(messages)
}

/// Makes those of `writes` durable that belong here.
pub(super) fn store(database: &Database, writes: &[Write]) -> Result<(), Fault> {
    if !writes.iter().any(holds) {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    for batch in writes.split_inclusive(|write| matches!(write, Write::CacheDropped)) {
        change(&transaction, batch)?;
    }
    Ok(transaction.commit()?)
}

/// Writes in their order; `CacheDropped` only at the end.
fn change(transaction: &WriteTransaction, writes: &[Write]) -> Result<(), Fault> {
    {
        let mut table = transaction.open_table(META)?;
        let mut conversations = transaction.open_table(CONVERSATIONS)?;
        let mut messages = transaction.open_table(MESSAGES)?;
        for write in writes {
            if let Write::Cursor(cursor) = write {
                set_meta(&mut table, CURSOR, cursor.as_ref())?;
            } else if let Write::Conversation(record) = write {
                conversations.insert(record.conv.0, encode(record)?.as_slice())?;
            } else {
                change_message(&mut messages, write)?;
            }
        }
        if writes.last() == Some(&Write::CacheDropped) {
            table.remove(CURSOR)?;
        } else {
            return Ok(());
        }
    }
    transaction.delete_table(CONVERSATIONS)?;
    transaction.delete_table(MESSAGES)?;
    transaction.open_table(CONVERSATIONS)?;
    transaction.open_table(MESSAGES)?;
    Ok(())
}

fn change_message(messages: &mut Messages<'_>, write: &Write) -> Result<(), Fault> {
    if let Write::Message(conv, message) = write {
        put(messages, *conv, message)
    } else if let Write::Copies { conv, seq, copies, of } = write {
        alter(messages, *conv, *seq, |message| (message.copies, message.of) = (*copies, *of))
    } else if let Write::Edited { conv, seq, text, ts } = write {
        alter(messages, *conv, *seq, |message| {
            if !message.view.deleted {
                message.view.text.clone_from(text);
                message.view.edited = Some(*ts);
            }
        })
    } else if let Write::Deleted(conv, seq) = write {
        alter(messages, *conv, *seq, bury)
    } else if let Write::PeerGone(conv) = write {
        bury_others(messages, *conv)
    } else {
        Ok(())
    }
}

fn put(
    messages: &mut Messages<'_>,
    conv: ConversationId,
    message: &MessageRecord,
) -> Result<(), Fault> {
    messages.insert((conv.0, message.view.seq.0), encode(message)?.as_slice())?;
    Ok(())
}

/// Changes a message that is here.
fn alter(
    messages: &mut Messages<'_>,
    conv: ConversationId,
    seq: Seq,
    change: impl FnOnce(&mut MessageRecord),
) -> Result<(), Fault> {
    let found = messages.get((conv.0, seq.0))?.map(|row| decode(row.value())).transpose()?;
    let Some(mut message) = found else { return Ok(()) };
    change(&mut message);
    put(messages, conv, &message)
}

fn bury(message: &mut MessageRecord) {
    message.view.text = String::new();
    message.view.deleted = true;
}

fn bury_others(messages: &mut Messages<'_>, conv: ConversationId) -> Result<(), Fault> {
    let others = messages
        .range((conv.0, 0)..=(conv.0, u64::MAX))?
        .map(|row| decode::<MessageRecord>(row?.1.value()))
        .filter(|message| message.as_ref().map_or(true, |message| !message.own))
        .collect::<Result<Vec<_>, Fault>>()?;
    for mut message in others {
        bury(&mut message);
        message.view.from = None;
        put(messages, conv, &message)?;
    }
    Ok(())
}

/// Makes a row unreadable. Only tests call it, so it may panic.
#[cfg(test)]
pub(super) fn spoil(database: &Database, conv: ConversationId, seq: Seq) {
    let transaction = database.begin_write().unwrap();
    let row = b"{".as_slice();
    transaction.open_table(MESSAGES).unwrap().insert((conv.0, seq.0), row).unwrap();
    transaction.commit().unwrap();
}
