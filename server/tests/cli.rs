//! `holdfast` as people and scripts use it: the built program, its words, its exit codes.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and waits")]

#[path = "cli/accounts.rs"]
mod accounts;
#[path = "cli/administration.rs"]
mod administration;
#[path = "cli/chat.rs"]
mod chat;
#[path = "cli/contact.rs"]
mod contact;
#[path = "cli/messages.rs"]
mod messages;
#[path = "cli/person.rs"]
mod person;
#[path = "cli/terminal.rs"]
mod terminal;

mod support;
