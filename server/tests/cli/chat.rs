//! `chat`, in a terminal and through a pipe.

use super::person::{Person, server};
use super::terminal::Terminal;

fn terminal(person: &Person, words: &[&str]) -> Terminal {
    let mut command = person.command();
    command.args(words).env_remove("NO_COLOR");
    Terminal::start(command)
}

#[test]
fn a_message_arrives_while_a_line_is_typed_and_the_line_stays() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let bob = Person::registered(folder.path(), "bob", &server);
    assert_eq!(bob.does(&["send", "ada", "first"]).code, 0);
    let mut chat = terminal(&ada, &["chat", "bob"]);
    let at = chat.shows("first", 0);
    let at = chat.shows("ada → bob> ", at);
    chat.types("half a li");
    let at = chat.shows("half a li", at);
    assert_eq!(bob.does(&["send", "ada", "live \u{1f389}"]).code, 0);
    let at = chat.shows("live \u{1f389}", at);
    let at = chat.shows("half a li", at);
    chat.types("ne\r");
    let at = chat.shows("stored 1/1", at);
    let page = bob.does(&["history", "ada", "--json"]).json();
    assert_eq!(page["messages"][2]["text"], "half a line");
    let at = chat.shows("read", at);
    chat.types("\x1b[200~one\ntwo\x1b[201~\r");
    let at = chat.shows("stored 1/1", at);
    let page = bob.does(&["history", "ada", "--json"]).json();
    assert_eq!(page["messages"][3]["text"], "one\ntwo", "what is pasted is one message");
    let at = chat.shows("read", at);
    chat.types("thrown away");
    let at = chat.shows("thrown away", at);
    chat.types("\x03");
    let at = chat.shows("ada → bob> ", at);
    chat.types("\x04");
    assert!(chat.ended().success(), "{}", &chat.printed()[at..]);
    let page = bob.does(&["history", "ada", "--json"]).json();
    assert_eq!(page["messages"].as_array().unwrap().len(), 4);
}

#[test]
fn a_chat_outlives_its_server_and_says_what_waits() {
    let (folder, mut server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let mut chat = terminal(&ada, &["chat", "ada"]);
    let at = chat.shows("ada → ada> ", 0);
    server.kill();
    let at = chat.shows("no server answers", at);
    chat.types("into the dark\r");
    let at = chat.shows("waits", at);
    server.spawn();
    let at = chat.shows("stored 1/1", at);
    server.kill();
    let at = chat.shows("no server answers", at);
    chat.types("for later\r");
    chat.shows("waits", at);
    chat.types("/quit\r");
    assert!(chat.ended().success());
    chat.shows("1 message is kept here", at);
    server.spawn();
    assert_eq!(ada.does(&["users"]).code, 0);
    let page = ada.does(&["history", "ada", "--json"]).json();
    let texts: Vec<_> = page["messages"].as_array().unwrap().iter().map(|m| &m["text"]).collect();
    assert_eq!(texts, ["into the dark", "for later"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_newcomer_is_led_from_the_first_word_to_the_first_message() {
    let (folder, server) = server();
    let _ada = Person::registered(folder.path(), "ada", &server);
    let cyd = Person::new(folder.path(), "cyd", &server);
    let address = server.address.to_string();
    let mut command = cyd.within("setsid", &["--ctty"]);
    command.args(["--server", &address, "chat"]);
    let mut chat = Terminal::start(command);
    for (question, answer) in [
        ("Name: ", "cyd\r"),
        ("new account? ", "new\r"),
        ("new account: ", "correct horse\r"),
        ("again: ", "correct horse\r"),
        ("Type yes", "yes\r"),
    ] {
        chat.shows(question, 0);
        chat.types(answer);
    }
    let at = chat.shows("cyd> ", 0);
    chat.types("hello\r");
    let at = chat.shows("to whom?", at);
    chat.types("/to a\t");
    let at = chat.shows("/to ada", at);
    chat.types("\r");
    let at = chat.shows("cyd → ada> ", at);
    chat.types("hello\r");
    chat.shows("stored 1/1", at);
    assert!(!chat.printed().contains("correct horse"), "passwords are not shown");
}

#[test]
fn a_script_chats_through_a_pipe_and_learns_what_was_refused() {
    let (folder, server) = server();
    let ada = Person::registered(folder.path(), "ada", &server);
    let said = ada.says(&["chat"], "/to ada\none\n/edit 1 uno\n//two\n/status\n/who a\n");
    assert_eq!(said.code, 0, "{said:?}");
    for expected in ["✓ 1 \"one\" stored 1/1", "✓ edited", "✓ 2 \"/two\"", "serving", "  ada\n"]
    {
        assert!(said.stdout.contains(expected), "{expected}: {said:?}");
    }
    assert!(!said.stdout.contains('\x1b'), "no colours without a terminal");
    let shown = ada.says(&["chat", "ada"], "/delete 2 all\n/list\n/help\n/older\n");
    assert_eq!(shown.code, 0, "{shown:?}");
    assert!(shown.stdout.contains("ada: uno (edited)"), "{shown:?}");
    ada.says(&["chat"], "/dance\n").is_refused("bad_request");
    ada.says(&["chat", "ada"], "/edit 9 x\n").is_refused("no_such_message");
    ada.says(&["chat", "nobody"], "hi\n").is_refused("no_such_user");
    let long = "x".repeat(16_385) + "\n";
    ada.says(&["chat", "ada"], &long).is_refused("invalid_text");
}
