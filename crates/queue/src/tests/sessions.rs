//! Front ends: what is done once, what is refused, what a new leader owes them.

use bytes::Bytes;
use warren_machine::Machine;
use warren_types::{ConsumerNumber, LogIndex};

use super::kit::{FRONT, Log, QUEUE, publish, session, settle, terms};
use crate::{Attach, Command, CommandReply, FragmentReply, Outcome, Publish, Refusal};

#[test]
fn a_stranger_is_told_so_and_nothing_is_done() {
    let mut log = Log::default();

    let reply = log.fragment(session(9, 1), 1, &[publish(&[QUEUE], b"x")]);

    assert_eq!(reply, FragmentReply::UnknownSession);
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(0));
}

#[test]
fn a_later_boot_ends_the_earlier_one_and_takes_back_what_it_held() {
    let mut log = Log::default();
    let consumer = log.attach(1, 1);
    let [a, b] = log.enqueue_all();
    log.open(session(2, 1));
    log.attach_with(session(2, 1), Attach { prefetch: 1, ..terms(1) }).expect("accepted");
    assert_eq!(log.given(), [(1, 1, b, false)]);

    log.open(session(1, 2));

    assert_eq!(log.shard.consumer(consumer), None);
    log.by(session(2, 1), settle(1, Outcome::Ack, 1, 1));
    assert_eq!(log.given(), [(1, 2, a, true)]);
    let late = log.fragment(FRONT, 1000, &[settle(1, Outcome::Ack, 1, 1)]);
    assert_eq!(late, FragmentReply::UnknownSession);
    let reopened = log.fragment(FRONT, 1001, &[Command::OpenSession]);
    assert_eq!(reopened, FragmentReply::UnknownSession, "a boot that has ended stays so");
}

#[test]
fn opening_an_open_session_again_does_nothing() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);

    log.open(FRONT);

    assert!(log.shard.consumer(consumer).is_some());
}

#[test]
fn a_closed_session_gives_everything_back_and_may_be_opened_again() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    let [a] = log.enqueue_all();
    log.open(session(2, 1));
    log.by(session(2, 1), Command::CloseSession { session: FRONT });
    assert_eq!(log.all(FRONT, &[Command::Tick]), FragmentReply::UnknownSession);

    log.open(FRONT);
    log.settle(consumer, Outcome::Ack, 1, 1);
    log.attach(2, 0);

    assert_eq!(log.given(), [(2, 1, a, true)], "an old ack does not count");
}

#[test]
fn a_session_that_closes_itself_leaves_no_consumer_behind() {
    let mut log = Log::default();
    let commands = [
        Command::CloseSession { session: FRONT },
        Command::Attach(terms(1)),
        publish(&[QUEUE], b"x"),
    ];

    let reply = log.all(FRONT, &commands);

    let refused = CommandReply::Refused(Refusal::SessionClosed);
    assert_eq!(reply, FragmentReply::Done(vec![(1, refused)]));
    assert_eq!(log.shard.consumers(QUEUE), []);
}

#[test]
fn a_new_leader_owes_what_is_held_with_the_same_sequences_and_flags() {
    let mut log = Log::default();
    let consumer = log.attach(1, 0);
    let [a, b, c, d] = log.enqueue_all();
    log.settle(consumer, Outcome::Requeue, 1, 1);
    log.settle(consumer, Outcome::Ack, 3, 3);
    log.restart();

    let effects = log.shard.take_over();

    let expected = [(1, 2, b, false), (1, 4, d, false), (1, 5, a, true)];
    assert_eq!(log.short(&effects), expected, "{c} is settled");
    assert_eq!(log.shard.take_over(), effects);
    assert_eq!(log.shard.owed(FRONT), effects);
    assert_eq!(log.shard.owed(session(2, 1)), []);
}

#[test]
fn what_was_cancelled_or_taken_by_a_get_is_owed_as_well() {
    let mut log = Log::default();
    log.attach(1, 1);
    let [a, b] = log.enqueue_all();
    log.apply(Command::Cancel { consumer: ConsumerNumber(1) });
    log.get(7);

    let effects = log.shard.take_over();

    assert_eq!(log.short(&effects), [(1, 1, a, false), (7, 1, b, false)]);
}

#[test]
fn time_never_goes_back() {
    let mut log = Log::default();
    log.time = 5000;
    log.apply(Command::Tick);
    log.time = 4000;

    log.apply(Command::Tick);

    assert_eq!(log.shard.time().0, 5000);
}

fn large(upload: u64) -> Command {
    let Command::Publish(publish) = publish(&[QUEUE], b"end") else { unreachable!() };
    Command::Publish(Publish { upload: Some(upload), ..publish })
}

fn chunk(bytes: &'static [u8]) -> Command {
    Command::Chunk { upload: 5, bytes: Bytes::from_static(bytes) }
}

#[test]
fn a_large_body_comes_in_parts_and_is_one_message() {
    let mut log = Log::default();
    log.apply(chunk(b"begin, "));
    log.apply(chunk(b"middle, "));
    assert_eq!(log.apply(large(5)), None);

    let Some(CommandReply::Got(got)) = log.get(7) else { panic!("a message waits") };

    let parts = got.parts.as_deref().unwrap_or_default();
    assert_eq!(log.rows.body(got.location, parts, got.size), b"begin, middle, end");
    assert_eq!(log.shard.row_count(), 3);
    log.apply(settle(7, Outcome::Ack, 1, 1));
    assert_eq!(log.shard.row_count(), 0);
}

#[test]
fn an_upload_that_nobody_knows_is_refused() {
    let mut log = Log::default();

    assert_eq!(log.apply(large(5)), Some(CommandReply::Refused(Refusal::UnknownUpload)));
}

#[test]
fn an_upload_is_claimed_by_a_publish_whose_queue_is_missing() {
    let mut log = Log::default();
    log.apply(chunk(b"begin, "));
    let Command::Publish(publish) = large(5) else { unreachable!() };
    let absent = warren_types::QueueId(9);

    let queues = vec![absent];
    let missing = log.apply(Command::Publish(Publish { queues, ..publish }));
    let again = log.apply(large(5));

    assert_eq!(missing, Some(CommandReply::Missing(vec![absent])));
    assert_eq!(again, Some(CommandReply::Refused(Refusal::UnknownUpload)), "it was claimed");
    assert_eq!(log.shard.row_count(), 0);
}

#[test]
fn an_upload_goes_with_its_session_or_when_it_is_abandoned() {
    for end in [Command::AbandonUpload { upload: 5 }, Command::CloseSession { session: FRONT }] {
        let mut log = Log::default();
        log.apply(chunk(b"begin, "));
        assert_eq!(log.shard.live_rows(LogIndex(log.index)), [LogIndex(log.index)]);

        log.apply(end);

        assert_eq!(log.shard.row_count(), 0);
    }
}
