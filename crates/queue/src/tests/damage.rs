//! Bytes that make no sense, in entries and in snapshots.

use std::sync::{Arc, LazyLock};

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use warren_machine::{Entry, Machine, RestoreError, kit};
use warren_types::{
    ConsumerNumber, DecodeError, LogIndex, RequestSequence, SessionId, Term, Timestamp,
};

use super::kit::{FRONT, Log, QUEUE, publish, session, settle, terms};
use crate::entry::{EntryWriter, FragmentWriter};
use crate::{
    Attach, Claim, ClaimKey, Command, DeadLetterStrategy, DeadLetterTarget, DeadRange,
    DeadSequence, DedupKey, DelayedRetry, DelayedRetryKind, Letter, MACHINE_VERSION, Outcome,
    Publish, QueueKind, QueueSettings, Reply, Retry, Shard,
};

/// Queues without rules, their messages and consumers.
fn busy() -> Log {
    busy_of(MACHINE_VERSION)
}

fn busy_of(version: u16) -> Log {
    let mut log = Log::of_version(version, QueueSettings::PLAIN);
    log.attach(1, 2);
    log.enqueue_all::<5>();
    log.apply(Command::Chunk { upload: 1, bytes: Bytes::from_static(b"part") });
    log.apply(Command::Chunk { upload: 2, bytes: Bytes::from_static(b"begin, ") });
    let Command::Publish(large) = publish(&[QUEUE], b"end") else { unreachable!() };
    log.apply(Command::Publish(Publish { upload: Some(2), ..large }));
    let settings =
        QueueSettings { single_active_consumer: true, auto_delete: true, ..QueueSettings::PLAIN };
    log.create(warren_types::QueueId(3), settings);
    let queue = warren_types::QueueId(3);
    log.attach_with(FRONT, Attach { queue, ..terms(5) }).expect("accepted");
    log.get(7);
    log.apply(Command::Detach { consumer: ConsumerNumber(7) });
    log.get(8);
    log.attach(2, 1);
    log.apply(Command::Cancel { consumer: ConsumerNumber(2) });
    log.apply(settle(1, Outcome::Requeue, 2, 2));
    log.create(warren_types::QueueId(2), QueueSettings::default());
    log.apply(Command::DeleteQueue {
        queue: warren_types::QueueId(2),
        if_unused: false,
        if_empty: false,
    });
    log
}

/// Something of everything that a snapshot can hold.
fn ruled() -> Log {
    streamed_of(MACHINE_VERSION)
}

/// Something of everything that the seventh version's machine knew: a stream of several segments, one
/// that ages, and an empty one.
fn streamed_of(version: u16) -> Log {
    let mut log = claimed_of(version);
    let [sized, aging, empty] = [15, 16, 17].map(warren_types::QueueId);
    let stream = QueueSettings { kind: QueueKind::Stream, ..QueueSettings::PLAIN };
    let segment_bytes = Some(200);
    let size = QueueSettings { max_length_bytes: Some(500), segment_bytes, ..stream.clone() };
    let age = QueueSettings { max_age_ms: Some(9000), segment_bytes, ..stream.clone() };
    for (queue, settings) in [(sized, size), (aging, age), (empty, stream)] {
        log.create(queue, settings);
    }
    for length in 1..9 {
        log.time += 100;
        log.all(FRONT, &vec![publish(&[sized, aging], &vec![7; length]); length]);
    }
    log.apply(Command::Chunk { upload: 3, bytes: Bytes::from_static(b"begin, ") });
    let Command::Publish(large) = publish(&[sized], b"end") else { unreachable!() };
    log.apply(Command::Publish(Publish { upload: Some(3), ..large.clone() }));
    log.apply(Command::Publish(Publish { delay_ms: Some(5000), ..large }));
    log
}

/// Something of everything that the sixth version's machine knew: one who has lapsed, and clients that
/// are waited for, or here and not able to take more.
fn claimed_of(version: u16) -> Log {
    let mut log = remembered_of(version);
    let (leased, queue) = (warren_types::QueueId(13), warren_types::QueueId(14));
    let settings =
        QueueSettings { leases: true, consumer_timeout_ms: Some(50), ..QueueSettings::PLAIN };
    log.create(leased, settings);
    log.create(queue, QueueSettings::PLAIN);
    log.all(FRONT, &vec![publish(&[leased], b"leased"); 2]);
    log.attach_with(FRONT, Attach { queue: leased, prefetch: 1, ..terms(21) }).expect("accepted");
    log.time += 50;
    log.all(FRONT, &vec![publish(&[queue], b"kept"); 8]);
    for (number, client, connection) in [(22, 1, 1), (23, 2, 2), (24, 3, 3)] {
        let key = ClaimKey([client; 16]);
        let claim = Some(Claim { key, connection, grace_ms: 40_000 });
        let terms = Attach { queue, prefetch: 2, claim, ..terms(number) };
        log.attach_with(FRONT, terms).expect("accepted");
        log.apply(Command::Lose { consumer: ConsumerNumber(number) });
    }
    let claim = Some(Claim { key: ClaimKey([2; 16]), connection: 4, grace_ms: 9 });
    let back = Attach { queue, prefetch: 1, claim, ..terms(25) };
    log.attach_with(FRONT, back).expect("accepted");
    log
}

/// Something of everything that the fifth version's machine knew.
fn remembered_of(version: u16) -> Log {
    let mut log = lettered_of(version);
    let settings = QueueSettings {
        dedup_window_ms: Some(5000),
        dedup_limit: Some(9),
        retry: Some(Retry { delays_ms: vec![5, 70], jitter_percent: 10 }),
        parking: Some(Arc::new(dlx())),
        ..QueueSettings::PLAIN
    };
    let queue = warren_types::QueueId(12);
    log.create(queue, settings);
    let Command::Publish(message) = publish(&[queue], b"once") else { unreachable!() };
    for key in [1, 2, 1, 3] {
        let dedup = vec![(queue, DedupKey([key; 16]))];
        log.time += 7;
        log.apply(Command::Publish(Publish { dedup, ..message.clone() }));
    }
    log
}

/// Something of everything that the fourth version's machine knew.
fn lettered_of(version: u16) -> Log {
    let mut log = ruled_of(version);
    let Command::Publish(message) = publish(&[QUEUE], b"dead") else { unreachable!() };
    for (source, sequence) in [(40, 3), (40, 4), (41, 1 << 40)] {
        let (source, sequence) = (warren_types::QueueId(source), DeadSequence(sequence));
        let letter = Some(Letter { source, sequence });
        log.apply(Command::Publish(Publish { letter, ..message.clone() }));
    }
    log
}

/// Something of everything that the third version's machine knew.
fn ruled_of(version: u16) -> Log {
    let mut log = busy_of(version);
    answer_unheard(&mut log);
    let queue = warren_types::QueueId(9);
    let retry = DelayedRetry { kind: DelayedRetryKind::All, min_ms: 50, max_ms: 90 };
    let settings = QueueSettings {
        kind: QueueKind::Quorum,
        message_ttl_ms: Some(5000),
        expires_ms: Some(60_000),
        max_length: Some(40),
        dead_letter: Some(dlx().into()),
        delayed_retry: Some(retry),
        ..QueueSettings::PLAIN
    };
    log.create(queue, settings);
    let Command::Publish(message) = publish(&[queue], b"ruled") else { unreachable!() };
    for priority in [None, Some(0), Some(9)] {
        let message = Publish { priority, expiration_ms: Some(70), ..message.clone() };
        log.all(FRONT, &vec![Command::Publish(message); 30]);
    }
    log.time += 9;
    let terms = Attach { queue, prefetch: 4, timeout_ms: Some(900), ..terms(11) };
    log.attach_with(FRONT, terms).expect("accepted");
    log.apply(settle(11, Outcome::Reject, 1, 1));
    log.apply(settle(11, Outcome::Requeue, 2, 3));
    let range = DeadRange { from: DeadSequence(3), to: DeadSequence(4) };
    log.apply(Command::DeadSettled { queue, ranges: vec![range] });
    log
}

fn dlx() -> DeadLetterTarget {
    DeadLetterTarget {
        exchange: Bytes::from_static(b"dlx"),
        routing_key: None,
        strategy: DeadLetterStrategy::AtLeastOnce,
    }
}

/// Has a session be closed whose front end has not heard all answers, and another one be opened
/// behind requests that never came.
fn answer_unheard(log: &mut Log) {
    let closed = session(2, 1);
    let get = Command::Get { consumer: ConsumerNumber(1), queue: QUEUE, no_ack: false };
    let missing = publish(&[warren_types::QueueId(99)], b"nowhere");
    log.open(closed);
    log.fragment_heard(closed, (2, 0), &[get]);
    log.fragment_heard(closed, (3, 0), &[Command::Tick]);
    log.fragment_heard(closed, (4, 1), &[Command::Status { queue: QUEUE }, missing]);
    log.fragment(SessionId::LEADER, 0, &[Command::CloseSession { session: closed }]);
    let late = [Command::OpenSession, Command::Status { queue: QUEUE }];
    log.fragment_heard(session(3, 1), (9, 4), &late);
}

/// An entry with a publish and a settle, twice, as [`FRONT`] would write it next.
fn sound(shard: &Shard) -> Bytes {
    let mut nodes = shard.sessions.nodes();
    let front = nodes.find(|(id, node)| (*id, node.boot) == (FRONT.node, FRONT.boot));
    let next = front.map_or(RequestSequence(1), |(_, node)| node.answers.next());
    let mut fragment = FragmentWriter::new();
    fragment.command(&publish(&[QUEUE], b"body"));
    fragment.command(&settle(1, Outcome::Ack, 1, 9));
    let mut entry = EntryWriter::new(MACHINE_VERSION, Timestamp(9000));
    let commands = fragment.finish();
    entry.push(FRONT, next, RequestSequence(0), &commands);
    entry.push(FRONT, RequestSequence(next.0.saturating_add(1)), next, &commands);
    entry.finish()
}

#[test]
fn every_prefix_of_an_entry_is_whole_or_changes_nothing() {
    let sound = sound(&busy().shard);
    for end in 0..sound.len() {
        let mut log = busy();
        let status = log.shard.queue_status(QUEUE);

        let reply = log.apply_bytes(sound.slice(..end)).reply;

        if matches!(reply, Reply::Damaged(_)) {
            assert_eq!(log.effects, []);
            assert_eq!(log.shard.queue_status(QUEUE), status);
            assert_eq!(log.shard.time(), Timestamp(1000));
            assert_eq!(log.shard.applied(), LogIndex(log.index));
        }
    }
}

#[test]
fn an_entry_of_a_later_machine_version_is_not_applied() {
    let mut log = busy();

    let reply = log.apply_bytes(EntryWriter::new(MACHINE_VERSION + 1, Timestamp(1)).finish()).reply;

    let value = u64::from(MACHINE_VERSION + 1);
    assert_eq!(reply, Reply::Damaged(DecodeError::Unknown { what: "machine version", value }));
}

#[test]
fn an_entry_is_not_applied_twice() {
    let mut log = busy();
    let payload = sound(&log.shard);
    let entry = Entry { index: LogIndex(log.index), term: Term(1), payload };
    let before = log.shard.digest();

    let reply = log.shard.apply(&entry).reply;

    let value = log.index;
    assert_eq!(reply, Reply::Damaged(DecodeError::Unknown { what: "log index", value }));
    assert_eq!(log.shard.digest(), before);
}

#[test]
fn an_entry_without_fragments_lets_time_pass() {
    let mut log = busy();

    let reply = log.apply_bytes(EntryWriter::new(MACHINE_VERSION, Timestamp(7777)).finish()).reply;

    assert_eq!(reply, Reply::Applied(vec![]));
    assert_eq!(log.shard.time(), Timestamp(7777));
}

#[test]
fn a_machine_passes_the_kit() {
    let log = ruled();
    let entries: Vec<Entry> = log
        .rows
        .0
        .iter()
        .map(|(index, payload)| Entry { index: *index, term: Term(1), payload: payload.clone() })
        .collect();

    kit::assert_apply_is_deterministic(Shard::new, &entries);
    let cuts: Vec<_> = (0..entries.len()).collect();
    kit::assert_snapshot_anywhere_changes_nothing(Shard::new, &entries, &cuts);
}

#[test]
fn a_snapshot_of_the_third_version_is_restored_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3.bin"));
    let log = ruled_of(3);

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "version 3 has changed; it must not");
    assert_eq!(shard.digest(), log.shard.digest());
}

#[test]
fn a_snapshot_with_letters_is_restored_for_ever() {
    let frozen =
        Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3-letters.bin"));
    let log = lettered_of(4);

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "letters in version 3 have changed; they must not");
    assert_eq!(shard.letter_sources(), log.shard.letter_sources());
}

#[test]
fn a_snapshot_with_scheduled_messages_is_restored_for_ever() {
    let frozen =
        Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3-scheduled.bin"));
    let mut log = Log::of_version(4, QueueSettings::default());
    for (body, delay_ms) in [(1, 100), (2, 50), (3, 100)] {
        let Command::Publish(publish) = publish(&[QUEUE], &[body]) else { unreachable!() };
        log.apply(Command::Publish(Publish { delay_ms: Some(delay_ms), ..publish }));
    }

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "version 3 has changed; it must not");
    assert_eq!(shard.queue_status(QUEUE).map(|status| status.delayed), Some(3));
}

#[test]
fn a_snapshot_with_remembered_messages_is_restored_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3-recent.bin"));
    let log = remembered_of(5);

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "version 3 has changed; it must not");
    let keys = shard.queue(warren_types::QueueId(12)).map(|queue| queue.dedup_keys);
    assert_eq!(keys, Some(3));
}

#[test]
fn a_snapshot_with_clients_that_are_waited_for_is_restored_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3-claims.bin"));
    let log = claimed_of(6);

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "version 3 has changed; it must not");
    let status = shard.queue_status(warren_types::QueueId(14));
    assert_eq!(status.map(|status| (status.delayed, status.unsettled)), Some((5, 1)));
}

#[test]
fn a_snapshot_with_streams_is_restored_for_ever() {
    let frozen =
        Bytes::from_static(include_bytes!("../../testdata/formats/snapshot-3-streams.bin"));
    let log = streamed_of(7);

    let shard = Shard::restore(std::slice::from_ref(&frozen)).expect("version 3 is spoken");

    shard.check();
    assert!(log.shard.snapshot() == [frozen], "version 3 has changed; it must not");
    let [sized, aging] = [15, 16].map(|queue| shard.stream(warren_types::QueueId(queue)));
    let sized = sized.map(|stream| (stream.first_offset, stream.next_offset, stream.segments));
    assert_eq!(sized, Some((28, 37, 2)));
    assert_eq!(aging.map(|stream| stream.next_offset), Some(36));
}

#[test]
fn a_snapshot_that_is_cut_off_is_not_restored() {
    let [page] = &ruled().shard.snapshot()[..] else { panic!("a small state has one page") };
    for end in 0..page.len() {
        assert!(Shard::restore(&[page.slice(..end)]).is_err(), "cut off at {end}");
    }
    assert!(Shard::restore(&[]).is_err());
}

#[test]
fn a_snapshot_of_another_version_is_not_restored() {
    let mut page = BytesMut::from(&busy().shard.snapshot()[0][..]);
    page[1] = 9;

    let outcome = Shard::restore(&[page.freeze()]);

    assert!(matches!(outcome, Err(RestoreError::Version { version: 9 })));
}

#[test]
fn a_large_state_has_many_pages_that_belong_together() {
    let mut log = Log::default();
    for _ in 0..300 {
        // Lengths that differ keep messages from being one run.
        let commands: Vec<_> =
            (0..100_usize).map(|at| publish(&[QUEUE], &[7; 200][..1 + at % 199])).collect();
        log.all(FRONT, &commands);
    }
    let pages = log.shard.snapshot();
    assert!(pages.len() > 1);
    assert!(pages.iter().all(|page| page.len() < (1 << 20) + 4096));

    log.restart();

    let missing = Shard::restore(&pages[1..]);
    assert!(matches!(missing, Err(RestoreError::Inconsistent { .. })));
    let swapped: Vec<_> = pages.iter().rev().cloned().collect();
    assert!(matches!(Shard::restore(&swapped), Err(RestoreError::Inconsistent { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_an_entry_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut log = busy();

        log.apply_bytes(bytes.into());
    }

    #[test]
    fn an_entry_with_changed_bytes_is_an_entry_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut log = busy();
        let mut bytes = BytesMut::from(&sound(&log.shard)[..]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }

        log.apply_bytes(bytes.freeze());
        log.restart();
    }

    #[test]
    fn a_snapshot_with_changed_bytes_is_sound_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        static PAGE: LazyLock<Bytes> = LazyLock::new(|| ruled().shard.snapshot()[0].clone());
        let mut page = BytesMut::from(&PAGE[..]);
        for (at, byte) in changes {
            let at = at.index(page.len());
            page[at] = byte;
        }

        if let Ok(mut shard) = Shard::restore(&[page.freeze()]) {
            shard.take_over();
            let index = LogIndex(shard.applied().0.saturating_add(1));
            let payload = sound(&shard);
            shard.apply(&Entry { index, term: Term(1), payload });
            let payload = EntryWriter::new(MACHINE_VERSION, Timestamp(60_000)).finish();
            let index = LogIndex(index.0.saturating_add(1));
            shard.apply(&Entry { index, term: Term(1), payload });
            shard.snapshot();
        }
    }
}
