//! The keys that tokens may be signed with, and where they come from.
//!
//! They stand in files that are named by key, in a file with a set of them, or where the issuer has
//! its set. The file is looked at again when it has changed. The issuer's set is fetched when a
//! token names a key that is not known, and once in a while; never more often than
//! [`FETCH_PAUSE`], whoever asks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use warren_tls::{PublicKey, PublicKeyKind};

use crate::fetch::{Address, FetchError, Fetcher};
use crate::jwk::{self, KeySet};
use crate::jws::Key;
use crate::oauth2::TokenError;
use crate::settings::{ProviderSettings, SettingsError};

/// Between two tries to fetch keys: a storm of tokens with keys that do not exist must not become
/// one of requests.
const FETCH_PAUSE: Duration = Duration::from_secs(10);

/// After which keys are fetched again, so that those go that the issuer has taken back.
const FETCHED_FRESH: Duration = Duration::from_secs(3600);

/// How long fetching may take.
const FETCH_LIMIT: Duration = Duration::from_secs(10);

/// Bytes of a set of keys, or of what an issuer says about itself.
const DOCUMENT_MOST_BYTES: usize = 1 << 20;

/// The keys that tokens may be signed with.
#[derive(Debug)]
pub(crate) struct Keyring {
    default_key: Option<String>,
    named: BTreeMap<String, Arc<Key>>,
    file: Option<PathBuf>,
    read: Mutex<Option<FileSet>>,
    source: Option<Source>,
    fetched: RwLock<Fetched>,
    /// When fetching was tried last.
    tried: Mutex<Option<Instant>>,
}

/// What was fetched, and when.
#[derive(Debug, Default)]
struct Fetched {
    keys: KeySet,
    since: Option<Instant>,
}

/// A set in a file, as it was.
#[derive(Debug)]
struct FileSet {
    changed: Option<SystemTime>,
    bytes: u64,
    keys: KeySet,
}

/// Where an issuer has its set.
#[derive(Debug)]
struct Source {
    fetcher: Fetcher,
    /// The set, or the document that says where it is.
    place: Place,
}

#[derive(Debug)]
enum Place {
    Set(Address),
    Discovery(Address),
}

impl Keyring {
    /// Reads the keys that are named one by one.
    pub(crate) fn new(settings: &ProviderSettings) -> Result<Self, SettingsError> {
        let mut named = BTreeMap::new();
        for (name, path) in &settings.signing_keys {
            named.insert(name.clone(), Arc::new(key_of(PublicKey::read(path)?)));
        }
        let place = if !settings.jwks_uri.is_empty() {
            Some(Place::Set(Address::parse(&settings.jwks_uri)?))
        } else if named.is_empty() && settings.jwks_file.is_none() {
            let endpoint = settings.discovery_endpoint();
            endpoint.map(|url| Address::parse(&url).map(Place::Discovery)).transpose()?
        } else {
            None
        };
        let fetcher = || Fetcher::new(settings.cacertfile.clone(), FETCH_LIMIT, FETCH_LIMIT);
        Ok(Self {
            default_key: Some(settings.default_key.clone()).filter(|name| !name.is_empty()),
            named,
            file: settings.jwks_file.clone(),
            read: Mutex::new(None),
            source: place.map(|place| Source { fetcher: fetcher(), place }),
            fetched: RwLock::default(),
            tried: Mutex::default(),
        })
    }

    /// The key of that id; without one, the default key, or the one that has no id itself.
    pub(crate) async fn find(&self, id: Option<&str>) -> Result<Arc<Key>, TokenError> {
        let id = id.map(str::to_owned).or_else(|| self.default_key.clone());
        if let Some(key) = id.as_ref().and_then(|id| self.named.get(id)) {
            return Ok(Arc::clone(key));
        }
        if let Some(key) = self.in_file(&id).await {
            return Ok(Arc::new(key));
        }
        let Some(source) = &self.source else { return Err(TokenError::UnknownKey) };
        // Whose key is known does not wait for those whose key is not.
        let outcome = if self.is_due(&id) { self.fetch(source, &id).await } else { Ok(()) };
        match (self.in_fetched(&id), outcome) {
            (Some(key), _) => Ok(Arc::new(key)),
            (None, Ok(())) => Err(TokenError::UnknownKey),
            (None, Err(error)) => Err(TokenError::NoKeys(error)),
        }
    }

    fn in_fetched(&self, id: &Option<String>) -> Option<Key> {
        let fetched = self.fetched.read().unwrap_or_else(PoisonError::into_inner);
        fetched.keys.get(id).cloned()
    }

    /// Whether that key was not fetched, or too long ago.
    fn is_due(&self, id: &Option<String>) -> bool {
        let fetched = self.fetched.read().unwrap_or_else(PoisonError::into_inner);
        let is_old = fetched.since.is_none_or(|since| since.elapsed() >= FETCHED_FRESH);
        is_old || !fetched.keys.contains_key(id)
    }

    async fn in_file(&self, id: &Option<String>) -> Option<Key> {
        let path = self.file.as_ref()?;
        let mut read = self.read.lock().await;
        let about = tokio::fs::metadata(path).await;
        let (changed, bytes) = match &about {
            Ok(about) => (about.modified().ok(), about.len()),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the file of keys cannot be read");
                (None, 0)
            }
        };
        let is_same =
            read.as_ref().is_some_and(|known| (known.changed, known.bytes) == (changed, bytes));
        if about.is_ok() && !is_same {
            let keys = tokio::fs::read(path).await.ok().and_then(|text| jwk::parse(&text));
            match keys {
                Some(keys) => *read = Some(FileSet { changed, bytes, keys }),
                // It may be half written: what was there before counts until it makes sense.
                None => tracing::warn!(path = %path.display(), "this is no set of keys"),
            }
        }
        read.as_ref()?.keys.get(id).cloned()
    }

    /// Fetches the set, unless it was tried a moment ago.
    async fn fetch(&self, source: &Source, id: &Option<String>) -> Result<(), FetchError> {
        // Whoever waits here finds what the one before has fetched.
        let mut tried = self.tried.lock().await;
        let is_tried = tried.is_some_and(|tried| tried.elapsed() < FETCH_PAUSE);
        if is_tried || !self.is_due(id) {
            return Ok(());
        }
        *tried = Some(Instant::now());
        let keys = source.keys().await.inspect_err(|error| {
            tracing::warn!(error = %error.chain(), "keys for tokens cannot be fetched");
        })?;
        tracing::debug!(keys = keys.len(), "keys for tokens were fetched");
        let fetched = Fetched { keys, since: *tried };
        *self.fetched.write().unwrap_or_else(PoisonError::into_inner) = fetched;
        Ok(())
    }
}

impl Source {
    async fn keys(&self) -> Result<KeySet, FetchError> {
        let set = match &self.place {
            Place::Set(address) => self.document(address).await?,
            Place::Discovery(address) => {
                let about = self.document(address).await?;
                let about: Option<Value> = serde_json::from_slice(&about).ok();
                let uri = about.as_ref().and_then(|about| about.get("jwks_uri")?.as_str());
                let address = uri.and_then(|uri| Address::parse(uri).ok());
                self.document(&address.ok_or(FetchError::Senseless)?).await?
            }
        };
        jwk::parse(&set).filter(|keys| !keys.is_empty()).ok_or(FetchError::Senseless)
    }

    async fn document(&self, address: &Address) -> Result<Vec<u8>, FetchError> {
        let answer = self.fetcher.get(address, "", DOCUMENT_MOST_BYTES).await?;
        if answer.status == 200 { Ok(answer.body) } else { Err(FetchError::Status(answer.status)) }
    }
}

fn key_of(key: PublicKey) -> Key {
    match key.kind {
        PublicKeyKind::Rsa => Key::Rsa(key.bytes),
        PublicKeyKind::P256 => Key::P256(key.bytes),
        PublicKeyKind::P384 => Key::P384(key.bytes),
        PublicKeyKind::Ed25519 => Key::Ed25519(key.bytes),
    }
}
