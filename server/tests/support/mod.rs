//! What tests of the built binaries share: a server in a folder of its own, and clients that know
//! nothing but lines of JSON.

#![allow(dead_code, reason = "each test uses its own part of this")]

pub(crate) mod client;
pub(crate) mod cluster;
#[cfg(target_os = "linux")]
pub(crate) mod disk;
#[cfg(unix)]
pub(crate) mod house;
pub(crate) mod line;
pub(crate) mod neighbour;
pub(crate) mod person;
pub(crate) mod proxy;
pub(crate) mod server;
pub(crate) mod sockets;
pub(crate) mod tls;
