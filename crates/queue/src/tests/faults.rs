//! What other brokers' queues were found to do wrong, one test for each.

use warren_machine::Machine;
use warren_types::{ConsumerNumber, NodeId, QueueId, SessionId};

use super::kit::{FRONT, Log, QUEUE, publish, session, settle, terms};
use crate::{Attach, Command, CommandReply, Outcome, QueueSettings, Refusal, Shard};

const OTHER: SessionId = session(2, 1);

fn single_active() -> QueueSettings {
    QueueSettings { single_active_consumer: true, ..QueueSettings::default() }
}

/// RabbitMQ server #15473: after a change of leader, unacked messages that no channel owns.
#[test]
fn no_message_is_held_by_nobody_whatever_ends_and_whoever_leads() {
    let mut log = Log::default();
    log.open(OTHER);
    log.attach_with(OTHER, Attach { prefetch: 3, ..terms(1) }).expect("accepted");
    log.attach_with(OTHER, Attach { prefetch: 2, ..terms(2) }).expect("accepted");
    log.by(OTHER, Command::Cancel { consumer: ConsumerNumber(3) });
    let all = log.enqueue_all::<8>();
    log.by(OTHER, Command::Cancel { consumer: ConsumerNumber(2) });
    log.by(OTHER, Command::Get { consumer: ConsumerNumber(9), queue: QUEUE, no_ack: true });

    log.restart();
    assert_eq!(log.shard.take_over().len(), 3, "each holder is shown what it holds");
    log.apply(Command::CloseSession { session: OTHER });
    log.attach(1, 0);

    let bodies: Vec<_> = log.given().into_iter().map(|(_, _, body, _)| body).collect();
    assert_eq!(bodies, all);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.unsettled), Some(8));
}

/// RabbitMQ server #3064: a consumer that comes back finds its messages stuck, or twice.
#[test]
fn a_consumer_that_comes_back_under_its_number_starts_afresh() {
    let mut log = Log::default();
    let consumer = log.attach(1, 2);
    let [a, b, _] = log.enqueue_all();

    let detach = Command::Detach { consumer: ConsumerNumber(1) };
    let attach = Command::Attach(Attach { prefetch: 2, ..terms(1) });
    log.all(FRONT, &[detach, attach]);

    assert_eq!(log.given(), [(1, 1, a, true), (1, 2, b, true)]);
    assert_eq!(log.shard.consumer(consumer).map(|one| one.unsettled), Some(2));
}

/// RabbitMQ server #1825: single active consumer leaks ghosts, deliveries stop.
#[test]
fn a_single_active_queue_is_served_by_the_living() {
    let mut log = Log::with(single_active());
    log.open(OTHER);
    log.attach_with(OTHER, terms(1)).expect("accepted");
    log.attach_with(OTHER, terms(2)).expect("accepted");
    log.attach(3, 0);
    log.attach(4, 0);
    log.by(OTHER, Command::Cancel { consumer: ConsumerNumber(1) });
    log.apply(Command::Detach { consumer: ConsumerNumber(3) });
    let [a] = log.enqueue_all();
    assert_eq!(log.given(), [(2, 1, a, false)]);

    log.apply(Command::CloseSession { session: OTHER });

    assert_eq!(log.given(), [(4, 1, a, true)]);
    assert_eq!(log.shard.consumers(QUEUE).len(), 1);
}

/// RabbitMQ server #17317: deadlock once every consumer of a single active queue was given up.
#[test]
fn a_single_active_queue_survives_the_loss_of_all_its_consumers() {
    let mut log = Log::with(single_active());
    log.attach(1, 1);
    log.attach(2, 1);
    let [a, b] = log.enqueue_all();
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });
    log.apply(Command::Cancel { consumer: ConsumerNumber(2) });
    log.apply(Command::Detach { consumer: ConsumerNumber(1) });
    log.apply(Command::Detach { consumer: ConsumerNumber(2) });

    log.attach(3, 0);

    assert_eq!(log.given(), [(3, 1, a, true), (3, 2, b, true)]);
}

/// The same, where the one that should take over is itself lost before it does.
#[test]
fn a_single_active_consumer_goes_on_when_its_successor_leaves() {
    let mut log = Log::with(single_active());
    log.attach(1, 2);
    let [a] = log.enqueue_all();
    log.attach_with(FRONT, Attach { priority: 9, ..terms(2) }).expect("accepted");
    let [b] = log.enqueue_all();
    assert_eq!(log.given(), []);

    log.apply(Command::Detach { consumer: ConsumerNumber(2) });

    assert_eq!(log.given(), [(1, 2, b, false)], "{a} is still held");
}

/// RabbitMQ server #5609: credit granted twice on a return, prefetch exceeded.
#[test]
fn returns_do_not_grant_more_than_they_give_back() {
    for outcome in [Outcome::Requeue, Outcome::RejectRequeue, Outcome::Release, Outcome::Reject] {
        let mut log = Log::default();
        let consumer = log.attach(1, 3);
        log.enqueue_all::<9>();

        let twice = [settle(1, outcome, 1, 2), settle(1, outcome, 1, 2)];
        log.all(FRONT, &twice);

        assert_eq!(log.given().len(), 2, "{outcome:?}");
        assert_eq!(log.shard.consumer(consumer).map(|one| one.unsettled), Some(3));
    }
}

/// RabbitMQ server #2420: the count of consumers is wrong after a node was lost.
#[test]
fn consumers_are_counted_right_after_a_node_is_lost() {
    let mut log = Log::default();
    log.open(OTHER);
    log.attach(1, 1);
    for number in 1..=3 {
        log.attach_with(OTHER, Attach { prefetch: 1, ..terms(number) }).expect("accepted");
    }
    log.enqueue_all::<4>();
    log.by(OTHER, Command::Cancel { consumer: ConsumerNumber(2) });
    let count = |shard: &Shard| shard.queue_status(QUEUE).map(|status| status.consumers);
    assert_eq!(count(&log.shard), Some(3));

    log.open(SessionId { node: NodeId(2), boot: warren_types::BootId(2) });

    assert_eq!(count(&log.shard), Some(1));
    log.restart();
    assert_eq!(count(&log.shard), Some(1));
}

/// RabbitMQ server #10499 and #6804: the order after nack and requeue surprises.
#[test]
fn requeued_messages_go_back_to_their_places_in_whatever_order_they_come() {
    let mut log = Log::default();
    let consumer = log.attach(1, 4);
    let [a, b, c, d, e] = log.enqueue_all();
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });

    for sequence in [3, 1, 4, 2] {
        log.settle(consumer, Outcome::Requeue, sequence, sequence);
    }
    log.attach(2, 0);

    let bodies: Vec<_> = log.given().into_iter().map(|(_, _, body, _)| body).collect();
    assert_eq!(bodies, [a, b, c, d, e]);
}

/// RabbitMQ server #2976 and #14386: deliveries taken for ones already seen, stuck for ever.
#[test]
fn sequences_have_no_gaps_across_requeues_and_leaders() {
    let mut log = Log::default();
    let consumer = log.attach(1, 2);
    log.enqueue_all::<3>();
    let mut next = 1;
    for _ in 0..20 {
        let sequences: Vec<_> = log.given().iter().map(|given| given.1).collect();
        let expected: Vec<_> = (next..).take(sequences.len()).collect();
        assert_eq!(sequences, expected);
        next += u64::try_from(sequences.len()).unwrap();
        log.restart();
        log.settle(consumer, Outcome::Requeue, next - 1, next - 1);
    }
    assert_eq!(next, 22);
}

/// RabbitMQ server #12366: deleted and declared again while a replica slept, old messages rise.
#[test]
fn nothing_of_an_earlier_incarnation_reaches_the_later_one() {
    let mut log = Log::default();
    let old = log.attach(1, 1);
    log.enqueue_all::<3>();
    log.apply(Command::DeleteQueue { queue: QUEUE, if_unused: false, if_empty: false });
    let again = QueueId(77);
    log.create(again, QueueSettings::default());

    let settings = QueueSettings::default();
    let risen = log.apply(Command::CreateQueue { queue: QUEUE, settings });
    log.apply(publish(&[QUEUE], b"late"));
    log.settle(old, Outcome::Requeue, 1, 1);

    assert_eq!(risen, Some(CommandReply::Refused(Refusal::QueueDeleted)));
    assert_eq!(log.shard.queue_status(again).map(|status| status.ready), Some(0));
    assert_eq!(log.shard.queue_status(QUEUE), None);
    assert_eq!(log.shard.row_count(), 0);
}

/// P4: what a broker does twice by itself, it has done once.
#[test]
fn a_blind_retry_after_a_change_of_leader_is_harmless() {
    let mut log = Log::default();
    log.attach(1, 0);
    let burst = [publish(&[QUEUE], b"x"), settle(1, Outcome::Requeue, 1, 9)];
    let sequence = log.next_sequence(FRONT);
    let first = log.fragment(FRONT, sequence, &burst);
    log.restart();

    let again = log.fragment(FRONT, sequence, &burst);

    assert_eq!(again, first);
    assert_eq!(log.effects, []);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.unsettled), Some(1));
}
