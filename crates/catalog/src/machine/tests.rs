//! Tests of `machine`.

use proptest::prelude::*;
use warren_machine::kit::{
    assert_apply_is_deterministic, assert_snapshot_anywhere_changes_nothing,
};
use warren_types::{BootId, QueueId, Timestamp, Value};

use super::*;
use crate::testing::{
    Log, NODE, VHOST, beginning, exchange, exclusive, local, owner, queue, queue_with, table,
    to_exchange, to_queue,
};
use crate::{
    ApplyTo, Command, DeclareExchange, DeclareQueue, Message, Name, PolicyLayer, PutPolicy, Routed,
    VhostLimit, VhostMeta,
};

const EXCHANGES: &[(&str, &str)] =
    &[("d", "direct"), ("f", "fanout"), ("t", "topic"), ("h", "headers"), ("u", "topic")];
const QUEUES: &[&str] = &["q0", "q1", "q2", "q3"];
const KEYS: &[&str] = &["", "a", "a.b", "#", "*.b", "a.#"];

fn exchange_name() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        6 => prop::sample::select(EXCHANGES).prop_map(|(name, _)| name),
        1 => prop::sample::select(&["", "amq.topic", "amq.headers"][..]),
    ]
}

fn queue_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(QUEUES)
}

fn declare_exchange() -> impl Strategy<Value = Command> {
    (prop::sample::select(EXCHANGES), any::<bool>(), any::<bool>()).prop_map(
        |((name, kind), auto_delete, with_alternate)| {
            let alternate = [("alternate-exchange", Value::text("f"))];
            let arguments = if with_alternate { table(&alternate) } else { table(&[]) };
            let base = exchange(name, kind);
            Command::DeclareExchange(DeclareExchange { auto_delete, arguments, ..base })
        },
    )
}

fn declare_queue() -> impl Strategy<Value = Command> {
    (queue_name(), 0..5_u8, 1..3_u64).prop_map(|(name, shape, connection)| {
        Command::DeclareQueue(match shape {
            0 | 1 => queue(name),
            2 => queue_with(name, &[("x-max-length", Value::I32(5))]),
            3 => exclusive(name, connection),
            _ => DeclareQueue { durable: false, placement: local(), ..queue(name) },
        })
    })
}

fn binding() -> impl Strategy<Value = Command> {
    let end = prop_oneof![2 => queue_name().prop_map(Ok), 1 => exchange_name().prop_map(Err)];
    let shape = (any::<bool>(), any::<bool>(), 1..3_u64);
    (exchange_name(), end, prop::sample::select(KEYS), shape).prop_map(
        |(source, end, key, (binds, with_arguments, connection))| {
            let mut binding = match end {
                Ok(queue) => to_queue(source, queue, key),
                Err(exchange) => to_exchange(source, exchange, key),
            };
            binding.connection = Some(owner(connection));
            if with_arguments {
                binding.arguments = table(&[("a", Value::I32(1))]);
            }
            if binds { Command::Bind(binding) } else { Command::Unbind(binding) }
        },
    )
}

fn policy() -> impl Strategy<Value = Command> {
    let layer = prop_oneof![Just(PolicyLayer::User), Just(PolicyLayer::Operator)];
    let scope = prop_oneof![Just(ApplyTo::All), Just(ApplyTo::Queues), Just(ApplyTo::Exchanges)];
    let pattern = prop::sample::select(&[".*", "^q[01]", "t|u", "3$"][..]);
    (layer, scope, pattern, 0..3_i64, 1..9_u8, any::<bool>()).prop_map(
        |(layer, apply_to, pattern, priority, length, deletes)| {
            let vhost: Name = VHOST.into();
            let name: Name = format!("p{}", length % 3).as_str().into();
            if deletes {
                return Command::DeletePolicy { vhost, layer, name };
            }
            let definition = match layer {
                PolicyLayer::User => {
                    format!(r#"{{"max-length":{length},"alternate-exchange":"t"}}"#)
                }
                PolicyLayer::Operator => format!(r#"{{"max-length":{length}}}"#),
            };
            let (pattern, definition) = (pattern.into(), definition.as_str().into());
            let policy = PutPolicy { vhost, layer, name, pattern, apply_to, priority, definition };
            Command::PutPolicy(policy)
        },
    )
}

fn rare() -> impl Strategy<Value = Command> {
    let user: Name = "guest".into();
    prop_oneof![
        (6..10_u64).prop_map(|boot| Command::StartNode {
            node: NODE,
            boot: BootId(boot),
            speaks: 1
        }),
        (6..10_u64).prop_map(|boot| Command::LoseNode { node: NODE, boot: BootId(boot) }),
        (1..3_u64).prop_map(|connection| Command::CloseConnection { owner: owner(connection) }),
        Just(Command::PutVhost { vhost: VHOST.into(), meta: VhostMeta::default() }),
        Just(Command::DeleteVhost { vhost: VHOST.into() }),
        proptest::option::of(0..4_u64).prop_map(|value| Command::SetVhostLimit {
            vhost: VHOST.into(),
            limit: VhostLimit::MaxQueues,
            value
        }),
        Just(Command::SetPermission {
            user: user.clone(),
            vhost: VHOST.into(),
            configure: "".into(),
            write: "^q".into(),
            read: ".*".into()
        }),
        Just(Command::SetTopicPermission {
            user,
            vhost: VHOST.into(),
            exchange: "t".into(),
            write: "^a".into(),
            read: ".*".into()
        }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    // Ids are those of the first commands of some early entry.
    let delete_queue = (1..60_u64).prop_map(|index| Command::DeleteQueue {
        queue: QueueId(index << 16),
        reason: crate::RemovalReason::Deleted,
    });
    let delete_exchange = (exchange_name(), any::<bool>()).prop_map(|(exchange, if_unused)| {
        Command::DeleteExchange { vhost: VHOST.into(), exchange: exchange.into(), if_unused }
    });
    prop_oneof![
        6 => declare_exchange(),
        6 => declare_queue(),
        12 => binding(),
        3 => policy(),
        2 => delete_queue,
        2 => delete_exchange,
        1 => rare(),
    ]
}

fn entries(batches: &[Vec<Command>]) -> Vec<Entry> {
    let beginning = std::iter::once(beginning());
    let batches = (0_u64..).zip(beginning.chain(batches.iter().cloned()));
    batches
        .map(|(at, commands)| {
            let payload = Batch { time: Timestamp(at), commands }.encode();
            // Raft's own entries leave gaps.
            Entry { index: LogIndex(1 + at + at / 7), term: warren_types::Term(1), payload }
        })
        .collect()
}

/// Walks the bindings as they are listed, instead of what routing made of them.
fn naive_route(catalog: &Catalog, exchange: &str, key: &str) -> Vec<QueueId> {
    let mut queues = Vec::new();
    let mut visited: Vec<String> = Vec::new();
    let mut pending = vec![exchange.to_owned()];
    while let Some(name) = pending.pop() {
        let Some(row) = catalog.exchange(VHOST, &name) else { continue };
        if visited.contains(&name) {
            continue;
        }
        visited.push(name.clone());
        let fits = |binding: &&std::sync::Arc<crate::Binding>| match row.kind {
            crate::ExchangeKind::Direct => &*binding.routing_key == key,
            crate::ExchangeKind::Fanout => true,
            crate::ExchangeKind::Topic => {
                let split = |text: &str| -> Vec<String> {
                    let words = text.split('.').map(str::to_owned).collect();
                    if text.is_empty() { Vec::new() } else { words }
                };
                topic_fits(&split(&binding.routing_key), &split(key))
            }
            crate::ExchangeKind::Headers => binding.arguments.is_empty(),
            crate::ExchangeKind::ConsistentHash
            | crate::ExchangeKind::Random
            | crate::ExchangeKind::ModulusHash
            | crate::ExchangeKind::RecentHistory
            | crate::ExchangeKind::Delayed => unreachable!("histories declare none"),
        };
        let fitting: Vec<_> = catalog.bindings_of_source(VHOST, &name).filter(fits).collect();
        for binding in &fitting {
            match &binding.destination {
                crate::Destination::Queue(queue) => {
                    queues.push(catalog.queue(VHOST, queue).expect("it is bound").id);
                }
                crate::Destination::Exchange(exchange) => pending.push(exchange.to_string()),
            }
        }
        if name.is_empty() {
            queues.extend(catalog.queue(VHOST, key).map(|queue| queue.id));
        } else if fitting.is_empty() {
            pending.extend(row.alternate.as_deref().map(str::to_owned));
        }
    }
    queues.sort_unstable();
    queues.dedup();
    queues
}

fn topic_fits(pattern: &[String], key: &[String]) -> bool {
    match pattern.split_first() {
        None => key.is_empty(),
        Some((word, rest)) if word == "#" => {
            (0..=key.len()).any(|skip| topic_fits(rest, &key[skip..]))
        }
        Some((word, rest)) => key
            .split_first()
            .is_some_and(|(first, key)| (word == "*" || word == first) && topic_fits(rest, key)),
    }
}

fn check_routes(catalog: &Catalog) {
    if catalog.vhost(VHOST).is_none() {
        return;
    }
    let mut routed = Routed::new();
    for (exchange, _) in EXCHANGES {
        for key in ["", "a", "a.b", "q1"] {
            let message = Message::with_key(key.as_bytes());
            let found = catalog.route(VHOST, exchange, message, &mut routed);
            let found: Vec<QueueId> = match found {
                Ok(()) => routed.targets().iter().map(|target| target.queue).collect(),
                Err(_) => Vec::new(),
            };
            assert_eq!(found, naive_route(catalog, exchange, key), "'{exchange}' with '{key}'");
        }
    }
}

/// Histories per run; `WARREN_HISTORIES` asks for more.
fn histories() -> ProptestConfig {
    let asked = std::env::var("WARREN_HISTORIES").ok().and_then(|text| text.parse().ok());
    let cases = asked.unwrap_or(60);
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(histories())]

    #[test]
    fn histories_keep_every_promise(
        batches in proptest::collection::vec(proptest::collection::vec(command(), 1..5), 1..60),
        cuts in proptest::collection::vec(0..60_usize, 0..4),
    ) {
        let entries = entries(&batches);
        let mut catalog = Catalog::new();
        for entry in &entries {
            let before = (catalog.revision(), catalog.topology_revision());
            let digest = catalog.digest();
            catalog.apply(entry);
            catalog.check();
            check_routes(&catalog);
            let after = (catalog.revision(), catalog.topology_revision());
            prop_assert!(before <= after && after.1 <= after.0);
            prop_assert_eq!(digest == catalog.digest(), before == after, "revisions tell changes");
        }
        assert_apply_is_deterministic(Catalog::new, &entries);
        assert_snapshot_anywhere_changes_nothing(Catalog::new, &entries, &cuts);
        let restored = Catalog::restore(&catalog.snapshot()).expect("its own snapshot");
        restored.check();
        check_routes(&restored);
    }
}

#[test]
fn a_leader_that_takes_over_has_everything_compared() {
    let mut log = Log::new();

    assert_eq!(log.catalog.take_over(), [Effect::Reconcile]);
    assert_eq!(log.catalog.live_rows(LogIndex(u64::MAX)), []);
    assert_eq!(log.catalog.sparse_rows(LogIndex(0), LogIndex(u64::MAX), 10), []);
}
