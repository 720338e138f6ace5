//! The secret of a cluster that was given none in its settings.
//!
//! Owns: the file `cluster.secret`. Driven by: `main`. Invariants: it is made once, however many
//! servers of one machine start at the same moment, and is durable before anybody uses it: the
//! certificates that clients remember come out of it. Does not: draw the secret.

use std::fs;
use std::path::Path;

use holdfast_common::config::Secret;

use super::{StoreError, io_at};
use crate::folder as durably;

/// Shorter than this it could be guessed; the settings ask for as much.
const SECRET_CHARACTERS_MIN: usize = 32;

/// The secret in the file at `path`; `fresh` is written if there is none yet.
///
/// # Errors
/// [`StoreError`]
pub fn secret(path: &Path, fresh: &str) -> Result<Secret, StoreError> {
    if let Some(folder) = path.parent() {
        durably::make(folder).map_err(io_at(folder, "make this folder"))?;
    }
    durably::make_file(path, fresh.as_bytes()).map_err(io_at(path, "write this file"))?;
    let text = fs::read_to_string(path).map_err(io_at(path, "read this file"))?;
    let text = text.trim();
    if text.chars().count() < SECRET_CHARACTERS_MIN {
        return Err(StoreError::NoSecret(path.to_owned()));
    }
    Ok(Secret::new(text.to_owned()))
}
