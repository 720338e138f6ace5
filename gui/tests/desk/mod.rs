//! A desk for the built window: a display nobody sees, a keyboard, servers, and the other person.
//!
//! Owns: what such tests need of the machine, and saying loudly when it is not there. Driven by:
//! the tests that start `holdfast-gui` itself. Invariants: loopback and a display of its own only;
//! everything is waited for by a condition, in bounded time; whatever was started ends with the
//! test. Does not: look into the window: a test sees the screen, the other person, the servers, and
//! what the window has on disk.

#![allow(dead_code, reason = "each test uses its own part of this")]

pub(crate) mod display;
pub(crate) mod gui;
pub(crate) mod kept;
#[path = "../../../server/tests/support"]
pub(crate) mod support {
    //! What the tests of the servers use: only the parts that a desk needs.
    pub(crate) mod client;
    pub(crate) mod cluster;
    pub(crate) mod line;
    pub(crate) mod person;
    pub(crate) mod proxy;
    pub(crate) mod server;
}

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::server::binary;

/// Whatever happens on a desk happens within this, however slow the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a condition is looked at again.
const GLANCE: Duration = Duration::from_millis(5);
/// Set by `.ci/test`, which has installed the tools: then their absence is a failure.
const MUST: &str = "HOLDFAST_TEST_DISPLAY";

/// Says a line that no test runner keeps to itself.
pub(crate) fn say(line: &str) {
    // Nobody to tell is no reason to fail.
    writeln!(std::io::stderr(), "{line}").ok();
}

/// Whether this machine can show a window to nobody. Where it cannot, says what is not tested.
pub(crate) fn is_ready(what: &str) -> bool {
    let missing: Vec<_> = ["Xvfb", "xdotool"].into_iter().filter(|tool| !runs(tool)).collect();
    if missing.is_empty() {
        build_server();
        return true;
    }
    let sentence = format!(
        "NOT TESTED: {what}. Missing here: {}. On Debian .ci/test installs what is needed.",
        missing.join(", ")
    );
    assert!(std::env::var_os(MUST).is_none(), "{sentence}");
    say(&sentence);
    false
}

fn runs(tool: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(tool).is_file())
}

/// `cargo test --workspace` builds the servers, and builds them anew when they have changed. For
/// this package alone cargo does not: then they are built here, once.
fn build_server() {
    if binary().exists() {
        return;
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["build", "--quiet", "--package", "holdfast-server", "--bins"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let built = command.arg("--manifest-path").arg(manifest).stdin(Stdio::null()).status();
    assert!(built.expect("cargo has started this test").success(), "the servers must be built");
}

/// Waits until something is there.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "in vain waited for: {what}");
        std::thread::sleep(GLANCE);
    }
}

/// The same of a condition.
pub(crate) fn until_true(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, || holds().then_some(()));
}
