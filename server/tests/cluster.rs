//! Three built servers as people use them: who knows what of whom, and what may be asked of any.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and sleeps, and fails where it must not go on"
)]

mod support;

#[path = "cluster/equality.rs"]
mod equality;
#[path = "cluster/knowledge.rs"]
mod knowledge;
#[path = "cluster/status.rs"]
mod status;
#[path = "cluster/stopping.rs"]
mod stopping;
