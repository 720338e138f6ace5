//! Lines that are not what the protocol asks for: each gets what the protocol says.

use std::io::Write;

use serde_json::{Value, json};

use crate::support::client::{Client, dial, fresh_txn};
use crate::support::neighbour::undisturbed;
use crate::support::server::Server;
use crate::support::tls;

const LINE_BYTES_MAX: usize = 65_536;

fn start() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "BCRYPT_COST=4\nLIMIT_SIGNIN_FAILS_PER_MIN=1000\n");
    (folder, server)
}

/// A ping of exactly so many bytes, newline included.
fn ping_of(bytes: usize) -> String {
    let empty = json!({"id": 99, "op": "ping", "d": {"pad": ""}}).to_string() + "\n";
    empty.replace("\"pad\":\"\"", &format!("\"pad\":\"{}\"", "x".repeat(bytes - empty.len())))
}

/// What is said once, under no id, before the connection ends.
fn last_word(client: &mut Client) -> String {
    let line = client.line().expect("a last line");
    assert_eq!(line["id"], Value::Null, "{line}");
    assert!(client.ends(), "the connection stays open, or was reset");
    line["err"]["code"].as_str().unwrap().to_owned()
}

#[test]
fn a_line_of_the_limit_is_answered_and_one_more_byte_is_too_large() {
    let (_folder, server) = start();
    for mut client in [Client::connect(server.address), tls::connect(server.address)] {
        client.raw(ping_of(LINE_BYTES_MAX).as_bytes()).unwrap();
        assert!(client.answer(99).unwrap().get("ok").is_some());
        client.raw(ping_of(LINE_BYTES_MAX + 1).as_bytes()).unwrap();
        assert_eq!(last_word(&mut client), "too_large");
    }
}

#[test]
fn ten_megabytes_without_a_newline_get_one_line_and_the_end_and_no_reset() {
    let (_folder, server) = start();
    let endless = vec![b'{'; 10_000_000];
    undisturbed(&server, || {
        for mut client in [Client::connect(server.address), tls::connect(server.address)] {
            client.raw(&endless).expect("what comes behind is read and dropped");
            assert_eq!(last_word(&mut client), "too_large");
        }
    });
}

#[test]
fn a_request_may_come_cut_at_every_byte() {
    let (_folder, server) = start();
    let (_, token) = Client::register(server.address, "ada");
    let resume = json!({"id": 1, "op": "resume", "d": {"token": token}}).to_string() + "\r\n";
    let hello = json!({"id": 2, "op": "hello", "d": {"proto": [1], "client": "a/1"}}).to_string();
    let lines = format!("{hello}\n{resume}{{\"id\":3,\"op\":\"sessions\"}}\n");
    undisturbed(&server, || {
        for cut in 1..lines.len() {
            let mut client = Client::bare(Box::new(dial(server.address)));
            let (before, behind) = lines.as_bytes().split_at(cut);
            client.raw(before).unwrap();
            client.raw(behind).unwrap();
            let answer = client.answer_among(3);
            assert!(answer["ok"]["sessions"].is_array(), "cut at {cut}: {answer}");
        }
        let mut client = Client::bare(Box::new(dial(server.address)));
        lines.bytes().for_each(|byte| client.raw(&[byte]).unwrap());
        assert!(client.answer_among(3)["ok"]["sessions"].is_array());
    });
}

#[test]
fn what_has_no_valid_id_is_told_so_and_closed() {
    let (_folder, server) = start();
    let deep = format!("{{\"id\":{}1{}}}\n", "[".repeat(200_000 / 4), "]".repeat(200_000 / 4));
    let lines: &[&[u8]] = &[
        b"\n",
        b"hello\n",
        b"[]\n",
        b"null\n",
        b"{\"id\":7\n",
        b"{\"id\":7}}\n",
        b"{\"op\":\"ping\"}\n",
        b"{\"id\":0,\"op\":\"ping\"}\n",
        b"{\"id\":-1,\"op\":\"ping\"}\n",
        b"{\"id\":1.5,\"op\":\"ping\"}\n",
        b"{\"id\":\"7\",\"op\":\"ping\"}\n",
        b"{\"id\":null,\"op\":\"ping\"}\n",
        b"{\"id\":9007199254740992,\"op\":\"ping\"}\n",
        b"{\"id\":18446744073709551616,\"op\":\"ping\"}\n",
        b"{\"id\":1e400,\"op\":\"ping\"}\n",
        b"{\"id\":7,\"id\":8,\"op\":\"ping\"}\n",
        b"{\"id\":7,\"op\":\"ping\",\"op\":\"status\"}\n",
        b"{\"id\":7,\"op\":\"\xff\xfe\"}\n",
        b"\xef\xbb\xbf{\"id\":7,\"op\":\"ping\"}\n",
        b"{\"id\":7,\"op\":\"ping\"}\0\n",
        b"\0\0\0\0\n",
        b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n",
        deep.as_bytes(),
    ];
    undisturbed(&server, || {
        for line in lines {
            let mut client = Client::connect(server.address);
            client.raw(line).unwrap();
            let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
            let code = last_word(&mut client);
            let expected = if line.len() > LINE_BYTES_MAX { "too_large" } else { "bad_request" };
            assert_eq!(code, expected, "{shown}");
        }
    });
}

#[test]
fn a_request_that_cannot_be_done_is_refused_under_its_id_and_the_connection_goes_on() {
    let (_folder, server) = start();
    let (mut client, _) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let long = "x".repeat(16_385);
    let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    let txn = || format!("\"txn\":\"{}\"", fresh_txn());
    let send = |text: &str| format!("\"op\":\"send\",\"d\":{{\"to\":\"bob\",{text},{}}}", txn());
    let cases = [
        ("\"op\":\"frobnicate\"".to_owned(), "unknown_op"),
        ("\"op\":7".to_owned(), "bad_request"),
        ("\"d\":{}".to_owned(), "bad_request"),
        ("\"op\":\"ping\",\"d\":[]".to_owned(), "bad_request"),
        (format!("\"op\":\"ping\",\"d\":{{\"x\":{}}}", deep(15)), "bad_request"),
        ("\"op\":\"history\",\"d\":{}".to_owned(), "bad_request"),
        ("\"op\":\"history\",\"d\":{\"conv\":7}".to_owned(), "bad_request"),
        ("\"op\":\"history\",\"d\":{\"conv\":\"c1\",\"limit\":\"5\"}".to_owned(), "bad_request"),
        ("\"op\":\"history\",\"d\":{\"conv\":\"c1\",\"before\":-1}".to_owned(), "bad_request"),
        ("\"op\":\"history\",\"d\":{\"conv\":\"c1\",\"conv\":\"c2\"}".to_owned(), "bad_request"),
        ("\"op\":\"history\",\"d\":{\"conv\":\"c999\"}".to_owned(), "no_such_conversation"),
        ("\"op\":\"hello\",\"d\":{\"proto\":[2],\"client\":\"a/1\"}".to_owned(), "version"),
        (send("\"text\":7"), "bad_request"),
        (send("\"text\":\"\""), "invalid_text"),
        (send("\"text\":\" \\n\\t \""), "invalid_text"),
        (send("\"text\":\"a\\u0000b\""), "invalid_text"),
        (send("\"text\":\"a\\u001bb\""), "invalid_text"),
        (send("\"text\":\"a\\ud800b\""), "bad_request"),
        (send(&format!("\"text\":\"{long}\"")), "invalid_text"),
        ("\"op\":\"send\",\"d\":{\"to\":\"bob\",\"text\":\"x\"}".to_owned(), "bad_request"),
        (
            "\"op\":\"send\",\"d\":{\"to\":\"bob\",\"text\":\"x\",\"txn\":\"5f\"}".into(),
            "bad_request",
        ),
        (
            format!("\"op\":\"send\",\"d\":{{\"to\":\"eve\",\"text\":\"x\",{}}}", txn()),
            "no_such_user",
        ),
    ];
    undisturbed(&server, || {
        for (id, (rest, code)) in (1_000..).zip(&cases) {
            client.raw(format!("{{\"id\":{id},{rest}}}\n").as_bytes()).unwrap();
            let answer = client.answer(id).unwrap_or_else(|| panic!("{rest} ends the connection"));
            assert_eq!(answer["err"]["code"], *code, "{rest}: {answer}");
        }
        let deepest = format!("{{\"id\":1,\"op\":\"ping\",\"d\":{{\"x\":{}}}}}\n", deep(14));
        client.raw(deepest.as_bytes()).unwrap();
        assert!(client.answer(1).unwrap().get("ok").is_some(), "depth 16 is allowed");
    });
}

#[test]
fn who_has_not_greeted_or_signed_in_may_ask_little_and_another_s_conversation_is_none() {
    let (_folder, server) = start();
    let (mut ada, _) = Client::register(server.address, "ada");
    Client::register(server.address, "bob");
    let conv = ada.send("bob", "between us")["conv"].take();
    let mut client = Client::bare(Box::new(dial(server.address)));
    for op in ["ping", "status", "login", "sessions", "send"] {
        assert_eq!(client.refused(op, json!({})), "bad_request", "{op} before hello");
    }
    client.hello();
    client.ok("ping", json!({}));
    client.ok("status", json!({}));
    let mut eve = client;
    let with = |more: Value| {
        let mut d = json!({"conv": conv, "txn": fresh_txn()});
        d.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        d
    };
    let asks = [
        ("history", with(json!({}))),
        ("send", with(json!({"text": "let me in"}))),
        ("read", with(json!({"upto": 1}))),
        ("delivered", with(json!({"upto": 1}))),
        ("edit", with(json!({"seq": 1, "text": "forged"}))),
        ("delete", with(json!({"seq": 1, "for": "all"}))),
        ("delete", with(json!({"seq": 1, "for": "me"}))),
    ];
    for (op, d) in &asks {
        assert_eq!(eve.refused(op, d.clone()), "unauthorized", "{op} before sign-in");
    }
    for op in ["sessions", "conversations", "users", "logout", "passwd", "revoke"] {
        let d = json!({"prefix": "", "old": "x", "new": "y", "session": "others"});
        assert_eq!(eve.refused(op, d), "unauthorized", "{op} before sign-in");
    }
    eve.sign_up("eve");
    for (op, d) in &asks {
        assert_eq!(eve.refused(op, d.clone()), "no_such_conversation", "{op}");
    }
    assert_eq!(ada.texts(&conv), [(1, "between us".to_owned())]);
}

#[test]
fn clients_that_vanish_within_a_line_leave_nothing_behind() {
    let (_folder, server) = start();
    let line = json!({"id": 1, "op": "hello", "d": {"proto": [1], "client": "a/1"}}).to_string();
    undisturbed(&server, || {
        for cut in 0..line.len() {
            let mut stream = dial(server.address);
            stream.write_all(&line.as_bytes()[..cut]).unwrap();
            if cut % 2 == 0 {
                crate::support::sockets::reset(stream);
            }
        }
        // What vanished is gone when the only ones left are this one and the neighbour.
        let mut client = Client::connect(server.address);
        while !server.http_get("/metrics").contains("\nholdfast_connections 2\n") {
            client.ok("ping", json!({}));
        }
    });
}
