//! How queues begin and end.

use warren_machine::Machine;
use warren_types::{ConsumerNumber, QueueId};

use super::kit::{FRONT, Log, QUEUE, publish, terms};
use crate::{
    CancelReason, Command, CommandReply, Effect, EndReason, Outcome, QueueSettings, QueueStatus,
    Refusal,
};

fn auto_delete() -> QueueSettings {
    QueueSettings { auto_delete: true, ..QueueSettings::default() }
}

const DELETE: Command = Command::DeleteQueue { queue: QUEUE, if_unused: false, if_empty: false };
const CREATE: Command = Command::CreateQueue { queue: QUEUE, settings: QueueSettings::PLAIN };
const ENDED: Effect = Effect::QueueEnded { queue: QUEUE, reason: EndReason::Unused };

#[test]
fn a_queue_is_made_once() {
    let mut log = Log::default();

    assert_eq!(log.apply(CREATE), Some(CommandReply::Created { fresh: false }));
}

#[test]
fn a_message_to_several_queues_is_one_record() {
    let mut log = Log::default();
    let other = QueueId(2);
    log.create(other, QueueSettings::default());
    let message = log.enqueue_to(&[QUEUE, other]);
    assert_eq!(log.shard.row_count(), 1);

    let consumer = log.attach(1, 0);
    log.settle(consumer, Outcome::Ack, 1, 1);
    assert_eq!(log.shard.row_count(), 1, "the other queue needs it");
    let got = log.apply(Command::Get { consumer: ConsumerNumber(2), queue: other, no_ack: true });

    let Some(CommandReply::Got(got)) = got else { panic!("a message waits") };
    assert_eq!(log.rows.body(got.location, &[], got.size), [message]);
    log.apply(super::kit::settle(2, Outcome::Ack, 1, 1));
    assert_eq!(log.shard.row_count(), 0);
}

#[test]
fn a_publish_names_the_queues_that_are_missing_and_reaches_the_others() {
    let mut log = Log::default();
    let [absent, deleted] = [QueueId(8), QueueId(9)];
    log.create(deleted, QueueSettings::default());
    log.apply(Command::DeleteQueue { queue: deleted, if_unused: false, if_empty: false });

    let reply = log.apply(publish(&[absent, deleted, QUEUE], b"x"));

    assert_eq!(reply, Some(CommandReply::Missing(vec![absent, deleted])));
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(1));
}

#[test]
fn a_purge_drops_what_waits_and_leaves_what_is_held() {
    let mut log = Log::default();
    let consumer = log.attach(1, 1);
    log.enqueue_all::<3>();

    let reply = log.apply(Command::PurgeQueue { queue: QUEUE });
    log.settle(consumer, Outcome::Requeue, 1, 1);

    assert_eq!(reply, Some(CommandReply::Purged { messages: 2 }));
    assert_eq!(log.given(), [(1, 2, 1, true)]);
}

#[test]
fn the_status_counts_messages_bytes_and_consumers() {
    let mut log = Log::default();
    log.attach(1, 1);
    log.all(FRONT, &[publish(&[QUEUE], b"four"), publish(&[QUEUE], b"seventy")]);

    let status = log.apply(Command::Status { queue: QUEUE });

    let expected = QueueStatus {
        ready: 1,
        ready_bytes: 7,
        unsettled: 1,
        unsettled_bytes: 4,
        consumers: 1,
        ..QueueStatus::default()
    };
    assert_eq!(status, Some(CommandReply::Status(expected)));
}

#[test]
fn a_deleted_queue_cancels_its_consumers_and_forgets_what_they_hold() {
    let mut log = Log::default();
    let consumer = log.attach(1, 1);
    log.enqueue_all::<3>();

    let reply = log.apply(DELETE);

    let reason = CancelReason::QueueDeleted;
    assert_eq!(reply, Some(CommandReply::Deleted { messages: 2 }));
    assert_eq!(log.effects, [Effect::Cancelled { consumer, queue: QUEUE, reason }]);
    assert_eq!((log.shard.row_count(), log.shard.consumer(consumer)), (0, None));
    log.settle(consumer, Outcome::Requeue, 1, 1);
    assert_eq!(log.given(), []);
}

#[test]
fn conditions_keep_a_queue_from_being_deleted() {
    let mut log = Log::default();
    let delete = |if_unused, if_empty| Command::DeleteQueue { queue: QUEUE, if_unused, if_empty };
    log.enqueue();
    assert_eq!(log.apply(delete(false, true)), Some(CommandReply::Refused(Refusal::NotEmpty)));

    log.attach(1, 0);
    assert_eq!(log.apply(delete(true, false)), Some(CommandReply::Refused(Refusal::InUse)));
    let if_empty = log.apply(delete(false, true));

    assert_eq!(if_empty, Some(CommandReply::Deleted { messages: 0 }), "held is not waiting");
}

#[test]
fn a_deleted_queue_does_not_come_back_until_it_is_forgotten() {
    let mut log = Log::default();
    log.apply(DELETE);
    let deleted = Some(CommandReply::Refused(Refusal::QueueDeleted));
    assert_eq!(log.apply(CREATE), deleted);
    assert_eq!(log.apply(DELETE), deleted);
    assert_eq!(log.attach_with(FRONT, terms(1)), Err(Refusal::QueueDeleted));
    let missing = Some(CommandReply::Missing(vec![QUEUE]));
    assert_eq!(log.apply(publish(&[QUEUE], b"x")), missing);

    log.apply(Command::ForgetQueue { queue: QUEUE });

    assert_eq!(log.apply(DELETE), Some(CommandReply::Refused(Refusal::UnknownQueue)));
    assert_eq!(log.attach_with(FRONT, terms(1)), Err(Refusal::UnknownQueue));
    assert_eq!(log.shard.tombstones(), []);
}

#[test]
fn forgetting_a_queue_that_lives_does_it_no_harm() {
    let mut log = Log::default();
    log.enqueue();

    log.apply(Command::ForgetQueue { queue: QUEUE });

    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(1));
}

#[test]
fn an_auto_delete_queue_ends_with_its_last_consumer() {
    for leave in [
        Command::Cancel { consumer: ConsumerNumber(2) },
        Command::Detach { consumer: ConsumerNumber(2) },
        Command::CloseSession { session: FRONT },
    ] {
        let mut log = Log::with(auto_delete());
        log.attach(1, 0);
        log.attach(2, 0);
        log.enqueue();
        log.apply(Command::Detach { consumer: ConsumerNumber(1) });
        assert_eq!(log.shard.tombstones(), []);

        log.apply(leave);

        assert_eq!(log.effects.last(), Some(&ENDED));
        assert_eq!(log.shard.tombstones(), [(QUEUE, EndReason::Unused)]);
        assert_eq!(log.shard.row_count(), 0);
    }
}

#[test]
fn an_auto_delete_queue_lives_before_its_first_consumer_and_does_not_count_gets() {
    let mut log = Log::with(auto_delete());
    log.enqueue();
    log.get(7);

    log.apply(Command::Detach { consumer: ConsumerNumber(7) });

    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(1));
}

#[test]
fn a_new_leader_repeats_which_queues_have_ended() {
    let mut log = Log::with(auto_delete());
    log.attach(1, 0);
    log.apply(Command::Detach { consumer: ConsumerNumber(1) });
    log.create(QueueId(2), QueueSettings::default());
    log.apply(Command::DeleteQueue { queue: QueueId(2), if_unused: false, if_empty: false });
    assert_eq!(log.effects, [], "the front end that asked tells the catalog");
    log.restart();

    let effects = log.shard.take_over();

    let deleted = Effect::QueueEnded { queue: QueueId(2), reason: EndReason::Deleted };
    assert_eq!(effects, [ENDED, deleted]);
}

#[test]
fn a_queue_that_takes_the_place_of_another_within_an_entry_is_its_own() {
    let mut log = Log::default();
    log.attach(1, 0);
    let settings = QueueSettings::default();
    let other = QueueId(2);

    log.all(
        FRONT,
        &[
            publish(&[QUEUE], b"old"),
            DELETE,
            Command::CreateQueue { queue: other, settings },
            publish(&[QUEUE, other], b"new"),
        ],
    );

    assert_eq!(log.given(), []);
    assert_eq!(log.shard.queue_status(other).map(|status| status.ready_bytes), Some(3));
}

#[test]
fn making_a_queue_single_active_stops_the_others() {
    let mut log = Log::default();
    log.attach(1, 0);
    log.attach(2, 0);
    let settings = QueueSettings { single_active_consumer: true, ..QueueSettings::PLAIN };

    log.apply(Command::ConfigureQueue { queue: QUEUE, settings });
    let [a, b] = log.enqueue_all();
    assert_eq!(log.given(), [(1, 1, a, false), (1, 2, b, false)]);
    let settings = QueueSettings::default();
    log.apply(Command::ConfigureQueue { queue: QUEUE, settings });
    let [c, d] = log.enqueue_all();

    assert_eq!(log.given(), [(2, 1, c, false), (1, 3, d, false)]);
}
