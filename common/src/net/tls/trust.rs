//! Whom a client believes.
//!
//! Owns: the rules by which a server's certificate chain is judged. Driven by: `rustls`, within the
//! handshake. Invariants: a chain that shows a cluster's authority must be signed by it, for the
//! name `holdfast`; with a pin, nothing but the pinned key passes, an ordinary certificate neither;
//! any other chain is judged by the web's rules for the dialled host. Does not: ask anybody. A
//! client that trusts at first use shows [`cluster_fingerprint`] to its person, and pins it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    Resumption, WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor, verify_server_name,
};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use super::{ALWAYS, AUTHORITY_NAME, CLUSTER_NAME, Fingerprint, TlsError, provider, server_name};
use crate::ids::ServerId;

/// Whom a client believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Whichever cluster answers; its fingerprint is to be shown and pinned. A server with an
    /// ordinary certificate passes by the web's rules.
    FirstUse,
    /// The cluster whose authority has this fingerprint.
    Pinned(Fingerprint),
    /// Only ordinary certificates: what the client has seen here before. So nobody can bring it
    /// back to the question of a first use.
    OrdinaryCertificate,
}

/// A server has shown another identity than the one that the client knows: a full stop. Where no
/// fingerprint stands, it is that of an ordinary certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedIdentity {
    /// What was pinned.
    pub pinned: Option<Fingerprint>,
    /// What came.
    pub presented: Option<Fingerprint>,
}

impl ChangedIdentity {
    /// Finds it in the error that a handshake ended with.
    pub(in crate::net) fn within(error: &rustls::Error) -> Option<ChangedIdentity> {
        let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) = error
        else {
            return None;
        };
        other.downcast_ref().copied()
    }
}

impl std::error::Error for ChangedIdentity {}

impl fmt::Display for ChangedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |identity: Option<Fingerprint>| {
            identity.map_or_else(|| "an ordinary certificate".to_owned(), |key| key.to_string())
        };
        write!(
            f,
            "changed identity: pinned {}, presented {}",
            name(self.pinned),
            name(self.presented)
        )
    }
}

/// A client's configuration.
///
/// # Errors
/// `rustls` refuses the configuration.
pub fn client_config(trust: Trust) -> Result<Arc<ClientConfig>, TlsError> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier(trust)))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

pub(super) fn verifier(trust: Trust) -> Verifier {
    Verifier { trust, provider: provider(), web: OnceLock::new() }
}

/// The fingerprint of the cluster that showed this chain (see `Connection::peer_certificates`);
/// nothing if it was an ordinary one.
pub fn cluster_fingerprint(chain: &[CertificateDer<'_>]) -> Option<Fingerprint> {
    let authority = authority_in(chain.get(1..)?)?;
    Fingerprint::of(authority).ok()
}

/// Whether a certificate, which has been verified, is that of `server`.
pub fn names_server(certificate: &CertificateDer<'_>, server: ServerId) -> bool {
    let name = server_name(server);
    let (Ok(certificate), Ok(name)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from(name.as_str()))
    else {
        return false;
    };
    verify_server_name(&certificate, &name).is_ok()
}

/// The first certificate that has our authority's name. It proves nothing yet: the leaf must be
/// signed by it, and its key must be the pinned one.
fn authority_in<'c, 'd>(chain: &'c [CertificateDer<'d>]) -> Option<&'c CertificateDer<'d>> {
    chain.iter().find(|certificate| {
        anchor(certificate).is_ok_and(|roots| {
            roots.roots.iter().any(|anchor| anchor.subject.as_ref() == authority_subject())
        })
    })
}

fn anchor(certificate: &CertificateDer<'_>) -> Result<RootCertStore, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned())?;
    Ok(roots)
}

/// The subject of our authority as DER: one common name, a UTF-8 string.
pub(super) fn authority_subject() -> Vec<u8> {
    let text = AUTHORITY_NAME.as_bytes();
    let length = u8::try_from(text.len()).expect("the name is short");
    let head = [0x31, length + 9, 0x30, length + 7, 6, 3, 0x55, 4, 3, 0x0c, length];
    [&head[..], text].concat()
}

#[derive(Debug)]
pub(super) struct Verifier {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    /// Made when the first ordinary certificate comes: it reads the system's roots.
    web: OnceLock<Result<Arc<WebPkiServerVerifier>, rustls::Error>>,
}

impl Verifier {
    /// A leaf that the cluster's authority has signed; the clock does not matter.
    fn verify_cluster(
        &self,
        leaf: &CertificateDer<'_>,
        authority: &CertificateDer<'_>,
    ) -> Result<(), rustls::Error> {
        if let Trust::Pinned(pinned) = self.trust {
            let presented = Fingerprint::of(authority)?;
            if presented != pinned {
                return Err(changed(Some(pinned), Some(presented)));
            }
        }
        let leaf = ParsedCertificate::try_from(leaf)?;
        verify_server_cert_signed_by_trust_anchor(
            &leaf,
            &anchor(authority)?,
            &[],
            ALWAYS,
            self.provider.signature_verification_algorithms.all,
        )?;
        let name = ServerName::try_from(CLUSTER_NAME).expect("one word is a DNS name");
        verify_server_name(&leaf, &name)
    }

    /// The rules of the web, with the roots that this system trusts: an organisation that gives its
    /// servers certificates has installed its own root there too.
    fn web(&self) -> Result<&WebPkiServerVerifier, rustls::Error> {
        let made = self.web.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            let system = rustls_native_certs::load_native_certs();
            for error in &system.errors {
                log::warn!("a root certificate of this system cannot be read: {error}");
            }
            roots.add_parsable_certificates(system.certs);
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| rustls::Error::General(format!("the system's roots: {error}")))
        });
        made.as_deref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match (self.trust, authority_in(intermediates)) {
            (Trust::FirstUse | Trust::Pinned(_), Some(authority)) => {
                self.verify_cluster(end_entity, authority)?;
                Ok(ServerCertVerified::assertion())
            }
            (Trust::Pinned(pinned), None) => Err(changed(Some(pinned), None)),
            (Trust::OrdinaryCertificate, Some(authority)) => {
                Err(changed(None, Some(Fingerprint::of(authority)?)))
            }
            (Trust::FirstUse | Trust::OrdinaryCertificate, None) => self.web()?.verify_server_cert(
                end_entity,
                intermediates,
                server_name,
                ocsp_response,
                now,
            ),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn changed(pinned: Option<Fingerprint>, presented: Option<Fingerprint>) -> rustls::Error {
    let error = ChangedIdentity { pinned, presented };
    CertificateError::Other(OtherError(Arc::new(error))).into()
}
