//! What a chat is: operations that change it (`operation`, `apply`), questions about it (`query`), and
//! the rows that both stand on (`schema`, `batch`).

mod apply;
mod batch;
pub mod operation;
pub mod query;
mod schema;

pub use apply::apply;
pub use query::answer;
pub use schema::{Meta, meta};
