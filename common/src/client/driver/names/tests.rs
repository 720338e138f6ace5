use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;

/// Held by a test as long as the system does not answer.
static SILENCE: Mutex<()> = Mutex::new(());
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn look_up(name: &str) -> Found {
    if name.starts_with("silent") {
        ASKED.fetch_add(1, Ordering::SeqCst);
        drop(SILENCE.lock().unwrap());
    }
    Ok(SocketAddr::from(([127, 0, 0, 1], 1)))
}

#[test]
fn a_name_that_is_not_answered_holds_nobody_up_and_is_asked_for_once() {
    let (woken, wakes) = unbounded();
    let mut names = Names::by(look_up, Arc::new(move || woken.send(()).unwrap()));
    let silence = SILENCE.lock().unwrap();
    for who in 1..=3 {
        names.ask("silent:1", who).unwrap();
    }
    names.ask("prompt:1", 4).unwrap();
    wakes.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(names.take_found().map(|(who, _)| who), Some(vec![4]));
    assert!(names.take_found().is_none());
    names.forget(|who| *who == 2);
    drop(silence);
    wakes.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(names.take_found().map(|(who, _)| who), Some(vec![1, 3]));
    assert_eq!(ASKED.load(Ordering::SeqCst), 1);
}
