//! The built server as a process of its own, in a folder of its own, on ports picked free. It dies
//! with the test.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A server is up within this, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// And down within this.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// One server of a cluster of one.
pub(crate) struct Server {
    /// Its settings' file.
    pub(crate) env: PathBuf,
    /// Its client port.
    pub(crate) address: SocketAddr,
    /// Its port for health and metrics.
    pub(crate) http: SocketAddr,
    /// Its data folder.
    pub(crate) folder: PathBuf,
    /// Its log.
    pub(crate) log: PathBuf,
    /// What it says on stderr, over all lives.
    pub(crate) stderr: PathBuf,
    /// Variables of its environment.
    pub(crate) environment: Vec<(String, String)>,
    /// A program that starts it, with that program's arguments.
    pub(crate) within: Vec<String>,
    process: Option<Child>,
}

/// Ports below those that systems hand out by themselves, so that no connection of another test
/// takes one while a server is between two lives.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A port that nobody has just now, and that this process does not give out twice.
pub(crate) fn free_port() -> u16 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(PORTS.end - PORTS.start);
    loop {
        // Processes begin far apart: tests run side by side.
        let step = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(step < count, "all ports are taken");
        let place = (std::process::id().wrapping_mul(97) + step) % count;
        let port = PORTS.start + u16::try_from(place).expect("the range is smaller than that");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The built server: cargo's, else, in tests of another package, the one beside those tests.
pub(crate) fn binary() -> PathBuf {
    if let Some(binary) = option_env!("CARGO_BIN_EXE_holdfast-server") {
        return PathBuf::from(binary);
    }
    let own = std::env::current_exe().expect("a test has a file");
    let folder = own.ancestors().nth(2).expect("TARGET/PROFILE/deps/TEST");
    folder.join("holdfast-server")
}

impl Server {
    /// Settings in `folder` with `more` lines; nothing runs yet.
    pub(crate) fn prepare(folder: &Path, more: &str) -> Server {
        let (client, replica, http) = (free_port(), free_port(), free_port());
        let env = folder.join("settings.env");
        let text = format!(
            "SERVER1_IP=127.0.0.1\nREPLICA_PORT1={replica}\nCLIENT_PORT1={client}\n\
             HTTP_PORT1={http}\nDATA_DIR=./data\n{more}"
        );
        fs::write(&env, text).expect("a writable folder");
        let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Server {
            env,
            address: local(client),
            http: local(http),
            folder: folder.join("data").join("server1"),
            log: folder.join("data").join("logs").join("server1.log"),
            stderr: folder.join("stderr"),
            environment: Vec::new(),
            within: Vec::new(),
            process: None,
        }
    }

    /// The same, and a server that greets.
    pub(crate) fn start(folder: &Path, more: &str) -> Server {
        let mut server = Server::prepare(folder, more);
        server.spawn();
        server
    }

    /// How the server is started.
    pub(crate) fn command(&self) -> Command {
        let mut words: Vec<OsString> = self.within.iter().map(OsString::from).collect();
        words.push(binary().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(["--id", "1", "--env"]).arg(&self.env).stdin(Stdio::null());
        for (key, value) in &self.environment {
            command.env(key, value);
        }
        command
    }

    /// Starts the process without waiting for anything.
    pub(crate) fn launch(&mut self) {
        let mut options = fs::OpenOptions::new();
        let stderr = options.append(true).create(true).open(&self.stderr).expect("a file");
        let child = self.command().stderr(stderr).spawn();
        self.process = Some(child.expect("the server's binary is built"));
    }

    /// Runs it with more arguments to its end: its exit code, what it said on stdout and on stderr.
    pub(crate) fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the server's binary is built");
        // What it says fits into a pipe.
        let status = end_of(&mut child);
        let mut said = (String::new(), String::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        stdout.expect("piped").read_to_string(&mut said.0).expect("people read this");
        stderr.expect("piped").read_to_string(&mut said.1).expect("people read this");
        let status = status.unwrap_or_else(|| panic!("{arguments:?} does not end: {}", said.1));
        (status.code(), said.0, said.1)
    }

    /// Starts the process (again); returns once it greets, and how long that took.
    pub(crate) fn spawn(&mut self) -> Duration {
        let start = Instant::now();
        self.launch();
        while !greets(self.address) {
            let ended = self.process.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "the server ended with {ended:?}: {}", self.said());
            assert!(start.elapsed() < PATIENCE, "the server does not answer");
            std::thread::sleep(Duration::from_millis(2));
        }
        start.elapsed()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").id()
    }

    /// What it has said on stderr.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// What its log says.
    pub(crate) fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The answer to `GET path` on its HTTP port, headers and all.
    pub(crate) fn http_get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.http).expect("a server that listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("a connection");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// `kill -9`, and the end of the process awaited.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be awaited");
        }
    }

    /// SIGTERM; gives how it ended.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Waits for the process to end by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut child = self.process.take().expect("the server runs");
        end_of(&mut child).unwrap_or_else(|| panic!("the server does not end: {}", self.said()))
    }

    fn proc_file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid()))
            .expect("Linux tells of processes")
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        resident_bytes_of(self.pid()).expect("it runs")
    }

    /// Processor time of the poll loop alone: it is the first thread.
    pub(crate) fn loop_time(&self) -> Duration {
        let stat = self.proc_file("schedstat");
        let nanoseconds = stat.split_whitespace().next().and_then(|ns| ns.parse().ok());
        Duration::from_nanos(nanoseconds.expect("Linux counts each thread's time"))
    }

    /// Processor time used so far, all threads.
    pub(crate) fn processor_time(&self) -> Duration {
        let stat = self.proc_file("stat");
        let behind = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<&str> = behind.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|f| f.parse::<u64>().unwrap_or(0)).sum();
        // USER_HZ is 100 on every Linux that Rust runs on.
        Duration::from_millis(ticks * 10)
    }
}

#[expect(clippy::print_stderr, reason = "why a test failed is often said by the server")]
impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the server said: {}\nand logged: {}", self.said(), self.logged());
        }
        self.kill();
    }
}

/// Waits for a process to end; one that does not is ended, and that is nothing.
fn end_of(child: &mut Child) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("our own child can be awaited") {
            return Some(status);
        }
        if start.elapsed() > END_PATIENCE {
            child.kill().expect("our own child can be killed");
            child.wait().expect("our own child can be awaited");
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Resident memory of a process in bytes; nothing once it has ended.
pub(crate) fn resident_bytes_of(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// Whether a server answers `hello` at `address`.
pub(crate) fn greets(address: SocketAddr) -> bool {
    let greet = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(
            b"{\"id\":1,\"op\":\"hello\",\"d\":{\"proto\":[1],\"client\":\"test/1\"}}\n",
        )?;
        stream.read(&mut [0; 1])
    };
    greet().is_ok_and(|read| read == 1)
}
