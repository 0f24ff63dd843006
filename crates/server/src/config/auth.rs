//! Keys for who is asked who clients are, in RabbitMQ's words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeValue;
use warren_broker::auth::{Backend, CacheSettings, HttpMethod, HttpSettings, Link};

use super::section::section;
use super::sections::ms;
use super::setting::{Given, Setting, kind_of, quoted, text_of};

/// Who is asked, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backends(pub Vec<Link>);

impl Backends {
    /// The users of the catalog, and nobody else.
    pub(crate) fn internal() -> Self {
        Self(vec![Link::both(Backend::Internal)])
    }
}

/// Texts by name, each a list of words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub BTreeMap<String, Vec<String>>);

/// Texts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts(pub BTreeMap<String, String>);

/// Files by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles(pub BTreeMap<String, PathBuf>);

fn backend(name: &str) -> Result<Backend, String> {
    Backend::parse(name.trim()).ok_or_else(|| {
        format!("expected \"internal\", \"oauth2\", \"http\" or \"cache\", found '{name}'")
    })
}

impl Setting for Link {
    fn read(given: Given<'_>) -> Result<Self, String> {
        if let Given::Toml(DeValue::Table(table)) = given {
            let (mut authn, mut authz) = (None, None);
            for (key, value) in table {
                let role = match key.get_ref().as_ref() {
                    "authn" => &mut authn,
                    "authz" => &mut authz,
                    other => return Err(format!("expected authn and authz, found '{other}'")),
                };
                *role = Some(backend(&text_of(Given::Toml(value.get_ref()))?)?);
            }
            let either = authn.or(authz).ok_or("expected authn and authz, found neither")?;
            return Ok(Self { authn: authn.unwrap_or(either), authz: authz.unwrap_or(either) });
        }
        let text = text_of(given)?;
        match text.split_once('/') {
            Some((authn, authz)) => Ok(Self { authn: backend(authn)?, authz: backend(authz)? }),
            None => backend(&text).map(Self::both),
        }
    }

    fn show(&self) -> String {
        let (authn, authz) = (self.authn.as_str(), self.authz.as_str());
        quoted(&if authn == authz { authn.to_owned() } else { format!("{authn}/{authz}") })
    }
}

impl Setting for Backends {
    fn read(given: Given<'_>) -> Result<Self, String> {
        if let Given::Toml(DeValue::Table(table)) = given {
            let mut numbered = Vec::new();
            for (key, value) in table {
                let number: u32 = key.get_ref().parse().map_err(|_| {
                    format!("expected a number for the place, found '{}'", key.get_ref())
                })?;
                numbered.push((number, Link::read(Given::Toml(value.get_ref()))?));
            }
            numbered.sort_by_key(|(number, _)| *number);
            return Ok(Self(numbered.into_iter().map(|(_, link)| link).collect()));
        }
        let names = Vec::<String>::read(given)?;
        names.iter().map(|name| Link::read(Given::Text(name))).collect::<Result<_, _>>().map(Self)
    }

    fn show(&self) -> String {
        let links: Vec<String> = self.0.iter().map(Setting::show).collect();
        format!("[{}]", links.join(", "))
    }
}

/// What stands by name in a table, or as `name=text` between commas.
fn named(given: Given<'_>) -> Result<BTreeMap<String, String>, String> {
    match given {
        Given::Toml(DeValue::Table(table)) => {
            let entries = table.iter().map(|(key, value)| {
                let text = match value.get_ref() {
                    list @ DeValue::Array(_) => Vec::<String>::read(Given::Toml(list))?.join(" "),
                    other => text_of(Given::Toml(other))?,
                };
                Ok((key.get_ref().to_string(), text))
            });
            entries.collect()
        }
        Given::Toml(other) => Err(format!("expected a section, found {}", kind_of(other))),
        Given::Text(text) => {
            let entries = text.split(',').filter(|entry| !entry.trim().is_empty()).map(|entry| {
                let (name, text) = entry
                    .split_once('=')
                    .ok_or_else(|| format!("expected name=text between commas, found '{entry}'"))?;
                Ok((name.trim().to_owned(), text.trim().to_owned()))
            });
            entries.collect()
        }
    }
}

fn table(entries: impl Iterator<Item = (String, String)>) -> String {
    let entries: Vec<String> =
        entries.map(|(name, text)| format!("{} = {}", quoted(&name), quoted(&text))).collect();
    format!("{{ {} }}", entries.join(", "))
}

impl Setting for Words {
    fn read(given: Given<'_>) -> Result<Self, String> {
        let words = |text: String| text.split_whitespace().map(str::to_owned).collect();
        Ok(Self(named(given)?.into_iter().map(|(name, text)| (name, words(text))).collect()))
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|(name, words)| (name.clone(), words.join(" "))))
    }
}

impl Setting for Texts {
    fn read(given: Given<'_>) -> Result<Self, String> {
        named(given).map(Self)
    }

    fn show(&self) -> String {
        table(self.0.iter().map(|(name, text)| (name.clone(), text.clone())))
    }
}

impl Setting for NamedFiles {
    fn read(given: Given<'_>) -> Result<Self, String> {
        Ok(Self(named(given)?.into_iter().map(|(name, path)| (name, path.into())).collect()))
    }

    fn show(&self) -> String {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        table(self.0.iter().map(|(name, file)| (name.clone(), path(file))))
    }
}

impl Setting for HttpMethod {
    fn read(given: Given<'_>) -> Result<Self, String> {
        match text_of(given)?.as_str() {
            "get" => Ok(Self::Get),
            "post" => Ok(Self::Post),
            other => Err(format!("expected \"get\" or \"post\", found '{other}'")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Get => quoted("get"),
            Self::Post => quoted("post"),
        }
    }
}

section! {
    /// A service that is asked over HTTP, if auth_backends has http: parameters and answers are those
    /// of rabbitmq_auth_backend_http.
    pub struct AuthHttpSection in "auth_http" {
        /// How it is asked: get or post.
        http_method: HttpMethod = HttpMethod::Get,
        /// Where it says who somebody is.
        user_path: String = HttpSettings::default().user_path,
        /// Where it says who may open a virtual host.
        vhost_path: String = HttpSettings::default().vhost_path,
        /// Where it says who may do what with queues and exchanges.
        resource_path: String = HttpSettings::default().resource_path,
        /// Where it says who may use a routing key on a topic exchange.
        topic_path: String = HttpSettings::default().topic_path,
        /// How long an answer may take, milliseconds. Without one nobody is let in.
        request_timeout: u64 = ms(HttpSettings::default().request_timeout),
        /// How long a connection may take, milliseconds.
        connection_timeout: u64 = ms(HttpSettings::default().connection_timeout),
    }
}

section! {
    /// TLS where that service is asked.
    pub struct AuthHttpTlsSection in "auth_http.ssl_options" {
        /// The authorities that are believed there. Empty: those of the system.
        cacertfile: String = String::new(),
    }
}

section! {
    /// What is remembered of that service's answers, if auth_backends has cache.
    pub struct AuthCacheSection in "auth_cache" {
        /// Who is asked: one of auth_backends, or two with a slash between them.
        cached_backend: Link = CacheSettings::default().cached_backend,
        /// For how long answers are remembered, milliseconds.
        cache_ttl: u64 = ms(CacheSettings::default().cache_ttl),
        /// Whether refusals are remembered as well.
        cache_refusals: bool = CacheSettings::default().cache_refusals,
        /// How many answers are remembered; the oldest goes first.
        cache_entries: usize = CacheSettings::default().entries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const TOKENS: &str = "[auth_oauth2]\nresource_server_id = \"r\"\njwks_file = \"f\"\n";

    fn backends(text: &str) -> Vec<Link> {
        Config::parse(text).expect("it is right").node.auth_backends.0
    }

    fn wrong(text: &str) -> String {
        Config::parse(text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn backends_may_be_a_list_or_numbered_as_in_rabbitmq() {
        let both = Link::both;
        let split = Link { authn: Backend::Http, authz: Backend::Internal };
        let expected = [both(Backend::Oauth2), split];

        let list = format!("auth_backends = [\"oauth2\", \"http/internal\"]\n{TOKENS}");
        let numbered = format!(
            "[auth_backends]\n10 = {{ authn = \"http\", authz = \"internal\" }}\n2 = \"oauth2\"\n\
             {TOKENS}"
        );
        let dotted = format!(
            "auth_backends.1 = \"oauth2\"\nauth_backends.2.authn = \"http\"\n\
             auth_backends.2.authz = \"internal\"\n{TOKENS}"
        );

        for text in [list, numbered, dotted] {
            assert_eq!(backends(&text), expected, "{text}");
        }
        assert_eq!(backends(""), [both(Backend::Internal)]);
    }

    #[test]
    fn aliases_and_keys_stand_in_sections_of_their_own() {
        let text = "[auth_oauth2.scope_aliases]\nreader = \"a b\"\nwriter = [\"c\"]\n\
                    [auth_oauth2.signing_keys]\nk = \"k.pem\"\n";

        let oauth2 = Config::parse(text).expect("it is right").oauth2;

        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(oauth2.scope_aliases.0.get("reader"), Some(&words(&["a", "b"])));
        assert_eq!(oauth2.scope_aliases.0.get("writer"), Some(&words(&["c"])));
        assert_eq!(oauth2.signing_keys.0.get("k"), Some(&PathBuf::from("k.pem")));
    }

    #[test]
    fn what_a_backend_cannot_do_without_is_asked_for() {
        for (text, expected) in [
            ("auth_backends = [\"ldap\"]", "auth_backends: expected \"internal\""),
            ("auth_backends = []", "auth_backends: expected at least one"),
            ("auth_backends = [\"oauth2\"]", "auth_oauth2.resource_server_id: expected a name"),
            ("auth_backends = [\"oauth2\"]", "auth_oauth2.jwks_uri: expected this"),
            (
                "auth_backends = [\"http\"]\n[auth_http]\nuser_path = \"here\"",
                "auth_http.user_path: 'here' is no address",
            ),
            (
                "auth_backends = [\"cache\"]\n[auth_cache]\ncached_backend = \"cache\"",
                "auth_cache.cached_backend: expected internal, oauth2 or http",
            ),
        ] {
            let found = wrong(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }
}
