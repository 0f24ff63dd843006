//! Tests of `user`.

use super::*;
use crate::testing::Log;
use crate::{Command, PutUser};

#[test]
fn a_hash_made_by_rabbitmq_is_understood() {
    // The example of RabbitMQ's guide to passwords: test12, salt 908D C60A.
    let text = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
    let hash = PasswordHash::parse(HashingAlgorithm::Sha256, text).expect("base64");

    assert!(hash.matches(b"test12"));
    assert!(!hash.matches(b"test13"));
    assert_eq!(hash.to_base64(), text);
    let mut salt = [0; SALT_BYTES];
    salt[..4].copy_from_slice(&[0x90, 0x8D, 0xC6, 0x0A]);
    assert_eq!(PasswordHash::new(HashingAlgorithm::Sha256, salt, "test12"), hash);
}

#[test]
fn every_algorithm_matches_its_own_also_after_a_journey_as_text() {
    let all = [HashingAlgorithm::Sha256, HashingAlgorithm::Sha512, HashingAlgorithm::Argon2id];
    for algorithm in all {
        let hash = PasswordHash::new(algorithm, [1; SALT_BYTES], "secret");
        let hash = PasswordHash::parse(algorithm, &hash.to_base64()).expect("it was written");

        assert!(hash.matches(b"secret"));
        assert!(!hash.matches(b"Secret"));
        assert_eq!(HashingAlgorithm::parse(algorithm.as_str()), Some(algorithm));
    }
}

#[test]
fn no_password_opens_an_account_without_one() {
    let empty = PasswordHash::new(HashingAlgorithm::Sha256, [0; SALT_BYTES], "");

    for hash in [PasswordHash::none(), empty] {
        assert!(!hash.matches(b""));
        assert!(!hash.matches(b"x"));
    }
    assert_eq!(PasswordHash::parse(HashingAlgorithm::Sha256, "not base64!"), None);
}

#[test]
fn a_hash_from_elsewhere_must_not_cost_too_much() {
    let hash = PasswordHash::new(HashingAlgorithm::Argon2id, [1; SALT_BYTES], "secret");
    let mut dear = hash.salted().to_vec();
    dear[..4].copy_from_slice(&u32::MAX.to_be_bytes());

    let stored = PasswordHash::from_salted(HashingAlgorithm::Argon2id, dear.clone());

    assert!(!stored.matches(b"secret"));
    assert_eq!(PasswordHash::parse(HashingAlgorithm::Argon2id, &STANDARD.encode(dear)), None);
}

#[test]
fn a_hash_does_not_show_itself() {
    let hash = PasswordHash::new(HashingAlgorithm::Sha256, [1; SALT_BYTES], "secret");

    assert!(!format!("{hash:?}").contains("salted"));
}

#[test]
fn who_logs_in_is_the_user_with_that_password() {
    let log = Log::new();

    let guest = log.catalog.authenticate("guest", b"guest").expect("the first user");
    assert!(guest.loopback_only && guest.has_tag("administrator"));
    let wrong = log.catalog.authenticate("guest", b"Guest");
    assert_eq!(wrong, Err(AuthRefusal::WrongPassword));
    let unknown = log.catalog.authenticate("nobody", b"guest");
    assert_eq!(unknown, Err(AuthRefusal::UnknownUser));
}

#[test]
fn what_a_change_does_not_name_stays() {
    let mut log = Log::new();
    let tags = vec!["b".into(), "a".into(), "b".into()];
    let user =
        PutUser { user: "guest".into(), password: None, tags: Some(tags), loopback_only: None };

    log.accept(Command::PutUser(user));

    let guest = log.catalog.authenticate("guest", b"guest").expect("the password stays");
    assert!(guest.loopback_only);
    assert_eq!(guest.tags, ["a".into(), "b".into()]);
}
