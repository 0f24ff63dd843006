//! A service that is asked over HTTP who somebody is and what they may do, as
//! `rabbitmq_auth_backend_http` asks.
//!
//! Parameters go as a query or as a form, the answer is `allow` with tags behind it, or `deny`
//! with a reason. Whatever else comes back, or nothing, lets nobody in.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ring::hmac;
use ring::rand::SystemRandom;
use tokio::time::Instant;

use crate::authority::{Question, What};
use crate::cache::{Cache, Digest};
use crate::fetch::{Address, FetchError, Fetcher};
use crate::settings::{CacheSettings, HttpMethod, HttpSettings, SettingsError};

/// Bytes of an answer.
const ANSWER_MOST_BYTES: usize = 64 * 1024;

/// How long a connection remembers what it was allowed, where nothing else is said: a publisher
/// must not have the service asked for every message.
const PERMITS_FRESH: Duration = Duration::from_secs(30);

/// What one connection remembers to be allowed; beyond it, all is forgotten and asked again.
const PERMITS_MOST: usize = 4096;

/// Why somebody was not let in, or cannot do something.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The service said no.
    #[error("Denied by the backing HTTP service")]
    Denied,
    /// There was no answer.
    #[error("the backing HTTP service did not answer: {}", .0.chain())]
    NoAnswer(FetchError),
}

/// A service that is asked over HTTP.
#[derive(Debug)]
pub struct Service {
    method: HttpMethod,
    user: Address,
    vhost: Address,
    resource: Address,
    topic: Address,
    fetcher: Fetcher,
    /// Turns questions into what stands for them; drawn at the start and known to nobody.
    key: hmac::Key,
    answers: Cache<Answer>,
    answer_time: Duration,
    keeps_refusals: bool,
}

/// What the service says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    /// Yes, with the user's tags where that was asked.
    Allow(Vec<String>),
    /// No.
    Deny,
}

impl Service {
    /// Asks as the settings say; what goes through the cache is remembered as those say.
    ///
    /// # Errors
    /// When an address is none.
    pub fn new(http: &HttpSettings, cache: &CacheSettings) -> Result<Self, SettingsError> {
        let (time, connecting) = (http.request_timeout, http.connection_timeout);
        let random = SystemRandom::new();
        Ok(Self {
            method: http.method,
            user: Address::parse(&http.user_path)?,
            vhost: Address::parse(&http.vhost_path)?,
            resource: Address::parse(&http.resource_path)?,
            topic: Address::parse(&http.topic_path)?,
            fetcher: Fetcher::new(http.cacertfile.clone(), connecting, time),
            key: hmac::Key::generate(hmac::HMAC_SHA256, &random).expect("the system has chance"),
            answers: Cache::new(cache.cache_ttl, cache.entries),
            answer_time: cache.cache_ttl,
            keeps_refusals: cache.cache_refusals,
        })
    }

    /// Whether the service knows `user`, by a password unless that was shown otherwise.
    ///
    /// # Errors
    /// When it does not, or there is no answer.
    pub async fn login(
        self: &Arc<Self>,
        user: &str,
        password: Option<&[u8]>,
        from: IpAddr,
        is_cached: bool,
    ) -> Result<Visitor, ServiceError> {
        let mut query = Query::default();
        query.add("username", user);
        if let Some(password) = password {
            query.add_bytes("password", password);
        }
        match self.answer(&self.user, query, is_cached).await? {
            Answer::Allow(tags) => Ok(Visitor {
                service: Arc::clone(self),
                user: user.to_owned(),
                tags,
                from,
                is_cached,
                permits: Mutex::new(Permits { since: Instant::now(), permitted: HashSet::new() }),
            }),
            Answer::Deny => Err(ServiceError::Denied),
        }
    }

    async fn answer(
        &self,
        address: &Address,
        query: Query,
        is_cached: bool,
    ) -> Result<Answer, ServiceError> {
        let digest = self.digest(address, &query);
        if is_cached && let Some(answer) = self.answers.find(&digest, Instant::now()) {
            return Ok(answer);
        }
        let answer = self.fetch(address, query).await.map_err(ServiceError::NoAnswer)?;
        let is_kept = self.keeps_refusals || answer != Answer::Deny;
        if is_cached && is_kept {
            self.answers.keep(digest, answer.clone(), Instant::now());
        }
        Ok(answer)
    }

    fn digest(&self, address: &Address, query: &Query) -> Digest {
        let mut hash = hmac::Context::with_key(&self.key);
        hash.update(address.path().as_bytes());
        hash.update(b"\n");
        hash.update(query.0.as_bytes());
        hash.sign().as_ref().try_into().expect("the hash has 32 bytes")
    }

    async fn fetch(&self, address: &Address, query: Query) -> Result<Answer, FetchError> {
        let answer = match self.method {
            HttpMethod::Get => self.fetcher.get(address, &query.0, ANSWER_MOST_BYTES).await?,
            HttpMethod::Post => self.fetcher.post(address, query.0, ANSWER_MOST_BYTES).await?,
        };
        if !matches!(answer.status, 200 | 201) {
            return Err(FetchError::Status(answer.status));
        }
        let text = String::from_utf8_lossy(&answer.body).trim().to_lowercase();
        let mut words = text.split_whitespace();
        match words.next() {
            Some("allow") => Ok(Answer::Allow(words.map(str::to_owned).collect())),
            Some("deny") => Ok(Answer::Deny),
            Some(_) | None => Err(FetchError::Senseless),
        }
    }
}

/// Somebody whom the service knows.
#[derive(Debug)]
pub struct Visitor {
    service: Arc<Service>,
    user: String,
    tags: Vec<String>,
    from: IpAddr,
    is_cached: bool,
    permits: Mutex<Permits>,
}

/// What somebody was allowed since then.
#[derive(Debug)]
struct Permits {
    since: Instant,
    permitted: HashSet<Digest>,
}

impl Visitor {
    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// Whether that was allowed a while ago.
    pub(crate) fn is_permitted(&self, question: &Question<'_>) -> bool {
        let (address, query) = self.query(question);
        let digest = self.service.digest(address, &query);
        self.permits().permitted.contains(&digest)
    }

    /// Whether that is allowed.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<bool, ServiceError> {
        let (address, query) = self.query(question);
        let digest = self.service.digest(address, &query);
        let answer = self.service.answer(address, query, self.is_cached).await?;
        let is_permitted = answer != Answer::Deny;
        if is_permitted {
            let mut permits = self.permits();
            if permits.permitted.len() >= PERMITS_MOST || permits.permitted.is_empty() {
                *permits = Permits { since: Instant::now(), permitted: HashSet::new() };
            }
            permits.permitted.insert(digest);
        }
        Ok(is_permitted)
    }

    /// Forgets what was allowed too long ago. Returns whether there was something.
    pub(crate) fn renew(&self) -> bool {
        let fresh = if self.is_cached { self.service.answer_time } else { PERMITS_FRESH };
        let mut permits = self.permits();
        let is_due = !permits.permitted.is_empty() && permits.since.elapsed() >= fresh;
        if is_due {
            permits.permitted.clear();
        }
        is_due
    }

    fn permits(&self) -> std::sync::MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to ask, and how.
    fn query(&self, question: &Question<'_>) -> (&Address, Query) {
        let (service, vhost, tags) = (&self.service, &question.vhost, self.tags.join(" "));
        let mut query = Query::default();
        query.add("username", &self.user).add("vhost", vhost);
        let resource = |query: &mut Query, kind: &str, name: &str, permission: &str| {
            query.add("resource", kind).add("name", name).add("permission", permission);
        };
        match &question.what {
            What::Vhost => {
                query.add("ip", &self.from.to_canonical().to_string()).add("tags", &tags);
                (&service.vhost, query)
            }
            What::Queue { name, permission } => {
                resource(&mut query, "queue", name, permission);
                query.add("tags", &tags);
                (&service.resource, query)
            }
            What::Exchange { name, permission } => {
                resource(&mut query, "exchange", name, permission);
                query.add("tags", &tags);
                (&service.resource, query)
            }
            What::Topic { exchange, routing_key, permission } => {
                resource(&mut query, "topic", exchange, permission);
                query.add("tags", &tags).add("routing_key", routing_key);
                query.add("variable_map.username", &self.user).add("variable_map.vhost", vhost);
                (&service.topic, query)
            }
        }
    }
}

/// Parameters as a form has them.
#[derive(Debug, Default)]
struct Query(String);

impl Query {
    fn add(&mut self, name: &str, value: &str) -> &mut Self {
        self.add_bytes(name, value.as_bytes())
    }

    fn add_bytes(&mut self, name: &str, value: &[u8]) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        for byte in value {
            match byte {
                b' ' => self.0.push('+'),
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'~' | b'_' => {
                    self.0.push(char::from(*byte));
                }
                other => self.0.push_str(&format!("%{other:02X}")),
            }
        }
        self
    }
}

#[cfg(test)]
mod tests;
