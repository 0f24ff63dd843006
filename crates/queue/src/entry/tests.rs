//! Round trips, frozen samples, and bytes that mean nothing.

use std::sync::Arc;

use bytes::Bytes;
use warren_types::{
    BootId, ConsumerNumber, DecodeError, DeliverySequence, Location, LogIndex, MessageNumber,
    NodeId, QueueId, RequestSequence, SessionId, Timestamp,
};

use super::{CommandRef, EntryRef, chunk, decode, message, thin, time};
use super::{DecodedEntry, DecodedFragment, EntryWriter, FragmentWriter, PublishParts};
use crate::{
    Attach, Claim, ClaimKey, Command, DeadLetterStrategy, DeadLetterTarget, DeadRange,
    DeadSequence, DedupKey, DelayedRetry, DelayedRetryKind, DeliveryCounting, Letter, Outcome,
    Overflow, Publish, QueueKind, QueueSettings, Retry, SettleRange, Spot,
};

const SESSION: SessionId = SessionId { node: NodeId(3), boot: BootId(1_700_000_000_000) };

fn large() -> Publish {
    Publish {
        queues: vec![QueueId(7), QueueId(1 << 40)],
        persistent: true,
        exchange: Bytes::from_static(b"amq.topic"),
        routing_key: Bytes::from_static(b"stock.eu"),
        header: Bytes::from_static(&[0x90, 0, 10, b't', b'e', b'x', b't']),
        body: Bytes::from_static(b"the last part"),
        upload: Some(5),
        expiration_ms: None,
        priority: None,
        trail: Bytes::new(),
        letter: None,
        delay_ms: None,
        dedup: vec![],
    }
}

fn plain() -> Publish {
    Publish {
        queues: vec![QueueId(7)],
        persistent: false,
        exchange: Bytes::new(),
        routing_key: Bytes::from_static(b"tasks"),
        header: Bytes::new(),
        body: Bytes::from_static(b"hello"),
        upload: None,
        expiration_ms: None,
        priority: None,
        trail: Bytes::new(),
        letter: None,
        delay_ms: None,
        dedup: vec![],
    }
}

fn every_command() -> Vec<Command> {
    let (consumer, queue) = (ConsumerNumber(11), QueueId(7));
    let settings = QueueSettings { auto_delete: true, ..QueueSettings::PLAIN };
    let range = |from, to| SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) };
    let settle = |outcome, ranges| Command::Settle { consumer, outcome, ranges };
    vec![
        Command::OpenSession,
        Command::Publish(plain()),
        Command::Publish(large()),
        settle(Outcome::Ack, vec![range(1, 5), range(9, 9)]),
        settle(Outcome::Requeue, vec![range(6, 6)]),
        settle(Outcome::RejectRequeue, vec![]),
        settle(Outcome::Reject, vec![range(7, 7)]),
        settle(Outcome::Release, vec![range(8, u64::MAX)]),
        Command::Attach(Attach {
            consumer,
            queue,
            prefetch: 250,
            granted: DeliverySequence(1000),
            priority: -3,
            exclusive: true,
            no_ack: false,
            tag: Bytes::from_static(b"ctag-1"),
            timeout_ms: None,
            claim: None,
        }),
        Command::Cancel { consumer },
        Command::Detach { consumer },
        Command::Grant { consumer, up_to: DeliverySequence(2000) },
        Command::Get { consumer, queue, no_ack: true },
        Command::CreateQueue { queue, settings: settings.clone() },
        Command::ConfigureQueue {
            queue,
            settings: QueueSettings { single_active_consumer: true, ..QueueSettings::PLAIN },
        },
        Command::DeleteQueue { queue, if_unused: true, if_empty: false },
        Command::ForgetQueue { queue },
        Command::PurgeQueue { queue },
        Command::Status { queue },
        Command::CloseSession { session: SESSION },
        Command::Chunk { upload: 5, bytes: Bytes::from_static(b"the first part, ") },
        Command::AbandonUpload { upload: 6 },
        Command::Tick,
    ]
}

/// What the second machine version added.
fn every_rule() -> Vec<Command> {
    let queue = QueueId(7);
    let range = |from, to| DeadRange { from: DeadSequence(from), to: DeadSequence(to) };
    let target = |routing_key, strategy| {
        let exchange = Bytes::from_static(b"dlx");
        Some(Arc::new(DeadLetterTarget { exchange, routing_key, strategy }))
    };
    let retry = |kind| Some(DelayedRetry { kind, min_ms: 100, max_ms: 60_000 });
    let all = QueueSettings {
        auto_delete: true,
        single_active_consumer: true,
        kind: QueueKind::Quorum,
        message_ttl_ms: Some(1),
        expires_ms: Some(2),
        max_length: Some(3),
        max_length_bytes: Some(4),
        overflow: Overflow::RejectPublish,
        dead_letter: target(None, DeadLetterStrategy::AtLeastOnce),
        delivery_limit: Some(20),
        delivery_counting: DeliveryCounting::Returns,
        max_priority: Some(10),
        consumer_timeout_ms: Some(1_800_000),
        delayed_retry: retry(DelayedRetryKind::All),
        ..QueueSettings::PLAIN
    };
    let few = QueueSettings {
        overflow: Overflow::RejectPublishDlx,
        dead_letter: target(Some(Bytes::from_static(b"key")), DeadLetterStrategy::AtMostOnce),
        delayed_retry: retry(DelayedRetryKind::Failed),
        ..QueueSettings::PLAIN
    };
    let delayed_retry = retry(DelayedRetryKind::Returned);
    vec![
        Command::Publish(Publish { expiration_ms: Some(60_000), priority: Some(5), ..large() }),
        Command::Publish(Publish { expiration_ms: Some(0), ..plain() }),
        Command::Publish(Publish { priority: Some(255), ..plain() }),
        Command::Attach(Attach {
            consumer: ConsumerNumber(11),
            queue,
            prefetch: 1,
            granted: DeliverySequence(5),
            priority: 0,
            exclusive: false,
            no_ack: true,
            tag: Bytes::new(),
            timeout_ms: Some(5000),
            claim: None,
        }),
        Command::CreateQueue { queue, settings: all },
        Command::ConfigureQueue { queue, settings: few },
        Command::ConfigureQueue {
            queue,
            settings: QueueSettings { delayed_retry, ..QueueSettings::PLAIN },
        },
        Command::Touch { queue },
        Command::DeadSettled { queue, ranges: vec![range(1, 32), range(40, u64::MAX)] },
    ]
}

/// Publishes of messages that have come some way.
fn travelled() -> Vec<Command> {
    let trail = Bytes::from_static(b"\x01far");
    vec![
        Command::Publish(Publish { trail: trail.clone(), ..plain() }),
        Command::Publish(Publish { trail, expiration_ms: Some(7), priority: Some(5), ..large() }),
    ]
}

/// Publishes of messages that have died elsewhere.
fn letters() -> Vec<Command> {
    let trail = Bytes::from_static(b"\x01far");
    let letter = Some(Letter { source: QueueId(9), sequence: DeadSequence(1 << 40) });
    vec![
        Command::Publish(Publish { letter, ..plain() }),
        Command::Publish(Publish { letter, trail, priority: Some(5), ..large() }),
    ]
}

fn entry_of(fragments: &[&[Command]]) -> Bytes {
    let mut writer = FragmentWriter::new();
    let mut entry = EntryWriter::new(1, Timestamp(1_700_000_000_123));
    for (sequence, commands) in (41..).zip(fragments) {
        for command in *commands {
            writer.command(command);
        }
        let heard = RequestSequence(sequence - 3);
        entry.push(SESSION, RequestSequence(sequence), heard, &writer.finish());
    }
    entry.finish()
}

/// The offsets of the publish and chunk records.
fn offsets(entry: &Bytes) -> Vec<u32> {
    let parsed = EntryRef::parse(entry).expect("a sound entry");
    let commands = parsed.fragments().flat_map(|fragment| fragment.commands());
    commands
        .filter_map(|command| match command {
            CommandRef::Publish(publish) => Some(publish.offset),
            CommandRef::Chunk { offset, .. } => Some(offset),
            _ => None,
        })
        .collect()
}

#[test]
fn every_command_is_read_as_it_was_written() {
    let commands = every_command();
    let fragment = |sequence, commands| DecodedFragment {
        session: SESSION,
        sequence: RequestSequence(sequence),
        heard: RequestSequence(sequence - 3),
        commands,
    };

    let decoded = decode(&entry_of(&[&commands, &[], &[Command::Tick]]));

    let fragments =
        vec![fragment(41, commands), fragment(42, vec![]), fragment(43, vec![Command::Tick])];
    let time = Timestamp(1_700_000_000_123);
    assert_eq!(decoded, Ok(DecodedEntry { machine_version: 1, time, passed_ms: None, fragments }));
}

#[test]
fn every_rule_is_read_as_it_was_written_for_ever() {
    let frozen = include_bytes!("../../testdata/formats/entry-3-rules.bin");

    let written = entry_of(&[&every_rule()]);

    assert!(written == frozen.as_slice(), "what the second machine version wrote has changed");
    let decoded = decode(frozen).expect("a sound entry");
    assert_eq!(decoded.fragments[0].commands, every_rule());
    for end in 0..written.len() {
        let _ = decode(&written[..end]);
    }
}

#[test]
fn a_trail_is_read_as_it_was_written_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/entry-3-trail.bin"));

    let written = entry_of(&[&travelled()]);

    assert!(written == frozen, "what was written of trails has changed");
    let decoded = decode(&frozen).expect("a sound entry");
    assert_eq!(decoded.fragments[0].commands, travelled());
    let [first, _] = offsets(&frozen)[..] else { panic!("two records") };
    for row in [&frozen, &thin(&frozen, &[first])] {
        assert_eq!(message(row, first).expect("it is there").trail, b"\x01far"[..]);
    }
    for end in 0..written.len() {
        let _ = decode(&written[..end]);
    }
}

/// Publishes of messages that are not to wait at once.
fn scheduled() -> Vec<Command> {
    let trail = Bytes::from_static(b"\x01far");
    vec![
        Command::Publish(Publish { delay_ms: Some(1 << 40), ..plain() }),
        Command::Publish(Publish { delay_ms: Some(0), trail, priority: Some(5), ..large() }),
    ]
}

/// Publishes of messages that their publishers have named, and what machine version 5 knows of queues.
fn named() -> Vec<Command> {
    let queue = QueueId(7);
    let dedup = vec![(queue, DedupKey([0xA5; 16])), (QueueId(1 << 40), DedupKey([1; 16]))];
    let target = Arc::new(DeadLetterTarget {
        exchange: Bytes::new(),
        routing_key: Some(Bytes::from_static(b"parking")),
        strategy: DeadLetterStrategy::AtLeastOnce,
    });
    let settings = QueueSettings {
        dedup_window_ms: Some(60_000),
        dedup_limit: Some(1000),
        retry: Some(Retry { delays_ms: vec![0, 1000, 1 << 40], jitter_percent: 100 }),
        parking: Some(target),
        ..QueueSettings::PLAIN
    };
    vec![
        Command::Publish(Publish { dedup: dedup.clone(), ..plain() }),
        Command::Publish(Publish { dedup, delay_ms: Some(5), priority: Some(5), ..large() }),
        Command::CreateQueue { queue, settings },
        Command::CancelScheduled {
            queue,
            due: Timestamp(1 << 41),
            at: Location { index: LogIndex(1 << 33), offset: 77 },
        },
    ]
}

#[test]
fn a_key_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-dedup.bin"), &named());
}

/// Messages that are dropped, and picked, each where it may be.
fn messages() -> Vec<Command> {
    let queue = QueueId(1 << 40);
    let at = Location { index: LogIndex(1 << 33), offset: 77 };
    let (due, number) = (Timestamp(1 << 41), MessageNumber(5));
    let spots = [
        Spot::Waiting { level: -3, number },
        Spot::Held { order: 9, sequence: DeliverySequence(8) },
        Spot::Delayed { due, number },
        Spot::Scheduled { due },
        Spot::Dead { sequence: DeadSequence(7) },
    ];
    let each = spots.into_iter().flat_map(|spot| {
        let pick = Command::PickMessage { consumer: ConsumerNumber(3), queue, spot, at };
        [Command::DropMessage { queue, spot, at }, pick]
    });
    each.collect()
}

#[test]
fn where_a_message_is_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-spots.bin"), &messages());
}

/// What machine version 6 knows of consumers.
fn claimed() -> Vec<Command> {
    let (consumer, queue) = (ConsumerNumber(11), QueueId(7));
    let claim = Claim { key: ClaimKey([0xC1; 16]), connection: 1 << 31, grace_ms: 60_000 };
    let attach = Attach {
        consumer,
        queue,
        prefetch: 1,
        granted: DeliverySequence(5),
        priority: 0,
        exclusive: false,
        no_ack: false,
        tag: Bytes::from_static(b"ctag-2"),
        timeout_ms: None,
        claim: Some(claim),
    };
    let range = SettleRange { from: DeliverySequence(3), to: DeliverySequence(4) };
    vec![
        Command::CreateQueue {
            queue,
            settings: QueueSettings { leases: true, ..QueueSettings::PLAIN },
        },
        Command::Attach(attach.clone()),
        Command::Attach(Attach { timeout_ms: Some(5000), ..attach }),
        Command::Settle { consumer, outcome: Outcome::Extend, ranges: vec![range] },
        Command::Lose { consumer },
    ]
}

#[test]
fn a_claim_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-claims.bin"), &claimed());
}

/// What a release has written of `commands` is what is written of them, and is read as them.
fn streams() -> Vec<Command> {
    let settings = QueueSettings {
        kind: QueueKind::Stream,
        max_length_bytes: Some(1 << 40),
        max_age_ms: Some(604_800_000),
        segment_bytes: Some(500_000_000),
        ..QueueSettings::PLAIN
    };
    let plain = QueueSettings { kind: QueueKind::Stream, ..QueueSettings::PLAIN };
    vec![
        Command::CreateQueue { queue: QueueId(7), settings: plain },
        Command::ConfigureQueue { queue: QueueId(7), settings },
    ]
}

#[test]
fn a_stream_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-streams.bin"), &streams());
}

/// Of an entry that was written for a machine with streams.
fn timed() -> Bytes {
    let mut entry = entry_of(&[&every_command()]).to_vec();
    entry[1..3].copy_from_slice(&7_u16.to_be_bytes());
    entry.into()
}

#[test]
fn a_sparse_row_that_has_kept_its_time_is_read_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/sparse-4.bin"));
    let row = timed();
    let offsets = offsets(&row);

    assert!(thin(&row, &offsets[1..]) == frozen, "format 4 has changed; it must not");
    let read = message(&frozen, offsets[1]).expect("it is there");
    assert_eq!(read.body, large().body);
    assert_eq!(time(&frozen), Some(Timestamp(1_700_000_000_123)));
    let twice = thin(&frozen, &offsets[1..2]);
    assert_eq!(message(&twice, offsets[1]).expect("it is there").body, large().body);
    assert_eq!(time(&twice), time(&frozen));
    for end in 0..frozen.len() {
        let cut = frozen.slice(..end);
        let _ = (message(&cut, offsets[1]), chunk(&cut, offsets[2]), time(&cut));
        let _ = thin(&cut, &offsets[1..]);
    }
}

fn assert_frozen(frozen: &'static [u8], commands: &[Command]) {
    let frozen = Bytes::from_static(frozen);
    let written = entry_of(&[commands]);
    assert!(written == frozen, "what was written has changed; it must not");
    let decoded = decode(&frozen).expect("a sound entry");
    assert_eq!(decoded.fragments[0].commands, commands);
    for end in 0..written.len() {
        let _ = decode(&written[..end]);
    }
}

#[test]
fn a_delay_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-delay.bin"), &scheduled());
}

#[test]
fn a_dead_letter_is_read_as_it_was_written_for_ever() {
    assert_frozen(include_bytes!("../../testdata/formats/entry-3-letter.bin"), &letters());
}

#[test]
fn an_entry_of_the_first_release_is_read_for_ever() {
    let frozen = include_bytes!("../../testdata/formats/entry-3.bin");

    let written = entry_of(&[&every_command(), &[Command::Tick]]);

    assert!(written == frozen.as_slice(), "format 3 has changed; it must not");
    assert!(decode(frozen).is_ok());
}

#[test]
fn a_sparse_row_of_the_first_release_is_read_for_ever() {
    let frozen = Bytes::from_static(include_bytes!("../../testdata/formats/sparse-2.bin"));
    let row = entry_of(&[&every_command(), &[Command::Tick]]);
    let offsets = offsets(&row);

    assert!(thin(&row, &offsets[1..]) == frozen, "format 2 has changed; it must not");
    let read = message(&frozen, offsets[1]).expect("it is there");
    assert_eq!(read.body, large().body);
}

#[test]
fn records_are_found_by_their_offsets_in_whole_and_in_thinned_rows() {
    let row = entry_of(&[&every_command()]);
    let [first, second, part] = offsets(&row)[..] else { panic!("three records") };
    let thinned = thin(&row, &[part, second]);
    let twice = thin(&thinned, &[second]);

    for row in [&row, &thinned, &twice] {
        let read = message(row, second).expect("it is there");
        assert_eq!(
            (read.persistent, read.exchange, read.body),
            (true, large().exchange, large().body)
        );
        assert_eq!((read.routing_key, read.header), (large().routing_key, large().header));
    }
    for row in [&row, &thinned] {
        assert_eq!(chunk(row, part), Ok(Bytes::from_static(b"the first part, ")));
    }
    let gone = |offset: u32| DecodeError::Unknown {
        what: "offset in a sparse row",
        value: u64::from(offset),
    };
    assert_eq!(message(&thinned, first), Err(gone(first)));
    assert_eq!(chunk(&twice, part), Err(gone(part)));
    assert!(thinned.len() < row.len() && twice.len() < thinned.len());
}

#[test]
fn a_record_of_another_kind_is_refused() {
    let row = entry_of(&[&every_command()]);
    let [first, _, part] = offsets(&row)[..] else { panic!("three records") };

    assert!(message(&row, part).is_err());
    assert!(chunk(&row, first).is_err());
}

#[test]
fn a_row_that_does_not_hold_what_it_should_is_not_thinned() {
    let row = entry_of(&[&every_command()]);

    assert_eq!(thin(&row, &[3]), row);
    assert_eq!(thin(&Bytes::new(), &[3]), Bytes::new());
}

#[test]
fn any_offset_in_any_row_is_answered() {
    let row = entry_of(&[&every_command()]);
    let thinned = thin(&row, &offsets(&row));
    for row in [row, thinned] {
        for offset in (0..=u32::try_from(row.len()).unwrap() + 9).chain([u32::MAX]) {
            let _ = message(&row, offset);
            let _ = chunk(&row, offset);
        }
        for end in 0..row.len() {
            let _ = message(&row.slice(..end), 60);
        }
    }
}

#[test]
fn a_body_in_slices_is_the_body() {
    let mut slices = FragmentWriter::new();
    let mut whole = FragmentWriter::new();
    let publish = large();
    let parts = PublishParts {
        queues: &publish.queues,
        persistent: publish.persistent,
        exchange: &publish.exchange,
        routing_key: &publish.routing_key,
        header: &publish.header,
        upload: publish.upload,
        expiration_ms: publish.expiration_ms,
        priority: publish.priority,
        trail: &publish.trail,
        letter: publish.letter,
        delay_ms: publish.delay_ms,
        dedup: &publish.dedup,
    };

    let ordinal = slices.publish(&parts, 13, [&b"the "[..], b"", b"last part"]);
    whole.command(&Command::Publish(publish.clone()));

    assert_eq!(ordinal, 0);
    assert_eq!(slices.finish(), whole.finish());
}

#[test]
fn a_writer_is_used_again() {
    let mut writer = FragmentWriter::new();
    assert_eq!(writer.command(&Command::Tick), 0);
    assert_eq!(writer.command(&Command::Tick), 1);
    assert_eq!((writer.count(), writer.len(), writer.is_empty()), (2, 2, false));

    let first = writer.finish();

    assert_eq!((writer.count(), writer.len(), writer.is_empty()), (0, 0, true));
    assert_eq!(writer.command(&Command::Tick), 0);
    assert_eq!((first.len(), writer.finish().len()), (2, 1));
}

#[test]
fn bits_and_kinds_without_meaning_are_refused() {
    let fragment = |commands: &[u8]| {
        let mut entry = EntryWriter::new(1, Timestamp(0));
        entry.push(SESSION, RequestSequence(1), RequestSequence(0), commands);
        decode(&entry.finish())
    };

    assert!(fragment(&[18]).is_ok());
    assert_eq!(fragment(&[99]), Err(DecodeError::Unknown { what: "command", value: 99 }));
    let settings = [8, 0, 0, 0, 0, 0, 0, 0, 7, 4];
    assert_eq!(fragment(&settings), Err(DecodeError::Unknown { what: "queue settings", value: 4 }));
}

#[test]
fn an_entry_says_the_time_of_day_and_what_has_passed() {
    let time = Timestamp(1_800_000_000_123);
    for passed_ms in [0, 1, 10_000, u16::MAX - 1] {
        let bytes = EntryWriter::paced(6, time, passed_ms).finish();

        let decoded = decode(&bytes).unwrap();

        assert_eq!((decoded.time, decoded.passed_ms), (time, Some(passed_ms)));
        assert_eq!(super::time(&bytes), Some(time));
    }
    let most = decode(&EntryWriter::paced(6, Timestamp(u64::MAX), u16::MAX).finish()).unwrap();
    assert_eq!((most.time.0, most.passed_ms), ((1 << 48) - 1, Some(u16::MAX - 1)));
    let untold = decode(&EntryWriter::new(6, Timestamp(u64::MAX)).finish()).unwrap();
    assert_eq!((untold.time.0, untold.passed_ms), ((1 << 48) - 1, None));
}
