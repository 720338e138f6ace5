//! A client engine at work for one command: it is asked, and its updates are taken until it
//! answers.
//!
//! Owns: the driver's handle, the model, and answers that nobody has taken. Driven by: the
//! commands. Invariants: updates reach the model in their order; every wait ends, by an answer or
//! by [`PATIENCE`]; a question about an identity is decided before anything else goes on.

#![expect(clippy::disallowed_methods, reason = "the rim: waits, and asks for HOLDFAST_HOME")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use holdfast_common::client::cache::{self, Cache};
use holdfast_common::client::driver::{
    self, Encryption, EngineId, Handle, Happening, Member, Storage,
};
use holdfast_common::client::{
    Answer, Command, CommandId, ConnectionState, Failure, MemoryStore, Model, Question,
    SessionState, Settings, Stored, Update,
};
use holdfast_common::protocol::Reply;

use super::contact::Contact;
use super::options::Options;
use super::problem::Problem;

/// How long a command waits for a server that is there and says nothing of use.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long a command that is done waits for unsent messages to go out, and marks to be told.
const TIDY_UP: Duration = Duration::from_secs(2);

/// There is one.
const ENGINE: EngineId = EngineId(0);

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Session {
    handle: Handle,
    /// What the engine tells. Whoever takes from it hands it to [`Session::take`].
    pub(crate) happened: Receiver<Happening>,
    /// What has been told so far.
    pub(crate) model: Model,
    contact: Contact,
    answers: BTreeMap<CommandId, Result<Answer, Failure>>,
    next: u64,
}

impl Session {
    /// With everything that is kept of earlier commands.
    pub(crate) fn open(options: &Options) -> Result<Session, Problem> {
        let (cache, stored) = Cache::open(&home_folder()?)?;
        let contact = Contact::new(options, &stored.home)?;
        Session::start(Storage::Disk(cache), stored, contact, false)
    }

    /// Without anything kept: for questions that need no sign-in. Only the servers of `contact` are
    /// asked, and nothing is learned from them.
    pub(crate) fn passing(contact: Contact, trusts_first_use: bool) -> Result<Session, Problem> {
        let storage = Storage::Memory(MemoryStore::default());
        Session::start(storage, Stored::default(), contact, trusts_first_use)
    }

    fn start(
        storage: Storage,
        stored: Stored,
        contact: Contact,
        trusts_first_use: bool,
    ) -> Result<Session, Problem> {
        let settings = Settings {
            client: concat!("holdfast/", env!("CARGO_PKG_VERSION")).to_owned(),
            device: device(),
            servers: contact.servers.clone(),
            trusts_first_use,
        };
        let settings = Arc::new(settings);
        let member = Member { settings, storage, stored, encryption: Encryption::Tls };
        let (handle, happened) = driver::spawn(vec![member], Box::new(|| {}))?;
        let (model, answers) = (Model::default(), BTreeMap::new());
        Ok(Session { handle, happened, model, contact, answers, next: 0 })
    }

    /// Asks for something. Its answer comes to [`Session::answer`].
    pub(crate) fn ask(&mut self, command: Command) -> CommandId {
        self.next += 1;
        let id = CommandId(self.next);
        self.handle.command(ENGINE, id, command);
        id
    }

    /// Takes one thing that happened; gives the update, for those who print it.
    pub(crate) fn take(&mut self, happening: Happening) -> Result<Update, Problem> {
        let update = match happening {
            Happening::Update(_, update) => update,
            Happening::Ended(_, why) => return Err(Problem::Fault(why)),
        };
        self.model.apply(update.clone());
        if let Update::Answer(id, outcome) = &update {
            self.answers.insert(*id, outcome.clone());
        } else if let Update::Connection(state) = &update {
            self.look_at_identity(state)?;
        }
        Ok(update)
    }

    /// Where a person must decide: by options and settings, or by asking.
    fn look_at_identity(&mut self, state: &ConnectionState) -> Result<(), Problem> {
        if let ConnectionState::Unconfirmed { address, identity } = state {
            let decided = self.contact.decide(address, *identity);
            self.ask(match decided {
                Ok(()) => Command::AcceptIdentity(*identity),
                Err(_) => Command::RejectIdentity,
            });
            decided?;
        } else if let ConnectionState::IdentityChanged { address, pinned, presented } = state {
            self.contact.changed(address, *pinned, *presented)?;
            self.ask(Command::AcceptIdentity(*presented));
        }
        Ok(())
    }

    /// Takes what happens until `done`, or until it has taken too long; says which.
    pub(crate) fn until(
        &mut self,
        patience: Duration,
        mut done: impl FnMut(&Session) -> bool,
    ) -> Result<bool, Problem> {
        let until = Instant::now() + patience;
        while !done(self) {
            match self.happened.recv_deadline(until) {
                Ok(happening) => self.take(happening)?,
                Err(_) => return Ok(false),
            };
        }
        Ok(true)
    }

    /// The outcome of a command, if it is known by now.
    pub(crate) fn answer(&mut self, id: CommandId) -> Option<Result<Answer, Failure>> {
        self.answers.remove(&id)
    }

    /// Whether the outcome of a command is known.
    pub(crate) fn is_answered(&self, id: CommandId) -> bool {
        self.answers.contains_key(&id)
    }

    /// Asks and waits.
    pub(crate) fn call(&mut self, command: Command) -> Result<Answer, Problem> {
        let id = self.ask(command);
        Ok(self.outcome(id)??)
    }

    /// Waits for the outcome of a command. Silence is an outcome too.
    fn outcome(&mut self, id: CommandId) -> Result<Result<Answer, Failure>, Problem> {
        self.until(PATIENCE, |session| session.answers.contains_key(&id))?;
        Ok(self.answer(id).unwrap_or(Err(Failure::NoServer(Vec::new()))))
    }

    /// Asks and waits; once more where the person's word on a changed identity stopped the first
    /// try.
    pub(crate) fn call_again_if_accepted(
        &mut self,
        command: Command,
    ) -> Result<Result<Answer, Failure>, Problem> {
        let id = self.ask(command.clone());
        match self.outcome(id)? {
            Err(Failure::IdentityChanged) => {
                let id = self.ask(command);
                self.outcome(id)
            }
            outcome => Ok(outcome),
        }
    }

    /// Asks the server a question.
    pub(crate) fn question(&mut self, question: Question) -> Result<Reply, Problem> {
        match self.call(Command::Ask(question))? {
            Answer::Reply(reply) => Ok(reply),
            other @ (Answer::Done | Answer::SignedIn(_) | Answer::Sent(_)) => {
                unreachable!("{other:?} is no answer to a question")
            }
        }
    }

    /// Signs in by what is kept.
    pub(crate) fn resume(&mut self) -> Result<(), Problem> {
        self.call(Command::Resume).map(|_| ())
    }

    /// Whether there is a session, whoever answers.
    pub(crate) fn is_signed_in(&self) -> bool {
        matches!(self.model.session(), SessionState::SignedIn { .. })
    }

    /// Before a command ends: lets go out what waited from earlier, within a moment.
    pub(crate) fn tidy_up(&mut self) -> Result<(), Problem> {
        let is_connected = |session: &Session| {
            matches!(session.model.connection(), ConnectionState::Connected { .. })
        };
        if is_connected(self) {
            self.until(TIDY_UP, |session| session.model.waiting() == 0 || !is_connected(session))?;
        }
        Ok(())
    }

    /// Takes what happens for a moment, until `done`.
    pub(crate) fn settle(&mut self, done: impl FnMut(&Session) -> bool) -> Result<bool, Problem> {
        self.until(TIDY_UP, done)
    }
}

/// Where sign-in and messages are kept.
pub(crate) fn home_folder() -> Result<PathBuf, Problem> {
    cache::folder(std::env::var_os("HOLDFAST_HOME")).ok_or_else(|| {
        let text = "no home folder to keep messages in: set HOLDFAST_HOME to a folder";
        Problem::Usage(text.to_owned())
    })
}

/// What the account's list of sessions shows.
fn device() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let harmless = host.chars().filter(|c| !c.is_control()).take(40).collect::<String>();
    format!("terminal on {harmless}")
}
