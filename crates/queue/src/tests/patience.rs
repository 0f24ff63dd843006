//! Which fragments can wait for others.

use bytes::Bytes;
use warren_types::{ConsumerNumber, DeliverySequence, SessionId};

use super::kit::{FRONT, Log, QUEUE, publish, session, settle, terms};
use crate::entry::FragmentWriter;
use crate::{Attach, Command, Outcome, QueueSettings};

fn fragment(commands: &[Command]) -> Bytes {
    let mut writer = FragmentWriter::new();
    for command in commands {
        writer.command(command);
    }
    writer.finish()
}

fn can_wait(log: &Log, commands: &[Command]) -> bool {
    log.shard.can_wait(FRONT, &fragment(commands))
}

fn ack(number: u64, from: u64, to: u64) -> Command {
    settle(number, Outcome::Ack, from, to)
}

/// A queue with a consumer that may hold four messages and holds one.
fn at_ease() -> Log {
    let mut log = Log::with(QueueSettings::default());
    log.attach(1, 4);
    log.enqueue();
    log
}

#[test]
fn what_frees_nobody_can_wait() {
    let log = at_ease();
    let grant = Command::Grant { consumer: ConsumerNumber(1), up_to: DeliverySequence(u64::MAX) };

    assert!(can_wait(&log, &[ack(1, 1, 1)]));
    assert!(can_wait(&log, &[ack(1, 1, 1), grant]));
}

#[test]
fn what_has_something_happen_cannot_wait() {
    let log = at_ease();
    let others = [
        settle(1, Outcome::Requeue, 1, 1),
        settle(1, Outcome::Reject, 1, 1),
        settle(1, Outcome::Extend, 1, 1),
        publish(&[QUEUE], b"more"),
        Command::Cancel { consumer: ConsumerNumber(1) },
        Command::Detach { consumer: ConsumerNumber(1) },
        Command::Status { queue: QUEUE },
        Command::Tick,
    ];

    for other in others {
        assert!(!can_wait(&log, &[ack(1, 1, 1), other.clone()]), "{other:?}");
        assert!(!can_wait(&log, &[other.clone(), ack(1, 1, 1)]), "{other:?}");
    }
}

#[test]
fn a_consumer_that_is_short_of_room_cannot_wait() {
    for (prefetch, held, expected) in
        [(1, 1, false), (2, 1, false), (4, 1, true), (4, 2, false), (4, 3, false), (0, 3, true)]
    {
        let mut log = Log::with(QueueSettings::default());
        log.attach(1, prefetch);
        for _ in 0..held {
            log.enqueue();
        }

        let is_able = can_wait(&log, &[ack(1, 1, 1)]);

        assert_eq!(is_able, expected, "{held} of {prefetch}");
    }
}

#[test]
fn a_consumer_that_was_granted_little_more_cannot_wait() {
    let mut log = Log::with(QueueSettings::default());
    let granted = DeliverySequence(2);
    log.attach_with(FRONT, Attach { granted, ..terms(1) }).unwrap();
    log.enqueue();

    assert!(!can_wait(&log, &[ack(1, 1, 1)]));
}

#[test]
fn nothing_can_wait_while_messages_do() {
    let mut log = at_ease();
    log.attach(2, 1);
    for _ in 0..5 {
        log.enqueue();
    }
    let holds_all_it_may = can_wait(&log, &[ack(2, 1, 1)]);
    log.settle(
        warren_types::ConsumerId { session: FRONT, number: ConsumerNumber(1) },
        Outcome::Ack,
        1,
        4,
    );

    assert!(!holds_all_it_may);
    assert!(can_wait(&log, &[ack(1, 5, 5)]), "nothing waits any more");
}

#[test]
fn who_has_cancelled_or_is_not_known_cannot_wait() {
    let mut log = at_ease();
    let stranger: SessionId = session(2, 1);

    let unknown = can_wait(&log, &[ack(9, 1, 1)]);
    let strange = log.shard.can_wait(stranger, &fragment(&[ack(1, 1, 1)]));
    let senseless = log.shard.can_wait(FRONT, b"\xff");
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });

    assert!(!unknown && !strange && !senseless);
    assert!(!can_wait(&log, &[ack(1, 1, 1)]), "its end may be awaited");
}
