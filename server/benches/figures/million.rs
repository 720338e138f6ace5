//! Figures with a million messages: what one server reads, keeps in memory and needs to start, and
//! how three come back together after one of them, or all, went away.
//!
//! `FIGURES_MESSAGES` makes it fewer, to try something out; what is promised stays.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use holdfast_common::ids::ConversationId;
use holdfast_common::protocol::{History, Page, Request, Target};

use crate::cluster::Cluster;
use crate::failover::{self, register};
use crate::measures::{CHEAP, EVERYBODY, conversation, micros, name, registered, resumed, send};
use crate::server::Server;
use crate::swarm::Swarm;
use crate::{Figure, Histogram};

const ACCOUNTS: usize = 200;
const CONVERSATIONS: usize = 10_000;
/// Conversations of each account.
const EACH: usize = CONVERSATIONS / ACCOUNTS;
/// Requests of each account under way while filling.
const IN_FLIGHT: usize = 8;

/// People who write beside a server that comes back, and how much all of them write: an eighth of
/// what three servers can take here.
const WRITERS: usize = 20;
const WRITES_PER_S: u32 = 2_000;
/// They write for so long with nothing beside them, each round.
const CALM: Duration = Duration::from_secs(5);
/// A killed server stays away for so long, and so lacks some thousand messages.
const AWAY: Duration = Duration::from_secs(2);
/// How often it is asked whether it is back.
const GLANCE: Duration = Duration::from_millis(20);
/// A server that is not back by then never comes.
const PATIENCE: Duration = Duration::from_secs(300);

/// Times that one server is killed, is wiped, and that all are killed.
const KILLED: usize = 5;
const WIPED: usize = 2;
const ALL_KILLED: usize = 5;

fn messages() -> u64 {
    let fewer = std::env::var("FIGURES_MESSAGES").ok();
    fewer.map_or(1_000_000, |text| text.parse().expect("FIGURES_MESSAGES is a number"))
}

/// A million messages in 10,000 conversations: every account writes to the next fifty. Gives each
/// account's conversations.
fn fill(swarm: &mut Swarm) -> Vec<Vec<ConversationId>> {
    let mut convs: Vec<Vec<ConversationId>> = vec![Vec::new(); ACCOUNTS];
    for step in 1..=EACH {
        let replies = swarm.all(EVERYBODY, |at| {
            let number = (1 << 43) + (step * ACCOUNTS + at) as u64;
            send(Target::User(name((at + step) % ACCOUNTS)), number)
        });
        for (at, reply) in replies.expect("everybody can send").into_iter().enumerate() {
            convs[at].push(conversation(reply));
        }
    }
    let mut left = messages() - CONVERSATIONS as u64;
    let start = Instant::now();
    let (times, _) = swarm
        .drive(IN_FLIGHT, Duration::from_secs(600), |at| {
            left = left.checked_sub(1)?;
            let conv = convs[at][(left as usize / ACCOUNTS) % EACH];
            Some(send(Target::Conversation(conv), (1 << 44) + left))
        })
        .expect("connections that stay");
    println!("  {} messages after {:.0?}", times.count(), start.elapsed());
    convs
}

/// One server: reading, starting again, memory.
pub(crate) fn one(folder: &Path) -> Vec<Figure> {
    let mut server = Server::start(folder, CHEAP);
    let (mut swarm, tokens) = registered(server.address, ACCOUNTS);
    let convs = fill(&mut swarm);
    let filled = server.resident_bytes();
    drop(swarm);
    server.kill();
    let start = server.spawn();
    let mut swarm = resumed(server.address, &tokens, &None);
    let newest = |conv| Request::History(History { conv, page: Page::Newest, limit: Some(50) });
    let (mut cold, mut warm) = (Histogram::default(), Histogram::default());
    for round in 0..1_000 {
        let at = round * 7 % ACCOUNTS;
        let request = newest(convs[at][round / 11 % EACH]);
        cold.add(swarm.one(at, &request).expect("a connection").1);
        warm.add(swarm.one(at, &request).expect("a connection").1);
    }
    let resident = server.resident_bytes().max(filled) >> 20;
    vec![
        Figure {
            name: "newest 50 of a conversation, seen before",
            measured: format!("{} (p99 {})", micros(warm.median()), micros(warm.at(0.99))),
            promised: "1,000 us".to_owned(),
            kept: warm.median() < Duration::from_millis(1),
        },
        Figure {
            name: "newest 50 of a conversation, never seen",
            measured: format!("{} (p99 {})", micros(cold.median()), micros(cold.at(0.99))),
            promised: "5,000 us".to_owned(),
            kept: cold.at(0.99) < Duration::from_millis(5),
        },
        Figure {
            name: "start after kill -9 with a million messages",
            measured: format!("{start:.2?}"),
            promised: "3 s".to_owned(),
            kept: start < Duration::from_secs(3),
        },
        Figure {
            name: "resident memory with a million messages",
            measured: format!("{resident} MB (while filling {} MB)", filled >> 20),
            promised: "200 MB".to_owned(),
            kept: resident <= 200,
        },
    ]
}

/// Three servers, filled once, and those who write to them.
struct Million {
    cluster: Cluster,
    tokens: Vec<String>,
    convs: Vec<Vec<ConversationId>>,
    written: u64,
}

/// What was seen while a server came back, over all rounds.
#[derive(Default)]
struct Rejoins {
    took: Vec<Duration>,
    calm: Histogram,
    beside: Histogram,
    /// Resident memory at most: of the server that came back, and of the one that leads.
    joiner_bytes: u64,
    primary_bytes: u64,
}

/// Three servers: one comes back, killed or wiped, while people write; and all come back.
pub(crate) fn three(folder: &Path) -> Vec<Figure> {
    let cluster = Cluster::start(folder, 3);
    let (mut swarm, tokens) = registered(cluster.address(cluster.primary()), ACCOUNTS);
    let convs = fill(&mut swarm);
    drop(swarm);
    let mut million = Million { cluster, tokens, convs, written: 1 << 45 };
    let (mut killed, mut wiped) = (Rejoins::default(), Rejoins::default());
    for _ in 0..KILLED {
        million.rejoin(false, &mut killed);
    }
    for _ in 0..WIPED {
        million.rejoin(true, &mut wiped);
    }
    let mut starts = Vec::new();
    for round in 0..ALL_KILLED {
        let cluster = &mut million.cluster;
        cluster.kill(&[1, 2, 3]);
        let start = Instant::now();
        cluster.launch_all();
        register(cluster, &format!("after{round}"));
        starts.push(start.elapsed());
        cluster.until_in_sync(3);
    }
    let bound_mb = 200;
    let memory = [&killed, &wiped].map(|r| (r.joiner_bytes >> 20, r.primary_bytes >> 20));
    let most = memory.iter().map(|&(joiner, primary)| joiner.max(primary)).max();
    vec![
        failover::figure(
            "killed backup in sync again, a million messages",
            killed.took,
            5_000,
            5_000,
        ),
        beside("p99 of sends while it comes back", &killed.calm, &killed.beside),
        failover::figure(
            "wiped server in sync again, a million messages",
            wiped.took,
            60_000,
            60_000,
        ),
        beside("p99 of sends while the wiped one comes back", &wiped.calm, &wiped.beside),
        Figure {
            name: "resident memory meanwhile, who comes back and who leads",
            measured: format!(
                "{} and {} MB after a kill, {} and {} MB after a wipe",
                memory[0].0, memory[0].1, memory[1].0, memory[1].1
            ),
            promised: format!("{bound_mb} MB"),
            kept: most <= Some(bound_mb),
        },
        failover::figure(
            "first write after all were killed, a million messages",
            starts,
            5_000,
            5_000,
        ),
    ]
}

fn beside(name: &'static str, calm: &Histogram, beside: &Histogram) -> Figure {
    let (calm, busy) = (calm.at(0.99), beside.at(0.99));
    Figure {
        name,
        measured: format!(
            "{} (of {} sends; without: {})",
            micros(busy),
            beside.count(),
            micros(calm)
        ),
        promised: format!("3 x {}", micros(calm)),
        kept: busy <= calm * 3,
    }
}

impl Million {
    /// Kills a backup under steady writers, perhaps takes its disk, starts it, and waits until it
    /// is in sync.
    fn rejoin(&mut self, wipes: bool, seen: &mut Rejoins) {
        let (primary, backup) = (self.cluster.primary(), self.cluster.backups()[0]);
        let mut writers = resumed(self.cluster.address(primary), &self.tokens[..WRITERS], &None);
        let until = |time: Duration| {
            let end = Instant::now() + time;
            move || Instant::now() >= end
        };
        self.write(&mut writers, until(CALM), &mut seen.calm);
        self.cluster.kill(&[backup]);
        if wipes {
            self.cluster.wipe(backup);
        }
        self.write(&mut writers, until(AWAY), &mut Histogram::default());
        self.cluster.launch(backup);
        let start = Instant::now();
        let is_back = AtomicBool::new(false);
        let (joiner_bytes, primary_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let Million { cluster, convs, written, .. } = self;
        let cluster: &Cluster = cluster;
        let took = std::thread::scope(|scope| {
            let watching = scope.spawn(|| {
                while cluster.in_sync() != Some(3) {
                    assert!(start.elapsed() < PATIENCE, "server {backup} does not come back");
                    joiner_bytes.fetch_max(cluster.resident_bytes(backup), Ordering::Relaxed);
                    primary_bytes.fetch_max(cluster.resident_bytes(primary), Ordering::Relaxed);
                    std::thread::sleep(GLANCE);
                }
                is_back.store(true, Ordering::Relaxed);
                start.elapsed()
            });
            let over = || is_back.load(Ordering::Relaxed) || watching.is_finished();
            write(&mut writers, convs, written, over, &mut seen.beside);
            watching.join().expect("a server that comes back")
        });
        seen.took.push(took);
        seen.joiner_bytes = seen.joiner_bytes.max(joiner_bytes.into_inner());
        seen.primary_bytes = seen.primary_bytes.max(primary_bytes.into_inner());
        let what = if wipes { "wiped" } else { "killed" };
        println!("  server {backup}, {what}, in sync after {took:.2?}");
    }

    fn write(&mut self, writers: &mut Swarm, over: impl Fn() -> bool, times: &mut Histogram) {
        write(writers, &self.convs, &mut self.written, over, times);
    }
}

/// Steady writers, until it is over.
fn write(
    writers: &mut Swarm,
    convs: &[Vec<ConversationId>],
    written: &mut u64,
    over: impl Fn() -> bool,
    times: &mut Histogram,
) {
    let request = |at: usize| {
        *written += 1;
        send(Target::Conversation(convs[at][*written as usize % EACH]), *written)
    };
    writers.pace(WRITES_PER_S, over, times, request).expect("connections that stay");
}
