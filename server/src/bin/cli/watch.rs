//! `status --watch`: a failover as it happens.
//!
//! Owns: what was seen last, since when each server is what it is, and the last changes. Driven by:
//! `status`. Invariants: all servers are asked five times a second, and none waits for another; on
//! a terminal one picture is drawn anew in its own place, elsewhere each change is one line. Does
//! not: ask (`survey`).

#![expect(clippy::disallowed_methods, reason = "the rim: it says when something changed")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use holdfast_common::ids::ServerId;
use holdfast_common::protocol::Status;
use jiff::Zoned;

use super::output::{Output, Style, safe_line, tell};
use super::problem::Problem;
use super::status::{describe_with, show};
use super::survey::Survey;

/// Between two rounds of questions, and two drawings.
const PAUSE: Duration = Duration::from_millis(200);
/// Changes that stay in sight below the picture.
const CHANGES_SHOWN: usize = 8;

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Watch {
    shown: Status,
    since: BTreeMap<ServerId, Instant>,
    changes: VecDeque<String>,
    is_lost: bool,
    /// Lines of the picture that stands on the terminal.
    drawn: usize,
}

impl Watch {
    /// From the first picture on.
    pub(crate) fn begin(shown: Status) -> Watch {
        let now = Instant::now();
        let since = shown.servers.iter().map(|server| (server.server, now)).collect();
        Watch { shown, since, changes: VecDeque::new(), is_lost: false, drawn: 0 }
    }

    /// Until somebody ends the program, or nobody reads any more.
    pub(crate) fn run(mut self, mut survey: Survey, output: &mut Output) -> Result<(), Problem> {
        let is_drawn = io::stdout().is_terminal() && !output.is_json();
        if !is_drawn {
            show(output, &self.shown)?;
        }
        loop {
            if is_drawn {
                self.draw(output)?;
            }
            survey.ask(PAUSE, false)?;
            let Some(change) = self.see(survey.picture()) else { continue };
            if output.is_json() {
                output.json(&self.shown)?;
            } else if !is_drawn {
                output.line(&change)?;
            }
        }
    }

    /// Takes the newest picture; gives the line that says what has changed.
    fn see(&mut self, picture: Option<Status>) -> Option<String> {
        let Some(now) = picture else {
            if !std::mem::replace(&mut self.is_lost, true) {
                tell("no server answers; trying again");
            }
            return None;
        };
        let mut parts = Vec::new();
        if std::mem::take(&mut self.is_lost) {
            parts.push("a server answers again".to_owned());
        }
        parts.extend(changes(&self.shown, &now));
        for server in &now.servers {
            let was = self.shown.servers.iter().find(|one| one.server == server.server);
            if was.is_none_or(|was| was.state != server.state) {
                self.since.insert(server.server, Instant::now());
            }
        }
        self.shown = now;
        if parts.is_empty() {
            return None;
        }
        let change = format!("{}  {}", Zoned::now().strftime("%H:%M:%S%.3f"), parts.join("; "));
        self.changes.push_back(change.clone());
        if self.changes.len() > CHANGES_SHOWN {
            self.changes.pop_front();
        }
        Some(change)
    }

    fn draw(&mut self, output: &Output) -> Result<(), Problem> {
        let since = |server: ServerId| {
            let began = self.since.get(&server);
            began.map_or("-".to_owned(), |began| format!("{:.1} s", began.elapsed().as_secs_f32()))
        };
        let mut lines = describe_with(output.colours(), &self.shown, Some(("since", &since)));
        if self.is_lost {
            lines.insert(0, output.paint(Style::Bad, "no server answers: this was the last word"));
        }
        lines.extend(self.changes.iter().cloned());
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\x1b[{}A", self.drawn));
        }
        for line in &lines {
            text.push_str(&format!("{line}\x1b[K\n"));
        }
        text.push_str("\x1b[J");
        self.drawn = lines.len();
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()?;
        Ok(())
    }
}

/// What has changed between two pictures, but for lags.
fn changes(before: &Status, now: &Status) -> Vec<String> {
    let mut parts = Vec::new();
    for server in &now.servers {
        let was = before.servers.iter().find(|one| one.server == server.server);
        if let Some(was) = was.filter(|was| was.state != server.state) {
            let (was, is) = (was.state.words(), server.state.words());
            parts.push(format!("server {}: {was} -> {is}", server.server));
        }
    }
    if (before.in_sync, before.writable) != (now.in_sync, now.writable) {
        let word = if now.writable { "serving" } else { "not serving" };
        parts.push(format!("{word}, {} of {} in sync", now.in_sync, now.of));
    }
    if let Some(why) = now.waiting.as_ref().filter(|_| before.waiting != now.waiting) {
        parts.push(format!("waiting: {}", safe_line(why)));
    }
    if before.diverged != now.diverged {
        parts.push(format!("diverged: {}", now.diverged));
    }
    parts
}
