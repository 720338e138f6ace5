//! One server without a machine under it: the real node and its real workers over a disk and rows
//! in memory, with the time and every thread in the hands of the test.

pub(crate) mod checker;
pub(crate) mod random;
pub(crate) mod script;
pub(crate) mod workers;
pub(crate) mod world;
