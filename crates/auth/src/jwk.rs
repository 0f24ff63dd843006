//! Sets of keys, as RFC 7517 writes them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::jws::Key;

/// Keys of one set; further ones are not looked at.
const KEYS_MOST: usize = 256;

/// The first byte of a point whose both coordinates follow.
const UNCOMPRESSED: u8 = 4;

/// Keys by their id; one may have none.
pub(crate) type KeySet = BTreeMap<Option<String>, Key>;

/// The keys of a set that are understood and are for signatures; none if this is no set.
pub(crate) fn parse(text: &[u8]) -> Option<KeySet> {
    let document: Value = serde_json::from_slice(text).ok()?;
    let keys = document.get("keys")?.as_array()?;
    let usable = keys.iter().take(KEYS_MOST).filter_map(|key| {
        let id = key.get("kid").and_then(Value::as_str).map(str::to_owned);
        Some((id, read(key)?))
    });
    Some(usable.collect())
}

fn read(key: &Value) -> Option<Key> {
    let text = |name: &str| key.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?.trim_end_matches('=')).ok();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    match (text("kty")?, text("crv")) {
        ("RSA", _) => {
            Some(Key::RsaNumbers { modulus: number(bytes("n")?), exponent: number(bytes("e")?) })
        }
        ("EC", Some("P-256")) => Some(Key::P256(point(bytes("x")?, bytes("y")?))),
        ("EC", Some("P-384")) => Some(Key::P384(point(bytes("x")?, bytes("y")?))),
        ("OKP", Some("Ed25519")) => Some(Key::Ed25519(bytes("x")?)),
        ("oct", _) => Some(Key::Secret(bytes("k")?)),
        _ => None,
    }
}

/// Without the zeros in front that some write.
fn number(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

fn point(x: Vec<u8>, y: Vec<u8>) -> Vec<u8> {
    std::iter::once(UNCOMPRESSED).chain(x).chain(y).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_by_id_and_what_is_not_for_signatures_is_left_out() {
        let set = parse(
            br#"{"keys": [
                {"kty": "RSA", "kid": "a", "n": "AAEC", "e": "AQAB"},
                {"kty": "EC", "crv": "P-256", "kid": "b", "x": "AQ", "y": "Ag"},
                {"kty": "oct", "k": "AQI"},
                {"kty": "RSA", "kid": "c", "n": "AQ", "e": "AQ", "use": "enc"},
                {"kty": "EC", "crv": "P-521", "kid": "d", "x": "AQ", "y": "Ag"},
                {"kid": "e"}
            ]}"#,
        )
        .expect("a set");

        let ids: Vec<Option<&str>> = set.keys().map(Option::as_deref).collect();
        assert_eq!(ids, [None, Some("a"), Some("b")]);
        let rsa = Key::RsaNumbers { modulus: vec![1, 2], exponent: vec![1, 0, 1] };
        assert_eq!(set.get(&Some("a".to_owned())), Some(&rsa));
        assert_eq!(set.get(&Some("b".to_owned())), Some(&Key::P256(vec![4, 1, 2])));
        assert_eq!(set.get(&None), Some(&Key::Secret(vec![1, 2])));
    }

    #[test]
    fn what_is_no_set_is_none() {
        for text in ["", "[]", "{}", r#"{"keys": {}}"#, "<html>"] {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
