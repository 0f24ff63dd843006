//! Logging in to the web UI with OAuth 2, in Chromium, at a provider that the test runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;
use warren_tests::http::Client;
use warren_tests::node::{self, Node};
use warren_tests::tools;

use crate::provider::{CLIENT, Provider};

/// A node for which tokens are made there: for `rabbit` from the web UI, for `dev` from there.
fn node(provider: &Provider) -> Option<(Node, TempDir)> {
    if node::elsewhere().is_some() {
        return None;
    }
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("warren.toml");
    let text = format!(
        "auth_backends = ['oauth2', 'internal']\n\
         [auth_oauth2]\nresource_server_id = 'rabbit'\nissuer = '{0}'\n\
         [auth_oauth2.resource_servers.dev]\n\
         [management]\noauth_enabled = true\noauth_client_id = '{CLIENT}'\n\
         oauth_authorization_endpoint_params = {{ prompt = 'select' }}\n\
         [management.oauth_resource_servers.rabbit]\nlabel = 'the company'\n\
         [management.oauth_resource_servers.dev]\noauth_provider_url = '{0}/portal'\n\
         oauth_initiated_logon_type = 'idp_initiated'\n",
        provider.url()
    );
    fs::write(&config, text).unwrap();
    let node = Node::start_with(&["--config", config.to_str().unwrap()]);
    provider.knows(&format!("http://{}", node.addresses().http));
    Some((node, dir))
}

#[test]
fn the_page_is_told_where_to_log_in_and_may_ask_there_alone() {
    let provider = Provider::start();
    let Some((node, _dir)) = node(&provider) else { return };
    let (address, url) = (node.addresses().http, provider.url());

    let about = Client::nobody(address).value("/api/auth");
    let page = Client::nobody(address).ask("GET", "/", "");

    let discovery = |base: &str| format!("{base}/.well-known/openid-configuration");
    assert_eq!(
        about,
        json!({
            "oauth_enabled": true,
            "oauth_disable_basic_auth": true,
            "oauth_resource_servers": {
                "rabbit": {
                    "id": "rabbit", "label": "the company", "oauth_client_id": CLIENT,
                    "oauth_provider_url": url, "oauth_metadata_url": discovery(&url),
                    "oauth_scopes": "openid profile",
                    "oauth_initiated_logon_type": "sp_initiated",
                    "oauth_authorization_endpoint_params": {"prompt": "select"},
                },
                "dev": {
                    "id": "dev", "oauth_client_id": CLIENT,
                    "oauth_provider_url": format!("{url}/portal"),
                    "oauth_metadata_url": discovery(&format!("{url}/portal")),
                    "oauth_scopes": "openid profile",
                    "oauth_initiated_logon_type": "idp_initiated",
                    "oauth_authorization_endpoint_params": {"prompt": "select"},
                },
            },
        })
    );
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'; script-src 'self';"), "{policy}");
    assert!(policy.ends_with(&format!("connect-src 'self' {url}")), "{policy}");
}

#[test]
fn passwords_are_refused_over_http_where_browsers_log_in_elsewhere_and_tokens_are_not() {
    let provider = Provider::start();
    let Some((node, _dir)) = node(&provider) else { return };
    let address = node.addresses().http;
    let token = provider.token("ann", "rabbit", 3600);

    let by_password = Client::new(address, "guest", "guest").ask("GET", "/api/whoami", "");
    let as_password = Client::new(address, "ann", &token).ask("GET", "/api/whoami", "");
    let by_token = Client::bearer(address, &token).value("/api/whoami");

    assert_eq!((by_password.status, as_password.status), (401, 401));
    assert_eq!(by_token["name"], "ann");
}

#[test]
fn browsers_log_in_stay_and_log_out_where_tokens_are_made() {
    let Some(programs) = tools::find(&["node", "chromium"]) else { return };
    let provider = Provider::start();
    let Some((node, _dir)) = node(&provider) else { return };
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/management/ui/tests/oauth.mjs");

    let outcome = Command::new(&programs[0])
        .arg(script)
        .args([&format!("http://{}", node.addresses().http), &provider.url()])
        .env("CHROMIUM", &programs[1])
        .stdin(Stdio::null())
        .output()
        .expect("node can be started");

    let said = String::from_utf8_lossy(&outcome.stdout);
    let complained = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}\n{complained}");
    assert!(said.contains("ok   "), "{said}\n{complained}");
    let log = provider.log();
    let happened = |what: &str| log.iter().any(|entry| entry == what);
    assert!(happened("refresh_token") && happened("logout who"), "{log:?}");
}
