//! send, inbox, history, and what happens without a server.

use std::io::Read as _;
use std::process::Stdio;

use serde_json::json;

use super::person::{Person, server};

#[test]
fn what_one_sends_the_other_finds_and_reads() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let bob = Person::registered(folder.path(), "bob", &server);
    let sent = ada.does(&["send", "bob", "hello", "--json"]).json();
    assert_eq!((&sent["seq"], &sent["copies"], &sent["of"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(ada.says(&["send", "Bob", "-"], "two\nlines\n").code, 0);
    let inbox = bob.does(&["inbox", "--json"]).json();
    assert_eq!(inbox["conversations"][0]["unread"], 2);
    assert_eq!(inbox["conversations"][0]["with"], "ada");
    assert!(bob.does(&["inbox"]).stdout.contains("two lines"));
    let newest = bob.does(&["history", "ada", "--limit", "1", "--keep-unread", "--json"]).json();
    assert_eq!(newest["messages"][0]["text"], "two\nlines");
    assert_eq!((newest["messages"].as_array().unwrap().len(), &newest["more"]), (1, &json!(true)));
    let again = bob.does(&["inbox", "--json"]).json();
    assert_eq!(again["conversations"], inbox["conversations"], "they are still unread");
    let before = bob.does(&["history", "ada", "--before", "2", "--keep-unread"]);
    assert!(before.stdout.contains("ada: hello") && !before.stdout.contains("two"), "{before:?}");
    let all = bob.does(&["history", "ADA"]);
    assert!(all.stdout.contains("ada: hello") && all.stdout.contains("ada: two"), "{all:?}");
    assert_eq!(bob.does(&["inbox"]).stdout, "nothing unread\n");
    assert!(!all.stdout.contains('\x1b'), "no colours without a terminal");
}

#[test]
fn a_long_history_comes_in_pages_and_a_reader_may_leave_early() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let lines: String = (1..=130).map(|number| format!("message {number}\n")).collect();
    let chatted = ada.says(&["chat", "ada"], &lines);
    assert_eq!(chatted.code, 0, "{chatted:?}");
    let page = ada.does(&["history", "ada", "--limit", "120", "--json"]).json();
    let messages = page["messages"].as_array().unwrap();
    assert_eq!((messages.len(), &messages[0]["text"]), (120, &json!("message 11")));
    let mut command = ada.command();
    command.args(["history", "ada", "--limit", "130"]).stdin(Stdio::null());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 1]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn a_message_that_no_server_takes_is_kept_and_goes_out_once() {
    let (folder, mut server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    server.kill();
    let kept = ada.does(&["send", "ada", "note to myself"]);
    kept.ends(3, "kept here");
    assert!(kept.stderr.contains(&server.address.to_string()), "which were tried: {kept:?}");
    ada.does(&["inbox"]).ends(3, "no server answers");
    ada.does(&["chat", "ada"]).ends(3, "1 message is kept");
    server.spawn();
    assert_eq!(ada.does(&["users"]).code, 0);
    assert_eq!(ada.does(&["send", "ada", "later"]).code, 0);
    let page = ada.does(&["history", "ada", "--json"]).json();
    let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| &m["text"]).collect();
    assert_eq!(texts, ["note to myself", "later"]);
}
