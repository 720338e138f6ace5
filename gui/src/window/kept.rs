//! What the screens keep for the next life of the window, beside what is typed.
//!
//! Owns: the keys in the account's place, and when a change is handed over. Driven by: `window`,
//! each frame. Invariant: what changes with every movement is handed over half a second after it
//! came to rest, and at once when the window closes.

use std::time::Duration;

use egui::Ui;
use holdfast_common::client::Command;

/// How the window looks and acts.
pub(super) const KEY_PREFERENCES: &str = "preferences";
/// Which chat is open.
pub(super) const KEY_OPEN: &str = "open";
/// Where its timeline stands; nothing: at the end.
pub(super) const KEY_SCROLL: &str = "scroll";
/// Where the window stands on the screen.
pub const KEY_PLACE: &str = "place";

/// What changes is kept so long after its last change, seconds.
pub(super) const AFTER_S: f64 = 0.5;

/// A value that changes with every movement.
#[derive(Debug)]
pub(super) struct Resting {
    key: &'static str,
    kept: String,
    /// What it was last, and since when, seconds of egui's clock.
    seen: Option<(String, f64)>,
}

impl Resting {
    pub(super) fn new(key: &'static str) -> Resting {
        Resting { key, kept: String::new(), seen: None }
    }

    /// It is kept like this already.
    pub(super) fn is_kept(&mut self, value: &str) {
        value.clone_into(&mut self.kept);
        self.seen = None;
    }

    /// Looks at it; gives what is to be kept, once it rests.
    pub(super) fn look(&mut self, ui: &Ui, value: String) -> Option<Command> {
        if value == self.kept {
            self.seen = None;
            return None;
        }
        let now = ui.input(|input| input.time);
        match &self.seen {
            Some((before, _)) if *before == value => {}
            _ => self.seen = Some((value, now)),
        }
        let since = self.seen.as_ref().map_or(now, |(_, since)| *since);
        if now - since < AFTER_S {
            let wait = Duration::from_secs_f64(AFTER_S - (now - since));
            ui.ctx().request_repaint_after(wait);
            return None;
        }
        self.now()
    }

    /// What is to be kept before it rests: the window closes.
    pub(super) fn now(&mut self) -> Option<Command> {
        let (value, _) = self.seen.take()?;
        self.kept.clone_from(&value);
        Some(Command::KeepInterface { key: self.key.to_owned(), value })
    }
}
