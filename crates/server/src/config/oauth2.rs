//! Keys for tokens and for logging in with them in a browser, in RabbitMQ's words.
//!
//! The keys of `auth_oauth2` itself describe one resource server and one provider, which suffices for
//! most. What a further resource server does not say is as it stands there.

use warren_broker::auth::{Oauth2Settings, ProviderSettings, ResourceServer};
use warren_management::Logon;

use super::auth::{NamedFiles, Texts, Words};
use super::named::{Inner, Named};
use super::section::section;
use super::setting::{Given, Setting, quoted, text_of};

section! {
    /// Tokens as passwords, if auth_backends has oauth2.
    pub struct Oauth2Section in "auth_oauth2" {
        /// What this cluster is called as the audience of tokens.
        resource_server_id: String = String::new(),
        /// What the scopes begin with that mean this cluster; may be empty.
        scope_prefix: String = ResourceServer::default().scope_prefix,
        /// Claims with more scopes, as paths with dots, between spaces.
        additional_scopes_key: String = String::new(),
        /// Scopes that stand for others: a section with a name and scopes between spaces per line.
        scope_aliases: Words = Words::default(),
        /// Whether a token must name resource_server_id as its audience.
        verify_aud: bool = ResourceServer::default().verify_aud,
        /// Whether a token must have an end.
        require_exp: bool = Oauth2Settings::default().require_exp,
        /// How far the clock of whoever makes the tokens may differ, seconds.
        leeway_s: u64 = Oauth2Settings::default().leeway.as_secs(),
        /// The claims of which the first one that is there is the user's name.
        preferred_username_claims: Vec<String> = ResourceServer::default().preferred_username_claims,
        /// The key of tokens that do not say which one they were signed with.
        default_key: String = String::new(),
        /// Keys in PEM files: a section with a name and a file per line.
        signing_keys: NamedFiles = NamedFiles::default(),
        /// A file with a set of keys (JWKS). It is read again when it changes.
        jwks_file: String = String::new(),
        /// Where a set of keys is fetched.
        jwks_uri: String = String::new(),
        /// Who makes the tokens, as it calls itself in them. Where no keys are named it is asked for
        /// them.
        issuer: String = String::new(),
        /// Where, below the issuer, it says where its keys are.
        discovery_endpoint_path: String = ProviderSettings::default().discovery_endpoint_path,
        /// Where browsers are sent to log in. Empty: where the issuer says.
        authorization_endpoint: String = String::new(),
        /// Where the web UI gets tokens. Empty: where the issuer says, which must then be at the
        /// issuer's host, as pages may ask no other.
        token_endpoint: String = String::new(),
        /// Where browsers are sent to log out. Empty: where the issuer says, if it does.
        end_session_endpoint: String = String::new(),
        /// How tokens may be signed. HS256, HS384 and HS512 have to be named to be allowed.
        algorithms: Vec<String> = ProviderSettings::default().algorithms,
        /// Which of oauth_providers makes the tokens of resource servers that name none. Empty: the
        /// one that this section describes.
        default_oauth_provider: String = String::new(),
        /// Further names of this cluster as an audience, each a section such as
        /// [auth_oauth2.resource_servers.prod] with id (the section's name unless given),
        /// oauth_provider_id, scope_prefix, additional_scopes_key, scope_aliases, verify_aud and
        /// preferred_username_claims. What one does not say is as in this section.
        resource_servers: Named<ResourceServerSection> = Named::default(),
        /// Further makers of tokens, each a section such as [auth_oauth2.oauth_providers.main] with
        /// issuer, jwks_uri, jwks_file, signing_keys, default_key, algorithms, https.cacertfile,
        /// discovery_endpoint_path, authorization_endpoint, token_endpoint and end_session_endpoint.
        oauth_providers: Named<ProviderSection> = Named::default(),
    }
}

section! {
    /// A further name of this cluster as an audience.
    pub struct ResourceServerSection in "" {
        /// The audience.
        id: Option<String> = None,
        /// Who makes its tokens.
        oauth_provider_id: Option<String> = None,
        /// What the scopes begin with that mean this cluster.
        scope_prefix: Option<String> = None,
        /// Claims with more scopes.
        additional_scopes_key: Option<String> = None,
        /// Scopes that stand for others.
        scope_aliases: Option<Words> = None,
        /// Whether a token must name it.
        verify_aud: Option<bool> = None,
        /// The claims of which the first one that is there is the user's name.
        preferred_username_claims: Option<Vec<String>> = None,
    }
}

section! {
    /// A further maker of tokens.
    pub struct ProviderSection in "" {
        /// What it calls itself in them.
        issuer: Option<String> = None,
        /// Where its set of keys is fetched.
        jwks_uri: Option<String> = None,
        /// A file with a set of keys.
        jwks_file: Option<String> = None,
        /// Keys in PEM files.
        signing_keys: Option<NamedFiles> = None,
        /// The key of tokens that do not say which one.
        default_key: Option<String> = None,
        /// How tokens may be signed.
        algorithms: Option<Vec<String>> = None,
        /// Where, below the issuer, it says where its keys are.
        discovery_endpoint_path: Option<String> = None,
        /// Where browsers are sent to log in.
        authorization_endpoint: Option<String> = None,
        /// Where the web UI gets tokens.
        token_endpoint: Option<String> = None,
        /// Where browsers are sent to log out.
        end_session_endpoint: Option<String> = None,
        /// TLS where its keys are fetched.
        https: Option<Inner<ProviderHttpsSection>> = None,
    }
}

section! {
    /// TLS where a provider's keys are fetched.
    pub struct ProviderHttpsSection in "" {
        /// The authorities that are believed there.
        cacertfile: String = String::new(),
    }
}

section! {
    /// TLS where keys are fetched.
    pub struct Oauth2HttpsSection in "auth_oauth2.https" {
        /// The authorities that are believed there. Empty: those of the system.
        cacertfile: String = String::new(),
    }
}

section! {
    /// Logging in to the web UI with OAuth 2.
    pub struct OauthLoginSection in "management" {
        /// Whether browsers can be sent to log in where tokens are made.
        oauth_enabled: bool = false,
        /// What the web UI is called there.
        oauth_client_id: String = String::new(),
        /// Where that is. Empty: the issuer of each resource server's provider.
        oauth_provider_url: String = String::new(),
        /// The document that says where what is there. Empty: found below the issuer.
        oauth_metadata_url: String = String::new(),
        /// The scopes that are asked for, between spaces.
        oauth_scopes: String = "openid profile".to_owned(),
        /// sp_initiated: the web UI sends the browser there. idp_initiated: the browser comes from
        /// there with a token, which is sent to /login as access_token in a form.
        oauth_initiated_logon_type: Logon = Logon::HereFirst,
        /// Whether names and passwords are refused, in the web UI and over HTTP. Tools on the same
        /// machine still come in with management.secret.
        oauth_disable_basic_auth: bool = true,
        /// What else is said when a browser is sent there: a section with a name and a text per line.
        oauth_authorization_endpoint_params: Texts = Texts::default(),
        /// What else is said when a token is asked for.
        oauth_token_endpoint_params: Texts = Texts::default(),
        /// What is otherwise for single resource servers, each a section such as
        /// [management.oauth_resource_servers.prod] with id (the section's name unless given), label,
        /// disabled, and any of the keys above but oauth_enabled and oauth_disable_basic_auth.
        oauth_resource_servers: Named<LoginSection> = Named::default(),
    }
}

section! {
    /// What is otherwise for one resource server.
    pub struct LoginSection in "" {
        /// Which one, by its audience.
        id: Option<String> = None,
        /// What the web UI calls it.
        label: Option<String> = None,
        /// Whether nobody can log in for it.
        disabled: Option<bool> = None,
        /// What the web UI is called there.
        oauth_client_id: Option<String> = None,
        /// Where that is.
        oauth_provider_url: Option<String> = None,
        /// The document that says where what is there.
        oauth_metadata_url: Option<String> = None,
        /// The scopes that are asked for.
        oauth_scopes: Option<String> = None,
        /// Who begins.
        oauth_initiated_logon_type: Option<Logon> = None,
        /// What else is said when a browser is sent there.
        oauth_authorization_endpoint_params: Option<Texts> = None,
        /// What else is said when a token is asked for.
        oauth_token_endpoint_params: Option<Texts> = None,
    }
}

impl Setting for Logon {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match text_of(given)?.as_str() {
            "sp_initiated" => Ok(Self::HereFirst),
            "idp_initiated" => Ok(Self::ThereFirst),
            other => {
                Err(format!("expected \"sp_initiated\" or \"idp_initiated\", found '{other}'"))
            }
        }
    }

    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

#[cfg(test)]
mod tests;
