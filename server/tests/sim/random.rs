//! Clients that do anything, threads that answer in any order, and power that fails at any moment:
//! one seed, one run. Owns: the clients. Driven by: the tests. Invariant: everything follows from
//! the seed. Does not: check; that is the checker's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use holdfast_server::node::Settings;
use holdfast_server::node::effect::{ClientId, Input, Transport};
use serde_json::Value;

use super::checker::{Asked, Checker, Connection};
use super::workers::Random;
use super::world::{Said, World, settings};

/// Steps of one run.
const STEPS: usize = 500;
const CONNECTIONS_MAX: usize = 6;
/// Requests without an answer that a client allows itself; the rim's bound is higher.
const UNANSWERED_MAX: usize = 12;

struct Account {
    name: String,
    /// The last of them is tried last; which of them is right may be unknown.
    passwords: Vec<String>,
    tokens: Vec<String>,
    /// Cursors that one of its clients has seen.
    cursors: Vec<String>,
    registered: bool,
    /// Sends without an answer: txn, and the fields as they were.
    uncertain: Vec<(String, String, String)>,
}

struct Driver {
    world: World,
    random: Random,
    checker: Checker,
    accounts: Vec<Account>,
    connections: BTreeMap<ClientId, Connection>,
    next_request: u64,
    next_txn: u64,
    stopping: bool,
}

/// One run.
pub(crate) fn run(seed: u64) -> Checker {
    let settings = Settings {
        sends_per_s: 100_000,
        sign_in_fails_per_min: 100_000,
        hash_threads: 2,
        ..settings()
    };
    let mut driver = Driver {
        world: World::new(seed, settings),
        random: Random(seed ^ 0x5eed),
        checker: Checker::default(),
        accounts: Vec::new(),
        connections: BTreeMap::new(),
        next_request: 1,
        next_txn: 1,
        stopping: false,
    };
    driver.world.start();
    for name in ["anna", "bert"] {
        driver.new_account(name.to_owned());
    }
    for _ in 0..STEPS {
        driver.step();
    }
    driver.finish();
    driver.checker
}

impl Driver {
    fn new_account(&mut self, name: String) {
        let passwords = vec![format!("word of {name}")];
        let (tokens, cursors, uncertain) = (Vec::new(), Vec::new(), Vec::new());
        self.accounts.push(Account {
            name,
            passwords,
            tokens,
            cursors,
            registered: false,
            uncertain,
        });
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..50 => self.work(),
            50..80 => self.request(),
            80..90 => self.connect(),
            90..93 => self.disconnect(),
            93..97 => {
                let ms = [1, 200, 3_000, 6_000, 20_000][self.random.below(5)];
                self.world.advance(Duration::from_millis(ms), |_| {});
            }
            97 => {
                let bytes = [0, 1_000, 70_000, 300_000, 2 << 20][self.random.below(5)];
                if let Some(id) = self.any_connection() {
                    self.world.backlog(id, bytes);
                }
            }
            98 => match self.random.below(4) {
                0 => self.world.fail_disk_after(self.random.next() % 4),
                1 if !self.stopping => {
                    self.stopping = true;
                    self.world.input(Input::Stop);
                }
                1 | 2 => self.world.advance(Duration::from_secs(13 * 3600), |_| {}),
                _ => self.new_life(),
            },
            _ => {
                if self.random.percent(30) {
                    self.new_life();
                }
            }
        }
        self.hear();
    }

    /// Some job goes on a little.
    fn work(&mut self) {
        for _ in 0..=self.random.below(4) {
            let steppable: Vec<usize> =
                (0..self.world.works().len()).filter(|at| self.world.may_step(*at)).collect();
            if steppable.is_empty() {
                return;
            }
            let at = steppable[self.random.below(steppable.len())];
            if !self.world.step(at) {
                return self.new_life();
            }
        }
    }

    /// The server dies and comes back.
    fn new_life(&mut self) {
        *self.checker.counts.entry("a new life".to_owned()).or_default() += 1;
        if self.random.percent(60) {
            let kept = self.random.below(self.world.rows.unpersisted() + 1);
            self.world.lose_power(kept);
        } else {
            self.world.kill();
            self.world.mend_disk();
        }
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.lost(id);
        }
        self.stopping = false;
        self.world.start();
    }

    fn any_connection(&mut self) -> Option<ClientId> {
        let at = self.random.below(self.connections.len());
        self.connections.keys().nth(at).copied()
    }

    fn disconnect(&mut self) {
        if let Some(id) = self.any_connection() {
            self.lost(id);
            self.world.input(Input::ClientClosed(id));
        }
    }

    fn lost(&mut self, id: ClientId) {
        if let Some(connection) = self.connections.remove(&id) {
            self.checker.closed(&connection);
        }
    }

    fn connect(&mut self) {
        if self.connections.len() >= CONNECTIONS_MAX || self.stopping {
            return;
        }
        let account = self.random.below(self.accounts.len());
        if self.checker.doubtful.contains(&account) {
            return;
        }
        let id = self.world.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Plain);
        self.connections.insert(id, self.checker.connection(account));
        self.ask(id, Asked::Other, "hello", r#"{"proto":[1],"client":"r/1"}"#);
        self.sign_in(id);
    }

    fn sign_in(&mut self, id: ClientId) {
        let random = &mut self.random;
        let account = &self.accounts[self.connections[&id].account];
        let (name, password) = (&account.name, account.passwords.last().unwrap());
        let mut token = None;
        let (op, d) = if !account.registered {
            let fields = format!(r#""user":"{name}","pass":"{password}","device":"d""#);
            ("register", format!(r#"{{{fields},"txn":"{:032x}"}}"#, name.len()))
        } else if account.tokens.is_empty() || random.percent(15) {
            let password = &account.passwords[random.below(account.passwords.len())];
            ("login", format!(r#"{{"user":"{name}","pass":"{password}","device":"d"}}"#))
        } else {
            let known = &account.tokens[random.below(account.tokens.len())];
            token = Some(known.clone());
            let at = random.below(account.cursors.len() + 1);
            let cursor = account.cursors.get(at).map(|cursor| format!(r#","cur":"{cursor}""#));
            ("resume", format!(r#"{{"token":"{known}"{}}}"#, cursor.unwrap_or_default()))
        };
        self.ask(id, self.checker.sign_in(token.as_deref()), op, &d);
    }

    fn ask(&mut self, id: ClientId, asked: Asked, op: &str, d: &str) {
        let request = self.next_request;
        self.next_request += 1;
        let connection = self.connections.get_mut(&id).expect("it is open");
        self.checker.asks(connection, request, asked);
        let line = format!(r#"{{"id":{request},"op":"{op}","d":{d}}}"#);
        self.world.feed(Input::ClientFrame(id, line.into_bytes()));
        // Sometimes more comes in the same turn.
        if self.random.percent(70) {
            self.world.drain();
        }
    }

    fn request(&mut self) {
        let Some(id) = self.any_connection() else { return };
        let connection = &self.connections[&id];
        let account = connection.account;
        if connection.unanswered.len() >= UNANSWERED_MAX {
            return;
        }
        if !connection.is_signed_in() && self.random.percent(60) {
            return self.sign_in(id);
        }
        let conv = format!("c{}", 1 + self.random.below(4));
        let seq = 1 + self.random.below(10);
        let txn = format!("{:032x}", 0x1000 + self.next_txn);
        self.next_txn += 1;
        match self.random.below(100) {
            0..45 => self.send(id, account, &conv, txn),
            45..60 => {
                let at_least = self.checker.highest.get(&conv).copied().unwrap_or(0);
                let d = format!(r#"{{"conv":"{conv}"}}"#);
                self.ask(id, Asked::History { conv, at_least }, "history", &d);
            }
            60..66 => {
                let d = format!(r#"{{"conv":"{conv}","seq":{seq},"text":"edited","txn":"{txn}"}}"#);
                self.ask(id, Asked::Other, "edit", &d);
            }
            66..72 => {
                let scope = ["me", "all"][self.random.below(2)];
                let d = format!(r#"{{"conv":"{conv}","seq":{seq},"for":"{scope}","txn":"{txn}"}}"#);
                self.ask(id, Asked::Other, "delete", &d);
            }
            72..82 => {
                let op = ["read", "delivered"][self.random.below(2)];
                self.ask(id, Asked::Other, op, &format!(r#"{{"conv":"{conv}","upto":{seq}}}"#));
            }
            82..90 => {
                let op = ["conversations", "sessions", "ping", "status"][self.random.below(4)];
                self.ask(id, Asked::Other, op, "{}");
            }
            90..93 => self.ask(id, Asked::Other, "users", r#"{"prefix":""}"#),
            93 => self.ask(id, Asked::Logout, "logout", "{}"),
            94 => self.ask(id, self.others(id), "revoke", r#"{"session":"others"}"#),
            95..97 => self.passwd(id, account),
            97 => {
                if self.accounts.len() < 6 {
                    self.new_account("x".repeat(3 + self.accounts.len()));
                }
                if self.random.percent(15) {
                    let pass = self.accounts[account].passwords.last().unwrap().clone();
                    let d = format!(r#"{{"pass":"{pass}","txn":"{txn}"}}"#);
                    self.ask(id, Asked::DeleteAccount, "delete_account", &d);
                }
            }
            98 => self.ask(id, Asked::Other, "send", r#"{"to":5}"#),
            _ => self.world.input(Input::ClientFrame(id, b"nonsense".to_vec())),
        }
    }

    fn send(&mut self, id: ClientId, account: usize, conv: &str, txn: String) {
        let repeat = self.random.percent(30);
        let known = &mut self.accounts[account].uncertain;
        let (txn, to, text) = match known.is_empty() || !repeat {
            false => known[self.random.below(known.len())].clone(),
            true => {
                let other = self.random.below(self.accounts.len());
                let to = match self.random.percent(50) {
                    true => format!(r#""to":"{}""#, self.accounts[other].name),
                    false => format!(r#""conv":"{conv}""#),
                };
                let text = format!("{account}/{txn}/{}", "x".repeat(self.random.below(3000)));
                self.accounts[account].uncertain.push((txn.clone(), to.clone(), text.clone()));
                (txn, to, text)
            }
        };
        let d = format!(r#"{{{to},"text":"{text}","txn":"{txn}"}}"#);
        self.ask(id, Asked::Send { txn, text }, "send", &d);
    }

    fn passwd(&mut self, id: ClientId, account: usize) {
        let passwords = &mut self.accounts[account].passwords;
        let old = passwords[self.random.below(passwords.len())].clone();
        let new = format!("word number {}", self.next_txn);
        passwords.push(new.clone());
        let d = format!(r#"{{"old":"{old}","new":"{new}"}}"#);
        self.ask(id, self.others(id), "passwd", &d);
    }

    /// The end of every session of the account that is known, but the connection's own.
    fn others(&self, id: ClientId) -> Asked {
        let connection = &self.connections[&id];
        if !connection.stays_signed_in() {
            return Asked::Other;
        }
        let tokens = self.accounts[connection.account].tokens.iter();
        let others = tokens.filter(|token| connection.token.as_ref() != Some(*token));
        Asked::End(others.cloned().collect())
    }

    /// Reads what the server has said.
    fn hear(&mut self) {
        for said in self.world.take_said() {
            match said {
                Said::Line(id, line) => self.line(id, &line),
                Said::Closed(id) => self.lost(id),
                Said::Stopped => return self.new_life(),
                Said::Job(_) => {}
            }
        }
    }

    fn line(&mut self, id: ClientId, line: &str) {
        // The client may have left before it could read this.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let value = self.checker.line(connection, line);
        let account = &mut self.accounts[connection.account];
        let ok = &value["ok"];
        if let Some(token) = ok["token"].as_str() {
            account.registered = true;
            account.tokens.push(token.to_owned());
        }
        let is_durable = value["ev"].is_string() || ok["user"].is_string();
        if let Some(cursor) = value["cur"].as_str().or(ok["cur"].as_str()).filter(|_| is_durable) {
            account.cursors.push(cursor.to_owned());
        }
        if value["err"]["code"] == "user_exists" || value["err"]["code"] == "txn_conflict" {
            account.registered = true;
        }
    }

    /// Runs every job to its end, in some order.
    fn settle(&mut self) {
        self.world.drain();
        self.hear();
        while !self.world.works().is_empty() {
            self.work();
            self.hear();
        }
    }

    /// The world heals: every request is answered. Then power fails once more, and what the server
    /// says of everything is compared with what it said before.
    fn finish(&mut self) {
        self.world.mend_disk();
        for id in self.connections.keys() {
            self.world.backlog(*id, 0);
        }
        self.settle();
        if self.stopping {
            self.new_life();
            self.settle();
        }
        for connection in self.connections.values() {
            assert!(connection.unanswered.is_empty(), "{:?}", connection.unanswered);
        }
        let mut all_events = BTreeMap::new();
        for account in 0..self.accounts.len() {
            if let Some(events) = self.events_of(account) {
                all_events.insert(account, events);
            }
        }
        let gone = self.checker.doubtful.iter().map(|account| self.accounts[*account].name.clone());
        let gone: BTreeSet<String> = gone.collect();
        for (account, events) in &all_events {
            self.checker.check_events(*account, events, &gone);
        }
        self.world.lose_power(0);
        self.connections.clear();
        self.world.start();
        self.settle();
        for (account, before) in all_events {
            let after = self.events_of(account).expect("an account does not vanish");
            assert!(after.starts_with(&before), "events of account {account} vanished");
            self.check_conversations(account);
        }
    }

    /// A question of the audit, answered at once; events come beside the answer.
    fn audit(&mut self, id: ClientId, op: &str, d: &str) -> (Value, Vec<Value>) {
        let line = format!(r#"{{"id":1,"op":"{op}","d":{d}}}"#);
        self.world.input(Input::ClientFrame(id, line.into_bytes()));
        let (mut answer, mut events) = (Value::Null, Vec::new());
        loop {
            for said in self.world.take_said() {
                match said {
                    Said::Line(to, line) if to == id => {
                        let value: Value = serde_json::from_str(&line).unwrap();
                        match value["id"].is_null() {
                            true => events.push(value),
                            false => answer = value,
                        }
                    }
                    Said::Line(other, line) => self.line(other, &line),
                    Said::Closed(id) => self.lost(id),
                    Said::Stopped => panic!("nobody stops it"),
                    Said::Job(_) => {}
                }
            }
            if self.world.works().is_empty() {
                return (answer, events);
            }
            self.work();
        }
    }

    /// A new connection of the audit, signed in; none if the account was never made, or is gone.
    fn enter(&mut self, account: usize) -> Option<(ClientId, String)> {
        let id = self.world.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Plain);
        self.audit(id, "hello", r#"{"proto":[1],"client":"audit/1"}"#);
        let name = self.accounts[account].name.clone();
        let mut refusal = Value::Null;
        for password in self.accounts[account].passwords.clone() {
            let d = format!(r#"{{"user":"{name}","pass":"{password}","device":"audit"}}"#);
            let (answer, _) = self.audit(id, "login", &d);
            if let Some(token) = answer["ok"]["token"].as_str() {
                return Some((id, token.to_owned()));
            }
            refusal = answer;
        }
        let made = self.accounts[account].registered && !self.checker.doubtful.contains(&account);
        assert!(!made, "account {account} was made and is gone: {refusal}");
        None
    }

    /// The indexes of all events of an account.
    fn events_of(&mut self, account: usize) -> Option<Vec<u64>> {
        let (first, token) = self.enter(account)?;
        self.world.input(Input::ClientClosed(first));
        let id = self.world.connect(IpAddr::V4(Ipv4Addr::LOCALHOST), Transport::Plain);
        self.audit(id, "hello", r#"{"proto":[1],"client":"audit/1"}"#);
        let d = format!(r#"{{"token":"{token}","cur":"0.0"}}"#);
        let (answer, events) = self.audit(id, "resume", &d);
        assert!(answer["ok"].is_object(), "{answer}");
        self.world.input(Input::ClientClosed(id));
        let cursors = events.iter().filter_map(|event| event["cur"].as_str());
        Some(cursors.map(super::checker::index_of).collect())
    }

    fn check_conversations(&mut self, account: usize) {
        let Some((id, _)) = self.enter(account) else { return };
        let (answer, _) = self.audit(id, "conversations", "{}");
        let conversations = answer["ok"]["conversations"].as_array().unwrap().clone();
        for conversation in conversations {
            let conv = conversation["conv"].as_str().unwrap();
            let mut messages: Vec<Value> = Vec::new();
            loop {
                let last = messages.last().map_or(0, |last| last["seq"].as_u64().unwrap());
                let d = format!(r#"{{"conv":"{conv}","after":{last}}}"#);
                let (answer, _) = self.audit(id, "history", &d);
                messages.extend(answer["ok"]["messages"].as_array().unwrap().iter().cloned());
                if answer["ok"]["more"] == Value::Bool(false) {
                    break;
                }
            }
            self.checker.check_messages(conv, &messages);
        }
        self.world.input(Input::ClientClosed(id));
    }
}
