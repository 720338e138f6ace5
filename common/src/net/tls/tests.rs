//! Identities and trust, by handshakes in memory.

use rustls::client::danger::ServerCertVerifier;
use rustls::{CertificateError, ClientConnection, ServerConnection};

use super::*;
use crate::net::tls::trust::verifier;

fn secret(text: &str) -> Secret {
    Secret::new(format!("a secret that is long enough: {text}"))
}

fn identity(secret_text: &str, server: u8) -> Identity {
    Identity::new(&secret(secret_text), ServerId(server)).unwrap()
}

/// Shakes hands to the end; the client's view first. What each has seen of the other, or its error.
fn shake(
    client: (Arc<ClientConfig>, ServerName<'static>),
    server: Arc<ServerConfig>,
) -> (
    Result<Vec<CertificateDer<'static>>, rustls::Error>,
    Result<Vec<CertificateDer<'static>>, rustls::Error>,
) {
    let mut client = rustls::Connection::from(ClientConnection::new(client.0, client.1).unwrap());
    let mut server = rustls::Connection::from(ServerConnection::new(server).unwrap());
    let mut errors = [None, None];
    for _ in 0..5 {
        for at in 0..2 {
            let (from, to) =
                if at == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            while from.wants_write() {
                let mut records = Vec::new();
                from.write_tls(&mut records).unwrap();
                let mut rest = &records[..];
                while !rest.is_empty() && to.read_tls(&mut rest).unwrap_or(0) > 0 {
                    if let Err(error) = to.process_new_packets() {
                        errors[1 - at].get_or_insert(error);
                    }
                }
            }
        }
    }
    let view = |connection: &rustls::Connection, error: Option<rustls::Error>| match error {
        Some(error) => Err(error),
        None => {
            assert!(!connection.is_handshaking());
            Ok(connection.peer_certificates().unwrap_or_default().to_vec())
        }
    };
    let [client_error, server_error] = errors;
    (view(&client, client_error), view(&server, server_error))
}

fn dial(trust: Trust) -> (Arc<ClientConfig>, ServerName<'static>) {
    (client_config(trust).unwrap(), ServerName::try_from("10.1.2.3").unwrap())
}

#[test]
fn every_server_of_a_secret_shows_the_same_authority_and_a_leaf_of_its_own() {
    let (one, two) = (identity("s", 1), identity("s", 2));
    assert_eq!(one.authority, two.authority, "byte for byte");
    assert_ne!(one.chain[0], two.chain[0]);
    assert_eq!(one.chain, identity("s", 1).chain, "and again after a restart");
    assert_ne!(one.authority, identity("t", 1).authority);
}

#[test]
fn the_authoritys_name_is_the_one_that_clients_look_for() {
    let identity = identity("s", 1);
    let roots = identity.roots().unwrap();
    assert_eq!(roots.roots[0].subject.as_ref(), trust::authority_subject());
    assert_eq!(cluster_fingerprint(&identity.chain), Some(fingerprint(&secret("s")).unwrap()));
    assert_eq!(cluster_fingerprint(&identity.chain[..1]), None);
    assert_eq!(cluster_fingerprint(&[]), None);
}

#[test]
fn a_first_use_sees_the_fingerprint_that_the_server_prints_and_its_pin_passes_everywhere() {
    let expected = fingerprint(&secret("s")).unwrap();
    let (chain, _) = shake(dial(Trust::FirstUse), identity("s", 1).client_port_config().unwrap());
    assert_eq!(cluster_fingerprint(&chain.unwrap()), Some(expected));
    let (chain, _) =
        shake(dial(Trust::Pinned(expected)), identity("s", 3).client_port_config().unwrap());
    assert_eq!(cluster_fingerprint(&chain.unwrap()), Some(expected));
}

#[test]
fn another_key_than_the_pinned_one_is_a_changed_identity() {
    let pinned = fingerprint(&secret("s")).unwrap();
    let presented = Some(fingerprint(&secret("t")).unwrap());
    let (seen, told) =
        shake(dial(Trust::Pinned(pinned)), identity("t", 1).client_port_config().unwrap());
    let error = seen.unwrap_err();
    let changed = ChangedIdentity::within(&error).unwrap();
    assert_eq!(changed, ChangedIdentity { pinned: Some(pinned), presented });
    assert!(changed.to_string().starts_with(&format!("changed identity: pinned {pinned}")));
    assert!(told.is_err(), "the server learns that it was refused");
}

#[test]
fn an_ordinary_certificate_does_not_pass_for_a_pinned_cluster() {
    let pinned = fingerprint(&secret("s")).unwrap();
    let (certificate, key) = ordinary("10.1.2.3");
    let config = own_certificate_config(certificate.path(), key.path()).unwrap();
    let error = shake(dial(Trust::Pinned(pinned)), Arc::clone(&config)).0.unwrap_err();
    let changed = ChangedIdentity { pinned: Some(pinned), presented: None };
    assert_eq!(ChangedIdentity::within(&error), Some(changed));
    // Nobody that this system trusts has signed it, so a first use refuses it as well.
    let error = shake(dial(Trust::FirstUse), config).0.unwrap_err();
    assert_eq!(ChangedIdentity::within(&error), None);
}

#[test]
fn a_client_that_knows_an_ordinary_certificate_takes_no_clusters_word() {
    let config = identity("s", 1).client_port_config().unwrap();
    let error = shake(dial(Trust::OrdinaryCertificate), config).0.unwrap_err();
    let presented = Some(fingerprint(&secret("s")).unwrap());
    let changed = ChangedIdentity { pinned: None, presented };
    assert_eq!(ChangedIdentity::within(&error), Some(changed));
    let (certificate, key) = ordinary("10.1.2.3");
    let config = own_certificate_config(certificate.path(), key.path()).unwrap();
    let error = shake(dial(Trust::OrdinaryCertificate), config).0.unwrap_err();
    assert_eq!(ChangedIdentity::within(&error), None, "nobody vouches for it, that is all");
}

#[test]
fn a_leaf_that_the_shown_authority_has_not_signed_is_refused() {
    let (real, other) = (identity("s", 1), identity("t", 1));
    let pinned = fingerprint(&secret("s")).unwrap();
    let name = ServerName::try_from("10.1.2.3").unwrap();
    // The thief shows the real authority behind a leaf of its own, and its own behind that.
    let stolen = [real.authority.clone(), other.authority.clone()];
    for trust in [Trust::FirstUse, Trust::Pinned(pinned)] {
        let judge = verifier(trust);
        let verify = |leaf: &CertificateDer<'_>, rest: &[CertificateDer<'_>], seconds| {
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            judge.verify_server_cert(leaf, rest, &name, &[], now)
        };
        verify(&other.chain[0], &stolen, 2_000_000_000).unwrap_err();
        for seconds in [0, 60_000_000_000] {
            verify(&real.chain[0], &real.chain[1..], seconds).expect("no clock matters");
        }
        // A flipped bit anywhere breaks the signature or the form.
        for at in [30, real.chain[0].len() / 2, real.chain[0].len() - 1] {
            let mut tampered = real.chain[0].to_vec();
            tampered[at] ^= 1;
            verify(&tampered.into(), &real.chain[1..], 0).unwrap_err();
        }
        // An authority is no server.
        verify(&real.authority, &real.chain[1..], 0).unwrap_err();
    }
}

#[test]
fn servers_of_one_cluster_link_and_know_each_other_by_name() {
    let (one, two) = (identity("s", 1), identity("s", 2));
    let dialer = one.link_dialer_config(ServerId(2)).unwrap();
    let (seen, told) = shake(dialer, two.link_listener_config().unwrap());
    assert!(names_server(&seen.unwrap()[0], ServerId(2)));
    let chain = told.unwrap();
    assert!(names_server(&chain[0], ServerId(1)) && !names_server(&chain[0], ServerId(2)));
    assert!(!names_server(&CertificateDer::from(vec![1, 2, 3]), ServerId(1)));
}

#[test]
fn a_link_refuses_another_server_another_cluster_and_a_client() {
    let (one, two, stranger) = (identity("s", 1), identity("s", 2), identity("t", 2));
    let to = |server| one.link_dialer_config(ServerId(server)).unwrap();
    let error = shake(to(3), two.link_listener_config().unwrap()).0.unwrap_err();
    assert!(
        matches!(
            error,
            rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })
        ),
        "{error}"
    );
    assert!(shake(to(2), stranger.link_listener_config().unwrap()).0.is_err());
    let outsider = stranger.link_dialer_config(ServerId(2)).unwrap();
    assert!(shake(outsider, two.link_listener_config().unwrap()).1.is_err());
    let client = dial(Trust::FirstUse);
    assert!(shake(client, two.link_listener_config().unwrap()).1.is_err(), "it has no certificate");
}

#[test]
fn a_fingerprint_reads_back_what_it_printed_however_people_write_it() {
    let fingerprint = fingerprint(&secret("s")).unwrap();
    let text = fingerprint.to_string();
    assert_eq!(text.len(), 16 * 4 + 15);
    assert_eq!(text.parse(), Ok(fingerprint));
    assert_eq!(text.to_uppercase().replace(' ', ":").parse(), Ok(fingerprint));
    for wrong in ["", "abcd", &text[1..], &format!("{text} 00"), &text.replace(' ', "-")] {
        assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong:?}");
    }
}

#[test]
fn faults_of_certificate_files_name_setting_file_and_reason() {
    let (certificate, key) = ordinary("example.org");
    let (_, foreign_key) = ordinary("example.org");
    let empty = tempfile::NamedTempFile::new().unwrap();
    let missing = Path::new("/nonexistent/file.pem");
    for (certificate, key, expected) in [
        (missing, key.path(), "TLS_CERT"),
        (empty.path(), key.path(), "TLS_CERT"),
        (certificate.path(), missing, "TLS_KEY"),
        (certificate.path(), empty.path(), "TLS_KEY"),
        (certificate.path(), foreign_key.path(), "TLS_KEY"),
    ] {
        let error = own_certificate_config(certificate, key).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_fresh_secret_is_long_enough_and_differs() {
    let secret = fresh_secret([1; 32]);
    assert!(secret.len() >= 43);
    assert_ne!(secret, fresh_secret([2; 32]));
}

/// A self-signed certificate for `host` and its key, as files.
fn ordinary(host: &str) -> (tempfile::NamedTempFile, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    let file = |text: String| {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    };
    (file(made.cert.pem()), file(made.signing_key.serialize_pem()))
}
