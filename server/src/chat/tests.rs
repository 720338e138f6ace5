//! Operations applied and questions answered, against what the protocol promises.

mod checked;
mod compare;
mod fuzzed;
mod limits;
mod model;
mod promises;
mod random;
mod world;
