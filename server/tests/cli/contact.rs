//! Which servers, and whether they are the right ones.

use super::person::{PASSWORD, Person, finish, server};
use super::support::server::free_port;

#[test]
fn anybody_may_ask_how_the_cluster_is_and_nobody_is_asked_anything() {
    let (folder, mut server) = server();
    let _first = Person::registered(folder.path(), "first", &server);
    let ada = Person::new(folder.path(), "ada", &server);
    let address = server.address.to_string();
    let status = ada.does_plainly(&["--server", &address, "status", "--json"]).json();
    assert_eq!((status["role"].as_str(), status["of"].as_u64()), (Some("primary"), Some(1)));
    assert!(ada.does(&["status"]).stdout.starts_with("serving: 1 of 1"));
    assert!(!ada.home.join("home.json").exists(), "nothing is kept of it");
    server.kill();
    ada.does_plainly(&["--server", &address, "status"]).ends(3, &address);
}

#[test]
fn a_first_contact_without_a_terminal_needs_the_fingerprint_or_the_secret() {
    let (folder, server) = server();
    let address = server.address.to_string();
    let ada = Person::new(folder.path(), "ada", &server);
    let shown = ada.does(&["fingerprint"]).stdout.trim().to_owned();
    let by_server = ada.does_plainly(&["--server", &address, "fingerprint", "--json"]).json();
    assert_eq!(by_server["fingerprint"], shown, "by the secret, and by the server");
    let by_name = format!("localhost:{}", server.address.port());
    let by_name = ada.does_plainly(&["--server", &by_name, "fingerprint", "--json"]).json();
    assert_eq!(by_name["fingerprint"], shown, "a name is looked up");
    ada.does_plainly(&["--server", "no.such.name.invalid:1", "status"]).ends(3, "no.such.name");
    let register = |fingerprint: Option<&str>| {
        let mut command = ada.command();
        command.args(["--server", &address, "--password-file", "-", "register", "ada"]);
        if let Some(fingerprint) = fingerprint {
            command.args(["--fingerprint", fingerprint]);
        }
        finish(command, PASSWORD)
    };
    register(None).ends(1, &shown);
    register(Some(&"ab".repeat(32))).ends(1, "not the cluster that you mean");
    register(Some("abcd")).ends(2, "fingerprint");
    assert!(!server.logged().contains("registered"), "nothing was sent");
    assert_eq!(register(Some(&shown)).code, 0);
    assert_eq!(ada.does_plainly(&["users"]).stdout, "ada\n", "it is asked once");
}

#[test]
fn another_identity_is_a_full_stop_until_the_person_says_that_it_is_right() {
    let (folder, mut server) = server();
    let address = server.address.to_string();
    let ada = Person::registered(folder.path(), "ada", &server);
    server.kill();
    let secret = "another secret of at least 32 characters";
    server.environment.push(("CLUSTER_SECRET".to_owned(), secret.to_owned()));
    server.spawn();
    ada.does_plainly(&["users"]).ends(1, "STOP");
    let login = ["--server", &address, "login", "ada", "--password-file", "-"];
    let mut command = ada.command();
    command.args(login);
    finish(command, PASSWORD).ends(1, "STOP");
    let mut ask = ada.command();
    ask.args(["--server", &address, "fingerprint"]);
    let shown = finish(ask, "").stdout;
    let mut command = ada.command();
    command.args(login).args(["--fingerprint", shown.trim()]);
    let accepted = finish(command, PASSWORD);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    assert_eq!(ada.does_plainly(&["users"]).stdout, "ada\n");
}

#[test]
fn one_of_several_servers_is_enough() {
    let (folder, server) = server();
    let ada = Person::new(folder.path(), "ada", &server);
    let nobody = format!("127.0.0.1:{}", free_port());
    let address = server.address.to_string();
    let status = ada.does_plainly(&["--server", &nobody, "--server", &address, "status"]);
    assert_eq!(status.code, 0, "{status:?}");
}
