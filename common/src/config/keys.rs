//! One key at a time: looking it up, reading it, and keeping what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use super::{Source, beside};

/// Keys that may stand in the file, besides those with a server's number.
pub(super) const KNOWN: &[&str] = &[
    "DATA_DIR",
    SECRET,
    "HTTP_BIND",
    "SURVIVOR_POLICY",
    "HEARTBEAT_MS",
    "ELECTION_MS",
    "REMOVE_MS",
    "BCRYPT_COST",
    "CLIENT_PLAINTEXT",
    "TLS_CERT",
    "TLS_KEY",
    "LOG_LEVEL",
    "LIMIT_SENDS_PER_S",
    "LIMIT_SIGNIN_FAILS_PER_MIN",
    "MAX_CONNECTIONS",
    "REGISTRATION",
];
/// The one key whose value is never shown.
pub(super) const SECRET: &str = "CLUSTER_SECRET";
/// What is shown in its place.
const NOT_SHOWN: &str = "(not shown)";
/// Keys with a server's number in them: before and behind it.
const NUMBERED: &[(&str, &str)] =
    &[("SERVER", "_IP"), ("REPLICA_PORT", ""), ("CLIENT_PORT", ""), ("HTTP_PORT", "")];
/// More servers than this are not looked for.
const SERVERS_MAX: u8 = 9;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Which key.
    pub key: String,
    /// What stands there (never a secret).
    pub value: String,
    /// What should.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}: expected {}", self.key, self.value, self.expected)
    }
}

/// Everything that is wrong, a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the settings cannot be used ({} faults):", self.0.len())?;
        for fault in &self.0 {
            write!(f, "\n  {fault}")?;
        }
        Ok(())
    }
}

/// The keys being read.
pub(super) struct Keys<'a> {
    source: &'a Source<'a>,
    file: BTreeMap<&'a str, &'a str>,
    faults: Vec<Fault>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Keys<'a> {
        let mut keys = Keys { source, file: BTreeMap::new(), faults: Vec::new() };
        let mut seen = BTreeSet::new();
        for (key, value) in &source.file {
            if !is_known(key) {
                // It may be a secret whose key has a typing error.
                keys.fault(key, NOT_SHOWN, "a key that exists (see the table in README.md)");
            } else if !seen.insert(key) {
                let value = if key == SECRET { NOT_SHOWN } else { value };
                keys.fault(key, value, "each key once");
            }
            keys.file.insert(key, value);
        }
        keys
    }

    pub(super) fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }

    pub(super) fn fault(&mut self, key: &str, value: &str, expected: &str) {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.faults.push(Fault { key, value, expected: expected.to_owned() });
    }

    /// The value from the environment, else from the file.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        let from_file = || self.file.get(key).map(|value| (*value).to_owned());
        (self.source.environment)(key).or_else(from_file)
    }

    /// The value, unless it is empty.
    fn filled(&self, key: &str) -> Option<String> {
        self.text(key).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// How many servers there are: up to the highest number that any key names.
    pub(super) fn server_count(&self) -> u8 {
        let named = |number: &u8| {
            NUMBERED
                .iter()
                .any(|(before, behind)| self.filled(&format!("{before}{number}{behind}")).is_some())
        };
        (1..=SERVERS_MAX).filter(named).max().unwrap_or(0)
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        let text = self.filled(key)?;
        match text.parse() {
            Ok(value) => Some(value),
            Err(_) => {
                self.fault(key, &text, expected);
                None
            }
        }
    }

    pub(super) fn ip(&mut self, key: &str) -> Option<IpAddr> {
        self.parsed(key, "an IP address, such as 192.168.1.10")
    }

    pub(super) fn port(&mut self, key: &str) -> Option<u16> {
        let port = self.parsed(key, "a port from 1 to 65535")?;
        if port == 0 {
            self.fault(key, "0", "a port from 1 to 65535");
        }
        Some(port)
    }

    fn require(&mut self, key: &str, expected: &str) {
        if self.filled(key).is_none() {
            self.fault(key, "(missing)", expected);
        }
    }

    pub(super) fn required_ip(&mut self, key: &str) -> Option<IpAddr> {
        self.require(key, "an IP address, such as 192.168.1.10");
        self.ip(key)
    }

    pub(super) fn required_port(&mut self, key: &str) -> Option<u16> {
        self.require(key, "a port from 1 to 65535");
        self.port(key)
    }

    pub(super) fn number<T>(&mut self, key: &str, default: T, min: T, max: T) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let expected = format!("a whole number from {min} to {max}");
        let number: T = self.parsed(key, &expected).unwrap_or(default);
        if number < min || number > max {
            self.fault(key, &number.to_string(), &expected);
        }
        number
    }

    /// One of some words; the first one where there is none.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> T {
        let default = choices[0].1;
        let Some(text) = self.filled(key) else { return default };
        match choices.iter().find(|(word, _)| *word == text) {
            Some((_, choice)) => *choice,
            None => {
                let words: Vec<_> = choices.iter().map(|(word, _)| *word).collect();
                self.fault(key, &text, &format!("one of {}", words.join(", ")));
                default
            }
        }
    }

    /// A path; a relative one counts from the file's folder.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.filled(key).map(|path| beside(&self.source.folder, &path))
    }
}

fn is_known(key: &str) -> bool {
    let numbered = |(before, behind): &(&str, &str)| {
        let number = key.strip_prefix(before).and_then(|rest| rest.strip_suffix(behind));
        number.is_some_and(|number| {
            number.parse::<u8>().is_ok_and(|n| (1..=SERVERS_MAX).contains(&n))
        })
    };
    KNOWN.contains(&key) || NUMBERED.iter().any(numbered)
}
