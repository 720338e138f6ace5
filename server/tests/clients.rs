//! The real client engine on its real thread, with its real store, against the built server.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

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
use support::server::Server;

const PATIENCE: Duration = Duration::from_secs(60);
const ME: EngineId = EngineId(0);

/// A person's program.
struct Person {
    handle: Option<Handle>,
    happened: Receiver<Happening>,
    next: u64,
    /// Every message that was told of, in the order told.
    told: Vec<(ConversationId, Seq, String)>,
    answers: Vec<(CommandId, Result<Answer, Failure>)>,
    connection: ConnectionState,
}

impl Person {
    fn start(home: &Path, server: &Server) -> Person {
        let (cache, stored) = Cache::open(home).expect("a folder for the store");
        let settings = Settings {
            client: "test/1".to_owned(),
            device: "test".to_owned(),
            servers: vec![server.address.to_string()],
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
            answers: Vec::new(),
            connection: ConnectionState::Idle,
        }
    }

    fn ask(&mut self, command: Command) -> CommandId {
        self.next += 1;
        let id = CommandId(self.next);
        self.handle.as_ref().expect("it runs").command(ME, id, command);
        id
    }

    /// Takes what happened until `done` says so.
    fn until(&mut self, what: &str, done: impl Fn(&Person) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !done(self) {
            let left = until.saturating_duration_since(Instant::now());
            match self.happened.recv_timeout(left).unwrap_or_else(|_| panic!("{what}")) {
                Happening::Update(_, Update::Message(conv, message)) => {
                    self.told.push((conv, message.view.seq, message.view.text));
                }
                Happening::Update(_, Update::Answer(id, answer)) => self.answers.push((id, answer)),
                Happening::Update(_, Update::Connection(state)) => self.connection = state,
                Happening::Update(..) => {}
                Happening::Ended(_, why) => panic!("{why}"),
            }
        }
    }

    fn answer(&mut self, id: CommandId) -> Result<Answer, Failure> {
        self.until("an answer", |person| person.answers.iter().any(|(of, _)| *of == id));
        let at = self.answers.iter().position(|(of, _)| *of == id).expect("it is there");
        self.answers.remove(at).1
    }

    fn register(&mut self, user: &str) {
        let pass = Secret::new("correct horse".to_owned());
        let id = self.ask(Command::Register { user: user.to_owned(), pass });
        assert_eq!(self.answer(id), Ok(Answer::SignedIn(user.to_owned())));
    }

    fn send(&mut self, to: &str, text: &str) -> CommandId {
        let to = Target::User(to.to_owned());
        self.ask(Command::Send { to, text: text.to_owned() })
    }

    fn history(&mut self, conv: ConversationId) -> Vec<MessageView> {
        let page = History { conv, page: Page::Newest, limit: None };
        let id = self.ask(Command::Ask(Question::History(page)));
        let Ok(Answer::Reply(Reply::History(page))) = self.answer(id) else { panic!("a page") };
        page.messages
    }

    /// The program ends as if by `kill -9`: nothing more is stored.
    fn end(&mut self) {
        self.handle = None;
    }
}

#[test]
fn two_people_write_through_a_kill_of_the_server_and_every_message_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000\n");
    let mut ada = Person::start(&folder.path().join("ada"), &server);
    let mut bob = Person::start(&folder.path().join("bob"), &server);
    ada.register("ada");
    bob.register("bob");
    let first = ada.send("bob", "0");
    let Ok(Answer::Sent(sent)) = ada.answer(first) else { panic!("it is stored") };
    let mut asked = Vec::new();
    for round in 0..3 {
        asked.extend((0..40).map(|at| ada.send("bob", &format!("{}", 1 + round * 40 + at))));
        server.kill();
        server.spawn();
    }
    for id in asked {
        assert!(matches!(ada.answer(id), Ok(Answer::Sent(_))));
    }
    let expected: Vec<String> = (0..=120).map(|number| number.to_string()).collect();
    bob.until("every message", |bob| bob.told.len() >= expected.len());
    let told: Vec<_> = bob.told.iter().map(|(_, _, text)| text.clone()).collect();
    assert_eq!(told, expected, "what Bob saw");
    let texts = |page: Vec<MessageView>| page.into_iter().map(|m| m.text).collect::<Vec<_>>();
    assert_eq!(texts(ada.history(sent.conv)), expected[21..], "what the server keeps");
}

#[test]
fn what_was_written_without_a_server_survives_the_program_and_goes_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let home = folder.path().join("ada");
    let mut ada = Person::start(&home, &server);
    ada.register("ada");
    server.kill();
    ada.until("no connection", |ada| !matches!(ada.connection, ConnectionState::Connected { .. }));
    ada.send("ada", "note to myself");
    ada.end();
    let mut ada = Person::start(&home, &server);
    server.spawn();
    let resumed = ada.ask(Command::Resume);
    assert_eq!(ada.answer(resumed), Ok(Answer::SignedIn("ada".to_owned())));
    ada.until("the message", |ada| !ada.told.is_empty());
    let conv = ada.told[0].0;
    assert_eq!(ada.history(conv).len(), 1);
}

#[test]
fn a_cluster_that_shows_another_identity_is_a_full_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let mut ada = Person::start(&folder.path().join("ada"), &server);
    ada.register("ada");
    server.kill();
    let secret = "another secret of at least 32 characters";
    server.environment.push(("CLUSTER_SECRET".to_owned(), secret.to_owned()));
    server.spawn();
    ada.until("a full stop", |ada| {
        matches!(ada.connection, ConnectionState::IdentityChanged { .. })
    });
}
