//! A person's program: the real client engine on its real thread, with its real store.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use holdfast_common::client::cache::Cache;
use holdfast_common::client::driver::{
    self, Encryption, EngineId, Handle, Happening, Member, Storage,
};
use holdfast_common::client::{
    Answer, Command, CommandId, ConnectionState, Failure, Question, Settings, Update,
};
use holdfast_common::config::Secret;
use holdfast_common::ids::{ConversationId, Seq};
use holdfast_common::protocol::{History, MessageView, Page, Reply, Target};

const PATIENCE: Duration = Duration::from_secs(60);
const ME: EngineId = EngineId(0);

/// A person's program.
pub(crate) struct Person {
    handle: Option<Handle>,
    happened: Receiver<Happening>,
    next: u64,
    /// Every message that was told of, in the order told.
    pub(crate) told: Vec<(ConversationId, Seq, String)>,
    /// Up to where each conversation is read, as last told.
    pub(crate) read: BTreeMap<ConversationId, Seq>,
    answers: Vec<(CommandId, Result<Answer, Failure>)>,
    /// Whether it is connected, as last told.
    pub(crate) connection: ConnectionState,
}

impl Person {
    /// Starts it; what it keeps is in `home`. A second one is another window of the same account.
    pub(crate) fn start(home: &Path, servers: &[SocketAddr]) -> Person {
        let (cache, stored) = Cache::open_beside(home).expect("a folder for the store");
        let settings = Settings {
            client: "test/1".to_owned(),
            device: "test".to_owned(),
            servers: servers.iter().map(SocketAddr::to_string).collect(),
            trusts_first_use: true,
        };
        let member = Member {
            settings: Arc::new(settings),
            storage: Storage::Disk(cache),
            stored,
            encryption: Encryption::Tls,
        };
        let (handle, happened) = driver::spawn(vec![member], Box::new(|| {})).expect("a thread");
        Person {
            handle: Some(handle),
            happened,
            next: 0,
            told: Vec::new(),
            read: BTreeMap::new(),
            answers: Vec::new(),
            connection: ConnectionState::Idle,
        }
    }

    /// Gives it a command without waiting.
    pub(crate) fn ask(&mut self, command: Command) -> CommandId {
        self.next += 1;
        let id = CommandId(self.next);
        self.handle.as_ref().expect("it runs").command(ME, id, command);
        id
    }

    /// Takes what happened until `done` says so.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Person) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            let left = until.saturating_duration_since(Instant::now());
            match self.happened.recv_timeout(left).unwrap_or_else(|_| panic!("{what}")) {
                Happening::Update(_, Update::Message(conv, message)) => {
                    self.told.push((conv, message.view.seq, message.view.text));
                }
                Happening::Update(_, Update::Conversation(record)) => {
                    self.read.insert(record.conv, record.read);
                }
                Happening::Update(_, Update::Answer(id, answer)) => self.answers.push((id, answer)),
                Happening::Update(_, Update::Connection(state)) => self.connection = state,
                Happening::Update(..) => {}
                Happening::Ended(_, why) => panic!("{why}"),
            }
        }
    }

    /// Waits for the answer to a command.
    pub(crate) fn answer(&mut self, id: CommandId) -> Result<Answer, Failure> {
        self.until("an answer", |person| person.answers.iter().any(|(of, _)| *of == id));
        let at = self.answers.iter().position(|(of, _)| *of == id).expect("it is there");
        self.answers.remove(at).1
    }

    /// Signs in to an account that is there.
    pub(crate) fn login(&mut self, user: &str) {
        let pass = Secret::new("correct horse".to_owned());
        let id = self.ask(Command::Login { user: user.to_owned(), pass });
        assert_eq!(self.answer(id), Ok(Answer::SignedIn(user.to_owned())));
    }

    /// Makes an account, and signs in to it.
    pub(crate) fn register(&mut self, user: &str) {
        let pass = Secret::new("correct horse".to_owned());
        let id = self.ask(Command::Register { user: user.to_owned(), pass });
        assert_eq!(self.answer(id), Ok(Answer::SignedIn(user.to_owned())));
    }

    /// Sends without waiting.
    pub(crate) fn send(&mut self, to: &str, text: &str) -> CommandId {
        let to = Target::User(to.to_owned());
        self.ask(Command::Send { to, text: text.to_owned() })
    }

    /// The newest page of a conversation.
    pub(crate) fn history(&mut self, conv: ConversationId) -> Vec<MessageView> {
        let page = History { conv, page: Page::Newest, limit: None };
        let id = self.ask(Command::Ask(Question::History(page)));
        let Ok(Answer::Reply(Reply::History(page))) = self.answer(id) else { panic!("a page") };
        page.messages
    }

    /// The program ends as if by `kill -9`: nothing more is stored.
    pub(crate) fn end(&mut self) {
        self.handle = None;
    }
}
