//! Tests of the keys for tokens: several resource servers and providers, and logging in.

use crate::config::{Config, Inputs};
use crate::settings;

/// Two resource servers of which each has its own provider, and one beside them.
const SEVERAL: &str = "
auth_backends = ['oauth2']
[auth_oauth2]
resource_server_id = 'main'
additional_scopes_key = 'roles'
default_oauth_provider = 'one'
[auth_oauth2.resource_servers.prod]
id = 'rabbit_prod'
scope_prefix = 'api://'
preferred_username_claims = ['email']
[auth_oauth2.resource_servers.dev]
oauth_provider_id = 'two'
verify_aud = false
[auth_oauth2.oauth_providers.one]
issuer = 'https://one.example/realm/'
https.cacertfile = 'one.pem'
[auth_oauth2.oauth_providers.two]
issuer = 'https://two.example'
jwks_uri = 'https://two.example/keys'
token_endpoint = 'https://tokens.example/token'
algorithms = ['RS256']
";

/// How browsers log in for these.
const LOGIN: &str = "
[management]
oauth_enabled = true
oauth_client_id = 'ui'
oauth_authorization_endpoint_params = { resource = 'r' }
[management.oauth_resource_servers.main]
disabled = true
[management.oauth_resource_servers.prod]
id = 'rabbit_prod'
label = 'Production'
oauth_client_id = 'ui-prod'
oauth_initiated_logon_type = 'idp_initiated'
";

fn wrong(text: &str) -> String {
    Config::parse(text).expect_err("it is wrong").to_string()
}

#[test]
fn what_a_resource_server_does_not_say_is_as_for_the_first_one() {
    let config = Config::parse(SEVERAL).expect("it is right");

    let oauth2 = settings::auth(&config).oauth2;

    let servers: Vec<_> = oauth2
        .resource_servers
        .iter()
        .map(|it| (it.id.as_str(), it.provider.as_str(), it.scope_prefix.as_str(), it.verify_aud))
        .collect();
    let own = "{resource_server_id}.";
    assert_eq!(
        servers,
        [
            ("main", "one", own, true),
            ("dev", "two", own, false),
            ("rabbit_prod", "one", "api://", true)
        ]
    );
    assert!(oauth2.resource_servers.iter().all(|it| it.additional_scopes_key == "roles"));
    let claims = |at: usize| oauth2.resource_servers[at].preferred_username_claims.join(" ");
    assert_eq!((claims(1), claims(2)), ("sub client_id".to_owned(), "email".to_owned()));
    let one = &oauth2.providers["one"];
    assert_eq!(one.cacertfile.as_deref(), Some("one.pem".as_ref()));
    assert!(one.algorithms.len() > 5 && oauth2.providers["two"].algorithms == ["RS256"]);
}

#[test]
fn sections_that_an_operator_names_read_back_as_they_are_shown_and_come_from_variables_too() {
    let config = Config::parse(&format!("{SEVERAL}{LOGIN}")).expect("it is right");
    let again = Config::parse(&config.reference()).expect("what we write is right");
    let text = "{ prod = { id = 'p', verify_aud = false } }";
    let mut inputs = Inputs::default();
    for (name, value) in [
        ("WARREN_AUTH_BACKENDS", "oauth2"),
        ("WARREN_AUTH_OAUTH2_ISSUER", "https://one.example"),
        ("WARREN_AUTH_OAUTH2_RESOURCE_SERVERS", text),
    ] {
        inputs.variables.push((name.into(), value.into()));
    }
    let loaded = Config::load(&inputs).expect("it is right").config;

    assert_eq!(again, config);
    let servers = settings::auth(&loaded).oauth2.resource_servers;
    assert_eq!(servers.len(), 1);
    assert_eq!((servers[0].id.as_str(), servers[0].verify_aud), ("p", false));
}

#[test]
fn what_does_not_fit_together_is_told() {
    let second = "[auth_oauth2.resource_servers.again]\nid = 'main'";
    let stranger = "[auth_oauth2.resource_servers.x]\noauth_provider_id = 'three'";
    let unknown = "[auth_oauth2.resource_servers.x]\nscop_prefix = 'a'";
    let keyless = "[auth_oauth2.resource_servers.x]\noauth_provider_id = 'three'\n\
                   [auth_oauth2.oauth_providers.three]\ndefault_key = 'a'";
    for (more, expected) in [
        (second, "auth_oauth2.resource_servers: two resource servers have the id 'main'"),
        (stranger, "auth_oauth2.oauth_providers: no oauth_providers entry is called 'three'"),
        (unknown, "auth_oauth2.resource_servers: x: expected one of id, oauth_provider_id"),
        (keyless, "auth_oauth2.oauth_providers: three: expected jwks_uri"),
    ] {
        let found = wrong(&format!("{SEVERAL}{more}\n"));
        assert!(found.contains(expected), "{found}");
    }
    let found = wrong("auth_backends = ['oauth2']\n[auth_oauth2]\nissuer = 'https://a'\n");
    assert!(found.contains("auth_oauth2.resource_server_id: expected a name"), "{found}");
    let found = wrong("[auth_oauth2]\nresource_servers = 7\n");
    assert!(found.contains("expected a section, found a whole number"), "{found}");
}

#[test]
fn browsers_log_in_for_each_resource_server_at_its_own_provider() {
    let config = Config::parse(&format!("{SEVERAL}{LOGIN}")).expect("it is right");

    let login = settings::browser_login(&config).expect("they can");

    assert!(login.disable_basic_auth);
    let [dev, prod] = &login.resource_servers[..] else { panic!("two: {login:?}") };
    assert_eq!((dev.id.as_str(), dev.client_id.as_str(), dev.label.as_str()), ("dev", "ui", ""));
    assert_eq!(dev.metadata_url, "https://two.example/.well-known/openid-configuration");
    assert_eq!(dev.endpoints.token, "https://tokens.example/token");
    assert_eq!(dev.authorization_params["resource"], "r");
    assert_eq!((prod.id.as_str(), prod.label.as_str()), ("rabbit_prod", "Production"));
    assert_eq!(prod.provider_url, "https://one.example/realm/");
    assert_eq!(prod.metadata_url, "https://one.example/realm/.well-known/openid-configuration");
    assert_eq!(prod.logon.as_str(), "idp_initiated");
    assert_eq!(settings::browser_login(&Config::parse(SEVERAL).expect("right")), None);
}

#[test]
fn logging_in_needs_somewhere_to_do_it() {
    let enabled = "[management]\noauth_enabled = true\n";
    let found = wrong(enabled);
    assert!(found.contains("management.oauth_enabled: expected auth_backends"), "{found}");
    let found = wrong(&format!("{SEVERAL}{enabled}"));
    assert!(found.contains("management.oauth_enabled: expected"), "{found}");

    let unknown = format!("{SEVERAL}{LOGIN}[management.oauth_resource_servers.none]\n");
    let found = wrong(&unknown);
    assert!(found.contains("no resource server with the id 'none'"), "{found}");
    let elsewhere = LOGIN.replace("[management]", "[management]\noauth_provider_url = 'a b'");
    let found = wrong(&format!("{SEVERAL}{elsewhere}"));
    assert!(found.contains("management.oauth_provider_url: 'a b' is no address"), "{found}");
}
