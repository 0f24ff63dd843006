//! Looking at messages, dropping some, and picking some to be moved.

use warren_types::{
    ConsumerNumber, DeliverySequence, Location, LogIndex, MessageNumber, Timestamp,
};

use super::kit::{FRONT, Log, QUEUE, publish, settle};
use crate::{
    Command, CommandReply, DelayedRetry, DelayedRetryKind, MessageListing, Outcome, Publish,
    QueueSettings, Spot,
};

const PLAIN: QueueSettings = QueueSettings::PLAIN;

/// Who picks messages.
const PICKER: ConsumerNumber = ConsumerNumber(9);

fn all(log: &Log) -> Vec<MessageListing> {
    log.shard.browse(QUEUE, None, usize::MAX).expect("the queue is there").messages
}

/// The first byte of the body of each.
fn bodies(log: &Log, messages: &[MessageListing]) -> Vec<u8> {
    messages.iter().map(|one| log.rows.body(one.at, &[], one.size)[0]).collect()
}

fn drop_message(log: &mut Log, message: &MessageListing) -> u64 {
    let command = Command::DropMessage { queue: QUEUE, spot: message.spot, at: message.at };
    let Some(CommandReply::Purged { messages }) = log.apply(command) else {
        panic!("a drop is answered with a count")
    };
    messages
}

/// Has consumer 9 pick messages, and says which it got by their sequence.
fn pick(log: &mut Log, messages: &[MessageListing]) -> Vec<Option<u64>> {
    let picks = messages.iter().map(|one| Command::PickMessage {
        consumer: PICKER,
        queue: QUEUE,
        spot: one.spot,
        at: one.at,
    });
    let replies: Vec<_> = picks.map(|command| log.apply(command)).collect();
    let sequences = replies.into_iter().map(|reply| match reply {
        Some(CommandReply::Got(got)) => Some(got.sequence.0),
        Some(CommandReply::Empty) => None,
        other => panic!("a pick is answered with a message or none, not {other:?}"),
    });
    sequences.collect()
}

#[test]
fn every_message_is_listed_once_wherever_it_is() {
    let retry = DelayedRetry { kind: DelayedRetryKind::All, min_ms: 500, max_ms: 500 };
    let mut log = Log::with(QueueSettings { delayed_retry: Some(retry), ..PLAIN });
    log.attach(1, 2);
    let [a, b, c, d] = log.enqueue_all();
    log.apply(settle(1, Outcome::Requeue, 1, 1));
    let Command::Publish(later) = publish(&[QUEUE], &[77]) else { unreachable!() };
    log.all(FRONT, &[Command::Publish(Publish { delay_ms: Some(900), ..later })]);

    let listed = all(&log);

    assert_eq!(bodies(&log, &listed), [d, b, c, a, 77]);
    let number = MessageNumber(4);
    assert_eq!(listed[0].spot, Spot::Waiting { level: 0, number });
    let holders = listed.iter().map(|one| one.holder.as_ref().map(|(who, _)| who.number.0));
    assert_eq!(holders.collect::<Vec<_>>(), [None, Some(1), Some(1), None, None]);
    let times: Vec<_> = listed.iter().map(|one| one.in_ms).collect();
    assert_eq!(times, [None, None, None, Some(500), Some(900)]);
    assert_eq!((listed[3].acquired_count, listed[3].delivery_count), (1, 0));
}

#[test]
fn messages_are_found_by_where_their_records_stand() {
    let mut log = Log::default();
    log.enqueue_all::<5>();
    let listed = all(&log);

    let wanted = [listed[4].at, listed[1].at, Location { index: LogIndex(1), offset: 1 }];
    let found = log.shard.locate(QUEUE, &wanted.into_iter().collect());

    assert_eq!(found, [listed[1].clone(), listed[4].clone()]);
}

#[test]
fn a_message_is_dropped_from_the_middle_once_and_releases_its_row() {
    let mut log = Log::default();
    let [a, b] = log.enqueue_all();
    let c = log.enqueue();
    let listed = all(&log);
    let rows = log.shard.row_count();

    let dropped = [drop_message(&mut log, &listed[2]), drop_message(&mut log, &listed[2])];
    let middle = drop_message(&mut log, &listed[0]);
    log.restart();
    log.attach(1, 0);

    assert_eq!((dropped, middle), ([1, 0], 1));
    assert_eq!(log.shard.row_count(), rows - 1, "{c} stood alone, {a} did not");
    assert_eq!(log.given().iter().map(|given| given.2).collect::<Vec<_>>(), [b]);
}

#[test]
fn what_is_not_where_it_is_said_to_be_stays() {
    let mut log = Log::default();
    log.enqueue_all::<2>();
    let listed = all(&log);
    let other = MessageListing { at: listed[1].at, ..listed[0].clone() };
    let number = MessageNumber(2);
    let delayed = Spot::Delayed { due: Timestamp(5), number };
    let held = Spot::Held { order: 0, sequence: DeliverySequence(1) };

    let dropped = [other.spot, delayed, held]
        .map(|spot| drop_message(&mut log, &MessageListing { spot, ..other.clone() }));

    assert_eq!((dropped, all(&log)), ([0; 3], listed));
}

#[test]
fn what_was_picked_and_comes_back_stands_where_it_stood_as_if_it_had_not_been_away() {
    let mut log = Log::default();
    log.enqueue_all::<6>();
    let listed = all(&log);

    assert_eq!(pick(&mut log, &listed[2..5]), [Some(1), Some(2), Some(3)]);
    assert_eq!(pick(&mut log, &listed[2..3]), [None], "it is away");
    log.apply(settle(9, Outcome::Release, 2, 2));
    assert_eq!(all(&log)[..4], [&listed[..2], &listed[3..4], &listed[5..]].concat());
    log.restart();
    log.apply(Command::Detach { consumer: PICKER });

    assert_eq!(all(&log), listed);
}

#[test]
fn what_was_picked_and_moved_is_gone_and_is_no_delivery() {
    let mut log = Log::default();
    let [a, _, c] = log.enqueue_all();
    let listed = all(&log);

    pick(&mut log, &listed[1..2]);
    log.apply(settle(9, Outcome::Ack, 1, 1));
    log.apply(Command::Detach { consumer: PICKER });

    let left = all(&log);
    assert_eq!(bodies(&log, &left), [a, c]);
    let counts = log.shard.queue(QUEUE).expect("the queue").counts;
    assert_eq!((counts.acknowledged, counts.delivered, counts.got), (0, 0, 0));
}

#[test]
fn what_waits_for_its_time_is_not_picked() {
    let mut log = Log::default();
    let Command::Publish(later) = publish(&[QUEUE], &[77]) else { unreachable!() };
    log.apply(Command::Publish(Publish { delay_ms: Some(900), ..later }));
    let listed = all(&log);

    assert_eq!(pick(&mut log, &listed), [None]);
    assert_eq!(drop_message(&mut log, &listed[0]), 1);
}
