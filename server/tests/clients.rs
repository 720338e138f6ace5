//! The real client engine on its real thread, with its real store, against the built server.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

use holdfast_common::client::{Answer, Command, ConnectionState, Failure};
use holdfast_common::ids::Seq;
use holdfast_common::protocol::MessageView;
use support::person::Person;
use support::server::Server;

#[test]
fn two_people_write_through_a_kill_of_the_server_and_every_message_arrives_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\nLIMIT_SENDS_PER_S=1000\n");
    let mut ada = Person::start(&folder.path().join("ada"), &[server.address]);
    let mut bob = Person::start(&folder.path().join("bob"), &[server.address]);
    ada.register("ada");
    bob.register("bob");
    let first = ada.send("bob", "0");
    let Ok(Answer::Sent(sent)) = ada.answer(first) else { panic!("it is stored") };
    let mut asked = Vec::new();
    for round in 0..3 {
        asked.extend((0..40).map(|at| ada.send("bob", &format!("{}", 1 + round * 40 + at))));
        server.kill();
        server.spawn();
    }
    for id in asked {
        assert!(matches!(ada.answer(id), Ok(Answer::Sent(_))));
    }
    let expected: Vec<String> = (0..=120).map(|number| number.to_string()).collect();
    bob.until("every message", |bob| bob.told.len() >= expected.len());
    let told: Vec<_> = bob.told.iter().map(|(_, _, text)| text.clone()).collect();
    assert_eq!(told, expected, "what Bob saw");
    let texts = |page: Vec<MessageView>| page.into_iter().map(|m| m.text).collect::<Vec<_>>();
    assert_eq!(texts(ada.history(sent.conv)), expected[21..], "what the server keeps");
}

#[test]
fn what_was_written_without_a_server_survives_the_program_and_goes_out_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let home = folder.path().join("ada");
    let mut ada = Person::start(&home, &[server.address]);
    ada.register("ada");
    server.kill();
    ada.until("no connection", |ada| !matches!(ada.connection, ConnectionState::Connected { .. }));
    ada.send("ada", "note to myself");
    ada.end();
    let mut ada = Person::start(&home, &[server.address]);
    server.spawn();
    let resumed = ada.ask(Command::Resume);
    assert_eq!(ada.answer(resumed), Ok(Answer::SignedIn("ada".to_owned())));
    ada.until("the message", |ada| !ada.told.is_empty());
    let conv = ada.told[0].0;
    assert_eq!(ada.history(conv).len(), 1);
}

#[test]
fn two_windows_of_one_account_are_in_step_and_nothing_is_sent_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let home = folder.path().join("ada");
    let mut first = Person::start(&home, &[server.address]);
    first.register("ada");
    let mut bob = Person::start(&folder.path().join("bob"), &[server.address]);
    bob.register("bob");
    let mut second = Person::start(&home, &[server.address]);
    let resumed = second.ask(Command::Resume);
    assert_eq!(second.answer(resumed), Err(Failure::NotSignedIn), "its session is its own");
    second.login("ada");
    let sent = first.send("bob", "by the first window");
    let Ok(Answer::Sent(sent)) = first.answer(sent) else { panic!("it is stored") };
    let conv = sent.conv;
    second.until("what the first sent", |second| second.told.len() == 1);
    let sent = bob.send("ada", "hello ada");
    assert!(matches!(bob.answer(sent), Ok(Answer::Sent(_))));
    first.until("what Bob sent", |first| first.told.iter().any(|told| told.1 == Seq(2)));
    second.until("what Bob sent", |second| second.told.iter().any(|told| told.1 == Seq(2)));
    first.ask(Command::MarkRead { conv, upto: Seq(2) });
    second.until("the read mark", |second| second.read.get(&conv) == Some(&Seq(2)));
    server.kill();
    first.send("bob", "one, without a server");
    second.send("bob", "two, without a server");
    // Both are killed, and one window is opened again: it has what both had not sent.
    first.end();
    second.end();
    let mut first = Person::start(&home, &[server.address]);
    server.spawn();
    let resumed = first.ask(Command::Resume);
    assert_eq!(first.answer(resumed), Ok(Answer::SignedIn("ada".to_owned())));
    first.until("both", |first| first.told.len() == 2);
    // The second one is there again, signed in, and has nothing left to send.
    let mut second = Person::start(&home, &[server.address]);
    let resumed = second.ask(Command::Resume);
    assert_eq!(second.answer(resumed), Ok(Answer::SignedIn("ada".to_owned())));
    second.until("both", |second| second.told.iter().any(|told| told.1 == Seq(4)));
    let texts: Vec<String> = first.history(conv).into_iter().map(|m| m.text).collect();
    let expected =
        ["by the first window", "hello ada", "one, without a server", "two, without a server"];
    assert_eq!(texts, expected);
}

#[test]
fn a_cluster_that_shows_another_identity_is_a_full_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let mut ada = Person::start(&folder.path().join("ada"), &[server.address]);
    ada.register("ada");
    server.kill();
    let secret = "another secret of at least 32 characters";
    server.environment.push(("CLUSTER_SECRET".to_owned(), secret.to_owned()));
    server.spawn();
    ada.until("a full stop", |ada| {
        matches!(ada.connection, ConnectionState::IdentityChanged { .. })
    });
}
