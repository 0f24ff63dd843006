//! Public keys in files, for whoever checks signatures with them.

use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION,
    OID_SIG_ED25519,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::error::TlsError;
use crate::files::{read, senseless};

/// What kind of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicKeyKind {
    /// RSA, as PKCS #1 encodes it.
    Rsa,
    /// A point of P-256.
    P256,
    /// A point of P-384.
    P384,
    /// Ed25519.
    Ed25519,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// What kind it is.
    pub kind: PublicKeyKind,
    /// The key itself, in the form that its kind has.
    pub bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM file with a public key, or with a certificate for one.
    ///
    /// # Errors
    /// When it cannot be read, or has none that is understood.
    pub fn read(path: &Path) -> Result<Self, TlsError> {
        let text = read(path)?;
        let key = match SubjectPublicKeyInfoDer::from_pem_slice(&text) {
            Ok(key) => Self::of_info(&key),
            Err(_) => {
                let certificate = CertificateDer::from_pem_slice(&text);
                certificate.ok().and_then(|certificate| Self::of_certificate(&certificate))
            }
        };
        key.ok_or_else(|| senseless(path, &"no public key that is understood is in it"))
    }

    fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Self::of_info(certificate.public_key().raw)
    }

    pub(crate) fn of_info(der: &[u8]) -> Option<Self> {
        let (_, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
        let algorithm = &info.algorithm;
        let curve = || algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        let kind = if algorithm.algorithm == OID_PKCS1_RSAENCRYPTION {
            PublicKeyKind::Rsa
        } else if algorithm.algorithm == OID_SIG_ED25519 {
            PublicKeyKind::Ed25519
        } else if algorithm.algorithm != OID_KEY_TYPE_EC_PUBLIC_KEY {
            return None;
        } else if curve()? == OID_EC_P256 {
            PublicKeyKind::P256
        } else if curve()? == OID_NIST_EC_P384 {
            PublicKeyKind::P384
        } else {
            return None;
        };
        Some(Self { kind, bytes: info.subject_public_key.data.to_vec() })
    }
}
