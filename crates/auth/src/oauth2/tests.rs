//! Tests of `oauth2`: tokens by how they are signed and by what they say.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::kit::{Issuer, unsigned, with_signature};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A judge of tokens whose keys stand in files: one resource server, one provider.
struct Court {
    dir: TempDir,
    issuer: Issuer,
    settings: Oauth2Settings,
}

/// A key of RSA, made when the test runs: ring has none to give.
struct Rsa {
    private: RsaKeyPair,
    public: PathBuf,
}

impl Rsa {
    /// None, said on stderr, where there is no openssl and nobody asked for it to be there.
    fn make(court: &mut Court) -> Option<Self> {
        let (private, public) =
            (court.dir.path().join("rsa.der"), court.dir.path().join("rsa.pem"));
        let mut making = Command::new("openssl");
        making.args(["genpkey", "-algorithm", "RSA", "-outform", "DER", "-out"]);
        let making = making.arg(&private).stderr(Stdio::null());
        let is_there = making.status().is_ok_and(|status| status.success());
        if !is_there {
            assert!(std::env::var_os("WARREN_REQUIRE_TOOLS").is_none(), "no key by openssl");
            eprintln!("NOT TESTED: openssl makes no key");
            return None;
        }
        let mut showing = Command::new("openssl");
        showing.args(["pkey", "-inform", "DER", "-pubout", "-in"]).arg(&private);
        let shown = showing.arg("-out").arg(&public).status();
        assert!(shown.is_ok_and(|status| status.success()), "openssl shows the key");
        court.provider().signing_keys.insert("rsa".to_owned(), public.clone());
        let bytes = fs::read(private).expect("it was made");
        // Versions of openssl differ in what they wrap a key in.
        let private = RsaKeyPair::from_pkcs8(&bytes).or_else(|_| RsaKeyPair::from_der(&bytes));
        Some(Self { private: private.expect("a key"), public })
    }

    fn token(&self, algorithm: &str, padding: &'static dyn RsaEncoding, claims: &Value) -> String {
        let signed = unsigned(&json!({"alg": algorithm, "kid": "rsa"}), claims);
        let mut signature = vec![0; self.private.public().modulus_len()];
        let random = SystemRandom::new();
        let outcome = self.private.sign(padding, &random, signed.as_bytes(), &mut signature);
        outcome.expect("signed");
        with_signature(&signed, &signature)
    }
}

impl Court {
    fn new() -> Self {
        let dir = TempDir::new().expect("a directory");
        let issuer = Issuer::new("k");
        fs::write(dir.path().join("jwks.json"), issuer.jwks()).expect("written");
        let provider = ProviderSettings {
            jwks_file: Some(dir.path().join("jwks.json")),
            ..ProviderSettings::default()
        };
        let settings = Oauth2Settings {
            resource_servers: vec![server("rabbit", "")],
            providers: [(String::new(), provider)].into(),
            ..Oauth2Settings::default()
        };
        Self { dir, issuer, settings }
    }

    fn provider(&mut self) -> &mut ProviderSettings {
        self.settings.providers.get_mut("").expect("there is one")
    }

    fn server(&mut self) -> &mut ResourceServer {
        &mut self.settings.resource_servers[0]
    }

    fn oauth2(&self) -> Oauth2 {
        Oauth2::new(self.settings.clone()).expect("the settings are good")
    }

    async fn judge(&self, token: &str) -> Result<Token, String> {
        let outcome = self.oauth2().judge(token.as_bytes()).await;
        outcome.map_err(|error| error.to_string())
    }
}

fn server(id: &str, provider: &str) -> ResourceServer {
    let (id, provider) = (id.to_owned(), provider.to_owned());
    ResourceServer { id, provider, ..ResourceServer::default() }
}

fn claims() -> Value {
    json!({
        "sub": "ann", "aud": "rabbit", "scope": "rabbit.read:*/*", "exp": now_s() + 3600,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

fn signed_with_secret(secret: &[u8], kid: &str) -> String {
    let signed = unsigned(&json!({"alg": "HS256", "kid": kid}), &claims());
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    with_signature(&signed, signature.as_ref())
}

#[tokio::test]
async fn tokens_are_good_however_they_may_be_signed() {
    let court = Court::new();

    for token in [court.issuer.token(&claims()), court.issuer.token_es256(&claims())] {
        assert_eq!(court.judge(&token).await.expect("good").user(), "ann");
    }
}

#[tokio::test]
async fn tokens_signed_with_rsa_are_good_by_each_of_its_ways_and_by_its_own_key_alone() {
    let mut court = Court::new();
    let Some(rsa) = Rsa::make(&mut court) else { return };
    let ways: [(&str, &'static dyn RsaEncoding); 6] = [
        ("RS256", &RSA_PKCS1_SHA256),
        ("RS384", &RSA_PKCS1_SHA384),
        ("RS512", &RSA_PKCS1_SHA512),
        ("PS256", &RSA_PSS_SHA256),
        ("PS384", &RSA_PSS_SHA384),
        ("PS512", &RSA_PSS_SHA512),
    ];

    for (name, padding) in ways {
        let token = rsa.token(name, padding, &claims());
        assert_eq!(court.judge(&token).await.expect(name).user(), "ann");
    }
    let other = Rsa::make(&mut Court::new()).expect("there was one a moment ago");
    let forged = other.token("RS256", &RSA_PKCS1_SHA256, &claims());
    let otherwise = rsa.token("RS256", &RSA_PKCS1_SHA384, &claims());
    // What everybody knows is no secret.
    let public = signed_with_secret(&fs::read(&rsa.public).expect("the key"), "rsa");
    for token in [forged, otherwise, public] {
        assert_eq!(court.judge(&token).await.expect_err("refused"), "signature_invalid");
    }
}

#[tokio::test]
async fn what_a_token_says_decides_whether_it_is_good() {
    let mut court = Court::new();
    let text = |outcome: Result<Token, String>| outcome.map(|token| token.user().to_owned());

    for (claims, expected) in [
        (claims(), "ann"),
        (with("aud", json!("other rabbit")), "ann"),
        (with("aud", json!(["other", "rabbit"])), "ann"),
        (with("aud", json!("rabbits")), "no_matching_aud_found"),
        (with("aud", json!(7)), "no_matching_aud_found"),
        (without("aud"), "no_aud_found"),
        (without("exp"), "Provided JWT token has no exp claim"),
        (
            with("exp", json!("soon")),
            "Provided JWT token has an invalid exp claim: value is not a number",
        ),
        (with("exp", json!(4e12)), "ann"),
        (with("nbf", json!(now_s() - 5)), "ann"),
        (with("sub", json!(7)), "unknown"),
        (without("scope"), "ann"),
    ] {
        let token = court.issuer.token(&claims);
        let found = text(court.judge(&token).await).unwrap_or_else(|error| error);
        assert_eq!(found, expected, "{claims}");
    }
    let late = court.judge(&court.issuer.token(&with("exp", json!(1000)))).await;
    let late = late.expect_err("expired");
    assert!(late.starts_with("Provided JWT token has expired at timestamp 1000"), "{late}");
    let early = court.judge(&court.issuer.token(&with("nbf", json!(now_s() + 600)))).await;
    assert!(early.expect_err("early").contains("is not valid before"));

    court.server().verify_aud = false;
    court.settings.require_exp = false;
    court.settings.leeway = Duration::from_secs(600);
    court.server().preferred_username_claims = vec!["user_name".to_owned(), "sub".to_owned()];
    for (claims, expected) in [
        (without("aud"), "ann"),
        (with("aud", json!("other")), "ann"),
        (without("exp"), "ann"),
        (with("exp", json!(now_s() - 60)), "ann"),
        (with("nbf", json!(now_s() + 60)), "ann"),
        (with("user_name", json!("bob")), "bob"),
    ] {
        let token = court.issuer.token(&claims);
        let found = text(court.judge(&token).await).unwrap_or_else(|error| error);
        assert_eq!(found, expected, "{claims}");
    }
}

#[tokio::test]
async fn another_issuer_is_refused_where_one_is_named() {
    let mut court = Court::new();
    court.provider().issuer = "https://idp.example/realm".to_owned();

    for (issuer, is_good) in [
        (json!("https://idp.example/realm"), true),
        (json!("https://idp.example/realm/"), true),
        (json!("https://idp.example/other"), false),
        (json!(null), false),
    ] {
        let token = court.issuer.token(&with("iss", issuer.clone()));
        assert_eq!(court.judge(&token).await.is_ok(), is_good, "{issuer}");
    }
}

#[tokio::test]
async fn what_is_signed_by_nobody_or_otherwise_than_its_key_says_is_refused() {
    let court = Court::new();
    let good = court.issuer.token(&claims());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let (_, body) = signed.split_once('.').expect("three parts");
    let forged = |header: Value, claims: &Value, signature: &str| {
        format!("{}.{signature}", unsigned(&header, claims))
    };

    for (token, expected) in [
        (forged(json!({"alg": "none", "kid": "k"}), &claims(), ""), "signature_invalid"),
        (forged(json!({"alg": "None", "kid": "k"}), &claims(), ""), "signature_invalid"),
        (forged(json!({"kid": "k"}), &claims(), signature), "signature_invalid"),
        (forged(json!({"alg": "EdDSA", "kid": "x"}), &claims(), signature), "key_not_found"),
        (forged(json!({"alg": "EdDSA"}), &claims(), signature), "key_not_found"),
        (
            forged(json!({"alg": "EdDSA", "kid": "k"}), &with("sub", json!("bob")), signature),
            "signature_invalid",
        ),
        (forged(json!({"alg": "ES256", "kid": "k"}), &claims(), signature), "signature_invalid"),
        (
            forged(json!({"alg": "EdDSA", "kid": "k", "crit": ["x"]}), &claims(), signature),
            "provided token is invalid",
        ),
        (Issuer::new("k").token(&claims()), "signature_invalid"),
        (format!("{signed}."), "signature_invalid"),
        (format!("{body}.{signature}"), "provided token is invalid"),
        ("guest".to_owned(), "provided token is invalid"),
        (String::new(), "provided token is invalid"),
        ("..".to_owned(), "provided token is invalid"),
        ("a".repeat(100_000), "provided token is invalid"),
    ] {
        assert_eq!(court.judge(&token).await.expect_err("refused"), expected, "{token}");
    }
}

#[tokio::test]
async fn secrets_sign_only_where_that_is_allowed_and_only_long_ones() {
    let mut court = Court::new();
    let key = |secret: &[u8]| {
        let secret =
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret);
        json!({"keys": [{"kty": "oct", "kid": "s", "k": secret}]}).to_string()
    };
    fs::write(court.dir.path().join("jwks.json"), key(SECRET)).expect("written");
    let token = signed_with_secret(SECRET, "s");

    let unasked = court.judge(&token).await;
    court.provider().algorithms = vec!["HS256".to_owned()];
    let asked = court.judge(&token).await;
    fs::write(court.dir.path().join("jwks.json"), key(b"short")).expect("written");
    let short = court.judge(&signed_with_secret(b"short", "s")).await;

    assert_eq!(unasked.expect_err("refused"), "signature_invalid");
    assert_eq!(asked.expect("good").user(), "ann");
    assert_eq!(short.expect_err("refused"), "signature_invalid");
}

#[tokio::test]
async fn the_file_of_keys_is_read_again_when_it_changes() {
    let court = Court::new();
    let oauth2 = court.oauth2();
    let (path, next) = (court.dir.path().join("jwks.json"), Issuer::new("next"));
    let token = next.token(&claims());

    let before = oauth2.judge(token.as_bytes()).await;
    fs::write(&path, next.jwks()).expect("written");
    let after = oauth2.judge(token.as_bytes()).await;
    fs::write(&path, "{half").expect("written");
    let broken = oauth2.judge(token.as_bytes()).await;
    let former = oauth2.judge(court.issuer.token(&claims()).as_bytes()).await;

    assert!(matches!(before, Err(TokenError::UnknownKey)), "{before:?}");
    assert!(after.is_ok() && broken.is_ok(), "{after:?} {broken:?}");
    assert!(matches!(former, Err(TokenError::UnknownKey)), "{former:?}");
}

/// Serves documents by path, and counts how often it was asked.
async fn serve(documents: Vec<(&'static str, String)>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = vec![0; 4096];
            let length = stream.read(&mut request).await.unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let body = documents.iter().find(|(known, _)| *known == path);
            let body = body.map(|(_, body)| body.replace("PORT", &port.to_string()));
            let (status, body) = body.map_or(("404 No", String::new()), |body| ("200 OK", body));
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            drop(stream.write_all(answer.as_bytes()).await);
        }
    });
    (port, count)
}

#[tokio::test]
async fn keys_are_fetched_when_they_are_not_known_and_not_for_every_token() {
    let mut court = Court::new();
    let (port, count) = serve(vec![("/keys", court.issuer.jwks())]).await;
    court.provider().jwks_file = None;
    court.provider().jwks_uri = format!("http://127.0.0.1:{port}/keys");
    let oauth2 = court.oauth2();
    let (good, unknown) = (court.issuer.token(&claims()), Issuer::new("unknown").token(&claims()));

    for _ in 0..3 {
        oauth2.judge(good.as_bytes()).await.expect("good");
    }
    for _ in 0..3 {
        let outcome = oauth2.judge(unknown.as_bytes()).await;
        assert!(matches!(outcome, Err(TokenError::UnknownKey)), "{outcome:?}");
    }

    assert_eq!(count.load(Ordering::SeqCst), 1, "the storm of unknown keys is not passed on");
}

#[tokio::test]
async fn the_issuer_says_where_its_keys_are() {
    let mut court = Court::new();
    let about = r#"{"jwks_uri": "http://127.0.0.1:PORT/keys"}"#.to_owned();
    let paths =
        vec![("/realm/.well-known/openid-configuration", about), ("/keys", court.issuer.jwks())];
    let (port, _) = serve(paths).await;
    court.provider().jwks_file = None;
    let issuer = format!("http://127.0.0.1:{port}/realm");
    court.provider().issuer.clone_from(&issuer);
    let token = court.issuer.token(&with("iss", json!(issuer)));

    let outcome = court.judge(&token).await;

    assert_eq!(outcome.expect("good").user(), "ann");
}

#[tokio::test]
async fn without_keys_nobody_comes_in() {
    let mut court = Court::new();
    let (port, _) = serve(vec![("/text", "no keys".to_owned())]).await;
    court.provider().jwks_file = None;

    for path in ["text", "missing"] {
        court.provider().jwks_uri = format!("http://127.0.0.1:{port}/{path}");
        let outcome = court.judge(&court.issuer.token(&claims())).await;
        assert_eq!(outcome.expect_err("refused"), "the keys cannot be fetched", "{path}");
    }
}

/// Two resource servers, each with a provider of its own, and one more with the first's.
fn two_courts() -> (Oauth2, Issuer, Issuer, Vec<TempDir>) {
    let (mut court, other) = (Court::new(), Court::new());
    let mut settings = court.settings.clone();
    let keys = [
        ("production", court.provider().clone()),
        ("staging", other.settings.providers[""].clone()),
    ];
    settings.providers = keys.map(|(id, provider)| (id.to_owned(), provider)).into();
    settings.resource_servers = vec![
        server("prod", "production"),
        ResourceServer { scope_prefix: "api://".to_owned(), ..server("dev", "staging") },
        server("audit", "production"),
    ];
    let oauth2 = Oauth2::new(settings).expect("the settings are good");
    (oauth2, court.issuer, other.issuer, vec![court.dir, other.dir])
}

#[tokio::test]
async fn each_resource_server_believes_its_own_provider_and_reads_its_own_scopes() {
    let (oauth2, production, staging, _dirs) = two_courts();
    let queue = |name: &'static str| crate::Question {
        vhost: "/".into(),
        what: crate::What::Queue { name: name.into(), permission: "read" },
    };
    let made = |audience: Value| {
        let mut claims = with("aud", audience);
        claims["scope"] = json!("prod.read:%2F/p api://read:%2F/d audit.read:%2F/a dev.read:%2F/x");
        claims
    };

    for (issuer, audience, allowed) in [
        (&production, json!("prod"), Some("p")),
        (&production, json!(["audit", "elsewhere"]), Some("a")),
        (&staging, json!("dev"), Some("d")),
        // A good signature, of whom that audience does not believe.
        (&staging, json!("prod"), None),
        (&production, json!("dev"), None),
    ] {
        let outcome = oauth2.judge(issuer.token(&made(audience.clone())).as_bytes()).await;
        let Some(allowed) = allowed else {
            assert!(matches!(outcome, Err(TokenError::Signature)), "{audience}: {outcome:?}");
            continue;
        };
        let token = outcome.expect("good");
        for name in ["p", "a", "d", "x"] {
            assert_eq!(token.allows(&queue(name)), name == allowed, "{audience}: {name}");
        }
    }
    for audience in [json!("prod dev"), json!(["prod", "audit"])] {
        let outcome = oauth2.judge(production.token(&made(audience)).as_bytes()).await;
        assert!(matches!(outcome, Err(TokenError::ManyAudiences)), "{outcome:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_told() {
    let by = |algorithms: &[&str], uri: &str| {
        let provider = ProviderSettings {
            algorithms: algorithms.iter().map(|&name| name.to_owned()).collect(),
            jwks_uri: uri.to_owned(),
            ..ProviderSettings::default()
        };
        Oauth2Settings {
            providers: [("a".to_owned(), provider)].into(),
            ..Oauth2Settings::default()
        }
    };
    let with_servers = |servers: &[(&str, &str)]| Oauth2Settings {
        resource_servers: servers.iter().map(|(id, provider)| server(id, provider)).collect(),
        ..by(&["RS256"], "https://a/keys")
    };

    assert!(Oauth2::new(by(&["none"], "")).is_err());
    assert!(Oauth2::new(by(&["ES512"], "")).is_err());
    assert!(Oauth2::new(by(&["RS256"], "keys")).is_err());
    assert!(Oauth2::new(by(&["RS256"], "https://a/keys")).is_ok());
    assert!(Oauth2::new(with_servers(&[("one", "a"), ("two", "a")])).is_ok());
    let text = |servers| Oauth2::new(with_servers(servers)).expect_err("refused").to_string();
    assert_eq!(text(&[("one", "b")]), "no oauth_providers entry is called 'b'");
    assert_eq!(text(&[("one", "a"), ("one", "a")]), "two resource servers have the id 'one'");
}
