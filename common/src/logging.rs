//! One way of logging for all programs.
//!
//! ```text
//! 2026-11-23T08:00:00.123Z INFO  server2 replication: became primary ballot=1.7.2 in_sync=3
//! ```
//!
//! Owns: the form of a line (time in UTC, level, instance, module, message), the log file and its
//! rotation. Driven by: every program's `main` through [`init`], and on SIGHUP through
//! [`Logging::reopen`]; it belongs to the rim, for it reads the clock. Invariants: a line is one
//! line, whatever stands in its message; the file is never more than [`FILE_BYTES_MAX`] and a line;
//! a log that cannot be written costs lines, never the program. Does not: keep secrets out; whoever
//! logs does.
//!
//! Crates that are not ours are heard from `warn` on, unless `LOG_LEVEL` names them.

mod file;

use std::fmt::Arguments;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use log::{Level, LevelFilter};

use crate::config::LogLevels;
use file::LogFile;

/// At this size a log file is rotated: small enough to open, large enough for days.
const FILE_BYTES_MAX: u64 = 50 * 1024 * 1024;

/// What a program says about its log.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who speaks, for instance `server2`.
    pub instance: String,
    /// The file, if there is to be one; its folder is made.
    pub file: Option<PathBuf>,
    /// Which of the lines go to stderr (too).
    pub stderr: Stderr,
    /// Which messages.
    pub levels: LogLevels,
}

/// What a program says on stderr. Each line is written before whoever logs goes on, so where nobody
/// may read it, it must be little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stderr {
    /// Nothing.
    Nothing,
    /// What somebody should know who does not look into the file.
    WarningsAndErrors,
    /// All that goes to the file: somebody is watching.
    Everything,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The file cannot be opened.
    #[error("cannot open the log {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was set up before.
    #[error("logging is set up already")]
    Twice(#[from] log::SetLoggerError),
}

/// The log that [`init`] has set up.
#[derive(Debug, Clone)]
pub struct Logging {
    file: Option<Arc<Mutex<LogFile>>>,
}

impl Logging {
    /// Opens the file anew: what SIGHUP asks for, after somebody has moved it away.
    ///
    /// # Errors
    /// It cannot be opened; lines go to the file that was open before.
    pub fn reopen(&self) -> Result<(), LoggingError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        file.reopen().map_err(|source| LoggingError::Open { path: file.path().to_owned(), source })
    }
}

/// Sets the process's log up. A panic is logged as well, before it does what it did.
///
/// # Errors
/// See [`LoggingError`].
pub fn init(options: Options) -> Result<Logging, LoggingError> {
    let (dispatch, logging) = build(options, FILE_BYTES_MAX)?;
    dispatch.apply()?;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        log::error!(target: "panic", "{panic}");
        hook(panic);
    }));
    Ok(logging)
}

fn build(options: Options, bytes_max: u64) -> Result<(fern::Dispatch, Logging), LoggingError> {
    let Options { instance, file, stderr, levels } = options;
    let highest = levels.targets.iter().map(|(_, level)| *level).fold(levels.default, Ord::max);
    let mut dispatch = fern::Dispatch::new()
        .level(highest)
        .filter(move |metadata| metadata.level() <= level_of(&levels, metadata.target()))
        .format(move |out, message, record| {
            let now = Timestamp::now();
            let line = line(now, record.level(), &instance, record.target(), message);
            out.finish(format_args!("{line}"));
        });
    // `fern` panics where it can write neither to its output nor to stderr; these outputs never
    // fail.
    let said = match stderr {
        Stderr::Nothing => LevelFilter::Off,
        Stderr::WarningsAndErrors => LevelFilter::Warn,
        Stderr::Everything => LevelFilter::Trace,
    };
    let say = fern::Output::call(|record| {
        let line = format!("{}\n", record.args());
        io::stderr().lock().write_all(line.as_bytes()).ok();
    });
    dispatch = dispatch.chain(fern::Dispatch::new().level(said).chain(say));
    let file = file.map(|path| open(&path, bytes_max)).transpose()?;
    if let Some(file) = &file {
        let file = Arc::clone(file);
        dispatch = dispatch.chain(fern::Output::call(move |record| {
            // Made before the lock is taken: a message whose `Display` panics is logged, too.
            let line = format!("{}\n", record.args());
            file.lock().unwrap_or_else(PoisonError::into_inner).write(line.as_bytes());
        }));
    }
    Ok((dispatch, Logging { file }))
}

fn open(path: &Path, bytes_max: u64) -> Result<Arc<Mutex<LogFile>>, LoggingError> {
    LogFile::open(path, bytes_max)
        .map(|file| Arc::new(Mutex::new(file)))
        .map_err(|source| LoggingError::Open { path: path.to_owned(), source })
}

/// The most particular level that is said for a target.
fn level_of(levels: &LogLevels, target: &str) -> LevelFilter {
    let within = |prefix: &str| {
        target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let named = levels.targets.iter().filter(|(prefix, _)| within(prefix));
    if let Some((_, level)) = named.max_by_key(|(prefix, _)| prefix.len()) {
        return *level;
    }
    let is_ours = target.starts_with("holdfast") || matches!(target, "audit" | "panic");
    if is_ours { levels.default } else { levels.default.min(LevelFilter::Warn) }
}

/// One line without its end.
fn line(
    now: Timestamp,
    level: Level,
    instance: &str,
    target: &str,
    message: &Arguments<'_>,
) -> String {
    let target = short(target);
    let mut line = format!("{now:.3} {level:<5} {instance} {target}: ");
    let start = line.len();
    line.push_str(&message.to_string());
    if line[start..].contains(char::is_control) {
        // Names and addresses come from outside: nobody may forge a line with a newline in one.
        let message: String = line[start..].chars().flat_map(visible).collect();
        line.truncate(start);
        line.push_str(&message);
    }
    line
}

/// A module's path without its crate, if that is ours.
fn short(target: &str) -> &str {
    match target.split_once("::") {
        Some((krate, module)) if krate.starts_with("holdfast") => module,
        Some(_) => target,
        None => target.strip_prefix("holdfast_").unwrap_or(target),
    }
}

fn visible(character: char) -> impl Iterator<Item = char> {
    let (plain, escaped) = if character.is_control() {
        (None, Some(character.escape_default()))
    } else {
        (Some(character), None)
    };
    plain.into_iter().chain(escaped.into_iter().flatten())
}

#[cfg(test)]
mod tests;
