//! Which rows are needed, which of them are mostly empty, and what is left when they are thinned.

use warren_machine::{Machine, SparseRow};
use warren_types::{ConsumerNumber, LogIndex};

use super::kit::{FRONT, Log, QUEUE, publish};
use crate::{Command, Outcome, Shard};

/// Twelve messages in one row, all held by a consumer.
fn dozen() -> (Log, warren_types::ConsumerId, LogIndex) {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    let commands: Vec<_> = (0..12).map(|body| publish(&[QUEUE], &[body; 40])).collect();
    log.all(FRONT, &commands);
    let row = LogIndex(log.index);
    (log, consumer, row)
}

#[test]
fn a_row_is_needed_up_to_the_floor_until_its_last_message_is_settled() {
    let (mut log, consumer, row) = dozen();
    assert_eq!(log.shard.live_rows(LogIndex(99)), [row]);
    assert_eq!(log.shard.live_rows(LogIndex(row.0 - 1)), []);

    log.settle(consumer, Outcome::Ack, 1, 11);
    assert_eq!(log.shard.live_rows(LogIndex(99)), [row]);
    log.settle(consumer, Outcome::Ack, 12, 12);

    assert_eq!(log.shard.live_rows(LogIndex(99)), []);
}

#[test]
fn a_sparse_row_names_what_is_still_needed() {
    let (mut log, consumer, row) = dozen();
    log.settle(consumer, Outcome::Ack, 1, 6);
    assert_eq!(log.shard.sparse_rows(LogIndex(0), LogIndex(99), 9), []);
    log.settle(consumer, Outcome::Ack, 8, 11);
    let [first, second] = &log.rows.all_given(&log.shard.owed(FRONT))[..] else {
        panic!("two are left")
    };

    let sparse = log.shard.sparse_rows(LogIndex(0), LogIndex(99), 9);

    let [SparseRow { index, live_offsets }] = &sparse[..] else { panic!("one row is sparse") };
    assert_eq!((*index, live_offsets.len()), (row, 2));
    assert_eq!([first.body[0], second.body[0]], [6, 11]);
    assert_eq!(log.shard.sparse_rows(LogIndex(0), LogIndex(row.0 - 1), 9), []);
    assert_eq!(log.shard.sparse_rows(LogIndex(0), LogIndex(99), 0), []);
    assert_eq!(log.shard.sparse_rows(row, LogIndex(99), 9), []);
}

#[test]
fn a_thinned_row_holds_the_same_messages_at_the_same_places() {
    let (mut log, consumer, row) = dozen();
    log.settle(consumer, Outcome::Ack, 2, 11);
    let before = log.rows.all_given(&log.shard.owed(FRONT));
    let size = log.rows.0[&row].len();

    let live = log.shard.sparse_rows(LogIndex(0), LogIndex(99), 9).remove(0).live_offsets;
    let thin = Shard::thin(&log.rows.0[&row], &live);
    log.rows.0.insert(row, thin);

    assert_eq!(log.rows.all_given(&log.shard.owed(FRONT)), before);
    assert!(log.rows.0[&row].len() < size / 2);
    log.settle(consumer, Outcome::Ack, 1, 1);
    let again = Shard::thin(&log.rows.0[&row], &live[1..]);
    log.rows.0.insert(row, again);
    assert_eq!(log.rows.all_given(&log.shard.owed(FRONT)), before[1..]);
}

#[test]
fn one_old_message_keeps_its_own_row_only() {
    let mut log = Log::default();
    log.enqueue();
    let oldest = LogIndex(log.index);
    log.get(9);
    let consumer = log.attach(1, 0);
    for sequence in 1..=50 {
        log.enqueue();
        log.settle(consumer, Outcome::Ack, sequence, sequence);
    }

    assert_eq!(log.shard.live_rows(LogIndex(log.index)), [oldest]);
    log.apply(Command::Detach { consumer: ConsumerNumber(9) });
    assert_eq!(log.given(), [(1, 51, 1, true)]);
}

#[test]
fn what_happens_in_a_queue_is_counted_and_all_queues_are_summed_up_also_after_a_restart() {
    let (mut log, consumer, _) = dozen();
    log.settle(consumer, Outcome::Ack, 1, 3);
    log.settle(consumer, Outcome::Requeue, 4, 4);
    log.apply(Command::Cancel { consumer: consumer.number });
    log.settle(consumer, Outcome::Release, 6, 7);
    log.get(2);
    log.restart();

    let totals = log.shard.totals();
    log.apply(Command::Detach { consumer: ConsumerNumber(2) });

    // The one that was returned went out again, with the next number, and is held.
    assert_eq!((totals.queues, totals.ready, totals.unsettled), (1, 1, 8));
    assert_eq!((log.shard.totals().ready, log.shard.totals().unsettled), (2, 7));
    let counts = log.shard.queue(QUEUE).unwrap().counts;
    assert_eq!(counts.published, 12, "the numbers of messages tell, also after a restart");
}

#[test]
fn what_was_given_out_and_settled_is_counted_apart() {
    let (mut log, consumer, _) = dozen();
    log.settle(consumer, Outcome::Ack, 1, 3);
    log.settle(consumer, Outcome::Requeue, 4, 4);
    log.apply(Command::Cancel { consumer: consumer.number });
    log.settle(consumer, Outcome::Release, 6, 7);
    log.get(2);
    log.get(2);
    log.get(2);

    let counts = log.shard.queue(QUEUE).unwrap().counts;

    assert_eq!((counts.published, counts.acknowledged), (12, 3));
    assert_eq!(counts.delivered, 12 + 1 - 2, "what is released was not given");
    assert_eq!((counts.got, counts.got_empty), (2, 1));
    assert_eq!(counts.redelivered, 1, "nor is it given again");
}
