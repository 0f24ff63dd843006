//! Tests of `equivalence`.

use warren_types::Value;

use crate::testing::{Log, exchange, exclusive, queue, queue_with, table};
use crate::{Command, DeclareExchange, DeclareQueue, Outcome, Refusal, RefusalKind};

fn tail(first: DeclareQueue, second: DeclareQueue) -> Option<String> {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(first));
    match log.apply(Command::DeclareQueue(second)) {
        Ok(Outcome::QueueExists(_)) => None,
        Ok(other) => panic!("the queue exists, yet {other:?}"),
        Err(refusal) => {
            assert_eq!(refusal.kind(), RefusalKind::PreconditionFailed);
            Some(refusal.to_string())
        }
    }
}

#[test]
fn what_differs_is_told_in_rabbitmqs_words() {
    let ttl = |value| [("x-message-ttl", value)];
    let quorum = [("x-queue-type", Value::text("quorum"))];
    let cases: Vec<(DeclareQueue, DeclareQueue, &str)> = vec![
        (
            DeclareQueue { durable: false, ..queue("q") },
            queue("q"),
            "inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            queue("q"),
            DeclareQueue { auto_delete: true, ..queue("q") },
            "inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            queue("q"),
            queue_with("q", &ttl(Value::I32(1))),
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '1' of type 'signedint' but current is none",
        ),
        (
            queue_with("q", &ttl(Value::I64(1))),
            queue("q"),
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the value '1' of type 'long'",
        ),
        (
            queue_with("q", &ttl(Value::I32(1))),
            queue_with("q", &ttl(Value::I32(2))),
            "inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '2' but current is '1'",
        ),
        (
            queue("q"),
            queue_with("q", &quorum),
            "inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is 'classic'",
        ),
        (
            queue_with("q", &[("x-dead-letter-exchange", Value::text("a"))]),
            queue_with("q", &[("x-dead-letter-exchange", Value::text("b"))]),
            "inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received 'b' but current is 'a'",
        ),
        (
            queue_with("q", &[("x-single-active-consumer", Value::Bool(true))]),
            queue("q"),
            "inequivalent arg 'x-single-active-consumer' for queue 'q' in vhost '/': received none but current is the value 'true' of type 'bool'",
        ),
    ];
    for (first, second, expected) in cases {
        assert_eq!(tail(first, second).as_deref(), Some(expected));
    }
}

/// `durable=true auto_delete=false exclusive=false NAME=LETTER:VALUE…`
fn declaration(words: &str) -> DeclareQueue {
    let mut wanted = queue("q");
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = word.split_once('=').expect("a pair");
        match (name, value.split_once(':')) {
            ("durable", None) => wanted.durable = value == "true",
            ("auto_delete", None) => wanted.auto_delete = value == "true",
            ("exclusive", None) => wanted = exclusive("q", 1),
            (_, Some((letter, text))) => wanted.arguments.insert(name, value_of(letter, text)),
            (_, None) => panic!("no flag: {word}"),
        }
    }
    wanted
}

fn value_of(letter: &str, text: &str) -> Value {
    let number = || text.parse::<i64>().expect("a number");
    match letter {
        "S" => Value::text(text),
        "t" => Value::Bool(text == "true"),
        "s" => Value::I16(number().try_into().expect("a short one")),
        "I" => Value::I32(number().try_into().expect("an int")),
        "l" => Value::I64(number()),
        "d" => Value::F64(text.parse().expect("a fraction")),
        other => panic!("no type: {other}"),
    }
}

#[test]
fn two_declarations_are_the_same_where_rabbitmq_says_so() {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let text = std::fs::read_to_string(format!("{package}/testdata/equivalence.txt")).unwrap();
    let cases: Vec<&str> = text.split("\n\n").skip(1).collect();
    assert!(cases.len() > 150, "they are found");
    for case in cases {
        let mut lines = case.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        let (Some(first), Some(second), Some(expected)) =
            (lines.next(), lines.next(), lines.next())
        else {
            panic!("not a case: {case}");
        };
        assert_eq!((first.0, second.0, expected.0), ("first", "then", ">"));
        let mut log = Log::new();
        log.accept(Command::DeclareQueue(declaration(first.1)));

        let told = match log.apply(Command::DeclareQueue(declaration(second.1))) {
            Ok(_) => "the same".to_owned(),
            Err(refusal) => match refusal.kind() {
                RefusalKind::PreconditionFailed => format!("406 PRECONDITION_FAILED - {refusal}"),
                RefusalKind::ResourceLocked => format!("405 RESOURCE_LOCKED - {refusal}"),
                other => panic!("{other:?} to {case}"),
            },
        };

        assert_eq!(told, expected.1, "{case}");
    }
}

#[test]
fn values_are_equal_whatever_their_width() {
    let ttl = |value| queue_with("q", &[("x-message-ttl", value)]);
    let pairs = [
        (ttl(Value::I32(10)), ttl(Value::I64(10))),
        (ttl(Value::U8(10)), ttl(Value::I16(10))),
        (queue("q"), queue_with("q", &[("x-queue-type", Value::text("classic"))])),
        (queue_with("q", &[("x-queue-type", Value::text("classic"))]), queue("q")),
        // What no queue type knows is kept and not compared.
        (queue_with("q", &[("x-mine", Value::I32(1))]), queue("q")),
    ];
    for (first, second) in pairs {
        assert_eq!(tail(first, second), None);
    }
}

#[test]
fn exclusive_queues_are_for_their_connection_alone() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(exclusive("q", 1)));
    log.accept(Command::DeclareQueue(queue("r")));

    let again = log.accept(Command::DeclareQueue(exclusive("q", 1)));
    // Asked for as durable, it is the same: an exclusive queue never is.
    let durable = DeclareQueue { durable: true, ..exclusive("q", 1) };
    let as_durable = log.accept(Command::DeclareQueue(durable));
    let other = log.refuse(Command::DeclareQueue(exclusive("q", 2)));
    let open = log.refuse(Command::DeclareQueue(queue("q")));
    let seized = log.refuse(Command::DeclareQueue(exclusive("r", 1)));

    assert!(matches!(again, Outcome::QueueExists(_)));
    assert!(matches!(as_durable, Outcome::QueueExists(_)));
    for refusal in [&other, &open, &seized] {
        assert_eq!(refusal.kind(), RefusalKind::ResourceLocked);
    }
    let expected = "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be \
                    originally declared on another connection or the exclusive property value \
                    does not match that of the original declaration.";
    assert_eq!(other.to_string(), expected);
}

#[test]
fn exchanges_compare_by_type_flags_and_alternate_exchange() {
    let alternate = |name: &str| table(&[("alternate-exchange", Value::text(name))]);
    let base = DeclareExchange { arguments: alternate("a"), ..exchange("x", "direct") };
    let mut log = Log::new();
    log.accept(Command::DeclareExchange(base.clone()));
    let cases = [
        (
            DeclareExchange { kind: "topic".into(), ..base.clone() },
            "inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is 'direct'",
        ),
        (
            DeclareExchange { durable: false, ..base.clone() },
            "inequivalent arg 'durable' for exchange 'x' in vhost '/': received 'false' but current is 'true'",
        ),
        (
            DeclareExchange { auto_delete: true, ..base.clone() },
            "inequivalent arg 'auto_delete' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            DeclareExchange { internal: true, ..base.clone() },
            "inequivalent arg 'internal' for exchange 'x' in vhost '/': received 'true' but current is 'false'",
        ),
        (
            DeclareExchange { arguments: alternate("b"), ..base.clone() },
            "inequivalent arg 'alternate-exchange' for exchange 'x' in vhost '/': received 'b' but current is 'a'",
        ),
    ];
    for (wanted, expected) in cases {
        let refusal = log.refuse(Command::DeclareExchange(wanted));
        assert_eq!(refusal.to_string(), expected);
        assert!(matches!(refusal, Refusal::Inequivalent(_)));
    }
    let mut arguments = alternate("a");
    arguments.insert("other", Value::I32(1));
    let same = log.accept(Command::DeclareExchange(DeclareExchange { arguments, ..base }));
    assert!(matches!(same, Outcome::ExchangeExists(_)));
}
