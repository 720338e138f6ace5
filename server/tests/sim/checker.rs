//! Owns: what clients were told, and what follows from it. Driven by: the random driver, which
//! reports every request that it sends and every line that comes. Invariants checked as lines come:
//! one answer a request; a txn has one result; events come in order; a read shows whatever was
//! acknowledged before it was asked. Checked at the end, against what the server then says: nothing
//! acknowledged is missing, moved or doubled; numbers are dense; every connection got every event
//! of its account. Does not: know how the server works.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// A message's place: conversation and number.
pub(crate) type Place = (String, u64);

/// What a request was, as far as its answer is checked.
#[derive(Debug, Clone)]
pub(crate) enum Asked {
    /// With this token, and whether its end had been acknowledged before.
    SignIn {
        token: Option<String>,
        is_dead: bool,
    },
    Logout,
    Send {
        txn: String,
        text: String,
    },
    /// The newest page; it must show at least this number.
    History {
        conv: String,
        at_least: u64,
    },
    DeleteAccount,
    /// Ends these sessions.
    End(Vec<String>),
    Other,
}

/// A time in which a connection was signed in.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) account: usize,
    /// The index of the cursor that it began with.
    from: u64,
    /// The indexes of the events that came, and whose mark it was, if it was one.
    seen: Vec<(u64, Option<String>)>,
    /// Whether it lasts.
    live: bool,
}

impl Stretch {
    fn last_seen(&self) -> u64 {
        self.seen.last().map_or(self.from, |(index, _)| *index)
    }
}

/// One connection, as its client knows it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) account: usize,
    pub(crate) unanswered: BTreeMap<u64, Asked>,
    stretch: Option<usize>,
    /// That of the session it is signed in to.
    pub(crate) token: Option<String>,
    /// Acknowledged sends: the request's number, and the place.
    sent: Vec<(u64, Place)>,
}

impl Connection {
    pub(crate) fn is_signed_in(&self) -> bool {
        self.stretch.is_some()
    }

    /// Whether it is signed in, and nothing under way changes to which session.
    pub(crate) fn stays_signed_in(&self) -> bool {
        let changes = |asked: &Asked| matches!(asked, Asked::SignIn { .. } | Asked::Logout);
        self.is_signed_in() && !self.unanswered.values().any(changes)
    }
}

/// See the module's page.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    pub(crate) stretches: Vec<Stretch>,
    /// What each account's txn was acknowledged with.
    pub(crate) acknowledged: BTreeMap<(usize, String), Place>,
    /// Those of them whose answer said that they were not a repeat.
    made: BTreeSet<(usize, String)>,
    pub(crate) texts: BTreeMap<Place, (usize, String)>,
    /// The highest number acknowledged in each conversation.
    pub(crate) highest: BTreeMap<String, u64>,
    /// Accounts for which a deletion was asked, and those for which it was acknowledged.
    pub(crate) doubtful: BTreeSet<usize>,
    pub(crate) deleted: BTreeSet<usize>,
    /// Tokens of sessions whose end was acknowledged.
    dead: BTreeSet<String>,
    /// How often each kind of thing happened: a run in which nothing happens proves nothing.
    pub(crate) counts: BTreeMap<String, usize>,
}

/// The index in a cursor.
pub(crate) fn index_of(cursor: &str) -> u64 {
    cursor.split_once('.').expect("a cursor has two parts").1.parse().expect("a number")
}

impl Checker {
    pub(crate) fn connection(&self, account: usize) -> Connection {
        Connection {
            account,
            unanswered: BTreeMap::new(),
            stretch: None,
            token: None,
            sent: Vec::new(),
        }
    }

    /// Signing in with a token that is known, or with a password.
    pub(crate) fn sign_in(&self, token: Option<&str>) -> Asked {
        let is_dead = token.is_some_and(|token| self.dead.contains(token));
        Asked::SignIn { token: token.map(ToOwned::to_owned), is_dead }
    }

    pub(crate) fn asks(&mut self, connection: &mut Connection, id: u64, asked: Asked) {
        if matches!(asked, Asked::DeleteAccount) {
            self.doubtful.insert(connection.account);
        }
        connection.unanswered.insert(id, asked);
    }

    /// The connection is gone: what was unanswered has any outcome.
    pub(crate) fn closed(&mut self, connection: &Connection) {
        if let Some(stretch) = connection.stretch {
            self.stretches[stretch].live = false;
        }
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut sent: Vec<_> = connection.sent.iter().collect();
        sent.sort();
        for (request, (conv, seq)) in sent {
            let before = last.insert(conv, *seq);
            assert!(before < Some(*seq), "request {request} overtook one before it in {conv}");
        }
    }

    /// A line has come.
    pub(crate) fn line(&mut self, connection: &mut Connection, line: &str) -> Value {
        let value: Value = serde_json::from_str(line).expect("a line is JSON");
        if let Some(event) = value["ev"].as_str() {
            *self.counts.entry(format!("event {event}")).or_default() += 1;
            if let Some(cursor) = value["cur"].as_str() {
                let marked_by = value["d"]["user"].as_str().map(ToOwned::to_owned);
                self.event(connection, index_of(cursor), marked_by);
            }
            return value;
        }
        if value["id"].is_null() {
            return value;
        }
        let id = value["id"].as_u64().expect("an answer has an id");
        let asked = connection.unanswered.remove(&id);
        let asked = asked.unwrap_or_else(|| panic!("request {id} is answered twice: {line}"));
        let code = value["err"]["code"].as_str().unwrap_or("ok").to_owned();
        assert_ne!(code, "internal", "{line}");
        let kind = format!("{asked:?}");
        let kind = kind.split([' ', '{']).next().unwrap_or_default();
        *self.counts.entry(format!("{kind}: {code}")).or_default() += 1;
        if code == "ok" {
            self.granted(connection, id, asked, &value["ok"]);
        }
        value
    }

    fn event(&mut self, connection: &Connection, index: u64, marked_by: Option<String>) {
        let stretch = connection.stretch.expect("events come to whoever is signed in");
        let is_dead = connection.token.as_ref().is_some_and(|token| self.dead.contains(token));
        assert!(!is_dead, "an event for a session that had ended");
        let stretch = &mut self.stretches[stretch];
        let last = stretch.last_seen();
        assert!(index > last, "event {index} comes after {last}");
        stretch.seen.push((index, marked_by));
    }

    fn granted(&mut self, connection: &mut Connection, id: u64, asked: Asked, ok: &Value) {
        match asked {
            Asked::SignIn { token, is_dead } => {
                assert!(!is_dead, "a session came back from its end: {token:?}");
                connection.token = ok["token"].as_str().map(ToOwned::to_owned).or(token);
                let from = index_of(ok["cur"].as_str().expect("a sign-in has a cursor"));
                let account = connection.account;
                self.stretches.push(Stretch { account, from, seen: Vec::new(), live: true });
                connection.stretch = Some(self.stretches.len() - 1);
            }
            Asked::Logout => {
                let stretch = connection.stretch.take().expect("it was signed in");
                self.stretches[stretch].live = false;
                self.dead.extend(connection.token.take());
            }
            Asked::End(tokens) => self.dead.extend(tokens),
            Asked::Send { txn, text } => {
                let conv = ok["conv"].as_str().expect("a conversation").to_owned();
                let place = (conv.clone(), ok["seq"].as_u64().expect("a number"));
                let key = (connection.account, txn);
                let is_repeat = ok["dup"] == Value::Bool(true);
                if let Some(before) = self.acknowledged.insert(key.clone(), place.clone()) {
                    assert_eq!(before, place, "{key:?} has one place");
                }
                assert!(is_repeat || self.made.insert(key.clone()), "{key:?} was made twice");
                let author = (connection.account, text);
                if let Some(before) = self.texts.insert(place.clone(), author.clone()) {
                    assert_eq!(before, author, "{place:?} is one message's");
                }
                if !is_repeat {
                    connection.sent.push((id, place.clone()));
                }
                let highest = self.highest.entry(conv).or_default();
                *highest = place.1.max(*highest);
            }
            Asked::History { conv, at_least } => {
                let messages = ok["messages"].as_array().expect("a list");
                let last = messages.last().map_or(0, |last| last["seq"].as_u64().unwrap());
                assert!(last >= at_least, "{conv} shows {last}, {at_least} was acknowledged");
            }
            Asked::DeleteAccount => {
                self.deleted.insert(connection.account);
            }
            Asked::Other => {}
        }
    }

    /// At the end: all events of an account that is there, by index; `gone` may be accounts no
    /// more.
    pub(crate) fn check_events(&self, account: usize, all: &[u64], gone: &BTreeSet<String>) {
        for stretch in self.stretches.iter().filter(|stretch| stretch.account == account) {
            let end = match stretch.live {
                true => u64::MAX,
                false => stretch.last_seen(),
            };
            let expected: Vec<u64> =
                all.iter().copied().filter(|at| *at > stretch.from && *at <= end).collect();
            // Marks of an account that is gone went with it.
            let went = |by: &Option<String>| by.as_ref().is_some_and(|by| gone.contains(by));
            let seen = stretch.seen.iter().filter(|(at, by)| all.contains(at) || !went(by));
            let seen: Vec<u64> = seen.map(|(at, _)| *at).collect();
            assert_eq!(seen, expected, "events of account {account}: {stretch:?}");
        }
    }

    /// At the end: all messages of a conversation, in order.
    pub(crate) fn check_messages(&self, conv: &str, messages: &[Value]) {
        let mut seen = BTreeSet::new();
        for (place, message) in messages.iter().enumerate() {
            let seq = message["seq"].as_u64().unwrap();
            assert_eq!(seq, place as u64 + 1, "numbers of {conv} are dense");
            let text = message["text"].as_str().unwrap();
            let is_new = message["edited"].is_null() && message["deleted"].is_null();
            assert!(!is_new || seen.insert(text), "{text:?} is there twice in {conv}");
            let Some((author, sent)) = self.texts.get(&(conv.to_owned(), seq)) else { continue };
            if self.deleted.contains(author) {
                assert_eq!(text, "", "{conv} {seq} was written by an account that is gone");
            } else if is_new && !self.doubtful.contains(author) {
                assert_eq!(text, sent, "{conv} {seq}");
            }
        }
        let highest = self.highest.get(conv).copied().unwrap_or(0);
        assert!(messages.len() as u64 >= highest, "{conv} lost what was acknowledged: {highest}");
    }
}
