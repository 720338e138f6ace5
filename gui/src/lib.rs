//! The desktop window of Holdfast, over `common::client`.

pub mod address;
pub mod composer;
pub mod controls;
pub mod identity;
pub mod keys;
pub mod list;
pub mod paint;
pub mod place;
pub mod popups;
pub mod sign_in;
pub mod strip;
pub mod theme;
pub mod timeline;
pub mod window;
pub mod wish;
pub mod words;
