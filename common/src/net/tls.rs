//! Who is who: the identity that every server derives from the cluster's secret.
//!
//! Owns: the cluster's certificate authority (one Ed25519 key, the same on every server, out of
//! `CLUSTER_SECRET`), each server's own certificate, and the configurations of `rustls` that are
//! made of them. What a client trusts is in [`trust`]. Driven by: every program, at its start.
//!
//! Invariants: equal secrets give equal authorities, byte for byte, so `.env` is all that an
//! operator copies; no clock matters (certificates hold from 1975 to 4096, and ours are checked at
//! a fixed time); TLS 1.3 only. Does not: draw random numbers (a server's key comes out of the
//! secret too: whoever has the secret can make every certificate anyway), nor keep sessions for
//! resumption: a handshake takes 190 us, and tickets would hold memory for every idle connection.

mod fingerprint;
mod trust;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519,
};
use ring::hkdf;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use zeroize::Zeroizing;

use crate::config::Secret;
use crate::ids::{ServerId, hex};
pub use fingerprint::Fingerprint;
pub use trust::{ChangedIdentity, Trust, client_config, cluster_fingerprint, names_server};

/// The name in every server's certificate: what clients ask for, whatever address they dialled.
pub const CLUSTER_NAME: &str = "holdfast";

/// The authority's name: how a client tells a cluster's own chain from an ordinary one.
const AUTHORITY_NAME: &str = "Holdfast cluster authority";

/// Separates these keys from anything else that may once be derived from the secret.
const SALT: &[u8] = b"holdfast identity 1";

/// RFC 8410: what stands before the 32 bytes of an Ed25519 key in PKCS #8.
const ED25519_PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// When our own certificates are checked, whatever the clock says: any time within their validity.
const ALWAYS: UnixTime = UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000));

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate of our own could not be made.
    #[error("cannot make the server's certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// `rustls` refuses what it was given.
    #[error("cannot configure TLS: {0}")]
    Configuration(#[from] rustls::Error),
    /// The rules for the other side's certificate cannot be made.
    #[error("cannot configure TLS: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A PEM file cannot be used.
    #[error("{key}: {}: {reason}", path.display())]
    File {
        /// The setting that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// One server's place in the cluster's identity.
pub struct Identity {
    authority: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity {
    /// The identity of `server` in the cluster that has this secret.
    ///
    /// # Errors
    /// A certificate could not be made.
    pub fn new(secret: &Secret, server: ServerId) -> Result<Identity, TlsError> {
        let (authority, issuer) = authority(secret)?;
        let name = server_name(server);
        let (key, key_pair) = derived_key(secret, &format!("server {server}"))?;
        let mut params = CertificateParams::new(vec![CLUSTER_NAME.to_owned(), name.clone()])?;
        always_valid(&mut params);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let leaf = params.signed_by(&key_pair, &issuer)?.der().clone();
        Ok(Identity { chain: vec![leaf, authority.clone()], authority, key })
    }

    /// For the client port: anybody may come.
    ///
    /// # Errors
    /// `rustls` refuses the configuration.
    pub fn client_port_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let config = server_builder()?.with_no_client_auth();
        Ok(without_sessions(config.with_single_cert(self.chain.clone(), self.private_key())?))
    }

    /// For the replica port: only servers of this cluster get through. Which one it is says
    /// [`names_server`], once it has said who it claims to be.
    ///
    /// # Errors
    /// `rustls` refuses the configuration.
    pub fn link_listener_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build()?;
        let config = server_builder()?.with_client_cert_verifier(verifier);
        Ok(without_sessions(config.with_single_cert(self.chain.clone(), self.private_key())?))
    }

    /// For dialling the server `peer`: only it will do.
    ///
    /// # Errors
    /// `rustls` refuses the configuration.
    pub fn link_dialer_config(
        &self,
        peer: ServerId,
    ) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
        let mut config = ClientConfig::builder_with_details(provider(), Arc::new(FixedTime))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain.clone(), self.private_key())?;
        config.resumption = rustls::client::Resumption::disabled();
        let name = ServerName::try_from(server_name(peer))
            .expect("a word, a hyphen and digits are a DNS name");
        Ok((Arc::new(config), name))
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.clone())?;
        Ok(roots)
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.to_vec()).into()
    }
}

/// For a client port with a certificate of the operator's own (`TLS_CERT`, `TLS_KEY`): PEM files.
///
/// # Errors
/// What is wrong with which file.
pub fn own_certificate_config(
    certificate: &Path,
    key: &Path,
) -> Result<Arc<ServerConfig>, TlsError> {
    let fault = |name, path: &Path, reason| TlsError::File { key: name, path: path.into(), reason };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| fault("TLS_CERT", certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(fault("TLS_CERT", certificate, "there is no certificate in it".to_owned()));
    }
    let private_key = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| fault("TLS_KEY", key, error.to_string()))?;
    let config = server_builder()?
        .with_no_client_auth()
        .with_single_cert(chain, private_key)
        .map_err(|error| fault("TLS_KEY", key, format!("not the certificate's key: {error}")))?;
    Ok(without_sessions(config))
}

/// The fingerprint that clients of the cluster with this secret see and pin.
///
/// # Errors
/// The authority could not be made.
pub fn fingerprint(secret: &Secret) -> Result<Fingerprint, TlsError> {
    let (authority, _) = authority(secret)?;
    Ok(Fingerprint::of(&authority)?)
}

/// A secret for a new cluster, out of 32 random bytes.
pub fn fresh_secret(entropy: [u8; 32]) -> String {
    hex(&entropy)
}

fn authority(
    secret: &Secret,
) -> Result<(CertificateDer<'static>, Issuer<'static, KeyPair>), TlsError> {
    let (_, key_pair) = derived_key(secret, "authority")?;
    let mut params = CertificateParams::default();
    always_valid(&mut params);
    params.distinguished_name.push(DnType::CommonName, AUTHORITY_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key_pair)?.der().clone();
    Ok((certificate, Issuer::new(params, key_pair)))
}

fn always_valid(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(1975, 1, 1);
    params.not_after = rcgen::date_time_ymd(4096, 1, 1);
    params.distinguished_name = rcgen::DistinguishedName::new();
}

/// The key for `purpose`, as PKCS #8 and as what signs.
fn derived_key(secret: &Secret, purpose: &str) -> Result<(Zeroizing<Vec<u8>>, KeyPair), TlsError> {
    let mut seed = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, SALT)
        .extract(secret.expose().as_bytes())
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|key_material| key_material.fill(&mut seed[..]))
        .expect("32 bytes are what was asked for, and far below the limit of HKDF");
    let pkcs8 = Zeroizing::new([&ED25519_PKCS8_PREFIX[..], &seed[..]].concat());
    let key_pair = KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(pkcs8.as_slice()),
        &PKCS_ED25519,
    )?;
    Ok((pkcs8, key_pair))
}

fn server_name(server: ServerId) -> String {
    format!("server-{server}")
}

fn server_builder()
-> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>, rustls::Error> {
    ServerConfig::builder_with_details(provider(), Arc::new(FixedTime))
        .with_protocol_versions(&[&rustls::version::TLS13])
}

fn without_sessions(mut config: ServerConfig) -> Arc<ServerConfig> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// See [`ALWAYS`].
#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(ALWAYS)
    }
}

#[cfg(test)]
mod tests;
