//! `holdfast-server`: settings, log, store, ports, then the loop.
//!
//! Owns: the order of a start, and what a person is told when it fails. Exit codes: 0 stopped, 1
//! fault, 2 configuration.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "the rim: this is where the environment is asked and a person is told"
)]

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use holdfast_common::config::{Config, Secret, ServerAddresses};
use holdfast_common::ids::{ServerId, hex};
use holdfast_common::logging::{self, Logging};
use holdfast_common::net::tls::{self, Identity};
use holdfast_server::entry::{ClusterId, Index};
use holdfast_server::journal;
use holdfast_server::node::effect::Input;
use holdfast_server::node::{Node, Start};
use holdfast_server::reactor::{self, Ended, Listeners, Parts};
use holdfast_server::store::{self, Salts, Store, StoreError};
use holdfast_server::work::{JournalWorker, TablesWorker};
use ring::rand::{SecureRandom, SystemRandom};

/// How often a server whose store is damaged asks whether the others go on without it, and how
/// many times before it ends.
const DAMAGED_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
const DAMAGED_TRIES: usize = 120;

/// One Holdfast server, in the foreground.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// This server's number in the settings.
    #[arg(long)]
    id: u8,
    /// The settings' file (else ENV_FILE, else .env where there is one).
    #[arg(long, value_name = "FILE")]
    env: Option<PathBuf>,
    /// Verify the store (checksums, rules, state hash) without starting.
    #[arg(long)]
    check: bool,
    /// Put a backup into this server's empty folder, without starting. (See `holdfast restore`.)
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    restore: Option<PathBuf>,
    /// The administrator's word that all other servers' disks are gone for good: this one goes on
    /// alone, with what it has. Asks for the first 8 digits of the cluster's id.
    #[arg(long, conflicts_with_all = ["check", "restore"])]
    force_survivor: bool,
}

/// Open files that clients do not get: a quarter is for connections that linger, the others are the
/// store's and HTTP's.
const FILES_KEPT: usize = 512;

/// What ends the program: the sentences for a person, and the exit code.
struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    fn configuration(text: impl Into<String>) -> Failure {
        Failure { code: 2, text: text.into() }
    }

    fn fault(error: impl std::fmt::Display) -> Failure {
        Failure { code: 1, text: error.to_string() }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Messages are nobody's but the server's: whatever it or a library makes is for its user alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, text }) => {
            if log::log_enabled!(log::Level::Error) {
                // Goes to the file and to stderr.
                log::error!("{text}");
            } else {
                eprintln!("holdfast-server: {text}");
            }
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = holdfast_common::config::from_system(arguments.env.as_deref())
        .map_err(|faults| Failure::configuration(faults.to_string()))?;
    let server = ServerId(arguments.id);
    let addresses = config.server(server).cloned().ok_or_else(|| {
        let known: Vec<_> = config.servers.iter().map(|s| s.server.to_string()).collect();
        let known = known.join(", ");
        Failure::configuration(format!("--id {server}: the settings know the servers {known}"))
    })?;
    let folder = config.server_folder(server);
    if arguments.check {
        return check(&folder);
    }
    if let Some(backup) = &arguments.restore {
        let index = store::restore(&folder, server, salts()?, backup).map_err(Failure::fault)?;
        println!("restored into {} up to entry {index}", folder.display());
        return Ok(());
    }
    serve(&config, &addresses, &folder, arguments.force_survivor)
}

fn check(folder: &Path) -> Result<(), Failure> {
    let checked = store::check(folder).map_err(Failure::fault)?;
    println!(
        "whole: last entry {}, applied {}, rows {}, hash {}",
        checked.last,
        checked.applied,
        checked.rows,
        hex(&checked.hash)
    );
    if checked.torn_bytes > 0 {
        println!(
            "behind the last entry stand {} bytes of a batch that was never finished, and nobody \
             was answered for: the next start cuts them off",
            checked.torn_bytes
        );
    }
    Ok(())
}

fn serve(
    config: &Config,
    addresses: &ServerAddresses,
    folder: &Path,
    force_survivor: bool,
) -> Result<(), Failure> {
    let server = addresses.server;
    let logging = start_log(config, server)?;
    log::info!(
        "starting version={} clients={} replicas={} folder={}",
        env!("CARGO_PKG_VERSION"),
        addresses.client(),
        addresses.replica(),
        folder.display()
    );
    if config.bcrypt_cost < 10 {
        log::warn!("BCRYPT_COST={} is for tests: passwords are guessed fast", config.bcrypt_cost);
    }
    let connections_max = connections_max(config);
    let secret = secret(config)?;
    let identity = Identity::new(&secret, server).map_err(Failure::fault)?;
    let tls = match &config.tls {
        None => identity.client_port_config().map_err(Failure::fault)?,
        Some((certificate, key)) => tls::own_certificate_config(certificate, key)
            .map_err(|error| Failure::configuration(error.to_string()))?,
    };
    let salts = salts()?;
    let options = match config.journal_keep_bytes {
        None => journal::Options::new(salts.journal),
        Some(_) => journal::Options::small(salts.journal),
    };
    let store = match store::open_sized(folder, server, salts, options) {
        Err(error @ StoreError::Damaged { .. }) if config.servers.len() > 1 => {
            return Err(leave_damaged(config, server, &secret, &error));
        }
        other => other.map_err(Failure::fault)?,
    };
    log::info!(
        "store opened life={} applied={} last={}",
        store.incarnation.life,
        store.applied.index,
        store.recovered.last()
    );
    if force_survivor {
        confirm_survivor(&store)?;
    }
    let socket = config.admin_socket(server);
    let listeners =
        Listeners::bind(addresses, config.http_bind, &socket).map_err(Failure::fault)?;
    log::info!("identity fingerprint={}", tls::fingerprint(&secret).map_err(Failure::fault)?);
    let (mut parts, lock) =
        assemble(config, server, store, listeners, tls, identity, connections_max)?;
    if force_survivor {
        parts.node.handle(Input::ForceSurvivor, reactor::now());
    }
    let ended = reactor::run(parts, &mut || {
        if let Err(error) = logging.reopen() {
            log::error!("the log cannot be opened again: {error}");
        }
    })
    .map_err(Failure::fault)?;
    end(ended, folder, lock)
}

/// Ends the program, or begins the life that follows.
fn end(ended: Ended, folder: &Path, lock: std::fs::File) -> Result<(), Failure> {
    drop(lock);
    match ended {
        Ended::Stopped => {
            log::info!("stopped");
            return Ok(());
        }
        Ended::Restart { sets_aside: false } => {}
        Ended::Restart { sets_aside: true } => {
            store::set_aside(folder).map_err(Failure::fault)?;
        }
        Ended::Yield { after } => yield_store(folder, after)?,
    }
    Err(begin_again())
}

/// Others lead another history: what this store has of its own is listed, then the store is set
/// aside. Whatever cannot be listed stays where it is.
fn yield_store(folder: &Path, after: Index) -> Result<(), Failure> {
    if let Some(listed) = store::list_diverged(folder, after).map_err(Failure::fault)? {
        log::error!(
            "this server yields to another history: {} operations that it acknowledged alone are \
             not in the cluster any more. They are listed in {}",
            listed.operations,
            listed.path.display()
        );
    }
    store::set_aside(folder).map_err(Failure::fault)
}

/// A store that cannot be believed counts for nothing in its cluster. It stays where it is until a
/// primary goes on without it, for it might be all that is left; then it is set aside, and an empty
/// one in its place joins.
fn leave_damaged(
    config: &Config,
    server: ServerId,
    secret: &Secret,
    error: &StoreError,
) -> Failure {
    log::error!("{error}");
    let fingerprint = match tls::fingerprint(secret) {
        Ok(fingerprint) if config.tls.is_none() => fingerprint,
        Ok(_) => return Failure::fault(error),
        Err(error) => return Failure::fault(error),
    };
    let others = config.servers.iter().filter(|each| each.server != server);
    let others: Vec<_> = others.map(ServerAddresses::client).collect();
    log::warn!("waits for a primary that goes on without this store, to join it on an empty one");
    for _ in 0..DAMAGED_TRIES {
        if reactor::goes_on_without(server, &others, fingerprint) {
            return match store::set_aside(&config.server_folder(server)) {
                Ok(()) => begin_again(),
                Err(error) => Failure::fault(error),
            };
        }
        std::thread::sleep(DAMAGED_EVERY);
    }
    Failure::fault(error)
}

/// Lets the administrator say it again, in a way that nobody says by mistake.
fn confirm_survivor(store: &Store) -> Result<(), Failure> {
    let cluster = store.recovered.cluster().ok_or_else(|| {
        Failure::fault("this server has no data of any cluster: it cannot survive one")
    })?;
    let digits = &cluster.to_string()[..8];
    eprintln!(
        "With --force-survivor this server goes on alone, from what is on its own disk\n\
         (entry {}). Say this only when the disks of all other servers are gone for good: what\n\
         they acknowledged and this one does not have is lost, and they may join again wiped\n\
         only.\n\
         The cluster's id is {cluster}. Type its first 8 digits to go on:",
        store.recovered.last()
    );
    let mut typed = String::new();
    std::io::stdin().read_line(&mut typed).map_err(Failure::fault)?;
    if typed.trim() != digits {
        return Err(Failure::configuration("not confirmed; nothing was changed"));
    }
    log::warn!(target: "audit", "administration forces this server to survive alone");
    Ok(())
}

/// Begins another life in the same process: the program is executed anew, and everything that this
/// life had open is closed by the system. Comes back only when that fails.
fn begin_again() -> Failure {
    use std::os::unix::process::CommandExt;
    log::info!("begins another life");
    let program = match std::env::current_exe() {
        Ok(program) if program.exists() => program,
        // Replaced while it ran, as an upgrade does: what has its name by now is the next life.
        Ok(_) | Err(_) => match std::env::args_os().next() {
            Some(name) => PathBuf::from(name),
            None => return Failure::fault("this program cannot be found to be started again"),
        },
    };
    // The administrator's word was for the life that is over.
    let arguments = std::env::args_os().skip(1).filter(|word| word != "--force-survivor");
    let error = std::process::Command::new(program).args(arguments).exec();
    Failure::fault(format!("this program cannot be started again: {error}"))
}

/// How many clients may be connected and how many more may linger: as many as the settings say, and
/// as the system has files for, for a store that cannot open a file is a fault that ends the
/// server.
fn connections_max(config: &Config) -> (usize, usize) {
    let files = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => usize::try_from(files).unwrap_or(usize::MAX),
        Err(error) => {
            log::warn!("the limit of open files stays as it is: {error}");
            return (config.connections_max, FILES_KEPT / 4);
        }
    };
    let kept = FILES_KEPT.min(files / 2);
    let most = files - kept;
    if most < config.connections_max {
        log::warn!(
            "the system allows {files} open files: {most} connections in place of \
             MAX_CONNECTIONS={}",
            config.connections_max
        );
    }
    (most.min(config.connections_max), kept / 4)
}

fn start_log(config: &Config, server: ServerId) -> Result<Logging, Failure> {
    // The log is the truth and a restart is the repair: nothing goes on after a broken invariant,
    // on whichever thread. The log's own hook says what it was before it calls this one.
    std::panic::set_hook(Box::new(|_panic| std::process::abort()));
    let file = config.log_file(server);
    logging::init(logging::Options {
        instance: format!("server{server}"),
        file: Some(file.clone()),
        // A pipe that nobody reads would stop the server, so what is not watched gets little.
        stderr: match std::io::stderr().is_terminal() {
            true => logging::Stderr::Everything,
            false => logging::Stderr::WarningsAndErrors,
        },
        levels: config.log_level.clone(),
    })
    .map_err(|error| Failure::fault(format!("the log {}: {error}", file.display())))
}

fn assemble(
    config: &Config,
    server: ServerId,
    store: Store,
    listeners: Listeners,
    tls: std::sync::Arc<rustls::ServerConfig>,
    identity: Identity,
    (connections_max, lingering_max): (usize, usize),
) -> Result<(Parts, std::fs::File), Failure> {
    let Store { journal, rows, incarnation, applied, recovered, beside, lock } = store;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hash_threads = cores.saturating_sub(1).max(1);
    let start = Start {
        incarnation,
        recovered,
        applied,
        has_set_aside: has_set_aside(config, server),
        fresh_cluster: ClusterId(random()?),
        seed: u64::from_le_bytes(random()?),
        connections_max,
        hash_threads,
        diverged: diverged(&config.server_folder(server)),
    };
    let parts = Parts {
        node: Node::begin(config, start, reactor::now()),
        listeners,
        tls,
        identity,
        others: config
            .servers
            .iter()
            .filter(|each| each.server != server)
            .map(|each| (each.server, each.replica()))
            .collect(),
        journal: match config.journal_keep_bytes {
            None => JournalWorker::new(journal),
            Some(bytes) => JournalWorker::keeping(journal, bytes),
        },
        next_store: Box::new(beside),
        tables: TablesWorker::new(Box::new(rows)),
        bcrypt_cost: config.bcrypt_cost,
        hash_threads,
        lingering_max,
    };
    Ok((parts, lock))
}

/// Whether a store of this server was set aside.
fn has_set_aside(config: &Config, server: ServerId) -> bool {
    let has = store::has_set_aside(&config.server_folder(server));
    if has {
        log::warn!(
            "a store of this server was set aside: until that is removed, this one joins others \
             and founds no cluster"
        );
    }
    has
}

/// How many operations of former stores nobody has taken care of.
fn diverged(folder: &Path) -> u64 {
    let count = store::count_diverged(folder).unwrap_or_else(|error| {
        log::warn!("the lists of what the cluster does not have cannot be read: {error}");
        0
    });
    if count > 0 {
        log::warn!("{count} operations that the cluster does not have are in lists in DATA_DIR");
    }
    count
}

/// The cluster's secret: from the settings, or one that was made for a cluster on this machine
/// alone.
fn secret(config: &Config) -> Result<Secret, Failure> {
    if let Some(secret) = &config.cluster_secret {
        return Ok(secret.clone());
    }
    let path = config.secret_file();
    store::secret(&path, &tls::fresh_secret(random()?)).map_err(Failure::fault)
}

fn salts() -> Result<Salts, Failure> {
    let store = u64::from_le_bytes(random()?);
    Ok(Salts { store, journal: u32::from_le_bytes(random()?) })
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Failure::fault("the system gives no random bytes"))?;
    Ok(bytes)
}
