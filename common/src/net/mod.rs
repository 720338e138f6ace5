//! Byte pipes: lines in and out of a socket, with or without TLS.
//!
//! Owns: [`connection`], the one non-blocking pipe that every port and the client's driver use, and
//! [`tls`], who is who. Driven by: the rim (reactor, client driver). Does not: open a socket, poll,
//! or read a clock.

pub mod connection;
mod outcome;
mod queue;
mod session;
mod socket;
pub mod tls;
