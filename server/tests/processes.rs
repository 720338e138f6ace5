//! The built server as people run it: real processes, real sockets, a real disk.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test of processes reads clocks and opens sockets, and fails where it must not go on"
)]

mod support;

#[path = "processes/administration.rs"]
mod administration;
#[path = "processes/bad_clients.rs"]
mod bad_clients;
#[path = "processes/bad_lines.rs"]
mod bad_lines;
#[path = "processes/durability.rs"]
mod durability;
#[path = "processes/faults.rs"]
mod faults;
#[path = "processes/secrets.rs"]
mod secrets;
#[path = "processes/settings.rs"]
mod settings;
#[path = "processes/signals.rs"]
mod signals;
#[path = "processes/transport.rs"]
mod transport;

use serde_json::json;
use support::client::Client;
use support::server::Server;

#[test]
fn two_people_chat_and_a_restart_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let (mut ada, ada_token) = Client::register(server.address, "ada");
    let (mut bob, _) = Client::register(server.address, "bob");
    let sent = ada.send("bob", "hi");
    assert_eq!((&sent["seq"], &sent["copies"], &sent["of"]), (&json!(1), &json!(1), &json!(1)));
    let event = bob.event("msg");
    assert_eq!((&event["d"]["text"], &event["d"]["from"]), (&json!("hi"), &json!("ada")));
    server.kill();
    server.spawn();
    let mut ada = Client::resume(server.address, &ada_token, None);
    let page = ada.ok("history", json!({"conv": sent["conv"]}));
    assert_eq!(page["messages"][0]["text"], "hi");
    assert!(server.stop().success());
}
