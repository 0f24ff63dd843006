//! Any bytes as what comes from strangers, read as it is before anything is believed.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::authority::{Question, What};
use crate::compact::Compact;
use crate::jws::{Algorithm, Key};
use crate::scopes::Scopes;
use crate::settings::ResourceServer;
use crate::{audience, jwk, wildcard};

/// Reads `bytes` as a token, and as the claims of one that was signed.
pub fn tokens(bytes: &[u8]) {
    if let Some(token) = Compact::parse(bytes) {
        let _is_good = token.is_signed_with(&Key::Secret(vec![7; 32]), &[Algorithm::Hs256]);
        read(&token.claims);
    }
    if let Ok(Value::Object(claims)) = serde_json::from_slice(bytes) {
        read(&claims);
    }
}

/// Reads `bytes` as a set of keys.
pub fn keys(bytes: &[u8]) {
    for key in jwk::parse(bytes).into_iter().flat_map(|set| set.into_values()) {
        for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs256] {
            let _is_right = key.verifies(algorithm, b"signed", bytes);
        }
    }
}

/// Reads `bytes` as a pattern and what may match it, with a line's end between them.
pub fn patterns(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some((pattern, subject)) = text.split_once('\n') {
        let _matches = wildcard::matches(subject, pattern);
    }
}

fn read(claims: &Map<String, Value>) {
    let server = ResourceServer {
        scope_prefix: String::new(),
        additional_scopes_key: "roles a.b.c".to_owned(),
        ..ResourceServer::default()
    };
    let other = ResourceServer { id: "a".to_owned(), ..ResourceServer::default() };
    drop(
        audience::resolve(&[server.clone(), other], claims.get("aud")).map(|found| found.id.len()),
    );
    let what = What::Topic {
        exchange: Cow::Borrowed("t"),
        routing_key: Cow::Borrowed("a.b"),
        permission: "write",
    };
    let question = Question { vhost: Cow::Borrowed("/"), what };
    if let Some(scopes) = Scopes::of(&server, claims) {
        let _is_allowed = scopes.allow(&question);
    }
}
