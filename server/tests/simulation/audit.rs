//! The final reading: what every server says when all is calm, against everything that anybody was
//! told before.
//!
//! Owns: an auditor's connections, which speak the protocol by hand. Driven by: a run, after the
//! world has healed. Invariants that it holds servers to: every message that was accepted is there
//! once, in its order, the same on every server; numbers are dense; every event reached every
//! connection of its account; rows are equal to the last byte; people see what is there. Does not:
//! change anything.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use holdfast_common::client::{OutboxItem, Work};
use holdfast_common::protocol::Target;
use holdfast_server::chat;
use serde_json::Value;

use super::Us;
use super::network::{Door, Packet, PipeId, Place, Side};
use super::person::NAMES;
use super::world::World;
use crate::sim::checker::index_of;

/// No answer takes longer when nothing fails.
const ANSWER_US: Us = 3_000_000;
/// Events that do not come within this never will.
const SILENCE_US: Us = 200_000;

/// What the auditor was told.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    heard: BTreeMap<PipeId, VecDeque<Value>>,
}

/// All messages of each conversation.
type Conversations = BTreeMap<String, (String, Vec<Value>)>;

impl World {
    pub(crate) fn auditor_hears(&mut self, pipe: PipeId, packet: Packet) {
        if let Packet::Data(line) = packet {
            let value = serde_json::from_slice(&line).expect("a line is JSON");
            self.auditor.heard.entry(pipe).or_default().push_back(value);
        }
    }

    /// Reads everything on every server.
    ///
    /// # Errors
    /// The promise that was broken.
    pub(crate) fn audit(&mut self) -> Result<(), String> {
        self.compare_rows()?;
        let tokens = self.tokens();
        for (account, name) in NAMES.iter().enumerate() {
            let Some(token) = tokens.get(name) else { continue };
            if NAMES[..account].contains(name) {
                continue;
            }
            let mut known: Option<Conversations> = None;
            for host in 0..self.hosts.len() {
                let found = self.conversations(host, token)?;
                match &known {
                    None => known = Some(found),
                    Some(known) if *known == found => {}
                    Some(known) => {
                        return Err(format!(
                            "{name} reads other messages at server {}: {}",
                            host + 1,
                            difference(known, &found)
                        ));
                    }
                }
            }
            let known = known.unwrap_or_default();
            for (conv, (_, messages)) in &known {
                self.checker.check_messages(conv, messages);
            }
            self.check_accepted(name, &known)?;
            self.check_seen(name, &known)?;
            let host = self.random.below(self.hosts.len());
            let events = self.events(host, token)?;
            self.checker.check_events(account, &events, &BTreeSet::new());
        }
        Ok(())
    }

    /// Equal rows on all servers, which stand at the same entry.
    fn compare_rows(&self) -> Result<(), String> {
        let hash = |at: usize| chat::hash_all(&self.hosts[at].folder.rows()).unwrap();
        let first = hash(0);
        for host in 1..self.hosts.len() {
            if hash(host) != first {
                return Err(format!("the rows of servers 1 and {} differ", host + 1));
            }
        }
        Ok(())
    }

    fn tokens(&mut self) -> BTreeMap<&'static str, String> {
        let mut tokens = BTreeMap::new();
        for person in &mut self.people {
            let account = person.store.stored().account;
            if let Some(token) = account.and_then(|account| account.token) {
                tokens.insert(person.name, token.expose().to_owned());
            }
        }
        tokens
    }

    fn auditor_connects(&mut self, host: usize) -> Result<PipeId, String> {
        let machine = self.hosts.len() + self.people.len();
        let pipe = self.dial(Place { machine, epoch: 1 }, host, Door::Client);
        self.ask(pipe, "hello", r#"{"proto":[1],"client":"audit/1"}"#)?;
        Ok(pipe)
    }

    /// Asks, and lets the world go on until the answer comes. Events wait behind.
    fn ask(&mut self, pipe: PipeId, op: &str, d: &str) -> Result<Value, String> {
        let line = format!(r#"{{"id":1,"op":"{op}","d":{d}}}"#);
        self.send(pipe, Side::Listener, Packet::Data(line.into_bytes()));
        let until = self.now + ANSWER_US;
        while self.now < until {
            self.step()?;
            let heard = self.auditor.heard.entry(pipe).or_default();
            if let Some(at) = heard.iter().position(|value| value["id"] == 1) {
                let answer = heard.remove(at).unwrap();
                return match answer["ok"].is_object() {
                    true => Ok(answer["ok"].clone()),
                    false => Err(format!("{op} is answered with {answer}")),
                };
            }
        }
        Err(format!("{op} is not answered"))
    }

    fn auditor_leaves(&mut self, pipe: PipeId) {
        self.auditor.heard.remove(&pipe);
        self.hang_up(pipe, Side::Dialler);
    }

    fn conversations(&mut self, host: usize, token: &str) -> Result<Conversations, String> {
        let pipe = self.auditor_connects(host)?;
        self.ask(pipe, "resume", &format!(r#"{{"token":"{token}"}}"#))?;
        let listed = self.ask(pipe, "conversations", "{}")?;
        let mut found = Conversations::new();
        for conversation in listed["conversations"].as_array().unwrap() {
            let conv = conversation["conv"].as_str().unwrap().to_owned();
            let mut messages: Vec<Value> = Vec::new();
            loop {
                let last = messages.last().map_or(0, |last| last["seq"].as_u64().unwrap());
                let d = format!(r#"{{"conv":"{conv}","after":{last},"limit":200}}"#);
                let page = self.ask(pipe, "history", &d)?;
                messages.extend(page["messages"].as_array().unwrap().iter().cloned());
                if page["more"] == Value::Bool(false) {
                    break;
                }
            }
            let with = conversation["with"].as_str().unwrap_or_default().to_owned();
            found.insert(conv, (with, messages));
        }
        self.auditor_leaves(pipe);
        Ok(found)
    }

    /// The indexes of all events of an account, as one resumes who has seen none.
    fn events(&mut self, host: usize, token: &str) -> Result<Vec<u64>, String> {
        let pipe = self.auditor_connects(host)?;
        self.ask(pipe, "resume", &format!(r#"{{"token":"{token}","cur":"0.0"}}"#))?;
        let mut count = 0;
        loop {
            self.run_until(self.now + SILENCE_US)?;
            let heard = self.auditor.heard.get(&pipe).map_or(0, VecDeque::len);
            if heard == count {
                break;
            }
            count = heard;
        }
        let heard = self.auditor.heard.remove(&pipe).unwrap_or_default();
        self.auditor_leaves(pipe);
        Ok(heard.iter().filter_map(|event| event["cur"].as_str()).map(index_of).collect())
    }

    /// What was put into an outbox and not refused is there once, in the order of that outbox.
    fn check_accepted(&self, name: &str, known: &Conversations) -> Result<(), String> {
        for person in self.people.iter().filter(|person| person.name == name) {
            let mut lanes: BTreeMap<String, Vec<&OutboxItem>> = BTreeMap::new();
            for item in &person.accepted {
                let Work::Send { to, .. } = &item.work else { continue };
                let with = match to {
                    Target::User(with) => with.clone(),
                    Target::Conversation(conv) => known[&conv.to_string()].0.clone(),
                };
                if !person.refused.contains(&item.txn) {
                    lanes.entry(with).or_default().push(item);
                }
            }
            for (with, items) in lanes {
                let conversation = known.values().find(|(other, _)| *other == with);
                let messages = conversation.map_or(&[][..], |(_, messages)| messages);
                let changed = self.people.iter().filter(|other| other.name == name);
                let changed = changed.map(|person| person.changed.len()).sum();
                check_lane(&items, messages, changed)
                    .map_err(|why| format!("{name} to {with}: {why}"))?;
            }
        }
        Ok(())
    }

    /// What people's own devices have stored is what is there.
    fn check_seen(&self, name: &str, known: &Conversations) -> Result<(), String> {
        for person in self.people.iter().filter(|person| person.name == name) {
            for (conv, (_, messages)) in known {
                for seen in person.store.messages(conv.parse().unwrap()) {
                    let at = usize::try_from(seen.view.seq.0 - 1).unwrap();
                    let real = messages.get(at).map(|message| message["text"].as_str().unwrap());
                    if real != Some(seen.view.text.as_str()) {
                        return Err(format!(
                            "{name} sees {:?} at {conv} {}, where {real:?} is",
                            seen.view.text, seen.view.seq
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Each item's message is there once, in order; but for those that were edited or deleted since,
/// of which there are `changed` at most.
fn check_lane(items: &[&OutboxItem], messages: &[Value], changed: usize) -> Result<(), String> {
    let mut last = 0;
    let mut missing = Vec::new();
    for item in items {
        let Work::Send { text, .. } = &item.work else { continue };
        let mut places = messages.iter().filter(|message| message["text"] == text.as_str());
        let place = places.next().map(|message| message["seq"].as_u64().unwrap());
        if places.next().is_some() {
            return Err(format!("{text:?} is there twice"));
        }
        match place {
            None => missing.push(text),
            Some(seq) if seq > last => last = seq,
            Some(seq) => return Err(format!("{text:?} stands at {seq}, behind one at {last}")),
        }
    }
    match missing.len() > changed {
        true => Err(format!("{} messages are missing: {missing:?}", missing.len())),
        false => Ok(()),
    }
}

/// The first message that two servers show differently.
fn difference(one: &Conversations, other: &Conversations) -> String {
    for (conv, (_, messages)) in one {
        let others = other.get(conv).map_or(&[][..], |(_, messages)| messages);
        let longest = messages.len().max(others.len());
        let at = (0..longest).find(|at| messages.get(*at) != others.get(*at));
        if let Some(at) = at {
            return format!("{conv}: {:?} there, {:?} here", messages.get(at), others.get(at));
        }
    }
    "one has conversations that the other has not".to_owned()
}
