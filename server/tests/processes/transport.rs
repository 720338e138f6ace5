//! Plain or TLS, from here or from elsewhere, and whose certificate it is.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_common::net::tls::{Fingerprint, Trust, cluster_fingerprint};
use rustls::RootCertStore;
use serde_json::json;

use crate::support::client::{Client, dial};
use crate::support::neighbour::undisturbed;
use crate::support::server::Server;
use crate::support::{sockets, tls};

/// Another address of this machine, which the server is told to take for another machine's.
const FOREIGN: &str = "127.0.0.9";

fn foreign() -> SocketAddr {
    format!("{FOREIGN}:0").parse().unwrap()
}

/// A handshake with this trust: the cluster's fingerprint, or why not.
fn handshake(server: &Server, trust: Trust) -> Result<Option<Fingerprint>, String> {
    let mut stream = tls::session(dial(server.address), trust);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|error| error.to_string())?;
    }
    Ok(cluster_fingerprint(stream.conn.peer_certificates().unwrap_or_default()))
}

#[test]
#[cfg(target_os = "linux")]
fn plain_text_from_another_machine_is_refused_and_tls_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(folder.path(), "BCRYPT_COST=4\n");
    server.environment.push(("TEST_FOREIGN_LOOPBACK".to_owned(), FOREIGN.to_owned()));
    server.spawn();
    undisturbed(&server, || {
        let stream = sockets::dial_from(foreign(), server.address);
        let mut client = Client::bare(Box::new(stream));
        let id = client.ask("hello", json!({"proto": [1], "client": "test/1"}));
        client.try_ask("status", json!({})).ok();
        let line = client.line().expect("a reason");
        assert_ne!(line["id"], id);
        assert_eq!(line["err"]["code"], "tls_required");
        assert!(client.ends());
        let stream = sockets::dial_from(foreign(), server.address);
        let mut client = Client::over(Box::new(tls::session(stream, Trust::FirstUse)));
        client.sign_up("ada");
        // And plain from this machine.
        Client::connect(server.address).sign_up("bob");
    });
}

#[test]
fn where_plain_text_is_never_allowed_it_is_refused_from_here_too() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::prepare(folder.path(), "BCRYPT_COST=4\nCLIENT_PLAINTEXT=never\n");
    // What it answers to the first greeting, in plain text, is that refusal: it is up.
    server.spawn();
    let mut client = Client::bare(Box::new(dial(server.address)));
    client.ask("hello", json!({"proto": [1], "client": "test/1"}));
    assert_eq!(client.line().unwrap()["err"]["code"], "tls_required");
    assert!(client.ends());
    tls::connect(server.address).sign_up("ada");
}

#[test]
fn the_key_of_a_first_use_is_the_logged_one_stays_over_restarts_and_another_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let first = handshake(&server, Trust::FirstUse).unwrap().expect("a cluster's own identity");
    let logged = format!("fingerprint={first}");
    assert!(server.logged().contains(&logged), "no {logged} in {}", server.logged());
    server.kill();
    server.spawn();
    assert_eq!(handshake(&server, Trust::Pinned(first)), Ok(Some(first)));
    let elsewhere = tempfile::tempdir().unwrap();
    let other = Server::start(elsewhere.path(), "BCRYPT_COST=4\n");
    let refusal = handshake(&other, Trust::Pinned(first)).unwrap_err();
    assert!(refusal.contains("ChangedIdentity"), "{refusal}");
    assert!(handshake(&other, Trust::OrdinaryCertificate).is_err());
}

/// A greeting of TLS 1.2: no extension says that its sender knows 1.3.
fn hello_of_tls_1_2() -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(0);
    // ECDHE with AES and with ChaCha20, for both kinds of keys.
    let suites = [0xc0, 0x2b, 0xc0, 0x2f, 0xcc, 0xa8, 0xcc, 0xa9];
    hello.extend([0, 8]);
    hello.extend(suites);
    hello.extend([1, 0]);
    let groups = [0, 10, 0, 4, 0, 2, 0, 29];
    let signatures = [0, 13, 0, 8, 0, 6, 8, 7, 4, 3, 8, 4];
    hello.extend([0, 20]);
    hello.extend(groups);
    hello.extend(signatures);
    let length = u8::try_from(hello.len()).unwrap();
    [&[0x16, 3, 1, 0, length + 4, 1, 0, 0, length][..], &hello].concat()
}

#[test]
fn tls_1_2_is_refused_by_an_alert_and_what_is_no_tls_at_all_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), "BCRYPT_COST=4\n");
    let protocol_version = 70;
    let cases = [(hello_of_tls_1_2(), Some(protocol_version)), (vec![0x16; 300], None)];
    undisturbed(&server, || {
        for (bytes, reason) in &cases {
            let mut stream = dial(server.address);
            stream.write_all(bytes).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            assert_eq!(answer.first(), Some(&0x15), "no alert: {answer:?}");
            assert!(reason.is_none_or(|reason| answer.last() == Some(&reason)), "{answer:?}");
        }
    });
}

#[test]
fn an_operator_s_own_certificate_is_what_clients_see() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = "BCRYPT_COST=4\nTLS_CERT=cert.pem\nTLS_KEY=key.pem\n";
    let server = Server::start(folder.path(), settings);
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tls::over(dial(server.address), Arc::new(config), "chat.example");
    Client::over(Box::new(stream)).sign_up("ada");
    drop(server);
    // Another certificate's key: said at the start, with the key to mend.
    let other = rcgen::generate_simple_self_signed(vec!["chat.example".to_owned()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let (code, _, said) = Server::prepare(folder.path(), settings).run(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("TLS_KEY"), "{said}");
}
