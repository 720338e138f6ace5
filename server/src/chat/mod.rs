//! What a chat is: operations that change it (`operation`, `apply`), questions about it (`query`),
//! and the rows that both stand on (`schema`, `batch`).

mod apply;
mod batch;
mod check;
mod fuzz;
pub mod operation;
pub mod query;
mod schema;

use std::ops::ControlFlow;

use ring::digest::{Context, SHA256};

use crate::tables::{Fault, Order, Read, Rows};

/// How many rows there are, and SHA-256 over all of them: equal on every server at the same index.
/// Of the row that says where they stand all counts but how long this very server has run.
///
/// # Errors
/// [`Fault`] when the rows cannot be read.
pub fn hash_all(rows: &dyn Read) -> Result<(u64, [u8; 32]), Fault> {
    let mut context = Context::new(&SHA256);
    let mut count = 0;
    rows.range(&[0], &[u8::MAX], Order::Ascending, &mut |key, value| {
        if key != schema::META {
            for part in [key, value] {
                context.update(&(part.len() as u64).to_le_bytes());
                context.update(part);
            }
            count += 1;
        }
        ControlFlow::Continue(())
    })?;
    context.update(&schema::encode(&Meta { ran_ms: 0, ..meta(rows)? }));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok((count, hash))
}

/// Writes down beside the rows how long this server ran since the last day mark.
///
/// # Errors
/// [`Fault`] when the rows cannot be read or written.
pub fn note_running(rows: &mut dyn Rows, ran_ms: u64) -> Result<(), Fault> {
    let meta = Meta { ran_ms, ..meta(&*rows)? };
    rows.commit(vec![(schema::META.to_vec(), Some(schema::encode(&meta)))])
}

pub use apply::apply;
pub use check::{RowsError, check};
pub use fuzz::fuzz_apply;
pub use query::{Retold, answer, parting, retell};
pub use schema::{Meta, meta};

#[cfg(test)]
mod tests;
