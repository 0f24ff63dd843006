//! Tests of `permission`.

use super::*;
use crate::testing::{Log, VHOST};
use crate::{Command, PutUser, Refusal};

fn log() -> Log {
    let mut log = Log::new();
    let user = PutUser { user: "u".into(), password: None, tags: None, loopback_only: None };
    log.accept(Command::PutUser(user));
    log
}

fn permit(configure: &str, write: &str, read: &str) -> Command {
    Command::SetPermission {
        user: "u".into(),
        vhost: VHOST.into(),
        configure: configure.into(),
        write: write.into(),
        read: read.into(),
    }
}

fn permit_topic(write: &str, read: &str) -> Command {
    Command::SetTopicPermission {
        user: "u".into(),
        vhost: VHOST.into(),
        exchange: "amq.topic".into(),
        write: write.into(),
        read: read.into(),
    }
}

#[test]
fn expressions_are_searched_for_and_the_empty_one_means_nothing() {
    let mut log = log();
    log.accept(permit("", "^a", "b"));
    let may = |name, access| log.catalog.check_permission("u", VHOST, name, access);

    assert!(!may("a", Access::Configure));
    assert!(may("ab", Access::Write));
    assert!(!may("ba", Access::Write));
    assert!(may("abc", Access::Read));
    assert!(!may("a", Access::Read));
}

#[test]
fn the_default_exchange_is_checked_under_its_other_name() {
    let mut log = log();
    log.accept(permit("", "^amq\\.default$", "^$"));

    assert!(log.catalog.check_permission("u", VHOST, "", Access::Write));
    assert!(!log.catalog.check_permission("u", VHOST, "", Access::Read));
}

#[test]
fn without_permission_nothing_is_allowed() {
    let mut log = log();
    assert!(!log.catalog.check_permission("u", VHOST, "q", Access::Read));
    log.accept(permit(".*", ".*", ".*"));
    assert!(log.catalog.check_permission("u", VHOST, "q", Access::Read));

    log.accept(Command::ClearPermission { user: "u".into(), vhost: VHOST.into() });

    assert!(!log.catalog.check_permission("u", VHOST, "q", Access::Read));
    assert!(log.catalog.permission("u", VHOST).is_none());
}

#[test]
fn an_expression_that_does_not_compile_is_refused() {
    let refusal = log().refuse(permit("(", ".*", ".*"));
    let look_around = log().refuse(permit("(?=a)", ".*", ".*"));
    let huge = log().refuse(permit("(a{1000}){1000}", ".*", ".*"));

    assert!(matches!(refusal, Refusal::InvalidPattern(_)));
    assert!(matches!(look_around, Refusal::InvalidPattern(_)));
    assert!(matches!(huge, Refusal::InvalidPattern(_)));
    assert!(refusal.to_string().starts_with("invalid regular expression '('"));
}

#[test]
fn topic_permissions_allow_all_unless_set_and_know_variables() {
    let mut log = log();
    let variables = TopicVariables { username: "u", vhost: VHOST, client_id: None };
    let may = |log: &Log, access, key: &str| {
        let key = key.as_bytes();
        log.catalog.check_topic_permission("u", VHOST, "amq.topic", access, key, variables)
    };
    assert!(may(&log, TopicAccess::Write, "x"));

    log.accept(permit_topic("^{username}\\.", ""));

    assert!(may(&log, TopicAccess::Write, "u.x"));
    assert!(!may(&log, TopicAccess::Write, "v.x"));
    assert!(!may(&log, TopicAccess::Read, "u.x"));
    let exchange = Some("amq.topic".into());
    let (user, vhost) = ("u".into(), VHOST.into());
    log.accept(Command::ClearTopicPermission { user, vhost, exchange });
    assert!(may(&log, TopicAccess::Read, "x"));
}

#[test]
fn a_variable_stands_for_itself_and_not_for_an_expression() {
    let pattern = Pattern::new("^{client_id}$".into()).expect("it compiles");
    let with = |client_id| TopicVariables { username: "u", vhost: VHOST, client_id };

    let check = TopicCheck::new(&pattern, with(Some(".*")));

    assert!(check.allows(b".*"));
    assert!(!check.allows(b"anything"));
    assert!(!check.allows(&[0xFF]));
}

#[test]
fn a_brace_that_begins_no_repetition_stands_for_itself() {
    let cases = [
        ("^{a}$", "{a}", true),
        ("^a{2}$", "aa", true),
        ("^a{2,}$", "aaa", true),
        ("^a{1,2}$", "aaa", false),
        ("^a{,2}$", "a{,2}", true),
        ("^[{]x$", "{x", true),
        (r"^\{x$", "{x", true),
        (r"^\p{Greek}$", "α", true),
        ("^{$", "{", true),
    ];
    for (pattern, name, expected) in cases {
        let pattern = Pattern::new(pattern.into()).expect("it compiles");

        assert_eq!(pattern.matches(name), expected, "'{}' and '{name}'", pattern.text());
    }
}
