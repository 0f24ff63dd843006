//! Tests of `arguments`.

use super::*;
use crate::testing::{Log, VHOST, exclusive, queue, queue_with};
use crate::{Command, DeclareQueue, RefusalKind, VhostMeta};

fn tail(arguments: &[(&str, Value)]) -> Option<String> {
    match Log::new().apply(Command::DeclareQueue(queue_with("q", arguments))) {
        Ok(_) => None,
        Err(refusal) => {
            assert_eq!(refusal.kind(), RefusalKind::PreconditionFailed);
            Some(refusal.to_string())
        }
    }
}

#[test]
fn values_that_mean_nothing_are_refused_in_rabbitmqs_words() {
    let text = Value::text;
    let quorum = || (QUEUE_TYPE, Value::text("quorum"));
    let stream = || (QUEUE_TYPE, Value::text("stream"));
    let cases: Vec<(Vec<(&str, Value)>, &str)> = vec![
        (vec![(MESSAGE_TTL, Value::I32(-1))], "'x-message-ttl': {value_negative,-1}"),
        (vec![(MESSAGE_TTL, text("1"))], "'x-message-ttl': \"expected integer, got longstr\""),
        (
            vec![(MESSAGE_TTL, Value::I64(315_360_000_001))],
            "'x-message-ttl': {value_too_large,315360000001}",
        ),
        (vec![(EXPIRES, Value::I32(0))], "'x-expires': {value_zero,0}"),
        (vec![(EXPIRES, Value::I32(-2))], "'x-expires': {value_negative,-2}"),
        (vec![(MAX_LENGTH, Value::I32(-1))], "'x-max-length': {value_negative,-1}"),
        (
            vec![(MAX_LENGTH_BYTES, Value::Bool(true))],
            "'x-max-length-bytes': \"expected integer, got bool\"",
        ),
        (vec![(MAX_PRIORITY, Value::I32(256))], "'x-max-priority': {max_value_exceeded,256}"),
        (vec![(OVERFLOW, text("drop"))], "'x-overflow': invalid_overflow"),
        (
            vec![(CONSUMER_TIMEOUT_ACTION, text("keep"))],
            "'x-consumer-timeout-action': invalid_consumer_timeout_action",
        ),
        (vec![(OVERFLOW, Value::I32(1))], "'x-overflow': {unacceptable_type,signedint}"),
        (
            vec![(SINGLE_ACTIVE_CONSUMER, text("yes"))],
            "'x-single-active-consumer': {unacceptable_type,longstr}",
        ),
        (
            vec![(DEAD_LETTER_ROUTING_KEY, text("k"))],
            "'x-dead-letter-routing-key': routing_key_but_no_dlx_defined",
        ),
        (vec![(QUEUE_TYPE, text("odd"))], "'x-queue-type': \"unsupported queue type 'odd'\""),
        (vec![(QUEUE_TYPE, Value::I32(1))], "'x-queue-type': {unacceptable_type,signedint}"),
        (
            vec![("x-queue-version", Value::I32(3))],
            "'x-queue-version': \"unsupported queue version '3'\"",
        ),
        (
            vec![quorum(), (DEAD_LETTER_STRATEGY, text("never"))],
            "'x-dead-letter-strategy': invalid_dlx_strategy",
        ),
        (
            vec![quorum(), ("x-quorum-initial-group-size", Value::I32(0))],
            "'x-quorum-initial-group-size': {value_zero,0}",
        ),
        (
            vec![("x-queue-leader-locator", text("there"))],
            "'x-queue-leader-locator': invalid_queue_locator_arg",
        ),
        (vec![stream(), (MAX_AGE, text("7"))], "'x-max-age': invalid_max_age"),
        (vec![stream(), (MAX_AGE, text("0D"))], "'x-max-age': invalid_max_age"),
    ];
    assert_refused(cases);
}

#[test]
fn values_that_mean_nothing_are_refused_where_rabbitmq_has_no_words() {
    let cases: Vec<(Vec<(&str, Value)>, &str)> = vec![
        (vec![(DEDUP_WINDOW, Value::I32(0))], "'x-dedup-window': {value_too_small,0}"),
        (
            vec![(DEDUP_WINDOW, Value::I64(604_800_001))],
            "'x-dedup-window': {value_too_large,604800001}",
        ),
        (
            vec![(DEDUP_HEADER, Value::I32(1))],
            "'x-deduplication-header': {unacceptable_type,signedint}",
        ),
        (vec![(DEDUP_LIMIT, Value::I32(0))], "'x-dedup-limit': {value_too_small,0}"),
        (vec![(RETRY, Value::text("1s"))], "'x-retry': {unacceptable_type,longstr}"),
        (vec![(RETRY, Value::Array(vec![]))], "'x-retry': invalid_retry_delays"),
        (
            vec![
                (QUEUE_TYPE, Value::text("quorum")),
                (RETRY, Value::Array(vec![Value::I32(5), Value::I32(-1)])),
            ],
            "'x-retry': invalid_retry_delays",
        ),
        (vec![(RETRY_JITTER, Value::I32(10))], "'x-retry-jitter': jitter_but_no_retry_defined"),
        (vec![(RETRY_JITTER, Value::I32(101))], "'x-retry-jitter': {value_too_large,101}"),
    ];
    assert_refused(cases);
}

#[track_caller]
fn assert_refused(cases: Vec<(Vec<(&str, Value)>, &str)>) {
    for (arguments, expected) in cases {
        let (argument, reason) = expected.split_once(": ").expect("both parts");
        let expected = format!("invalid arg {argument} for queue 'q' in vhost '/': {reason}");
        assert_eq!(tail(&arguments), Some(expected));
    }
}

#[test]
fn an_argument_of_another_queue_type_is_refused() {
    let quorum = (QUEUE_TYPE, Value::text("quorum"));

    assert_eq!(
        tail(&[quorum.clone(), (MAX_PRIORITY, Value::I32(5))]).as_deref(),
        Some(
            "invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type rabbit_quorum_queue"
        )
    );
    assert_eq!(
        tail(&[(DELIVERY_LIMIT, Value::I32(5))]).as_deref(),
        Some(
            "invalid arg 'x-delivery-limit' for queue 'q' in vhost '/' of queue type rabbit_classic_queue"
        )
    );
    assert_eq!(tail(&[quorum, (DELIVERY_LIMIT, Value::I32(-1))]), None);
    assert_eq!(tail(&[("x-mine", Value::Void)]), None);
}

#[test]
fn a_dead_letter_exchange_is_named_by_text() {
    assert_eq!(
        tail(&[(DEAD_LETTER_EXCHANGE, Value::I32(1))]).as_deref(),
        Some("invalid type 'signedint' for arg 'x-dead-letter-exchange' in queue 'q' in vhost '/'")
    );
    assert_eq!(tail(&[(DEAD_LETTER_EXCHANGE, Value::text(""))]), None);
}

#[test]
fn a_stream_refuses_the_rules_of_queues_and_queues_refuse_its_own() {
    let of = |kind: &str, argument: &'static str, value: Value| {
        tail(&[(QUEUE_TYPE, Value::text(kind)), (argument, value)])
    };
    let refused = |argument: &str, kind: &str| {
        let kind = format!("of queue type rabbit_{kind}_queue");
        Some(format!("invalid arg '{argument}' for queue 'q' in vhost '/' {kind}"))
    };
    let number = Value::I32(3);

    for argument in [EXPIRES, MESSAGE_TTL, MAX_LENGTH, MAX_PRIORITY, DELIVERY_LIMIT, DEDUP_WINDOW] {
        assert_eq!(of("stream", argument, number.clone()), refused(argument, "stream"));
    }
    for argument in [DEAD_LETTER_EXCHANGE, OVERFLOW] {
        assert_eq!(of("stream", argument, Value::text("x")), refused(argument, "stream"));
    }
    assert_eq!(of("stream", MAX_AGE, Value::text("7D")), None);
    assert_eq!(of("stream", MAX_LENGTH_BYTES, number.clone()), None);
    for kind in ["classic", "quorum"] {
        assert_eq!(of(kind, MAX_AGE, Value::text("7D")), refused(MAX_AGE, kind));
        assert_eq!(of(kind, SEGMENT_SIZE, number.clone()), refused(SEGMENT_SIZE, kind));
    }
}

#[test]
fn a_streams_sizes_are_bounded() {
    let stream = (QUEUE_TYPE, Value::text("stream"));

    assert_eq!(
        tail(&[stream.clone(), (SEGMENT_SIZE, Value::I64(3_000_000_001))]).as_deref(),
        Some("Exceeded max value for x-stream-max-segment-size-bytes")
    );
    assert_eq!(
        tail(&[stream.clone(), (FILTER_SIZE, Value::I32(15))]).as_deref(),
        Some("Invalid value for x-stream-filter-size-bytes")
    );
    assert_eq!(tail(&[stream, (FILTER_SIZE, Value::I32(255))]), None);
}

#[test]
fn quorum_queues_are_durable_shared_and_lasting() {
    let kind = [(QUEUE_TYPE, Value::text("quorum"))];
    let base = queue_with("q", &kind);
    let cases = [
        (DeclareQueue { durable: false, ..base.clone() }, "non-durable"),
        (DeclareQueue { auto_delete: true, ..base.clone() }, "auto-delete"),
        (
            DeclareQueue { arguments: base.arguments.clone(), ..exclusive("q", 1) },
            "exclusive-owner",
        ),
    ];
    for (wanted, property) in cases {
        let refusal = Log::new().refuse(Command::DeclareQueue(wanted));
        let expected = format!("invalid property '{property}' for queue 'q' in vhost '/'");
        assert_eq!(refusal.to_string(), expected);
    }
    let named = DeclareQueue { server_named: true, ..base };
    let refusal = Log::new().refuse(Command::DeclareQueue(named));
    let expected = "Cannot declare a server-named queue for type rabbit_quorum_queue";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn the_vhosts_default_queue_type_fills_in_where_it_can() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("old")));
    let meta = VhostMeta { default_queue_type: Some(QueueKind::Quorum), ..VhostMeta::default() };
    log.accept(Command::PutVhost { vhost: VHOST.into(), meta });

    log.accept(Command::DeclareQueue(queue("durable")));
    log.accept(Command::DeclareQueue(DeclareQueue { durable: false, ..queue("transient") }));
    log.accept(Command::DeclareQueue(DeclareQueue { auto_delete: true, ..queue("passing") }));
    log.accept(Command::DeclareQueue(exclusive("exclusive", 1)));
    let old = log.refuse(Command::DeclareQueue(queue("old")));

    let kind = |name: &str| log.catalog.queue(VHOST, name).map(|queue| queue.kind);
    assert_eq!(kind("durable"), Some(QueueKind::Quorum));
    for name in ["transient", "passing", "exclusive"] {
        assert_eq!(kind(name), Some(QueueKind::Classic), "{name}");
    }
    let row = log.catalog.queue(VHOST, "durable").expect("just declared");
    assert_eq!(row.arguments.value(QUEUE_TYPE), Some(&Value::text("quorum")));
    let expected = "inequivalent arg 'x-queue-type' for queue 'old' in vhost '/': received \
                    'quorum' but current is 'classic'";
    assert_eq!(old.to_string(), expected);
}

#[test]
fn ages_come_to_milliseconds() {
    assert_eq!(parse_max_age("1s"), Some(1000));
    assert_eq!(parse_max_age("2m"), Some(120_000));
    assert_eq!(parse_max_age("1h"), Some(3_600_000));
    assert_eq!(parse_max_age("1D"), Some(86_400_000));
    assert_eq!(parse_max_age("1M"), Some(30 * 86_400_000));
    assert_eq!(parse_max_age("1Y"), Some(365 * 86_400_000));
    assert_eq!(parse_max_age("99999999999999999999Y"), Some(u64::MAX));
    for wrong in ["", "D", "-1D", "1", "1d", "1.5h", "0s", "+1s", "1ö"] {
        assert_eq!(parse_max_age(wrong), None, "{wrong}");
    }
}
