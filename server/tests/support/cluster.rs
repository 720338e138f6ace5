//! Several built servers that form a cluster on loopback, to be killed, frozen, wiped and started
//! again by number. What they are doing is asked over chat/1 alone, as anybody could.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::line::Line;
use super::proxy::Proxy;
use super::server::{binary, free_port, resident_bytes_of};

/// Everything that a cluster does by itself is done within this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Settings that make people cheap.
const CHEAP: &str =
    "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\nLIMIT_SIGNIN_FAILS_PER_MIN=1000000\n";

struct Member {
    env: PathBuf,
    client: SocketAddr,
    replica: SocketAddr,
    /// A program that starts it, with that program's arguments.
    within: Vec<String>,
    process: Option<Child>,
    is_frozen: bool,
}

/// See the module's page.
pub(crate) struct Cluster {
    folder: PathBuf,
    /// Variables of every process's environment.
    pub(crate) environment: Vec<(String, String)>,
    members: BTreeMap<u8, Member>,
    /// By who dials whom; none where servers dial each other directly.
    proxies: BTreeMap<(u8, u8), Proxy>,
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

impl Cluster {
    /// `count` servers of one settings file, all started and in sync.
    pub(crate) fn start(folder: &Path, count: u8) -> Cluster {
        let mut cluster = Cluster::prepare(folder, count, false);
        cluster.launch_all();
        cluster.until_in_sync(count);
        cluster
    }

    /// The same, with a proxy on every way from a server to another one.
    pub(crate) fn start_wired(folder: &Path, count: u8) -> Cluster {
        let mut cluster = Cluster::prepare(folder, count, true);
        cluster.launch_all();
        cluster.until_in_sync(count);
        cluster
    }

    /// Settings; nothing runs yet.
    pub(crate) fn prepare(folder: &Path, count: u8, is_wired: bool) -> Cluster {
        let numbers = 1..=count;
        let ports: BTreeMap<u8, (u16, u16)> =
            numbers.clone().map(|number| (number, (free_port(), free_port()))).collect();
        let mut proxies = BTreeMap::new();
        let mut members = BTreeMap::new();
        for number in numbers.clone() {
            let mut text = format!("DATA_DIR=./data\n{CHEAP}");
            for other in numbers.clone() {
                let (client, mut replica) = ports[&other];
                if is_wired && other != number {
                    let proxy = Proxy::open(local(free_port()), local(replica));
                    replica = proxy.from.port();
                    proxies.insert((number, other), proxy);
                }
                text += &format!(
                    "SERVER{other}_IP=127.0.0.1\nCLIENT_PORT{other}={client}\n\
                     REPLICA_PORT{other}={replica}\n"
                );
            }
            let name = if is_wired { format!("{number}.env") } else { "settings.env".to_owned() };
            let env = folder.join(name);
            fs::write(&env, text).expect("a writable folder");
            let (client, replica) = (local(ports[&number].0), local(ports[&number].1));
            let (within, process) = (Vec::new(), None);
            let member = Member { env, client, replica, within, process, is_frozen: false };
            members.insert(number, member);
        }
        Cluster { folder: folder.to_owned(), environment: Vec::new(), members, proxies }
    }

    /// Every server's number.
    pub(crate) fn numbers(&self) -> Vec<u8> {
        self.members.keys().copied().collect()
    }

    /// The numbers of those that run and are not frozen.
    pub(crate) fn awake(&self) -> Vec<u8> {
        let awake = |(number, member): (&u8, &Member)| {
            (member.process.is_some() && !member.is_frozen).then_some(*number)
        };
        self.members.iter().filter_map(awake).collect()
    }

    /// Where clients find a server.
    pub(crate) fn address(&self, number: u8) -> SocketAddr {
        self.members[&number].client
    }

    /// Where other servers find it.
    pub(crate) fn replica(&self, number: u8) -> SocketAddr {
        self.members[&number].replica
    }

    /// A program that starts this server from now on, with that program's arguments.
    pub(crate) fn start_within(&mut self, number: u8, words: Vec<String>) {
        self.member(number).within = words;
    }

    /// The same of all.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.members.values().map(|member| member.client).collect()
    }

    /// The wire on which server `from` speaks to server `to`.
    pub(crate) fn wire(&self, from: u8, to: u8) -> &Proxy {
        &self.proxies[&(from, to)]
    }

    /// All wires, both ways, between a server and the others.
    pub(crate) fn wires_of(&self, number: u8) -> impl Iterator<Item = &Proxy> {
        let touches = move |((from, to), _): &(&(u8, u8), &Proxy)| *from == number || *to == number;
        self.proxies.iter().filter(touches).map(|(_, proxy)| proxy)
    }

    /// All wires.
    pub(crate) fn wires(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.values()
    }

    fn member(&mut self, number: u8) -> &mut Member {
        self.members.get_mut(&number).expect("a server of this cluster")
    }

    fn wires_to(&self, number: u8) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().filter(move |((_, to), _)| *to == number).map(|(_, proxy)| proxy)
    }

    /// Starts a server that does not run; waits for nothing.
    pub(crate) fn launch(&mut self, number: u8) {
        self.wires_to(number).for_each(Proxy::reopen);
        let child = self.command(number).spawn();
        let member = self.member(number);
        member.process = Some(child.expect("the server's binary is built"));
    }

    /// Starts a server by the administrator's word, and this on its stdin; waits for nothing.
    pub(crate) fn force(&mut self, number: u8, typed: &str) {
        self.wires_to(number).for_each(Proxy::reopen);
        let mut command = self.command(number);
        command.arg("--force-survivor").stdin(Stdio::piped());
        let mut child = command.spawn().expect("the server's binary is built");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(typed.as_bytes()).expect("it asks");
        self.member(number).process = Some(child);
    }

    fn command(&self, number: u8) -> Command {
        let mut options = fs::OpenOptions::new();
        let stderr = self.folder.join(format!("stderr{number}"));
        let stderr = options.append(true).create(true).open(stderr).expect("a writable folder");
        let member = &self.members[&number];
        assert!(member.process.is_none(), "server {number} runs already");
        let mut words: Vec<OsString> = member.within.iter().map(OsString::from).collect();
        words.push(binary().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--id", &number.to_string(), "--env"]).arg(&member.env);
        let variables = self.environment.iter().map(|(key, value)| (key, value));
        command.envs(variables).stdin(Stdio::null()).stderr(stderr);
        command
    }

    /// Starts every server that does not run.
    pub(crate) fn launch_all(&mut self) {
        for number in self.numbers() {
            if self.members[&number].process.is_none() {
                self.launch(number);
            }
        }
    }

    /// SIGTERM, and the end of the process awaited; gives how long that took.
    pub(crate) fn stop(&mut self, number: u8) -> Duration {
        let start = Instant::now();
        self.signal(number, "TERM");
        let process = self.member(number).process.take();
        let ended = process.expect("it runs").wait().expect("our own child can be awaited");
        assert!(ended.success(), "server {number} ended with {ended:?}");
        self.wires_to(number).for_each(Proxy::shut);
        start.elapsed()
    }

    /// SIGTERM at any moment, also when the server has hardly begun and does not listen for it yet.
    pub(crate) fn terminate(&mut self, number: u8) {
        use std::os::unix::process::ExitStatusExt;
        self.signal(number, "TERM");
        let process = self.member(number).process.take();
        let ended = process.expect("it runs").wait().expect("our own child can be awaited");
        let is_right = ended.success() || ended.signal() == Some(15);
        assert!(is_right, "server {number} ended with {ended:?}");
        self.wires_to(number).for_each(Proxy::shut);
    }

    /// `kill -9` to some servers at the same instant.
    pub(crate) fn kill(&mut self, numbers: &[u8]) {
        for number in numbers {
            if let Some(process) = &mut self.member(*number).process {
                process.kill().expect("our own child can be killed");
            }
        }
        for number in numbers {
            let member = self.member(*number);
            if let Some(mut process) = member.process.take() {
                process.wait().expect("our own child can be awaited");
            }
            member.is_frozen = false;
            self.wires_to(*number).for_each(Proxy::shut);
        }
    }

    fn signal(&self, number: u8, name: &str) {
        let process = self.members[&number].process.as_ref().expect("it runs");
        let sent = Command::new("kill").args(["-s", name, &process.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&mut self, number: u8) {
        self.signal(number, "STOP");
        self.member(number).is_frozen = true;
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self, number: u8) {
        self.signal(number, "CONT");
        self.member(number).is_frozen = false;
    }

    /// The same to all that are frozen.
    pub(crate) fn thaw_all(&mut self) {
        for number in self.numbers() {
            if self.members[&number].is_frozen {
                self.thaw(number);
            }
        }
    }

    /// Takes the disk of a server that does not run.
    pub(crate) fn wipe(&mut self, number: u8) {
        assert!(self.members[&number].process.is_none(), "server {number} runs");
        fs::remove_dir_all(self.data(number)).expect("a folder of ours");
    }

    /// A server's data folder.
    pub(crate) fn data(&self, number: u8) -> PathBuf {
        self.folder.join("data").join(format!("server{number}"))
    }

    /// Resident memory of a server in bytes; none of one that does not run.
    pub(crate) fn resident_bytes(&self, number: u8) -> u64 {
        let process = self.members[&number].process.as_ref();
        process.and_then(|process| resident_bytes_of(process.id())).unwrap_or(0)
    }

    /// What a server has said on stderr in all its lives.
    pub(crate) fn said(&self, number: u8) -> String {
        fs::read_to_string(self.folder.join(format!("stderr{number}"))).unwrap_or_default()
    }

    /// Waits for a server to end by itself; gives its exit code.
    pub(crate) fn ended(&mut self, number: u8) -> Option<i32> {
        let start = Instant::now();
        loop {
            let process = self.member(number).process.as_mut().expect("it runs");
            if let Some(ended) = process.try_wait().expect("our own child can be awaited") {
                self.member(number).process = None;
                self.wires_to(number).for_each(Proxy::shut);
                return ended.code();
            }
            assert!(start.elapsed() < PATIENCE, "server {number} does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The cluster's secret, which it has made itself.
    pub(crate) fn secret(&self) -> String {
        let path = self.folder.join("data").join("cluster.secret");
        fs::read_to_string(path).expect("a cluster that has started").trim().to_owned()
    }

    /// What a server has logged in all its lives.
    pub(crate) fn logged(&self, number: u8) -> String {
        let logs = self.folder.join("data").join("logs");
        fs::read_to_string(logs.join(format!("server{number}.log"))).unwrap_or_default()
    }

    /// What a server says of the cluster; nothing if it does not answer.
    pub(crate) fn status(&self, number: u8) -> Option<Value> {
        Line::dial(self.address(number), Duration::from_secs(1))?.call("status", &json!({}))?.ok()
    }

    /// Who leads, by its own word, and how many servers hold each new write. One that was left
    /// behind and does not know it yet has the lower ballot.
    fn leader(&self) -> Option<(u8, u8)> {
        let leads = |number| {
            let status = self.status(number).filter(|status| status["role"] == "primary")?;
            let ballot = status["ballot"].as_str()?.split('.').map(str::parse::<u64>);
            let copies = u8::try_from(status["in_sync"].as_u64()?).ok()?;
            Some((ballot.collect::<Result<Vec<_>, _>>().ok()?, (number, copies)))
        };
        self.awake().into_iter().filter_map(leads).max().map(|(_, leader)| leader)
    }

    /// How many servers hold each new write, by the one that leads; nothing where nobody does.
    pub(crate) fn in_sync(&self) -> Option<u8> {
        self.leader().map(|(_, copies)| copies)
    }

    /// How many say of themselves that they are in the view. The one that leads may still count a
    /// life that has just ended, while the next hardly begins.
    fn members(&self) -> usize {
        let awake = self.awake().into_iter();
        let roles = awake.filter_map(|number| Some(self.status(number)?["role"].clone()));
        roles.filter(|role| role == "primary" || role == "backup").count()
    }

    /// Waits until writes are taken, with so many copies of each; gives how long that took.
    pub(crate) fn until_in_sync(&mut self, copies: u8) -> Duration {
        let start = Instant::now();
        while self.in_sync() != Some(copies) || self.members() < usize::from(copies) {
            self.must_run();
            assert!(
                start.elapsed() < PATIENCE,
                "not {copies} copies, but: {:#?}",
                self.awake().into_iter().map(|number| self.status(number)).collect::<Vec<_>>()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        start.elapsed()
    }

    /// The server that leads, as it says itself.
    pub(crate) fn primary(&self) -> u8 {
        let start = Instant::now();
        loop {
            if let Some((number, _)) = self.leader() {
                return number;
            }
            assert!(start.elapsed() < PATIENCE, "nobody leads");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Those that are awake and do not lead.
    pub(crate) fn backups(&self) -> Vec<u8> {
        let primary = self.primary();
        self.awake().into_iter().filter(|number| *number != primary).collect()
    }

    /// Fails if a server has ended by itself.
    pub(crate) fn must_run(&mut self) {
        for (number, member) in &mut self.members {
            let ended = member.process.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "server {number} ended with {ended:?}");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let numbers = self.numbers();
        self.kill(&numbers);
    }
}
