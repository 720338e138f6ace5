//! Built servers as people use them: who knows what of whom, what may be asked of any, and what
//! strangers, full disks and deaths one after the other do to them.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and sleeps, and fails where it must not go on"
)]

mod support;

#[cfg(target_os = "linux")]
#[path = "cluster/disks.rs"]
mod disks;
#[path = "cluster/equality.rs"]
mod equality;
#[cfg(target_os = "linux")]
#[path = "cluster/hostile.rs"]
mod hostile;
#[path = "cluster/knowledge.rs"]
mod knowledge;
#[cfg(target_os = "linux")]
#[path = "cluster/peer.rs"]
mod peer;
#[path = "cluster/sizes.rs"]
mod sizes;
#[path = "cluster/status.rs"]
mod status;
#[path = "cluster/stopping.rs"]
mod stopping;
#[path = "cluster/watch.rs"]
mod watch;
