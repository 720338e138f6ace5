//! Scripts: what clients and the world do, and between the lines what the server says to it.
//!
//! ```text
//! open NAME [from IP] [tls] | open NAME admin | close NAME | overlong NAME | heard NAME
//! backlog NAME BYTES           so much waits for it from here on
//! greeted NAME [from IP]        open, and hello; what is said is not shown
//! registered NAME               the same, and an account with the password "word of NAME"
//! logged_in NAME as USER        the same, into an account that is there
//! NAME> OPERATION {FIELDS}      a request under the connection's next id
//! NAME> {...}  NAME> raw TEXT   a line as it stands
//! wait 5s | restart | crash [kept N] | stop | set KEY VALUE | show jobs
//! reborn                        a restart under which what is held stays held
//! hold THREAD [answers] | release THREAD [last]      THREAD: journal, tables, reader,
//!                               maintenance, hash
//! journal holds TEXT | quiet COMMAND | repeat N COMMAND   (`@` in it is the round)
//! ```
//!
//! In lines, `"#a1"` is the id of 32 hex digits that ends so, `$x(9)` nine times `x`, and `$alice`
//! the token of the connection `alice`; in what the server says the same are put back. `NAME< ` is
//! what the server says to NAME, `- ` what else happens: both are written by the test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use holdfast_common::config::{Plaintext, Registration};
use holdfast_server::journal::Disk as _;
use holdfast_server::node::effect::{ClientId, Input, Origin, Transport};

use super::workers::Thread;
use super::world::{Said, World, settings};

/// Plays a script and gives it back with what the server really says.
pub(crate) fn play(name: &str, script: &str) -> String {
    let mut player = Player {
        world: World::new(1, settings()),
        started: false,
        connections: BTreeMap::new(),
        values: Vec::new(),
        held: BTreeMap::new(),
        shows_jobs: false,
        is_quiet: false,
        transcript: String::new(),
    };
    for (number, line) in script.lines().enumerate() {
        let is_said = line.starts_with("- ")
            || line.split_once("< ").is_some_and(|(who, _)| who.chars().all(char::is_alphanumeric));
        if is_said {
            continue;
        }
        player.transcript += line;
        player.transcript += "\n";
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = format!("{name}.txt:{}: {line}", number + 1);
        player.command(line).unwrap_or_else(|why| panic!("{at}: {why}"));
    }
    player.transcript
}

struct Connection {
    id: ClientId,
    next_request: u64,
}

/// How far jobs of a thread are held back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hold {
    /// They are not begun.
    Jobs,
    /// They are done, and the node does not know.
    Answers,
}

struct Player {
    world: World,
    started: bool,
    connections: BTreeMap<String, Connection>,
    /// What stands for what: the value, and its name.
    values: Vec<(String, String)>,
    held: BTreeMap<Thread, Hold>,
    shows_jobs: bool,
    is_quiet: bool,
    transcript: String,
}

impl Player {
    fn command(&mut self, line: &str) -> Result<(), String> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if let ("set", Some((key, value))) = (word, rest.split_once(' ')) {
            return self.set(key, value);
        }
        if !self.started {
            self.started = true;
            self.world.start();
            self.settle();
            self.world.take_said();
        }
        match word {
            "repeat" => {
                let (times, command) = rest.split_once(' ').ok_or("how often, and what?")?;
                for round in 1..=times.parse::<u64>().map_err(|e| e.to_string())? {
                    self.command(&command.replace('@', &round.to_string()))?;
                }
                return Ok(());
            }
            "quiet" => {
                let length = self.transcript.len();
                self.is_quiet = true;
                let done = self.command(rest);
                self.is_quiet = false;
                self.transcript.truncate(length);
                return done;
            }
            _ => self.act(word, rest)?,
        }
        self.settle();
        self.tell();
        Ok(())
    }

    fn act(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let words: Vec<&str> = rest.split(' ').filter(|word| !word.is_empty()).collect();
        match (word, words.as_slice()) {
            ("show", ["jobs"]) => self.shows_jobs = true,
            ("open", [name, how @ ..]) => self.open(name, how)?,
            ("close", [name]) => {
                let id = self.connections.remove(*name).ok_or("no such connection")?.id;
                self.world.input(Input::ClientClosed(id));
            }
            ("heard", [name]) => self.world.input(Input::ClientHeard(self.id(name)?)),
            ("overlong", [name]) => self.world.input(Input::ClientOverlong(self.id(name)?)),
            ("backlog", [name, bytes]) => {
                self.world.backlog(self.id(name)?, bytes.parse().map_err(|_| "bytes?")?);
            }
            ("greeted", [name, how @ ..]) => self.greeted(name, how)?,
            ("registered", [name, how @ ..]) => {
                self.greeted(name, how)?;
                let fields = format!(r##""user":"{name}","pass":"word of {name}","device":"d""##);
                // Unique, because the transcript only grows.
                let txn = format!("{:x}", self.transcript.len());
                self.hidden(&format!(r##"{name}> register {{{fields},"txn":"#{txn}"}}"##))?;
            }
            ("logged_in", [name, "as", user]) => {
                self.greeted(name, &[])?;
                let fields = format!(r#""user":"{user}","pass":"word of {user}","device":"d""#);
                self.hidden(&format!("{name}> login {{{fields}}}"))?;
            }
            ("wait", [duration]) => {
                let held = self.held.clone();
                self.world.advance(duration_of(duration)?, |world| settle(world, &held));
            }
            ("restart", []) => {
                self.world.kill();
                self.born_again();
            }
            ("reborn", []) => {
                self.world.kill();
                self.connections.clear();
                self.world.start();
            }
            ("crash", kept) => {
                let kept = kept.last().map_or(Ok(0), |kept| kept.parse());
                self.world.lose_power(kept.map_err(|_| "how many batches?")?);
                self.born_again();
            }
            ("stop", []) => self.world.input(Input::Stop),
            ("hold", [thread, how @ ..]) => {
                let hold = if how.is_empty() { Hold::Jobs } else { Hold::Answers };
                self.held.insert(thread_of(thread)?, hold);
            }
            ("release", [thread, "last"]) => self.release_last(thread)?,
            ("release", [thread]) => {
                self.held.remove(&thread_of(thread)?);
            }
            ("journal", ["holds", ..]) => {
                let text = rest.trim_start_matches("holds ");
                let found = self.journal_holds(text);
                writeln!(self.transcript, "- {}", if found { "yes" } else { "no" }).unwrap();
            }
            (name, _) if name.ends_with('>') => self.say(&name[..name.len() - 1], rest)?,
            _ => return Err("not understood".to_owned()),
        }
        Ok(())
    }

    /// Does and tells the newest work of a thread, before what came earlier.
    fn release_last(&mut self, thread: &str) -> Result<(), String> {
        let thread = thread_of(thread)?;
        let works = self.world.works();
        let at = works.iter().rposition(|work| work.thread == thread).ok_or("none")?;
        let is_done = works[at].is_done();
        self.world.step(at);
        if !is_done {
            self.world.step(at);
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let settings = &mut self.world.settings;
        let number = || value.parse().map_err(|_| "a number is expected".to_owned());
        match key {
            "sends_per_s" => settings.sends_per_s = number()?,
            "sign_in_fails_per_min" => settings.sign_in_fails_per_min = number()?,
            "connections_max" => {
                settings.connections_max = usize::try_from(number()?).map_err(|e| e.to_string())?;
            }
            "registration" => settings.registration = Registration::Closed,
            "plaintext" if value == "never" => settings.plaintext = Plaintext::Never,
            "plaintext" => settings.plaintext = Plaintext::Allow,
            "foreign_loopback" => {
                settings.foreign_loopback = Some(value.parse().map_err(|_| "an address")?);
            }
            _ => return Err("no such setting".to_owned()),
        }
        Ok(())
    }

    fn open(&mut self, name: &str, how: &[&str]) -> Result<(), String> {
        let mut address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let mut transport = Transport::Plain;
        let id = match how {
            ["admin"] => self.world.open(Origin::Administration),
            _ => {
                for word in how {
                    match *word {
                        "from" => {}
                        "tls" => transport = Transport::Tls,
                        ip => address = ip.parse().map_err(|_| "an address is expected")?,
                    }
                }
                self.world.connect(address, transport)
            }
        };
        self.connections.insert(name.to_owned(), Connection { id, next_request: 1 });
        Ok(())
    }

    fn greeted(&mut self, name: &str, how: &[&str]) -> Result<(), String> {
        self.open(name, how)?;
        self.hidden(&format!(r#"{name}> hello {{"proto":[1],"client":"script/1"}}"#))
    }

    /// A request that must be granted, and is not shown.
    fn hidden(&mut self, line: &str) -> Result<(), String> {
        let length = self.transcript.len();
        let (word, rest) = line.split_once(' ').ok_or("a request")?;
        self.act(word, rest)?;
        self.settle();
        self.tell();
        let said = self.transcript.split_off(length);
        let granted = said.contains(r#""ok":"#);
        if granted { Ok(()) } else { Err(format!("{line} is answered with {said}")) }
    }

    fn say(&mut self, name: &str, line: &str) -> Result<(), String> {
        let line = self.expanded(line);
        let connection = self.connections.get_mut(name).ok_or("no such connection")?;
        let id = connection.id;
        let line = if let Some(raw) = line.strip_prefix("raw") {
            raw.trim_start().to_owned()
        } else if line.starts_with('{') {
            line
        } else {
            let request = connection.next_request;
            connection.next_request += 1;
            match line.split_once(' ') {
                Some((op, d)) => format!(r#"{{"id":{request},"op":"{op}","d":{d}}}"#),
                None => format!(r#"{{"id":{request},"op":"{line}"}}"#),
            }
        };
        self.world.input(Input::ClientFrame(id, line.into_bytes()));
        Ok(())
    }

    fn id(&self, name: &str) -> Result<ClientId, String> {
        Ok(self.connections.get(name).ok_or("no such connection")?.id)
    }

    fn born_again(&mut self) {
        self.connections.clear();
        self.held.clear();
        self.world.start();
        self.settle();
        self.world.take_said();
    }

    fn settle(&mut self) {
        settle(&mut self.world, &self.held);
    }

    /// Writes down what the server has said.
    fn tell(&mut self) {
        for said in self.world.take_said() {
            let line = match said {
                // Nobody will see it, and a long line takes long to shorten.
                Said::Line(_, line) if self.is_quiet && line.len() > 4_000 => continue,
                Said::Line(client, line) => {
                    let name = self.name_of(client);
                    let line = self.shortened(&name, line);
                    format!("{name}< {line}")
                }
                Said::Closed(client) => {
                    let name = self.name_of(client);
                    self.connections.remove(&name);
                    format!("- {name} is closed")
                }
                Said::Stopped => "- the server has stopped".to_owned(),
                Said::Job(what) if self.shows_jobs => format!("- {what}"),
                Said::Job(_) => continue,
            };
            self.transcript += &line;
            self.transcript += "\n";
        }
    }

    fn name_of(&self, client: ClientId) -> String {
        let known = self.connections.iter().find(|(_, connection)| connection.id == client);
        known.map_or_else(|| format!("{client}"), |(name, _)| name.clone())
    }

    /// With names for tokens and ids, and the repeated counted.
    fn shortened(&mut self, name: &str, line: String) -> String {
        for (key, value_name) in [("token", name), ("session", "session"), ("hash", "hash")] {
            for part in line.split(&format!(r#""{key}":""#)).skip(1) {
                let value = part.split('"').next().unwrap_or_default();
                if value.len() >= 32 && !self.values.iter().any(|(known, _)| known == value) {
                    let same = self.values.iter().filter(|(_, n)| base(n) == value_name).count();
                    let number = if same == 0 { String::new() } else { format!("{}", same + 1) };
                    self.values.push((value.to_owned(), format!("{value_name}{number}")));
                }
            }
        }
        let mut line = line.replace(&"c1".repeat(16), "$cluster");
        for (value, value_name) in &self.values {
            line = line.replace(value, &format!("${value_name}"));
        }
        runs_counted(&ids_shortened(&line))
    }

    fn expanded(&self, line: &str) -> String {
        let mut line = line.to_owned();
        // Longer names first: `$alice2` is not `$alice` and a 2.
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        for (value, name) in values {
            line = line.replace(&format!("${name}"), value);
        }
        runs_written_out(&ids_written_out(&line))
    }

    fn journal_holds(&self, text: &str) -> bool {
        let mut disk = self.world.disk.clone();
        let names = disk.names().unwrap();
        names.iter().any(|name| {
            let bytes = disk.read(name).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }
}

/// A value's name without its number.
fn base(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Runs jobs as far as nothing is held.
fn settle(world: &mut World, held: &BTreeMap<Thread, Hold>) {
    loop {
        let next = (0..world.works().len()).find(|at| {
            let work = &world.works()[*at];
            let is_held = match held.get(&work.thread) {
                None => false,
                Some(Hold::Jobs) => true,
                Some(Hold::Answers) => work.is_done(),
            };
            !is_held && world.may_step(*at)
        });
        let Some(at) = next else { return };
        assert!(world.step(at), "the disk of a script does not fail");
    }
}

fn thread_of(name: &str) -> Result<Thread, String> {
    match name {
        "journal" => Ok(Thread::Journal),
        "tables" => Ok(Thread::Tables),
        "reader" => Ok(Thread::Reader),
        "maintenance" => Ok(Thread::Maintenance),
        "hash" => Ok(Thread::Hash),
        _ => Err("no such thread".to_owned()),
    }
}

fn duration_of(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "a number is expected")?;
    match &text[digits.len()..] {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        "h" => Ok(Duration::from_secs(3600 * number)),
        _ => Err("ms, s, m or h?".to_owned()),
    }
}

/// `"#a1"` as 32 hex digits.
fn ids_written_out(line: &str) -> String {
    let mut parts = line.split("\"#");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.split('"').next().unwrap_or_default();
        write!(out, "\"{digits:0>32}{}", &part[digits.len()..]).unwrap();
    }
    out
}

/// 32 hex digits that begin with many zeros as `"#a1"`.
fn ids_shortened(line: &str) -> String {
    let mut parts = line.split("\"000000000000000000000000");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        write!(out, "\"#{}", part.trim_start_matches('0')).unwrap();
    }
    out
}

/// `$x(3)` as `xxx`.
fn runs_written_out(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        let (before, run) = rest.split_at(at);
        out += before;
        let mut chars = run[1..].chars();
        let repeated = chars.next();
        let count = chars.as_str().strip_prefix('(').and_then(|tail| tail.split_once(')'));
        let count = count.and_then(|(count, tail)| Some((count.parse().ok()?, tail)));
        match (repeated, count) {
            (Some(repeated), Some((count, tail))) => {
                out.extend(std::iter::repeat_n(repeated, count));
                rest = tail;
            }
            _ => {
                out.push('$');
                rest = &run[1..];
            }
        }
    }
    out + rest
}

/// A character that stands forty times or more in a row as `$x(40)`.
fn runs_counted(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let length = rest.chars().take_while(|c| *c == first).count();
        let (run, tail) = rest.split_at(length * first.len_utf8());
        match length {
            0..40 => out += run,
            _ => write!(out, "${first}({length})").unwrap(),
        }
        rest = tail;
    }
    out
}
