//! What a server may say from its own state: never less than it had to know.
//!
//! Owns: what was acknowledged, and what each connection's server must show. Driven by: people's
//! machines, with each request that leaves and each line that comes. Invariants that it holds
//! servers to: a life of a server shows whatever was acknowledged before it began; whoever signs in
//! sees what was acknowledged before, but for a session that resumes where nobody could be asked;
//! on one connection nothing is unseen again; no refusal denies what was acknowledged. Does not:
//! look at more of a message than its number.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_common::protocol::{Page, Request, Target};
use serde_json::Value;

use super::Us;

/// A resume that is answered within this knew what the cluster had acknowledged: who finds nobody
/// to ask waits for a server's patience of two seconds, by any clock.
const ASKED_US: Us = 1_500_000;

/// What somebody was told, and what nobody may deny from then on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// The last message of each conversation.
    messages: BTreeMap<String, u64>,
    names: BTreeSet<String>,
}

/// A request, as far as its answer depends on what is known.
#[derive(Debug)]
enum Asked {
    SignIn {
        at: Us,
        is_resume: bool,
        name: Option<String>,
        knew: Known,
    },
    /// The newest page.
    History {
        conv: String,
        at_least: u64,
    },
    Conversations {
        at_least: BTreeMap<String, u64>,
    },
    /// By name: one that is known.
    SendTo {
        is_known: bool,
    },
    Other,
}

/// What a connection's server must show.
#[derive(Debug)]
pub(crate) struct Sight {
    at_least: BTreeMap<String, u64>,
    asked: BTreeMap<u64, Asked>,
}

impl Known {
    fn message(&mut self, conv: &Value, seq: &Value) {
        higher(&mut self.messages, conv, seq);
    }
}

impl Sight {
    /// Of a server that began its life when so much was known.
    pub(crate) fn new(knew: &Known) -> Sight {
        Sight { at_least: knew.messages.clone(), asked: BTreeMap::new() }
    }

    /// A request leaves.
    pub(crate) fn asks(&mut self, now: Us, id: u64, request: &Request, known: &Known) {
        let sign_in = |is_resume, name: Option<&str>| Asked::SignIn {
            at: now,
            is_resume,
            name: name.map(ToOwned::to_owned),
            knew: known.clone(),
        };
        let asked = match request {
            Request::Resume(_) => sign_in(true, None),
            Request::Login(login) => sign_in(false, Some(&login.user)),
            Request::Register(register) => sign_in(false, Some(&register.user)),
            Request::Send(send) => match &send.to {
                Target::User(name) => Asked::SendTo { is_known: known.names.contains(name) },
                Target::Conversation(_) => Asked::Other,
            },
            Request::History(history) if matches!(history.page, Page::Newest) => {
                let conv = history.conv.to_string();
                let at_least = self.at_least.get(&conv).copied().unwrap_or(0);
                Asked::History { conv, at_least }
            }
            Request::Conversations(page) if page.after.is_none() => {
                Asked::Conversations { at_least: self.at_least.clone() }
            }
            _ => Asked::Other,
        };
        self.asked.insert(id, asked);
    }

    /// A line has come.
    ///
    /// # Errors
    /// What it denies.
    pub(crate) fn line(&mut self, now: Us, line: &Value, known: &mut Known) -> Result<(), String> {
        if line["ev"] == "msg" {
            higher(&mut self.at_least, &line["d"]["conv"], &line["d"]["seq"]);
        }
        let Some(asked) = line["id"].as_u64().and_then(|id| self.asked.remove(&id)) else {
            return Ok(());
        };
        match line["err"]["code"].as_str() {
            Some(code) => refused(&asked, code),
            None => self.granted(now, asked, &line["ok"], known),
        }
    }

    fn granted(
        &mut self,
        now: Us,
        asked: Asked,
        ok: &Value,
        known: &mut Known,
    ) -> Result<(), String> {
        match asked {
            Asked::SignIn { at, is_resume, name, knew } => {
                if !is_resume || now - at < ASKED_US {
                    for (conv, seq) in knew.messages {
                        let at_least = self.at_least.entry(conv).or_default();
                        *at_least = seq.max(*at_least);
                    }
                }
                known.names.extend(name);
            }
            Asked::SendTo { .. } | Asked::Other => {
                // Of a send, that is; other answers have no number of their own.
                known.message(&ok["conv"], &ok["seq"]);
                higher(&mut self.at_least, &ok["conv"], &ok["seq"]);
            }
            Asked::History { conv, at_least } => {
                let messages = ok["messages"].as_array().expect("a list");
                let last = messages.last().map_or(0, |last| last["seq"].as_u64().unwrap());
                shows(&conv, last, at_least)?;
            }
            Asked::Conversations { at_least } => {
                for conversation in ok["conversations"].as_array().expect("a list") {
                    let conv = conversation["conv"].as_str().unwrap();
                    let last = conversation["last_seq"].as_u64().unwrap();
                    shows(conv, last, at_least.get(conv).copied().unwrap_or(0))?;
                }
            }
        }
        Ok(())
    }
}

fn higher(messages: &mut BTreeMap<String, u64>, conv: &Value, seq: &Value) {
    if let (Some(conv), Some(seq)) = (conv.as_str(), seq.as_u64()) {
        let last = messages.entry(conv.to_owned()).or_default();
        *last = seq.max(*last);
    }
}

fn shows(conv: &str, last: u64, at_least: u64) -> Result<(), String> {
    match last < at_least {
        true => Err(format!("{conv} ends with {last}, where {at_least} had to be known")),
        false => Ok(()),
    }
}

/// Nobody signs out, deletes an account or restores a copy here: whatever was once acknowledged is
/// there, and a session that was begun lasts.
fn refused(asked: &Asked, code: &str) -> Result<(), String> {
    let is_denied = match (asked, code) {
        (_, "no_such_conversation" | "cursor_expired") => true,
        (Asked::SignIn { is_resume: true, .. }, "unauthorized") => true,
        (Asked::SignIn { name: Some(name), knew, .. }, "wrong_credentials") => {
            knew.names.contains(name)
        }
        (Asked::SendTo { is_known, .. }, "no_such_user") => *is_known,
        _ => false,
    };
    match is_denied {
        true => Err(format!("{asked:?} is denied with {code}")),
        false => Ok(()),
    }
}
