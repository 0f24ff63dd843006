//! What a queue takes once, how it tries again, and where it parks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use warren_types::{LogIndex, QueueId};

use super::kit::{Log, QUEUE, publish, settle};
use crate::{
    Command, CommandReply, DeadLetterStrategy, DeadLetterTarget, DedupKey, Effect, Letter, Outcome,
    Overflow, Publish, QueueSettings, Refusal, Retry,
};

const PLAIN: QueueSettings = QueueSettings::PLAIN;
const WINDOW_MS: u64 = 800;
const FULL: Option<CommandReply> = Some(CommandReply::Refused(Refusal::QueueFull));

fn once() -> QueueSettings {
    QueueSettings { dedup_window_ms: Some(WINDOW_MS), ..PLAIN }
}

/// A message that its publisher calls `name`.
fn named(name: u8, body: u8) -> Publish {
    let Command::Publish(publish) = publish(&[QUEUE], &[body]) else { unreachable!() };
    Publish { dedup: vec![(QUEUE, DedupKey([name; 16]))], ..publish }
}

fn send(log: &mut Log, name: u8, body: u8) -> Option<CommandReply> {
    log.apply(Command::Publish(named(name, body)))
}

fn after(log: &mut Log, ms: u64) {
    log.time += ms;
    log.apply(Command::Tick);
}

fn ready(log: &Log) -> Option<u64> {
    log.shard.queue_status(QUEUE).map(|status| status.ready)
}

fn keys(log: &Log) -> Option<u64> {
    log.shard.queue(QUEUE).map(|queue| queue.dedup_keys)
}

fn duplicates(log: &Log) -> Option<u64> {
    log.shard.queue(QUEUE).map(|queue| queue.counts.duplicates)
}

#[test]
fn what_is_sent_again_within_the_window_is_taken_as_said_and_not_put_in() {
    let mut log = Log::with(once());
    let first = [send(&mut log, 1, 11), send(&mut log, 2, 12)];
    log.restart();

    let again = [send(&mut log, 1, 21), send(&mut log, 2, 22), send(&mut log, 3, 13)];

    assert_eq!((first, again), ([None, None], [None, None, None]));
    assert_eq!((ready(&log), duplicates(&log)), (Some(3), Some(2)));
    assert_eq!(log.shard.row_count(), 3, "a duplicate keeps no row");
    log.attach(1, 0);
    assert_eq!(log.given().iter().map(|given| given.2).collect::<Vec<_>>(), [11, 12, 13]);
}

#[test]
fn a_message_is_known_by_its_name_also_when_it_has_been_acknowledged() {
    let mut log = Log::with(once());
    log.attach(1, 0);
    send(&mut log, 1, 11);
    log.apply(settle(1, Outcome::Ack, 1, 1));

    send(&mut log, 1, 21);

    assert_eq!((log.given(), duplicates(&log)), (vec![], Some(1)));
}

#[test]
fn the_window_begins_with_the_first_message_and_duplicates_do_not_prolong_it() {
    let mut log = Log::with(once());
    send(&mut log, 1, 11);
    after(&mut log, WINDOW_MS - 1);
    send(&mut log, 1, 21);
    assert_eq!(ready(&log), Some(1));

    after(&mut log, 1);
    send(&mut log, 1, 31);

    assert_eq!((ready(&log), keys(&log)), (Some(2), Some(1)));
}

#[test]
fn names_are_forgotten_by_themselves_an_eighth_after_the_window() {
    let mut log = Log::with(once());
    send(&mut log, 1, 11);
    after(&mut log, 50);
    send(&mut log, 2, 12);
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(WINDOW_MS + 100 - 50)));

    log.restart();
    after(&mut log, WINDOW_MS + 49);
    assert_eq!(keys(&log), Some(2));
    after(&mut log, 1);

    assert_eq!((keys(&log), log.shard.next_deadline()), (Some(0), None));
}

#[test]
fn a_duplicate_that_has_others_be_forgotten_has_the_queue_look_again_in_time() {
    let mut log = Log::with(once());
    send(&mut log, 1, 11);
    after(&mut log, 50);
    send(&mut log, 2, 12);

    log.time += WINDOW_MS - 50;
    send(&mut log, 2, 22);

    assert_eq!((keys(&log), duplicates(&log)), (Some(1), Some(1)));
    assert_eq!(log.shard.next_deadline(), Some(Duration::from_millis(50 + 100)));
}

#[test]
fn a_queue_that_can_remember_no_more_refuses_what_has_a_name_until_some_are_over() {
    let mut log = Log::with(QueueSettings { dedup_limit: Some(2), ..once() });
    send(&mut log, 1, 11);
    after(&mut log, 10);
    send(&mut log, 2, 12);

    assert_eq!(send(&mut log, 3, 13), FULL);
    assert_eq!(send(&mut log, 1, 21), None, "it has that one");
    assert_eq!(log.apply(publish(&[QUEUE], b"nameless")), None);
    after(&mut log, WINDOW_MS - 10);

    assert_eq!(send(&mut log, 3, 13), None);
    assert_eq!(ready(&log), Some(4));
}

#[test]
fn what_was_refused_may_be_sent_again() {
    let (max_length, overflow) = (Some(1), Overflow::RejectPublish);
    let mut log = Log::with(QueueSettings { max_length, overflow, ..once() });
    send(&mut log, 1, 11);
    assert_eq!(send(&mut log, 2, 12), FULL);
    log.get(9);

    assert_eq!(send(&mut log, 2, 22), None);

    assert_eq!((ready(&log), duplicates(&log)), (Some(1), Some(0)));
}

#[test]
fn each_queue_goes_by_its_own_names() {
    let mut log = Log::with(once());
    let other = QueueId(2);
    log.create(other, once());
    send(&mut log, 1, 11);

    let both = Publish { queues: vec![QUEUE, other], ..named(1, 21) };
    assert_eq!(log.apply(Command::Publish(both)), None);

    let status = log.shard.queue_status(other).map(|status| status.ready);
    assert_eq!((ready(&log), status), (Some(1), Some(1)));
}

#[test]
fn a_purge_forgets_no_names_and_the_end_of_the_window_all() {
    let mut log = Log::with(once());
    send(&mut log, 1, 11);
    log.apply(Command::PurgeQueue { queue: QUEUE });
    send(&mut log, 1, 21);
    assert_eq!(ready(&log), Some(0));

    log.apply(Command::ConfigureQueue { queue: QUEUE, settings: PLAIN });
    send(&mut log, 1, 31);

    assert_eq!((ready(&log), keys(&log)), (Some(1), Some(0)));
}

#[test]
fn a_dead_letter_that_comes_again_uses_up_no_name() {
    let mut log = Log::with(once());
    let letter = Letter { source: QueueId(9), sequence: crate::DeadSequence(1) };
    let carried = Publish { letter: Some(letter), dedup: vec![], ..named(1, 11) };
    log.apply(Command::Publish(carried.clone()));
    log.apply(Command::Publish(carried));

    assert_eq!((ready(&log), keys(&log)), (Some(1), Some(0)));
}

#[test]
fn many_names_are_in_a_snapshot_and_cost_what_they_must() {
    let mut log = Log::with(QueueSettings { dedup_window_ms: Some(3_600_000), ..PLAIN });
    for block in 0..60_u32 {
        let commands = (0..100).map(|at: u32| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&(block * 100 + at).to_be_bytes());
            Command::Publish(Publish { dedup: vec![(QUEUE, DedupKey(key))], ..named(0, 1) })
        });
        log.all(super::kit::FRONT, &commands.collect::<Vec<_>>());
    }

    log.restart();

    assert_eq!((keys(&log), ready(&log)), (Some(6000), Some(6000)));
    let bytes = log.shard.memory_bytes();
    assert!(bytes < 6000 * 120 + 100_000, "{bytes} bytes");
}

/// A message that is put aside for so long.
fn scheduled(body: u8, delay_ms: u64) -> Command {
    let Command::Publish(publish) = publish(&[QUEUE], &[body]) else { unreachable!() };
    Command::Publish(Publish { delay_ms: Some(delay_ms), ..publish })
}

#[test]
fn what_is_scheduled_is_listed_by_its_time_and_can_be_dropped_once() {
    let mut log = Log::default();
    log.all(super::kit::FRONT, &[scheduled(11, 300), scheduled(12, 100), scheduled(13, 200)]);
    let all = log.shard.scheduled(QUEUE, 9);
    assert_eq!(all.iter().map(|one| one.in_ms).collect::<Vec<_>>(), [100, 200, 300]);
    assert_eq!(log.shard.scheduled(QUEUE, 1), all[..1]);

    let cancel = Command::CancelScheduled { queue: QUEUE, due: all[1].due, at: all[1].at };
    let dropped = [log.apply(cancel.clone()), log.apply(cancel.clone())];
    log.restart();
    after(&mut log, 300);
    log.attach(1, 0);

    let purged = |messages| Some(CommandReply::Purged { messages });
    assert_eq!(dropped, [purged(1), purged(0)]);
    assert_eq!(log.given().iter().map(|given| given.2).collect::<Vec<_>>(), [12, 11]);
    let came = Command::CancelScheduled { queue: QUEUE, due: all[0].due, at: all[0].at };
    assert_eq!(log.apply(came), purged(0), "its time has come");
}

#[test]
fn a_message_that_is_dropped_releases_its_row_and_its_time() {
    let mut log = Log::default();
    log.apply(scheduled(11, 300));
    let one = &log.shard.scheduled(QUEUE, 1)[0];

    log.apply(Command::CancelScheduled { queue: QUEUE, due: one.due, at: one.at });

    assert_eq!((log.shard.row_count(), log.shard.next_deadline()), (0, None));
}

fn retries(delays_ms: &[u64], jitter_percent: u8) -> QueueSettings {
    QueueSettings {
        retry: Some(Retry { delays_ms: delays_ms.to_vec(), jitter_percent }),
        delivery_limit: Some(1),
        ..PLAIN
    }
}

fn target(key: &'static [u8]) -> Option<Arc<DeadLetterTarget>> {
    Some(Arc::new(DeadLetterTarget {
        exchange: Bytes::new(),
        routing_key: Some(Bytes::from_static(key)),
        strategy: DeadLetterStrategy::AtLeastOnce,
    }))
}

/// Where the last entry sent which body, and why.
fn dead(log: &Log) -> Vec<(Option<Bytes>, u8, &'static str)> {
    let targets = log.effects.iter().filter_map(|effect| match effect {
        Effect::DeadLetter(dead) => Some(dead.target.routing_key.clone()),
        Effect::Deliver(_) | Effect::Cancelled { .. } | Effect::QueueEnded { .. } => None,
    });
    let letters = log.rows.letters(&log.effects).into_iter();
    targets.zip(letters).map(|(key, letter)| (key, letter.body[0], letter.reason)).collect()
}

#[test]
fn a_message_is_tried_again_after_each_delay_and_is_dead_behind_the_last() {
    let mut log =
        Log::with(QueueSettings { dead_letter: target(b"dead"), ..retries(&[100, 0], 0) });
    log.attach(1, 0);
    let a = log.enqueue();

    log.apply(settle(1, Outcome::Requeue, 1, 1));
    assert_eq!((log.given(), dead(&log)), (vec![], vec![]));
    log.restart();
    after(&mut log, 99);
    assert_eq!(log.given(), []);
    after(&mut log, 1);
    assert_eq!(log.counters(), [(a, 1, 1)]);
    log.apply(settle(1, Outcome::RejectRequeue, 2, 2));
    assert_eq!(log.counters(), [(a, 2, 2)], "no delay is none");
    log.apply(settle(1, Outcome::Requeue, 3, 3));

    assert_eq!(dead(&log), [(Some(Bytes::from_static(b"dead")), a, "delivery_limit")]);
}

#[test]
fn a_rejected_message_is_not_tried_again_and_a_released_one_has_not_been_tried() {
    let mut log = Log::with(QueueSettings { dead_letter: target(b"dead"), ..retries(&[100], 0) });
    log.attach(1, 0);
    let [a, b] = log.enqueue_all();

    log.apply(settle(1, Outcome::Release, 2, 2));
    assert_eq!(log.counters(), [(b, 0, 0)]);
    log.apply(settle(1, Outcome::Reject, 1, 1));

    assert_eq!(dead(&log), [(Some(Bytes::from_static(b"dead")), a, "rejected")]);
}

#[test]
fn jitter_makes_waits_longer_by_its_part_at_most_and_not_all_alike() {
    let mut log = Log::with(retries(&[1000], 50));
    log.attach(1, 0);
    log.enqueue_all::<40>();
    log.apply(settle(1, Outcome::Requeue, 1, 40));

    let mut counts = vec![];
    after(&mut log, 999);
    counts.push(log.given().len());
    for _ in 0..5 {
        after(&mut log, 101);
        counts.push(log.given().len());
    }

    assert_eq!((counts[0], counts.iter().sum::<usize>()), (0, 40));
    assert!(counts[1..].iter().all(|count| *count > 0), "{counts:?}");
}

#[test]
fn what_exceeds_its_limit_is_parked_where_it_would_be_lost() {
    let limited = QueueSettings { delivery_limit: Some(0), parking: target(b"park"), ..PLAIN };
    let mut log = Log::with(limited.clone());
    log.attach(1, 0);
    let [a, b] = log.enqueue_all();

    log.apply(settle(1, Outcome::RejectRequeue, 1, 1));
    assert_eq!(dead(&log), [(Some(Bytes::from_static(b"park")), a, "delivery_limit")]);
    log.apply(settle(1, Outcome::Reject, 2, 2));
    assert_eq!(dead(&log), [], "{b} was thrown away by whoever had it");

    let settings = QueueSettings { dead_letter: target(b"dead"), ..limited };
    log.apply(Command::ConfigureQueue { queue: QUEUE, settings });
    let c = log.enqueue();
    log.apply(settle(1, Outcome::RejectRequeue, 3, 3));
    assert_eq!(dead(&log), [(Some(Bytes::from_static(b"dead")), c, "delivery_limit")]);
    assert_eq!(log.shard.applied(), LogIndex(log.index));
}
