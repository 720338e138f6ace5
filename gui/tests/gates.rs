//! What the window promises about memory, processor and time, measured on the built window with
//! 100,000 messages on disk, and printed whether it holds or not.
//!
//! The build that is measured is the tests' own. Memory and rest are promised of any build; the
//! time of a start is promised of a release build, which `cargo gates` measures, and only told of a
//! debug build. Pictures are drawn by software here, on a processor that the server and the display
//! share.

#![cfg(target_os = "linux")]
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks, and fails where it must not go on"
)]

#[path = "gates/crowd.rs"]
mod crowd;
mod desk;
#[path = "gates/process.rs"]
mod process;
#[path = "gates/watch.rs"]
mod watch;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use desk::gui::Gui;
use desk::support::server::Server;
use desk::{is_ready, say};

/// How long the window is watched at rest.
const REST: Duration = Duration::from_secs(10);
/// What the window may take.
const RESIDENT_MB_MAX: f64 = 100.0;
const REST_CPU_MS_MAX: f64 = 20.0;
const START_MS_MAX: f64 = 300.0;
/// The frame of the Enter, the next one, and two that have begun when the screen is looked at.
const OWN_FRAMES_MAX: usize = 4;

/// What was measured, and what of it is too much.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
}

impl Report {
    /// A figure with a promise.
    fn gate(&mut self, what: &str, measured: f64, unit: &str, most: f64) {
        let line = format!("{what}: {measured:.1} {unit} (at most {most:.0})");
        if measured > most {
            self.failures.push(line.clone());
        }
        say(&format!("gate    {line}"));
    }

    /// A figure without one.
    fn tell(&self, what: &str, measured: f64, unit: &str) {
        say(&format!("figure  {what}: {measured:.1} {unit}"));
    }
}

#[test]
fn the_window_holds_its_gates() {
    if !is_ready("memory, rest and speed of the window") {
        return;
    }
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    say(&format!("the window, {build} build, drawn by software:"));
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), crowd::SETTINGS);
    let mut gui = Gui::prepare(folder.path(), vec![server.address]);
    let last = crowd::fill(&gui.home(), server.address);
    let mut report = Report::default();

    let start = watch::start(&mut gui);
    let what = "start to the first frame with chats";
    match cfg!(debug_assertions) {
        true => report.tell(what, start, "ms (promised of a release build: 300)"),
        false => report.gate(what, start, "ms", START_MS_MAX),
    }
    gui.display.key_down("alt");
    for _ in 0..crowd::CHATS {
        gui.key("Down");
    }
    gui.display.key_up("alt");
    gui.until_kept("the last chat is open", |kept| kept.open() == Some(last.clone()));
    let (own, renderer) = process::resident_mb(gui.pid());
    report.gate("resident, 100,000 messages, 50 chats opened", own, "MB", RESIDENT_MB_MAX);
    report.tell("beside it, the software renderer's libraries", renderer, "MB");

    rest(&mut report, &gui, "focused");
    typing(&mut report, &gui);
    report.tell("a frame while scrolling, median", watch::scroll(&gui), "ms");
    gui.hide();
    rest(&mut report, &gui, "hidden");
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
}

fn rest(report: &mut Report, gui: &Gui, how: &str) {
    // At a full minute the window looks whether a label has changed: that is no rest.
    desk::until_true("a minute with ten seconds to go", || {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (2..60 - REST.as_secs() - 2).contains(&(wall.as_secs() % 60))
    });
    gui.rests(watch::STILL);
    let (frames, time) = (gui.frames().len(), process::processor_time(gui.pid()));
    std::thread::sleep(REST);
    let used = process::processor_time(gui.pid()).saturating_sub(time);
    let drawn = gui.frames().len() - frames;
    let ms = used.as_secs_f64() * 1_000.0;
    report.gate(&format!("processor in 10 s at rest, {how}"), ms, "ms", REST_CPU_MS_MAX);
    report.gate(&format!("frames in 10 s at rest, {how}"), drawn as f64, "", 0.0);
}

fn typing(report: &mut Report, gui: &Gui) {
    let mut keyboard = watch::Keyboard::of(gui);
    report.tell("key to screen, median", keyboard.keys_ms(), "ms");
    let (ms, frames) = keyboard.own_message();
    report.tell("Enter to own message on the screen", ms, "ms");
    report.gate("frames until then", frames as f64, "", OWN_FRAMES_MAX as f64);
}
