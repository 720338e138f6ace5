//! What tests of the built binaries share: a server in a folder of its own, and a client that knows
//! nothing but lines of JSON.

#![allow(dead_code, reason = "each test uses its own part of this")]

pub(crate) mod client;
pub(crate) mod server;
