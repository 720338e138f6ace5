//! Settings that cannot be: code 2, every fault at once, nothing started and nothing made.

use std::fs;
use std::net::TcpListener;

use crate::support::server::Server;

fn refused(more: &str) -> (Server, String, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::prepare(folder.path(), more);
    let (code, _, said) = server.run(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!folder.path().join("data").exists(), "something was made");
    (server, said, folder)
}

#[test]
fn all_faults_of_the_settings_are_listed_at_once() {
    let (_, said, _) = refused(
        "BCRYPT_COST=99\nCLIENT_PLAINTEXT=perhaps\nNO_SUCH_KEY=1\nLOG_LEVEL=loud\nTLS_CERT=a.pem\n\
         TEST_FOREIGN_LOOPBACK=127.0.0.9\nCLUSTER_SECRET=tooshort\nSERVER2_IP=127.0.0.1\n",
    );
    let keys = [
        "BCRYPT_COST=99",
        "CLIENT_PLAINTEXT=perhaps",
        "NO_SUCH_KEY",
        "LOG_LEVEL=loud",
        "TLS_KEY",
        "TEST_FOREIGN_LOOPBACK",
        "CLUSTER_SECRET",
        "REPLICA_PORT2",
        "CLIENT_PORT2",
    ];
    for key in keys {
        assert!(said.contains(key), "no {key} in: {said}");
    }
    assert!(!said.contains("tooshort"), "a secret is shown: {said}");
}

#[test]
fn a_number_that_the_settings_do_not_know_and_a_file_that_is_not_there_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::prepare(folder.path(), "");
    let mut command = server.command();
    let output = command.args(["--id", "7"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "an option twice is a wrong usage");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast-server"));
    let output = command.args(["--id", "7", "--env"]).arg(&server.env).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--id 7") && said.contains("the settings know the servers 1"), "{said}");
    fs::remove_file(&server.env).unwrap();
    let (code, _, said) = server.run(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("settings.env"), "{said}");
}

#[test]
fn a_port_in_use_names_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::prepare(folder.path(), "");
    for (address, key) in [(server.address, "CLIENT_PORT1"), (server.http, "HTTP_PORT1")] {
        let _occupied = TcpListener::bind(address).unwrap();
        let (code, _, said) = server.run(&[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(key), "{said}");
        // The reason once, and none of what goes well: nobody watches this stderr.
        assert_eq!(said.matches("in use by another program").count(), 1, "{said}");
        assert!(!said.contains("INFO") && server.logged().contains("INFO"), "{said}");
        assert!(server.logged().contains(key), "it is not in the log");
    }
}

#[test]
fn an_address_that_is_not_this_machine_s_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(folder.path(), "");
    server.environment.push(("SERVER1_IP".to_owned(), "192.0.2.1".to_owned()));
    server.environment.push(("CLUSTER_SECRET".to_owned(), "s".repeat(64)));
    let (code, _, said) = server.run(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no address of this machine"), "{said}");
}
