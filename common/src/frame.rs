//! Frames out of bytes: the `Decoder` turns bytes that arrive in any cuts into whole frames. On a
//! client's connection a frame is a line; on a link between servers it is a length (four bytes,
//! little-endian) and so many bytes.
//!
//! Owns: the bytes of the one frame that is not complete yet, at most the limit. Driven by:
//! `net::Connection` (and the fuzzer). Invariants: the frames that come out do not depend on how
//! the bytes were cut; memory is taken as bytes come, never because a length was claimed; an idle
//! decoder holds no memory; after `TooLarge` nothing comes out any more. Does not: look inside a
//! line (`protocol` does).

use std::collections::VecDeque;

/// A line was longer than the limit. The stream cannot be read any further: where the next line
/// begins is unknown until a newline comes, and waiting for one is what an attacker would like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a line is longer than {line_bytes_max} bytes")]
pub struct TooLarge {
    /// The limit that was exceeded, newline included.
    pub line_bytes_max: usize,
}

/// Bytes of a frame's length.
pub const LENGTH_BYTES: usize = 4;

/// Where a frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Newline,
    Length,
}

/// See the module's page.
#[derive(Debug)]
pub struct Decoder {
    ending: Ending,
    line_bytes_max: usize,
    partial: Vec<u8>,
    complete: VecDeque<Vec<u8>>,
    overflowed: bool,
}

impl Decoder {
    /// A decoder for lines of at most `line_bytes_max` bytes, newline included.
    pub fn new(line_bytes_max: usize) -> Decoder {
        Decoder::with(Ending::Newline, line_bytes_max)
    }

    /// A decoder for frames that begin with their length, at most `frame_bytes_max` bytes behind
    /// it.
    pub fn frames(frame_bytes_max: usize) -> Decoder {
        Decoder::with(Ending::Length, frame_bytes_max)
    }

    fn with(ending: Ending, line_bytes_max: usize) -> Decoder {
        Decoder {
            ending,
            line_bytes_max,
            partial: Vec::new(),
            complete: VecDeque::new(),
            overflowed: false,
        }
    }

    /// Takes bytes as they came from the pipe. Bytes behind an overlong frame are dropped.
    pub fn feed(&mut self, bytes: &[u8]) {
        match self.ending {
            Ending::Newline => self.feed_lines(bytes),
            Ending::Length => self.feed_frames(bytes),
        }
    }

    fn feed_frames(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.overflowed && !rest.is_empty() {
            let wanted = match self.partial.first_chunk::<LENGTH_BYTES>() {
                Some(length) => LENGTH_BYTES + u32::from_le_bytes(*length) as usize,
                None => LENGTH_BYTES,
            };
            let taken = rest.len().min(wanted - self.partial.len());
            self.partial.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            let Some(length) = self.partial.first_chunk::<LENGTH_BYTES>() else { return };
            let length = u32::from_le_bytes(*length) as usize;
            if length > self.line_bytes_max {
                self.overflowed = true;
                self.partial = Vec::new();
            } else if self.partial.len() == LENGTH_BYTES + length {
                let mut frame = std::mem::take(&mut self.partial);
                frame.drain(..LENGTH_BYTES);
                self.complete.push_back(frame);
            }
        }
    }

    fn feed_lines(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.overflowed && !rest.is_empty() {
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(rest.len(), |at| at + 1);
            if self.partial.len() + taken > self.line_bytes_max
                || (newline.is_none() && self.partial.len() + taken == self.line_bytes_max)
            {
                self.overflowed = true;
                self.partial = Vec::new();
                return;
            }
            self.partial.extend_from_slice(&rest[..taken]);
            rest = &rest[taken..];
            if newline.is_some() {
                let mut line = std::mem::take(&mut self.partial);
                line.pop();
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                self.complete.push_back(line);
            }
        }
    }

    /// The next whole line without its newline (nor a `\r` before it); nothing until more bytes
    /// come.
    ///
    /// # Errors
    /// [`TooLarge`] once every line before the overlong one has been taken, and ever after.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>, TooLarge> {
        match self.complete.pop_front() {
            Some(line) => {
                if self.complete.is_empty() {
                    self.complete = VecDeque::new();
                }
                Ok(Some(line))
            }
            None if self.overflowed => Err(TooLarge { line_bytes_max: self.line_bytes_max }),
            None => Ok(None),
        }
    }

    /// Whether `next_line` has something to say: a line, or that one was too large.
    pub fn has_lines(&self) -> bool {
        !self.complete.is_empty() || self.overflowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of `bytes` fed in pieces of the given sizes, round and round (so there must be at
    /// least one), and whether it ended in `TooLarge`.
    fn decode(bytes: &[u8], cuts: &[usize], limit: usize) -> (Vec<Vec<u8>>, bool) {
        let mut decoder = Decoder::new(limit);
        let mut lines = Vec::new();
        let mut rest = bytes;
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
            decoder.feed(piece);
            rest = tail;
            while let Ok(Some(line)) = decoder.next_line() {
                lines.push(line);
            }
        }
        (lines, decoder.next_line().is_err())
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_more_byte_does_not() {
        let mut line = vec![b'a'; 9];
        line.push(b'\n');
        assert_eq!(decode(&line, &[3], 10), (vec![vec![b'a'; 9]], false));
        line.insert(0, b'a');
        assert_eq!(decode(&line, &[3], 10), (vec![], true));
    }

    #[test]
    fn an_overlong_line_is_known_before_its_newline_comes() {
        let mut decoder = Decoder::new(10);
        decoder.feed(b"ok\n0123456789");
        assert_eq!(decoder.next_line(), Ok(Some(b"ok".to_vec())));
        assert_eq!(decoder.next_line(), Err(TooLarge { line_bytes_max: 10 }));
        decoder.feed(b"\nlater\n");
        assert!(decoder.next_line().is_err(), "nothing comes out behind an overlong line");
    }

    #[test]
    fn a_carriage_return_before_the_newline_is_tolerated() {
        assert_eq!(decode(b"a\r\nb\n\r\n", &[1], 10).0, vec![b"a".to_vec(), b"b".to_vec(), vec![]]);
    }

    #[test]
    fn frames_come_out_whole_however_they_are_cut_and_a_claim_beyond_the_limit_ends_it() {
        let mut bytes = Vec::new();
        for frame in [b"".as_slice(), b"a", b"0123456789"] {
            bytes.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(frame);
        }
        for cut in 1..=bytes.len() {
            let mut decoder = Decoder::frames(10);
            let mut frames = Vec::new();
            for piece in bytes.chunks(cut) {
                decoder.feed(piece);
                while let Ok(Some(frame)) = decoder.next_line() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, [b"".to_vec(), b"a".to_vec(), b"0123456789".to_vec()], "{cut}");
        }
        let mut decoder = Decoder::frames(10);
        decoder.feed(&u32::MAX.to_le_bytes());
        assert!(decoder.next_line().is_err(), "nothing is taken for a claim");
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_were_cut(
            bytes in prop::collection::vec(
                prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()],
                0..300,
            ),
            cuts in prop::collection::vec(1usize..40, 1..10),
        ) {
            prop_assert_eq!(decode(&bytes, &cuts, 32), decode(&bytes, &[usize::MAX], 32));
        }
    }
}
