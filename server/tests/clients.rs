//! The real client engine on its real thread, with its real store, against the built server.

#![expect(clippy::disallowed_methods, reason = "a test of processes reads clocks and sleeps")]

mod support;

use holdfast_common::client::{Answer, Command, ConnectionState};
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
