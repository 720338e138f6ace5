//! What a chat is: operations that change it (`operation`, `apply`), questions about it (`query`),
//! and the rows that both stand on (`schema`, `batch`).

mod apply;
mod batch;
mod fuzz;
pub mod operation;
pub mod query;
mod schema;

use crate::tables::{Fault, Read};

/// How many rows there are, and SHA-256 over all of them: equal on every server at the same index.
///
/// # Errors
/// [`Fault`] when the rows cannot be read.
pub fn hash_all(rows: &dyn Read) -> Result<(u64, [u8; 32]), Fault> {
    batch::Batch::new(rows)?.hash_all()
}

pub use apply::apply;
pub use fuzz::fuzz_apply;
pub use query::answer;
pub use schema::{Meta, meta};

#[cfg(test)]
mod tests;
