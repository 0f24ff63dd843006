//! Tests of `apply`.

use warren_types::{BootId, NodeId, QueueId, Value};

use crate::testing::{
    BOOT, Log, NODE, SHARD, VHOST, exchange, exclusive, local, owner, queue, queue_with, table,
    to_exchange, to_queue,
};
use crate::{
    ApplyTo, Command, DeclareExchange, DeclareQueue, Destination, Effect, Outcome, Placement,
    PolicyLayer, PutPolicy, Refusal, RefusalKind, RegisterNode, RemovalReason, UserLimit,
    VhostLimit, VhostMeta, incarnation,
};

fn id(log: &Log, name: &str) -> QueueId {
    log.catalog.queue(VHOST, name).expect("the queue exists").id
}

fn delete(log: &Log, name: &str) -> Command {
    Command::DeleteQueue { queue: id(log, name), reason: RemovalReason::Deleted }
}

fn passing(name: &str) -> DeclareExchange {
    DeclareExchange { auto_delete: true, ..exchange(name, "direct") }
}

fn policy(layer: PolicyLayer, name: &str, pattern: &str, definition: &str) -> PutPolicy {
    PutPolicy {
        vhost: VHOST.into(),
        layer,
        name: name.into(),
        pattern: pattern.into(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: definition.into(),
    }
}

fn names(log: &Log) -> Vec<String> {
    log.catalog.exchanges(VHOST).map(|row| row.name.to_string()).collect()
}

#[test]
fn a_vhost_begins_with_its_exchanges() {
    let mut log = Log::new();
    let meta = VhostMeta::default();
    log.accept(Command::PutVhost { vhost: "v".into(), meta });

    let rows = log.catalog.exchanges("v");
    let rows: Vec<_> =
        rows.map(|row| (row.name.to_string(), row.kind.as_str(), row.internal)).collect();

    let expected = [
        ("", "direct", false),
        ("amq.direct", "direct", false),
        ("amq.fanout", "fanout", false),
        ("amq.headers", "headers", false),
        ("amq.match", "headers", false),
        ("amq.rabbitmq.trace", "topic", true),
        ("amq.topic", "topic", false),
    ];
    assert_eq!(rows, expected.map(|(name, kind, internal)| (name.to_owned(), kind, internal)));
}

#[test]
fn putting_a_vhost_again_changes_what_may_be_changed() {
    let mut log = Log::new();
    let meta = VhostMeta { description: "d".into(), ..VhostMeta::default() };
    let put = Command::PutVhost { vhost: VHOST.into(), meta };

    assert_eq!(log.accept(put.clone()), Outcome::Updated);
    assert_eq!(log.accept(put), Outcome::Unchanged);
}

#[test]
fn a_vhost_goes_with_all_that_is_in_it() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    log.accept(Command::DeclareQueue(exclusive("e", 1)));
    log.accept(Command::Bind(to_queue("amq.topic", "q", "#")));
    let (q, e) = (id(&log, "q"), id(&log, "e"));

    assert_eq!(log.accept(Command::DeleteVhost { vhost: VHOST.into() }), Outcome::Removed);

    assert_eq!(log.effects.len(), 3);
    assert_eq!(log.effects.last(), Some(&Effect::VhostRemoved(VHOST.into())));
    assert!(log.catalog.queue_by_id(q).is_none() && log.catalog.queue_by_id(e).is_none());
    assert!(log.catalog.permission("guest", VHOST).is_none());
    assert_eq!(log.accept(Command::DeleteVhost { vhost: VHOST.into() }), Outcome::Missing);
}

#[test]
fn a_protected_vhost_is_not_deleted() {
    let mut log = Log::new();
    let meta = VhostMeta { protected_from_deletion: true, ..VhostMeta::default() };
    log.accept(Command::PutVhost { vhost: VHOST.into(), meta });

    let refusal = log.refuse(Command::DeleteVhost { vhost: VHOST.into() });

    assert_eq!(refusal.kind(), RefusalKind::NotAllowed);
}

#[test]
fn amq_names_are_refused_only_where_something_would_be_made() {
    let mut log = Log::new();

    let made = log.refuse(Command::DeclareExchange(exchange("amq.mine", "topic")));
    let exists = log.accept(Command::DeclareExchange(exchange("amq.topic", "topic")));
    let queue_made = log.refuse(Command::DeclareQueue(queue("amq.gen-1")));
    let named = DeclareQueue { server_named: true, ..queue("amq.gen-1") };
    log.accept(Command::DeclareQueue(named));
    let queue_exists = log.accept(Command::DeclareQueue(queue("amq.gen-1")));

    assert_eq!(made.to_string(), "exchange name 'amq.mine' contains reserved prefix 'amq.*'");
    assert_eq!(made.kind(), RefusalKind::AccessRefused);
    assert!(matches!(exists, Outcome::ExchangeExists(_)));
    assert_eq!(queue_made.to_string(), "queue name 'amq.gen-1' contains reserved prefix 'amq.*'");
    assert!(matches!(queue_exists, Outcome::QueueExists(_)));
}

#[test]
fn the_default_exchange_and_the_predeclared_ones_stay() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    let delete = |exchange: &str| Command::DeleteExchange {
        vhost: VHOST.into(),
        exchange: exchange.into(),
        if_unused: false,
    };

    for command in [
        delete(""),
        Command::DeclareExchange(exchange("", "direct")),
        Command::Bind(to_queue("", "q", "k")),
        Command::Unbind(to_queue("", "q", "q")),
        Command::Bind(to_exchange("amq.topic", "", "k")),
    ] {
        assert_eq!(log.refuse(command), Refusal::DefaultExchange);
    }
    let system = log.refuse(delete("amq.topic"));
    assert_eq!(system.kind(), RefusalKind::AccessRefused);
    assert_eq!(log.accept(delete("missing")), Outcome::Missing);
}

#[test]
fn an_exchange_in_use_is_kept_if_it_should_be_unused() {
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(exchange("x", "direct")));
    log.accept(Command::DeclareQueue(queue("q")));
    log.accept(Command::Bind(to_exchange("amq.topic", "x", "")));
    let delete =
        Command::DeleteExchange { vhost: VHOST.into(), exchange: "x".into(), if_unused: true };
    log.accept(Command::Bind(to_queue("x", "q", "k")));

    let refusal = log.refuse(delete.clone());
    log.accept(Command::Unbind(to_queue("x", "q", "k")));

    assert_eq!(refusal.to_string(), "exchange 'x' in vhost '/' in use");
    // Being the destination of a binding is no use.
    assert_eq!(log.accept(delete), Outcome::Removed);
    assert_eq!(log.catalog.bindings_of_source(VHOST, "amq.topic").count(), 0);
}

#[test]
fn an_exchange_of_no_known_type_is_refused() {
    let refusal = Log::new().refuse(Command::DeclareExchange(exchange("x", "x-odd")));

    assert_eq!(refusal.to_string(), "unknown exchange type 'x-odd'");
    assert_eq!(refusal.kind(), RefusalKind::PreconditionFailed);
}

#[test]
fn automatically_deleted_exchanges_go_one_after_the_other() {
    let mut log = Log::new();
    for name in ["a", "b", "c"] {
        log.accept(Command::DeclareExchange(passing(name)));
    }
    log.accept(Command::DeclareQueue(queue("q")));
    log.accept(Command::Bind(to_exchange("a", "b", "")));
    log.accept(Command::Bind(to_exchange("b", "c", "")));
    log.accept(Command::Bind(to_queue("c", "q", "")));
    log.accept(Command::Bind(to_queue("c", "q", "second")));
    log.accept(Command::Unbind(to_queue("c", "q", "")));
    assert!(names(&log).contains(&"c".to_owned()), "one binding is left");

    let delete = delete(&log, "q");
    log.accept(delete);

    let removed = log.effects.iter().filter_map(|effect| match effect {
        Effect::ExchangeRemoved(row) => Some(row.name.to_string()),
        _ => None,
    });
    assert_eq!(removed.collect::<Vec<_>>(), ["c", "b", "a"]);
    assert_eq!(names(&log).len(), 7, "the predeclared ones");
}

#[test]
fn an_automatically_deleted_exchange_waits_for_its_first_binding() {
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(passing("x")));
    log.accept(Command::DeclareQueue(queue("q")));
    log.accept(Command::Bind(to_exchange("amq.topic", "x", "")));

    log.accept(Command::Unbind(to_exchange("amq.topic", "x", "")));
    assert_eq!(log.accept(Command::Unbind(to_queue("x", "q", ""))), Outcome::Missing);

    assert!(log.catalog.exchange(VHOST, "x").is_some());
}

#[test]
fn binding_twice_is_binding_once_and_other_arguments_are_another_binding() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    let plain = to_queue("amq.direct", "q", "k");
    let mut other = plain.clone();
    other.arguments = table(&[("a", Value::I32(1))]);

    assert_eq!(log.accept(Command::Bind(plain.clone())), Outcome::Created);
    assert_eq!(log.accept(Command::Bind(plain.clone())), Outcome::Unchanged);
    assert_eq!(log.accept(Command::Bind(other)), Outcome::Created);
    assert_eq!(log.route_key("amq.direct", "k"), ["q"]);
    assert_eq!(log.accept(Command::Unbind(plain.clone())), Outcome::Removed);
    assert_eq!(log.route_key("amq.direct", "k"), ["q"]);
    assert_eq!(log.accept(Command::Unbind(plain)), Outcome::Missing);
    let destination = Destination::Queue("q".into());
    assert_eq!(log.catalog.bindings_of_destination(VHOST, &destination).count(), 1);
}

#[test]
fn a_binding_needs_both_ends_and_the_source_is_missed_first() {
    let mut log = Log::new();

    let both = log.refuse(Command::Bind(to_queue("x", "q", "")));
    let queue_alone = log.refuse(Command::Bind(to_queue("amq.topic", "q", "")));
    let exchange_alone = log.refuse(Command::Bind(to_exchange("amq.topic", "y", "")));

    assert_eq!(both.to_string(), "no exchange 'x' in vhost '/'");
    assert_eq!(queue_alone.to_string(), "no queue 'q' in vhost '/'");
    assert_eq!(exchange_alone.to_string(), "no exchange 'y' in vhost '/'");
    assert_eq!(log.accept(Command::Unbind(to_queue("x", "q", ""))), Outcome::Missing);
}

#[test]
fn somebody_elses_exclusive_queue_is_not_bound() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(exclusive("q", 1)));
    let mut binding = to_queue("amq.topic", "q", "#");

    let nobody = log.refuse(Command::Bind(binding.clone()));
    binding.connection = Some(owner(2));
    let other = log.refuse(Command::Bind(binding.clone()));
    let other_unbinds = log.refuse(Command::Unbind(binding.clone()));
    binding.connection = Some(owner(1));

    for refusal in [nobody, other, other_unbinds] {
        assert_eq!(refusal.kind(), RefusalKind::ResourceLocked);
    }
    assert_eq!(log.accept(Command::Bind(binding)), Outcome::Created);
}

#[test]
fn a_headers_binding_with_a_rule_that_means_nothing_is_refused() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    let mut binding = to_queue("amq.headers", "q", "");
    binding.arguments = table(&[("x-match", Value::text("some"))]);

    let refusal = log.refuse(Command::Bind(binding.clone()));

    assert_eq!(refusal.kind(), RefusalKind::PreconditionFailed);
    binding.source = "amq.topic".into();
    log.accept(Command::Bind(binding));
}

#[test]
fn a_deleted_queue_returns_as_another_one() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    let first = id(&log, "q");
    let delete_first = delete(&log, "q");
    log.accept(delete_first.clone());
    log.accept(Command::DeclareQueue(queue("q")));

    assert_eq!(log.accept(delete_first), Outcome::Missing, "an older incarnation");
    assert!(id(&log, "q") > first);
}

#[test]
fn queues_of_one_batch_have_ids_of_their_own() {
    let mut log = Log::new();
    let commands = vec![
        Command::DeclareQueue(queue("a")),
        Command::DeclareQueue(queue("b")),
        Command::DeclareQueue(queue("a")),
    ];

    let replies = log.apply_all(commands);

    assert!(matches!(replies.last(), Some(Ok(Outcome::QueueExists(_)))));
    let index = log.entries.last().expect("an entry").index;
    assert_eq!([id(&log, "a"), id(&log, "b")], [incarnation(index, 0), incarnation(index, 1)]);
}

#[test]
fn a_connection_that_closes_takes_its_queues_along() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(exclusive("a", 1)));
    log.accept(Command::DeclareQueue(exclusive("b", 1)));
    log.accept(Command::DeclareQueue(exclusive("c", 2)));
    assert_eq!(log.catalog.queues_of_owner(owner(1)).count(), 2);

    let outcome = log.accept(Command::CloseConnection { owner: owner(1) });

    assert!(matches!(outcome, Outcome::QueuesRemoved(rows) if rows.len() == 2));
    let left: Vec<_> = log.catalog.queues(VHOST).map(|row| row.name.to_string()).collect();
    assert_eq!(left, ["c"]);
    let reason = RemovalReason::OwnerGone;
    assert!(
        matches!(&log.effects[0], Effect::QueueRemoved { reason: found, .. } if *found == reason)
    );
}

#[test]
fn a_nodes_next_start_ends_what_was_in_its_memory() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(exclusive("exclusive", 1)));
    let shared = DeclareQueue { durable: false, placement: local(), ..queue("transient") };
    log.accept(Command::DeclareQueue(shared));
    log.accept(Command::DeclareQueue(queue("durable")));
    assert_eq!(log.catalog.queues_of_node(NODE, BOOT).count(), 2);
    let start = |boot| Command::StartNode { node: NODE, boot: BootId(boot), speaks: 1 };

    let again = log.accept(start(BOOT.0));
    let next = log.accept(start(BOOT.0 + 1));
    let late = log.refuse(start(BOOT.0));

    assert_eq!(again, Outcome::QueuesRemoved(vec![]));
    assert!(matches!(next, Outcome::QueuesRemoved(rows) if rows.len() == 2));
    assert_eq!(late, Refusal::StartOver { node: NODE, boot: BOOT });
    assert_eq!(log.catalog.queue_count(VHOST), 1);
}

#[test]
fn exchanges_that_are_not_durable_end_when_the_last_node_starts_again() {
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(exchange("durable", "fanout")));
    let transient = DeclareExchange { durable: false, ..exchange("transient", "fanout") };
    log.accept(Command::DeclareExchange(transient));
    log.accept(Command::DeclareQueue(queue("q")));
    log.accept(Command::Bind(to_queue("transient", "q", "")));
    let start = |boot| Command::StartNode { node: NODE, boot: BootId(boot), speaks: 1 };

    log.accept(start(BOOT.0));
    let after_the_same_start = names(&log);
    log.accept(start(BOOT.0 + 1));

    assert!(after_the_same_start.contains(&"transient".to_owned()));
    assert!(!names(&log).contains(&"transient".to_owned()));
    assert!(names(&log).contains(&"durable".to_owned()));
    assert_eq!(log.catalog.bindings(VHOST).count(), 0);
}

#[test]
fn exchanges_that_are_not_durable_stay_while_another_node_runs() {
    let mut log = Log::new();
    let transient = DeclareExchange { durable: false, ..exchange("transient", "fanout") };
    log.accept(Command::DeclareExchange(transient));
    let (name, address, zone) = ("other".into(), "other:1".into(), "".into());
    let register = RegisterNode { token: 7, wanted: None, name, address, zone };
    let other = log.accept(Command::RegisterNode(register));
    let Outcome::Node(other) = other else { panic!("a node gets an id, not {other:?}") };
    log.accept(Command::StartNode { node: other, boot: BootId(1), speaks: 1 });

    log.accept(Command::StartNode { node: NODE, boot: BootId(BOOT.0 + 1), speaks: 1 });

    assert!(names(&log).contains(&"transient".to_owned()));
}

/// One node that runs, as [`Log::new`] has it, two more, and an exchange that is not durable.
fn three_nodes() -> (Log, [NodeId; 3]) {
    let mut log = Log::new();
    let mut nodes = [NODE; 3];
    for (node, token) in nodes.iter_mut().skip(1).zip(2..) {
        let (name, address, zone) = ("n".into(), "n:1".into(), "".into());
        let register = RegisterNode { token, wanted: None, name, address, zone };
        let Outcome::Node(id) = log.accept(Command::RegisterNode(register)) else {
            panic!("a node gets an id");
        };
        *node = id;
        log.accept(start(id, BOOT.0));
    }
    let transient = DeclareExchange { durable: false, ..exchange("transient", "fanout") };
    log.accept(Command::DeclareExchange(transient));
    (log, nodes)
}

fn start(node: NodeId, boot: u64) -> Command {
    Command::StartNode { node, boot: BootId(boot), speaks: 1 }
}

fn lose(node: NodeId, boot: u64) -> Command {
    Command::LoseNode { node, boot: BootId(boot) }
}

fn has_transient(log: &Log) -> bool {
    log.catalog.exchange(VHOST, "transient").is_some()
}

#[test]
fn exchanges_that_are_not_durable_survive_nodes_that_restart_one_after_the_other() {
    for is_noticed in [true, false] {
        let (mut log, nodes) = three_nodes();

        for round in 1..3 {
            for node in nodes {
                if is_noticed {
                    log.accept(lose(node, BOOT.0 + round - 1));
                }
                log.accept(start(node, BOOT.0 + round));
                assert!(has_transient(&log), "node {node}, round {round}");
            }
        }
    }
}

#[test]
fn exchanges_that_are_not_durable_end_when_the_first_of_all_lost_nodes_starts_again() {
    let (mut log, nodes) = three_nodes();
    for node in nodes {
        log.accept(lose(node, BOOT.0));
    }
    assert!(has_transient(&log));

    log.accept(start(nodes[1], BOOT.0 + 1));
    assert!(!has_transient(&log));

    let transient = DeclareExchange { durable: false, ..exchange("transient", "fanout") };
    log.accept(Command::DeclareExchange(transient));
    log.accept(start(nodes[0], BOOT.0 + 1));
    log.accept(start(nodes[2], BOOT.0 + 1));
    assert!(has_transient(&log), "declared while a node ran");
}

#[test]
fn exchanges_that_are_not_durable_survive_with_a_node_that_was_only_taken_for_lost() {
    let (mut log, nodes) = three_nodes();
    for node in nodes {
        log.accept(lose(node, BOOT.0));
    }

    log.accept(start(nodes[0], BOOT.0));
    log.accept(start(nodes[1], BOOT.0 + 1));
    log.accept(start(nodes[2], BOOT.0 + 1));

    assert!(has_transient(&log));
}

#[test]
fn exchanges_that_are_not_durable_outlive_a_power_cut_that_nobody_could_tell_of() {
    let (mut log, nodes) = three_nodes();

    for node in nodes {
        log.accept(start(node, BOOT.0 + 1));
    }

    assert!(has_transient(&log), "the same entries as when one restarts after the other");
}

#[test]
fn a_forgotten_node_keeps_no_exchange_alive() {
    let (mut log, nodes) = three_nodes();
    log.accept(lose(nodes[1], BOOT.0));
    log.accept(Command::ForgetNode { node: nodes[0] });
    log.accept(Command::ForgetNode { node: nodes[2] });
    assert!(has_transient(&log));

    log.accept(start(nodes[1], BOOT.0 + 1));

    assert!(!has_transient(&log));
}

#[test]
fn a_start_is_live_from_before_it_is_known_until_it_is_lost() {
    let mut log = Log::new();
    let is_live = |log: &Log, boot| log.catalog.is_live((NODE, BootId(boot)));
    let liveness = |log: &Log| [6, 7, 8, 9].map(|boot| is_live(log, boot));
    assert_eq!(BOOT, BootId(7));
    assert_eq!(liveness(&log), [false, true, true, true]);
    assert!(!log.catalog.is_live((NodeId(99), BOOT)));

    log.accept(lose(NODE, 7));
    assert_eq!(liveness(&log), [false, false, true, true]);

    log.accept(start(NODE, 7));
    assert_eq!(liveness(&log), [false, true, true, true]);

    log.accept(lose(NODE, 8));
    assert_eq!(liveness(&log), [false, false, false, true]);

    log.accept(start(NODE, 9));
    assert_eq!(liveness(&log), [false, false, false, true]);

    log.accept(Command::ForgetNode { node: NODE });
    assert_eq!(liveness(&log), [false; 4]);
}

#[test]
fn a_start_that_is_lost_before_it_is_known_is_over() {
    let mut log = Log::new();
    let transient = DeclareExchange { durable: false, ..exchange("transient", "fanout") };
    log.accept(Command::DeclareExchange(transient));
    log.accept(Command::DeclareQueue(exclusive("e", 1)));

    let lost = log.accept(lose(NODE, BOOT.0 + 1));

    assert!(matches!(lost, Outcome::QueuesRemoved(rows) if rows.len() == 1));
    assert!(!has_transient(&log), "its start ended what the one before it kept alive");
    let before = log.refuse(start(NODE, BOOT.0));
    assert_eq!(before, Refusal::StartOver { node: NODE, boot: BOOT });
    log.accept(start(NODE, BOOT.0 + 1));
    assert!(log.catalog.is_live((NODE, BootId(BOOT.0 + 1))), "it was only taken for lost");
}

#[test]
fn whoever_performs_effects_hears_of_each_change_of_a_node_and_of_nothing_else() {
    let mut log = Log::new();
    let register = |address: &str| {
        let (name, address, zone) = ("n".into(), address.into(), "".into());
        Command::RegisterNode(RegisterNode { token: 7, wanted: None, name, address, zone })
    };
    let Outcome::Node(node) = log.accept(register("n:1")) else { panic!("a node gets an id") };
    let drain = |draining| Command::DrainNode { node, draining };
    let told = [Effect::NodeChanged(node)];
    assert_eq!(log.effects, told);

    for (command, is_change) in [
        (register("n:1"), false),
        (register("n:2"), true),
        (start(node, 1), true),
        (start(node, 1), false),
        (drain(true), true),
        (drain(true), false),
        (drain(false), true),
        (lose(node, 1), true),
        (lose(node, 1), false),
        (start(node, 1), true),
        (start(node, 2), true),
    ] {
        let revision = log.catalog.revision();
        log.accept(command.clone());
        assert_eq!(log.effects == told, is_change, "{command:?}");
        assert_eq!(log.catalog.revision() > revision, is_change, "{command:?}");
    }
}

#[test]
fn the_queues_in_a_nodes_memory_are_listed_by_placement_and_id() {
    let mut log = Log::new();
    let placed = |name: &str, slot| DeclareQueue {
        durable: false,
        placement: Placement::Local { node: NODE, boot: BOOT, slot },
        ..queue(name)
    };
    for wanted in [placed("c", 2), placed("b", 1), placed("a", 1), queue("durable")] {
        log.accept(Command::DeclareQueue(wanted));
    }

    let listed: Vec<_> = log.catalog.local_queues(NODE).map(|row| row.name.to_string()).collect();

    assert_eq!(listed, ["b", "a", "c"]);
    assert_eq!(log.catalog.local_queues(NodeId(2)).count(), 0);
    assert_eq!(log.catalog.shard_count(), 1);
}

#[test]
fn nothing_is_put_where_nobody_looks_after_it() {
    let mut log = Log::new();
    log.accept(Command::LoseNode { node: NODE, boot: BOOT });

    let late = log.refuse(Command::DeclareQueue(exclusive("q", 1)));
    let stranger = Placement::Local { node: NodeId(9), boot: BOOT, slot: 0 };
    let stranger = DeclareQueue { placement: stranger, durable: false, ..queue("q") };
    let stranger = log.refuse(Command::DeclareQueue(stranger));
    let shard = warren_types::GroupId(99);
    let nowhere = DeclareQueue { placement: Placement::Shard(shard), ..queue("q") };
    let nowhere = log.refuse(Command::DeclareQueue(nowhere));

    assert_eq!(late, Refusal::StartOver { node: NODE, boot: BOOT });
    assert_eq!(stranger, Refusal::NoNode { node: NodeId(9) });
    assert_eq!(nowhere, Refusal::NoShard { group: shard });
    log.accept(Command::StartNode { node: NODE, boot: BOOT, speaks: 1 });
    log.accept(Command::DeclareQueue(exclusive("q", 1)));
}

#[test]
fn node_ids_are_given_once() {
    let mut log = Log::new();
    let register = |token, wanted| {
        let (name, address, zone) = ("n".into(), "n:1".into(), "".into());
        Command::RegisterNode(RegisterNode { token, wanted, name, address, zone })
    };

    let second = log.accept(register(2, None));
    let second_again = log.accept(register(2, None));
    let taken = log.refuse(register(3, Some(NODE)));
    let ahead = log.refuse(register(3, Some(NodeId(u64::MAX))));
    let Outcome::Node(id) = second else { panic!("an id") };
    log.accept(Command::ForgetNode { node: id });
    let third = log.accept(register(3, None));

    assert_eq!(second_again, Outcome::Node(id));
    assert_eq!(taken, Refusal::NodeIdTaken { node: NODE });
    assert_eq!(ahead, Refusal::NodeIdTaken { node: NodeId(u64::MAX) });
    assert!(matches!(third, Outcome::Node(third) if third > id));
}

#[test]
fn the_version_rises_once_every_node_speaks_it() {
    let mut log = Log::new();

    log.accept(Command::RaiseVersion { version: 1 });
    let not_above = log.refuse(Command::RaiseVersion { version: 1 });
    let not_spoken = log.refuse(Command::RaiseVersion { version: 2 });
    let (node, boot) = (NODE, BootId(BOOT.0 + 1));
    let too_old = log.refuse(Command::StartNode { node, boot, speaks: 0 });

    assert_eq!(log.catalog.version(), 1);
    assert_eq!(too_old, Refusal::VersionNotSpoken { version: 1, node: NODE, speaks: 0 });
    assert_eq!(not_above, Refusal::VersionNotAbove { version: 1, current: 1 });
    assert_eq!(not_spoken, Refusal::VersionNotSpoken { version: 2, node: NODE, speaks: 1 });
}

#[test]
fn a_forgotten_node_leaves_the_shards() {
    let mut log = Log::new();
    assert_eq!(log.catalog.shard(SHARD).map(|shard| shard.replicas.len()), Some(1));

    log.accept(Command::ForgetNode { node: NODE });

    assert_eq!(log.catalog.shard(SHARD).map(|shard| shard.replicas.len()), Some(0));
    assert_eq!(log.effects, [Effect::ShardChanged(SHARD), Effect::NodeForgotten(NODE)]);
}

#[test]
fn a_vhosts_limit_of_queues_counts_what_would_be_made() {
    let mut log = Log::new();
    let limit = VhostLimit::MaxQueues;
    log.accept(Command::SetVhostLimit { vhost: VHOST.into(), limit, value: Some(1) });
    log.accept(Command::DeclareQueue(queue("a")));

    let refusal = log.refuse(Command::DeclareQueue(queue("b")));
    log.accept(Command::DeclareQueue(queue("a")));
    log.accept(Command::SetVhostLimit { vhost: VHOST.into(), limit, value: None });
    log.accept(Command::DeclareQueue(queue("b")));

    let expected = "cannot declare queue 'b': queue limit in vhost '/' (1) is reached";
    assert_eq!(refusal.to_string(), expected);
}

#[test]
fn users_have_limits_that_are_kept() {
    let mut log = Log::new();
    let limit = UserLimit::MaxChannels;
    log.accept(Command::SetUserLimit { user: "guest".into(), limit, value: Some(3) });

    assert_eq!(log.catalog.user("guest").and_then(|user| user.limits.max_channels), Some(3));
    let unknown = log.refuse(Command::SetUserLimit { user: "x".into(), limit, value: None });
    assert_eq!(unknown, Refusal::NoUser { user: "x".into() });
}

#[test]
fn a_policy_takes_hold_of_what_exists_and_lets_go_again() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue_with("orders", &[("x-max-length", Value::I32(9))])));
    log.accept(Command::DeclareQueue(queue("other")));
    log.accept(Command::DeclareExchange(exchange("orders", "direct")));
    let definition = r#"{"max-length": 5, "alternate-exchange": "ae"}"#;
    let put = policy(PolicyLayer::User, "p", "^ord", definition);
    log.accept(Command::PutPolicy(put));

    let row = log.catalog.queue(VHOST, "orders").expect("declared").clone();
    assert_eq!((row.policy.as_deref(), row.settings.max_length), (Some("p"), Some(5)));
    assert_eq!(log.effects, [Effect::QueueChanged(row)]);
    let exchange = log.catalog.exchange(VHOST, "orders").expect("declared");
    assert_eq!(exchange.alternate.as_deref(), Some("ae"));
    log.accept(Command::DeletePolicy {
        vhost: VHOST.into(),
        layer: PolicyLayer::User,
        name: "p".into(),
    });
    let row = log.catalog.queue(VHOST, "orders").expect("declared");
    assert_eq!((row.policy.as_deref(), row.settings.max_length), (None, Some(9)));
}

#[test]
fn of_two_policies_the_higher_and_then_the_first_by_name_is_in_effect() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(queue("q")));
    let put = |name: &str, priority| {
        let put = policy(PolicyLayer::User, name, "", r#"{"max-length": 5}"#);
        Command::PutPolicy(PutPolicy { pattern: ".*".into(), priority, ..put })
    };
    let in_effect = |log: &Log| log.catalog.queue(VHOST, "q").and_then(|row| row.policy.clone());

    log.accept(put("b", 1));
    assert_eq!(in_effect(&log).as_deref(), Some("b"));
    log.accept(put("a", 1));
    assert_eq!(in_effect(&log).as_deref(), Some("a"));
    log.accept(put("c", 2));
    assert_eq!(in_effect(&log).as_deref(), Some("c"));
    log.accept(put("c", 0));
    assert_eq!(in_effect(&log).as_deref(), Some("a"));
}

#[test]
fn a_policy_applies_to_what_it_is_for_and_knows() {
    let mut log = Log::new();
    let quorum = [("x-queue-type", Value::text("quorum"))];
    log.accept(Command::DeclareQueue(queue_with("quorum", &quorum)));
    log.accept(Command::DeclareQueue(queue("classic")));
    let limit = policy(PolicyLayer::Operator, "limit", ".*", r#"{"delivery-limit": 3}"#);
    log.accept(Command::PutPolicy(limit));
    let classics = policy(PolicyLayer::User, "classics", ".*", r#"{"max-length": 3}"#);
    let apply_to = ApplyTo::ClassicQueues;
    log.accept(Command::PutPolicy(PutPolicy { apply_to, ..classics }));

    let row = |name: &str| log.catalog.queue(VHOST, name).expect("declared");
    assert_eq!(row("quorum").operator_policy.as_deref(), Some("limit"));
    assert_eq!(row("quorum").settings.delivery_limit, Some(3));
    assert_eq!(row("quorum").policy, None);
    assert_eq!(row("classic").operator_policy, None, "it sets what classic queues do not know");
    assert_eq!(row("classic").policy.as_deref(), Some("classics"));
    let merged = log.catalog.effective_definition(VHOST, Some("classics"), Some("limit"));
    assert_eq!(merged.len(), 2);
}

#[test]
fn parameters_hold_json_and_nothing_else() {
    let mut log = Log::new();
    let put = |value: &str| Command::PutParameter {
        vhost: VHOST.into(),
        component: "shovel".into(),
        name: "s".into(),
        value: value.into(),
    };

    assert_eq!(log.accept(put("{}")), Outcome::Created);
    assert_eq!(log.accept(put("{\"a\":1}")), Outcome::Updated);
    assert!(matches!(log.refuse(put("{")), Refusal::InvalidValue { .. }));
    assert_eq!(log.catalog.parameters(VHOST).count(), 1);
    let (name, value) = ("cluster_name".into(), "\"c\"".into());
    assert_eq!(log.accept(Command::PutGlobalParameter { name, value }), Outcome::Created);
    let name = "cluster_name".into();
    assert_eq!(log.accept(Command::DeleteGlobalParameter { name }), Outcome::Removed);
    let (component, name) = ("shovel".into(), "s".into());
    let delete = Command::DeleteParameter { vhost: VHOST.into(), component, name };
    assert_eq!(log.accept(delete.clone()), Outcome::Removed);
    assert_eq!(log.accept(delete), Outcome::Missing);
}

#[test]
fn a_cluster_is_founded_once() {
    let mut log = Log::empty();
    let found = |id| Command::FoundCluster(crate::ClusterId(id));

    assert_eq!(log.accept(found(5)), Outcome::Created);
    assert_eq!(log.accept(found(5)), Outcome::Unchanged);
    assert_eq!(log.refuse(found(6)), Refusal::FoundedOtherwise);
}

#[test]
fn names_that_cannot_be_carried_are_refused() {
    let mut log = Log::new();
    let long = "x".repeat(256);

    for command in [
        Command::DeclareQueue(queue(&long)),
        Command::DeclareQueue(queue("")),
        Command::DeclareExchange(exchange(&long, "topic")),
        Command::PutVhost { vhost: long.as_str().into(), meta: VhostMeta::default() },
    ] {
        assert!(matches!(log.refuse(command), Refusal::InvalidName { .. }));
    }
}
