//! Whoever makes tokens, for tests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use serde_json::{Value, json};

/// Somebody who makes tokens.
#[derive(Debug)]
pub struct Issuer {
    id: String,
    edwards: Ed25519KeyPair,
    curve: EcdsaKeyPair,
    random: SystemRandom,
}

impl Issuer {
    /// With keys whose ids begin with `id`.
    ///
    /// # Panics
    /// When the system has no chance to offer.
    #[must_use]
    pub fn new(id: &str) -> Self {
        let random = SystemRandom::new();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).expect("chance");
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let curve = curve.expect("chance");
        let curve =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, curve.as_ref(), &random);
        Self {
            id: id.to_owned(),
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).expect("a key"),
            curve: curve.expect("a key"),
            random,
        }
    }

    /// The set of its keys.
    #[must_use]
    pub fn jwks(&self) -> String {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = self.curve.public_key().as_ref();
        let (x, y) = point.split_at(point.len().div_ceil(2));
        let x = x.strip_prefix(&[4]).unwrap_or_default();
        json!({"keys": [
            {
                "kty": "OKP", "crv": "Ed25519", "kid": self.id, "use": "sig", "alg": "EdDSA",
                "x": text(self.edwards.public_key().as_ref()),
            },
            {
                "kty": "EC", "crv": "P-256", "kid": format!("{}-es256", self.id),
                "x": text(x), "y": text(y),
            },
        ]})
        .to_string()
    }

    /// A token that says so, signed with EdDSA.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": "EdDSA", "typ": "JWT", "kid": self.id}), claims);
        let signature = self.edwards.sign(signed.as_bytes());
        with_signature(&signed, signature.as_ref())
    }

    /// A token that says so, signed with ES256.
    ///
    /// # Panics
    /// When the system has no chance to offer.
    #[must_use]
    pub fn token_es256(&self, claims: &Value) -> String {
        let signed =
            unsigned(&json!({"alg": "ES256", "kid": format!("{}-es256", self.id)}), claims);
        let signature = self.curve.sign(&self.random, signed.as_bytes()).expect("chance");
        with_signature(&signed, signature.as_ref())
    }
}

/// What a client shows before it shows `verifier` itself (RFC 7636).
#[must_use]
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

/// The first two parts of a token.
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// All three parts of it.
#[must_use]
pub fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
