//! Somebody else on the same server: whatever one client does, it must not be felt by this one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, fresh_txn};
use super::server::Server;

/// The longest that an answer may take in a debug build on a machine that runs other tests as well:
/// a loop that waits for one client, or works through all that it sent, takes seconds.
const LATENCY_MAX: Duration = Duration::from_millis(250);

/// Does something to the server while another client asks question after question; fails if that
/// one had to wait.
pub(crate) fn undisturbed<T>(server: &Server, act: impl FnOnce() -> T) -> T {
    let mut client = Client::connect(server.address);
    client.sign_up(&format!("n{}", &fresh_txn()[20..]));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let (mut worst, mut rounds) = (Duration::ZERO, 0u32);
            while !over.load(Ordering::Relaxed) || rounds < 10 {
                let start = Instant::now();
                client.ok("ping", json!({}));
                client.ok("conversations", json!({}));
                worst = worst.max(start.elapsed());
                rounds += 1;
                // Within what the server lets one account ask a second.
                std::thread::sleep(Duration::from_millis(25));
            }
            worst
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        over.store(true, Ordering::Relaxed);
        let worst = watch.join().expect("the other client is served");
        let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(worst <= LATENCY_MAX, "another client waited {worst:?}");
        result
    })
}
