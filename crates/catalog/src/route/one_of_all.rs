//! Tests of the exchanges that choose one of all.

use warren_machine::Machine;
use warren_types::Value;

use super::*;
use crate::testing::{Log, VHOST, exchange, queue, table, to_exchange, to_queue};
use crate::{Command, DeclareExchange, RefusalKind};

/// An exchange `x` of this kind, and a queue for each name, bound with the keys behind it.
fn bound(declare: DeclareExchange, queues: &[(&str, &[&str])]) -> Log {
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(declare));
    for (name, keys) in queues {
        log.accept(Command::DeclareQueue(queue(name)));
        for key in *keys {
            log.accept(Command::Bind(to_queue("x", name, key)));
        }
    }
    log
}

/// Where each of a thousand keys goes.
fn placed(log: &Log) -> Vec<String> {
    let place = |number: u32| {
        let mut queues = log.route_key("x", &format!("key {number}"));
        assert_eq!(queues.len(), 1, "one of all");
        queues.remove(0)
    };
    (0..1000).map(place).collect()
}

fn share(placed: &[String], queue: &str) -> usize {
    placed.iter().filter(|name| *name == queue).count()
}

fn with(kind: &str, arguments: &[(&str, Value)]) -> DeclareExchange {
    DeclareExchange { arguments: table(arguments), ..exchange("x", kind) }
}

#[test]
fn a_consistent_hash_gives_each_queue_as_many_keys_as_it_weighs() {
    let log = bound(
        with("x-consistent-hash", &[]),
        &[("one", &["10"]), ("two", &["20"]), ("three", &["30", "9999"])],
    );

    let placed = placed(&log);

    for (queue, expected) in [("one", 167), ("two", 333), ("three", 500)] {
        let share = share(&placed, queue);
        assert!(share.abs_diff(expected) < 50, "{queue} has {share}, not about {expected}");
    }
}

#[test]
fn no_key_moves_that_need_not_when_a_binding_comes_or_goes() {
    let three: [(&str, &[&str]); 3] = [("a", &["1"]), ("b", &["1"]), ("c", &["2"])];
    let mut log = bound(with("x-consistent-hash", &[]), &three);
    let before = placed(&log);
    log.accept(Command::DeclareQueue(queue("d")));

    log.accept(Command::Bind(to_queue("x", "d", "1")));
    let more = placed(&log);
    log.accept(Command::Unbind(to_queue("x", "d", "1")));
    let again = placed(&log);
    log.accept(Command::Unbind(to_queue("x", "a", "1")));
    let fewer = placed(&log);

    assert_eq!(again, before);
    let moved = |after: &[String]| -> Vec<(String, String)> {
        let pairs = before.iter().cloned().zip(after.iter().cloned());
        pairs.filter(|(from, to)| from != to).collect()
    };
    assert!(moved(&more).iter().all(|(_, to)| to == "d"));
    assert_eq!(moved(&more).len(), share(&more, "d"));
    assert!(moved(&fewer).iter().all(|(from, _)| from == "a"));
    assert_eq!(moved(&fewer).len(), share(&before, "a"));
}

#[test]
fn what_is_chosen_hangs_on_the_bindings_and_not_on_their_order() {
    for kind in ["x-consistent-hash", "x-modulus-hash"] {
        let queues: [(&str, &[&str]); 3] = [("a", &["1"]), ("b", &["2"]), ("c", &["3"])];
        let forward = placed(&bound(with(kind, &[]), &queues));
        let backward: Vec<_> = queues.into_iter().rev().collect();

        assert_eq!(placed(&bound(with(kind, &[]), &backward)), forward, "{kind}");
    }
}

#[test]
fn hashes_of_keys_are_the_same_in_every_version() {
    let queues: [(&str, &[&str]); 4] = [("a", &["1"]), ("b", &["2"]), ("c", &["3"]), ("d", &["4"])];
    let first = |kind| placed(&bound(with(kind, &[]), &queues))[..16].concat();

    assert_eq!(first("x-consistent-hash"), "dddacbdccbadddcd");
    assert_eq!(first("x-modulus-hash"), "dbcaadbdbbcccadb");
}

/// Headers and properties of a message.
struct Facts {
    headers: Table,
    message_id: Option<Vec<u8>>,
    dice: u64,
}

impl MessageHeaders for Facts {
    fn table(&self) -> Option<&Table> {
        Some(&self.headers)
    }

    fn property(&self, property: Property) -> Option<Vec<u8>> {
        match property {
            Property::MessageId => self.message_id.clone(),
            Property::CorrelationId | Property::Timestamp => None,
        }
    }

    fn dice(&self) -> u64 {
        self.dice
    }
}

fn facts(value: Value) -> Facts {
    Facts { headers: table(&[("shard", value)]), message_id: None, dice: 0 }
}

/// The queue that a message goes to, whatever its key.
fn goes(log: &Log, facts: &Facts, key: &[u8]) -> String {
    log.route("x", Message { headers: facts, ..Message::with_key(key) }).concat()
}

#[test]
fn a_header_is_hashed_by_what_it_means_and_the_key_does_not_count() {
    let queues: [(&str, &[&str]); 3] = [("a", &["1"]), ("b", &["1"]), ("c", &["1"])];
    let by_header = with("x-consistent-hash", &[("hash-header", Value::text("shard"))]);
    let log = bound(by_header, &queues);

    for number in 0..100 {
        let narrow = goes(&log, &facts(Value::I32(number)), b"one key");
        let wide = goes(&log, &facts(Value::I64(i64::from(number))), b"another");
        assert_eq!(narrow, wide);
    }
    let texts = (0..100).map(|at| goes(&log, &facts(Value::text(&format!("t{at}"))), b""));
    let distinct: BTreeSet<String> = texts.collect();
    assert_eq!(distinct.len(), 3, "all are used");
    let mut routed = Routed::new();
    log.catalog.route(VHOST, "x", Message::with_key(b""), &mut routed).expect("it is there");
    assert_eq!((routed.targets().len(), routed.varies()), (1, true), "a message without");
}

#[test]
fn a_property_is_hashed() {
    let queues: [(&str, &[&str]); 3] = [("a", &["1"]), ("b", &["1"]), ("c", &["1"])];
    let by_id = with("x-consistent-hash", &[("hash-property", Value::text("message_id"))]);
    let log = bound(by_id, &queues);

    let with_id = |number: u32| Facts {
        message_id: Some(number.to_be_bytes().to_vec()),
        ..facts(Value::Void)
    };
    let queues = (0..100).map(|number| goes(&log, &with_id(number), b"same key"));

    assert_eq!(queues.collect::<BTreeSet<_>>().len(), 3, "all are used");
}

#[test]
fn random_and_modulus_exchanges_count_each_binding() {
    let queues: [(&str, &[&str]); 2] = [("a", &["1"]), ("b", &["1", "2", "3"])];
    let log = bound(with("x-random", &[]), &queues);
    let thrown = |dice| goes(&log, &Facts { dice, ..facts(Value::Void) }, b"");

    assert_eq!([0, 1, 2, 3, 4].map(thrown).concat(), "abbba");
    let placed = placed(&bound(with("x-modulus-hash", &[]), &queues));
    assert!(share(&placed, "b").abs_diff(750) < 60);
}

#[test]
fn exchanges_without_bindings_choose_none() {
    for kind in ["x-consistent-hash", "x-random", "x-modulus-hash"] {
        let log = bound(with(kind, &[]), &[]);

        assert_eq!(log.route_key("x", "key"), [""; 0], "{kind}");
    }
}

#[test]
fn one_of_all_may_be_an_exchange() {
    let mut log = bound(with("x-consistent-hash", &[]), &[]);
    log.accept(Command::DeclareQueue(queue("behind")));
    log.accept(Command::Bind(to_exchange("x", "amq.fanout", "5")));
    log.accept(Command::Bind(to_queue("amq.fanout", "behind", "")));

    assert_eq!(log.route_key("x", "key"), ["behind"]);
}

#[test]
fn weights_are_refused_in_rabbitmqs_words() {
    let mut log = bound(with("x-consistent-hash", &[]), &[("q", &["+2"])]);
    let texts = [
        ("abc", "The binding key must be an integer: <<\"abc\">>"),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", "The binding key must be an integer: <<\"1.5\">>"),
        (" 1", "The binding key must be an integer: <<\" 1\">>"),
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("10001", "The binding key must not exceed 10000"),
        ("99999999999", "The binding key must not exceed 10000"),
    ];
    for (key, text) in texts {
        let refusal = log.refuse(Command::Bind(to_queue("x", "q", key)));

        assert_eq!(
            (refusal.kind(), refusal.to_string()),
            (RefusalKind::PreconditionFailed, text.into())
        );
    }
}

#[test]
fn declarations_are_refused_in_rabbitmqs_words() {
    let text = Value::text;
    type Case<'a> = (&'a str, Vec<(&'a str, Value)>, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "x-consistent-hash",
            vec![("hash-header", text("h")), ("hash-property", text("message_id"))],
            "hash-header and hash-property are mutually exclusive",
        ),
        ("x-consistent-hash", vec![("hash-property", text("foo"))], "Unsupported property: foo"),
        (
            "x-consistent-hash",
            vec![("hash-header", Value::I32(3))],
            "hash-header must be text, not signedint",
        ),
        (
            "x-delayed-message",
            vec![],
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
        (
            "x-delayed-message",
            vec![("x-delayed-type", text("x-odd"))],
            "Invalid argument, 'x-delayed-type' must be an existing exchange type",
        ),
        (
            "x-delayed-message",
            vec![("x-delayed-type", text("x-delayed-message"))],
            "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
        ),
    ];
    let mut log = Log::new();
    for (kind, arguments, text) in cases {
        let refusal = log.refuse(Command::DeclareExchange(with(kind, &arguments)));

        assert_eq!(
            (refusal.kind(), refusal.to_string()),
            (RefusalKind::PreconditionFailed, text.into())
        );
    }
}

#[test]
fn a_delayed_exchange_routes_as_its_type_does_also_after_a_restore() {
    let delayed = with("x-delayed-message", &[("x-delayed-type", Value::text("topic"))]);
    let log = bound(delayed, &[("q", &["a.*"])]);
    let restored = Catalog::restore(&log.catalog.snapshot()).expect("its own snapshot");

    for catalog in [&log.catalog, &restored] {
        let row = catalog.exchange(VHOST, "x").expect("it is there");
        assert_eq!(
            (row.kind.as_str(), row.routing_kind().as_str()),
            ("x-delayed-message", "topic")
        );
        let mut routed = Routed::new();
        for (key, count) in [("a.b", 1), ("a.b.c", 0)] {
            let message = Message::with_key(key.as_bytes());
            catalog.route(VHOST, "x", message, &mut routed).expect("it is there");
            assert_eq!(routed.targets().len(), count, "{key}");
        }
    }
}
