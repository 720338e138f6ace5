//! Identities and trust.
