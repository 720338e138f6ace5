//! Opening a journal that is there: what of it may be believed.

use std::collections::VecDeque;
use std::io;

use super::frame::{self, ALIGNMENT};
use super::segments::{self, HEADER_BYTES, Header, SPARE};
use super::{Disk, Fault, Journal, Options, Segment, explain, sim};
use crate::entry::Origins;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none in the folder.
    #[error("journal: there is none in this folder")]
    Missing,
    /// What was acknowledged cannot be read: this store is damaged.
    #[error("journal: damaged in {file} at byte {offset}: {why}")]
    Corrupt {
        /// Which file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// The disk said no.
    #[error("journal: open: {}", explain(.0))]
    Io(#[from] io::Error),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> OpenError {
        OpenError::Io(fault.source)
    }
}

fn corrupt(number: u64, offset: usize, why: &'static str) -> OpenError {
    OpenError::Corrupt { file: segments::name(number), offset: offset as u64, why }
}

impl<D: Disk> Journal<D> {
    /// Opens the journal in the folder: everything whose append returned is there, and at most one
    /// batch more, whole.
    ///
    /// # Errors
    /// [`OpenError`]
    pub fn open(mut disk: D, options: Options) -> Result<Journal<D>, OpenError> {
        let mut numbers: Vec<u64> =
            disk.names()?.iter().filter_map(|name| segments::number(name)).collect();
        numbers.sort_unstable();
        let Some(first) = numbers.first().copied() else { return Err(OpenError::Missing) };
        if disk.names()?.iter().any(|name| name == SPARE) {
            disk.remove(SPARE)?;
        }
        let bytes = disk.read(&segments::name(first))?;
        let header = read_header(first, &bytes)?;
        let mut journal = Journal {
            disk,
            options,
            segments: VecDeque::new(),
            offset: 0,
            next_batch: header.batch,
            hard_state: header.hard_state,
            last: header.base,
            places: VecDeque::new(),
            origins: Origins::from(header.base.0, header.base.1),
            spare: None,
            prepared_at: 0,
            roll: false,
            failed: false,
            torn_bytes: 0,
            buffer: Vec::new(),
        };
        journal.replay(header, &bytes)?;
        for (before, number) in numbers.iter().zip(&numbers[1..]) {
            if *number != before + 1 {
                return Err(corrupt(*number, 0, "the segment before it is missing"));
            }
            let bytes = journal.disk.read(&segments::name(*number))?;
            let header = read_header(*number, &bytes)?;
            // The older segment must end exactly where this one begins: no frame of it is missing.
            if header.batch != journal.next_batch || header.base != journal.last {
                let why = "its end is not where the next segment begins: a frame is damaged";
                return Err(corrupt(*before, offset_of(&journal), why));
            }
            journal.replay(header, &bytes)?;
        }
        journal.cut_torn_tail()?;
        journal.prepared_at = journal.offset;
        // What was read may be in the system's memory alone: the process died between a write, or a
        // change of names, and its sync. From here on it counts, so power must not take it back.
        let name = segments::name(journal.current().header.number);
        journal.disk.sync(&name)?;
        journal.disk.sync_names()?;
        Ok(journal)
    }

    /// Takes in the frames of one segment, up to the first that is none.
    fn replay(&mut self, header: Header, bytes: &[u8]) -> Result<(), OpenError> {
        self.segments.push_back(Segment { header, last: self.last.0 });
        self.offset = HEADER_BYTES as u64;
        let mut at = HEADER_BYTES;
        while let Some((number, taken)) = frame::check(&bytes[at..], header.salt) {
            if number != self.next_batch {
                return Err(corrupt(header.number, at, "a batch is missing before it"));
            }
            let frame = frame::decode(&bytes[at..])
                .ok_or_else(|| corrupt(header.number, at, "a frame that nobody wrote"))?;
            self.accept(&frame.content, header.number, at as u64, taken as u64);
            at = (at + taken).min(bytes.len());
        }
        if let Some(behind) = later_frame(&bytes[at..], header.salt, self.next_batch) {
            let why = "a damaged frame before others that are whole";
            log::debug!("a whole frame stands {behind} bytes behind the damaged one");
            return Err(corrupt(header.number, at, why));
        }
        Ok(())
    }

    /// Zeroes what an unfinished batch left behind the last whole one, durably, so that nothing of
    /// it can ever stand behind a frame that is written there later.
    fn cut_torn_tail(&mut self) -> Result<(), OpenError> {
        let header = self.current().header;
        let name = segments::name(header.number);
        let bytes = self.disk.read(&name)?;
        let tail = usize::try_from(self.offset).expect("a segment fits into memory");
        let Some(last) = bytes[tail..].iter().rposition(|byte| *byte != 0) else {
            return Ok(());
        };
        log::warn!("unfinished batch cut off file={name} offset={tail} bytes={}", last + 1);
        self.torn_bytes = last + 1;
        self.disk.write_at(&name, self.offset, &vec![0; last + 1])?;
        Ok(())
    }
}

fn offset_of<D>(journal: &Journal<D>) -> usize {
    usize::try_from(journal.offset).expect("a segment fits into memory")
}

fn read_header(number: u64, bytes: &[u8]) -> Result<Header, OpenError> {
    let header = Header::decode(bytes).ok_or_else(|| corrupt(number, 0, "no valid header"))?;
    if header.number != number {
        return Err(corrupt(number, 0, "the header of another segment"));
    }
    if header.size != bytes.len() as u64 {
        return Err(corrupt(number, bytes.len(), "the file has not the size that its header says"));
    }
    Ok(header)
}

/// The distance of a whole frame with number `after` or a later one.
fn later_frame(bytes: &[u8], salt: u32, after: u64) -> Option<usize> {
    (0..bytes.len()).step_by(ALIGNMENT).find(|at| {
        // The batch number is looked at first: a checksum over every place would take minutes.
        let number = bytes.get(at + frame::HEAD_BYTES..at + frame::HEAD_BYTES + 8);
        let number = number.and_then(|number| number.try_into().ok()).map(u64::from_le_bytes);
        number.is_some_and(|number| number >= after && number - after < 1 << 32)
            && frame::check(&bytes[*at..], salt).is_some()
    })
}

/// For the fuzzer: a journal whose only segment holds `bytes` behind a valid header opens or is
/// refused, and what opened can be read and written on.
pub fn fuzz_recovery(bytes: &[u8]) {
    use crate::entry::{Ballot, HardState, Index};
    let options = Options { segment_bytes: 4096, first_segment_bytes: 4096, salt: 7 };
    let disk = sim::SimDisk::new(1);
    let none = (Index(0), Ballot::NONE);
    let journal = Journal::create(disk.clone(), none, HardState::NONE, options)
        .expect("a simulated disk without faults does not fail");
    let room = usize::try_from(journal.bytes()).expect("small") - HEADER_BYTES;
    let bytes = &bytes[..bytes.len().min(room)];
    let mut raw = disk.clone();
    raw.write_at(&segments::name(1), HEADER_BYTES as u64, bytes)
        .expect("a simulated disk without faults does not fail");
    drop(journal);
    let Ok(mut journal) = Journal::open(disk, options) else { return };
    if journal.last().0 >= journal.first() {
        let (first, last) = (journal.first(), journal.last().0);
        // Crafted frames may hold entries that no journal would write; reading must only not panic.
        let _read = journal.read(first, last, usize::MAX);
    }
}
