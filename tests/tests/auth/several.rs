//! Several resource servers, each with its own provider: whose tokens count for what.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;
use warren_auth::kit::Issuer;
use warren_tests::http::Client as Http;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Flags, Wire, declare_queue};

use crate::support::{now_s, told};

/// A node with the resource servers `rabbit_prod` and `dev`, of two providers, and none beside.
struct Courts {
    node: Node,
    production: Issuer,
    staging: Issuer,
    _dir: TempDir,
}

impl Courts {
    fn open() -> Option<Self> {
        if node::elsewhere().is_some() {
            return None;
        }
        let dir = TempDir::new().unwrap();
        // Ids of keys are alike: the provider alone tells them apart.
        let (production, staging) = (Issuer::new("k"), Issuer::new("k"));
        let file = |name: &str, issuer: &Issuer| {
            let path = dir.path().join(name);
            fs::write(&path, issuer.jwks()).unwrap();
            path
        };
        let (one, two) = (file("one.json", &production), file("two.json", &staging));
        let config = dir.path().join("warren.toml");
        let text = format!(
            "auth_backends = ['oauth2']\n\
             [auth_oauth2]\ndefault_oauth_provider = 'one'\n\
             [auth_oauth2.resource_servers.prod]\nid = 'rabbit_prod'\n\
             preferred_username_claims = ['email']\n\
             [auth_oauth2.resource_servers.dev]\noauth_provider_id = 'two'\n\
             scope_prefix = 'api://'\nadditional_scopes_key = 'roles'\n\
             [auth_oauth2.oauth_providers.one]\njwks_file = '{}'\n\
             [auth_oauth2.oauth_providers.two]\njwks_file = '{}'\nissuer = 'https://two.example'\n",
            one.display(),
            two.display()
        );
        fs::write(&config, text).unwrap();
        let node = Node::start_with(&["--config", config.to_str().unwrap()]);
        Some(Self { node, production, staging, _dir: dir })
    }

    fn declare(&self, token: &str, queue: &str) -> String {
        match Wire::open_as(self.node.addresses().amqp, "", token) {
            Err(error) => format!("{error:#}"),
            Ok(mut wire) => {
                wire.channel(1).unwrap();
                told(&mut wire, &declare_queue(1, queue, Flags::DURABLE, &[]))
            }
        }
    }

    fn whoami(&self, token: &str) -> (u16, Value) {
        let answer = Http::bearer(self.node.addresses().http, token).ask("GET", "/api/whoami", "");
        (answer.status, answer.json()["name"].clone())
    }
}

fn claims(audience: Value) -> Value {
    json!({
        "sub": "s-1", "email": "ann@a", "iss": "https://two.example", "aud": audience,
        "exp": now_s() + 3600,
        "scope": "rabbit_prod.configure:*/p rabbit_prod.tag:management dev.configure:*/*",
        "roles": ["api://configure:*/d", "api://tag:management"],
    })
}

#[test]
fn a_token_counts_for_the_resource_server_that_it_names_if_that_ones_provider_made_it() {
    let Some(courts) = Courts::open() else { return };
    let prod = courts.production.token(&claims(json!("rabbit_prod")));
    let dev = courts.staging.token(&claims(json!(["dev", "elsewhere"])));

    assert_eq!(courts.declare(&prod, "p"), "ok");
    assert_eq!(courts.declare(&dev, "d"), "ok");
    for (token, queue) in [(&prod, "d"), (&dev, "p")] {
        let answer = courts.declare(token, queue);
        assert!(answer.starts_with("403 ACCESS_REFUSED - "), "{queue}: {answer}");
    }
    assert_eq!(courts.whoami(&prod), (200, json!("ann@a")));
    assert_eq!(courts.whoami(&dev), (200, json!("s-1")));
}

#[test]
fn a_token_for_two_resource_servers_or_of_the_wrong_provider_lets_nobody_in() {
    let Some(courts) = Courts::open() else { return };
    let (production, staging) = (&courts.production, &courts.staging);
    let mut stranger = claims(json!("dev"));
    stranger["iss"] = json!("https://one.example");

    for token in [
        production.token(&claims(json!("rabbit_prod dev"))),
        staging.token(&claims(json!(["rabbit_prod", "dev"]))),
        production.token(&claims(json!("dev"))),
        staging.token(&claims(json!("rabbit_prod"))),
        // The section's name is no audience where there is an id.
        production.token(&claims(json!("prod"))),
        staging.token(&stranger),
    ] {
        let answer = courts.declare(&token, "p");
        assert!(answer.contains("ACCESS_REFUSED - Login was refused"), "{answer}");
        assert_eq!(courts.whoami(&token).0, 401);
    }
}
