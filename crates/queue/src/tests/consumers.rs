//! Who is given what: turns, limits, priorities, exclusive and single active consumers.

use warren_types::{ConsumerNumber, DeliverySequence};

use super::kit::{FRONT, Log, QUEUE, publish, settle, terms};
use crate::{Attach, Command, CommandReply, Effect, Outcome, QueueSettings, Refusal};

fn single_active() -> QueueSettings {
    QueueSettings { single_active_consumer: true, ..QueueSettings::default() }
}

fn with_priority(number: u64, priority: i32) -> Attach {
    Attach { priority, prefetch: 2, ..terms(number) }
}

#[test]
fn a_consumer_is_given_what_waits_in_order() {
    let mut log = Log::default();
    let [a, b, c] = log.enqueue_all();

    log.attach(1, 0);

    assert_eq!(log.given(), [(1, 1, a, false), (1, 2, b, false), (1, 3, c, false)]);
}

#[test]
fn what_entered_together_is_given_as_one_run() {
    let mut log = Log::default();
    log.attach(1, 0);

    log.enqueue_all::<5>();

    let [Effect::Deliver(delivered)] = &log.effects[..] else { panic!("one delivery") };
    assert_eq!(delivered.runs.len(), 1);
    assert_eq!(delivered.runs[0].count, 5);
}

#[test]
fn consumers_take_turns_message_by_message_also_across_entries() {
    let mut log = Log::default();
    log.attach(1, 0);
    log.attach(2, 0);
    log.attach(3, 0);

    let [a, b, c, d] = log.enqueue_all();
    let first = log.given();
    let [e, f] = log.enqueue_all();
    let second = log.given();

    let expected = [(1, 1, a, false), (1, 2, d, false), (2, 1, b, false), (3, 1, c, false)];
    assert_eq!(first, expected);
    assert_eq!(second, [(2, 2, e, false), (3, 2, f, false)]);
}

#[test]
fn messages_given_in_turns_are_one_run_for_each_consumer() {
    let mut log = Log::default();
    log.attach(1, 0);
    log.attach(2, 0);

    log.enqueue_all::<8>();

    let runs = log.effects.iter().map(|effect| match effect {
        Effect::Deliver(delivered) => delivered.runs.iter().map(|run| run.count).collect(),
        Effect::Cancelled { .. } | Effect::QueueEnded { .. } | Effect::DeadLetter(_) => vec![],
    });
    assert_eq!(runs.collect::<Vec<_>>(), [[4], [4]]);
}

#[test]
fn a_consumer_without_capacity_loses_its_turn_and_not_its_place() {
    let mut log = Log::default();
    let first = log.attach(1, 1);
    log.attach(2, 0);
    let [a, b, c] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false), (2, 1, b, false), (2, 2, c, false)]);

    log.settle(first, Outcome::Ack, 1, 1);
    let [d, e] = log.enqueue_all();

    assert_eq!(log.given(), [(1, 2, d, false), (2, 3, e, false)]);
}

#[test]
fn the_prefetch_bounds_what_is_held() {
    let mut log = Log::default();
    let consumer = log.attach(1, 2);
    let [a, b, c, _] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false), (1, 2, b, false)]);

    log.settle(consumer, Outcome::Ack, 2, 2);

    assert_eq!(log.given(), [(1, 3, c, false)]);
}

#[test]
fn a_grant_bounds_the_sequence_and_is_never_lowered() {
    let mut log = Log::default();
    let granted = DeliverySequence(1);
    log.attach_with(FRONT, Attach { granted, ..terms(1) }).expect("accepted");
    let [a, b, c] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false)]);

    let grant =
        |up_to| Command::Grant { consumer: ConsumerNumber(1), up_to: DeliverySequence(up_to) };
    log.apply(grant(2));
    assert_eq!(log.given(), [(1, 2, b, false)]);
    log.all(FRONT, &[grant(3), grant(0)]);

    assert_eq!(log.given(), [(1, 3, c, false)]);
}

#[test]
fn higher_priorities_are_served_first_while_they_have_capacity() {
    let mut log = Log::default();
    log.attach_with(FRONT, with_priority(1, 0)).expect("accepted");
    log.attach_with(FRONT, with_priority(2, 5)).expect("accepted");
    log.attach_with(FRONT, with_priority(3, 5)).expect("accepted");

    let [a, b, c, d, e] = log.enqueue_all();

    let expected =
        [(2, 1, a, false), (2, 2, c, false), (3, 1, b, false), (3, 2, d, false), (1, 1, e, false)];
    assert_eq!(log.given(), expected);
}

#[test]
fn an_exclusive_consumer_keeps_others_out_until_it_goes() {
    let mut log = Log::default();
    let exclusive = Attach { exclusive: true, ..terms(1) };
    log.attach_with(FRONT, exclusive).expect("accepted");

    let refused = log.attach_with(FRONT, terms(2));
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });
    let accepted = log.attach_with(FRONT, terms(2));

    assert_eq!(refused, Err(Refusal::ExclusiveConsumer));
    assert!(accepted.is_ok());
}

#[test]
fn an_exclusive_consumer_is_refused_where_others_are() {
    let mut log = Log::default();
    log.attach(1, 0);

    let refused = log.attach_with(FRONT, Attach { exclusive: true, ..terms(2) });

    assert_eq!(refused, Err(Refusal::ExclusiveConsumer));
}

#[test]
fn a_consumer_number_is_taken_once() {
    let mut log = Log::default();
    log.attach(1, 0);

    assert_eq!(log.attach_with(FRONT, terms(1)), Err(Refusal::ConsumerExists));
    assert_eq!(log.get(1), Some(CommandReply::Refused(Refusal::ConsumerExists)));
}

#[test]
fn a_single_active_consumer_is_served_alone_until_it_goes() {
    let mut log = Log::with(single_active());
    log.attach(1, 1);
    log.attach(2, 0);
    let [a, b, c] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false)]);

    log.apply(Command::Detach { consumer: ConsumerNumber(1) });

    assert_eq!(log.given(), [(2, 1, a, true), (2, 2, b, false), (2, 3, c, false)]);
}

#[test]
fn a_cancelled_active_consumer_keeps_what_it_holds_and_the_next_one_is_served() {
    let mut log = Log::with(single_active());
    let first = log.attach(1, 1);
    log.attach(2, 0);
    let [a, b] = log.enqueue_all();

    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });
    assert_eq!(log.given(), [(2, 1, b, false)]);
    assert_eq!(log.shard.consumer(first).map(|one| one.unsettled), Some(1));
    log.settle(first, Outcome::Requeue, 1, 1);

    assert_eq!(log.given(), [(2, 2, a, true)]);
    assert_eq!(log.shard.consumer(first), None, "it holds nothing any more and is gone");
}

#[test]
fn a_more_important_consumer_becomes_active_once_the_active_one_holds_nothing() {
    let mut log = Log::with(single_active());
    let first = log.attach_with(FRONT, with_priority(1, 0)).expect("accepted");
    let [a] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false)]);

    log.attach_with(FRONT, with_priority(2, 1)).expect("accepted");
    let [b] = log.enqueue_all();
    assert_eq!(log.given(), [], "the one is to finish, and the other to wait for it");
    log.settle(first, Outcome::Ack, 1, 1);

    assert_eq!(log.given(), [(2, 1, b, false)]);
}

#[test]
fn an_equally_important_consumer_waits_for_its_turn() {
    let mut log = Log::with(single_active());
    log.attach(1, 0);

    log.attach(2, 0);
    let [a] = log.enqueue_all();

    assert_eq!(log.given(), [(1, 1, a, false)]);
    let active = log.shard.queue(QUEUE).and_then(|queue| queue.active_consumer);
    assert_eq!(active.map(|consumer| consumer.number), Some(ConsumerNumber(1)));
}

#[test]
fn a_get_takes_the_oldest_message_and_says_how_many_are_left() {
    let mut log = Log::default();
    let [a, b] = log.enqueue_all();

    let Some(CommandReply::Got(first)) = log.get(7) else { panic!("a message waits") };
    let Some(CommandReply::Got(second)) = log.get(7) else { panic!("a message waits") };
    let empty = log.get(7);

    assert_eq!((first.sequence.0, first.remaining), (1, 1));
    assert_eq!((second.sequence.0, second.remaining), (2, 0));
    assert_eq!(log.rows.body(first.location, &[], first.size), [a]);
    assert_eq!(log.rows.body(second.location, &[], second.size), [b]);
    assert_eq!(empty, Some(CommandReply::Empty));
}

#[test]
fn a_holder_is_not_a_consumer_and_is_given_nothing_unasked() {
    let mut log = Log::default();
    log.enqueue();
    log.get(7);

    log.enqueue();

    assert_eq!(log.given(), []);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.consumers), Some(0));
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.unsettled), Some(1));
}

#[test]
fn what_a_holder_gives_back_is_counted_like_any_other() {
    let mut log = Log::default();
    let [a] = log.enqueue_all();
    log.get(7);
    log.apply(Command::Detach { consumer: ConsumerNumber(7) });

    log.attach(1, 0);

    assert_eq!(log.given(), [(1, 1, a, true)]);
    assert_eq!(log.counters(), [(a, 1, 1)]);
}

#[test]
fn a_get_is_refused_where_one_consumer_is_active() {
    let mut log = Log::with(single_active());
    log.enqueue();

    assert_eq!(log.get(7), Some(CommandReply::Refused(Refusal::SingleActiveConsumer)));
}

#[test]
fn a_get_comes_before_the_consumers_of_the_same_entry() {
    let mut log = Log::default();
    log.attach(1, 0);
    let get = Command::Get { consumer: ConsumerNumber(7), queue: QUEUE, no_ack: false };

    log.all(FRONT, &[publish(&[QUEUE], &[1]), get, publish(&[QUEUE], &[2])]);

    assert_eq!(log.given(), [(1, 1, 2, false)]);
}

#[test]
fn what_is_cancelled_and_settled_in_one_entry_leaves_nothing_behind() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    log.enqueue();

    let cancel = Command::Cancel { consumer: ConsumerNumber(1) };
    log.all(FRONT, &[cancel, settle(1, Outcome::Ack, 1, 1)]);

    assert_eq!(log.shard.consumer(consumer), None);
    assert_eq!(log.shard.row_count(), 0);
}
