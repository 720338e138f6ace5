//! People: a real client engine each, on a machine of its own, and what they do with it.
//!
//! Owns: an engine with what it has stored, its connections, and what it was asked for. Driven by:
//! the world (lines, deadlines, the next idea). Invariants: effects are done strictly in order;
//! whatever is stored survives the program; each line in either direction goes past the checker.
//! Does not: judge what is seen (`checker` and `audit` do).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use holdfast_common::client::{
    Answer, CloseReason, Command, CommandId, ConnectionId, Effect, Engine, Failure, Identity,
    Input, MemoryStore, Model, Now, OutboxItem, OutboxState, Question, SessionState, Settings,
    Update, Work, Write,
};
use holdfast_common::config::{Config, Secret};
use holdfast_common::ids::{ConversationId, Seq, Txn};
use holdfast_common::protocol::{
    Conversations, ErrorCode, History, Page, Request, RequestFrame, Scope, Target,
};

use super::Us;
use super::clock::Clock;
use super::network::{Door, Packet, PipeId, Place, Side};
use super::promise::Sight;
use super::world::{What, World};
use crate::sim::checker::{Asked, Connection};
use crate::sim::workers::Random;

/// One of them has two devices.
pub(crate) const NAMES: [&str; 4] = ["ada", "ada", "bob", "cleo"];
/// Between two ideas of one person.
const IDEA_US: (Us, Us) = (5_000, 120_000);

/// See the module's page.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    machine: usize,
    /// Counts programs, and is never that of no program.
    pub(crate) epoch: u64,
    clock: Clock,
    engine: Engine,
    settings: Arc<Settings>,
    pub(crate) store: MemoryStore,
    pub(crate) model: Model,
    pipes: BTreeMap<ConnectionId, PipeId>,
    connections: BTreeMap<PipeId, ConnectionId>,
    /// What the checker knows of each connection.
    wires: BTreeMap<PipeId, (Connection, Sight)>,
    timer_at: Option<Us>,
    random: Random,
    next_command: u64,
    next_text: u64,
    /// The sign-in under way.
    signing_in: Option<CommandId>,
    has_registered: bool,
    last_failure: Option<String>,
    /// Whatever was put into the outbox, in order.
    pub(crate) accepted: Vec<OutboxItem>,
    /// Of those, what a server refused.
    pub(crate) refused: BTreeSet<Txn>,
    /// Own messages that were acknowledged, and those that were edited or deleted since.
    own: Vec<(ConversationId, Seq)>,
    pub(crate) changed: BTreeSet<(ConversationId, Seq)>,
}

impl Person {
    /// Everybody, on machines behind the servers'.
    pub(crate) fn all(
        servers: usize,
        base: Instant,
        config: &Config,
        random: &mut Random,
    ) -> Vec<Person> {
        let addresses: Vec<_> =
            config.servers.iter().map(|server| server.client().to_string()).collect();
        let settings = Settings {
            client: "sim/1".to_owned(),
            device: "desk".to_owned(),
            servers: addresses,
            trusts_first_use: true,
        };
        let settings = Arc::new(settings);
        let person = |(at, name): (usize, &'static str)| {
            let mut random = Random(random.next());
            let mut store = MemoryStore::default();
            Person {
                name,
                machine: servers + at,
                epoch: 1,
                clock: Clock::new(base, 1_000_000, 0),
                engine: engine(&settings, &mut store, &mut random),
                settings: settings.clone(),
                store,
                model: Model::default(),
                pipes: BTreeMap::new(),
                connections: BTreeMap::new(),
                wires: BTreeMap::new(),
                timer_at: None,
                random,
                next_command: 0,
                next_text: 0,
                signing_in: None,
                has_registered: false,
                last_failure: None,
                accepted: Vec::new(),
                refused: BTreeSet::new(),
                own: Vec::new(),
                changed: BTreeSet::new(),
            }
        };
        NAMES.into_iter().enumerate().map(person).collect()
    }

    fn now(&self, at: Us) -> Now {
        let now = self.clock.now(at);
        Now { instant: now.instant, wall_ms: now.wall_ms }
    }

    /// Which account this is: devices of one have one number.
    fn account(&self) -> usize {
        NAMES.iter().position(|name| *name == self.name).unwrap()
    }

    /// Whether nothing that was asked for is unanswered.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.model.session(), SessionState::SignedIn { .. }) && self.model.waiting() == 0
    }

    /// How it is with this person's client.
    pub(crate) fn condition(&self) -> String {
        let (session, connection) = (self.model.session(), self.model.connection());
        let (name, machine, waiting) = (self.name, self.machine, self.model.waiting());
        let failed = self.last_failure.as_deref().unwrap_or("no sign-in failed");
        format!("{name} at {machine}: {session:?}, {connection:?}, {waiting} waiting, {failed}")
    }

    fn conversations(&self) -> Vec<ConversationId> {
        let rows = self.model.rows();
        let conversations = rows.iter().filter_map(|row| match &row.to {
            Target::Conversation(conv) => Some(*conv),
            Target::User(_) => None,
        });
        conversations.collect()
    }

    /// What this person thinks of next.
    fn idea(&mut self) -> Command {
        let conversations = self.conversations();
        let random = &mut self.random;
        let conv = match conversations.is_empty() {
            true => None,
            false => Some(conversations[random.below(conversations.len())]),
        };
        let own = (!self.own.is_empty()).then(|| self.own[random.below(self.own.len())]);
        match (random.below(100), conv, own) {
            (0..8, _, Some((conv, seq))) => {
                self.changed.insert((conv, seq));
                let text = format!("edited {}", random.below(1_000));
                Command::Edit { conv, seq, text }
            }
            (8..13, _, Some((conv, seq))) => {
                self.changed.insert((conv, seq));
                let scope = if random.percent(50) { Scope::Me } else { Scope::All };
                Command::Delete { conv, seq, scope }
            }
            (13..25, Some(conv), _) => {
                let last = self.model.conversation(conv).map_or(0, |record| record.last_seq.0);
                Command::MarkRead { conv, upto: Seq(random.next() % (last + 1)) }
            }
            (25..30, Some(conv), _) => Command::Open(conv),
            (30..34, Some(conv), _) => {
                let history = History { conv, page: Page::Newest, limit: Some(20) };
                Command::Ask(Question::History(history))
            }
            (34, ..) => Command::Ask(Question::Conversations(Conversations::default())),
            (35, ..) => Command::Ask(Question::Status),
            (_, conv, _) => {
                self.next_text += 1;
                let length = match random.below(10) {
                    0 => 2_000,
                    1..4 => 300,
                    _ => 20,
                };
                let padding = "x".repeat(random.below(length));
                let text = format!("{} of {} {padding}", self.next_text, self.machine);
                let to = match conv {
                    Some(conv) if random.percent(60) => Target::Conversation(conv),
                    _ => Target::User(NAMES[random.below(NAMES.len())].to_owned()),
                };
                Command::Send { to, text }
            }
        }
    }

    /// Keeps what an update says that matters here.
    fn note(&mut self, update: &Update) {
        match update {
            Update::Answer(id, result) if self.signing_in == Some(*id) => {
                self.signing_in = None;
                self.last_failure = result.as_ref().err().map(|failure| format!("{failure:?}"));
                match result {
                    Ok(_) => self.has_registered = true,
                    Err(Failure::Refused(refused)) => {
                        // Another device may have been first, or nobody.
                        self.has_registered = refused.code == ErrorCode::UserExists;
                    }
                    Err(_) => {}
                }
            }
            Update::Answer(_, Ok(Answer::Sent(ok))) => {
                self.own.extend(ok.seq.0.checked_sub(1).map(|_| (ok.conv, ok.seq)));
            }
            Update::Outbox(OutboxItem { txn, state: OutboxState::Refused(_), .. }) => {
                self.refused.insert(*txn);
            }
            _ => {}
        }
    }

    fn note_stored(&mut self, writes: &[Write]) {
        for write in writes {
            if let Write::Outbox(item) = write
                && matches!(item.work, Work::Send { .. })
                && !self.accepted.iter().any(|known| known.txn == item.txn)
            {
                self.accepted.push(item.clone());
            }
        }
    }
}

fn engine(settings: &Arc<Settings>, store: &mut MemoryStore, random: &mut Random) -> Engine {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&random.next().to_be_bytes());
    Engine::new(settings.clone(), store.stored(), seed)
}

/// What the checker must know of a request.
fn asked(request: &Request) -> Asked {
    match request {
        Request::Login(_) | Request::Register(_) | Request::Resume(_) => {
            Asked::SignIn { token: None, is_dead: false }
        }
        Request::Send(send) => Asked::Send { txn: send.txn.to_string(), text: send.text.clone() },
        _ => Asked::Other,
    }
}

impl World {
    /// A person has an idea.
    pub(crate) fn person_acts(&mut self, at: usize) {
        let is_quiet = self.is_quiet;
        let person = &mut self.people[at];
        person.next_command += 1;
        let id = CommandId(person.next_command);
        let command = match person.model.session() {
            SessionState::SignedIn { .. } if is_quiet => None,
            SessionState::SignedIn { .. } => Some(person.idea()),
            SessionState::SigningIn { .. } => None,
            SessionState::SignedOut(_) => {
                let user = person.name.to_owned();
                let pass = Secret::new(format!("word of {user}"));
                person.signing_in = Some(id);
                Some(match person.has_registered {
                    true => Command::Login { user, pass },
                    false => Command::Register { user, pass },
                })
            }
        };
        if let Some(command) = command {
            self.tell_person(at, Input::Command(id, command));
        }
        let pause = IDEA_US.0 + self.people[at].random.next() % (IDEA_US.1 - IDEA_US.0);
        self.at(self.now + pause, What::Act { person: at });
    }

    /// A person opens whatever there is.
    pub(crate) fn person_looks(&mut self, at: usize) {
        let person = &mut self.people[at];
        let mut questions = vec![Question::Conversations(Conversations::default())];
        questions.extend(
            person.conversations().into_iter().map(|conv| {
                Question::History(History { conv, page: Page::Newest, limit: Some(20) })
            }),
        );
        for question in questions {
            self.people[at].next_command += 1;
            let id = CommandId(self.people[at].next_command);
            self.tell_person(at, Input::Command(id, Command::Ask(question)));
        }
    }

    pub(crate) fn person_timer(&mut self, at: usize) {
        if self.people[at].timer_at == Some(self.now) {
            self.people[at].timer_at = None;
            self.tell_person(at, Input::Timer);
        }
    }

    /// Something has come to a person's machine.
    pub(crate) fn person_hears(&mut self, at: usize, pipe: PipeId, packet: Packet) {
        if at == self.people.len() {
            return self.auditor_hears(pipe, packet);
        }
        let person = &mut self.people[at];
        let Some(connection) = person.connections.get(&pipe).copied() else { return };
        let input = match packet {
            Packet::Welcome => {
                let wire = self.checker.connection(person.account());
                let host = self.network.pipe(pipe).expect("it speaks").place(Side::Listener);
                let sight = Sight::new(&self.hosts[host.machine].knew);
                person.wires.insert(pipe, (wire, sight));
                Input::Opened { connection, identity: Identity::Plain }
            }
            Packet::Data(line) => {
                if let Some((wire, sight)) = person.wires.get_mut(&pipe) {
                    let text = std::str::from_utf8(&line).expect("UTF-8");
                    let value = self.checker.line(wire, text);
                    if let Err(why) = sight.line(self.now, &value, &mut self.known) {
                        self.violation.get_or_insert(format!("{}: {why}", person.name));
                    }
                }
                Input::Line { connection, line }
            }
            Packet::Refused => {
                self.person_loses(at, connection);
                let reason = CloseReason::Failed("refused".to_owned());
                Input::Closed { connection, reason }
            }
            Packet::End => {
                self.person_loses(at, connection);
                Input::Closed { connection, reason: CloseReason::Ended }
            }
            Packet::Syn | Packet::Ready => return,
        };
        self.tell_person(at, input);
    }

    fn person_loses(&mut self, at: usize, connection: ConnectionId) -> Option<PipeId> {
        let person = &mut self.people[at];
        let pipe = person.pipes.remove(&connection)?;
        person.connections.remove(&pipe);
        if let Some((wire, _)) = person.wires.remove(&pipe) {
            self.checker.closed(&wire);
        }
        Some(pipe)
    }

    pub(crate) fn tell_person(&mut self, at: usize, input: Input) {
        let now = self.people[at].now(self.now);
        self.people[at].engine.handle(input, now);
        while let Some(effect) = self.people[at].engine.next_effect() {
            let person = &mut self.people[at];
            match effect {
                Effect::Dial { connection, address, .. } => {
                    let server: usize = address[8..9].parse().expect("an address of a server");
                    let place = Place { machine: person.machine, epoch: person.epoch };
                    let pipe = self.dial(place, server - 1, Door::Client);
                    let person = &mut self.people[at];
                    person.pipes.insert(connection, pipe);
                    person.connections.insert(pipe, connection);
                }
                Effect::Send { connection, mut line } => {
                    line.pop();
                    let Some(pipe) = person.pipes.get(&connection).copied() else { continue };
                    if let Some((wire, sight)) = person.wires.get_mut(&pipe) {
                        let frame = RequestFrame::parse(&line).expect("an engine's request");
                        let request = frame.request().expect("an engine's request");
                        self.checker.asks(wire, frame.id, asked(&request));
                        sight.asks(self.now, frame.id, &request, &self.known);
                    }
                    self.send(pipe, Side::Listener, Packet::Data(line));
                }
                Effect::Close { connection } => {
                    if let Some(pipe) = self.person_loses(at, connection) {
                        self.hang_up(pipe, Side::Dialler);
                    }
                }
                Effect::Store(writes) => {
                    person.note_stored(&writes);
                    person.store.store(writes);
                }
                Effect::Load(load) => {
                    let loaded = person.store.load(load);
                    person.engine.handle(Input::Loaded(loaded), now);
                }
                Effect::Update(update) => {
                    person.note(&update);
                    person.model.apply(update);
                }
            }
        }
        self.plan_timer(at);
    }

    fn plan_timer(&mut self, at: usize) {
        let person = &mut self.people[at];
        let Some(deadline) = person.engine.deadline() else { return };
        let due = person.clock.when(deadline, self.now);
        if person.timer_at.is_none_or(|planned| due < planned) {
            person.timer_at = Some(due);
            self.at(due, What::Timer { person: at });
        }
    }

    /// The program is killed and started again: only what it has stored is left.
    pub(crate) fn kill_person(&mut self, at: usize) {
        let connections: Vec<_> = self.people[at].pipes.keys().copied().collect();
        for connection in connections {
            if let Some(pipe) = self.person_loses(at, connection) {
                self.hang_up(pipe, Side::Dialler);
            }
        }
        let person = &mut self.people[at];
        person.epoch += 1;
        person.engine = engine(&person.settings, &mut person.store, &mut person.random);
        person.model = Model::default();
        (person.timer_at, person.signing_in) = (None, None);
        person.next_command += 1;
        let id = CommandId(person.next_command);
        self.tell_person(at, Input::Command(id, Command::Resume));
    }
}
