//! The durable log.
//!
//! A row of segments holds a row of frames, each one batch: entries, the hard state beside them,
//! and perhaps a cut of the log's end before them. A batch is one write and one sync, and batch k+1
//! is not written before the sync of batch k has returned. From that follows how to read a damaged
//! end:
//!
//! - a bad frame with a valid, later-numbered frame anywhere behind it was acknowledged, and is
//!   damaged: [`OpenError::Corrupt`], and nothing of this store may be believed;
//! - a bad frame with none behind it is a batch whose sync never returned: a torn tail. It is
//!   zeroed, durably, before anything is written in its place.
//!
//! The one thing that this cannot tell apart: the *last* acknowledged batch, flipped by the disk
//! itself, looks like a torn one. Nothing inside one file can; the other servers' copies can.
//!
//! Owns: the files of one folder, through [`Disk`]. Driven by: the journal thread (`work`).
//! Invariants: what [`Journal::append`] returned for is there after any crash, whole and in order;
//! the hard state never goes back; after a [`Fault`] nothing is written any more. Does not: know
//! what an entry means, sync twice, or repair.

mod disk;
mod frame;
mod recovery;
mod segments;
pub mod sim;

use std::collections::VecDeque;
use std::io;

pub use disk::{Disk, FolderDisk, WatchedFolder};
pub use recovery::{OpenError, fuzz_recovery};
use segments::{HEADER_BYTES, Header, SPARE};

use crate::entry::{Ballot, Entry, HardState, Index, Origins};

/// Bytes of zeros that are written ahead at once, between two batches.
const ZEROS_BYTES: usize = 256 * 1024;
/// A place in memory for each so many bytes of frames: some thousand places for 256 MiB.
const PLACE_BYTES: u64 = 64 * 1024;

/// Sizes, and the randomness of this life.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Size of a segment in bytes.
    pub segment_bytes: u64,
    /// Size of a new journal's first segment: small, so that a first start does not wait for it.
    pub first_segment_bytes: u64,
    /// Random: the segments' salts come from it.
    pub salt: u32,
}

impl Options {
    /// The sizes of the product: 64 MiB, and 4 MiB to begin with.
    pub const fn new(salt: u32) -> Options {
        Options { segment_bytes: 64 << 20, first_segment_bytes: 4 << 20, salt }
    }

    /// The same with small segments, for tests of what happens when old ones are gone.
    pub const fn small(salt: u32) -> Options {
        Options { segment_bytes: 64 << 10, first_segment_bytes: 64 << 10, salt }
    }
}

/// What is made durable at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The hard state from here on.
    pub hard_state: HardState,
    /// Every entry behind this index is dropped first, and others follow in its place; never at or
    /// below the commit index.
    pub cut_after: Option<Index>,
    /// Then these follow, dense, their ballots never falling. May be none.
    pub entries: Vec<Entry>,
}

/// The disk failed: the process must end, and a restart is the repair.
#[derive(Debug, thiserror::Error)]
#[error("journal: {doing}: {}", explain(.source))]
pub struct Fault {
    doing: &'static str,
    source: io::Error,
}

/// The sentence for a person, by what they can do about it.
fn explain(error: &io::Error) -> String {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kind = error.kind();
    if matches!(kind, StorageFull | QuotaExceeded) {
        format!("the disk is full ({error}): free some space and start this server again")
    } else if matches!(kind, ReadOnlyFilesystem | PermissionDenied) {
        format!("the data folder cannot be written ({error}): make it writable and start again")
    } else {
        format!("{error}: check the disk, then start this server again")
    }
}

/// One segment that is still there.
#[derive(Debug)]
struct Segment {
    header: Header,
    /// The first index behind everything in it; its header's base when there is none.
    last: Index,
}

/// Where to begin reading for an index: frames from here on hold the entries from `first` up to the
/// next place's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    first: Index,
    segment: u64,
    offset: u64,
}

/// See the module's page.
#[derive(Debug)]
pub struct Journal<D> {
    disk: D,
    options: Options,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    /// Where the next frame goes.
    offset: u64,
    next_batch: u64,
    hard_state: HardState,
    last: (Index, Ballot),
    places: VecDeque<Place>,
    origins: Origins,
    /// How many bytes of the spare segment are zeroed and synced; none: there is no spare file.
    spare: Option<u64>,
    /// Where the next frame went when the spare was made readier last.
    prepared_at: u64,
    roll: bool,
    failed: bool,
    torn_bytes: usize,
    buffer: Vec<u8>,
}

impl<D: Disk> Journal<D> {
    /// Begins an empty journal behind `base` (behind index 0 for a new store). Whatever journal was
    /// in the folder is removed.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn create(
        mut disk: D,
        base: (Index, Ballot),
        hard_state: HardState,
        options: Options,
    ) -> Result<Journal<D>, Fault> {
        let empty = |doing| move |source| Fault { doing, source };
        for name in disk.names().map_err(empty("list the folder"))? {
            if name == SPARE || segments::number(&name).is_some() {
                disk.remove(&name).map_err(empty("remove an old segment"))?;
            }
        }
        let mut journal = Journal {
            disk,
            options,
            segments: VecDeque::new(),
            offset: 0,
            next_batch: 1,
            hard_state,
            last: base,
            places: VecDeque::new(),
            origins: Origins::from(base.0, base.1),
            spare: None,
            prepared_at: 0,
            roll: false,
            failed: false,
            torn_bytes: 0,
            buffer: Vec::new(),
        };
        journal.guard("make the first segment", |journal| {
            journal.next_segment(journal.options.first_segment_bytes)
        })?;
        Ok(journal)
    }

    /// The last entry's place; the base's when there is none.
    pub fn last(&self) -> (Index, Ballot) {
        self.last
    }

    /// The place before the first entry that can be read.
    pub fn base(&self) -> (Index, Ballot) {
        self.segments.front().map_or(self.last, |segment| segment.header.base)
    }

    /// Where each ballot begins, from the base of the oldest segment that was ever seen.
    pub fn origins(&self) -> &Origins {
        &self.origins
    }

    /// The first index that can be read.
    pub fn first(&self) -> Index {
        self.base().0.next()
    }

    /// The hard state as it is on disk.
    pub fn hard_state(&self) -> HardState {
        self.hard_state
    }

    /// The size of all segments on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.header.size).sum()
    }

    /// How long a batch that never became durable was, which opening has cut off.
    pub fn torn_bytes(&self) -> usize {
        self.torn_bytes
    }

    /// Makes a batch durable: one write, one sync.
    ///
    /// # Errors
    /// [`Fault`], and ever after.
    ///
    /// # Panics
    /// When the batch breaks the log: a cut at or below the commit index, entries that are not
    /// dense, ballots that fall, or a promise or commit index that goes back. These are bugs of
    /// whoever made it.
    pub fn append(&mut self, batch: &Batch) -> Result<(), Fault> {
        self.guard("write", |journal| {
            journal.check(batch);
            journal.write(batch)
        })
    }

    /// Makes the next segment readier, so that no batch waits for that; says whether it is not yet
    /// as ready as it should be by now. To be called when whoever waits for a batch was told, and
    /// again while nobody waits: each time takes a sync or two of its own.
    ///
    /// # Errors
    /// [`Fault`], and ever after; what was appended is durable nevertheless.
    pub fn prepare(&mut self) -> Result<bool, Fault> {
        self.guard("prepare the next segment", Journal::prepare_spare)
    }

    /// Entries from `from` up to `upto`, at least one and then about `bytes_max` bytes.
    ///
    /// # Errors
    /// [`Fault`]: the disk, or what it gives back is not what was written.
    ///
    /// # Panics
    /// When `from` is not in the journal.
    pub fn read(
        &mut self,
        from: Index,
        upto: Index,
        bytes_max: usize,
    ) -> Result<Vec<Entry>, Fault> {
        assert!(from >= self.first() && from <= self.last.0, "{from} is not in the journal");
        let upto = upto.min(self.last.0);
        self.read_entries(from, upto, bytes_max).map_err(|source| Fault { doing: "read", source })
    }

    /// Removes whole segments all of whose entries are below `below`, as long as the segments that
    /// stay have at least `keep_bytes`. The one that is written to stays.
    ///
    /// # Errors
    /// [`Fault`]
    pub fn release(&mut self, below: Index, keep_bytes: u64) -> Result<(), Fault> {
        self.guard("remove an old segment", |journal| {
            while journal.segments.len() > 1
                && journal.segments[0].last < below
                && journal.bytes() - journal.segments[0].header.size >= keep_bytes
            {
                let Some(segment) = journal.segments.pop_front() else { break };
                // One by one, oldest first: a crash must not leave a gap.
                journal.disk.remove(&segments::name(segment.header.number))?;
                journal.disk.sync_names()?;
            }
            // By segment, not by index: after a cut the oldest may begin before its base.
            let oldest = journal.segments[0].header.number;
            journal.places.retain(|place| place.segment >= oldest);
            Ok(())
        })
    }

    /// The next batch begins a new segment, so that [`Journal::release`] can remove what is there
    /// now.
    pub fn roll(&mut self) {
        self.roll = self.offset > HEADER_BYTES as u64;
    }

    fn check(&self, batch: &Batch) {
        let Batch { hard_state, cut_after, entries } = batch;
        assert!(hard_state.promise >= self.hard_state.promise, "a promise is never taken back");
        assert!(hard_state.commit >= self.hard_state.commit, "a commit is never taken back");
        let mut last = self.last;
        if let Some(cut) = *cut_after {
            assert!(cut >= self.hard_state.commit, "what is committed is never cut");
            assert!(cut <= last.0, "nothing stands behind the cut");
            assert!(!entries.is_empty(), "a cut comes with what replaces it");
            last = (cut, Ballot::NONE);
        }
        for entry in entries {
            assert!(entry.index == last.0.next(), "entries are dense");
            assert!(entry.ballot >= last.1, "ballots never fall");
            last = (entry.index, entry.ballot);
        }
        assert!(hard_state.promise >= last.1, "the promise is never below the last entry's ballot");
    }

    /// Runs something on the disk; after an error nothing runs any more.
    fn guard<T>(
        &mut self,
        doing: &'static str,
        run: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> Result<T, Fault> {
        let result = match self.failed {
            true => Err(io::Error::other("the journal has failed before")),
            false => run(self),
        };
        result.map_err(|source| {
            self.failed = true;
            Fault { doing, source }
        })
    }

    fn write(&mut self, batch: &Batch) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        frame::encode(batch, self.next_batch, self.salt(), &mut buffer);
        let needed = buffer.len() as u64;
        if self.roll || self.offset + needed > self.segments[self.segments.len() - 1].header.size {
            let size = self.options.segment_bytes.max(needed + HEADER_BYTES as u64);
            self.next_segment(size)?;
            buffer.clear();
            frame::encode(batch, self.next_batch, self.salt(), &mut buffer);
        }
        let (number, offset) = (self.current().header.number, self.offset);
        let name = segments::name(number);
        self.disk.write_at(&name, offset, &buffer)?;
        self.disk.sync(&name)?;
        self.accept(batch, number, offset, buffer.len() as u64);
        // Memory for a large batch is not kept for the small ones that follow.
        if buffer.capacity() <= 1 << 20 {
            self.buffer = buffer;
        }
        Ok(())
    }

    /// Takes note of a frame that is on disk at `offset` of segment `number`.
    fn accept(&mut self, batch: &Batch, number: u64, offset: u64, bytes: u64) {
        if let Some(cut) = batch.cut_after {
            self.origins.cut_after(cut);
            while self.places.back().is_some_and(|place| place.first > cut) {
                self.places.pop_back();
            }
        }
        if let (Some(first), Some(last)) = (batch.entries.first(), batch.entries.last()) {
            let distant = self.places.back().is_none_or(|place| {
                place.segment != number || offset - place.offset >= PLACE_BYTES
            });
            if distant || batch.cut_after.is_some() {
                self.places.push_back(Place { first: first.index, segment: number, offset });
            }
            self.last = (last.index, last.ballot);
        }
        batch.entries.iter().for_each(|entry| self.origins.push(entry.index, entry.ballot));
        self.hard_state = batch.hard_state;
        self.next_batch += 1;
        self.offset = offset + bytes;
        let last = self.last.0;
        if let Some(segment) = self.segments.back_mut() {
            segment.last = segment.last.max(last);
        }
    }

    fn current(&self) -> &Segment {
        self.segments.back().expect("a journal always has a segment")
    }

    fn salt(&self) -> u32 {
        self.current().header.salt
    }

    /// Goes on in a new segment of `size` bytes: the spare, which is nearly ready as a rule.
    fn next_segment(&mut self, size: u64) -> io::Result<()> {
        let number = self.segments.back().map_or(1, |segment| segment.header.number + 1);
        while self.spare.is_none_or(|zeroed| zeroed < size) {
            self.extend_spare(size)?;
        }
        let header = Header {
            number,
            size: self.spare.unwrap_or(size),
            salt: crc32c::crc32c_append(self.options.salt, &number.to_le_bytes()),
            batch: self.next_batch,
            base: self.last,
            hard_state: self.hard_state,
        };
        self.disk.write_at(SPARE, 0, &header.encode())?;
        self.disk.sync(SPARE)?;
        self.disk.rename(SPARE, &segments::name(number))?;
        self.disk.sync_names()?;
        self.spare = None;
        self.roll = false;
        self.offset = HEADER_BYTES as u64;
        self.prepared_at = self.offset;
        self.segments.push_back(Segment { header, last: self.last.0 });
        Ok(())
    }

    /// Keeps the spare twice as far ahead as the current segment is full, in small steps: a whole
    /// segment of zeros at once would hold up the batch that it falls on. A journal that was just
    /// opened has no spare, however full its segment: until that is made up for, each batch is
    /// followed by twice its own size of zeros, or by one step.
    fn prepare_spare(&mut self) -> io::Result<bool> {
        let full = self.current().header.size;
        let target = self.options.segment_bytes;
        let wanted = (u128::from(target) * 2 * u128::from(self.offset) / u128::from(full))
            .min(u128::from(target));
        let lacks = |journal: &Self| u128::from(journal.spare.unwrap_or(0)) < wanted;
        let written = self.offset.saturating_sub(self.prepared_at);
        self.prepared_at = self.offset;
        for _ in 0..=(2 * written / ZEROS_BYTES as u64) {
            if lacks(self) {
                self.extend_spare(target)?;
            }
        }
        Ok(lacks(self))
    }

    fn extend_spare(&mut self, size: u64) -> io::Result<()> {
        let zeroed = match self.spare {
            Some(zeroed) => zeroed,
            None => {
                self.disk.create(SPARE)?;
                0
            }
        };
        let step = (ZEROS_BYTES as u64).min(size.saturating_sub(zeroed));
        let zeros = vec![0; usize::try_from(step).expect("a step is small")];
        self.disk.write_at(SPARE, zeroed, &zeros)?;
        self.disk.sync(SPARE)?;
        self.spare = Some(zeroed + step);
        Ok(())
    }

    fn read_entries(
        &mut self,
        from: Index,
        upto: Index,
        bytes_max: usize,
    ) -> io::Result<Vec<Entry>> {
        let mut found: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        let at = self.places.iter().rposition(|place| place.first <= from);
        let mut at = at.expect("there is a place at or before every index of the journal");
        while let Some(place) = self.places.get(at).copied() {
            let next = self.places.get(at + 1).copied();
            let end = next.map_or(upto, |next| next.first.previous().min(upto));
            for entry in self.read_place(place, next)? {
                let wanted = found.last().map_or(from, |last| last.index.next());
                if entry.index != wanted || entry.index > end {
                    continue;
                }
                bytes += entry.bytes();
                if !found.is_empty() && bytes > bytes_max {
                    return Ok(found);
                }
                found.push(entry);
            }
            if found.last().is_some_and(|last| last.index >= upto) {
                return Ok(found);
            }
            at += 1;
        }
        Err(io::Error::other("an entry is not where the journal put it"))
    }

    /// All entries of the frames from `place` to the next place, or to the end of what is written.
    fn read_place(&mut self, place: Place, next: Option<Place>) -> io::Result<Vec<Entry>> {
        let segment = self.segments.iter().find(|s| s.header.number == place.segment);
        let header = segment.expect("places of removed segments are removed").header;
        let is_current = header.number == self.current().header.number;
        let end = match next {
            Some(next) if next.segment == place.segment => next.offset,
            Some(_) | None if is_current => self.offset,
            Some(_) | None => header.size,
        };
        let length = usize::try_from(end - place.offset).expect("a segment fits into memory");
        let bytes = self.disk.read_at(&segments::name(header.number), place.offset, length)?;
        let mut rest = bytes.as_slice();
        let mut entries = Vec::new();
        while let Some((_, taken)) = frame::check(rest, header.salt) {
            let frame = frame::decode(rest)
                .ok_or_else(|| io::Error::other("a frame does not read back as written"))?;
            entries.extend(frame.content.entries);
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(entries)
    }
}

#[cfg(test)]
mod tests;
