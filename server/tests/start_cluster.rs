//! `start_cluster.sh` as a person uses it, with the built server and terminal client.
//!
//! Each test has a copy of the script in a folder of its own, whose name has a space, with a
//! stand-in for `cargo`: the programs are built already.

#![expect(clippy::disallowed_methods, reason = "a test of processes opens ports and waits")]

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::server::free_port;
use tempfile::TempDir;

const WRITABLE: &str = "the test's own folder can be written";

/// A folder with the script, settings and programs. Stops what runs there when it is dropped.
struct House {
    folder: PathBuf,
    client_port: u16,
    _temporary: TempDir,
}

impl House {
    fn new() -> House {
        let temporary = tempfile::tempdir().expect(WRITABLE);
        let folder = temporary.path().join("my house");
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server/ has a parent");
        for inner in ["target/release", "tools"] {
            fs::create_dir_all(folder.join(inner)).expect(WRITABLE);
        }
        let script = folder.join("start_cluster.sh");
        fs::copy(top.join("start_cluster.sh"), &script).expect(WRITABLE);
        let programs = [
            ("holdfast-server", env!("CARGO_BIN_EXE_holdfast-server")),
            ("holdfast", env!("CARGO_BIN_EXE_holdfast")),
        ];
        for (name, program) in programs {
            symlink(program, folder.join("target/release").join(name)).expect(WRITABLE);
        }
        let cargo = folder.join("tools/cargo");
        fs::write(&cargo, "#!/bin/sh\nexit 0\n").expect(WRITABLE);
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect(WRITABLE);
        let client_port = free_port();
        let house = House { folder, client_port, _temporary: temporary };
        house.settings("");
        house
    }

    fn settings(&self, more: &str) {
        let (client, replica, http) = (self.client_port, free_port(), free_port());
        let text = format!(
            "SERVER1_IP=127.0.0.1  # this machine\nexport REPLICA_PORT1={replica}\n\
             CLIENT_PORT1='{client}'\nHTTP_PORT1={http}\nDATA_DIR=\"./my data\"\n{more}"
        );
        fs::write(self.folder.join(".env"), text).expect(WRITABLE);
    }

    fn command(&self, words: &[&str]) -> Command {
        let path = std::env::var("PATH").expect("a PATH");
        let mut command = Command::new("bash");
        command
            .arg(self.folder.join("start_cluster.sh"))
            .args(words)
            .current_dir("/")
            .env("PATH", format!("{}:{path}", self.folder.join("tools").display()))
            .env("HOLDFAST_HOME", self.folder.join("home"))
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("ENV_FILE")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        Said::from(self.command(words).output().expect("bash is there"))
    }

    fn run_answering(&self, words: &[&str], answer: &str) -> Said {
        let file = self.folder.join("answer");
        fs::write(&file, answer).expect(WRITABLE);
        let mut command = self.command(words);
        Said::from(
            command.stdin(fs::File::open(file).expect(WRITABLE)).output().expect("bash is there"),
        )
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.join("my data").join(name)
    }

    fn pid(&self) -> String {
        fs::read_to_string(self.data("server1.pid")).expect(WRITABLE).trim().to_owned()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.run(&["stop"]);
    }
}

/// What the script said, and its exit code.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the script speaks UTF-8");
        Said { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }
}

impl Said {
    #[track_caller]
    fn ends_with(self, code: i32) -> Said {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.error);
        self
    }
}

#[test]
fn one_word_starts_a_server_again_changes_nothing_and_stop_ends_it() {
    let house = House::new();
    assert!(house.run(&["status"]).ends_with(2).out.contains("stopped"));
    let said = house.run(&[]).ends_with(0);
    let pid = house.pid();
    let row = said.out.lines().find(|line| line.starts_with("1 ")).expect("a row of the table");
    for part in ["primary", pid.as_str(), "my data/logs/server1.log"] {
        assert!(row.contains(part), "{part:?} in {row:?}");
    }
    house.run(&[]).ends_with(0);
    assert_eq!(house.pid(), pid, "what runs is left alone");
    house.run(&["status"]).ends_with(0);
    assert!(house.run(&["logs", "1"]).ends_with(0).out.contains("became primary"));
    house.run(&["stop"]).ends_with(0);
    house.run(&["stop"]).ends_with(0);
    house.run(&["status"]).ends_with(2);
    let log = fs::read_to_string(house.data("logs/server1.log")).unwrap();
    assert!(log.trim_end().ends_with("stopped"), "a graceful end: {log}");
}

#[test]
fn a_killed_server_is_started_again_and_restart_is_another_process() {
    let house = House::new();
    house.run(&[]).ends_with(0);
    house.run(&["kill", "1"]).ends_with(0);
    house.run(&["kill", "1"]).ends_with(1);
    house.run(&["status"]).ends_with(2);
    house.run(&["start", "1"]).ends_with(0);
    let pid = house.pid();
    house.run(&["restart"]).ends_with(0);
    assert_ne!(house.pid(), pid);
    house.run(&["status"]).ends_with(0);
}

#[test]
fn a_port_that_is_taken_is_named_with_the_key_that_changes_it() {
    let house = House::new();
    let taken = TcpListener::bind(("127.0.0.1", house.client_port)).unwrap();
    let said = house.run(&[]).ends_with(1);
    assert!(said.error.contains(&format!("port {} ", house.client_port)), "{}", said.error);
    assert!(said.error.contains("CLIENT_PORT1"), "{}", said.error);
    assert!(!house.data("server1.pid").exists(), "nothing was started");
    drop(taken);
    house.run(&[]).ends_with(0);
}

#[test]
fn wrong_settings_end_it_with_code_2_and_all_faults() {
    let house = House::new();
    house.settings("BCRYPT_COST=3\nNO_SUCH_KEY=1\n");
    let said = house.run(&[]).ends_with(2);
    assert!(said.error.contains("BCRYPT_COST=3"), "{}", said.error);
    assert!(said.error.contains("NO_SUCH_KEY="), "{}", said.error);
    fs::remove_file(house.folder.join(".env")).unwrap();
    house.run(&["status"]).ends_with(2);
}

#[test]
fn a_process_that_it_did_not_start_is_never_killed() {
    let house = House::new();
    let mut stranger = Command::new("sleep").arg("60").spawn().unwrap();
    fs::create_dir_all(house.data("")).unwrap();
    for word in ["stop", "kill"] {
        fs::write(house.data("server1.pid"), format!("{}\n", stranger.id())).unwrap();
        house.run(&if word == "stop" { vec!["stop"] } else { vec!["kill", "1"] });
        assert!(stranger.try_wait().unwrap().is_none(), "{word} killed a stranger");
    }
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn reset_asks_and_keeps_the_secret_and_what_no_server_made() {
    let house = House::new();
    house.run(&[]).ends_with(0);
    let secret = fs::read(house.data("cluster.secret")).unwrap();
    fs::write(house.data("notes.txt"), "mine").unwrap();
    house.run_answering(&["reset"], "no\n").ends_with(1);
    house.run(&["reset"]).ends_with(1);
    assert!(house.data("server1/store").exists());
    let said = house.run_answering(&["reset"], "yes\n").ends_with(0);
    assert!(said.out.contains("notes.txt"), "{}", said.out);
    assert!(!house.data("server1").exists() && !house.data("logs").exists());
    assert_eq!(fs::read(house.data("cluster.secret")).unwrap(), secret);
    assert!(house.data("notes.txt").exists());
}

#[test]
fn words_that_it_does_not_know_are_answered_with_those_that_it_does() {
    let house = House::new();
    for words in [&["begin"] as &[&str], &["kill"], &["start", "1", "2"], &["status", "1"]] {
        assert!(house.run(words).ends_with(2).error.contains("start_cluster.sh stop"));
    }
    assert!(house.run(&["kill", "7"]).ends_with(2).error.contains("no server '7'"));
}
