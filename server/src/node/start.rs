//! A node made of the settings and of what its store remembers: the same for a process and for a
//! simulator.
//!
//! Owns: which setting goes where. Driven by: `main` and the simulator, once a life. Invariants:
//! what must be equal on all servers is told to each other one; all randomness of the life is given
//! to it here. Does not: open the store, or draw that randomness.

use holdfast_common::config::{Config, SurvivorPolicy};
use holdfast_common::ids::{Cursor, ServerId};

use super::effect::Now;
use super::{Node, Settings, Shared};
use crate::entry::{ClusterId, Incarnation};
use crate::replication::{self, Policy, Recovered, Replication};

/// Committed entries kept in memory for servers that are a little behind.
const MEMORY_ENTRIES: usize = 10_000;
/// Where tests keep a short journal, so that it is asked for.
const MEMORY_ENTRIES_IN_TESTS: usize = 100;

/// What a start has found, and what was drawn for this life.
#[derive(Debug)]
pub struct Start {
    /// This life, durable already.
    pub incarnation: Incarnation,
    /// What journal and tables remember.
    pub recovered: Recovered,
    /// Where the tables stand.
    pub applied: Cursor,
    /// Whether an older store was set aside: then this one founds no cluster.
    pub has_set_aside: bool,
    /// The id that a new cluster would get here: random.
    pub fresh_cluster: ClusterId,
    /// Spreads this life's timers: random.
    pub seed: u64,
    /// Client connections at once: the setting, or what the system has files for.
    pub connections_max: usize,
    /// Hash threads.
    pub hash_threads: usize,
    /// Operations of former stores that the cluster does not have, in lists that are still there.
    pub diverged: u64,
}

impl Node {
    /// A node that begins a life.
    pub fn begin(config: &Config, start: Start, now: Now) -> Node {
        let server = start.incarnation.server;
        let replication_settings = replication::Settings {
            servers: config.servers.iter().map(|each| each.server).collect(),
            policy: match config.survivor_policy {
                SurvivorPolicy::Proof => Policy::Proof,
                SurvivorPolicy::Timeout => Policy::Timeout,
                SurvivorPolicy::Majority => Policy::Majority,
            },
            heartbeat_ms: config.heartbeat_ms,
            election_ms: config.election_ms,
            remove_ms: config.remove_ms,
            has_set_aside: start.has_set_aside,
            memory_entries: match config.journal_keep_bytes {
                None => MEMORY_ENTRIES,
                Some(_) => MEMORY_ENTRIES_IN_TESTS,
            },
            seed: start.seed,
            fresh_cluster: start.fresh_cluster,
            rules: replication::Rules::default(),
        };
        let at = replication::Now { at: now.moment(), wall_ms: now.wall_ms };
        let settings = settings(config, server, &start);
        let Start { incarnation, recovered, .. } = start;
        let replication = Replication::start(incarnation, replication_settings, recovered, at);
        Node::new(settings, replication, start.applied, now)
    }
}

fn settings(config: &Config, server: ServerId, start: &Start) -> Settings {
    Settings {
        server,
        servers: config.servers.iter().map(|each| (each.server, each.client())).collect(),
        plaintext: config.client_plaintext,
        foreign_loopback: config.foreign_loopback,
        registration: config.registration,
        sends_per_s: config.sends_per_s,
        sign_in_fails_per_min: config.sign_in_fails_per_min,
        connections_max: start.connections_max,
        shared: shared(config),
        hash_threads: start.hash_threads,
        diverged: start.diverged,
    }
}

/// What must be equal on all servers.
fn shared(config: &Config) -> Shared {
    let pair = |key: &str, value: String| (key.to_owned(), value);
    Shared(vec![
        pair("servers", config.servers.len().to_string()),
        pair("SURVIVOR_POLICY", format!("{:?}", config.survivor_policy).to_lowercase()),
        pair("HEARTBEAT_MS", config.heartbeat_ms.to_string()),
        pair("ELECTION_MS", config.election_ms.to_string()),
        pair("REMOVE_MS", config.remove_ms.to_string()),
    ])
}
