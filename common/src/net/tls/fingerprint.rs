//! What people compare: the hash of the key of the cluster's authority.
//!
//! Owns: how it is computed, printed and read. Driven by: `tls`, the clients' screens and their
//! store. Invariant: reading what was printed gives the same value back.

use std::fmt;
use std::str::FromStr;

use ring::digest;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use crate::ids::{hex, unhex};

/// SHA-256 of the authority's public key (its `SubjectPublicKeyInfo`), so that a certificate may be
/// made anew and only another key counts as another cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate's key.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Fingerprint, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let hash = digest::digest(&digest::SHA256, &key);
        Ok(Fingerprint(hash.as_ref().try_into().expect("SHA-256 has 32 bytes")))
    }
}

/// Sixteen groups of four hex digits: people read and compare groups.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.chunks(2).enumerate() {
            let space = if at == 0 { "" } else { " " };
            write!(f, "{space}{}", hex(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a fingerprint of 64 hex digits")]
pub struct InvalidFingerprint;

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, InvalidFingerprint> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace() && *c != ':').collect();
        unhex(&digits).map(Fingerprint).ok_or(InvalidFingerprint)
    }
}
