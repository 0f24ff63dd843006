//! Tokens, as those who judge them and those who ask for them want to hear it.
//!
//! What a resource server or a way to log in does not say is as the section around it has it; here
//! that is filled in, so that nobody further in has to look in two places.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use warren_broker::auth::{
    Backend, Oauth2, Oauth2Settings, ProviderSettings, ResourceServer, Settings, SettingsError,
};
use warren_management::{BrowserLogin, Endpoints, LoginServer, Logon, origin};

use crate::config::{
    Config, LoginSection, Oauth2Section, OauthLoginSection, ProviderSection, ResourceServerSection,
};

/// The id of the provider that `auth_oauth2` itself describes.
const OWN_PROVIDER: &str = "";

/// How tokens are judged.
pub(super) fn tokens(config: &Config) -> Oauth2Settings {
    let oauth2 = &config.oauth2;
    let own = own_server(oauth2);
    let others = &oauth2.resource_servers.0;
    let others = others.iter().map(|(name, section)| further_server(name, section, &own));
    // Without a name it is the only one, or none.
    let is_meant = !own.id.is_empty() || oauth2.resource_servers.0.is_empty();
    let resource_servers = is_meant.then(|| own.clone()).into_iter().chain(others).collect();
    let mut providers: BTreeMap<String, ProviderSettings> = BTreeMap::new();
    providers.insert(OWN_PROVIDER.to_owned(), own_provider(config));
    for (id, section) in &oauth2.oauth_providers.0 {
        providers.insert(id.clone(), further_provider(section));
    }
    let leeway = Duration::from_secs(oauth2.leeway_s);
    Oauth2Settings { resource_servers, providers, require_exp: oauth2.require_exp, leeway }
}

fn own_server(oauth2: &Oauth2Section) -> ResourceServer {
    ResourceServer {
        id: oauth2.resource_server_id.clone(),
        scope_prefix: oauth2.scope_prefix.clone(),
        additional_scopes_key: oauth2.additional_scopes_key.clone(),
        scope_aliases: oauth2.scope_aliases.0.clone(),
        verify_aud: oauth2.verify_aud,
        preferred_username_claims: oauth2.preferred_username_claims.clone(),
        provider: oauth2.default_oauth_provider.clone(),
    }
}

fn further_server(
    name: &str,
    section: &ResourceServerSection,
    own: &ResourceServer,
) -> ResourceServer {
    let aliases = section.scope_aliases.as_ref().map(|words| &words.0);
    ResourceServer {
        id: section.id.clone().unwrap_or_else(|| name.to_owned()),
        scope_prefix: said(&section.scope_prefix, &own.scope_prefix),
        additional_scopes_key: said(&section.additional_scopes_key, &own.additional_scopes_key),
        scope_aliases: aliases.unwrap_or(&own.scope_aliases).clone(),
        verify_aud: section.verify_aud.unwrap_or(own.verify_aud),
        preferred_username_claims: said(
            &section.preferred_username_claims,
            &own.preferred_username_claims,
        ),
        provider: said(&section.oauth_provider_id, &own.provider),
    }
}

fn own_provider(config: &Config) -> ProviderSettings {
    let Config { oauth2, oauth2_https, .. } = config;
    ProviderSettings {
        issuer: oauth2.issuer.clone(),
        discovery_endpoint_path: oauth2.discovery_endpoint_path.clone(),
        jwks_uri: oauth2.jwks_uri.clone(),
        jwks_file: file(&oauth2.jwks_file),
        signing_keys: oauth2.signing_keys.0.clone(),
        default_key: oauth2.default_key.clone(),
        algorithms: oauth2.algorithms.clone(),
        cacertfile: file(&oauth2_https.cacertfile),
    }
}

fn further_provider(section: &ProviderSection) -> ProviderSettings {
    let usual = ProviderSettings::default();
    let keys = section.signing_keys.as_ref().map(|files| files.0.clone());
    ProviderSettings {
        issuer: said(&section.issuer, &usual.issuer),
        discovery_endpoint_path: said(
            &section.discovery_endpoint_path,
            &usual.discovery_endpoint_path,
        ),
        jwks_uri: said(&section.jwks_uri, &usual.jwks_uri),
        jwks_file: section.jwks_file.as_deref().and_then(file),
        signing_keys: keys.unwrap_or_default(),
        default_key: said(&section.default_key, &usual.default_key),
        algorithms: said(&section.algorithms, &usual.algorithms),
        cacertfile: section.https.as_ref().and_then(|https| file(&https.0.cacertfile)),
    }
}

/// How browsers log in, if they can.
pub(crate) fn browser_login(config: &Config) -> Option<BrowserLogin> {
    let login = &config.oauth_login;
    let auth = super::auth(config);
    if !login.oauth_enabled || !auth.uses(Backend::Oauth2) {
        return None;
    }
    let servers = auth.oauth2.resource_servers.iter().filter(|server| !server.id.is_empty());
    let nothing = LoginSection::default();
    let chosen = servers.filter_map(|server| {
        let section = section_of(login, &server.id).unwrap_or(&nothing);
        let provider = auth.oauth2.providers.get(&server.provider)?;
        let is_wanted = !section.disabled.unwrap_or(false);
        is_wanted.then(|| login_server(login, section, server, provider, &config.oauth2))
    });
    let is_possible = |server: &LoginServer| {
        let is_known = server.logon == Logon::ThereFirst || !server.client_id.is_empty();
        is_known && !server.provider_url.is_empty()
    };
    let resource_servers: Vec<LoginServer> = chosen.filter(is_possible).collect();
    let disable_basic_auth = login.oauth_disable_basic_auth;
    let is_any = !resource_servers.is_empty();
    is_any.then_some(BrowserLogin { disable_basic_auth, resource_servers })
}

/// What is otherwise for the resource server of that id.
fn section_of<'a>(login: &'a OauthLoginSection, id: &str) -> Option<&'a LoginSection> {
    let mut sections = login.oauth_resource_servers.0.iter();
    let found = sections.find(|(name, section)| section.id.as_ref().unwrap_or(name) == id);
    found.map(|(_, section)| section)
}

fn login_server(
    login: &OauthLoginSection,
    section: &LoginSection,
    server: &ResourceServer,
    provider: &ProviderSettings,
    oauth2: &Oauth2Section,
) -> LoginServer {
    let url = said(&section.oauth_provider_url, &login.oauth_provider_url);
    let is_elsewhere = !url.is_empty();
    let url = if is_elsewhere { url } else { provider.issuer.clone() };
    let metadata = said(&section.oauth_metadata_url, &login.oauth_metadata_url);
    let found = || {
        let of_url = ProviderSettings { issuer: url.clone(), ..ProviderSettings::default() };
        if is_elsewhere { &of_url } else { provider }.discovery_endpoint().unwrap_or_default()
    };
    let authorization = section.oauth_authorization_endpoint_params.as_ref();
    let token = section.oauth_token_endpoint_params.as_ref();
    LoginServer {
        id: server.id.clone(),
        label: said(&section.label, &String::new()),
        client_id: said(&section.oauth_client_id, &login.oauth_client_id),
        metadata_url: if metadata.is_empty() { found() } else { metadata },
        provider_url: url.clone(),
        endpoints: endpoints(oauth2, &server.provider),
        scopes: said(&section.oauth_scopes, &login.oauth_scopes),
        logon: section.oauth_initiated_logon_type.unwrap_or(login.oauth_initiated_logon_type),
        authorization_params: authorization
            .unwrap_or(&login.oauth_authorization_endpoint_params)
            .0
            .clone(),
        token_params: token.unwrap_or(&login.oauth_token_endpoint_params).0.clone(),
    }
}

/// What a provider's own words about itself are overruled by.
fn endpoints(oauth2: &Oauth2Section, provider: &str) -> Endpoints {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    match oauth2.oauth_providers.0.get(provider) {
        Some(section) => Endpoints {
            authorization: text(&section.authorization_endpoint),
            token: text(&section.token_endpoint),
            end_session: text(&section.end_session_endpoint),
        },
        None => Endpoints {
            authorization: oauth2.authorization_endpoint.clone(),
            token: oauth2.token_endpoint.clone(),
            end_session: oauth2.end_session_endpoint.clone(),
        },
    }
}

/// What does not fit together in all this.
pub(crate) fn oauth2_problems(
    config: &Config,
    auth: &Settings,
    problems: &mut Vec<(&'static str, String)>,
) {
    if auth.uses(Backend::Oauth2) {
        token_problems(&auth.oauth2, problems);
    }
    if !config.oauth_login.oauth_enabled {
        return;
    }
    let Some(login) = browser_login(config) else {
        let text = "expected auth_backends with oauth2, and for a resource server an oauth_client_id \
                    and an issuer or oauth_provider_url";
        problems.push(("management.oauth_enabled", text.to_owned()));
        return;
    };
    for server in &login.resource_servers {
        let endpoints = &server.endpoints;
        let urls = [&server.provider_url, &server.metadata_url, &endpoints.token];
        let sent = [&endpoints.authorization, &endpoints.end_session];
        let wrong = urls.into_iter().chain(sent);
        for url in wrong.filter(|url| !url.is_empty() && origin(url).is_none()) {
            let text = format!("'{url}' is no address of the form https://host/path");
            problems.push(("management.oauth_provider_url", text));
        }
    }
    for (name, section) in &config.oauth_login.oauth_resource_servers.0 {
        let id = section.id.as_ref().unwrap_or(name);
        if !auth.oauth2.resource_servers.iter().any(|server| server.id == *id) {
            let text = format!("auth_oauth2 has no resource server with the id '{id}'");
            problems.push(("management.oauth_resource_servers", text));
        }
    }
}

fn token_problems(oauth2: &Oauth2Settings, problems: &mut Vec<(&'static str, String)>) {
    if oauth2.resource_servers.iter().any(|server| server.id.is_empty() && server.verify_aud) {
        let text = "expected a name, for auth_backends with oauth2, found nothing".to_owned();
        problems.push(("auth_oauth2.resource_server_id", text));
    }
    for (id, provider) in &oauth2.providers {
        let is_named = oauth2.resource_servers.iter().any(|server| server.provider == *id);
        if !is_named || provider.has_keys() {
            continue;
        }
        if id == OWN_PROVIDER {
            let text = "expected this, jwks_file, signing_keys or issuer, found none".to_owned();
            problems.push(("auth_oauth2.jwks_uri", text));
        } else {
            let text =
                format!("{id}: expected jwks_uri, jwks_file, signing_keys or issuer, found none");
            problems.push(("auth_oauth2.oauth_providers", text));
        }
    }
    if let Err(error) = Oauth2::new(oauth2.clone()) {
        let key = match &error {
            SettingsError::Twice(_) => "auth_oauth2.resource_servers",
            SettingsError::Provider(_) => "auth_oauth2.oauth_providers",
            SettingsError::File(_) | SettingsError::Algorithm(_) | SettingsError::Address(_) => {
                "auth_oauth2.algorithms"
            }
        };
        problems.push((key, error.to_string()));
    }
}

/// What is said, or else what holds for all.
fn said<T: Clone>(own: &Option<T>, usual: &T) -> T {
    own.as_ref().unwrap_or(usual).clone()
}

fn file(path: &str) -> Option<PathBuf> {
    Some(PathBuf::from(path)).filter(|_| !path.is_empty())
}
