//! All servers asked at once how the cluster is, and one picture out of what they say.
//!
//! Owns: an engine for each server, and what each said last. Driven by: `status`. Invariants: each
//! has one question at a time; whoever has not answered within [`ANSWERS_WITHIN`] is shown as
//! silent, and holds up nobody. Does not: sign in, or keep anything.

#![expect(clippy::disallowed_methods, reason = "the rim: it waits, and looks how long it has")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use holdfast_common::client::driver::{
    self, Encryption, EngineId, Handle, Happening, Member, Storage,
};
use holdfast_common::client::{
    Answer, Command, CommandId, Failure, MemoryStore, Question, Settings, Stored, Update,
};
use holdfast_common::protocol::{Reply, Role, ServerState, Status};

use super::contact::Contact;
use super::problem::Problem;
use super::session::PATIENCE;

/// Who says nothing for so long is silent: many round trips of any network.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// One server that is asked.
#[derive(Debug)]
struct Asked {
    address: String,
    /// When the question was asked that is not answered yet.
    since: Option<Instant>,
    said: Option<Status>,
    failure: Option<Failure>,
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Survey {
    handle: Handle,
    happened: Receiver<Happening>,
    asked: Vec<Asked>,
    next: u64,
}

impl Survey {
    /// Of the servers of a contact. Nothing is learned from them, nothing is sent but questions.
    pub(crate) fn open(contact: &Contact) -> Result<Survey, Problem> {
        let member = |address: &String| Member {
            settings: Arc::new(Settings {
                client: concat!("holdfast/", env!("CARGO_PKG_VERSION")).to_owned(),
                device: String::new(),
                servers: vec![address.clone()],
                trusts_first_use: true,
            }),
            storage: Storage::Memory(MemoryStore::default()),
            stored: Stored::default(),
            encryption: Encryption::Tls,
        };
        let members = contact.servers.iter().map(member).collect();
        let (handle, happened) = driver::spawn(members, Box::new(|| {}))?;
        let asked = |address: &String| Asked {
            address: address.clone(),
            since: None,
            said: None,
            failure: None,
        };
        let asked = contact.servers.iter().map(asked).collect();
        Ok(Survey { handle, happened, asked, next: 0 })
    }

    /// Asks whoever has no question, and waits for `pause`; comes back earlier when all have
    /// answered, if `is_hasty`.
    pub(crate) fn ask(&mut self, pause: Duration, is_hasty: bool) -> Result<(), Problem> {
        let now = Instant::now();
        for (engine, asked) in self.asked.iter_mut().enumerate() {
            if asked.since.is_none() {
                self.next += 1;
                let command = Command::Ask(Question::Status);
                self.handle.command(EngineId(engine), CommandId(self.next), command);
                asked.since = Some(now);
            }
        }
        let until = now + pause;
        while !(is_hasty && self.asked.iter().all(|asked| asked.since.is_none())) {
            match self.happened.recv_deadline(until) {
                Ok(happening) => self.take(happening)?,
                Err(_) => break,
            }
        }
        let now = Instant::now();
        let silent = |since: Instant| now.duration_since(since) >= ANSWERS_WITHIN;
        for asked in self.asked.iter_mut().filter(|asked| asked.since.is_some_and(silent)) {
            asked.said = None;
        }
        Ok(())
    }

    fn take(&mut self, happening: Happening) -> Result<(), Problem> {
        let (EngineId(engine), update) = match happening {
            Happening::Update(engine, update) => (engine, update),
            Happening::Ended(_, why) => return Err(Problem::Fault(why)),
        };
        let Update::Answer(_, answer) = update else { return Ok(()) };
        let Some(asked) = self.asked.get_mut(engine) else { return Ok(()) };
        asked.since = None;
        (asked.said, asked.failure) = match answer {
            Ok(Answer::Reply(Reply::Status(status))) => (Some(status), None),
            Ok(other) => unreachable!("{other:?} is no answer to `status`"),
            Err(failure) => (None, Some(failure)),
        };
        Ok(())
    }

    /// Waits for the first answers: a moment for all of them, longer if there is none at all.
    pub(crate) fn first(&mut self) -> Result<Status, Problem> {
        let start = Instant::now();
        loop {
            self.ask(ANSWERS_WITHIN, true)?;
            if let Some(picture) = self.picture() {
                return Ok(picture);
            }
            let have_failed = self.asked.iter().all(|asked| asked.since.is_none());
            if have_failed || start.elapsed() >= PATIENCE {
                return Err(self.nobody());
            }
        }
    }

    /// Why there is no picture.
    fn nobody(&mut self) -> Problem {
        let mut tried = Vec::new();
        for asked in &mut self.asked {
            match asked.failure.take() {
                Some(Failure::NoServer(servers)) => tried.extend(servers),
                Some(other) => return other.into(),
                None => {}
            }
        }
        Failure::NoServer(tried).into()
    }

    /// What the server says that knows best: one that leads, in the highest ballot. Whoever is not
    /// proven dead, and does not answer, is silent.
    pub(crate) fn picture(&self) -> Option<Status> {
        let said = self.asked.iter().filter_map(|asked| asked.said.as_ref());
        let mut best = said.max_by_key(|status| (leads(status), ballot(status)))?.clone();
        for server in &mut best.servers {
            let asked = self.asked.iter().find(|asked| asked.address == server.addr);
            let is_dead = server.state == ServerState::Down;
            if asked.is_some_and(|asked| asked.said.is_none()) && !is_dead {
                server.state = ServerState::Silent;
            }
        }
        best.diverged = self.asked.iter().filter_map(|a| a.said.as_ref()).map(|s| s.diverged).sum();
        Some(best)
    }
}

fn leads(status: &Status) -> bool {
    status.role == Role::Primary && status.writable
}

/// As numbers: generation, round, server.
fn ballot(status: &Status) -> Vec<u64> {
    status.ballot.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}
