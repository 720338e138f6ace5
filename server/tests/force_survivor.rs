//! `--force-survivor` on the built server: the administrator's word when all other disks are gone.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::client::{Client, fresh_txn};
use support::server::{free_port, greets};

const PATIENCE: Duration = Duration::from_secs(30);

/// The client ports of three servers whose settings are in `folder`.
fn settings(folder: &Path) -> Vec<SocketAddr> {
    let mut text = "DATA_DIR=./data\nBCRYPT_COST=4\n".to_owned();
    let mut clients = Vec::new();
    for number in 1..=3 {
        let (replica, client) = (free_port(), free_port());
        text.push_str(&format!(
            "SERVER{number}_IP=127.0.0.1\nREPLICA_PORT{number}={replica}\n\
             CLIENT_PORT{number}={client}\n"
        ));
        clients.push(SocketAddr::from(([127, 0, 0, 1], client)));
    }
    fs::write(folder.join("env"), text).expect("a writable folder");
    clients
}

fn command(folder: &Path, number: usize) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-server"));
    command.args(["--id", &number.to_string(), "--env"]).arg(folder.join("env"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// A process that dies with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().expect("our own child can be killed");
        self.0.wait().expect("our own child can be awaited");
    }
}

fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn copies(address: SocketAddr) -> u64 {
    if !greets(address) {
        return 0;
    }
    let status = Client::connect(address).ok("status", json!({}));
    let is_written_to = status["writable"] == true;
    status["in_sync"].as_u64().filter(|_| is_written_to).unwrap_or(0)
}

/// Starts server 1 with the word and `typed` on its stdin, and waits for its end.
fn forced(folder: &Path, typed: &str) -> Output {
    let mut command = command(folder, 1);
    command.arg("--force-survivor").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the server's binary is built");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(typed.as_bytes()).expect("it asks");
    drop(stdin);
    child.wait_with_output().expect("our own child can be awaited")
}

#[test]
fn the_last_disk_serves_by_the_administrators_word_and_by_nothing_less() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let clients = settings(folder);
    let servers: Vec<_> = (1..=3).map(|n| Process(command(folder, n).spawn().unwrap())).collect();
    until("three copies", || copies(clients[0]) == 3);
    let (mut ada, token) = Client::register(clients[0], "ada");
    let txn = fresh_txn();
    let sent = ada.ok("send", json!({"to": "ada", "text": "still here", "txn": txn}));
    assert_eq!(sent["copies"], 3);
    let cluster = Client::connect(clients[0]).ok("hello", json!({"proto": [1], "client": "t/1"}));
    let digits = cluster["cluster"].as_str().unwrap()[..8].to_owned();
    drop(servers);
    for lost in ["server2", "server3"] {
        fs::remove_dir_all(folder.join("data").join(lost)).unwrap();
    }

    let refused = forced(folder, "00000000\n");
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains(&digits) && said.contains("nothing was changed"), "{said}");

    let mut forced = command(folder, 1);
    let mut forced = Process(forced.arg("--force-survivor").stdin(Stdio::piped()).spawn().unwrap());
    forced.0.stdin.take().unwrap().write_all(format!("{digits}\n").as_bytes()).unwrap();
    until("one copy", || copies(clients[0]) == 1);
    let mut ada = Client::resume(clients[0], &token, None);
    let again = ada.ok("send", json!({"to": "ada", "text": "still here", "txn": txn}));
    assert_eq!((&again["dup"], &again["seq"]), (&json!(true), &json!(1)));

    // The wiped ones join, and the word is not needed a second time.
    let _joined: Vec<_> = (2..=3).map(|n| Process(command(folder, n).spawn().unwrap())).collect();
    until("three copies again", || copies(clients[0]) == 3);
}
