//! All rows of a view as one file: for `backup`, `restore`, and servers that join.
//!
//! ```text
//! magic | length u32, checksum u32, about
//! then chunks: length u32, checksum u32, rows
//! then 0 u32, 0 u32, SHA-256
//! chunk: { key length u32, key, value length u32, value }…
//! ```
//!
//! Owns: that format. Driven by: the maintenance thread, a restore. Invariants: what is
//! cut, flipped or reordered anywhere is refused; memory stays within a chunk or two. Does not:
//! know what a row means.

use std::io::{self, Read as _, Write};
use std::ops::ControlFlow;

use ring::digest::{Context, SHA256};

use super::{Fault, Order, Read, Rows};

const MAGIC: &[u8; 8] = b"HFSNAP01";
/// A chunk is closed once it has this many bytes.
const CHUNK_BYTES: usize = 256 * 1024;
/// No chunk that we write is longer: a row is at most some 64 KiB.
const CHUNK_BYTES_MAX: u32 = 4 << 20;
/// No key that we write is longer, and the rows on disk would not take one of 64 KiB.
const KEY_BYTES_MAX: usize = 1024;

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
///
/// # Panics
/// When `about` is empty: that would be the end of the snapshot.
pub fn export(view: &dyn Read, about: &[u8], out: &mut dyn Write) -> Result<u64, SnapshotError> {
    let mut exporter = Exporter::begin(about, out)?;
    while exporter.next(view, out)? {}
    out.flush()?;
    Ok(exporter.count)
}

/// Writes a snapshot piece by piece: its beginning, then a chunk a call, then its end.
pub struct Exporter {
    hash: Context,
    /// The first key of the next chunk, or one before it.
    from: Vec<u8>,
    count: u64,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exporter({} rows)", self.count)
    }
}

impl Exporter {
    /// Writes what stands before the rows.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// When `about` is empty: that would be the end of the snapshot.
    pub fn begin(about: &[u8], out: &mut dyn Write) -> io::Result<Exporter> {
        assert!(!about.is_empty(), "an empty chunk is the end of a snapshot");
        let mut hash = Context::new(&SHA256);
        out.write_all(MAGIC)?;
        put_chunk(out, about, &mut hash)?;
        Ok(Exporter { hash, from: vec![0], count: 0 })
    }

    /// Writes the next chunk of `view`, the same in each call; or the end, and says no: that was
    /// all.
    ///
    /// # Errors
    /// [`SnapshotError`]
    pub fn next(&mut self, view: &dyn Read, out: &mut dyn Write) -> Result<bool, SnapshotError> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        let (from, count) = (std::mem::take(&mut self.from), &mut self.count);
        let next = &mut self.from;
        view.range(&from, &[u8::MAX], Order::Ascending, &mut |key, value| {
            for part in [key, value] {
                let length = u32::try_from(part.len()).expect("a row is far smaller");
                chunk.extend_from_slice(&length.to_le_bytes());
                chunk.extend_from_slice(part);
            }
            *count += 1;
            if chunk.len() < CHUNK_BYTES {
                return ControlFlow::Continue(());
            }
            // The smallest key behind this one.
            next.extend_from_slice(key);
            next.push(0);
            ControlFlow::Break(())
        })?;
        if chunk.is_empty() {
            out.write_all(&[0; 8])?;
            out.write_all(self.hash.clone().finish().as_ref())?;
            return Ok(false);
        }
        if self.from.is_empty() {
            // No key is behind the last one.
            self.from.push(u8::MAX);
        }
        put_chunk(out, &chunk, &mut self.hash)?;
        Ok(true)
    }
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

/// Reads a snapshot into empty `rows`, and makes them durable; gives what stood before the rows.
/// Only after it returned may the rows be believed.
///
/// # Errors
/// [`SnapshotError`]
pub fn install(input: &mut dyn io::Read, rows: &mut dyn Rows) -> Result<Vec<u8>, SnapshotError> {
    let (mut installer, about) = Installer::begin(input)?;
    while installer.next(input, rows)? {}
    Ok(about)
}

/// Reads a snapshot piece by piece, as an [`Exporter`] writes it.
pub struct Installer {
    hash: Context,
    before: Vec<u8>,
}

impl std::fmt::Debug for Installer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Installer")
    }
}

impl Installer {
    /// Reads what stands before the rows.
    ///
    /// # Errors
    /// [`SnapshotError`]
    pub fn begin(input: &mut dyn io::Read) -> Result<(Installer, Vec<u8>), SnapshotError> {
        let mut magic = [0; MAGIC.len()];
        read_exact(input, &mut magic)?;
        if &magic != MAGIC {
            return Err(SnapshotError::Damaged("its first bytes are not a snapshot's"));
        }
        let mut hash = Context::new(&SHA256);
        let about = take_chunk(input, &mut hash)?
            .ok_or(SnapshotError::Damaged("it does not say what it is of"))?;
        Ok((Installer { hash, before: Vec::new() }, about))
    }

    /// Reads the next chunk into `rows`. At the end says no, when all of it was right and is
    /// durable: only then may the rows be believed.
    ///
    /// # Errors
    /// [`SnapshotError`]
    pub fn next(
        &mut self,
        input: &mut dyn io::Read,
        rows: &mut dyn Rows,
    ) -> Result<bool, SnapshotError> {
        let Some(chunk) = take_chunk(input, &mut self.hash)? else {
            let mut expected = [0; 32];
            read_exact(input, &mut expected)?;
            if self.hash.clone().finish().as_ref() != expected {
                return Err(SnapshotError::Damaged("its hash is not that of its content"));
            }
            rows.persist()?;
            return Ok(false);
        };
        let mut batch = Vec::new();
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let (key, value) = take_part(&mut rest)
                .and_then(|key| Some((key, take_part(&mut rest)?)))
                .ok_or(SnapshotError::Damaged("a row is cut"))?;
            // Also: not empty, and in no batch twice.
            if key <= self.before || key.len() > KEY_BYTES_MAX || key[0] == u8::MAX {
                return Err(SnapshotError::Damaged("a row is out of order"));
            }
            self.before.clone_from(&key);
            batch.push((key, Some(value)));
        }
        rows.commit(batch)?;
        Ok(true)
    }
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
        return match checksum {
            0 => Ok(None),
            _ => Err(SnapshotError::Damaged("its end is not marked as one")),
        };
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
    input.read_exact(bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            SnapshotError::Damaged("it is cut")
        } else {
            SnapshotError::Io(error)
        }
    })
}

/// For the fuzzer: a snapshot whose one chunk of rows is `bytes`, every checksum right, is
/// installed or refused, and what was installed can be exported and installed again.
pub fn fuzz_install(bytes: &[u8]) {
    let mut hash = Context::new(&SHA256);
    let mut file = MAGIC.to_vec();
    let written = put_chunk(&mut file, b"about", &mut hash)
        .and_then(|()| put_chunk(&mut file, bytes, &mut hash));
    written.expect("writing to memory cannot fail");
    if !bytes.is_empty() {
        file.extend_from_slice(&[0; 8]);
    }
    file.extend_from_slice(hash.finish().as_ref());
    let mut rows = super::MemoryRows::new();
    if install(&mut file.as_slice(), &mut rows).is_ok() {
        let mut again = Vec::new();
        export(&rows, b"about", &mut again).expect("writing to memory cannot fail");
        let mut copy = super::MemoryRows::new();
        install(&mut again.as_slice(), &mut copy).expect("what was exported can be installed");
        let mut third = Vec::new();
        export(&copy, b"about", &mut third).expect("writing to memory cannot fail");
        assert!(again == third, "a snapshot holds all rows");
    }
    // As it came: no checksum is right, most likely not even the first bytes.
    let _refused = install(&mut &bytes[..], &mut super::MemoryRows::new());
}

#[cfg(test)]
mod tests;
