//! Three real servers, of which two may fail: killed, frozen, wiped and cut off while people write,
//! with a checker that sees what people see.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and opens sockets, and fails where it must not go on"
)]

mod support;

#[path = "chaos/crowd.rs"]
mod crowd;
#[path = "chaos/deaths.rs"]
mod deaths;
#[path = "chaos/random.rs"]
mod random;
#[path = "chaos/stalls.rs"]
mod stalls;

use std::path::Path;
use std::time::Duration;

use crowd::Crowd;
use support::cluster::Cluster;

/// A folder that stays when a test fails: its logs say why.
struct Folder(Option<tempfile::TempDir>);

impl Folder {
    fn new() -> Folder {
        Folder(Some(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()))
    }

    fn path(&self) -> &Path {
        self.0.as_ref().expect("it is taken at the end").path()
    }
}

#[expect(clippy::print_stderr, reason = "it says where to look")]
impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(folder) = self.0.take()
            && std::thread::panicking()
        {
            eprintln!("the servers' logs stay in {}", folder.keep().display());
        }
    }
}

/// Two pairs of people who write and read.
fn crowd(cluster: &Cluster) -> Crowd {
    let crowd = Crowd::gather(&cluster.addresses(), 2, Duration::from_millis(1));
    crowd.until_answered(50);
    crowd
}

/// Everybody finishes; those that are awake have everything. Then all servers come back, and have
/// it
/// too.
fn settle(cluster: &mut Cluster, mut crowd: Crowd) {
    let proof = crowd.end();
    for number in cluster.awake() {
        crowd.check(&proof, cluster.address(number));
    }
    cluster.thaw_all();
    cluster.launch_all();
    let count = u8::try_from(cluster.numbers().len()).expect("at most nine");
    cluster.until_in_sync(count);
    crowd.check_all(&proof);
}
