//! Users: their passwords, tags and limits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

use crate::Name;

/// Bytes of salt in front of a hash.
pub const SALT_BYTES: usize = 4;

/// How a password was hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashingAlgorithm {
    /// `rabbit_password_hashing_sha256`
    #[default]
    Sha256,
    /// `rabbit_password_hashing_sha512`
    Sha512,
}

impl HashingAlgorithm {
    /// The algorithm that definitions call `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "rabbit_password_hashing_sha256" => Some(Self::Sha256),
            "rabbit_password_hashing_sha512" => Some(Self::Sha512),
            _ => None,
        }
    }

    /// What definitions call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
        }
    }

    fn hash(self, salt: &[u8], password: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                Sha256::new().chain_update(salt).chain_update(password).finalize().to_vec()
            }
            Self::Sha512 => {
                Sha512::new().chain_update(salt).chain_update(password).finalize().to_vec()
            }
        }
    }
}

/// A password that can be checked and not read.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// How it was hashed.
    pub algorithm: HashingAlgorithm,
    /// Salt and hash; empty where no password opens the account.
    salted: Vec<u8>,
}

impl PasswordHash {
    /// Hashes `password` with `salt`, which the caller draws at random.
    #[must_use]
    pub fn new(algorithm: HashingAlgorithm, salt: [u8; SALT_BYTES], password: &str) -> Self {
        let mut salted = salt.to_vec();
        salted.extend(algorithm.hash(&salt, password.as_bytes()));
        Self { algorithm, salted }
    }

    /// No password opens the account.
    #[must_use]
    pub fn none() -> Self {
        Self { algorithm: HashingAlgorithm::default(), salted: Vec::new() }
    }

    /// The hash that definitions carry as `text`; none if that is not base64.
    #[must_use]
    pub fn parse(algorithm: HashingAlgorithm, text: &str) -> Option<Self> {
        let salted = STANDARD.decode(text).ok()?;
        Some(Self { algorithm, salted })
    }

    pub(crate) fn from_salted(algorithm: HashingAlgorithm, salted: Vec<u8>) -> Self {
        Self { algorithm, salted }
    }

    pub(crate) fn salted(&self) -> &[u8] {
        &self.salted
    }

    /// As definitions carry it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.salted)
    }

    /// Whether `password` is the one; takes equally long wherever the two differ. An empty
    /// password never is.
    #[must_use]
    pub fn matches(&self, password: &[u8]) -> bool {
        let Some((salt, expected)) = self.salted.split_at_checked(SALT_BYTES) else { return false };
        let found = self.algorithm.hash(salt, password);
        let same_length = found.len() == expected.len();
        let differing =
            found.iter().zip(expected).fold(0_u8, |sum, (one, other)| sum | (one ^ other));
        same_length && differing == 0 && !password.is_empty()
    }
}

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordHash").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Limits of a user; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// `max-connections`
    pub max_connections: Option<u64>,
    /// `max-channels`
    pub max_channels: Option<u64>,
}

/// Names one of [`UserLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserLimit {
    /// `max-connections`
    MaxConnections,
    /// `max-channels`
    MaxChannels,
}

impl UserLimit {
    /// The limit that the HTTP API calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "max-connections" => Some(Self::MaxConnections),
            "max-channels" => Some(Self::MaxChannels),
            _ => None,
        }
    }

    /// What the HTTP API calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max-connections",
            Self::MaxChannels => "max-channels",
        }
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The login.
    pub name: Name,
    /// The password.
    pub password: PasswordHash,
    /// Sorted, each once.
    pub tags: Vec<Name>,
    /// Whether connections are accepted from the same machine alone.
    pub loopback_only: bool,
    /// The limits.
    pub limits: UserLimits,
}

impl User {
    /// Whether the user bears `tag`.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|known| &**known == tag)
    }
}

/// Why a login is refused. Clients are told the same in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthRefusal {
    /// No such user.
    #[error("no such user")]
    UnknownUser,
    /// Not this password.
    #[error("invalid credentials")]
    WrongPassword,
}

#[cfg(test)]
mod tests;
