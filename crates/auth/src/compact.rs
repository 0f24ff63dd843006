//! A token in its compact form: three parts between dots.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::jws::{Algorithm, Key};

/// Bytes of a token; usual are one or two thousand.
const TOKEN_MOST_BYTES: usize = 64 * 1024;

/// A token that nobody has looked at the signature of.
#[derive(Debug)]
pub(crate) struct Compact<'a> {
    /// How it says that it is signed; none where that is nothing that is known.
    pub(crate) algorithm: Option<Algorithm>,
    /// Which key it says that it is signed with.
    pub(crate) key_id: Option<String>,
    /// What it says.
    pub(crate) claims: Map<String, Value>,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Compact<'a> {
    /// Takes a token apart; none where it is none, or asks for more than is known here.
    pub(crate) fn parse(token: &'a [u8]) -> Option<Self> {
        if token.len() > TOKEN_MOST_BYTES {
            return None;
        }
        let text = std::str::from_utf8(token).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = object(header)?;
        // RFC 7515, 4.1.11: whoever does not know what is critical must refuse.
        if header.contains_key("crit") {
            return None;
        }
        let text_of = |name: &str| header.get(name).and_then(Value::as_str);
        Some(Self {
            algorithm: text_of("alg").and_then(Algorithm::parse),
            key_id: text_of("kid").map(str::to_owned),
            claims: object(claims)?,
            signed: signed.as_bytes(),
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whether whoever has `key` signed it as it says, in one of these ways.
    pub(crate) fn is_signed_with(&self, key: &Key, allowed: &[Algorithm]) -> bool {
        self.algorithm.is_some_and(|algorithm| {
            allowed.contains(&algorithm) && key.verifies(algorithm, self.signed, &self.signature)
        })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok()?;
    match serde_json::from_slice(&bytes).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}
