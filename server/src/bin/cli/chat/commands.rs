//! What a typed line means.
//!
//! Owns: the commands and how they are read. Driven by: `chat` for each line. Does not: do
//! anything.

use holdfast_common::ids::Seq;
use holdfast_common::protocol::Scope;

/// A command, as `/help` shows it.
pub(super) struct Word {
    /// Behind the slash.
    pub(super) name: &'static str,
    /// What stands behind it.
    pub(super) arguments: &'static str,
    /// What it does.
    pub(super) meaning: &'static str,
}

const fn word(name: &'static str, arguments: &'static str, meaning: &'static str) -> Word {
    Word { name, arguments, meaning }
}

/// Every command.
pub(super) const WORDS: &[Word] = &[
    word("to", "NAME", "open the chat with somebody; Tab completes the name"),
    word("list", "", "all chats, with what is unread"),
    word("older", "", "earlier messages of this chat"),
    word("edit", "N TEXT", "give your message number N another text"),
    word("delete", "N [all]", "delete message N for you, or your own for all"),
    word("who", "[PREFIX]", "who is there"),
    word("status", "", "how the servers are"),
    word("help", "", "this list"),
    word("quit", "", "leave (also Ctrl-D)"),
];

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Nothing.
    Empty,
    /// A message.
    Text(String),
    /// `/to`
    To(String),
    /// `/list`
    List,
    /// `/older`
    Older,
    /// `/edit`
    Edit(Seq, String),
    /// `/delete`
    Delete(Seq, Scope),
    /// `/who`
    Who(String),
    /// `/status`
    Status,
    /// `/help`
    Help,
    /// `/quit`
    Quit,
    /// None of these: a sentence that helps.
    Wrong(String),
}

impl Line {
    /// Reads a line. `//` begins a message that begins with one slash.
    pub(super) fn parse(line: &str) -> Line {
        if line.trim().is_empty() {
            return Line::Empty;
        }
        let Some(command) = line.strip_prefix('/') else { return Line::Text(line.to_owned()) };
        if command.starts_with('/') {
            return Line::Text(command.to_owned());
        }
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let rest = rest.trim();
        match (name, rest) {
            ("to", name) if !name.is_empty() => Line::To(name.to_owned()),
            ("list", "") => Line::List,
            ("older", "") => Line::Older,
            ("edit", rest) => edit(rest),
            ("delete", rest) => delete(rest),
            ("who", prefix) => Line::Who(prefix.to_owned()),
            ("status", "") => Line::Status,
            ("help", _) => Line::Help,
            ("quit", _) => Line::Quit,
            (name, _) => unknown(name),
        }
    }
}

fn edit(rest: &str) -> Line {
    match rest.split_once(char::is_whitespace).map(|(number, text)| (seq(number), text.trim())) {
        Some((Some(seq), text)) if !text.is_empty() => Line::Edit(seq, text.to_owned()),
        _ => usage("edit"),
    }
}

fn delete(rest: &str) -> Line {
    match rest.split_once(char::is_whitespace) {
        Some((number, "all")) => seq(number).map(|seq| Line::Delete(seq, Scope::All)),
        Some(_) => None,
        None => seq(rest).map(|seq| Line::Delete(seq, Scope::Me)),
    }
    .unwrap_or_else(|| usage("delete"))
}

fn seq(text: &str) -> Option<Seq> {
    text.trim_start_matches('#').parse().ok().map(Seq)
}

fn usage(name: &str) -> Line {
    let known = WORDS.iter().find(|word| word.name == name);
    let arguments = known.map_or("", |word| word.arguments);
    Line::Wrong(format!("/{name} {arguments}: the numbers stand before the messages"))
}

fn unknown(name: &str) -> Line {
    if let Some(word) = WORDS.iter().find(|word| word.name == name) {
        return Line::Wrong(format!("/{} {}: {}", word.name, word.arguments, word.meaning));
    }
    let alike = WORDS.iter().find(|word| name.starts_with(&word.name[..1]));
    let hint = alike.map_or(String::new(), |word| format!("; did you mean /{}?", word.name));
    Line::Wrong(format!(
        "there is no command /{name}{hint} /help lists all; // begins a message with a slash"
    ))
}

#[cfg(test)]
mod tests;
