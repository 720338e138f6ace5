//! How things look in a chat, as text.
//!
//! Owns: the form of lines. Driven by: `act` and `follow`. Invariant: what others wrote is made
//! harmless here. Does not: print.

use holdfast_common::client::model::Row;
use holdfast_common::client::{ConnectionState, MessageRecord};

use super::super::output::{Colours, Style, moment, safe, safe_block, safe_line};

/// Characters of a message that remind of it.
const REMINDER_CHARS: usize = 24;
/// Characters of a message in a list.
const PREVIEW_CHARS: usize = 60;

/// A message: its number, its time, who wrote it, what.
pub(super) fn message(colours: Colours, message: &MessageRecord) -> String {
    let view = &message.view;
    let from = view.from.as_deref().map_or("(deleted account)".to_owned(), safe_line);
    let head = format!("{:>4} {} ", view.seq, moment(view.ts));
    let indent = head.chars().count() + from.chars().count() + 2;
    let text = match view.deleted {
        true => colours.paint(Style::Dim, "(deleted)"),
        false => safe_block(&view.text, indent),
    };
    let edited = match view.edited {
        Some(_) if !view.deleted => colours.paint(Style::Dim, " (edited)"),
        Some(_) | None => String::new(),
    };
    let style = if message.own { Style::Plain } else { Style::Bold };
    let (head, from) = (colours.paint(Style::Dim, &head), colours.paint(style, &from));
    format!("{head}{from}: {text}{edited}")
}

/// The beginning of a text, to remind of a message.
pub(super) fn reminder(text: &str) -> String {
    format!("\"{}\"", cut(text, REMINDER_CHARS))
}

/// The beginning of a text, for a list.
pub(super) fn preview(text: &str) -> String {
    cut(text, PREVIEW_CHARS)
}

fn cut(text: &str, chars_max: usize) -> String {
    let line = safe_line(text);
    match line.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// A chat in a list.
pub(super) fn row(colours: Colours, row: &Row<'_>, last: &str) -> String {
    let with = row.with.map_or("(deleted account)".to_owned(), safe_line);
    let unread = match row.unread {
        0 => String::new(),
        unread => colours.paint(Style::Good, &format!(" ({unread} new)")),
    };
    let when = if row.active_ms == 0 { String::new() } else { moment(row.active_ms) };
    let last = colours.paint(Style::Dim, &format!("  {when}  {}", preview(last)));
    format!("  {with}{unread}{last}")
}

/// That no server answers.
pub(super) fn not_connected(state: &ConnectionState) -> String {
    let since = match state {
        ConnectionState::NotConnected { since_ms, .. } => format!(" since {}", moment(*since_ms)),
        ConnectionState::Idle
        | ConnectionState::Connecting
        | ConnectionState::Connected { .. }
        | ConnectionState::Switching { .. }
        | ConnectionState::Unconfirmed { .. }
        | ConnectionState::IdentityChanged { .. } => String::new(),
    };
    format!("-- no server answers{since}; trying on. What you write is kept and goes out then --")
}

/// That an own or another's message has another text.
pub(super) fn edited(number: u64, text: &str) -> String {
    format!("  ✎ {number} now reads: {}", safe(text).replace('\n', "\n      "))
}
