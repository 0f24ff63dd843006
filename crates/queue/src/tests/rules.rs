//! What a queue does by its settings: time, length, priorities, dead letters, limits, leases.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use warren_machine::Machine;
use warren_types::{ConsumerNumber, QueueId, Timestamp};

use super::kit::{FRONT, Log, QUEUE, publish, settle, terms};
use crate::{
    Attach, CancelReason, Command, CommandReply, DeadLetterStrategy, DeadLetterTarget, DeadRange,
    DeadSequence, DelayedRetry, DelayedRetryKind, DeliveryCounting, Effect, EndReason, Letter,
    Outcome, Overflow, Publish, QueueKind, QueueSettings, Refusal,
};

const PLAIN: QueueSettings = QueueSettings::PLAIN;
const TICK: Command = Command::Tick;
const HOUR_MS: u64 = 3_600_000;

fn target() -> Option<Arc<DeadLetterTarget>> {
    Some(Arc::new(DeadLetterTarget {
        exchange: Bytes::from_static(b"dlx"),
        routing_key: Some(Bytes::from_static(b"dead")),
        strategy: DeadLetterStrategy::AtLeastOnce,
    }))
}

fn with_target(settings: QueueSettings) -> Log {
    Log::with(QueueSettings { dead_letter: target(), ..settings })
}

fn quorum() -> QueueSettings {
    QueueSettings { kind: QueueKind::Quorum, ..PLAIN }
}

fn message(body: u8, expiration_ms: Option<u64>, priority: Option<u8>) -> Command {
    let Command::Publish(publish) = publish(&[QUEUE], &[body]) else { unreachable!() };
    Command::Publish(Publish { expiration_ms, priority, ..publish })
}

fn ready(log: &Log) -> Option<u64> {
    log.shard.queue_status(QUEUE).map(|status| status.ready)
}

/// The dead that the last entry sent off: sequence, body, reason.
fn dead(log: &Log) -> Vec<(u64, u8, &'static str)> {
    let letters = log.rows.letters(&log.effects).into_iter();
    letters.map(|letter| (letter.sequence, letter.body[0], letter.reason)).collect()
}

fn dead_settled(from: u64, to: u64) -> Command {
    let range = DeadRange { from: DeadSequence(from), to: DeadSequence(to) };
    Command::DeadSettled { queue: QUEUE, ranges: vec![range] }
}

fn after(log: &mut Log, ms: u64, command: Command) -> Option<CommandReply> {
    log.time += ms;
    log.apply(command)
}

fn configure(log: &mut Log, settings: QueueSettings) {
    log.apply(Command::ConfigureQueue { queue: QUEUE, settings });
}

#[test]
fn the_lesser_of_two_times_to_live_counts_from_the_entry() {
    let mut log = with_target(QueueSettings { message_ttl_ms: Some(100), ..PLAIN });
    log.all(FRONT, &[message(1, Some(60), None), message(2, Some(500), None)]);
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(60)));

    after(&mut log, 59, TICK);
    assert_eq!(dead(&log), []);
    after(&mut log, 1, TICK);
    assert_eq!(dead(&log), [(1, 1, "expired")]);
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(40)));
    after(&mut log, 40, TICK);

    assert_eq!(dead(&log), [(2, 2, "expired")]);
    assert_eq!(log.shard.next_deadline(), None);
}

#[test]
fn a_message_behind_the_head_outlives_its_time_until_it_gets_there() {
    let mut log = Log::default();
    log.all(FRONT, &[message(1, None, None), message(2, Some(10), None), message(3, None, None)]);

    after(&mut log, 50, TICK);
    assert_eq!(ready(&log), Some(3));
    log.attach(1, 0);

    assert_eq!(log.given(), [(1, 1, 1, false), (1, 2, 3, false)]);
}

#[test]
fn a_message_that_may_not_wait_is_given_at_once_or_never() {
    let mut log = Log::default();
    log.apply(message(1, Some(0), None));
    assert_eq!(ready(&log), Some(0));
    log.attach(1, 1);

    log.all(FRONT, &[message(2, Some(0), None), message(3, Some(0), None)]);

    assert_eq!(log.given(), [(1, 1, 2, false)]);
    assert_eq!((ready(&log), log.shard.row_count()), (Some(0), 1));
}

#[test]
fn what_is_held_does_not_expire_and_keeps_its_deadline_when_it_comes_back() {
    let mut log = with_target(QueueSettings { message_ttl_ms: Some(100), ..PLAIN });
    let consumer = log.attach(1, 2);
    let [a, b] = log.enqueue_all();
    after(&mut log, 60, Command::Cancel { consumer: ConsumerNumber(1) });
    log.settle(consumer, Outcome::Requeue, 1, 1);
    assert_eq!(ready(&log), Some(1));
    after(&mut log, 40, TICK);
    assert_eq!(dead(&log), [(1, a, "expired")]);

    log.settle(consumer, Outcome::Requeue, 2, 2);

    assert_eq!(dead(&log), [(2, b, "expired")]);
}

#[test]
fn a_clock_that_jumps_ahead_kills_little_and_one_that_jumps_back_stops_nothing() {
    let mut log = Log::with(QueueSettings { message_ttl_ms: Some(60_000), ..PLAIN });
    log.time = 2 * HOUR_MS;
    log.enqueue();

    after(&mut log, HOUR_MS, TICK);
    assert_eq!(ready(&log), Some(1), "an hour ahead");
    log.time -= 2 * HOUR_MS;
    log.apply(TICK);
    let before = log.shard.time();
    for _ in 0..6 {
        assert_eq!(ready(&log), Some(1));
        after(&mut log, 9_999, TICK);
    }

    assert_eq!(log.shard.time(), Timestamp(before.0 + 6 * 9_999));
    assert_eq!(ready(&log), Some(0), "behind the jumps time has gone on");
}

#[test]
fn a_far_deadline_asks_for_ticks_often_enough() {
    let mut log = Log::with(QueueSettings { message_ttl_ms: Some(HOUR_MS), ..PLAIN });
    assert_eq!(log.shard.next_deadline(), None);

    log.enqueue();

    assert_eq!(log.shard.next_deadline(), Some(Duration::from_secs(5)));
}

#[test]
fn an_unused_queue_ends_and_each_use_renews_its_lease() {
    let mut log = Log::with(QueueSettings { expires_ms: Some(100), ..PLAIN });
    after(&mut log, 60, Command::Touch { queue: QUEUE });
    after(&mut log, 60, TICK);
    log.get(7);
    after(&mut log, 60, TICK);
    log.attach(1, 0);
    after(&mut log, 500, TICK);
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });
    after(&mut log, 99, TICK);
    assert_eq!(log.effects, []);

    after(&mut log, 1, publish(&[QUEUE], b"late"));

    assert_eq!(log.effects, [Effect::QueueEnded { queue: QUEUE, reason: EndReason::Expired }]);
    assert_eq!(log.shard.tombstones(), [(QUEUE, EndReason::Expired)]);
    log.restart();
    assert_eq!(
        log.shard.take_over(),
        [Effect::QueueEnded { queue: QUEUE, reason: EndReason::Expired }]
    );
}

#[test]
fn a_redeclare_does_not_renew_a_quorum_queue() {
    let mut log = Log::with(QueueSettings { expires_ms: Some(100), ..quorum() });

    after(&mut log, 60, Command::Touch { queue: QUEUE });
    after(&mut log, 40, TICK);

    assert_eq!(log.shard.tombstones(), [(QUEUE, EndReason::Expired)]);
}

#[test]
fn a_long_queue_drops_its_head_and_counts_only_what_waits() {
    let mut log = with_target(QueueSettings { max_length: Some(2), ..PLAIN });
    log.attach(1, 1);

    let [_, b, _, _] = log.enqueue_all();

    assert_eq!(dead(&log), [(1, b, "maxlen")]);
    assert_eq!(ready(&log), Some(2));
}

#[test]
fn bytes_are_a_limit_as_well() {
    let mut log = Log::with(QueueSettings { max_length_bytes: Some(10), ..PLAIN });

    log.all(FRONT, &[b"four", b"four", b"four"].map(|body| publish(&[QUEUE], body)));
    assert_eq!(ready(&log), Some(2));
    log.apply(publish(&[QUEUE], b"eleven byte"));

    assert_eq!((ready(&log), log.shard.row_count()), (Some(0), 0));
}

#[test]
fn a_limit_that_shrinks_acts_at_once() {
    let mut log = Log::default();
    log.enqueue_all::<9>();

    configure(&mut log, QueueSettings { max_length: Some(3), ..PLAIN });

    assert_eq!(ready(&log), Some(3));
}

#[test]
fn a_full_queue_refuses_and_the_others_take_the_message() {
    let overflow = Overflow::RejectPublish;
    let mut log = Log::with(QueueSettings { max_length: Some(1), overflow, ..PLAIN });
    let other = QueueId(2);
    log.create(other, PLAIN);
    log.enqueue();

    let reply = log.apply(publish(&[QUEUE, other, QueueId(99)], b"x"));

    assert_eq!(reply, Some(CommandReply::Refused(Refusal::QueueFull)));
    assert_eq!(ready(&log), Some(1));
    assert_eq!(log.shard.queue_status(other).map(|status| status.ready), Some(1));
}

#[test]
fn a_queue_whose_consumer_keeps_up_is_not_full() {
    let overflow = Overflow::RejectPublish;
    let mut log = Log::with(QueueSettings { max_length: Some(2), overflow, ..PLAIN });
    log.attach(1, 50);
    let burst: Vec<_> = (0..60).map(|body| publish(&[QUEUE], &[body])).collect();

    let crate::FragmentReply::Done(refused) = log.all(FRONT, &burst) else { panic!("done") };

    let ordinals: Vec<u32> = refused.iter().map(|(ordinal, _)| *ordinal).collect();
    assert_eq!(ordinals, (52..60).collect::<Vec<u32>>());
    assert_eq!((log.given().len(), ready(&log)), (50, Some(2)));
}

#[test]
fn what_is_refused_can_be_dead_lettered() {
    let overflow = Overflow::RejectPublishDlx;
    let mut log = with_target(QueueSettings { max_length: Some(1), overflow, ..PLAIN });
    log.enqueue();

    let reply = log.apply(message(7, None, None));

    assert_eq!(reply, Some(CommandReply::Refused(Refusal::QueueFull)));
    assert_eq!((dead(&log), ready(&log)), (vec![(1, 7, "maxlen")], Some(1)));
}

#[test]
fn a_dead_message_stays_until_it_has_arrived_and_new_leaders_send_it_again() {
    let mut log = with_target(PLAIN);
    let consumer = log.attach(1, 0);
    let [a, b, c] = log.enqueue_all();
    log.settle(consumer, Outcome::Reject, 1, 3);
    assert_eq!(dead(&log), [(1, a, "rejected"), (2, b, "rejected"), (3, c, "rejected")]);
    let Some(Effect::DeadLetter(letter)) = log.effects.first() else { panic!("a letter") };
    assert_eq!((Some(&letter.target), letter.runs.len()), (target().as_ref(), 1));

    log.apply(dead_settled(2, 2));
    log.restart();
    log.effects = log.shard.take_over();

    assert_eq!(dead(&log), [(1, a, "rejected"), (3, c, "rejected")]);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.dead), Some(2));
    log.apply(dead_settled(1, u64::MAX));
    assert_eq!(log.shard.row_count(), 0);
}

fn letter(queues: &[QueueId], source: u64, sequence: u64) -> Command {
    let Command::Publish(publish) = publish(queues, b"x") else { unreachable!() };
    let letter = Letter { source: QueueId(source), sequence: DeadSequence(sequence) };
    Command::Publish(Publish { letter: Some(letter), ..publish })
}

#[test]
fn a_letter_that_is_carried_again_is_taken_once() {
    let mut log = Log::default();
    log.all(FRONT, &[letter(&[QUEUE], 7, 1), letter(&[QUEUE], 7, 2), letter(&[QUEUE], 8, 1)]);
    log.restart();

    log.all(FRONT, &[letter(&[QUEUE], 7, 1), letter(&[QUEUE], 7, 2), letter(&[QUEUE], 8, 1)]);
    assert_eq!(ready(&log), Some(3));
    assert_eq!(log.shard.row_count(), 1);
    log.apply(letter(&[QUEUE], 7, 3));

    assert_eq!(ready(&log), Some(4));
}

#[test]
fn a_letter_that_was_refused_may_come_again() {
    let overflow = Overflow::RejectPublish;
    let mut log = Log::with(QueueSettings { max_length: Some(1), overflow, ..PLAIN });
    log.apply(letter(&[QUEUE], 7, 1));
    let refused = log.apply(letter(&[QUEUE], 7, 2));
    assert_eq!(refused, Some(CommandReply::Refused(Refusal::QueueFull)));
    log.apply(Command::PurgeQueue { queue: QUEUE });

    let taken = log.apply(letter(&[QUEUE], 7, 2));

    assert_eq!((taken, ready(&log)), (None, Some(1)));
}

#[test]
fn a_letter_is_known_to_each_of_its_targets_alone() {
    let mut log = Log::default();
    let other = QueueId(QUEUE.0 + 1);
    log.apply(letter(&[QUEUE], 7, 1));
    log.apply(Command::CreateQueue { queue: other, settings: PLAIN });

    log.apply(letter(&[QUEUE, other], 7, 1));

    assert_eq!(ready(&log), Some(1));
    assert_eq!(log.shard.queue_status(other).map(|status| status.ready), Some(1));
}

#[test]
fn letters_are_forgotten_with_the_queue_that_they_came_from_or_went_to() {
    let mut log = Log::default();
    let other = QueueId(QUEUE.0 + 1);
    log.apply(Command::CreateQueue { queue: other, settings: PLAIN });
    log.all(FRONT, &[letter(&[QUEUE, other], 7, 1), letter(&[QUEUE, other], 9, 1)]);
    assert_eq!(log.shard.letter_sources(), [QueueId(7), QueueId(9)]);

    log.apply(Command::ForgetQueue { queue: QueueId(7) });
    assert_eq!(log.shard.letter_sources(), [QueueId(9)]);
    assert!(!log.shard.has_letters_of(QueueId(7)) && log.shard.has_letters_of(QueueId(9)));
    for queue in [QUEUE, other] {
        log.apply(Command::DeleteQueue { queue, if_unused: false, if_empty: false });
    }

    assert_eq!(log.shard.letter_sources(), []);
}

/// RabbitMQ server #14926 and #3620: dead letters overtake each other, or pile up unseen.
#[test]
fn the_dead_go_in_order_and_in_a_window() {
    let mut log = with_target(QueueSettings { message_ttl_ms: Some(10), ..PLAIN });
    let all = log.enqueue_all::<100>();
    let mut gone = vec![];
    after(&mut log, 10, TICK);
    for settled in [0_u64, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100] {
        if settled > 0 {
            log.apply(dead_settled(settled - 9, settled));
        }
        gone.extend(dead(&log).into_iter().map(|(_, body, _)| body));
        let expected = usize::try_from((settled + 32).min(100)).unwrap();
        assert_eq!(gone, all[..expected]);
    }
    assert_eq!(log.shard.row_count(), 0);
}

#[test]
fn what_was_not_sent_off_cannot_have_arrived() {
    let mut log = with_target(QueueSettings { max_length: Some(0), ..PLAIN });
    log.enqueue_all::<40>();

    log.apply(dead_settled(1, u64::MAX));

    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.dead), Some(8));
    assert_eq!(dead(&log).len(), 8);
}

#[test]
fn without_a_target_the_dead_are_gone() {
    let mut log = with_target(QueueSettings { max_length: Some(0), ..PLAIN });
    log.enqueue_all::<40>();

    configure(&mut log, QueueSettings { max_length: Some(0), ..PLAIN });
    log.enqueue();

    assert_eq!((log.effects.len(), log.shard.row_count()), (0, 0));
}

#[test]
fn more_failures_than_the_limit_kill_a_message_and_nacks_do_not_count() {
    let mut log = with_target(QueueSettings { delivery_limit: Some(1), ..quorum() });
    log.attach(1, 0);
    let a = log.enqueue();

    log.apply(settle(1, Outcome::Requeue, 1, 1));
    log.apply(settle(1, Outcome::RejectRequeue, 2, 2));
    assert_eq!(log.counters(), [(a, 2, 1)]);
    log.restart();
    log.apply(settle(1, Outcome::Requeue, 3, 3));
    assert_eq!(dead(&log), []);
    log.apply(Command::Detach { consumer: ConsumerNumber(1) });

    assert_eq!(dead(&log), [(1, a, "delivery_limit")]);
}

#[test]
fn every_return_counts_where_the_settings_say_so() {
    let delivery_counting = DeliveryCounting::Returns;
    let settings = QueueSettings { delivery_limit: Some(1), delivery_counting, ..quorum() };
    let mut log = with_target(settings);
    log.attach(1, 0);
    let a = log.enqueue();

    log.apply(settle(1, Outcome::Release, 1, 1));
    log.apply(settle(1, Outcome::Requeue, 2, 2));
    log.apply(settle(1, Outcome::Requeue, 3, 3));

    assert_eq!(dead(&log), [(1, a, "delivery_limit")]);
}

#[test]
fn higher_priorities_go_first_and_equal_ones_in_order() {
    let mut log = Log::with(quorum());
    let priorities = [None, Some(9), Some(4), Some(0), Some(200), Some(31), Some(9)];
    let commands: Vec<_> =
        (1..).zip(priorities).map(|(body, priority)| message(body, None, priority)).collect();
    log.all(FRONT, &commands);
    log.restart();

    let consumer = log.attach(1, 0);

    let bodies = |log: &Log| log.given().iter().map(|given| given.2).collect::<Vec<_>>();
    assert_eq!(bodies(&log), [5, 6, 2, 7, 1, 3, 4]);
    log.apply(Command::Cancel { consumer: consumer.number });
    log.settle(consumer, Outcome::Requeue, 2, 7);
    log.apply(message(8, None, Some(9)));
    log.attach(2, 0);
    assert_eq!(bodies(&log), [6, 2, 7, 8, 1, 3, 4]);
}

#[test]
fn a_classic_queue_without_priorities_ignores_them() {
    let mut log = Log::default();
    log.all(FRONT, &[message(1, None, None), message(2, None, Some(9))]);

    log.attach(1, 0);

    let [Effect::Deliver(delivered)] = &log.effects[..] else { panic!("one delivery") };
    assert_eq!(log.given(), [(1, 1, 1, false), (1, 2, 2, false)]);
    assert!(delivered.runs.len() <= 2);
}

#[test]
fn a_consumer_that_holds_for_too_long_is_ended_and_its_messages_go_on() {
    let mut log = Log::with(QueueSettings { consumer_timeout_ms: Some(1000), ..quorum() });
    let slow = log.attach(1, 2);
    let [a, b, c] = log.enqueue_all();
    after(&mut log, 500, settle(1, Outcome::Ack, 1, 1));
    log.restart();
    after(&mut log, 499, TICK);
    assert_eq!(log.effects, []);
    log.attach(2, 0);

    after(&mut log, 1, TICK);

    let reason = CancelReason::Timeout;
    assert_eq!(log.effects[0], Effect::Cancelled { consumer: slow, queue: QUEUE, reason });
    assert_eq!(log.given(), [(2, 1, b, true), (2, 2, c, true)]);
    assert_eq!(log.counters(), [(b, 1, 0), (c, 1, 0)], "given out, not failed; {a} is done");
    assert_eq!(log.shard.consumer(slow), None);
}

#[test]
fn a_consumers_own_timeout_goes_before_the_queues() {
    let mut log = Log::with(QueueSettings { consumer_timeout_ms: Some(1000), ..PLAIN });
    let attach = |number, ms| Attach { timeout_ms: Some(ms), prefetch: 1, ..terms(number) };
    let patient = log.attach_with(FRONT, attach(1, 0)).expect("accepted");
    let hasty = log.attach_with(FRONT, attach(2, 100)).expect("accepted");
    log.enqueue_all::<2>();

    after(&mut log, 100, TICK);
    after(&mut log, 5000, TICK);

    assert_eq!(log.shard.consumer(hasty), None);
    assert_eq!(log.shard.consumer(patient).map(|one| one.unsettled), Some(1));
}

/// RabbitMQ server #17317: deadlock once every consumer of a single active queue has timed out.
#[test]
fn a_single_active_queue_goes_on_after_timeouts() {
    let single_active_consumer = true;
    let consumer_timeout_ms = Some(100);
    let mut log =
        Log::with(QueueSettings { single_active_consumer, consumer_timeout_ms, ..quorum() });
    log.attach(1, 1);
    log.attach(2, 1);
    let a = log.enqueue();

    after(&mut log, 100, TICK);
    assert_eq!(log.given(), [(2, 1, a, true)]);
    after(&mut log, 100, TICK);
    assert_eq!(ready(&log), Some(1));
    log.attach(3, 1);

    assert_eq!(log.given(), [(3, 1, a, true)]);
}

#[test]
fn returned_messages_wait_for_longer_each_time() {
    let delayed_retry =
        Some(DelayedRetry { kind: DelayedRetryKind::Failed, min_ms: 100, max_ms: 150 });
    let mut log = Log::with(QueueSettings { delayed_retry, ..quorum() });
    log.attach(1, 0);
    let [a, b] = log.enqueue_all();
    log.apply(settle(1, Outcome::RejectRequeue, 1, 1));
    log.apply(settle(1, Outcome::Requeue, 2, 2));
    assert_eq!(log.given(), [(1, 3, b, true)], "a nack is no failure");
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.delayed), Some(1));
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(100)));

    log.restart();
    after(&mut log, 100, TICK);
    assert_eq!(log.given(), [(1, 4, a, true)]);
    log.apply(settle(1, Outcome::RejectRequeue, 4, 4));
    after(&mut log, 149, TICK);
    assert_eq!(log.given(), []);
    after(&mut log, 1, TICK);

    assert_eq!(log.given(), [(1, 5, a, true)]);
}

#[test]
fn without_delays_the_delayed_wait_like_all_others() {
    let delayed_retry =
        Some(DelayedRetry { kind: DelayedRetryKind::All, min_ms: HOUR_MS, max_ms: HOUR_MS });
    let mut log = Log::with(QueueSettings { delayed_retry, ..quorum() });
    log.attach(1, 0);
    let a = log.enqueue();
    log.apply(settle(1, Outcome::Requeue, 1, 1));

    configure(&mut log, quorum());

    assert_eq!(log.given(), [(1, 2, a, true)]);
}

#[test]
fn a_purge_takes_what_is_delayed_and_leaves_what_is_dead() {
    let delayed_retry =
        Some(DelayedRetry { kind: DelayedRetryKind::All, min_ms: HOUR_MS, max_ms: HOUR_MS });
    let mut log = with_target(QueueSettings { delayed_retry, ..quorum() });
    log.attach(1, 3);
    log.enqueue_all::<5>();
    log.apply(settle(1, Outcome::Requeue, 1, 1));
    log.apply(settle(1, Outcome::Reject, 2, 2));

    let reply = log.apply(Command::PurgeQueue { queue: QUEUE });

    assert_eq!(reply, Some(CommandReply::Purged { messages: 1 }));
    let status = log.shard.queue_status(QUEUE).expect("it lives");
    assert_eq!((status.ready, status.delayed, status.dead, status.unsettled), (0, 0, 1, 3));
}

/// A message that is not to wait before `delay_ms` have passed.
fn scheduled(body: u8, delay_ms: u64) -> Command {
    let Command::Publish(publish) = publish(&[QUEUE], &[body]) else { unreachable!() };
    Command::Publish(Publish { delay_ms: Some(delay_ms), ..publish })
}

#[test]
fn scheduled_messages_come_by_their_times_and_behind_what_waits() {
    let mut log = Log::default();
    log.all(FRONT, &[scheduled(91, 200), scheduled(92, 100), scheduled(93, 100)]);
    let waiting = log.enqueue();
    let status = log.shard.queue_status(QUEUE).map(|status| (status.ready, status.delayed));
    assert_eq!(status, Some((1, 3)));
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(100)));

    log.restart();
    after(&mut log, 99, TICK);
    assert_eq!(ready(&log), Some(1));
    after(&mut log, 1, TICK);
    assert_eq!(ready(&log), Some(3));
    after(&mut log, 100, TICK);
    log.attach(1, 0);

    let given = [(1, 1, waiting, false), (1, 2, 92, false), (1, 3, 93, false), (1, 4, 91, false)];
    assert_eq!(log.given(), given);
}

#[test]
fn a_scheduled_message_may_wait_as_long_as_others_once_it_has_come() {
    let mut log = Log::with(QueueSettings { message_ttl_ms: Some(50), ..PLAIN });
    log.apply(scheduled(91, 100));

    after(&mut log, 100, TICK);
    assert_eq!(ready(&log), Some(1));
    after(&mut log, 50, TICK);

    assert_eq!((ready(&log), log.shard.row_count()), (Some(0), 0));
}

#[test]
fn a_queue_that_refuses_counts_what_is_scheduled() {
    let (max_length, overflow) = (Some(2), Overflow::RejectPublish);
    let mut log = Log::with(QueueSettings { max_length, overflow, ..PLAIN });
    log.all(FRONT, &[scheduled(91, 100), scheduled(92, 100)]);

    let refused = [log.apply(scheduled(91, 100)), log.apply(publish(&[QUEUE], b"x"))];

    let full = Some(CommandReply::Refused(Refusal::QueueFull));
    assert_eq!(refused, [full.clone(), full]);
}

#[test]
fn a_purge_takes_what_is_scheduled() {
    let mut log = Log::default();
    log.all(FRONT, &[scheduled(91, 100), scheduled(92, HOUR_MS)]);

    let reply = log.apply(Command::PurgeQueue { queue: QUEUE });

    assert_eq!(reply, Some(CommandReply::Purged { messages: 2 }));
    assert_eq!((log.shard.row_count(), log.shard.next_deadline()), (0, None));
}
