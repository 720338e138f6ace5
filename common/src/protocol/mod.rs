//! The client protocol `chat/1` as types: what is written in the design's protocol page stands here
//! once, and the server and every client use the same lines.
//!
//! Owns: the envelope of a line (`id`/`op`/`d`, `id`/`ok`/`err`, `ev`/`cur`/`d`), its limits and
//! its reading and writing. Driven by: the server's node, the client's engine. Invariants: a
//! request that was read has every field, with its type; unknown fields are ignored, so yesterday's
//! client is understood tomorrow. Does not: decide anything (sessions, limits of rate, who may do
//! what).

mod accounts;
mod admin;
mod envelope;
mod errors;
mod events;
mod messages;
mod operations;
mod rules;

pub use accounts::*;
pub use admin::*;
pub use envelope::{RequestFrame, encode_done, encode_error, encode_event};
pub use errors::{ErrorCode, ErrorReply, Retry};
pub use events::*;
pub use messages::*;
pub use operations::*;
pub use rules::{Broken, check_device, check_name, check_password, check_text, fold_name};

/// The version of the protocol that this code speaks.
pub const PROTOCOL: u32 = 1;
/// Longest line in bytes, newline included, both ways.
pub const LINE_BYTES_MAX: usize = 65_536;
/// Longest text of a message in bytes of UTF-8.
pub const TEXT_BYTES_MAX: usize = 16_384;
/// Requests that a client may have unanswered on one connection; the server reads no more.
pub const PIPELINE_MAX: usize = 64;
/// Deepest nesting of arrays and objects in a line; the line's own object is depth 1.
pub const DEPTH_MAX: usize = 16;
/// A client that sent nothing for this many seconds sends `ping`.
pub const PING_S: u32 = 15;
/// Either side closes a connection on which it received nothing for this many seconds.
pub const SILENCE_S_MAX: u64 = 35;
/// A connection without a valid `hello` after this many seconds is closed.
pub const HELLO_S_MAX: u64 = 10;
/// A connection that is not signed in after this many seconds is closed.
pub const SIGN_IN_S_MAX: u64 = 60;
/// `conversations` cuts the last message's text to at most this many bytes.
pub const PREVIEW_BYTES_MAX: usize = 280;
/// Largest (and default) page of `users`.
pub const USERS_PAGE_MAX: usize = 50;
/// Largest (and default) page of `conversations`.
pub const CONVERSATIONS_PAGE_MAX: usize = 100;
/// Largest (and default) page of `history`.
pub const HISTORY_PAGE_MAX: usize = 100;

#[cfg(test)]
mod tests;
