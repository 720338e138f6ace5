//! All rows of a view as one file: for `backup`, `restore`, and servers that join.
//!
//! ```text
//! magic | length u32, checksum u32, about | { length u32, checksum u32, chunk }… | 0 u32, 0 u32, SHA-256
//! chunk: { key length u32, key, value length u32, value }…
//! ```
//!
//! Owns: that format. Driven by: reader threads (export), the tables thread (install). Invariants: what
//! is cut, flipped or reordered anywhere is refused; memory stays within a chunk or two. Does not: know
//! what a row means.

use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;

use ring::digest::{Context, SHA256};

use super::{Fault, Order, Read, Rows};

const MAGIC: &[u8; 8] = b"HFSNAP01";
/// A chunk is closed once it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// No chunk that we write is longer: a row is at most some 64 KiB.
const CHUNK_BYTES_MAX: u32 = 4 << 20;

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file.
    #[error("snapshot: {0}")]
    Io(#[from] io::Error),
    /// The rows.
    #[error(transparent)]
    Rows(#[from] Fault),
    /// What is in the file.
    #[error("snapshot: this file is no snapshot, or a damaged one: {0}")]
    Damaged(&'static str),
}

/// Writes all rows of `view` to `out`, with `about` before them; gives their number.
///
/// # Errors
/// [`SnapshotError`]
pub fn export(view: &dyn Read, about: &[u8], out: &mut dyn Write) -> Result<u64, SnapshotError> {
    let mut hash = Context::new(&SHA256);
    out.write_all(MAGIC)?;
    put_chunk(out, about, &mut hash)?;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    let mut count = 0;
    let mut failed: Option<io::Error> = None;
    view.range(&[0], &[u8::MAX], Order::Ascending, &mut |key, value| {
        for part in [key, value] {
            let length = u32::try_from(part.len()).expect("a row is far smaller");
            chunk.extend_from_slice(&length.to_le_bytes());
            chunk.extend_from_slice(part);
        }
        count += 1;
        if chunk.len() >= CHUNK_BYTES {
            failed = put_chunk(out, &chunk, &mut hash).err();
            chunk.clear();
        }
        if failed.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if !chunk.is_empty() {
        put_chunk(out, &chunk, &mut hash)?;
    }
    out.write_all(&[0; 8])?;
    out.write_all(hash.finish().as_ref())?;
    out.flush()?;
    Ok(count)
}

fn put_chunk(out: &mut dyn Write, chunk: &[u8], hash: &mut Context) -> io::Result<()> {
    let length = u32::try_from(chunk.len()).expect("chunks are closed early");
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&crc32c::crc32c(chunk).to_le_bytes())?;
    out.write_all(chunk)?;
    hash.update(&length.to_le_bytes());
    hash.update(chunk);
    Ok(())
}

/// Reads a snapshot into empty `rows`, and makes them durable; gives what stood before the rows. Only
/// after it returned may the rows be believed.
///
/// # Errors
/// [`SnapshotError`]
pub fn install(input: &mut dyn io::Read, rows: &mut dyn Rows) -> Result<Vec<u8>, SnapshotError> {
    let mut magic = [0; MAGIC.len()];
    read_exact(input, &mut magic)?;
    if &magic != MAGIC {
        return Err(SnapshotError::Damaged("its first bytes are not a snapshot's"));
    }
    let mut hash = Context::new(&SHA256);
    let about = take_chunk(input, &mut hash)?
        .ok_or(SnapshotError::Damaged("it does not say what it is of"))?;
    while let Some(chunk) = take_chunk(input, &mut hash)? {
        let mut batch = Vec::new();
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (key, value) = take_part(&mut rest)
                .and_then(|key| Some((key, take_part(&mut rest)?)))
                .ok_or(SnapshotError::Damaged("a row is cut"))?;
            batch.push((key, Some(value)));
        }
        rows.commit(batch)?;
    }
    let mut expected = [0; 32];
    read_exact(input, &mut expected)?;
    if hash.finish().as_ref() != expected {
        return Err(SnapshotError::Damaged("its hash is not that of its content"));
    }
    rows.persist()?;
    Ok(about)
}

fn take_part(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let (length, behind) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (part, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(part.to_vec())
}

fn take_chunk(
    input: &mut dyn io::Read,
    hash: &mut Context,
) -> Result<Option<Vec<u8>>, SnapshotError> {
    let mut head = [0; 8];
    read_exact(input, &mut head)?;
    let [a, b, c, d, e, f, g, h] = head;
    let (length, checksum) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    if length == 0 {
        return Ok(None);
    }
    if length > CHUNK_BYTES_MAX {
        return Err(SnapshotError::Damaged("a chunk is too long"));
    }
    let mut chunk = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut chunk)?;
    if chunk.len() != length as usize {
        return Err(SnapshotError::Damaged("it is cut"));
    }
    if crc32c::crc32c(&chunk) != checksum {
        return Err(SnapshotError::Damaged("a chunk's checksum is wrong"));
    }
    hash.update(&length.to_le_bytes());
    hash.update(&chunk);
    Ok(Some(chunk))
}

fn read_exact(input: &mut dyn io::Read, bytes: &mut [u8]) -> Result<(), SnapshotError> {
    input.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::Damaged("it is cut"),
        _ => SnapshotError::Io(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::MemoryRows;

    fn filled() -> MemoryRows {
        let mut rows = MemoryRows::new();
        let row = |n: u32| (format!("k{n:05}").into_bytes(), Some(vec![7; 1000]));
        rows.commit((0..1000).map(row).collect()).unwrap();
        rows
    }

    #[test]
    fn what_was_exported_is_installed_whole() {
        let mut file = Vec::new();
        assert_eq!(export(&filled(), b"about", &mut file).unwrap(), 1000);
        let mut rows = MemoryRows::new();
        assert_eq!(install(&mut file.as_slice(), &mut rows).unwrap(), b"about");
        let mut again = Vec::new();
        export(&rows, b"about", &mut again).unwrap();
        assert_eq!(file, again);
    }

    #[test]
    fn a_cut_or_flipped_snapshot_is_refused() {
        let mut file = Vec::new();
        export(&filled(), b"about", &mut file).unwrap();
        for at in (0..file.len()).step_by(997).chain([file.len() - 1]) {
            assert!(install(&mut &file[..at], &mut MemoryRows::new()).is_err(), "cut at {at}");
            let mut flipped = file.clone();
            flipped[at] ^= 0x10;
            assert!(install(&mut flipped.as_slice(), &mut MemoryRows::new()).is_err(), "at {at}");
        }
    }
}
