//! A server that is none: it dials a replica port with whatever identity a test gives it, and says
//! whatever a test wants. The frames are written down here once more, as anybody else would have to
//! who speaks to these servers: so a change of the format is seen.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use holdfast_common::config::Secret;
use holdfast_common::ids::ServerId;
use holdfast_common::net::tls::{CLUSTER_NAME, Identity};
use holdfast_server::chat::operation::Operation;
use holdfast_server::entry::{Ballot, ClusterId, Incarnation, Index, StoreId};
use holdfast_server::node::Shared;
use holdfast_server::replication::wire::{Hello, Message, Place};
use holdfast_server::work::Part;
use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose, PKCS_ED25519};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use serde::{Deserialize, Serialize};

use crate::support::client::dial;
use crate::support::tls::{Stream, over};

/// What servers say to each other.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Frame {
    Hello(Greeting),
    Refused(String),
    Replication(Message),
    Forward(u64, Operation),
    Forwarded(u64, Forwarded),
    Snapshot { stream: u64, number: u64, part: Part },
    SnapshotTaken { stream: u64, taken: u64 },
    Ask(u64),
    News(u64, Index),
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Forwarded {
    Logged(Index, Ballot),
    Busy,
    NotPrimary,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) wire: u32,
    pub(crate) shared: Shared,
    pub(crate) hello: Hello,
}

impl Frame {
    /// As it goes over a link.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        framed(&postcard::to_stdvec(self).unwrap())
    }
}

/// With its length before it.
pub(crate) fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_le_bytes(), bytes].concat()
}

/// How the clusters are set that this peer speaks to: on a machine that is busy with other tests
/// nobody is elected for want of a core, so that an election says that somebody was disturbed.
pub(crate) const PATIENT: [(&str, &str); 2] = [("ELECTION_MS", "2000"), ("REMOVE_MS", "4000")];

/// A greeting with which a server of such a cluster would be let in.
pub(crate) fn greeting(server: u8) -> Greeting {
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let shared = [
        ("servers", "3"),
        ("SURVIVOR_POLICY", "proof"),
        ("HEARTBEAT_MS", "50"),
        PATIENT[0],
        PATIENT[1],
    ];
    let incarnation =
        Incarnation { server: ServerId(server), store: StoreId(0x0bad_0bad), life: 1 };
    Greeting {
        wire: 3,
        shared: Shared(shared.into_iter().map(pair).collect()),
        hello: Hello { incarnation, cluster: None, committed: Place::START, is_fresh: false },
    }
}

/// One that says that it is of another cluster.
pub(crate) fn of_another_cluster(server: u8) -> Greeting {
    let mut greeting = greeting(server);
    greeting.hello.cluster = Some(ClusterId([7; 16]));
    greeting
}

/// A TLS session as the server of this number, by the cluster's secret; nothing is said yet.
pub(crate) fn link(to: SocketAddr, peer: u8, secret: &str, server: u8) -> Stream {
    let identity = Identity::new(&Secret::new(secret.to_owned()), ServerId(server)).unwrap();
    let (config, _) = identity.link_dialer_config(ServerId(peer)).unwrap();
    over(dial(to), config, &format!("server-{peer}"))
}

/// The same, and a greeting sent.
pub(crate) fn greet(mut link: Stream, greeting: Greeting) -> Stream {
    link.write_all(&Frame::Hello(greeting).bytes()).unwrap();
    link.flush().unwrap();
    link
}

/// The next frame; nothing at the end of the link.
pub(crate) fn next(link: &mut Stream) -> Option<Frame> {
    let mut length = [0; 4];
    link.read_exact(&mut length).ok()?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    link.read_exact(&mut bytes).ok()?;
    Some(postcard::from_bytes(&bytes).unwrap())
}

/// Trusts anybody: a liar does not care to whom it speaks.
#[derive(Debug)]
struct Blind(Arc<CryptoProvider>);

impl ServerCertVerifier for Blind {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// A session of whoever has the authority's key that this secret gives, with a certificate for
/// these names; it speaks to anybody.
pub(crate) fn forged(to: SocketAddr, secret: &str, names: &[&str]) -> Stream {
    let key = |purpose: &str| {
        let mut seed = [0; 32];
        ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, b"holdfast identity 1")
            .extract(secret.as_bytes())
            .expand(&[purpose.as_bytes()], ring::hkdf::HKDF_SHA256)
            .and_then(|material| material.fill(&mut seed))
            .unwrap();
        let prefix = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";
        let pkcs8 = [&prefix[..], &seed].concat();
        let pair = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        (KeyPair::from_pkcs8_der_and_sign_algo(&pair, &PKCS_ED25519).unwrap(), pkcs8)
    };
    let mut authority = CertificateParams::default();
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Holdfast cluster authority");
    let issuer = rcgen::Issuer::new(authority, key("authority").0);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let (pair, pkcs8) = key("a liar");
    let leaf = leaf.signed_by(&pair, &issuer).unwrap().der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Blind(provider)))
        .with_client_auth_cert(vec![leaf], PrivatePkcs8KeyDer::from(pkcs8).into())
        .unwrap();
    over(dial(to), Arc::new(config), CLUSTER_NAME)
}
