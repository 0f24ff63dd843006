//! Passwords that were right, so that they need not be checked again at once.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use warren_catalog::PasswordHash;

/// Passwords that are remembered; the oldest goes first.
const PROOFS: usize = 16_384;

/// For how long a password that was right is not checked again.
const FRESH: Duration = Duration::from_secs(300);

/// A stored hash and the password for it, as one number that tells neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Proof([u8; 32]);

/// Passwords that were right.
pub(super) struct Proofs {
    key: [u8; 32],
    /// When each was right for the last time that it was checked.
    known: HashMap<Proof, Instant>,
    /// In the order in which they came.
    order: VecDeque<Proof>,
}

impl Proofs {
    /// None yet. Nobody else knows the key.
    pub(super) fn new(key: [u8; 32]) -> Self {
        Self { key, known: HashMap::new(), order: VecDeque::new() }
    }

    /// What stands for this password of this user. Another hash, so also another password that was
    /// set, makes another one.
    pub(super) fn proof(&self, user: &str, hash: &PasswordHash, password: &[u8]) -> Proof {
        let digest =
            |part: &[u8]| Sha256::new().chain_update(self.key).chain_update(part).finalize();
        let whole = Sha256::new().chain_update(self.key).chain_update(digest(password));
        let whole = whole.chain_update(digest(user.as_bytes())).chain_update(hash.salted());
        Proof(whole.finalize().into())
    }

    /// What stands for a password, or a token, that somebody else has found right.
    pub(super) fn elsewhere(&self, user: &str, password: &[u8]) -> Proof {
        let Proof(proof) = self.proof(user, &PasswordHash::none(), password);
        // A domain of its own: what others believe opens no account of ours.
        let whole = Sha256::new().chain_update(self.key).chain_update(b"elsewhere");
        Proof(whole.chain_update(proof).finalize().into())
    }

    /// Remembers that it was right.
    pub(super) fn keep(&mut self, proof: Proof, now: Instant) {
        if self.known.insert(proof, now).is_some() {
            return;
        }
        self.order.push_back(proof);
        if self.order.len() > PROOFS
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether it was right a moment ago.
    pub(super) fn is_fresh(&self, proof: &Proof, now: Instant) -> bool {
        self.known.get(proof).is_some_and(|at| now.saturating_duration_since(*at) < FRESH)
    }

    /// Whether it was right at any time that is remembered.
    pub(super) fn is_known(&self, proof: &Proof) -> bool {
        self.known.contains_key(proof)
    }
}

impl std::fmt::Debug for Proofs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proofs").field("known", &self.known.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use warren_catalog::{HashingAlgorithm, SALT_BYTES};

    use super::*;

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::new(HashingAlgorithm::Sha256, [7; SALT_BYTES], password)
    }

    #[test]
    fn a_password_is_fresh_for_a_while_and_known_for_longer() {
        let mut proofs = Proofs::new([1; 32]);
        let (hash, now) = (hash("right"), Instant::now());
        let right = proofs.proof("ann", &hash, b"right");

        proofs.keep(right, now);

        assert!(proofs.is_fresh(&right, now) && !proofs.is_fresh(&right, now + FRESH));
        assert!(proofs.is_known(&right));
        assert!(!proofs.is_known(&proofs.proof("ann", &hash, b"wrong")));
    }

    #[test]
    fn a_password_that_was_set_anew_and_that_of_somebody_else_are_other_ones() {
        let proofs = Proofs::new([1; 32]);
        let (before, after) = (hash("right"), hash("other"));

        let known = proofs.proof("ann", &before, b"right");

        assert_ne!(known, proofs.proof("ann", &after, b"right"));
        assert_ne!(known, proofs.proof("bob", &before, b"right"));
    }

    #[test]
    fn the_oldest_is_forgotten_when_there_are_too_many() {
        let mut proofs = Proofs::new([1; 32]);
        let (hash, now) = (hash("right"), Instant::now());
        let all: Vec<Proof> =
            (0..=PROOFS).map(|nth| proofs.proof("ann", &hash, &nth.to_be_bytes())).collect();

        for proof in &all {
            proofs.keep(*proof, now);
        }

        assert!(!proofs.is_known(&all[0]) && proofs.is_known(&all[1]));
        assert_eq!((proofs.known.len(), proofs.order.len()), (PROOFS, PROOFS));
    }
}
