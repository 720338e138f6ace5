//! How long it takes until something is on the screen, by looking at the screen.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::process::{Child, ChildStdin};
use std::time::{Duration, Instant};

use crate::desk::PATIENCE;
use crate::desk::gui::Gui;

/// Rows of pixels in which the list's chats are, and the messages.
const MIDDLE: (u32, u32) = (120, 600);
/// Rows of pixels in which the composer is.
const COMPOSER: (u32, u32) = (655, 690);
/// Nothing has changed for so long: the screen is as it will be.
pub(crate) const STILL: Duration = Duration::from_millis(1_500);
/// The same between two keys.
const BRIEFLY: Duration = Duration::from_millis(200);
/// Keys of which the median is taken.
const KEYS: usize = 15;
/// Pages that are scrolled.
const PAGES: usize = 100;

fn hash(gui: &Gui, (from, to): (u32, u32)) -> u64 {
    let mut hasher = DefaultHasher::new();
    gui.display.rows(from, to).hash(&mut hasher);
    hasher.finish()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Starts the window; gives how long it took until the chats stood there as they stay.
pub(crate) fn start(gui: &mut Gui) -> f64 {
    let mut seen = hash(gui, MIDDLE);
    let begin = Instant::now();
    gui.launch();
    let mut changed_at = None;
    loop {
        let now = hash(gui, MIDDLE);
        if now != seen {
            seen = now;
            changed_at = Some(begin.elapsed());
        }
        if let Some(at) = changed_at
            && begin.elapsed() - at > STILL
        {
            gui.takes_keys();
            return ms(at);
        }
        assert!(begin.elapsed() < PATIENCE, "no window appears");
    }
}

/// Scrolls through a chat; gives the median of its frames' times.
pub(crate) fn scroll(gui: &Gui) -> f64 {
    let before = gui.frames().len();
    for _ in 0..PAGES {
        gui.key("Prior");
    }
    let times = gui.frames().into_iter().skip(before + 1);
    let times = times.filter_map(|line| line.split(' ').nth(2)?.parse().ok());
    median(times.collect())
}

/// A keyboard whose keys go down when they are told to.
pub(crate) struct Keyboard<'a> {
    gui: &'a Gui,
    process: Child,
    stdin: ChildStdin,
}

impl Keyboard<'_> {
    /// The one of this window's display.
    pub(crate) fn of(gui: &Gui) -> Keyboard<'_> {
        let mut process = gui.display.keyboard();
        let stdin = process.stdin.take().expect("it is piped");
        Keyboard { gui, process, stdin }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").expect("xdotool listens");
    }

    /// Presses a key and waits until these rows are others; then lets go of it.
    fn press(&mut self, key: &str, rows: (u32, u32)) -> Duration {
        self.gui.rests(BRIEFLY);
        let before = hash(self.gui, rows);
        let begin = Instant::now();
        self.say(&format!("keydown {key}"));
        while hash(self.gui, rows) == before {
            assert!(begin.elapsed() < PATIENCE, "{key} changes nothing");
        }
        let took = begin.elapsed();
        self.say(&format!("keyup {key}"));
        took
    }

    /// A letter until it is in the composer: the median of some.
    pub(crate) fn keys_ms(&mut self) -> f64 {
        median((0..KEYS).map(|_| ms(self.press("a", COMPOSER))).collect())
    }

    /// Enter until the own message is among the others, and the frames that took.
    pub(crate) fn own_message(&mut self) -> (f64, usize) {
        self.gui.rests(STILL);
        let before = self.gui.frames().len();
        let took = self.press("Return", MIDDLE);
        (ms(took), self.gui.frames().len() - before)
    }
}

impl Drop for Keyboard<'_> {
    fn drop(&mut self) {
        // It ends by itself when nobody can speak to it any more, or has ended already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
