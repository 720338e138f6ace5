//! The identifiers that stand in requests, replies, events and entries: one newtype each, so that a
//! sequence number can never be passed for a conversation.
//!
//! Owns: their shape on the wire (a conversation is `"c42"`, a txn is 32 hex digits, a cursor is
//! `"3.90412"`) and in rows. Driven by: everybody. Invariant: parsing what was printed gives the
//! same value back. Does not: make any of them; whoever makes one says so where it is made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a text is not an identifier; the message says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidId {
    expected: &'static str,
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// One account's life, from 1. Never used again: a name registered anew is another `UserId`.
    UserId
}
number_id! {
    /// Place of a message in its conversation: dense from 1. It is the order of messages.
    Seq
}

/// A server's number in `.env`, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerId(pub u8);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A conversation, from 1; `"c42"` on the wire, a plain number in rows and entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId(pub u64);

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

impl FromStr for ConversationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix('c').filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
        digits
            .and_then(|digits| digits.parse().ok())
            .map(ConversationId)
            .ok_or(InvalidId { expected: "a conversation id such as \"c42\"" })
    }
}

/// The replicated identity of one signed-in device: 128 random bits made by the accepting server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 16]);

/// What makes a repeated write harmless: 128 random bits made by the client before its first try.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Txn(pub [u8; 16]);

macro_rules! hex_id {
    ($name:ident, $expected:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                unhex(text).map($name).ok_or(InvalidId { expected: $expected })
            }
        }
    };
}

hex_id!(SessionId, "a session id of 32 hex digits");
hex_id!(Txn, "a txn of 32 hex digits");

/// A place in the history of everything that concerns an account: an index of the log and the
/// generation that the index belongs to. Opaque to clients; valid on every server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The generation of the log (it counts takeovers and restores).
    pub generation: u64,
    /// The index of the last entry whose events the holder has seen.
    pub index: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation, self.index)
    }
}

impl FromStr for Cursor {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let number = |text: &str| {
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten()
        };
        text.split_once('.')
            .and_then(|(generation, index)| {
                Some(Cursor { generation: number(generation)?, index: number(index)? })
            })
            .ok_or(InvalidId { expected: "a cursor such as \"3.90412\"" })
    }
}

/// On the wire (human-readable formats) these are texts; in rows and entries they are bytes.
macro_rules! serde_as_text {
    ($name:ident, $raw:ty, $pack:expr, $unpack:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    let pack: fn(&$name) -> $raw = $pack;
                    pack(self).serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                    text.parse().map_err(de::Error::custom)
                } else {
                    let unpack: fn($raw) -> $name = $unpack;
                    <$raw>::deserialize(deserializer).map(unpack)
                }
            }
        }
    };
}

serde_as_text!(ConversationId, u64, |id| id.0, ConversationId);
serde_as_text!(SessionId, [u8; 16], |id| id.0, SessionId);
serde_as_text!(Txn, [u8; 16], |id| id.0, Txn);
serde_as_text!(Cursor, (u64, u64), |c| (c.generation, c.index), |(generation, index)| Cursor {
    generation,
    index
});

/// Lower-case hex of `bytes`, two digits a byte.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The `N` bytes that `text` spells in hex (either case), or nothing if it spells something else.
pub fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_reads_back_what_it_printed() {
        let conversation = ConversationId(42);
        assert_eq!(conversation.to_string(), "c42");
        assert_eq!("c42".parse(), Ok(conversation));
        let txn = Txn(*b"0123456789abcdef");
        assert_eq!(txn.to_string().parse(), Ok(txn));
        let cursor = Cursor { generation: 3, index: 90_412 };
        assert_eq!(cursor.to_string(), "3.90412");
        assert_eq!("3.90412".parse(), Ok(cursor));
    }

    #[test]
    fn what_is_not_an_identifier_is_refused() {
        for text in ["", "42", "c", "c-1", "c+1", "c1x", "c99999999999999999999999"] {
            assert!(text.parse::<ConversationId>().is_err(), "{text:?}");
        }
        for text in ["", "3", "3.", ".3", "3.x", "+3.1", "3.1.2", "-3.1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text:?}");
        }
        for text in
            ["", "00", "zz23456789abcdef0123456789abcdef", "+123456789abcdef0123456789abcdef"]
        {
            assert!(text.parse::<Txn>().is_err(), "{text:?}");
        }
    }
}
