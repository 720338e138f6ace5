//! Why a command did not do what it was asked for: the sentence and the exit code.
//!
//! Owns: these. Driven by: every command, through `?`. Invariant: a sentence says what happened,
//! what is safe, and what helps.

use std::fmt;
use std::io;

use holdfast_common::client::cache::CacheError;
use holdfast_common::client::{Failure, Tried};
use holdfast_common::protocol::{ErrorCode, ErrorReply, Retry};

use super::output::safe;

/// See the module's page.
#[derive(Debug)]
pub(crate) enum Problem {
    /// A server, or a rule that it would have applied, refused.
    Refused(ErrorReply),
    /// Something on this machine, or with the identity of a server.
    Fault(String),
    /// The command line or the settings are wrong.
    Usage(String),
    /// No server answers.
    NoServer {
        /// Which were tried, and what came of each.
        tried: Vec<Tried>,
        /// What became of what was to be done; empty where nothing was.
        safe: String,
    },
    /// stdout is closed: not a problem.
    NobodyReads,
}

impl Problem {
    /// Nobody is signed in.
    pub(crate) fn not_signed_in() -> Problem {
        let text = "nobody is signed in here, or the sign-in was ended elsewhere: \
                    holdfast login NAME, or holdfast register NAME. Unsent messages are kept";
        Problem::Refused(ErrorReply::with_text(ErrorCode::Unauthorized, text))
    }

    /// A refusal with a sentence of its own.
    pub(crate) fn refused(code: ErrorCode, text: impl Into<String>) -> Problem {
        Problem::Refused(ErrorReply::with_text(code, text))
    }

    /// See the module's page of `main`.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Problem::NobodyReads => 0,
            Problem::Refused(_) | Problem::Fault(_) => 1,
            Problem::Usage(_) => 2,
            Problem::NoServer { .. } => 3,
        }
    }

    /// The same, with a sentence on what became of what was to be done.
    pub(crate) fn but_safe(self, sentence: &str) -> Problem {
        match self {
            Problem::NoServer { tried, .. } => {
                Problem::NoServer { tried, safe: sentence.to_owned() }
            }
            other @ (Problem::Refused(_)
            | Problem::Fault(_)
            | Problem::Usage(_)
            | Problem::NobodyReads) => other,
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Problem {
        match failure {
            Failure::Refused(error) => Problem::Refused(error),
            Failure::NoServer(tried) => Problem::NoServer { tried, safe: String::new() },
            Failure::NotSignedIn => Problem::not_signed_in(),
            Failure::IdentityChanged => {
                Problem::Fault("the server shows another identity than before".to_owned())
            }
            Failure::IdentityRejected => Problem::Fault(
                "the server's identity was not accepted; nothing was sent".to_owned(),
            ),
            Failure::AlreadySignedIn => Problem::Fault("somebody is signed in already".to_owned()),
            Failure::Cancelled => Problem::Fault("it was cancelled".to_owned()),
            Failure::NoSuchItem => Problem::Fault("there is no such unsent message".to_owned()),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Problem {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Problem::NobodyReads;
        }
        Problem::Fault(error.to_string())
    }
}

impl From<CacheError> for Problem {
    fn from(error: CacheError) -> Problem {
        Problem::Fault(error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Refused(error) => {
                write!(f, "{}: {}", error.code, safe(&error.text))?;
                match error.after_ms {
                    Some(ms) if error.retry == Retry::Later => {
                        write!(f, "; try again in {} s", ms.div_ceil(1000).max(1))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Problem::Fault(sentence) | Problem::Usage(sentence) => f.write_str(sentence),
            Problem::NoServer { tried, safe: kept } => {
                f.write_str("no server answers")?;
                for Tried { address, reason } in tried {
                    write!(f, "\n  {address}: {}", safe(reason))?;
                }
                if !kept.is_empty() {
                    write!(f, "\n{kept}")?;
                }
                f.write_str(
                    "\nSee whether the servers run (./start_cluster.sh status on their machine), \
                     and whether the addresses are right (--server, --env)",
                )
            }
            Problem::NobodyReads => Ok(()),
        }
    }
}
