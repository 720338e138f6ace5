//! What is printed: text for people, or JSON for programs.
//!
//! Owns: stdout, colours, local times, and how texts of others are made harmless. Driven by: every
//! command. Invariants: colours only on a terminal and without `NO_COLOR`; a control character of
//! anybody's text never reaches the terminal; a closed stdout is an error like any other, not a
//! panic.

#![expect(clippy::disallowed_methods, reason = "the rim: NO_COLOR and TERM are asked here")]

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;

use super::problem::Problem;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it is.
    Plain,
    /// What stands back.
    Dim,
    /// What stands out.
    Bold,
    /// Done, in order.
    Good,
    /// To be looked at.
    Warn,
    /// Wrong.
    Bad,
}

/// Whether styles are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Colours(bool);

impl Colours {
    /// As stdout and the environment want it.
    pub(crate) fn of_stdout() -> Colours {
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Colours(io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb)
    }

    /// The text in a style.
    pub(crate) fn paint(self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.0 => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Dim => "2",
            Style::Bold => "1",
            Style::Good => "32",
            Style::Warn => "33",
            Style::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// Rows of cells as lines, each column as wide as its widest cell. The first row is a heading.
    pub(crate) fn table(self, rows: &[Vec<String>]) -> Vec<String> {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let line = |(number, row): (usize, &Vec<String>)| {
            let cells = row.iter().enumerate();
            let cells = cells.map(|(at, cell)| format!("{cell:fill$}  ", fill = width(at)));
            let style = if number == 0 { Style::Dim } else { Style::Plain };
            self.paint(style, cells.collect::<String>().trim_end())
        };
        rows.iter().enumerate().map(line).collect()
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Output {
    is_json: bool,
    colours: Colours,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Output {
        Output { is_json, colours: Colours::of_stdout() }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.is_json
    }

    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        self.colours.paint(style, text)
    }

    /// A line for people.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Problem> {
        writeln!(io::stdout(), "{text}")?;
        Ok(())
    }

    /// A line for people only: what a command has done, where programs look at the exit code.
    pub(crate) fn note(&mut self, text: &str) -> Result<(), Problem> {
        if self.is_json { Ok(()) } else { self.line(text) }
    }

    /// An object for programs, on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Problem> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    pub(crate) fn colours(&self) -> Colours {
        self.colours
    }

    /// See [`Colours::table`].
    pub(crate) fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Problem> {
        let lines = self.colours.table(rows);
        lines.iter().try_for_each(|line| self.line(line))
    }
}

/// A line on stderr, for the person who waits. Whether it can be written changes nothing.
pub(crate) fn tell(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}

/// The text with whatever could steer a terminal, or the direction of writing, shown as its number.
/// Newlines and tabs stay.
pub(crate) fn safe(text: &str) -> String {
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || (c.is_control() && c != '\n' && c != '\t') {
            write!(harmless, "\\u{{{:x}}}", u32::from(c)).expect("a string can be written to");
        } else {
            harmless.push(c);
        }
    }
    harmless
}

/// The same on one line.
pub(crate) fn safe_line(text: &str) -> String {
    safe(text).replace(['\n', '\t'], " ")
}

/// The same, with further lines as far in as the first.
pub(crate) fn safe_block(text: &str, indent: usize) -> String {
    safe(text).replace('\n', &format!("\n{:indent$}", ""))
}

/// A moment as people say it: the time today, with the date on other days.
pub(crate) fn moment(ts_ms: u64) -> String {
    let Some(at) = local(ts_ms) else { return "-".to_owned() };
    let is_today = at.date() == Zoned::now().date();
    at.strftime(if is_today { "%H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
}

fn local(ts_ms: u64) -> Option<Zoned> {
    let at = Timestamp::from_millisecond(i64::try_from(ts_ms).ok()?).ok()?;
    Some(at.to_zoned(TimeZone::system()))
}

#[cfg(test)]
mod tests;
