//! What a person types, a line at a time, and the way to print above it.
//!
//! Owns: the thread that edits a line (or reads a pipe), the one that prints above it, and the
//! names that Tab completes. Driven by: `chat`, which asks for each line by a prompt. Invariants:
//! while a line is typed nothing else writes to the terminal; typed lines are remembered in memory
//! only; the chat never waits for the terminal. Does not: know what a line means.

#![expect(
    clippy::disallowed_methods,
    reason = "the rim: a keyboard needs a thread that waits for it"
)]

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Behavior, Config, Context, Editor, ExternalPrinter as _, Helper};

use super::commands::WORDS;
use crate::problem::Problem;

/// What came of asking for a line.
#[derive(Debug)]
pub(super) enum Typed {
    /// A line; several that were pasted are one.
    Line(String),
    /// Ctrl-C: what was typed is thrown away.
    Cleared,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// Names that Tab completes.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeSet<String>>>);

impl Names {
    pub(super) fn add(&self, name: &str) {
        // Another thread's panic leaves a set that is as good as before.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned());
    }

    fn beginning_with(&self, prefix: &str) -> Vec<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = |name: &&String| {
            let head = name.as_bytes().get(..prefix.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        names.iter().filter(begins).cloned().collect()
    }
}

/// See the module's page.
#[derive(Debug)]
pub(super) struct Keys {
    /// Each is answered by one [`Typed`].
    prompts: Option<Sender<String>>,
    pub(super) typed: Receiver<Typed>,
    lines: Option<Sender<String>>,
    printer: Option<JoinHandle<()>>,
    is_terminal: bool,
}

impl Keys {
    /// An editor where stdin and stdout are a terminal, else plain lines.
    pub(super) fn new(names: &Names) -> Result<Keys, Problem> {
        let (prompts_in, prompts) = unbounded::<String>();
        let (typed_in, typed) = unbounded();
        let (lines_in, lines) = unbounded::<String>();
        let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let printer = if is_terminal {
            let config = Config::builder().auto_add_history(true).behavior(Behavior::Stdio);
            let mut editor: Editor<Words, DefaultHistory> =
                Editor::with_config(config.build()).map_err(no_terminal)?;
            editor.set_helper(Some(Words(names.clone())));
            let mut above = editor.create_external_printer().map_err(no_terminal)?;
            spawn("keyboard").spawn(move || edit(&mut editor, &prompts, &typed_in))?;
            spawn("above the line").spawn(move || {
                for line in lines {
                    // Where the terminal is gone, the editor says so by its end.
                    above.print(line + "\n").ok();
                }
            })?
        } else {
            spawn("keyboard").spawn(move || read(&prompts, &typed_in))?;
            spawn("output").spawn(move || {
                for line in lines {
                    if writeln!(io::stdout(), "{line}").is_err() {
                        return;
                    }
                }
            })?
        };
        let (prompts, lines, printer) = (Some(prompts_in), Some(lines_in), Some(printer));
        Ok(Keys { prompts, typed, lines, printer, is_terminal })
    }

    /// Whether a person sits there.
    pub(super) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Asks for the next line.
    pub(super) fn ask(&self, prompt: &str) {
        if let Some(prompts) = &self.prompts
            && prompts.send(prompt.to_owned()).is_err()
        {
            log::debug!("the keyboard's thread has ended");
        }
    }

    /// Prints a line above the one that is typed. Says whether anybody reads it.
    pub(super) fn print(&self, line: &str) -> bool {
        self.lines.as_ref().is_some_and(|lines| lines.send(line.to_owned()).is_ok())
    }
}

impl Drop for Keys {
    /// What was to be printed is printed. The keyboard's thread may wait for a key: it ends with
    /// us.
    fn drop(&mut self) {
        self.prompts = None;
        self.lines = None;
        if let Some(printer) = self.printer.take() {
            printer.join().ok();
        }
    }
}

fn no_terminal(error: ReadlineError) -> Problem {
    Problem::Fault(format!("this terminal cannot be used: {error}"))
}

fn edit(
    editor: &mut Editor<Words, DefaultHistory>,
    prompts: &Receiver<String>,
    typed: &Sender<Typed>,
) {
    for prompt in prompts {
        let line = match editor.readline(&prompt) {
            Ok(line) => Typed::Line(line),
            Err(ReadlineError::Interrupted) => Typed::Cleared,
            Err(_) => Typed::End,
        };
        if typed.send(line).is_err() {
            return;
        }
    }
}

fn read(prompts: &Receiver<String>, typed: &Sender<Typed>) {
    let mut lines = io::stdin().lock().lines();
    for _prompt in prompts {
        let line = match lines.next() {
            Some(Ok(line)) => Typed::Line(line),
            Some(Err(_)) | None => Typed::End,
        };
        if typed.send(line).is_err() {
            return;
        }
    }
}

/// Completes commands, and names behind them.
struct Words(Names);

impl Helper for Words {}
impl rustyline::hint::Hinter for Words {
    type Hint = String;
}
impl rustyline::highlight::Highlighter for Words {}
impl rustyline::validate::Validator for Words {}

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..at];
        let found = match typed.rsplit_once(' ') {
            None if typed.starts_with('/') => {
                let words = WORDS.iter().map(|word| format!("/{} ", word.name));
                (0, words.filter(|word| word.starts_with(typed)).collect())
            }
            Some(("/to" | "/who", prefix)) => (at - prefix.len(), self.0.beginning_with(prefix)),
            Some(_) | None => (at, Vec::new()),
        };
        Ok(found)
    }
}
