//! Users: their passwords, tags and limits.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha512};

use crate::Name;

/// Bytes of salt to be drawn for a hash.
pub const SALT_BYTES: usize = 16;

/// Bytes of them that RabbitMQ's algorithms take, and that stand in front of their hashes.
const SHORT_SALT_BYTES: usize = 4;

/// What Argon2id costs for a password that is set: 7 MiB, five times over, as OWASP has it for
/// machines that many log in to.
const COST: Cost = Cost { memory_kib: 7 * 1024, passes: 5 };

/// The most that a hash from elsewhere may cost: a document must not make logins a burden.
const COST_MAX: Cost = Cost { memory_kib: 64 * 1024, passes: 16 };

/// Bytes that Argon2id leaves of a password.
const ARGON2_BYTES: usize = 32;

/// What one check of a password with Argon2id costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
}

impl Cost {
    /// The cost that stands in front of a hash, if it may be asked for, and what is behind it.
    fn of(salted: &[u8]) -> Option<(Self, &[u8])> {
        let (memory_kib, rest) = salted.split_first_chunk()?;
        let (passes, rest) = rest.split_first_chunk()?;
        let (memory_kib, passes) = (u32::from_be_bytes(*memory_kib), u32::from_be_bytes(*passes));
        let is_fair = memory_kib <= COST_MAX.memory_kib && passes <= COST_MAX.passes;
        is_fair.then_some((Self { memory_kib, passes }, rest))
    }

    fn hash(self, salt: &[u8], password: &[u8]) -> Option<Vec<u8>> {
        let params = Params::new(self.memory_kib, self.passes, 1, Some(ARGON2_BYTES)).ok()?;
        let mut hash = vec![0; ARGON2_BYTES];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password, salt, &mut hash).ok()?;
        Some(hash)
    }
}

/// How a password was hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashingAlgorithm {
    /// `rabbit_password_hashing_sha256`
    #[default]
    Sha256,
    /// `rabbit_password_hashing_sha512`
    Sha512,
    /// `warren_password_hashing_argon2id`: slow on purpose, and unknown to RabbitMQ.
    Argon2id,
}

impl HashingAlgorithm {
    /// The algorithm that definitions call `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "rabbit_password_hashing_sha256" => Some(Self::Sha256),
            "rabbit_password_hashing_sha512" => Some(Self::Sha512),
            "warren_password_hashing_argon2id" => Some(Self::Argon2id),
            _ => None,
        }
    }

    /// What definitions call it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "rabbit_password_hashing_sha256",
            Self::Sha512 => "rabbit_password_hashing_sha512",
            Self::Argon2id => "warren_password_hashing_argon2id",
        }
    }

    /// Whether a check takes so long that it is not to be made where others wait.
    #[must_use]
    pub fn is_slow(self) -> bool {
        match self {
            Self::Sha256 | Self::Sha512 => false,
            Self::Argon2id => true,
        }
    }

    /// Splits what is stored into what stands before the hash, and the hash of `password` with that.
    fn again(self, salted: &[u8], password: &[u8]) -> Option<(usize, Vec<u8>)> {
        let salt = || salted.get(..SHORT_SALT_BYTES);
        match self {
            Self::Sha256 => {
                let hash = Sha256::new().chain_update(salt()?).chain_update(password).finalize();
                Some((SHORT_SALT_BYTES, hash.to_vec()))
            }
            Self::Sha512 => {
                let hash = Sha512::new().chain_update(salt()?).chain_update(password).finalize();
                Some((SHORT_SALT_BYTES, hash.to_vec()))
            }
            Self::Argon2id => {
                let (cost, rest) = Cost::of(salted)?;
                let salt = rest.get(..SALT_BYTES)?;
                let before = salted.len().checked_sub(rest.len())?.checked_add(SALT_BYTES)?;
                Some((before, cost.hash(salt, password)?))
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
    ///
    /// # Panics
    /// When `password` has gigabytes.
    #[must_use]
    pub fn new(algorithm: HashingAlgorithm, salt: [u8; SALT_BYTES], password: &str) -> Self {
        let mut salted = match algorithm {
            HashingAlgorithm::Sha256 | HashingAlgorithm::Sha512 => {
                salt.iter().copied().take(SHORT_SALT_BYTES).collect()
            }
            HashingAlgorithm::Argon2id => {
                [&COST.memory_kib.to_be_bytes()[..], &COST.passes.to_be_bytes(), &salt].concat()
            }
        };
        let (_, hash) = algorithm.again(&salted, password.as_bytes()).expect("the cost is fair");
        salted.extend(hash);
        Self { algorithm, salted }
    }

    /// No password opens the account.
    #[must_use]
    pub fn none() -> Self {
        Self { algorithm: HashingAlgorithm::default(), salted: Vec::new() }
    }

    /// The hash that definitions carry as `text`; none if that is not base64, or costs too much.
    #[must_use]
    pub fn parse(algorithm: HashingAlgorithm, text: &str) -> Option<Self> {
        let salted = STANDARD.decode(text).ok()?;
        let is_fair = match algorithm {
            HashingAlgorithm::Sha256 | HashingAlgorithm::Sha512 => true,
            HashingAlgorithm::Argon2id => salted.is_empty() || Cost::of(&salted).is_some(),
        };
        is_fair.then_some(Self { algorithm, salted })
    }

    pub(crate) fn from_salted(algorithm: HashingAlgorithm, salted: Vec<u8>) -> Self {
        Self { algorithm, salted }
    }

    /// Salt and hash, as they are stored.
    #[must_use]
    pub fn salted(&self) -> &[u8] {
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
        let Some((before, found)) = self.algorithm.again(&self.salted, password) else {
            return false;
        };
        let expected = self.salted.get(before..).unwrap_or_default();
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
