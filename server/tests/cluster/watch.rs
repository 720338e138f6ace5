//! `holdfast status` beside servers that freeze and die.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::cluster::Cluster;

const PATIENCE: Duration = Duration::from_secs(20);

fn status(folder: &Path, word: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.arg("--env").arg(folder.join("settings.env")).args(["status", word]);
    command.env("HOLDFAST_HOME", folder.join("home")).stdin(Stdio::null());
    command
}

#[test]
fn a_frozen_server_holds_up_nobody_who_asks_how_the_cluster_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let frozen = cluster.backups()[0];
    cluster.freeze(frozen);
    cluster.until_in_sync(2);
    let start = Instant::now();
    let said = status(folder.path(), "--json").output().unwrap();
    let took = start.elapsed();
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["in_sync"], 2);
    assert_eq!(said["role"], "primary", "whoever leads knows best");
    let servers = said["servers"].as_array().unwrap().iter();
    let silent: Vec<_> = servers.filter(|server| server["state"] == "silent").collect();
    assert_eq!(silent.len(), 1, "{said:#}");
    assert_eq!(silent[0]["server"], frozen);
    cluster.thaw_all();
}

#[test]
fn a_watch_shows_within_a_second_that_the_primary_is_gone_and_who_leads() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path(), 3);
    let primary = cluster.primary();
    let mut watch = status(folder.path(), "--watch").stdout(Stdio::piped()).spawn().unwrap();
    let (heard, lines) = mpsc::channel();
    let stdout = BufReader::new(watch.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in stdout.lines() {
            if heard.send((Instant::now(), line.unwrap())).is_err() {
                break;
            }
        }
    });
    let mut seen = Vec::new();
    let mut until = |words: &[&str]| {
        let mut missing: Vec<&str> = words.to_vec();
        loop {
            let (at, line) = lines.recv_timeout(PATIENCE).expect("a line");
            missing.retain(|word| !line.contains(word));
            seen.push(line);
            if missing.is_empty() {
                return at;
            }
        }
    };
    until(&["3 of 3", "ballot"]);
    cluster.kill(&[primary]);
    let killed = Instant::now();
    let led = until(&[&format!("server {primary}: primary -> "), "in sync -> primary"]);
    watch.kill().unwrap();
    watch.wait().unwrap();
    let took = led.duration_since(killed);
    println!("shown after {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}: {seen:#?}");
}
