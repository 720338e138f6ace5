//! Signals, the HTTP port, and running out of file descriptors.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::client::{Client, dial, fresh_txn};
use crate::support::neighbour::undisturbed;
use crate::support::server::Server;
use crate::support::tls;

fn start(more: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\n{more}");
    let server = Server::start(folder.path(), &settings);
    (folder, server)
}

#[test]
fn sigterm_under_load_answers_what_is_under_way_says_bye_and_ends_with_0() {
    let (_folder, mut server) = start("");
    let (_ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let mut idle = tls::connect(server.address);
    let mut busy = Client::resume(server.address, &token, None);
    let d = || json!({"to": "bob", "text": "until the end", "txn": fresh_txn()});
    // The first has its answer; the others are under way when the signal comes, or sent after it.
    let conv = busy.ok("send", d())["conv"].take();
    let mut waiting: BTreeSet<_> = (0..64).map(|_| busy.ask("send", d())).collect();
    let asked = Instant::now();
    server.signal("TERM");
    let (mut acknowledged, mut bye) = (1, None);
    while let Some(mut line) = busy.line() {
        if let Some(id) = line["id"].as_u64() {
            waiting.remove(&id);
            acknowledged += usize::from(line.get("ok").is_some());
            let refused = &line["err"]["code"];
            assert!(refused.is_null() || refused == "no_primary", "{line}");
            busy.try_ask("send", d()).ok();
        } else if line["ev"] == "bye" {
            bye = Some(line["d"]["reason"].take());
        }
    }
    assert!(waiting.is_empty(), "left without an answer: {waiting:?}");
    assert_eq!(bye, Some(json!("stopping")));
    assert_eq!(idle.line().expect("a reason")["d"]["reason"], "stopping");
    assert!(idle.ends(), "TLS ends in good order");
    assert_eq!(server.ended().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    assert!(server.logged().contains(" stopped"), "{}", server.logged());
    server.spawn();
    let texts = Client::resume(server.address, &token, None).texts(&conv);
    assert_eq!(texts.len(), acknowledged, "what was refused is not there, the rest is");
}

#[test]
fn sigint_stops_as_well_and_clients_that_do_not_listen_hold_nothing_up() {
    let (_folder, mut server) = start("");
    let _silent: Vec<_> = (0..20).map(|_| dial(server.address)).collect();
    let (mut deaf, _) = Client::register(server.address, "ada");
    for _ in 0..2_000 {
        deaf.ask("status", json!({}));
    }
    let begin = Instant::now();
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn sighup_goes_on_in_a_new_log_file() {
    let (_folder, server) = start("");
    let moved = server.log.with_extension("old");
    std::fs::rename(&server.log, &moved).unwrap();
    server.signal("HUP");
    let begin = Instant::now();
    while !server.log.exists() {
        assert!(begin.elapsed() < Duration::from_secs(10), "no new log");
        std::thread::sleep(Duration::from_millis(2));
    }
    Client::register(server.address, "ada");
    assert!(server.logged().contains("signed in user=ada"), "{}", server.logged());
    assert!(!std::fs::read_to_string(moved).unwrap().contains("signed in"));
}

#[test]
fn http_answers_machines_and_neither_noise_nor_slowness_there_is_felt() {
    let (_folder, server) = start("");
    assert!(server.http_get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    let (mut ada, _) = Client::register(server.address, "ada");
    assert!(server.http_get("/readyz").ends_with("\r\n\r\nready\n"));
    assert!(server.http_get("/nowhere").starts_with("HTTP/1.1 404"));
    ada.ok("ping", json!({}));
    let metrics = server.http_get("/metrics");
    assert!(metrics.contains("\nholdfast_users_connected 1\n"), "{metrics}");
    undisturbed(&server, || {
        // As many as are let in, and more; each says a little and then nothing.
        let mut slow: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = TcpStream::connect(server.http).unwrap();
                stream.write_all(b"GET /metr").ok();
                stream
            })
            .collect();
        let garbage: [&[u8]; 4] = [b"\x16\x03\x01\x02\x00\x01", b"\0\0\0\0\n\n", b"{}\n{}\n", b"a"];
        let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 5_000]].concat();
        for stream in &mut slow {
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            assert!(answer.is_empty(), "an answer to half a request");
        }
        for bytes in garbage.into_iter().chain([&long[..]]) {
            let mut stream = TcpStream::connect(server.http).unwrap();
            stream.write_all(bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok();
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        }
        assert!(server.http_get("/healthz").starts_with("HTTP/1.1 200 OK\r\n"));
    });
}

#[test]
#[cfg(target_os = "linux")]
fn without_file_descriptors_the_server_serves_who_is_there_rests_and_recovers() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000000\n";
    let mut server = Server::prepare(folder.path(), settings);
    let script = "ulimit -n 128; exec \"$@\"";
    server.within = ["bash", "-c", script, "bash"].map(str::to_owned).to_vec();
    server.spawn();
    let (mut ada, _) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    // Clients get half of them; who comes then is sent away at once.
    let flood: Vec<_> = (0..150).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    ada.send("bob", "in spite of the flood");
    assert!(server.http_get("/readyz").starts_with("HTTP/1.1 200 OK\r\n"));
    drop(flood);
    // The administrator is let in beyond that, and can take what is left.
    let socket = server.folder.join("admin.sock");
    let hoard: Vec<_> = (0..120).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let starved = "no connections can be accepted for now";
    let begin = Instant::now();
    while !server.logged().contains(starved) {
        ada.ok("ping", json!({}));
        assert!(begin.elapsed() < Duration::from_secs(10), "there are files left");
    }
    let before = server.processor_time();
    std::thread::sleep(Duration::from_millis(500));
    let used = server.processor_time() - before;
    assert!(used < Duration::from_millis(150), "{used:?} of 500 ms for nothing");
    let said = server.logged().matches(starved).count();
    assert!(said <= 2, "said {said} times: once for each of two shortages would do");
    ada.send("bob", "who is there is served");
    drop(hoard);
    let mut late = Client::connect(server.address);
    late.sign_up("carol");
    assert!(server.stop().success());
}
