//! For the fuzzer: three servers whose links carry frames that nobody meant.
//!
//! Owns: a small world of three nodes and the frames between them. Driven by: the fuzzer and a
//! seeded test. Invariants checked: any frame in any state from anybody is handled, nothing panics,
//! and what one input asks for is bounded. Does not: check what the servers agree on: whoever has
//! the cluster's secret may lie to them.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use holdfast_common::ids::{Cursor, ServerId, SessionId, Txn, UserId};

use super::super::effect::{Effect, Input, LinkId, Now};
use super::super::frames::{Forwarded, Frame};
use super::{Hands, new_store, settings};
use crate::chat::operation::{Actor, NewSession, Operation, Recipient};
use crate::entry::{Ballot, ClusterId, Incarnation, Index, StoreId};
use crate::node::Node;
use crate::replication::wire::{Message, Place, Pull, Suffix};
use crate::replication::{Policy, Replication, Rules, Settings};
use crate::work::{Done, Fault, Job, MaintenanceJob, MaintenanceWorker, NextStore, Ticket};

const SERVERS: u8 = 3;
/// Events of one step at most: lies may let two servers talk for ever.
const EVENTS_MAX: usize = 2_000;
/// Frames that are kept to be sent again.
const KEPT_MAX: usize = 400;
/// What one input may make a server send: a piece of the log to each other server, and some more.
const SENT_BYTES_MAX: usize = 8 << 20;

/// Bytes that decide; noughts behind their end.
struct Choices<'b>(std::slice::Iter<'b, u8>);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        self.0.next().copied().map_or(0, usize::from)
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> Option<T> {
        let at = self.next() << 8 | self.next();
        (!choices.is_empty()).then(|| choices[at % choices.len()])
    }

    /// A frame with up to three small changes.
    fn change(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut bytes = frame.to_vec();
        for _ in 0..self.next() % 4 {
            let at = (self.next() << 8 | self.next()) % bytes.len().max(1);
            // Ones, noughts and 255 are numbers that something answers to.
            let value = [0, 1, 2, 3, 0x7f, 0x80, 0xff, self.next() as u8][self.next() % 8];
            match self.next() % 6 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, value),
                2 => drop(bytes.drain(at..(at + 1).min(bytes.len()))),
                _ if at < bytes.len() => bytes[at] = value,
                _ => {}
            }
        }
        bytes
    }
}

/// The store beside the one that serves.
#[derive(Debug)]
struct Beside;

impl NextStore for Beside {
    fn begin(&mut self) -> Result<Box<dyn crate::tables::Rows>, Fault> {
        Ok(Box::new(crate::tables::MemoryRows::new()))
    }

    fn install(&mut self, _place: Place, _promise: Ballot) -> Result<(), Fault> {
        Ok(())
    }

    fn discard(&mut self) -> Result<(), Fault> {
        Ok(())
    }
}

/// One of the three.
struct Server {
    node: Node,
    hands: Hands,
}

impl Server {
    /// On an empty store of this number.
    fn begin(number: u8, store: u64, now: Now) -> Server {
        let rules = Settings {
            servers: (1..=SERVERS).map(ServerId).collect(),
            policy: Policy::Proof,
            heartbeat_ms: 50,
            election_ms: 300,
            remove_ms: 1_000,
            has_set_aside: store > u64::from(SERVERS),
            memory_entries: 2,
            seed: store,
            fresh_cluster: ClusterId([1; 16]),
            rules: Rules::default(),
        };
        let me = Incarnation { server: ServerId(number), store: StoreId(store), life: 1 };
        let at = crate::replication::Now { at: now.moment(), wall_ms: now.wall_ms };
        let replication = Replication::start(me, rules, new_store(), at);
        let mut hands = Hands::new();
        hands.maintenance = MaintenanceWorker::joining(hands.tables.views(), Box::new(Beside));
        let start = Cursor { generation: 0, index: 0 };
        Server { node: Node::new(settings(number, SERVERS), replication, start, now), hands }
    }
}

/// One end of a link: whose, and its name there.
type End = (u8, LinkId);

struct World {
    servers: BTreeMap<u8, Server>,
    stores: u64,
    now: Now,
    /// The other end of each end; a liar's is nobody's.
    ends: BTreeMap<End, Option<End>>,
    accepted: u64,
    air: VecDeque<(u8, Input)>,
    kept: VecDeque<Vec<u8>>,
}

/// Lets three servers form a cluster, then does to their links what `bytes` say: frames are lost,
/// changed, sent again elsewhere, and said by servers that do not exist.
///
/// # Panics
/// When a promise is broken, which is what the fuzzer looks for.
pub fn fuzz_links(bytes: &[u8]) {
    let mut world = World::new();
    let mut choices = Choices(bytes.iter());
    while choices.0.len() > 0 {
        world.step(&mut choices);
    }
    world.elapse(1_000);
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "any instant will do: no time passes here")]
    fn new() -> World {
        let now = Now { instant: Instant::now(), boot_us: 1_000_000, wall_ms: 1_000_000 };
        let servers = (1..=SERVERS).map(|n| (n, Server::begin(n, u64::from(n), now))).collect();
        let mut world = World {
            servers,
            stores: u64::from(SERVERS),
            now,
            ends: BTreeMap::new(),
            accepted: 0,
            air: VecDeque::new(),
            kept: VecDeque::new(),
        };
        world.elapse(1_000);
        let lies = world.lies();
        world.kept.extend(lies);
        let in_sync = world.servers.values().filter(|s| s.node.replication.is_in_sync()).count();
        assert_eq!(in_sync, usize::from(SERVERS), "three servers form a cluster by themselves");
        world
    }

    /// Frames that an idle cluster does not send.
    fn lies(&mut self) -> Vec<Vec<u8>> {
        let session = NewSession { id: SessionId([1; 16]), token_hash: [1; 32], device: "".into() };
        let actor = Actor { user: UserId(1), session: session.id };
        let register = Operation::Register {
            name: "one".to_owned(),
            password_hash: String::new(),
            session: Some(session),
            txn: Txn([0; 16]),
        };
        let send = Operation::Send {
            actor,
            to: Recipient::User(UserId(1)),
            text: "text".to_owned(),
            txn: Txn([1; 16]),
            digest: [0; 16],
        };
        let ballot = Ballot { generation: 1, round: 2, server: ServerId(1) };
        let place = Place { ballot, index: Index(1) };
        let suffix = Suffix { attempt: 1, previous: place, entries: Vec::new(), committed: place };
        let frames = [
            Frame::Forward(1, register),
            Frame::Forward(2, send),
            Frame::Forward(3, Operation::DayMark),
            Frame::Forwarded(1, Forwarded::Logged(Index(2), ballot)),
            Frame::SnapshotTaken { stream: 1, taken: 1 },
            Frame::Ask(1),
            Frame::News(1, Index(3)),
            Frame::Refused("for a reason".to_owned()),
            Frame::Replication(Message::Pull(Pull { attempt: 1, after: Index(0) })),
            Frame::Replication(Message::Suffix(suffix)),
        ];
        let mut frames: Vec<Vec<u8>> = frames.iter().map(Frame::encode).collect();
        let hands = &mut self.servers.get_mut(&1).expect("it is one of three").hands;
        for number in 0..3 {
            let job = Job::Maintenance(MaintenanceJob::Export(Ticket(0)));
            if let Some(Done::Exported(_, _, part)) = hands.run(job) {
                frames.push(Frame::Snapshot { stream: 1, number, part }.encode());
            }
        }
        frames
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.next() % 8 {
            0 | 1 => self.elapse(u64::try_from(choices.next()).unwrap_or(0) * 4),
            2 => self.rest(),
            3 => {
                let Some((server, input)) = self.air.pop_front() else { return };
                let input = if let Input::LinkFrame(link, frame) = input {
                    Input::LinkFrame(link, choices.change(&frame))
                } else {
                    input
                };
                self.deliver(server, input);
            }
            4 => drop(self.air.pop_front()),
            5 | 6 => {
                let inward = |(_, link): &&End| matches!(link, LinkId::Theirs(_));
                let ends: Vec<End> = self.ends.keys().filter(inward).copied().collect();
                if let Some(end) = choices.of(&ends) {
                    self.say_kept(end, choices);
                }
            }
            _ => self.lie(choices),
        }
    }

    /// Somebody who has the secret dials as one of the servers.
    fn lie(&mut self, choices: &mut Choices<'_>) {
        let to = u8::try_from(choices.next() % usize::from(SERVERS)).unwrap_or(0) + 1;
        let as_server = u8::try_from(choices.next() % usize::from(SERVERS)).unwrap_or(0) + 1;
        self.accepted += 1;
        let end = (to, LinkId::Theirs(self.accepted));
        self.ends.insert(end, None);
        self.deliver(to, Input::LinkAccepted(end.1, ServerId(as_server)));
        let is_hello = |frame: &&Vec<u8>| {
            matches!(Frame::decode(frame), Ok(Frame::Hello(hello))
                if hello.hello.incarnation.server == ServerId(as_server))
        };
        let hellos: Vec<usize> = (0..self.kept.len())
            .filter(|at| self.kept.get(*at).as_ref().is_some_and(is_hello))
            .collect();
        if let Some(hello) = choices.of(&hellos) {
            let frame = choices.change(&self.kept[hello]);
            self.deliver(to, Input::LinkFrame(end.1, frame));
        }
        for _ in 0..choices.next() % 4 {
            self.say_kept(end, choices);
        }
    }

    /// A frame that was sent before, changed or not, comes on this link.
    fn say_kept(&mut self, (server, link): End, choices: &mut Choices<'_>) {
        let kept: Vec<usize> = (0..self.kept.len()).collect();
        if let Some(at) = choices.of(&kept) {
            let frame = choices.change(&self.kept[at]);
            self.deliver(server, Input::LinkFrame(link, frame));
        }
    }

    /// Time passes, and everything that comes of it happens.
    fn elapse(&mut self, ms: u64) {
        let mut left = Duration::from_millis(ms);
        loop {
            self.rest();
            let deadlines = self.servers.values().filter_map(|server| server.node.deadline());
            let next = deadlines.min().map(|at| at.saturating_duration_since(self.now.instant));
            let step = next.unwrap_or(left).max(Duration::from_millis(1)).min(left);
            self.now.instant += step;
            self.now.boot_us += u64::try_from(step.as_micros()).unwrap_or(0);
            self.now.wall_ms += u64::try_from(step.as_millis()).unwrap_or(0);
            left -= step;
            for number in 1..=SERVERS {
                let node = &self.servers[&number].node;
                if node.deadline().is_some_and(|at| at <= self.now.instant) {
                    self.handle(number, Input::Timer);
                }
            }
            if left.is_zero() {
                return self.rest();
            }
        }
    }

    /// What is in the air comes down.
    fn rest(&mut self) {
        for _ in 0..EVENTS_MAX {
            let Some((server, input)) = self.air.pop_front() else { return };
            self.deliver(server, input);
        }
        self.air.clear();
    }

    /// Something comes to a server, unless its link has ended there.
    fn deliver(&mut self, server: u8, input: Input) {
        let stands = if let Input::LinkClosed(link) = &input {
            self.ends.remove(&(server, *link)).is_some()
        } else if let Input::LinkFrame(link, _)
        | Input::LinkDialled(link)
        | Input::LinkAccepted(link, _) = &input
        {
            self.ends.contains_key(&(server, *link))
        } else {
            true
        };
        if stands {
            self.handle(server, input);
        }
    }

    fn handle(&mut self, number: u8, input: Input) {
        let now = self.now;
        let mut sent_bytes = 0;
        self.node(number).handle(input, now);
        while let Some(effect) = self.node(number).next_effect() {
            match effect {
                Effect::Dial { link, server } => self.dial((number, link), server.0),
                Effect::SendFrame { link, frame } => {
                    sent_bytes += frame.len();
                    assert!(sent_bytes <= SENT_BYTES_MAX, "one input lets it send without end");
                    self.send((number, link), frame);
                }
                Effect::CloseLink(link) => self.close((number, link)),
                Effect::Run(job) => {
                    let hands = &mut self.servers.get_mut(&number).expect("one of three").hands;
                    if let Some(done) = hands.run(job) {
                        self.node(number).handle(Input::Done(done), now);
                    }
                }
                Effect::Restart { .. } | Effect::Yield { .. } => return self.begin_again(number),
                Effect::Send { .. } | Effect::Close(_) | Effect::Stopped => {
                    unreachable!("it has no clients, and nobody stops it")
                }
            }
        }
    }

    fn node(&mut self, number: u8) -> &mut Node {
        &mut self.servers.get_mut(&number).expect("one of three").node
    }

    fn dial(&mut self, from: End, to: u8) {
        self.accepted += 1;
        let end = (to, LinkId::Theirs(self.accepted));
        self.ends.insert(from, Some(end));
        self.ends.insert(end, Some(from));
        self.air.push_back((from.0, Input::LinkDialled(from.1)));
        self.air.push_back((to, Input::LinkAccepted(end.1, ServerId(from.0))));
    }

    fn send(&mut self, from: End, frame: Vec<u8>) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push_back(frame.clone());
        }
        if let Some(Some((to, link))) = self.ends.get(&from) {
            self.air.push_back((*to, Input::LinkFrame(*link, frame)));
        }
    }

    fn close(&mut self, end: End) {
        if let Some(Some((to, link))) = self.ends.remove(&end) {
            self.air.push_back((to, Input::LinkClosed(link)));
        }
    }

    /// A server begins another life, on an empty store: what became of the former is not of
    /// interest here.
    fn begin_again(&mut self, number: u8) {
        let own = |(server, _): &&End| *server == number;
        let ends: Vec<End> = self.ends.keys().filter(own).copied().collect();
        for end in ends {
            self.close(end);
        }
        self.air.retain(|(server, _)| *server != number);
        self.stores += 1;
        self.servers.insert(number, Server::begin(number, self.stores, self.now));
    }
}

#[cfg(test)]
mod tests;
