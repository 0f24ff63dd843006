//! Whether a token is good: signed by whom it should be, made for this cluster, and in time.
//!
//! The audience comes first. It says which resource server is meant, that one names its provider, and
//! no other provider's keys are tried: whoever may speak for one audience cannot speak for another.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

use crate::audience;
use crate::compact::Compact;
use crate::fetch::FetchError;
use crate::jws::Algorithm;
use crate::keyring::Keyring;
use crate::scopes::Scopes;
use crate::settings::{Oauth2Settings, ProviderSettings, ResourceServer, SettingsError};
use crate::token::Token;

/// The name of somebody whose token says none.
const NOBODY: &str = "unknown";

/// Why a token is not good. Nothing of it is told here.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It is none.
    #[error("provided token is invalid")]
    Invalid,
    /// It is not made for anybody.
    #[error("no_aud_found")]
    NoAudience,
    /// It is made for somebody else.
    #[error("no_matching_aud_found")]
    OtherAudience,
    /// It is made for more than one of this cluster's resource servers.
    #[error("aud_matched_many_resource_servers_only_one_allowed")]
    ManyAudiences,
    /// It is not made for anybody, and several resource servers would take it.
    #[error("no_aud_found_cannot_pick_one_from_too_many_resource_servers")]
    NoAudienceForMany,
    /// It is made for somebody else, and several resource servers would take it.
    #[error("too_many_resources_with_verify_aud_false")]
    OtherAudienceForMany,
    /// Somebody else has made it.
    #[error("the token comes from another issuer")]
    OtherIssuer,
    /// Nobody knows the key that it was signed with.
    #[error("key_not_found")]
    UnknownKey,
    /// Where its key should be, none could be had.
    #[error("the keys cannot be fetched")]
    NoKeys(#[source] FetchError),
    /// It was signed by somebody else, or changed, or in a way that is not allowed.
    #[error("signature_invalid")]
    Signature,
    /// It was good until then.
    #[error("Provided JWT token has expired at timestamp {expires_s} (validated at {now_s})")]
    Expired {
        /// When it ended, seconds since 1970.
        expires_s: u64,
        /// When that was found, seconds since 1970.
        now_s: u64,
    },
    /// It is not good yet.
    #[error("Provided JWT token is not valid before timestamp {begins_s} (validated at {now_s})")]
    TooEarly {
        /// When it begins, seconds since 1970.
        begins_s: u64,
        /// When that was found, seconds since 1970.
        now_s: u64,
    },
    /// Its end or its beginning is no number.
    #[error("Provided JWT token has an invalid {0} claim: value is not a number")]
    NoNumber(&'static str),
    /// It has no end.
    #[error("Provided JWT token has no exp claim")]
    Endless,
    /// It has more scopes than anybody needs.
    #[error("too_many_scopes")]
    TooManyScopes,
}

/// Judges tokens.
#[derive(Debug)]
pub struct Oauth2 {
    settings: Oauth2Settings,
    providers: BTreeMap<String, Provider>,
}

/// Somebody who makes tokens.
#[derive(Debug)]
struct Provider {
    issuer: String,
    algorithms: Vec<Algorithm>,
    keys: Keyring,
}

impl Provider {
    fn new(settings: &ProviderSettings) -> Result<Self, SettingsError> {
        let named = settings.algorithms.iter().map(|name| {
            Algorithm::parse(name).ok_or_else(|| SettingsError::Algorithm(name.clone()))
        });
        let algorithms = named.collect::<Result<_, _>>()?;
        let issuer = settings.issuer.trim_end_matches('/').to_owned();
        Ok(Self { issuer, algorithms, keys: Keyring::new(settings)? })
    }

    /// Whether it has made this.
    async fn check(&self, token: &Compact<'_>) -> Result<(), TokenError> {
        let key = self.keys.find(token.key_id.as_deref()).await?;
        if !token.is_signed_with(&key, &self.algorithms) {
            return Err(TokenError::Signature);
        }
        let found = token.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let is_right = self.issuer.is_empty() || found.trim_end_matches('/') == self.issuer;
        if is_right { Ok(()) } else { Err(TokenError::OtherIssuer) }
    }
}

impl Oauth2 {
    /// Reads the keys that stand in files.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(settings: Oauth2Settings) -> Result<Self, SettingsError> {
        for (place, server) in settings.resource_servers.iter().enumerate() {
            let mut before = settings.resource_servers.iter().take(place);
            if before.any(|other| other.id == server.id) {
                return Err(SettingsError::Twice(server.id.clone()));
            }
            if !settings.providers.contains_key(&server.provider) {
                return Err(SettingsError::Provider(server.provider.clone()));
            }
        }
        let providers = settings.providers.iter();
        let providers = providers.map(|(id, provider)| Ok((id.clone(), Provider::new(provider)?)));
        let providers = providers.collect::<Result<_, SettingsError>>()?;
        Ok(Self { settings, providers })
    }

    /// Whose token it is and what it allows, if it is good at the moment.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn judge(&self, token: &[u8]) -> Result<Token, TokenError> {
        let compact = Compact::parse(token).ok_or(TokenError::Invalid)?;
        let servers = &self.settings.resource_servers;
        let server = audience::resolve(servers, compact.claims.get("aud"))?;
        let provider = self.providers.get(&server.provider).ok_or(TokenError::UnknownKey)?;
        provider.check(&compact).await?;
        self.read(server, &compact.claims, now_s())
    }

    /// What the claims of a token say whose signature is right.
    fn read(
        &self,
        server: &ResourceServer,
        claims: &Map<String, Value>,
        now_s: u64,
    ) -> Result<Token, TokenError> {
        let leeway_s = self.settings.leeway.as_secs();
        let expires_s = seconds(claims, "exp")?.map(|end_s| end_s.saturating_add(leeway_s));
        match expires_s {
            Some(expires_s) if expires_s <= now_s => {
                return Err(TokenError::Expired { expires_s, now_s });
            }
            None if self.settings.require_exp => return Err(TokenError::Endless),
            Some(_) | None => {}
        }
        if let Some(begins_s) = seconds(claims, "nbf")?
            && begins_s > now_s.saturating_add(leeway_s)
        {
            return Err(TokenError::TooEarly { begins_s, now_s });
        }
        let mut names = server.preferred_username_claims.iter();
        let user = names.find_map(|claim| claims.get(claim).and_then(Value::as_str));
        let scopes = Scopes::of(server, claims).ok_or(TokenError::TooManyScopes)?;
        Ok(Token { user: user.unwrap_or(NOBODY).to_owned(), scopes, expires_s })
    }
}

/// A claim that is a time, in whole seconds since 1970.
fn seconds(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let whole = value.as_u64();
    let seconds = whole.or_else(|| {
        let seconds = Duration::try_from_secs_f64(value.as_f64()?.max(0.0));
        Some(seconds.map_or(u64::MAX, |seconds| seconds.as_secs()))
    });
    seconds.map(Some).ok_or(TokenError::NoNumber(claim))
}

/// The time of day, in seconds since 1970.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
