//! Tests of `codec::reply`.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use warren_types::{BootId, GroupId, NodeId, QueueId, Timestamp};

use super::*;
use crate::codec::tests::{frozen, hex};
use crate::testing::{BOOT, Log, NODE, SHARD, VHOST, exchange, owner, queue_with, table};
use crate::{ApplyTo, Command, ExchangeKind, Name, Placement, PolicyLayer, PutPolicy, QueueKind};

/// Asserts that the samples take every arm; as the match names every variant, one without a
/// sample does not pass.
macro_rules! assert_every {
    ($samples:expr, $($variant:pat),+ $(,)?) => {
        let all = BTreeSet::from([$(stringify!($variant)),+]);
        let seen: BTreeSet<&str> = $samples
            .into_iter()
            .map(|sample| match sample { $($variant => stringify!($variant)),+ })
            .collect();
        assert_eq!(seen, all);
    };
}

fn full_queue() -> Queue {
    Queue {
        id: QueueId(7 << 16 | 2),
        vhost: VHOST.into(),
        name: "grün".into(),
        kind: QueueKind::Quorum,
        durable: true,
        auto_delete: true,
        exclusive: Some(Box::new(owner(3))),
        arguments: Arc::new(table(&[("x-queue-type", Value::text("quorum")), ("a", Value::Void)])),
        placement: Placement::Shard(SHARD),
        created: Timestamp(1_700_000_000_000),
        common: Arc::new(Common {
            user: "guest".into(),
            policy: Some("mine".into()),
            operator_policy: Some("theirs".into()),
            settings: Arc::new(Settings {
                message_ttl_ms: Some(1),
                expires_ms: Some(2),
                max_length: Some(3),
                max_length_bytes: Some(4),
                overflow: Overflow::RejectPublish,
                dead_letter_exchange: Some("".into()),
                dead_letter_routing_key: Some("k".into()),
                dead_letter_strategy: DeadLetterStrategy::AtLeastOnce,
                delivery_limit: Some(5),
                delivery_counting: DeliveryCounting::Returns,
                max_priority: Some(6),
                single_active_consumer: true,
                consumer_timeout_ms: Some(7),
                timeout_action: TimeoutAction::Cancel,
                consumer_disconnected_timeout_ms: Some(8),
                delayed_retry: DelayedRetry { kind: DelayedRetryKind::All, min_ms: 9, max_ms: 10 },
                max_age_ms: Some(11),
                segment_bytes: None,
                dedup: Some(Dedup { window_ms: 12, header: Some("h".into()), limit: Some(13) }),
                retry: Some(Retry { delays_ms: vec![14, 15], jitter_percent: 16 }),
            }),
        }),
    }
}

fn plain_queue(overflow: Overflow, kind: DelayedRetryKind) -> Queue {
    let delayed_retry = DelayedRetry { kind, min_ms: 1, max_ms: 2 };
    Queue {
        kind: QueueKind::Classic,
        exclusive: None,
        placement: Placement::Local { node: NODE, boot: BOOT, slot: 3 },
        common: Arc::new(Common {
            user: "guest".into(),
            policy: None,
            operator_policy: None,
            settings: Arc::new(Settings {
                overflow,
                delayed_retry,
                timeout_action: TimeoutAction::Close,
                ..Settings::default()
            }),
        }),
        ..full_queue()
    }
}

fn full_exchange() -> Exchange {
    Exchange {
        vhost: VHOST.into(),
        name: "x".into(),
        kind: ExchangeKind::Headers,
        durable: true,
        auto_delete: false,
        internal: true,
        arguments: table(&[("alternate-exchange", Value::text("other"))]),
        created: Timestamp(5),
        user: "guest".into(),
        policy: Some("p".into()),
        operator_policy: Some("o".into()),
        alternate: Some("other".into()),
    }
}

/// At least one of each variant.
fn every_outcome() -> Vec<Outcome> {
    let rows = vec![
        Arc::new(plain_queue(Overflow::DropHead, DelayedRetryKind::Disabled)),
        Arc::new(plain_queue(Overflow::RejectPublishDlx, DelayedRetryKind::Failed)),
        Arc::new(plain_queue(Overflow::RejectPublish, DelayedRetryKind::Returned)),
    ];
    let (policy, operator_policy, alternate) = (None, None, None);
    let plain = Exchange { policy, operator_policy, alternate, ..full_exchange() };
    let outcomes = vec![
        Outcome::Created,
        Outcome::Updated,
        Outcome::Unchanged,
        Outcome::Removed,
        Outcome::Missing,
        Outcome::Node(NodeId(u64::MAX)),
        Outcome::QueueCreated(Arc::new(full_queue())),
        Outcome::QueueExists(Arc::clone(&rows[0])),
        Outcome::QueuesRemoved(vec![]),
        Outcome::QueuesRemoved(rows),
        Outcome::ExchangeCreated(Arc::new(full_exchange())),
        Outcome::ExchangeExists(Arc::new(plain)),
    ];
    assert_every!(
        &outcomes,
        Outcome::Created,
        Outcome::Updated,
        Outcome::Unchanged,
        Outcome::Removed,
        Outcome::Missing,
        Outcome::Node(_),
        Outcome::QueueCreated(_),
        Outcome::QueueExists(_),
        Outcome::QueuesRemoved(_),
        Outcome::ExchangeCreated(_),
        Outcome::ExchangeExists(_),
    );
    outcomes
}

fn every_given() -> Vec<Given> {
    let nested = table(&[("deep", Value::Array(vec![Value::I8(-1), Value::F64(0.5)]))]);
    let given = vec![
        Given::Nothing,
        Given::Plain(Value::Bool(true)),
        Given::Plain(Value::Void),
        Given::Typed(Value::LongString(vec![0xFF, 0])),
        Given::Typed(Value::Decimal { scale: 2, value: 314 }),
        Given::Typed(Value::Table(nested)),
    ];
    assert_every!(&given, Given::Nothing, Given::Plain(_), Given::Typed(_));
    given
}

fn every_definition_error() -> Vec<DefinitionError> {
    let errors = vec![
        DefinitionError::NotAnObject("5".into()),
        DefinitionError::Empty,
        DefinitionError::UnknownKeys("<<\"a\">>".into()),
        DefinitionError::Value("-1 is not a valid maximum length".into()),
    ];
    assert_every!(
        &errors,
        DefinitionError::NotAnObject(_),
        DefinitionError::Empty,
        DefinitionError::UnknownKeys(_),
        DefinitionError::Value(_),
    );
    errors
}

/// At least one of each variant.
#[expect(clippy::too_many_lines, reason = "it is as long as the list of refusals")]
fn every_refusal() -> Vec<Refusal> {
    let (node, boot) = (NODE, BootId(9));
    let vhost: Name = VHOST.into();
    let name: Name = "n".into();
    let queue = Resource::queue(&vhost, &name);
    let exchange = Resource::exchange(&vhost, &name);
    let mut refusals = vec![
        Refusal::Damaged { what: "w".into() },
        Refusal::NoVhost { vhost: vhost.clone() },
        Refusal::NoUser { user: "u".into() },
        Refusal::NoResource(queue.clone()),
        Refusal::NoNode { node },
        Refusal::NoShard { group: GroupId(3) },
        Refusal::StartOver { node, boot },
        Refusal::NodeIdTaken { node },
        Refusal::FoundedOtherwise,
        Refusal::VersionNotAbove { version: 1, current: 2 },
        Refusal::VersionNotSpoken { version: 3, node, speaks: 2 },
        Refusal::ReservedName { kind: ResourceKind::Queue, name: "amq.q".into() },
        Refusal::DefaultExchange,
        Refusal::SystemExchange { exchange: exchange.clone() },
        Refusal::UnknownExchangeType { name: "x-odd".into() },
        Refusal::InvalidArgument {
            resource: queue.clone(),
            argument: "x-expires".into(),
            reason: "{value_negative,-1}".into(),
        },
        Refusal::ArgumentType {
            resource: queue.clone(),
            argument: "x-dead-letter-exchange".into(),
            given: "signedint".into(),
        },
        Refusal::SegmentTooLarge,
        Refusal::FilterSize,
        Refusal::UnsupportedArgument {
            resource: queue.clone(),
            argument: "x-max-priority".into(),
            kind: QueueKind::Stream,
        },
        Refusal::InvalidProperty { resource: queue.clone(), property: "auto-delete".into() },
        Refusal::ServerNamed { kind: QueueKind::Quorum },
        Refusal::Locked { queue: queue.clone() },
        Refusal::InUse { resource: exchange },
        Refusal::QueueLimit { vhost: vhost.clone(), queue: name.clone(), limit: 5 },
        Refusal::InvalidBinding("x-match".into()),
        Refusal::InvalidExchange("hash-header".into()),
        Refusal::ProtectedVhost { vhost },
        Refusal::InvalidPattern(PatternError { pattern: "(".into(), reason: "unclosed".into() }),
        Refusal::InvalidValue { name },
        Refusal::InvalidName { what: "queue name".into(), bytes: 256 },
    ];
    for current in every_given() {
        let (resource, argument) = (queue.clone(), "durable".into());
        let received = Given::Plain(Value::Bool(false));
        let difference = Inequivalence { resource, argument, received, current };
        refusals.push(Refusal::Inequivalent(Box::new(difference)));
    }
    refusals.extend(every_definition_error().into_iter().map(Refusal::InvalidDefinition));
    assert_every!(
        &refusals,
        Refusal::Damaged { .. },
        Refusal::NoVhost { .. },
        Refusal::NoUser { .. },
        Refusal::NoResource(_),
        Refusal::NoNode { .. },
        Refusal::NoShard { .. },
        Refusal::StartOver { .. },
        Refusal::NodeIdTaken { .. },
        Refusal::FoundedOtherwise,
        Refusal::VersionNotAbove { .. },
        Refusal::VersionNotSpoken { .. },
        Refusal::ReservedName { .. },
        Refusal::DefaultExchange,
        Refusal::SystemExchange { .. },
        Refusal::UnknownExchangeType { .. },
        Refusal::Inequivalent(_),
        Refusal::InvalidArgument { .. },
        Refusal::ArgumentType { .. },
        Refusal::SegmentTooLarge,
        Refusal::FilterSize,
        Refusal::UnsupportedArgument { .. },
        Refusal::InvalidProperty { .. },
        Refusal::ServerNamed { .. },
        Refusal::Locked { .. },
        Refusal::InUse { .. },
        Refusal::QueueLimit { .. },
        Refusal::InvalidBinding(_),
        Refusal::InvalidExchange(_),
        Refusal::ProtectedVhost { .. },
        Refusal::InvalidPattern(_),
        Refusal::InvalidDefinition(_),
        Refusal::InvalidValue { .. },
        Refusal::InvalidName { .. },
    );
    refusals
}

fn every_answer() -> Reply {
    let outcomes = every_outcome().into_iter().map(Ok);
    outcomes.chain(every_refusal().into_iter().map(Err)).collect()
}

#[test]
fn every_answer_is_read_as_it_was_written() {
    let reply = every_answer();

    assert_eq!(decode(encode(&reply)), Ok(reply));
    assert_eq!(decode(encode(&vec![])), Ok(vec![]));
}

#[test]
fn a_row_arrives_with_its_policies_and_settings() {
    let mut log = Log::new();
    log.accept(Command::PutPolicy(PutPolicy {
        vhost: VHOST.into(),
        layer: PolicyLayer::User,
        name: "limits".into(),
        pattern: "^q".into(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: "{\"max-length\":7}".into(),
    }));
    let wanted = queue_with("q", &[("x-message-ttl", Value::I32(5))]);
    let declared = log.apply_all(vec![
        Command::DeclareQueue(wanted),
        Command::DeclareExchange(exchange("x", "topic")),
    ]);

    let arrived = decode(encode(&declared)).expect("it was just written");

    assert_eq!(arrived, declared);
    let [Ok(Outcome::QueueCreated(row)), Ok(Outcome::ExchangeCreated(_))] = arrived.as_slice()
    else {
        panic!("two rows, not {arrived:?}");
    };
    assert_eq!(row.policy.as_deref(), Some("limits"));
    assert_eq!((row.settings.max_length, row.settings.message_ttl_ms), (Some(7), Some(5)));
}

#[test]
fn answers_of_version_3_have_the_bytes_they_always_had() {
    let answers = every_answer().into_iter();
    let lines: Vec<String> = answers.map(|answer| hex(&encode(&vec![answer]))).collect();

    let frozen = frozen("reply-3.hex", &lines);

    assert_eq!(frozen, lines);
}

#[test]
fn what_queues_do_when_time_is_over_is_told_where_it_is_not_as_usual() {
    let of = |timeout_action| {
        let mut queue = full_queue();
        queue.settings_mut().timeout_action = timeout_action;
        Ok(Outcome::QueueCreated(Arc::new(queue)))
    };
    let usual = vec![of(TimeoutAction::Cancel)];
    let others =
        vec![of(TimeoutAction::Return), of(TimeoutAction::Cancel), of(TimeoutAction::Close)];

    assert_eq!(encode(&usual)[0], 3, "builds that know no other can read it");
    for reply in [usual, others] {
        assert_eq!(decode(encode(&reply)), Ok(reply));
    }
}

#[test]
fn the_size_of_segments_is_told_where_arguments_do_not_say_it() {
    let of = |policy, argument: Option<i64>| {
        let mut queue = full_queue();
        let own = argument.map(|bytes| ("x-stream-max-segment-size-bytes", Value::I64(bytes)));
        queue.arguments = Arc::new(table(&own.into_iter().collect::<Vec<_>>()));
        queue.settings_mut().segment_bytes = policy;
        Ok(Outcome::QueueCreated(Arc::new(queue)))
    };
    let usual = vec![of(None, None), of(Some(5), Some(5))];
    let others = vec![of(Some(9), Some(5)), of(None, None), of(Some(3), None)];

    assert_eq!((encode(&usual)[0], encode(&others)[0]), (3, 5));
    for reply in [usual, others] {
        assert_eq!(decode(encode(&reply)), Ok(reply));
    }
}

#[test]
fn a_reply_of_another_version_is_refused() {
    let mut bytes = encode(&every_answer()).to_vec();
    bytes[0] = 1;

    let unknown = DecodeError::Unknown { what: "reply version", value: 1 };
    assert_eq!(decode(bytes.into()), Err(unknown));
}

#[test]
fn unknown_answers_are_refused() {
    for (outcome, code, what) in [(0, 255, "Outcome"), (1, 254, "Refusal"), (9, 0, "result")] {
        let bytes = vec![REPLY_VERSION, 0, 0, 0, 1, outcome, code];
        let value = if what == "result" { u64::from(outcome) } else { u64::from(code) };
        assert_eq!(decode(bytes.into()), Err(DecodeError::Unknown { what, value }));
    }
}

#[test]
fn a_reply_that_is_cut_short_or_goes_on_is_refused() {
    let whole = encode(&every_answer());

    for end in 0..whole.len() {
        assert!(decode(whole.slice(..end)).is_err(), "{end} of {} bytes", whole.len());
    }
    let mut longer = whole.to_vec();
    longer.push(0);
    assert_eq!(decode(longer.into()), Err(DecodeError::Trailing { count: 1 }));
}

#[test]
fn more_answers_than_a_batch_has_commands_are_refused() {
    let reply: Reply = vec![Ok(Outcome::Created); MAX_BATCH_COMMANDS + 1];

    let value = u64::try_from(reply.len()).expect("a small number");
    let unknown = DecodeError::Unknown { what: "number of answers", value };
    assert_eq!(decode(encode(&reply)), Err(unknown));
}

#[test]
fn a_value_that_is_no_single_value_is_refused() {
    for entries in [vec![], vec![("a", Value::Void)], vec![("", Value::Void), ("a", Value::Void)]] {
        let mut writer = Writer::new();
        writer.table(&table(&entries));

        let read = Value::read(&mut Reader::new(writer.finish()));

        assert!(matches!(read, Err(DecodeError::Unknown { what: "value", .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(2000)
    })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(bytes.into());
    }

    /// Bytes that begin well get further.
    #[test]
    fn flipped_bytes_are_read_or_refused(
        answer in any::<prop::sample::Index>(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let answers = every_answer();
        let mut bytes = encode(&vec![answers[answer.index(answers.len())].clone()]).to_vec();
        for (index, byte) in flips {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(reply) = decode(bytes.into()) {
            // What was read can be written and shown.
            let _ = encode(&reply);
            let _ = format!("{reply:?}");
        }
    }
}
