//! What both databases of a place share: opening, the form of rows, and what can be wrong.
//!
//! Owns: the number of the form. Driven by: `place`, `history`, `unsent`. Invariant: rows are JSON,
//! so a newer program reads an older one's, and the form's number changes only when that is not
//! enough.

use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::place::open_file;

/// Single values by name.
pub(super) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

const FORM: &str = "form";
const FORM_NOW: u32 = 1;

/// What can be wrong with a database.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its content cannot be understood.
    Damaged(String),
    /// A newer program has written it.
    Newer,
    /// The system refuses.
    Disk(io::Error),
    /// Anything else, such as a failure that happened before.
    Database(Box<redb::Error>),
}

impl From<redb::Error> for Fault {
    fn from(error: redb::Error) -> Fault {
        use io::ErrorKind::{InvalidData, UnexpectedEof};
        if let redb::Error::Io(source) = error {
            let is_damage = matches!(source.kind(), InvalidData | UnexpectedEof);
            return if is_damage {
                Fault::Damaged(source.to_string())
            } else {
                Fault::Disk(source)
            };
        }
        let is_damage = matches!(
            error,
            redb::Error::Corrupted(_)
                | redb::Error::RepairAborted
                | redb::Error::UpgradeRequired(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TypeDefinitionChanged { .. }
        );
        if is_damage { Fault::Damaged(error.to_string()) } else { Fault::Database(Box::new(error)) }
    }
}

macro_rules! faults {
    ($($error:ty),*) => {
        $(impl From<$error> for Fault {
            fn from(error: $error) -> Fault {
                redb::Error::from(error).into()
            }
        })*
    };
}

faults!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::DatabaseError
);

/// Opens a database, or makes one. Without `is_checked`, `redb` trusts a file that it closed well,
/// and panics where it is damaged; the check reads all of it (100,000 messages: 90 ms).
pub(super) fn open_database(
    path: &Path,
    cache_bytes: usize,
    is_checked: bool,
) -> Result<Database, Fault> {
    let file = open_file(path).map_err(Fault::Disk)?;
    let database = Builder::new()
        .set_check_integrity_on_open(is_checked)
        .set_cache_size(cache_bytes)
        .create_with_backend(FileBackend::new(file)?)?;
    match form(&database)? {
        Some(FORM_NOW) => {}
        Some(_) => return Err(Fault::Newer),
        None => {
            let transaction = database.begin_write()?;
            transaction.open_table(META)?.insert(FORM, FORM_NOW.to_string().as_str())?;
            transaction.commit()?;
        }
    }
    Ok(database)
}

/// Nothing in a new database.
fn form(database: &Database) -> Result<Option<u32>, Fault> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => {
            let row = meta.get(FORM)?;
            row.map(|row| decode(row.value().as_bytes())).transpose()
        }
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn encode(value: &impl Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| Fault::Disk(error.into()))
}

pub(super) fn encode_text(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::Disk(error.into()))
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::Damaged(format!("a row cannot be read: {error}")))
}

/// A single value, or nothing.
pub(super) fn meta<T: DeserializeOwned>(
    meta: &impl ReadableTable<&'static str, &'static str>,
    name: &str,
) -> Result<Option<T>, Fault> {
    meta.get(name)?.map(|row| decode(row.value().as_bytes())).transpose()
}

/// Keeps a single value; nothing removes it.
pub(super) fn set_meta<T: Serialize>(
    meta: &mut Table<'_, &'static str, &'static str>,
    name: &str,
    value: Option<&T>,
) -> Result<(), Fault> {
    match value {
        Some(value) => meta.insert(name, encode_text(value)?.as_str())?,
        None => meta.remove(name)?,
    };
    Ok(())
}

/// Says that a file has another form. Only tests call it, so it may panic.
#[cfg(test)]
pub(super) fn set_form(path: &Path, form: u32) {
    let database = Database::open(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert(FORM, form.to_string().as_str()).unwrap();
    transaction.commit().unwrap();
}
