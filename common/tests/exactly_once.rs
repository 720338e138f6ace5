//! Clients on a network that does what networks do: closes, refuses, delays, reorders answers, and
//! kills the clients in the middle of a turn. After it heals, every message is where it was sent,
//! once and in order; every client knows everything; and at no moment was anybody told what was not
//! so.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test: it may panic, takes the first instant from the clock, and names what it fakes"
)]

mod fake;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fake::{Cluster, Conversation, hello};
use holdfast_common::client::{
    CloseReason, Command, CommandId, ConnectionId, Effect, Engine, Identity, Input, MemoryStore,
    Model, Now, Settings, Update, Work, Write,
};
use holdfast_common::config::Secret;
use holdfast_common::ids::Cursor;
use holdfast_common::protocol::{
    ErrorCode, ErrorReply, Reply, Request, RequestFrame, Target, encode_error, encode_event,
};

const NAMES: [&str; 3] = ["alice", "bob", "carol"];
const SERVERS: u8 = 3;

/// Small and enough: a seed gives a run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// A connection, its server's end included.
struct Wire {
    server: u8,
    is_open: bool,
    requests: VecDeque<Vec<u8>>,
    /// Answers leave in any order, but for the sign-in's, which lets the events flow.
    answers: Vec<Vec<u8>>,
    account: String,
    signing_in: Option<Cursor>,
    /// The place in the log behind which events follow.
    events_after: Option<Cursor>,
}

struct Client {
    name: &'static str,
    engine: Engine,
    store: MemoryStore,
    model: Model,
    wires: BTreeMap<ConnectionId, Wire>,
    /// Every message that was put into the outbox, in order.
    accepted: Vec<(Target, String)>,
}

struct World {
    dice: Dice,
    now: Now,
    cluster: Cluster,
    clients: Vec<Client>,
    writable: [bool; SERVERS as usize],
    is_calm: bool,
    sent: u64,
}

impl World {
    fn new(seed: u64) -> World {
        let now = Now { instant: Instant::now(), wall_ms: 1_795_420_800_000 };
        let mut world = World {
            dice: Dice(seed),
            now,
            cluster: Cluster::default(),
            clients: Vec::new(),
            writable: [true; SERVERS as usize],
            is_calm: false,
            sent: 0,
        };
        for name in NAMES {
            let mut store = MemoryStore::default();
            let engine = world.engine(&mut store);
            let (model, wires, accepted) = Default::default();
            world.clients.push(Client { name, engine, store, model, wires, accepted });
        }
        world
    }

    fn engine(&mut self, store: &mut MemoryStore) -> Engine {
        let settings = Settings {
            client: "test/1".to_owned(),
            device: "desk".to_owned(),
            servers: (1..=SERVERS).map(|server| format!("s{server}:1")).collect(),
            trusts_first_use: true,
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.dice.roll(u64::MAX).to_be_bytes());
        Engine::new(Arc::new(settings), store.stored(), seed)
    }

    fn handle(&mut self, at: usize, input: Input) {
        let now = self.now;
        self.clients[at].engine.handle(input, now);
        if self.is_calm || !self.dice.one_in(3) {
            self.drain(at);
        }
    }

    /// Executes what the client wants; now and then it is killed in the middle.
    fn drain(&mut self, at: usize) {
        while let Some(effect) = self.clients[at].engine.next_effect() {
            if !self.is_calm && self.dice.one_in(300) {
                return self.kill(at);
            }
            self.check(at, &effect);
            let now = self.now;
            let client = &mut self.clients[at];
            match effect {
                Effect::Dial { connection, address, .. } => {
                    let server = address[1..2].parse().unwrap();
                    client.wires.insert(connection, Wire::new(server));
                }
                Effect::Send { connection, line } => {
                    // One that was cut meanwhile swallows it.
                    if let Some(wire) = client.wires.get_mut(&connection) {
                        wire.requests.push_back(line);
                    }
                }
                Effect::Close { connection } => {
                    client.wires.remove(&connection);
                }
                Effect::Store(writes) => {
                    for write in &writes {
                        client.note_accepted(write);
                    }
                    client.store.store(writes);
                }
                Effect::Load(load) => {
                    let loaded = client.store.load(load);
                    client.engine.handle(Input::Loaded(loaded), now);
                }
                Effect::Update(update) => client.model.apply(update),
            }
        }
    }

    /// `kill -9`: only what is stored is left.
    fn kill(&mut self, at: usize) {
        let mut store = self.clients[at].store.clone();
        self.clients[at].engine = self.engine(&mut store);
        self.clients[at].store = store;
        self.clients[at].model = Model::default();
        self.clients[at].wires.clear();
        self.sign_in(at);
    }

    fn sign_in(&mut self, at: usize) {
        let user = self.clients[at].name.to_owned();
        let pass = Secret::new("secret".to_owned());
        // The first does nothing where nobody was signed in, the second where somebody is.
        self.handle(at, Input::Command(CommandId(1), Command::Resume));
        self.handle(at, Input::Command(CommandId(2), Command::Login { user, pass }));
    }

    /// Nothing is told that a server has not done.
    fn check(&self, at: usize, effect: &Effect) {
        let Effect::Update(update) = effect else { return };
        let me = self.clients[at].name;
        match update {
            Update::OutboxRemoved(txn) => assert!(self.cluster.knows(*txn), "{txn} is not done"),
            Update::Message(conv, message) => {
                let messages = &self.cluster.conversations[conv].messages;
                let said = &messages[usize::try_from(message.view.seq.0).unwrap() - 1];
                assert_eq!(said.text, message.view.text);
                assert_eq!(message.own, said.from.as_deref() == Some(me));
                assert!(message.copies <= 2);
            }
            Update::Conversation(record) => {
                let real = &self.cluster.conversations[&record.conv];
                let peer = real.peer(me);
                assert!(record.last_seq.0 <= real.messages.len() as u64);
                assert!(record.peer_read <= Conversation::mark(&real.read, &peer));
                assert!(record.read_told <= Conversation::mark(&real.read, me));
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        let at = usize::try_from(self.dice.roll(NAMES.len() as u64)).unwrap();
        match self.dice.roll(if self.is_calm { 16 } else { 24 }) {
            0..6 => self.serve(at),
            6..13 => self.deliver(at),
            13..16 => self.pass_time(),
            16..20 => self.command(at),
            20 => self.cut(at),
            21 if self.dice.one_in(20) => self.kill(at),
            22 => {
                let server = usize::try_from(self.dice.roll(u64::from(SERVERS))).unwrap();
                self.writable[server] = self.dice.one_in(2);
            }
            _ => self.drain(at),
        }
    }

    fn command(&mut self, at: usize) {
        self.sent += 1;
        let conversations = self.clients[at].model.rows();
        let to = match conversations.first() {
            Some(row) if self.dice.one_in(2) => row.to.clone(),
            _ => {
                let peer = (at + 1 + usize::try_from(self.dice.roll(2)).unwrap()) % NAMES.len();
                Target::User(NAMES[peer].to_owned())
            }
        };
        let command = match &to {
            Target::Conversation(conv) if self.dice.one_in(3) => {
                let known = self.clients[at].model.conversation(*conv);
                let newest = known.map(|record| record.last_seq).unwrap_or_default();
                let upto = holdfast_common::ids::Seq(self.dice.roll(newest.0 + 1));
                Command::MarkRead { conv: *conv, upto }
            }
            _ => Command::Send { to, text: format!("message {}", self.sent) },
        };
        self.handle(at, Input::Command(CommandId(self.sent + 10), command));
    }

    fn some_wire(&mut self, at: usize) -> Option<ConnectionId> {
        let wires = &self.clients[at].wires;
        let nth = self.dice.roll(wires.len().max(1) as u64);
        wires.keys().nth(usize::try_from(nth).unwrap()).copied()
    }

    fn cut(&mut self, at: usize) {
        if let Some(connection) = self.some_wire(at) {
            self.clients[at].wires.remove(&connection);
            let reason = CloseReason::Ended;
            self.handle(at, Input::Closed { connection, reason });
        }
    }

    /// A server takes one request.
    fn serve(&mut self, at: usize) {
        let Some(connection) = self.some_wire(at) else { return };
        let fault = if self.is_calm { 99 } else { self.dice.roll(20) };
        let is_calm = self.is_calm;
        let wire = self.clients[at].wires.get_mut(&connection).unwrap();
        if !wire.is_open {
            wire.is_open = true;
            let input = match fault {
                0 => {
                    self.clients[at].wires.remove(&connection);
                    let reason = CloseReason::Failed("refused".to_owned());
                    Input::Closed { connection, reason }
                }
                _ => Input::Opened { connection, identity: Identity::Plain },
            };
            return self.handle(at, input);
        }
        let Some(line) = wire.requests.pop_front() else { return };
        let frame = RequestFrame::parse(&line).unwrap();
        let request = frame.request().unwrap();
        let outcome = match (&request, fault) {
            (Request::Hello(_), _) => {
                let writable = is_calm || self.writable[usize::from(wire.server) - 1];
                Ok(hello(wire.server, writable))
            }
            (Request::Send(_), 0) => Err(ErrorReply::new(ErrorCode::RateLimited).after_ms(50)),
            (Request::Send(_), 1) => Err(ErrorReply::new(ErrorCode::NoPrimary)),
            (Request::Send(_), 2) => Err(ErrorReply::new(ErrorCode::OutcomeUnknown)),
            (Request::Resume(_), 0) => Err(ErrorReply::new(ErrorCode::Behind)),
            (_, 3) if self.cluster.ask(&wire.account, request.clone()).is_ok() => {
                Err(ErrorReply::new(ErrorCode::OutcomeUnknown))
            }
            _ => self.cluster.ask(&wire.account, request),
        };
        match &outcome {
            Ok(Reply::Login(ok)) => wire.sign_in(&ok.user, ok.cur),
            Ok(Reply::Resume(ok)) => wire.sign_in(&ok.user, ok.cur),
            _ => {}
        }
        wire.answers.push(match outcome {
            Ok(reply) => reply.encode(frame.id),
            Err(error) => encode_error(Some(frame.id), &error),
        });
    }

    /// One line reaches a client: an answer, or the next event.
    fn deliver(&mut self, at: usize) {
        let Some(connection) = self.some_wire(at) else { return };
        let dice = &mut self.dice;
        let client = &mut self.clients[at];
        let wire = client.wires.get_mut(&connection).unwrap();
        let line = if wire.answers.is_empty() || (wire.events_after.is_some() && dice.one_in(2)) {
            let Some(after) = wire.events_after else { return };
            let events = self.cluster.events.entry(client.name.to_owned()).or_default();
            let Some((index, event)) = events.iter().find(|(index, _)| *index > after.index) else {
                return;
            };
            let cur = Cursor { generation: 1, index: *index };
            wire.events_after = Some(cur);
            encode_event(event, Some(cur))
        } else {
            let nth = dice.roll(wire.answers.len() as u64);
            wire.events_after = wire.events_after.or(wire.signing_in.take());
            wire.answers.remove(usize::try_from(nth).unwrap())
        };
        let line = line[..line.len() - 1].to_vec();
        self.handle(at, Input::Line { connection, line });
    }

    fn pass_time(&mut self) {
        let ms = self.dice.roll(200);
        self.now.instant += Duration::from_millis(ms);
        self.now.wall_ms += ms;
        for at in 0..NAMES.len() {
            let deadline = self.clients[at].engine.deadline();
            if deadline.is_some_and(|due| due <= self.now.instant) {
                self.handle(at, Input::Timer);
            }
        }
    }

    /// Every client looks at every conversation from its beginning.
    fn open_all(&mut self) {
        for at in 0..NAMES.len() {
            let rows = self.clients[at].model.rows();
            let targets: Vec<Target> = rows.into_iter().map(|row| row.to).collect();
            for to in targets {
                let Target::Conversation(conv) = to else { panic!("{to:?} is not known") };
                self.handle(at, Input::Command(CommandId(3), Command::Open(conv)));
                for _ in 0..1_000 {
                    let timeline = self.clients[at].model.timeline(conv).unwrap();
                    match timeline.older_than() {
                        Some(before) if !timeline.is_loading() => {
                            let older = Command::LoadOlder { conv, before };
                            self.handle(at, Input::Command(CommandId(4), older));
                        }
                        None => break,
                        Some(_) => {}
                    }
                    self.serve(at);
                    self.deliver(at);
                }
            }
        }
    }

    /// Everything that was accepted is there once, in its order, and everybody knows all of it.
    fn check_all(&mut self) {
        for at in 0..NAMES.len() {
            self.drain(at);
            let client = &self.clients[at];
            let me = client.name;
            assert_eq!(client.model.waiting(), 0, "{me}'s outbox is not empty");
            let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
            for (conv, real) in &self.cluster.conversations {
                if !real.members.contains(&me.to_owned()) {
                    continue;
                }
                let own = real.messages.iter().filter(|m| m.from.as_deref() == Some(me));
                said.insert(real.peer(me), own.map(|m| m.text.as_str()).collect());
                let stored = client.store.messages(*conv);
                let stored: Vec<_> = stored.iter().map(|m| (m.view.seq, &m.view.text)).collect();
                let sent: Vec<_> = real.messages.iter().map(|m| (m.seq, &m.text)).collect();
                // A client that was killed before its first list was whole has only what came
                // later.
                assert!(sent.ends_with(&stored), "{me} misses something of {conv}: {stored:?}");
                let timeline = client.model.timeline(*conv).unwrap();
                let shown: Vec<_> =
                    timeline.messages().map(|m| (m.view.seq, &m.view.text)).collect();
                assert_eq!(shown, sent, "what {me} sees of {conv}");
                assert_eq!(timeline.older_than(), None);
                let record = client.model.conversation(*conv).unwrap();
                let peer = real.peer(me);
                let peer_read = Conversation::mark(&real.read, &peer);
                let peer_delivered = Conversation::mark(&real.delivered, &peer);
                assert_eq!(record.peer_read, peer_read, "what {peer} has read, {record:?}");
                // Whoever has read it has received it.
                assert_eq!(
                    record.peer_delivered.max(peer_read),
                    peer_delivered.max(peer_read),
                    "{record:?}"
                );
                assert_eq!(
                    record.read,
                    Conversation::mark(&real.read, me),
                    "what {me} has read, {record:?}"
                );
                assert_eq!(
                    record.unread.total(),
                    real.unread(me),
                    "{me}'s unread in {conv}: {record:?}"
                );
            }
            for peer in NAMES.iter().filter(|peer| **peer != me) {
                let to_peer = client.accepted.iter().filter(|(to, _)| match to {
                    Target::User(name) => name == peer,
                    Target::Conversation(conv) => {
                        self.cluster.conversations[conv].peer(me) == **peer
                    }
                });
                let accepted: Vec<&str> = to_peer.map(|(_, text)| text.as_str()).collect();
                let said = said.get(*peer).cloned().unwrap_or_default();
                assert_eq!(said, accepted, "what {me} sent to {peer}");
            }
        }
    }
}

impl Wire {
    fn new(server: u8) -> Wire {
        Wire {
            server,
            is_open: false,
            requests: VecDeque::new(),
            answers: Vec::new(),
            account: String::new(),
            signing_in: None,
            events_after: None,
        }
    }

    fn sign_in(&mut self, user: &str, cur: Cursor) {
        self.account = user.to_owned();
        self.signing_in = Some(cur);
    }
}

impl Client {
    fn note_accepted(&mut self, write: &Write) {
        if let Write::Outbox(item) = write
            && let Work::Send { to, text } = &item.work
            && !self.accepted.iter().any(|(_, known)| known == text)
        {
            self.accepted.push((to.clone(), text.clone()));
        }
    }
}

fn run(seed: u64, steps: usize) {
    let mut world = World::new(seed);
    for at in 0..NAMES.len() {
        world.sign_in(at);
    }
    for _ in 0..steps {
        world.step();
    }
    world.is_calm = true;
    for at in 0..NAMES.len() {
        // A sign-in that found no server was given up: a person tries again.
        world.sign_in(at);
    }
    for _ in 0..20_000 {
        world.step();
    }
    world.open_all();
    world.check_all();
}

/// `SEEDS=100..200` runs others than those that every test run plays.
#[test]
fn what_was_sent_arrives_once_in_order_whatever_the_network_does() {
    let seeds = std::env::var("SEEDS").unwrap_or("0..30".to_owned());
    let (from, to) = seeds.split_once("..").unwrap();
    for seed in from.parse().unwrap()..to.parse().unwrap() {
        println!("seed {seed}");
        run(seed, 3_000);
    }
}
