//! People who write and read through whatever happens, and what they can prove afterwards. They
//! speak nothing but chat/1, and know of the cluster only where its servers are.
//!
//! Owns: pairs of people, each pair in a conversation of its own; one writer each, one reader a
//! pair; and somebody who makes account after account. Checks: what was acknowledged is present
//! exactly once, in its place, as it was last edited or deleted, on every server; numbers are
//! dense; what a reader was shown, live or as history, never vanishes or becomes another message; a
//! reader that resumes by its cursor gets every message once and in order; a repeat with the same
//! txn gets the first answer; writes in a row on one connection keep their order; whoever has
//! registered signs in at any server.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::client::fresh_txn;
use super::support::line::Line;

/// Longer than a server's own patience, so that what it says about a lost primary is heard.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// While at least one server serves, and however slow the machine, all else is done within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// Writes of one writer under way at once: they must keep their order.
const BATCH: usize = 3;
/// One in so many writes is repeated after its answer.
const REPEAT_EVERY: u64 = 16;

/// What lies between two registrations.
const NEWCOMER_EVERY: Duration = Duration::from_millis(200);
/// After one in so many batches of a writer one of its messages is edited, and another one deleted.
const CHANGE_EVERY: u64 = 4;
/// What stands in an edited text behind the former one.
const EDITED: &str = ", as edited";
/// The text of a message that was deleted.
const DELETED: &str = "";

/// A place in a conversation: `conv` and `seq`.
pub(crate) type Place = (String, u64);

/// What must be there, and stay.
#[derive(Debug, Default, Clone)]
pub(crate) struct Proof {
    /// Texts by place, of which the writer has an answer.
    acknowledged: BTreeMap<Place, String>,
    /// Texts by place, that a reader was shown.
    shown: BTreeMap<Place, String>,
}

fn keep(texts: &mut BTreeMap<Place, String>, place: Place, text: &str) {
    let former = texts.insert(place.clone(), text.to_owned());
    if let Some(former) = former {
        assert!(is_same(&former, text), "two messages at {place:?}: {former:?}, {text:?}");
    }
}

/// Whether two texts may be those of one message at different times.
fn is_same(one: &str, other: &str) -> bool {
    let written = |text: &str| text.trim_end_matches(EDITED).to_owned();
    one == DELETED || other == DELETED || written(one) == written(other)
}

/// A person: an account, and a token of it that one writer or reader uses.
#[derive(Debug, Clone)]
struct Person {
    name: String,
    token: String,
    cur: Value,
}

/// What all of a crowd see.
#[derive(Debug, Default)]
struct Shared {
    /// Writers finish what they have begun and end.
    over: AtomicBool,
    /// Answered writes.
    answered: AtomicU64,
    /// The last place of each conversation, once it is known: readers end there.
    ends: Mutex<Option<BTreeMap<String, u64>>>,
}

/// See the module's page.
pub(crate) struct Crowd {
    servers: Vec<SocketAddr>,
    shared: Arc<Shared>,
    readers_of: Vec<Person>,
    writers: Vec<JoinHandle<BTreeMap<Place, String>>>,
    readers: Vec<JoinHandle<BTreeMap<Place, String>>>,
    newcomers: Option<JoinHandle<u64>>,
}

/// Somebody's way to a cluster: one connection at a time, signed in.
struct Way {
    servers: Vec<SocketAddr>,
    at: usize,
    person: Person,
    line: Option<Line>,
}

impl Way {
    fn new(servers: &[SocketAddr], at: usize, person: Person) -> Way {
        Way { servers: servers.to_vec(), at, person, line: None }
    }

    /// Gives the present connection up; the next one is to the next server.
    fn leave(&mut self) {
        self.line = None;
        self.at += 1;
    }

    /// The connection, made and signed in if need be; nothing if that failed just now.
    fn line(&mut self) -> Option<&mut Line> {
        if self.line.is_none() {
            let address = self.servers[self.at % self.servers.len()];
            self.line = self.sign_in(address);
            if self.line.is_none() {
                self.leave();
                // A server that refuses at once must not be asked a thousand times a second.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        self.line.as_mut()
    }

    fn sign_in(&self, address: SocketAddr) -> Option<Line> {
        let mut line = Line::dial(address, ANSWER_WITHIN)?;
        let request = json!({"token": self.person.token, "cur": self.person.cur});
        match line.call("resume", &request)? {
            Ok(_) => Some(line),
            Err(refusal) => {
                must_be_passing(&self.person.name, &refusal);
                None
            }
        }
    }
}

/// A refusal that says "now" or "here", never "this is wrong": nobody here asks for anything wrong.
fn must_be_passing(who: &str, refusal: &Value) {
    let retry = refusal["retry"].as_str();
    assert!(
        matches!(retry, Some("later" | "elsewhere" | "same_txn")) && refusal["code"] != "internal",
        "{who} is refused: {refusal}"
    );
}

/// Repeats until something comes of it.
fn insist<T>(what: &str, mut attempt: impl FnMut(usize) -> Option<T>) -> T {
    let start = Instant::now();
    for round in 0.. {
        if let Some(result) = attempt(round) {
            return result;
        }
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
    unreachable!("the rounds do not end")
}

fn register(servers: &[SocketAddr], name: &str) -> Person {
    let txn = fresh_txn();
    let d = json!({"user": name, "pass": "correct horse", "device": "test", "txn": txn});
    let ok = insist("an account", |round| {
        let mut line = Line::dial(servers[round % servers.len()], ANSWER_WITHIN)?;
        line.call("register", &d)?.map_err(|refusal| must_be_passing(name, &refusal)).ok()
    });
    let token = ok["token"].as_str().expect("a token").to_owned();
    Person { name: name.to_owned(), token, cur: ok["cur"].clone() }
}

fn place_of(message: &Value) -> Place {
    let conv = message["conv"].as_str().expect("a conversation").to_owned();
    (conv, message["seq"].as_u64().expect("a number"))
}

impl Crowd {
    /// Makes the accounts, and lets everybody begin.
    ///
    /// Writers rest for `pause` after each few messages.
    pub(crate) fn gather(servers: &[SocketAddr], pairs: usize, pause: Duration) -> Crowd {
        let shared = Arc::new(Shared::default());
        let mut crowd = Crowd {
            servers: servers.to_vec(),
            shared: Arc::clone(&shared),
            readers_of: Vec::new(),
            writers: Vec::new(),
            readers: Vec::new(),
            newcomers: None,
        };
        let people: Vec<Person> =
            (0..pairs * 2).map(|at| register(servers, &format!("person{at}"))).collect();
        for (at, person) in people.iter().enumerate() {
            let way = Way::new(servers, at, person.clone());
            let (to, shared) = (people[at ^ 1].name.clone(), Arc::clone(&shared));
            crowd.writers.push(std::thread::spawn(move || write(way, &to, pause, &shared)));
        }
        for (at, person) in people.iter().step_by(2).enumerate() {
            let way = Way::new(servers, at + 1, person.clone());
            let shared = Arc::clone(&shared);
            crowd.readers_of.push(person.clone());
            crowd.readers.push(std::thread::spawn(move || read(way, &shared)));
        }
        let servers = servers.to_vec();
        crowd.newcomers = Some(std::thread::spawn(move || come(&servers, &shared)));
        crowd
    }

    /// Waits until so many more writes have been answered.
    pub(crate) fn until_answered(&self, more: u64) {
        let goal = self.shared.answered.load(Ordering::SeqCst) + more;
        let is_there = || self.shared.answered.load(Ordering::SeqCst) >= goal;
        insist("writes are answered", |_| (!self.is_whole() || is_there()).then_some(()));
    }

    /// Whether nobody has complained yet; what was said comes with the end.
    pub(crate) fn is_whole(&self) -> bool {
        !self.writers.iter().chain(&self.readers).any(JoinHandle::is_finished)
    }

    /// Lets the writers finish and the readers catch up; gives what there is to prove.
    pub(crate) fn end(&mut self) -> Proof {
        let join = |thread: JoinHandle<_>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        self.shared.over.store(true, Ordering::SeqCst);
        if let Some(newcomers) = self.newcomers.take() {
            let result = newcomers.join();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
        let mut proof = Proof::default();
        for writer in self.writers.drain(..) {
            proof.acknowledged.extend(join(writer));
        }
        let mut ends = BTreeMap::new();
        for (conv, seq) in proof.acknowledged.keys() {
            ends.insert(conv.clone(), *seq);
        }
        *self.shared.ends.lock().expect("no panic in between") = Some(ends);
        for reader in self.readers.drain(..) {
            proof.shown.extend(join(reader));
        }
        proof
    }

    /// Whether a server has everything, in its place, once.
    pub(crate) fn check(&self, proof: &Proof, server: SocketAddr) {
        let mut there: BTreeMap<Place, String> = BTreeMap::new();
        for person in &self.readers_of {
            let convs = proof.acknowledged.keys().map(|(conv, _)| conv.clone());
            for conv in convs.collect::<BTreeSet<_>>() {
                there.extend(history(server, person, &conv));
            }
        }
        let mut texts = BTreeSet::new();
        let mut before: Option<&Place> = None;
        for (place, text) in &there {
            let dense = match before {
                Some((conv, seq)) if *conv == place.0 => seq + 1,
                _ => 1,
            };
            assert_eq!(place.1, dense, "{server} lacks a number before {place:?}");
            assert!(
                text == DELETED || texts.insert(text),
                "{server} has {text:?} twice, the second time at {place:?}"
            );
            before = Some(place);
        }
        for (place, text) in &proof.acknowledged {
            assert_eq!(there.get(place), Some(text), "{server} at {place:?}, acknowledged");
        }
        for (place, text) in &proof.shown {
            let found = there.get(place);
            let is_there = found.is_some_and(|found| is_same(found, text));
            assert!(is_there, "{server} at {place:?}: {found:?}, but {text:?} was shown");
        }
        assert_eq!(there.len(), proof.acknowledged.len(), "{server} has what nobody wrote");
    }

    /// The same of several servers.
    pub(crate) fn check_all(&self, proof: &Proof) {
        for server in &self.servers {
            self.check(proof, *server);
        }
    }
}

/// A conversation from its beginning, or nothing if it is another person's.
fn history(server: SocketAddr, person: &Person, conv: &str) -> BTreeMap<Place, String> {
    insist("a history", |_| {
        let mut line = Way::new(&[server], 0, person.clone()).sign_in(server)?;
        let mut texts = BTreeMap::new();
        let mut after = 0;
        loop {
            let page = line.call("history", &json!({"conv": conv, "after": after}))?;
            let page = match page {
                Ok(page) => page,
                Err(refusal) if refusal["code"] == "no_such_conversation" => return Some(texts),
                Err(refusal) => {
                    must_be_passing(&person.name, &refusal);
                    return None;
                }
            };
            for message in page["messages"].as_array().expect("a page") {
                after = message["seq"].as_u64().expect("a number");
                let text = message["text"].as_str().expect("a text").to_owned();
                texts.insert((conv.to_owned(), after), text);
            }
            if page["more"] == false {
                return Some(texts);
            }
        }
    })
}

/// Makes account after account until it is over, and signs in to each at another server; gives how
/// many.
fn come(servers: &[SocketAddr], shared: &Shared) -> u64 {
    let mut count = 0;
    while !shared.over.load(Ordering::SeqCst) {
        let name = format!("newcomer{count}");
        register(servers, &name);
        let d = json!({"user": name, "pass": "correct horse", "device": "another"});
        insist("a sign-in", |round| {
            let mut line = Line::dial(servers[(round + 1) % servers.len()], ANSWER_WITHIN)?;
            line.call("login", &d)?.map_err(|refusal| must_be_passing(&name, &refusal)).ok()
        });
        count += 1;
        std::thread::sleep(NEWCOMER_EVERY);
    }
    count
}

/// A write on its way.
struct Unanswered {
    op: &'static str,
    text: String,
    request: Value,
}

/// Writes until it is over; gives what was acknowledged.
fn write(mut way: Way, to: &str, pause: Duration, shared: &Shared) -> BTreeMap<Place, String> {
    let mut acknowledged = BTreeMap::new();
    let mut written = 0u64;
    while !shared.over.load(Ordering::SeqCst) {
        let batch: Vec<Unanswered> = (0..BATCH)
            .map(|_| {
                written += 1;
                let text = format!("{} {written}", way.person.name);
                let request = json!({"to": to, "text": text, "txn": fresh_txn()});
                Unanswered { op: "send", text, request }
            })
            .collect();
        for (message, ok) in batch.iter().zip(deliver(&mut way, &batch, false)) {
            let place = place_of(&ok);
            let former = acknowledged.insert(place.clone(), message.text.clone());
            assert_eq!(former, None, "two writes were acknowledged at {place:?}");
            shared.answered.fetch_add(1, Ordering::SeqCst);
        }
        if written.is_multiple_of(REPEAT_EVERY) {
            let again = deliver(&mut way, &batch, true);
            for (message, ok) in batch.iter().zip(again) {
                assert_eq!(ok["dup"], true, "a repeat is new: {ok}");
                assert_eq!(acknowledged.get(&place_of(&ok)), Some(&message.text));
            }
        }
        if written.is_multiple_of(CHANGE_EVERY * BATCH as u64) {
            change(&mut way, written, &mut acknowledged);
        }
        std::thread::sleep(pause);
    }
    acknowledged
}

/// Edits a message of the newest batch, and deletes another one.
fn change(way: &mut Way, written: u64, acknowledged: &mut BTreeMap<Place, String>) {
    let place = |number: u64| {
        let text = format!("{} {number}", way.person.name);
        let found = acknowledged.iter().rev().find(|(_, found)| **found == text);
        found.map(|(place, _)| (place.clone(), text)).expect("it was just acknowledged")
    };
    let ((edited, text), (deleted, _)) = (place(written), place(written - 1));
    let text = text + EDITED;
    let request = |(conv, seq): &Place, key: &str, value: &str| {
        let txn = fresh_txn();
        json!({"conv": conv, "seq": seq, "txn": txn, key: value})
    };
    let changes = [
        Unanswered { op: "edit", text: text.clone(), request: request(&edited, "text", &text) },
        Unanswered { op: "delete", text: String::new(), request: request(&deleted, "for", "all") },
    ];
    deliver(way, &changes, false);
    acknowledged.insert(edited, text);
    acknowledged.insert(deleted, DELETED.to_owned());
}

/// Sends until everything is answered, each time with what is not yet.
fn deliver(way: &mut Way, batch: &[Unanswered], mut was_lost: bool) -> Vec<Value> {
    let mut answers: Vec<Option<Value>> = vec![None; batch.len()];
    // What was refused, or is of unknown outcome, comes behind what was not. A lost answer may have
    // been a refusal: a server that was frozen gives up the first write and takes the second.
    let mut is_refused = false;
    insist("an answer to a write", |_| {
        let open: Vec<usize> = (0..batch.len()).filter(|at| answers[*at].is_none()).collect();
        let who = way.person.name.clone();
        let line = way.line()?;
        let mut ids = Vec::new();
        for at in &open {
            ids.extend(line.ask(batch[*at].op, &batch[*at].request));
        }
        let (mut last, mut must_leave) = (0, ids.len() < open.len());
        for (at, id) in open.iter().zip(ids) {
            match line.answer(id) {
                Some(Ok(ok)) => {
                    let stood_before = was_lost && ok["dup"] == true;
                    if let Some(seq) = ok["seq"].as_u64().filter(|_| !stood_before) {
                        assert!(seq > last || is_refused, "{who}'s writes changed places: {ok}");
                        last = seq;
                    }
                    answers[*at] = Some(ok);
                }
                Some(Err(refusal)) => {
                    must_be_passing(&who, &refusal);
                    (is_refused, must_leave) = (true, true);
                }
                None => {
                    (was_lost, must_leave) = (true, true);
                    break;
                }
            }
        }
        if must_leave {
            way.leave();
        }
        answers.iter().all(Option::is_some).then_some(())
    });
    answers.into_iter().map(|answer| answer.expect("all are there")).collect()
}

/// Reads until the end of what was written; gives what it was shown.
fn read(mut way: Way, shared: &Shared) -> BTreeMap<Place, String> {
    let mut shown = BTreeMap::new();
    let mut newest: BTreeMap<String, u64> = BTreeMap::new();
    let mut over_since = None;
    let mut look_at = Instant::now();
    loop {
        if let Some(ends) = &*shared.ends.lock().expect("no panic in between") {
            // Every conversation that this person is in.
            let missing = newest.iter().any(|(conv, seq)| ends.get(conv).is_some_and(|e| seq < e));
            if !missing && !newest.is_empty() {
                return shown;
            }
            let since: &mut Instant = over_since.get_or_insert_with(Instant::now);
            let name = &way.person.name;
            assert!(since.elapsed() < PATIENCE, "{name} has {newest:?}, and misses of {ends:?}");
        }
        let name = way.person.name.clone();
        let Some(line) = way.line() else { continue };
        match line.event() {
            Some(Some(event)) if event["ev"] == "msg" => {
                let place = place_of(&event["d"]);
                let last = newest.entry(place.0.clone()).or_insert(0);
                assert_eq!(place.1, *last + 1, "{name} is shown another message than the next");
                *last = place.1;
                keep(&mut shown, place, event["d"]["text"].as_str().expect("a text"));
                way.person.cur = event["cur"].clone();
            }
            Some(Some(event)) if event["ev"] == "bye" => way.leave(),
            Some(_) => {}
            None => way.leave(),
        }
        if look_at.elapsed() > Duration::from_millis(50) {
            look_at = Instant::now();
            look(&mut way, &newest, &mut shown);
        }
    }
}

/// What the newest page of history shows must stay as well.
fn look(way: &mut Way, newest: &BTreeMap<String, u64>, shown: &mut BTreeMap<Place, String>) {
    let Some(conv) = newest.keys().next() else { return };
    let name = way.person.name.clone();
    let Some(line) = way.line() else { return };
    match line.call("history", &json!({"conv": conv, "limit": 20})) {
        Some(Ok(page)) => {
            for message in page["messages"].as_array().expect("a page") {
                let seq = message["seq"].as_u64().expect("a number");
                keep(shown, (conv.clone(), seq), message["text"].as_str().expect("a text"));
            }
        }
        Some(Err(refusal)) => {
            must_be_passing(&name, &refusal);
            way.leave();
        }
        None => way.leave(),
    }
}
