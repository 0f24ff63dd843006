//! Tests of `defaults`.

use warren_machine::Machine;
use warren_types::Value;

use super::*;
use crate::testing::{Log, VHOST, queue, queue_with};
use crate::{Command, DeclareQueue, Effect, Outcome, Refusal};

fn quorum(name: &str) -> DeclareQueue {
    queue_with(name, &[("x-queue-type", Value::text("quorum"))])
}

fn put(name: &str, value: &str) -> Command {
    Command::PutGlobalParameter { name: name.into(), value: value.into() }
}

/// What is in effect on a queue: the counting, and the timeout.
fn in_effect(log: &Log, name: &str) -> (DeliveryCounting, Option<u64>) {
    let queue = log.catalog.queue(VHOST, name).expect("it was declared");
    (queue.settings.delivery_counting, queue.settings.consumer_timeout_ms)
}

#[test]
fn unless_told_it_is_as_in_rabbitmq_4_3() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(quorum("q")));
    log.accept(Command::DeclareQueue(queue("classic")));

    assert_eq!(in_effect(&log, "q"), (DeliveryCounting::Failures, Some(1_800_000)));
    assert_eq!(in_effect(&log, "classic").1, None);
}

#[test]
fn a_default_takes_hold_of_what_exists_and_of_what_comes_and_lets_go_again() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(quorum("old")));

    assert_eq!(log.accept(put(DELIVERY_COUNTING, "\"4.0\"")), Outcome::Created);
    assert!(matches!(&log.effects[..], [.., Effect::QueueChanged(row)] if &*row.name == "old"));
    log.accept(put(CONSUMER_TIMEOUT, "0"));
    log.accept(Command::DeclareQueue(quorum("new")));

    for name in ["old", "new"] {
        assert_eq!(in_effect(&log, name), (DeliveryCounting::Returns, Some(0)), "{name}");
    }
    let restored = Catalog::restore(&log.catalog.snapshot()).expect("its own snapshot");
    restored.check();
    assert_eq!(restored.queue(VHOST, "old"), log.catalog.queue(VHOST, "old"));
    for name in [DELIVERY_COUNTING, CONSUMER_TIMEOUT] {
        log.accept(Command::DeleteGlobalParameter { name: name.into() });
    }
    assert_eq!(in_effect(&log, "old"), (DeliveryCounting::Failures, Some(1_800_000)));
}

#[test]
fn the_cluster_may_have_leases_by_default() {
    let mut log = Log::new();
    log.accept(Command::DeclareQueue(quorum("q")));
    let action =
        |log: &Log| log.catalog.queue(VHOST, "q").map(|queue| queue.settings.timeout_action);

    log.accept(put(CONSUMER_TIMEOUT_ACTION, "\"return\""));
    let with = action(&log);
    log.accept(Command::DeleteGlobalParameter { name: CONSUMER_TIMEOUT_ACTION.into() });

    assert_eq!((with, action(&log)), (Some(TimeoutAction::Return), Some(TimeoutAction::Cancel)));
}

#[test]
fn an_argument_goes_before_the_default() {
    let mut log = Log::new();
    let arguments =
        [("x-queue-type", Value::text("quorum")), ("x-consumer-timeout", Value::I32(3_600_000))];
    log.accept(Command::DeclareQueue(queue_with("q", &arguments)));

    log.accept(put(CONSUMER_TIMEOUT, "5000"));

    assert_eq!(in_effect(&log, "q").1, Some(3_600_000));
}

#[test]
fn a_default_that_means_nothing_is_refused() {
    let mut log = Log::new();
    let nonsense = [
        (DELIVERY_COUNTING, "\"4.1\""),
        (DELIVERY_COUNTING, "4"),
        (CONSUMER_TIMEOUT, "-1"),
        (CONSUMER_TIMEOUT, "\"1\""),
        (CONSUMER_TIMEOUT_ACTION, "\"keep\""),
        (CONSUMER_TIMEOUT_ACTION, "1"),
    ];
    for (name, value) in nonsense {
        let refusal = log.refuse(put(name, value));
        assert_eq!(refusal, Refusal::InvalidValue { name: name.into() });
    }

    assert_eq!(log.accept(put("anything", "-1")), Outcome::Created);
}
