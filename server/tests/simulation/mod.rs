//! Whole clusters without a machine under them: real nodes, real workers, the real journal, real
//! client engines; one seed gives the network, the disks, the clocks, the threads and the faults.
//!
//! Owns: nothing that ships. Driven by: `cargo sim` and the suite. Invariants: everything that
//! happens follows from the seed and the plan of faults; what is checked is what people see. Does
//! not: speak TLS, or cut lines into pieces: that is the pipes', and has tests of its own.
//!
//! What it notices, tried with bugs put in on purpose, each in 200 seeds of three servers (5000000
//! and on): an id told before the cluster has one, 18; a gate that is always open, 2; a server that
//! believes its own state is the newest, 7; a commit by a majority of the view, none: a survivor
//! has nearly always received what it has not synced. `replication::sim` has profiles for that one.

mod audit;
mod clock;
mod faults;
mod history;
mod host;
pub(crate) mod many;
mod network;
mod person;
mod plan;
mod processes;
mod promise;
pub(crate) mod run;
mod store;
pub(crate) mod world;

/// Microseconds of simulated time.
pub(crate) type Us = u64;
