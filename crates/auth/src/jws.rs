//! Signatures: which there are, and whether one is right.
//!
//! The key decides what a signature may be, never the token: what an RSA key signed is not tried
//! with a secret, and `none` is the name of nothing.

use ring::hmac;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents,
    UnparsedPublicKey, VerificationAlgorithm,
};

/// Bytes of the shortest secret that may sign: as long as the shortest hash.
const SECRET_LEAST_BYTES: usize = 32;

/// How something may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    const NAMES: [(&'static str, Self); 12] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
        ("HS256", Self::Hs256),
        ("HS384", Self::Hs384),
        ("HS512", Self::Hs512),
    ];

    /// The one that RFC 7518 calls `name`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
    }

    fn of_rsa(self) -> Option<&'static RsaParameters> {
        match self {
            Self::Rs256 => Some(&RSA_PKCS1_2048_8192_SHA256),
            Self::Rs384 => Some(&RSA_PKCS1_2048_8192_SHA384),
            Self::Rs512 => Some(&RSA_PKCS1_2048_8192_SHA512),
            Self::Ps256 => Some(&RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => Some(&RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => Some(&RSA_PSS_2048_8192_SHA512),
            Self::Es256 | Self::Es384 | Self::EdDsa | Self::Hs256 | Self::Hs384 | Self::Hs512 => {
                None
            }
        }
    }

    fn of_secrets(self) -> Option<hmac::Algorithm> {
        match self {
            Self::Hs256 => Some(hmac::HMAC_SHA256),
            Self::Hs384 => Some(hmac::HMAC_SHA384),
            Self::Hs512 => Some(hmac::HMAC_SHA512),
            Self::Rs256
            | Self::Rs384
            | Self::Rs512
            | Self::Ps256
            | Self::Ps384
            | Self::Ps512
            | Self::Es256
            | Self::Es384
            | Self::EdDsa => None,
        }
    }
}

/// What a signature is checked with.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// An RSA key's numbers, big-endian.
    RsaNumbers { modulus: Vec<u8>, exponent: Vec<u8> },
    /// The same as PKCS #1 encodes them.
    Rsa(Vec<u8>),
    /// A point of P-256.
    P256(Vec<u8>),
    /// A point of P-384.
    P384(Vec<u8>),
    /// A key of Ed25519.
    Ed25519(Vec<u8>),
    /// What both ends know.
    Secret(Vec<u8>),
}

impl Key {
    /// Whether whoever has this key signed `message` so.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let with = |by: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(by, key).verify(message, signature).is_ok()
        };
        match self {
            Self::RsaNumbers { modulus, exponent } => algorithm.of_rsa().is_some_and(|by| {
                let key = RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(by, message, signature).is_ok()
            }),
            Self::Rsa(key) => algorithm.of_rsa().is_some_and(|by| with(by, key)),
            Self::P256(key) => algorithm == Algorithm::Es256 && with(&ECDSA_P256_SHA256_FIXED, key),
            Self::P384(key) => algorithm == Algorithm::Es384 && with(&ECDSA_P384_SHA384_FIXED, key),
            Self::Ed25519(key) => algorithm == Algorithm::EdDsa && with(&ED25519, key),
            Self::Secret(secret) => algorithm.of_secrets().is_some_and(|by| {
                let key = hmac::Key::new(by, secret);
                secret.len() >= SECRET_LEAST_BYTES && hmac::verify(&key, message, signature).is_ok()
            }),
        }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::RsaNumbers { .. } | Self::Rsa(_) => "Key(RSA)",
            Self::P256(_) => "Key(P-256)",
            Self::P384(_) => "Key(P-384)",
            Self::Ed25519(_) => "Key(Ed25519)",
            Self::Secret(_) => "Key(secret)",
        })
    }
}
