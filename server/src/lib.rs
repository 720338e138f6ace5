//! The Holdfast server: one machine, driven by inputs, over a journal and tables.

pub mod chat;
pub mod entry;
pub mod folder;
pub mod journal;
pub mod node;
pub mod reactor;
pub mod replication;
pub mod store;
pub mod tables;
pub mod work;
