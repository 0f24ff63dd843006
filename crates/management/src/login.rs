//! How browsers log in where tokens are made.
//!
//! The web UI does all of it: it sends the browser there, takes what it comes back with, and asks for
//! the token. The node says only where that is, and lets the page ask there and nowhere else.
//!
//! **Not here:** whether a token is good (`broker`).

use std::collections::{BTreeMap, BTreeSet};

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};
use warren_broker::Door;

use crate::api::Peer;
use crate::server::Context;
use crate::ui;

/// Bytes of a form with a token.
const FORM_MOST_BYTES: usize = 128 * 1024;

/// The page that puts a token where the web UI looks for it. `CONTENT` is what it is given.
const ARRIVAL: &str = include_str!("login/arrival.html");

/// Who begins a login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logon {
    /// The web UI, which sends the browser there.
    #[default]
    HereFirst,
    /// Whoever makes tokens: the browser comes with one.
    ThereFirst,
}

impl Logon {
    /// What RabbitMQ calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HereFirst => "sp_initiated",
            Self::ThereFirst => "idp_initiated",
        }
    }
}

/// How browsers log in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrowserLogin {
    /// Whether names and passwords are refused.
    pub disable_basic_auth: bool,
    /// For what they can.
    pub resource_servers: Vec<LoginServer>,
}

/// What somebody can log in for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginServer {
    /// The audience of its tokens.
    pub id: String,
    /// What it is called on the page; its id where this is empty.
    pub label: String,
    /// What the web UI is called where tokens are made.
    pub client_id: String,
    /// Where they are made.
    pub provider_url: String,
    /// The document that says where what is there.
    pub metadata_url: String,
    /// What the document need not say, or says wrongly; empty where it counts.
    pub endpoints: Endpoints,
    /// The scopes that are asked for.
    pub scopes: String,
    /// Who begins.
    pub logon: Logon,
    /// What else is said when a browser is sent there.
    pub authorization_params: BTreeMap<String, String>,
    /// What else is said when a token is asked for.
    pub token_params: BTreeMap<String, String>,
}

/// Where what is done at a provider.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Browsers are sent there to log in.
    pub authorization: String,
    /// Tokens are asked for there.
    pub token: String,
    /// Browsers are sent there to log out.
    pub end_session: String,
}

impl BrowserLogin {
    /// What the page is told.
    pub(crate) fn document(&self) -> Value {
        let servers = self.resource_servers.iter();
        let servers: Map<String, Value> =
            servers.map(|server| (server.id.clone(), server.document())).collect();
        json!({
            "oauth_enabled": true,
            "oauth_disable_basic_auth": self.disable_basic_auth,
            "oauth_resource_servers": servers,
        })
    }

    /// Where the page may ask, beside here.
    pub(crate) fn origins(&self) -> BTreeSet<String> {
        let asked = self.resource_servers.iter().flat_map(|server| {
            [&server.provider_url, &server.metadata_url, &server.endpoints.token]
        });
        asked.filter_map(|url| origin(url)).collect()
    }

    fn takes_tokens(&self) -> bool {
        self.resource_servers.iter().any(|server| server.logon == Logon::ThereFirst)
    }
}

impl LoginServer {
    /// RabbitMQ's names, and only what there is.
    fn document(&self) -> Value {
        let texts = [
            ("id", &self.id),
            ("label", &self.label),
            ("oauth_client_id", &self.client_id),
            ("oauth_provider_url", &self.provider_url),
            ("oauth_metadata_url", &self.metadata_url),
            ("oauth_scopes", &self.scopes),
            ("authorization_endpoint", &self.endpoints.authorization),
            ("token_endpoint", &self.endpoints.token),
            ("end_session_endpoint", &self.endpoints.end_session),
        ];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        let mut document: Map<String, Value> =
            texts.map(|(name, text)| (name.to_owned(), text.as_str().into())).collect();
        document.insert("oauth_initiated_logon_type".to_owned(), self.logon.as_str().into());
        for (name, params) in [
            ("oauth_authorization_endpoint_params", &self.authorization_params),
            ("oauth_token_endpoint_params", &self.token_params),
        ] {
            if !params.is_empty() {
                document.insert(name.to_owned(), json!(params));
            }
        }
        Value::Object(document)
    }
}

/// Scheme, host and port of a web address, if it is one. Nothing else can be in it.
#[must_use]
pub fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme))?;
    let authority = uri.authority()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    let is_right = !authority.host().is_empty() && authority.as_str().chars().all(is_plain);
    is_right.then(|| format!("{scheme}://{authority}"))
}

/// Takes a token that a browser brings in a form, where that is how logins begin.
pub(crate) async fn arrive(
    State(context): State<Context>,
    peer: ConnectInfo<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let login = context.node.browser_login().unwrap_or_default();
    if !login.takes_tokens() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Ok(body) = axum::body::to_bytes(body, FORM_MOST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let Some(token) = token_of(&headers, &body) else {
        return page(StatusCode::BAD_REQUEST, "refusal", "the form has no access_token");
    };
    let Some(broker) = context.node.broker() else {
        return page(StatusCode::SERVICE_UNAVAILABLE, "refusal", "the node is starting");
    };
    let address = peer.0.0.ip();
    // Boxed: futures of futures have a limit to how deep they may be.
    let judged = Box::pin(broker.authenticate(Door::Http, address, "", token.as_bytes())).await;
    match judged {
        Ok(_) => page(StatusCode::OK, "token", &token),
        Err(why) => {
            tracing::warn!(peer = %address, "a token was refused that a browser brought");
            tracing::debug!(%why, "login over HTTP refused");
            page(StatusCode::UNAUTHORIZED, "refusal", "the token is refused")
        }
    }
}

/// The token in a form. Only what a token can consist of is one: it goes into a page.
fn token_of(headers: &HeaderMap, body: &Bytes) -> Option<String> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut fields = text.split('&').filter_map(|field| field.split_once('='));
    let (_, token) = fields.find(|(name, _)| *name == "access_token")?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!token.is_empty() && token.chars().all(is_plain)).then(|| token.to_owned())
}

/// The page that keeps a token or says why there is none, and goes on to the web UI.
fn page(status: StatusCode, what: &str, content: &str) -> Response {
    let text = ARRIVAL.replace("WHAT", what).replace("CONTENT", content);
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    ui::protect(headers, None);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_and_a_place_and_nothing_that_could_say_more() {
        for (url, expected) in [
            ("https://idp.example/realms/main", Some("https://idp.example")),
            ("http://127.0.0.1:8080", Some("http://127.0.0.1:8080")),
            ("https://[::1]:8443/a?b=c", Some("https://[::1]:8443")),
            ("https://user:secret@idp.example/", None),
            ("https://idp.example;script-src", None),
            ("https://*/", None),
            ("ftp://idp.example/", None),
            ("idp.example", None),
            ("", None),
        ] {
            assert_eq!(origin(url).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn a_form_has_a_token_of_letters_that_tokens_have() {
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        let headers: HeaderMap = [(header::CONTENT_TYPE, form)].into_iter().collect();
        let found = |body: &'static str| token_of(&headers, &Bytes::from_static(body.as_bytes()));

        assert_eq!(found("a=b&access_token=aB3-_.x").as_deref(), Some("aB3-_.x"));
        for body in
            ["", "access_token=", "token=a", "access_token=a\"><script>", "access_token=%22"]
        {
            assert_eq!(found(body), None, "{body}");
        }
        assert_eq!(token_of(&HeaderMap::new(), &Bytes::from_static(b"access_token=a")), None);
    }
}
