//! Whole clusters without a machine under them: real nodes, real workers, the real journal, real
//! client engines; one seed gives the network, the disks, the clocks, the threads and the faults.
//!
//! Owns: nothing that ships. Driven by: `cargo sim` and the suite. Invariants: everything that
//! happens follows from the seed and the plan of faults; what is checked is what people see. Does
//! not: speak TLS, or cut lines into pieces: that is the pipes', and has tests of its own.

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
pub(crate) mod run;
mod store;
pub(crate) mod world;

/// Microseconds of simulated time.
pub(crate) type Us = u64;
