//! Tests of `settings`.

use super::*;
use crate::policy::definition::merge;
use crate::testing::table;
use crate::{Definition, PolicyLayer};

fn settings(
    kind: QueueKind,
    arguments: &[(&str, Value)],
    user: Option<&str>,
    operator: Option<&str>,
) -> Settings {
    let parse = |text: Option<&str>, layer| {
        text.map(|text| Definition::parse(&text.into(), layer).expect("a definition"))
    };
    let user = parse(user, PolicyLayer::User);
    let operator = parse(operator, PolicyLayer::Operator);
    let merged = merge(user.as_ref(), operator.as_ref());
    Settings::new(kind, &table(arguments), &merged, Defaults::default())
}

#[test]
fn of_numbers_the_least_counts() {
    let arguments = [("x-max-length", Value::I32(10)), ("x-message-ttl", Value::I32(5))];
    let user = r#"{"max-length": 7, "message-ttl": 9, "expires": 100}"#;
    let operator = r#"{"max-length": 8, "expires": 50, "max-length-bytes": 1000}"#;

    let both = settings(QueueKind::Classic, &arguments, Some(user), Some(operator));

    assert_eq!(both.max_length, Some(7));
    assert_eq!(both.message_ttl_ms, Some(5));
    assert_eq!(both.expires_ms, Some(50));
    assert_eq!(both.max_length_bytes, Some(1000));
}

#[test]
fn dead_lettering_follows_the_argument_before_the_policy() {
    let arguments = [("x-dead-letter-exchange", Value::text("a"))];
    let user = r#"{"dead-letter-exchange": "b", "dead-letter-routing-key": "k"}"#;

    let both = settings(QueueKind::Classic, &arguments, Some(user), None);
    let policy = settings(QueueKind::Classic, &[], Some(user), None);
    let key_alone = r#"{"dead-letter-routing-key": "k"}"#;
    let key_alone = settings(QueueKind::Classic, &[], Some(key_alone), None);

    assert_eq!(both.dead_letter_exchange.as_deref(), Some("a"));
    assert_eq!(both.dead_letter_routing_key.as_deref(), Some("k"));
    assert_eq!(policy.dead_letter_exchange.as_deref(), Some("b"));
    assert_eq!(key_alone.dead_letter_routing_key, None);
}

#[test]
fn overflow_follows_the_argument_on_classic_queues_and_the_policy_on_quorum_queues() {
    let arguments = [("x-overflow", Value::text("reject-publish"))];
    let user = Some(r#"{"overflow": "drop-head"}"#);
    let overflow = |kind, user, operator| settings(kind, &arguments, user, operator).overflow;

    assert_eq!(overflow(QueueKind::Classic, user, None), Overflow::RejectPublish);
    assert_eq!(overflow(QueueKind::Quorum, user, None), Overflow::DropHead);
    assert_eq!(overflow(QueueKind::Quorum, None, None), Overflow::RejectPublish);
    let operator = Some(r#"{"overflow": "reject-publish"}"#);
    assert_eq!(overflow(QueueKind::Quorum, user, operator), Overflow::RejectPublish);
    let dlx = [("x-overflow", Value::text("reject-publish-dlx"))];
    let classic = settings(QueueKind::Classic, &dlx, None, None);
    assert_eq!(classic.overflow, Overflow::RejectPublishDlx);
    assert_eq!(settings(QueueKind::Quorum, &dlx, None, None).overflow, Overflow::DropHead);
}

#[test]
fn sure_dead_lettering_needs_a_quorum_queue_that_refuses() {
    let sure = ("x-dead-letter-strategy", Value::text("at-least-once"));
    let refuse = ("x-overflow", Value::text("reject-publish"));
    let strategy = |kind, arguments: &[(&str, Value)]| {
        settings(kind, arguments, None, None).dead_letter_strategy
    };

    let both = [sure.clone(), refuse];
    assert_eq!(strategy(QueueKind::Quorum, &both), DeadLetterStrategy::AtLeastOnce);
    assert_eq!(strategy(QueueKind::Quorum, &[sure]), DeadLetterStrategy::AtMostOnce);
    assert_eq!(strategy(QueueKind::Classic, &both), DeadLetterStrategy::AtMostOnce);
}

#[test]
fn the_delivery_limit_of_a_quorum_queue_is_20_unless_told() {
    let limit = |argument: Option<i32>, user: Option<&str>, operator: Option<&str>| {
        let arguments: Vec<_> =
            argument.map(|limit| ("x-delivery-limit", Value::I32(limit))).into_iter().collect();
        settings(QueueKind::Quorum, &arguments, user, operator).delivery_limit
    };

    assert_eq!(limit(None, None, None), Some(20));
    assert_eq!(limit(Some(-1), None, None), None);
    assert_eq!(limit(Some(5), Some(r#"{"delivery-limit": 3}"#), None), Some(3));
    assert_eq!(limit(Some(-1), Some(r#"{"delivery-limit": 3}"#), None), Some(3));
    let operator = Some(r#"{"delivery-limit": 9}"#);
    assert_eq!(limit(None, Some(r#"{"delivery-limit": -1}"#), operator), Some(9));
    assert_eq!(settings(QueueKind::Classic, &[], None, None).delivery_limit, None);
}

#[test]
fn delayed_retry_needs_a_type_and_a_least_wait() {
    let retry = |arguments: &[(&str, Value)], user: Option<&str>| {
        settings(QueueKind::Quorum, arguments, user, None).delayed_retry
    };
    let all = ("x-delayed-retry-type", Value::text("all"));
    let min = ("x-delayed-retry-min", Value::I32(100));

    assert_eq!(retry(std::slice::from_ref(&all), None), DelayedRetry::default());
    let constant = DelayedRetry { kind: DelayedRetryKind::All, min_ms: 100, max_ms: 100 };
    assert_eq!(retry(&[all.clone(), min.clone()], None), constant);
    let user = Some(
        r#"{"delayed-retry-type": "failed", "delayed-retry-min": 50, "delayed-retry-max": 70}"#,
    );
    let policy = DelayedRetry { kind: DelayedRetryKind::Failed, min_ms: 50, max_ms: 70 };
    assert_eq!(retry(&[all, min], user), policy);
}

#[test]
fn a_queue_takes_a_message_once_where_it_has_a_window() {
    let dedup = |arguments: &[(&str, Value)], user: Option<&str>| {
        settings(QueueKind::Classic, arguments, user, None).dedup
    };
    let (window, limit) = (("x-dedup-window", Value::I32(50)), ("x-dedup-limit", Value::I32(7)));
    let header = ("x-deduplication-header", Value::text("order"));
    let policy = r#"{"dedup-window": 60, "dedup-limit": 8, "deduplication-header": "id"}"#;

    assert_eq!(dedup(&[limit.clone(), header.clone()], None), None);
    let bare = Dedup { window_ms: 50, header: None, limit: None };
    assert_eq!(dedup(std::slice::from_ref(&window), None), Some(bare));
    let by_policy = Dedup { window_ms: 60, header: Some("id".into()), limit: Some(8) };
    assert_eq!(dedup(&[], Some(policy)), Some(by_policy));
    let own = Dedup { window_ms: 50, header: Some("order".into()), limit: Some(7) };
    assert_eq!(dedup(&[window, limit, header], Some(policy)), Some(own));
}

#[test]
fn a_queue_tries_again_by_its_own_delays_or_those_of_its_policy() {
    let retry = |arguments: &[(&str, Value)], user: Option<&str>| {
        settings(QueueKind::Quorum, arguments, user, None).retry
    };
    let own = ("x-retry", Value::Array(vec![Value::I32(10), Value::I64(200)]));
    let policy = r#"{"retry": [5, 0], "retry-jitter": 20}"#;

    assert_eq!(retry(&[], None), None);
    let by_policy = Retry { delays_ms: vec![5, 0], jitter_percent: 20 };
    assert_eq!(retry(&[], Some(policy)), Some(by_policy));
    let both = Retry { delays_ms: vec![10, 200], jitter_percent: 20 };
    assert_eq!(retry(&[own], Some(policy)), Some(both));
}

#[test]
fn what_becomes_of_what_is_held_for_too_long_is_as_in_rabbitmq_unless_told_otherwise() {
    let action = |kind, arguments: &[(&str, Value)], user: Option<&str>| {
        settings(kind, arguments, user, None).timeout_action
    };
    let own = [("x-consumer-timeout-action", Value::text("return"))];
    let policy = Some(r#"{"consumer-timeout-action": "close"}"#);

    assert_eq!(action(QueueKind::Quorum, &[], None), TimeoutAction::Cancel);
    assert_eq!(action(QueueKind::Classic, &[], None), TimeoutAction::Close);
    assert_eq!(action(QueueKind::Quorum, &[], policy), TimeoutAction::Close);
    assert_eq!(action(QueueKind::Quorum, &own, policy), TimeoutAction::Return);
}

#[test]
fn arguments_alone_decide_what_no_policy_may() {
    let arguments =
        [("x-max-priority", Value::I32(10)), ("x-single-active-consumer", Value::Bool(true))];

    let settings = settings(QueueKind::Classic, &arguments, None, None);

    assert_eq!(settings.max_priority, Some(10));
    assert!(settings.single_active_consumer);
}

#[test]
fn a_streams_retention_follows_the_policy_before_the_argument() {
    let segments = ("x-stream-max-segment-size-bytes", Value::I32(30));
    let arguments =
        [("x-max-age", Value::text("1h")), ("x-max-length-bytes", Value::I32(10)), segments];
    let sizes = r#""max-length-bytes": 20, "stream-max-segment-size-bytes": 40"#;
    let user = format!(r#"{{"max-age": "2h", {sizes}}}"#);
    let own = settings(QueueKind::Stream, &arguments, None, None);

    let settings = settings(QueueKind::Stream, &arguments, Some(&user), None);

    assert_eq!(own.max_age_ms, Some(3_600_000));
    assert_eq!((own.max_length_bytes, own.segment_bytes), (Some(10), Some(30)));
    assert_eq!(settings.max_age_ms, Some(7_200_000));
    assert_eq!((settings.max_length_bytes, settings.segment_bytes), (Some(20), Some(40)));
}
