//! Clients that ask without listening, listen without asking, or stop in the middle.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use holdfast_common::net::tls::Trust;
use serde_json::{Value, json};

use crate::support::client::{Client, dial, fresh_txn};
use crate::support::neighbour::undisturbed;
use crate::support::server::Server;
use crate::support::tls;

fn start(more: &str) -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("BCRYPT_COST=4\nLIMIT_SENDS_PER_S=100000\n{more}");
    let server = Server::start(folder.path(), &settings);
    (folder, server)
}

/// A conversation whose newest page is as long as a line may be, and its reader's token.
fn long_conversation(server: &Server) -> (Value, String) {
    let (mut ada, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let mut conv = Value::Null;
    for _ in 0..8 {
        conv = ada.send("bob", &"long ".repeat(3_000))["conv"].take();
    }
    (conv, token)
}

/// A signed-in connection over a socket of which the test keeps a second handle.
fn resume_on(stream: &TcpStream, token: &str) -> Client {
    let mut client = Client::over(Box::new(stream.try_clone().unwrap()));
    client.ok("resume", json!({"token": token}));
    client
}

#[test]
fn a_thousand_requests_without_reading_are_all_answered_once_and_memory_stays_bounded() {
    let (_folder, server) = start("");
    let (conv, token) = long_conversation(&server);
    // Answers of 60 MB in all, to clients that read none of them.
    let mut clients: Vec<_> = [false, true]
        .into_iter()
        .map(|encrypted| {
            let stream = dial(server.address);
            let mut client = match encrypted {
                true => Client::over(Box::new(tls::session(stream, Trust::FirstUse))),
                false => Client::over(Box::new(stream)),
            };
            client.ok("resume", json!({"token": token}));
            client
        })
        .collect();
    undisturbed(&server, || {
        let before = server.resident_bytes();
        let ids: Vec<BTreeSet<u64>> = clients
            .iter_mut()
            .map(|client| {
                let ask = |_| client.ask("history", json!({"conv": conv}));
                (0..1_000).map(ask).collect()
            })
            .collect();
        // The other client's questions are answered in turn: so the server has seen all there is.
        let mut probe = Client::connect(server.address);
        let deadline = Instant::now() + Duration::from_millis(2_500);
        let mut grown = 0;
        while Instant::now() < deadline {
            probe.ok("ping", json!({}));
            grown = grown.max(server.resident_bytes().saturating_sub(before));
        }
        assert!(grown < 16 << 20, "{grown} bytes are held for clients that do not read");
        for (client, mut ids) in clients.iter_mut().zip(ids) {
            while !ids.is_empty() {
                let line = client.line().expect("an answer");
                if let Some(id) = line["id"].as_u64() {
                    // Beyond what one account may ask at once, a page is refused: an answer as
                    // well.
                    let is_page = line["ok"]["messages"].is_array();
                    assert!(is_page || line["err"]["code"] == "rate_limited", "{line}");
                    assert!(ids.remove(&id), "answered twice, or never asked: {id}");
                }
            }
        }
    });
}

#[test]
fn who_says_nothing_is_sent_away_after_ten_seconds_and_nobody_minds() {
    let (_folder, server) = start("");
    let start = Instant::now();
    let mut silent: Vec<_> =
        (0..500).map(|_| Client::bare(Box::new(dial(server.address)))).collect();
    // These stop in the middle of a handshake, of a line, and behind a whole line that is no
    // `hello`.
    let mut stopped: Vec<TcpStream> = Vec::new();
    for begun in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"{\"id\":1,\"op\":\"he"] {
        for _ in 0..20 {
            let mut stream = dial(server.address);
            stream.write_all(begun).unwrap();
            stopped.push(stream);
        }
    }
    let mut asks_first = Client::bare(Box::new(dial(server.address)));
    assert_eq!(asks_first.refused("ping", json!({})), "bad_request");
    silent.push(asks_first);
    undisturbed(&server, || {
        for client in &mut silent {
            let bye = client.line().expect("a reason");
            assert_eq!((&bye["ev"], &bye["d"]["reason"]), (&json!("bye"), &json!("idle")));
            assert!(client.ends());
        }
        assert!(start.elapsed() > Duration::from_secs(9), "sent away too early");
        for stream in &mut stopped {
            // Within a handshake there is no way to say why.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).ok();
            assert!(rest.is_empty() || rest.starts_with(b"{\"ev\":\"bye\""), "{rest:?}");
        }
    });
    assert!(start.elapsed() < Duration::from_secs(20), "sent away too late");
}

#[test]
fn a_client_that_ends_its_own_side_first_still_gets_all_its_answers() {
    let (_folder, server) = start("");
    let (_, token) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    undisturbed(&server, || {
        let stream = dial(server.address);
        let mut client = resume_on(&stream, &token);
        let d = |n: u32| json!({"to": "bob", "text": "last words", "txn": format!("{n:032x}")});
        let ids: Vec<_> = (0..200).map(|n| client.ask("send", d(n))).collect();
        stream.shutdown(Shutdown::Write).unwrap();
        for id in ids {
            let answer = client.answer(id).expect("an answer, although nothing more is asked");
            assert!(answer.get("ok").is_some(), "{answer}");
        }
        // Then the server ends, too. Events of those messages may have come before.
        while client.line().is_some() {}
        assert!(client.ends());
    });
}

#[test]
fn a_client_that_has_ended_its_side_and_does_not_read_costs_no_processor_time() {
    let (_folder, server) = start("");
    let (conv, token) = long_conversation(&server);
    let stream = dial(server.address);
    let mut client = resume_on(&stream, &token);
    let ids: Vec<_> = (0..200).map(|_| client.ask("history", json!({"conv": conv}))).collect();
    stream.shutdown(Shutdown::Write).unwrap();
    // The window opens a little, again and again: each time an edge comes. While it is closed,
    // there is nothing to do, however much waits.
    let mut left = ids.len();
    let mut busy = 0;
    while left > 0 {
        let line = client.line().expect("an answer");
        left -= usize::from(line.get("id").is_some());
        if left < 120 {
            let before = server.loop_time();
            std::thread::sleep(Duration::from_millis(15));
            busy += u32::from(server.loop_time() - before > Duration::from_millis(12));
        }
    }
    assert!(client.line().is_none_or(|line| line.get("ev").is_some()), "one answer too many");
    assert!(busy < 2, "{busy} times busy with nothing");
}

#[test]
fn resets_in_every_state_are_survived() {
    let (_folder, server) = start("");
    let (conv, token) = long_conversation(&server);
    undisturbed(&server, || {
        for round in 0..60 {
            let stream = dial(server.address);
            if round % 4 > 0 {
                let mut client = resume_on(&stream, &token);
                for _ in 0..round {
                    client.ask("history", json!({"conv": conv}));
                }
                if round % 4 > 1 {
                    client.line();
                }
            }
            crate::support::sockets::reset(stream);
        }
    });
}

#[test]
fn a_client_that_does_not_read_its_live_events_is_sent_away_and_misses_nothing() {
    let (_folder, server) = start("");
    let (mut ada, token) = Client::register(server.address, "ada");
    let (mut bob, _) = Client::register(server.address, "bob");
    // This one never reads; the account's other connection does.
    let mut idler = Client::resume(server.address, &token, None);
    let cur = ada.ok("conversations", json!({}))["cur"].as_str().unwrap().to_owned();
    let text = "x".repeat(16_000);
    // Beyond what the system buffers for both ends of a socket, and the server for a client.
    let (count, window) = (640, 32);
    undisturbed(&server, || {
        for _ in 0..count / window {
            let d = || json!({"to": "ada", "text": text, "txn": fresh_txn()});
            let ids: Vec<_> = (0..window).map(|_| bob.ask("send", d())).collect();
            for id in ids {
                assert!(bob.answer(id).unwrap().get("ok").is_some());
                ada.event("msg");
            }
        }
    });
    // It gets what was underway, and the end: that comes before the last event.
    let mut seen = 0;
    while let Some(line) = idler.line() {
        if line["ev"] == "msg" {
            seen += 1;
            assert_eq!(line["d"]["seq"], seen);
        }
    }
    assert!(seen < count, "it was never sent away");
    let mut again = Client::resume(server.address, &token, Some(&cur));
    for seq in 1..=count {
        assert_eq!(again.event("msg")["d"]["seq"], seq);
    }
}
