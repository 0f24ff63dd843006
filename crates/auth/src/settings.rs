//! What is set: who is asked who somebody is, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The scope prefix that stands for the one that follows from the resource server's id.
const OWN_PREFIX: &str = "{resource_server_id}.";

/// Somebody who can say who a client is, or what it may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The users and permissions of the catalog.
    Internal,
    /// Tokens, as passwords.
    Oauth2,
    /// A service over HTTP.
    Http,
    /// Another one of these, whose answers are remembered for a while.
    Cache,
}

impl Backend {
    const NAMES: [(&'static str, Self); 5] = [
        ("internal", Self::Internal),
        ("oauth2", Self::Oauth2),
        ("http", Self::Http),
        ("cache", Self::Cache),
        ("oauth", Self::Oauth2),
    ];

    /// The one that RabbitMQ calls `name`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, backend)| *backend)
    }

    /// What RabbitMQ calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Oauth2 => "oauth2",
            Self::Http => "http",
            Self::Cache => "cache",
        }
    }
}

/// Who says who somebody is, and who says what they may do then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Who they are.
    pub authn: Backend,
    /// What they may do.
    pub authz: Backend,
}

impl Link {
    /// One that says both.
    #[must_use]
    pub fn both(backend: Backend) -> Self {
        Self { authn: backend, authz: backend }
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who is asked, in this order: who says first that somebody is who they claim to be is right.
    pub backends: Vec<Link>,
    /// Tokens.
    pub oauth2: Oauth2Settings,
    /// The service.
    pub http: HttpSettings,
    /// What is remembered of answers.
    pub cache: CacheSettings,
}

impl Default for Settings {
    /// Users are those of the catalog.
    fn default() -> Self {
        Self {
            backends: vec![Link::both(Backend::Internal)],
            oauth2: Oauth2Settings::default(),
            http: HttpSettings::default(),
            cache: CacheSettings::default(),
        }
    }
}

impl Settings {
    /// Whether `backend` is asked anything, also on behalf of the cache.
    #[must_use]
    pub fn uses(&self, backend: Backend) -> bool {
        let named = |link: &Link| link.authn == backend || link.authz == backend;
        let through_cache = backend != Backend::Cache && self.uses(Backend::Cache);
        self.backends.iter().any(named) || (through_cache && named(&self.cache.cached_backend))
    }
}

/// How tokens are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oauth2Settings {
    /// The names of this cluster as an audience, and what a token for each may say.
    pub resource_servers: Vec<ResourceServer>,
    /// Who makes tokens, by the id that resource servers name.
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Whether a token must have an end.
    pub require_exp: bool,
    /// How far the clock of whoever makes the tokens may differ.
    pub leeway: Duration,
}

impl Default for Oauth2Settings {
    /// Nobody's tokens are good.
    fn default() -> Self {
        Self {
            resource_servers: Vec::new(),
            providers: BTreeMap::new(),
            require_exp: true,
            leeway: Duration::ZERO,
        }
    }
}

/// What this cluster is to those who hold tokens of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceServer {
    /// What this cluster is called as the audience of a token.
    pub id: String,
    /// What the scopes that mean this cluster begin with.
    pub scope_prefix: String,
    /// Claims with more scopes, paths with dots, between spaces; empty for none.
    pub additional_scopes_key: String,
    /// Scopes that stand for others.
    pub scope_aliases: BTreeMap<String, Vec<String>>,
    /// Whether a token must name this cluster as its audience.
    pub verify_aud: bool,
    /// The claims of which the first one that is there is the user's name.
    pub preferred_username_claims: Vec<String>,
    /// Who makes these tokens: the only one whose signature counts.
    pub provider: String,
}

impl Default for ResourceServer {
    fn default() -> Self {
        Self {
            id: String::new(),
            scope_prefix: OWN_PREFIX.to_owned(),
            additional_scopes_key: String::new(),
            scope_aliases: BTreeMap::new(),
            verify_aud: true,
            preferred_username_claims: words(&["sub", "client_id"]),
            provider: String::new(),
        }
    }
}

impl ResourceServer {
    /// What the scopes that mean this cluster begin with.
    pub(crate) fn prefix(&self) -> String {
        self.scope_prefix.replace("{resource_server_id}", &self.id)
    }
}

/// Somebody who makes tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// What it calls itself in them; empty where that does not matter.
    pub issuer: String,
    /// Where, below the issuer, it says where its keys are.
    pub discovery_endpoint_path: String,
    /// Where its set of keys is; empty where the issuer says it, or nowhere.
    pub jwks_uri: String,
    /// A file with a set of keys, read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Keys in PEM files, by name.
    pub signing_keys: BTreeMap<String, PathBuf>,
    /// The key that signed a token that does not say which one; empty for none.
    pub default_key: String,
    /// How tokens may be signed.
    pub algorithms: Vec<String>,
    /// The authorities that vouch for where keys come from; the system's where none are named.
    pub cacertfile: Option<PathBuf>,
}

impl Default for ProviderSettings {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            discovery_endpoint_path: ".well-known/openid-configuration".to_owned(),
            jwks_uri: String::new(),
            jwks_file: None,
            signing_keys: BTreeMap::new(),
            default_key: String::new(),
            // Whoever can check a symmetric signature can make one: those have to be asked for.
            algorithms: words(&[
                "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
            ]),
            cacertfile: None,
        }
    }
}

impl ProviderSettings {
    /// Whether there is any place where keys could come from.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        let fetched = !self.jwks_uri.is_empty() || !self.issuer.is_empty();
        fetched || self.jwks_file.is_some() || !self.signing_keys.is_empty()
    }

    /// Where it says about itself what there is to know, if it has a name.
    #[must_use]
    pub fn discovery_endpoint(&self) -> Option<String> {
        let (issuer, path) = (&self.issuer, &self.discovery_endpoint_path);
        let (issuer, path) = (issuer.trim_end_matches('/'), path.trim_start_matches('/'));
        (!issuer.is_empty()).then(|| format!("{issuer}/{path}"))
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// How questions are put to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    /// With the parameters in the path.
    Get,
    /// With the parameters as a form.
    Post,
}

/// The service that is asked over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSettings {
    /// How it is asked.
    pub method: HttpMethod,
    /// Where it says who somebody is.
    pub user_path: String,
    /// Where it says who may open a virtual host.
    pub vhost_path: String,
    /// Where it says who may do what with queues and exchanges.
    pub resource_path: String,
    /// Where it says who may use a routing key on a topic exchange.
    pub topic_path: String,
    /// How long a question may take.
    pub request_timeout: Duration,
    /// How long a connection may take.
    pub connection_timeout: Duration,
    /// The authorities that vouch for the service; the system's where none are named.
    pub cacertfile: Option<PathBuf>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            method: HttpMethod::Get,
            user_path: "http://localhost:8000/auth/user".to_owned(),
            vhost_path: "http://localhost:8000/auth/vhost".to_owned(),
            resource_path: "http://localhost:8000/auth/resource".to_owned(),
            topic_path: "http://localhost:8000/auth/topic".to_owned(),
            request_timeout: Duration::from_secs(15),
            connection_timeout: Duration::from_secs(15),
            cacertfile: None,
        }
    }
}

/// What is remembered of answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// Whose answers.
    pub cached_backend: Link,
    /// For how long.
    pub cache_ttl: Duration,
    /// Whether refusals are remembered as well.
    pub cache_refusals: bool,
    /// How many; the oldest goes first.
    pub entries: usize,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self {
            cached_backend: Link::both(Backend::Http),
            cache_ttl: Duration::from_secs(15),
            cache_refusals: false,
            entries: 10_000,
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A file with a key or an authority.
    #[error(transparent)]
    File(#[from] warren_tls::TlsError),
    /// A way to sign that is not known.
    #[error("no signature algorithm '{0}' is known")]
    Algorithm(String),
    /// A resource server's provider that is none.
    #[error("no oauth_providers entry is called '{0}'")]
    Provider(String),
    /// Two resource servers of one name: nobody could say whose rules count.
    #[error("two resource servers have the id '{0}'")]
    Twice(String),
    /// Something that should be the address of a web page.
    #[error("'{0}' is no address of the form http://host:port/path")]
    Address(String),
}
