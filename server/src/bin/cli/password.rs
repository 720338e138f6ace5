//! Passwords: asked for unseen, or the lines of a file. Never an argument.
//!
//! Owns: where they come from. Driven by: the commands that need one. Does not: keep any.

use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};

use holdfast_common::config::Secret;
use zeroize::Zeroizing;

use super::options::Options;
use super::problem::Problem;

/// Longest password file that is read: two lines of at most 71 bytes, and some room.
const FILE_BYTES_MAX: u64 = 4096;

/// Where passwords come from.
pub(crate) enum Passwords {
    /// From a person at this terminal.
    Asked,
    /// The lines of a file, first to last.
    Lines(Box<dyn BufRead>),
}

impl Passwords {
    pub(crate) fn new(options: &Options) -> Result<Passwords, Problem> {
        let Some(path) = &options.password_file else {
            if io::stdin().is_terminal() {
                return Ok(Passwords::Asked);
            }
            let text = "no terminal to ask for a password: --password-file FILE, or - for stdin";
            return Err(Problem::Usage(text.to_owned()));
        };
        let source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let file = std::fs::File::open(path).map_err(|error| {
                Problem::Usage(format!("--password-file {}: {error}", path.display()))
            })?;
            Box::new(file)
        };
        Ok(Passwords::Lines(Box::new(BufReader::new(source.take(FILE_BYTES_MAX)))))
    }

    /// The next one, as it is.
    pub(crate) fn present(&mut self, prompt: &str) -> Result<Secret, Problem> {
        match self {
            Passwords::Asked => {
                let typed = rpassword::prompt_password(format!("{prompt}: "))?;
                Ok(Secret::new(typed))
            }
            Passwords::Lines(lines) => {
                let mut line = Zeroizing::new(String::new());
                if lines.read_line(&mut line)? == 0 {
                    return Err(Problem::Usage("--password-file has too few lines".to_owned()));
                }
                let end = line.trim_end_matches(['\n', '\r']).len();
                Ok(Secret::new(line[..end].to_owned()))
            }
        }
    }

    /// A new one: a person types it twice.
    pub(crate) fn new_one(&mut self, prompt: &str) -> Result<Secret, Problem> {
        let first = self.present(prompt)?;
        if matches!(self, Passwords::Asked) {
            let second = self.present(&format!("{prompt}, again"))?;
            if first != second {
                let text = "the two passwords differ; nothing was changed";
                return Err(Problem::Fault(text.to_owned()));
            }
        }
        Ok(first)
    }
}
