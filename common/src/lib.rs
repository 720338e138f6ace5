//! What the servers and every client of Holdfast share.
//!
//! ```text
//! client::driver, client::cache     rim: the client's thread, its local store
//! client::engine, client::model     the client as a pure machine
//! net (connection, tls)             byte pipes
//! protocol frame ids config logging ground
//! ```
//!
//! A module imports only from lines below its own.

pub mod client;
pub mod config;
pub mod frame;
pub mod ids;
pub mod logging;
pub mod net;
pub mod protocol;
