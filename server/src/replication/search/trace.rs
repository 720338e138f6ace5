//! The way to a state in words: a line a step, and what it changed about a server.
//!
//! Owns: how steps and servers read. Driven by: the tests that found something. Does not: decide.

use super::super::Role;
use super::super::wire::{Message, Place};
use super::scenario::Scenario;
use super::state::{Server, State};
use super::step::Action;
use crate::entry::{Entry, Payload};

/// What happened from the beginning on.
pub(crate) fn trace(scenario: &Scenario, way: &[Action]) -> String {
    let world = scenario.world();
    let mut state = scenario.beginning();
    let mut lines: Vec<String> = state.servers.iter().map(|server| about(server)).collect();
    for action in way {
        lines.push(format!("- {}", words(&state, *action)));
        match world.step(&state, *action) {
            Ok(next) => {
                for (before, after) in state.servers.iter().zip(&next.servers) {
                    let (before, after) = (about(before), about(after));
                    if before != after {
                        lines.push(format!("    {after}"));
                    }
                }
                state = next;
            }
            Err(violation) => lines.push(format!("BROKEN: {}", violation.what)),
        }
    }
    lines.join("\n")
}

fn words(state: &State, action: Action) -> String {
    match action {
        Action::Deliver(from, to) => {
            let said = state.queue(from.into(), to.into()).first();
            let said = said.map(|(who, message)| format!(".{} says {}", who.life, short(message)));
            format!("{}{} to {}", from + 1, said.unwrap_or_default(), to + 1)
        }
        Action::Sync(server) => format!("{}'s append is durable", server + 1),
        Action::Find(server, peer) => format!("{} finds that {} died", server + 1, peer + 1),
        Action::Dial(server, peer) => format!("{} dials {}", server + 1, peer + 1),
        Action::Crash(server, true) => format!("{} dies, its append is durable", server + 1),
        Action::Crash(server, false) => format!("{} dies", server + 1),
        Action::Start(server) => format!("{} starts", server + 1),
        Action::Wipe(server) => format!("{} dies and loses its disk", server + 1),
        Action::NewLife(server) => format!("{} begins a new life", server + 1),
        Action::Stand(server) => format!("{}'s election timer fires", server + 1),
        Action::Tick(server) => format!("{}'s heartbeat is due", server + 1),
        Action::Write(server) => format!("{} takes an operation", server + 1),
        Action::Cut(from, to) => format!("the link of {} to {} breaks", from + 1, to + 1),
        Action::Leave(server) => format!("{} is asked to leave", server + 1),
        Action::Jump => "time passes".to_owned(),
    }
}

fn place(place: Place) -> String {
    format!("{}@{}", place.index, place.ballot)
}

fn entry(entry: &Entry) -> String {
    let at = format!("{}@{}", entry.index, entry.ballot);
    match &entry.payload {
        Payload::Nothing => at,
        Payload::Operation(_) => format!("{at} op"),
        Payload::View(view) => {
            let members = view.members.iter().map(|m| format!("{}.{}", m.server, m.life));
            format!("{at} {{{}}}", members.collect::<Vec<_>>().join(" "))
        }
    }
}

fn short(message: &Message) -> String {
    let entries = |all: &[Entry]| all.iter().map(entry).collect::<Vec<_>>().join(", ");
    match message {
        Message::Append(append) => format!(
            "append in {}, round {}: [{}] behind {}, committed {}{}",
            append.ballot,
            append.round,
            entries(&append.entries),
            place(append.previous),
            place(append.committed),
            if append.granted.is_some() { ", granted" } else { "" },
        ),
        Message::Answer(answer) => format!(
            "answer in {}, round {}: durable {}, promise {}, committed {}",
            answer.ballot,
            answer.round,
            answer.durable,
            answer.promise,
            place(answer.committed),
        ),
        Message::Canvass(canvass) => {
            let kind = if canvass.is_active { "active" } else { "cold" };
            format!("canvass {} ({kind}), log to {}", canvass.attempt, place(canvass.last))
        }
        Message::Vote(vote) => {
            let kind = if vote.canvass.is_active { "active" } else { "cold" };
            format!("vote for me in {} ({kind}), log to {}", vote.ballot, place(vote.canvass.last))
        }
        Message::Opinion(opinion) => format!(
            "{} to {}, log to {}, promise {}",
            if opinion.is_yes { "yes" } else { "no" },
            opinion.ballot.map_or("the canvass".to_owned(), |ballot| ballot.to_string()),
            place(opinion.last),
            opinion.promise,
        ),
        Message::History(history) => format!("this log's history, in {}", history.ballot),
        Message::Pull(pull) => format!("give me what is behind {}", pull.after),
        Message::Suffix(suffix) => {
            format!("[{}] behind {}", entries(&suffix.entries), place(suffix.previous))
        }
    }
}

fn about(server: &Server) -> String {
    let Some(process) = &server.process else {
        let log: Vec<String> = server.disk.log.iter().map(entry).collect();
        return format!("{}: down, disk [{}]", server.id, log.join(", "));
    };
    let machine = &process.machine;
    let role = match machine.role() {
        Role::Backup => "backup",
        Role::Candidate => "candidate",
        Role::TakingOver => "taking over",
        Role::Primary => "primary",
    };
    let log: Vec<String> = machine
        .log
        .slice(crate::entry::Index(0), machine.last().index, 1 << 20)
        .iter()
        .map(entry)
        .collect();
    format!(
        "{}.{}: {role} in {}{}, log [{}], durable {}, committed {}",
        server.id,
        server.disk.life,
        machine.ballot(),
        if machine.is_active() { "" } else { ", not active" },
        log.join(", "),
        machine.log.durable(),
        machine.commit(),
    )
}
