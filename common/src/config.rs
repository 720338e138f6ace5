//! Settings: `.env` and the process environment, as one typed [`Config`].
//!
//! Owns: every key's name, meaning, default and bounds. Driven by: every program at its start,
//! through a look-up function, so that tests never touch the environment. Invariants: the
//! environment wins over the file; all faults are reported at once, each with key, value and what
//! is expected; a `Config` that exists is whole and consistent. Does not: read the environment or a
//! file by itself ([`from_system`] does, at the rim).
//!
//! Two keys exist for tests alone and are refused in a file: `TEST_FOREIGN_LOOPBACK`, an address of
//! this machine (say 127.0.0.9) that counts as another machine's, so that the rules for plain text
//! can be tried without one; and `TEST_JOURNAL_KEEP_BYTES`, how much of the journal stays for
//! servers that were away, so that they need a snapshot after a few messages.

mod file;
mod keys;
mod system;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::ids::ServerId;
pub use file::parse_file;
use keys::Keys;
pub use keys::{Fault, Faults};
pub use system::{SystemError, from_system};

/// Where the settings come from.
pub struct Source<'a> {
    /// The pairs of the file, in its order; none without a file.
    pub file: Vec<(String, String)>,
    /// The folder that relative paths count from: the file's.
    pub folder: PathBuf,
    /// The process environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source {{ folder: {:?}, .. }}", self.folder)
    }
}

/// A text that must not be printed: it prints as dots, and its memory is wiped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: String) -> Secret {
        Secret(Zeroizing::new(text))
    }

    /// The text itself: whoever calls this keeps it out of logs.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What may happen without a majority; see the design's page on replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SurvivorPolicy {
    /// Only where the others are proven dead.
    Proof,
    /// Also after ten seconds of silence.
    Timeout,
    /// Never.
    Majority,
}

/// From where clients may speak without encryption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plaintext {
    /// From this machine.
    Loopback,
    /// From anywhere.
    Allow,
    /// From nowhere.
    Never,
}

/// Who may add accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// Anybody.
    Open,
    /// An administrator.
    Closed,
}

/// One server's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerAddresses {
    /// Its number.
    pub server: ServerId,
    /// Its machine.
    pub ip: IpAddr,
    /// Its port for other servers.
    pub replica_port: u16,
    /// Its port for clients.
    pub client_port: u16,
    /// Its port for health and metrics, if it has one.
    pub http_port: Option<u16>,
}

impl ServerAddresses {
    /// Where clients go.
    pub fn client(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.client_port)
    }

    /// Where other servers go.
    pub fn replica(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.replica_port)
    }
}

/// Which messages go to the log: a level for all, and others by target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    /// For whatever is not named below.
    pub default: log::LevelFilter,
    /// By target, which a module path begins with.
    pub targets: Vec<(String, log::LevelFilter)>,
}

/// All settings. Times are in milliseconds.
#[derive(Debug, Clone)]
pub struct Config {
    /// By number, dense from 1.
    pub servers: Vec<ServerAddresses>,
    /// Holds a folder for each server that runs here, and the logs.
    pub data_dir: PathBuf,
    /// Shared by all servers; none only while all addresses are loopback.
    pub cluster_secret: Option<Secret>,
    /// Where health and metrics listen.
    pub http_bind: IpAddr,
    /// What may happen without a majority.
    pub survivor_policy: SurvivorPolicy,
    /// Between two signs of life of a primary.
    pub heartbeat_ms: u64,
    /// A primary that is silent for one to two times this is replaced.
    pub election_ms: u64,
    /// A backup that is silent for this leaves the in-sync set.
    pub remove_ms: u64,
    /// bcrypt's cost.
    pub bcrypt_cost: u32,
    /// From where clients may speak without encryption.
    pub client_plaintext: Plaintext,
    /// Own certificate chain for clients, and its key: PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// What goes to the log.
    pub log_level: LogLevels,
    /// Sends a second an account.
    pub sends_per_s: u32,
    /// Failed sign-ins a minute a name.
    pub sign_in_fails_per_min: u32,
    /// Client connections at once.
    pub connections_max: usize,
    /// Who may add accounts.
    pub registration: Registration,
    /// For tests: an address of this machine that counts as another machine's.
    pub foreign_loopback: Option<IpAddr>,
    /// For tests: so much of the journal stays for servers that were away, in small segments.
    pub journal_keep_bytes: Option<u64>,
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// [`Faults`]: all of them.
    pub fn load(source: &Source<'_>) -> Result<Config, Faults> {
        let mut keys = Keys::new(source);
        let http_bind = keys.ip("HTTP_BIND").unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let servers = servers(&mut keys, http_bind);
        let all_loopback = servers.iter().all(|server| server.ip.is_loopback());
        let config = Config {
            data_dir: keys.path("DATA_DIR").unwrap_or_else(|| source.folder.join("data")),
            cluster_secret: secret(&mut keys, all_loopback),
            http_bind,
            survivor_policy: keys.choice(
                "SURVIVOR_POLICY",
                &[
                    ("proof", SurvivorPolicy::Proof),
                    ("timeout", SurvivorPolicy::Timeout),
                    ("majority", SurvivorPolicy::Majority),
                ],
            ),
            heartbeat_ms: keys.number("HEARTBEAT_MS", 50, 5, 10_000),
            election_ms: keys.number("ELECTION_MS", 300, 20, 60_000),
            remove_ms: keys.number("REMOVE_MS", 1_000, 50, 600_000),
            bcrypt_cost: keys.number("BCRYPT_COST", 12, 4, 15),
            client_plaintext: keys.choice(
                "CLIENT_PLAINTEXT",
                &[
                    ("loopback", Plaintext::Loopback),
                    ("allow", Plaintext::Allow),
                    ("never", Plaintext::Never),
                ],
            ),
            tls: tls(&mut keys),
            log_level: levels(&mut keys),
            sends_per_s: keys.number("LIMIT_SENDS_PER_S", 20, 1, 1_000_000),
            sign_in_fails_per_min: keys.number("LIMIT_SIGNIN_FAILS_PER_MIN", 5, 1, 1_000_000),
            connections_max: keys.number("MAX_CONNECTIONS", 20_000, 1, 1_000_000),
            registration: keys.choice(
                "REGISTRATION",
                &[("open", Registration::Open), ("closed", Registration::Closed)],
            ),
            foreign_loopback: keys.ip("TEST_FOREIGN_LOOPBACK"),
            journal_keep_bytes: keys.parsed("TEST_JOURNAL_KEEP_BYTES", "a number of bytes"),
            servers,
        };
        if config.heartbeat_ms * 2 > config.election_ms {
            let value = config.heartbeat_ms.to_string();
            keys.fault("HEARTBEAT_MS", &value, "at most half of ELECTION_MS");
        }
        if config.remove_ms < config.election_ms {
            let value = config.remove_ms.to_string();
            keys.fault("REMOVE_MS", &value, "at least ELECTION_MS");
        }
        keys.finish()?;
        Ok(config)
    }

    /// The addresses of one server.
    pub fn server(&self, server: ServerId) -> Option<&ServerAddresses> {
        self.servers.iter().find(|addresses| addresses.server == server)
    }

    /// The folder of one server.
    pub fn server_folder(&self, server: ServerId) -> PathBuf {
        self.data_dir.join(format!("server{server}"))
    }

    /// The log file of one server.
    pub fn log_file(&self, server: ServerId) -> PathBuf {
        self.data_dir.join("logs").join(format!("server{server}.log"))
    }

    /// The administration socket of one server.
    pub fn admin_socket(&self, server: ServerId) -> PathBuf {
        self.server_folder(server).join("admin.sock")
    }

    /// Where the secret is kept that was made because none was given.
    pub fn secret_file(&self) -> PathBuf {
        self.data_dir.join("cluster.secret")
    }
}

fn servers(keys: &mut Keys<'_>, http_bind: IpAddr) -> Vec<ServerAddresses> {
    let count = keys.server_count();
    if !matches!(count, 1 | 3 | 5 | 7) {
        let expected = "1, 3, 5 or 7 servers, numbered from 1 without a gap";
        keys.fault("SERVER1_IP", &format!("{count} servers"), expected);
    }
    let mut servers: Vec<ServerAddresses> = Vec::new();
    let mut ports: BTreeMap<(IpAddr, u16), String> = BTreeMap::new();
    for number in 1..=count {
        let ip = keys.required_ip(&format!("SERVER{number}_IP"));
        let replica = keys.required_port(&format!("REPLICA_PORT{number}"));
        let client = keys.required_port(&format!("CLIENT_PORT{number}"));
        let http = keys.port(&format!("HTTP_PORT{number}"));
        let named = [
            ("REPLICA_PORT", ip, replica),
            ("CLIENT_PORT", ip, client),
            ("HTTP_PORT", Some(http_bind), http),
        ];
        for (name, ip, port) in named {
            let (Some(ip), Some(port)) = (ip, port) else { continue };
            let key = format!("{name}{number}");
            if let Some(other) = ports.insert((ip, port), key.clone()) {
                let expected = format!("a port of its own: {other} has the same on {ip}");
                keys.fault(&key, &port.to_string(), &expected);
            }
        }
        if let (Some(ip), Some(replica_port), Some(client_port)) = (ip, replica, client) {
            let server = ServerId(number);
            let http_port = http;
            servers.push(ServerAddresses { server, ip, replica_port, client_port, http_port });
        }
    }
    servers
}

fn secret(keys: &mut Keys<'_>, all_loopback: bool) -> Option<Secret> {
    let secret = keys.text(keys::SECRET).filter(|secret| !secret.is_empty());
    match &secret {
        None if !all_loopback => keys.fault(
            keys::SECRET,
            "(empty)",
            "a secret of at least 32 characters: an address is not loopback \
             (openssl rand -hex 32 prints a fresh one)",
        ),
        Some(secret) if secret.chars().count() < 32 => {
            keys.fault(keys::SECRET, "(too short)", "at least 32 characters");
        }
        Some(_) | None => {}
    }
    secret.map(Secret::new)
}

fn tls(keys: &mut Keys<'_>) -> Option<(PathBuf, PathBuf)> {
    match (keys.path("TLS_CERT"), keys.path("TLS_KEY")) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            keys.fault("TLS_KEY", "(empty)", "the key's file, as TLS_CERT is given");
            None
        }
        (None, Some(_)) => {
            keys.fault("TLS_CERT", "(empty)", "the certificate's file, as TLS_KEY is given");
            None
        }
    }
}

fn levels(keys: &mut Keys<'_>) -> LogLevels {
    let text = keys.text("LOG_LEVEL").unwrap_or_default();
    let mut levels = LogLevels { default: log::LevelFilter::Info, targets: Vec::new() };
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (target, level) = match part.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, part),
        };
        match (target, level.parse()) {
            (Some(target), Ok(level)) => levels.targets.push((target.to_owned(), level)),
            (None, Ok(level)) => levels.default = level,
            (_, Err(_)) => {
                let expected = "off, error, warn, info, debug or trace, for all or as target=level";
                keys.fault("LOG_LEVEL", part, expected);
            }
        }
    }
    levels
}

/// The path `path` as seen from `folder`, without the `.` of `./data`.
fn beside(folder: &Path, path: &str) -> PathBuf {
    folder.join(path).components().collect()
}

#[cfg(test)]
mod tests;
