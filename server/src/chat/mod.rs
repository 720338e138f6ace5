//! What a chat is: operations that change it (`operation`, `apply`), questions about it (`query`).

pub mod operation;
pub mod query;
