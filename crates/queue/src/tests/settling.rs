//! What becomes of messages when they are settled: places, counters, flags.

use warren_types::{ConsumerNumber, DeliverySequence};

use super::kit::{FRONT, Log, QUEUE, session, settle, terms};
use crate::{Command, Outcome, SettleRange};

#[test]
fn unsettled_messages_return_to_the_head_in_order_when_their_consumer_detaches() {
    let mut log = Log::default();
    log.attach(1, 2);
    let [a, b, c] = [log.enqueue(), log.enqueue(), log.enqueue()];

    log.apply(Command::Detach { consumer: ConsumerNumber(1) });
    log.attach(2, 3);

    assert_eq!(log.given(), [(2, 1, a, true), (2, 2, b, true), (2, 3, c, false)]);
}

#[test]
fn the_counters_tell_returns_from_failures() {
    for (outcome, acquired, failed) in
        [(Outcome::Requeue, 1, 0), (Outcome::RejectRequeue, 1, 1), (Outcome::Release, 0, 0)]
    {
        let mut log = Log::default();
        let consumer = log.attach(1, 0);
        let [a] = log.enqueue_all();

        log.settle(consumer, outcome, 1, 1);

        assert_eq!(log.counters(), [(a, acquired, failed)], "{outcome:?}");
        assert_eq!(log.given(), [(1, 2, a, acquired > 0)], "{outcome:?}");
    }
}

#[test]
fn a_detach_is_a_failed_delivery() {
    let mut log = Log::default();
    log.attach(1, 0);
    let [a] = log.enqueue_all();
    log.apply(Command::Detach { consumer: ConsumerNumber(1) });

    log.attach(2, 0);

    assert_eq!(log.counters(), [(a, 1, 1)]);
}

#[test]
fn counters_add_up_over_consumers_and_restarts() {
    let mut log = Log::default();
    let [a] = log.enqueue_all();
    let consumer = log.attach(1, 0);

    log.settle(consumer, Outcome::Requeue, 1, 1);
    log.restart();
    log.settle(consumer, Outcome::RejectRequeue, 2, 2);
    log.settle(consumer, Outcome::Release, 3, 3);
    log.restart();
    log.apply(Command::Detach { consumer: ConsumerNumber(1) });
    log.attach(2, 0);

    assert_eq!(log.counters(), [(a, 3, 2)]);
}

#[test]
fn a_released_message_that_came_back_before_stays_flagged() {
    let mut log = Log::default();
    let [a] = log.enqueue_all();
    let consumer = log.attach(1, 0);
    log.settle(consumer, Outcome::Requeue, 1, 1);

    log.settle(consumer, Outcome::Release, 2, 2);

    assert_eq!(log.given(), [(1, 3, a, true)]);
    assert_eq!(log.counters(), [(a, 1, 0)]);
}

#[test]
fn acks_and_rejects_end_messages() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    log.enqueue_all::<4>();

    log.settle(consumer, Outcome::Ack, 1, 2);
    log.settle(consumer, Outcome::Reject, 3, 4);

    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.unsettled), Some(0));
    assert_eq!(log.shard.row_count(), 0);
}

#[test]
fn what_a_consumer_does_not_hold_is_passed_over() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    log.enqueue_all::<3>();
    log.settle(consumer, Outcome::Ack, 2, 2);

    log.settle(consumer, Outcome::Requeue, 2, 2);
    assert_eq!(log.given(), [], "it was settled before");
    log.settle(consumer, Outcome::Ack, 4, u64::MAX);
    log.apply(settle(99, Outcome::Ack, 1, 3));
    log.open(session(2, 1));
    log.by(session(2, 1), settle(1, Outcome::Ack, 1, 3));

    assert_eq!(log.shard.consumer(consumer).map(|one| one.unsettled), Some(2));
}

#[test]
fn ranges_of_one_command_are_settled_together() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    let [_, b, _, _, e, _] = log.enqueue_all();
    let range = |from, to| SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) };
    let ranges = vec![range(6, 6), range(3, 4), range(1, 1)];

    log.apply(Command::Settle { consumer: consumer.number, outcome: Outcome::Ack, ranges });
    log.settle(consumer, Outcome::Requeue, 1, 6);

    assert_eq!(log.given(), [(1, 7, b, true), (1, 8, e, true)]);
}

#[test]
fn messages_given_in_turns_come_back_to_their_places() {
    let mut log = Log::default();
    let first = log.attach(1, 0);
    let second = log.attach(2, 0);
    let [a, b, c, d, e, f] = log.enqueue_all();
    let hold = Command::Cancel { consumer: ConsumerNumber(2) };
    log.apply(hold);
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });

    log.settle(second, Outcome::Requeue, 1, 3);
    log.settle(first, Outcome::Requeue, 1, 3);
    log.attach_with(FRONT, terms(3)).expect("accepted");

    let bodies: Vec<_> = log.given().into_iter().map(|(_, _, body, _)| body).collect();
    assert_eq!(bodies, [a, b, c, d, e, f]);
}
