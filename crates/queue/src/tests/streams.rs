//! Streams: what their messages share rows with, how much is dropped at a time, and what they cost.

use std::sync::Arc;

use bytes::Bytes;
use warren_machine::{Entry, Machine};
use warren_types::{ConsumerNumber, LogIndex, QueueId, RequestSequence, Term, Timestamp};

use super::kit::{FRONT, Log, QUEUE, publish};
use crate::entry::{self, EntryWriter, FragmentWriter};
use crate::{
    Command, CommandReply, DeadLetterStrategy, DeadLetterTarget, MACHINE_VERSION, QueueKind,
    QueueSettings, Refusal, Shard, Spot, StreamPage,
};

const OTHER: QueueId = QueueId(2);

fn stream() -> QueueSettings {
    QueueSettings { kind: QueueKind::Stream, ..QueueSettings::PLAIN }
}

fn page(shard: &Shard, from: u64, messages: usize) -> StreamPage {
    shard.stream_page(QUEUE, from, messages, u64::MAX).expect("a stream")
}

/// Entries of `burst` messages of 100 bytes each, without a look at the invariants each time.
fn fill(log: &mut Log, entries: u64, burst: usize) {
    let mut fragment = FragmentWriter::new();
    for _ in 0..burst {
        fragment.command(&publish(&[QUEUE], &[7; 100]));
    }
    let fragment = fragment.finish();
    for _ in 0..entries {
        log.index += 1;
        log.time += 1;
        let mut entry = EntryWriter::new(MACHINE_VERSION, Timestamp(log.time));
        let sequence = log.next_sequence(FRONT);
        let heard = RequestSequence(sequence - 1);
        entry.push(FRONT, RequestSequence(sequence), heard, &fragment);
        let entry = Entry { index: LogIndex(log.index), term: Term(1), payload: entry.finish() };
        log.shard.apply(&entry);
    }
}

/// Lets the leader's clock go on by a millisecond.
fn tick(log: &mut Log) {
    log.time += 1;
    log.apply(Command::Tick);
}

#[test]
fn a_shared_row_is_thinned_and_its_stream_is_read_on_at_the_time_it_had() {
    let mut log = Log::with(stream());
    log.create(OTHER, QueueSettings::PLAIN);
    let mut commands: Vec<_> = (0..20).map(|body| publish(&[OTHER], &[body; 200])).collect();
    commands.insert(7, publish(&[QUEUE, OTHER], b"kept"));
    commands.insert(3, publish(&[QUEUE], b"also"));
    log.all(FRONT, &commands);
    let (row, time) = (LogIndex(log.index), Timestamp(log.time));
    log.apply(Command::PurgeQueue { queue: OTHER });

    let sparse = log.shard.sparse_rows(LogIndex(0), row, 9);
    assert_eq!((sparse.len(), sparse[0].index, sparse[0].live_offsets.len()), (1, row, 2));
    let whole = log.rows.0[&row].clone();
    let thin = Shard::thin(&whole, &sparse[0].live_offsets);
    log.rows.0.insert(row, thin.clone());

    let bodies = log.rows.stream_bodies(&page(&log.shard, 0, 9));
    assert_eq!(bodies, [b"also".to_vec(), b"kept".to_vec()]);
    assert_eq!(entry::time(&thin), Some(time));
    assert!(thin.len() < whole.len() / 8);
    assert_eq!(entry::time(&Shard::thin(&thin, &sparse[0].live_offsets[1..])), Some(time));
}

#[test]
fn a_row_of_a_machine_without_streams_is_thinned_as_ever() {
    let mut log = Log::of_version(6, QueueSettings::PLAIN);
    log.enqueue_all::<9>();
    let row = log.rows.0[&LogIndex(log.index)].clone();
    let page = log.shard.browse(QUEUE, None, 2).expect("a queue");

    let thin = Shard::thin(&row, &[page.messages[1].at.offset]);

    assert_eq!((thin[0], entry::time(&thin)), (2, None));
}

#[test]
fn rows_go_with_their_segment() {
    let settings = QueueSettings { segment_bytes: Some(1), ..stream() };
    let mut log = Log::with(settings.clone());
    log.create(OTHER, QueueSettings::PLAIN);
    for _ in 0..3 {
        log.enqueue();
    }
    log.enqueue_to(&[QUEUE, OTHER]);
    log.enqueue();
    let last = log.index;

    log.apply(Command::ConfigureQueue {
        queue: QUEUE,
        settings: QueueSettings { max_length_bytes: Some(0), ..settings },
    });

    let live = log.shard.live_rows(LogIndex(log.index));
    assert_eq!(live, [LogIndex(last - 1), LogIndex(last)], "the other queue needs one");
    assert_eq!(log.shard.stream(QUEUE).map(|stream| stream.first_offset), Some(4));
}

#[test]
fn a_large_segment_is_out_of_sight_at_once_and_its_rows_are_freed_in_several_entries() {
    let settings = QueueSettings { segment_bytes: Some(40_000 * 164), ..stream() };
    let mut log = Log::with(settings.clone());
    fill(&mut log, 41_000, 1);
    assert_eq!(log.shard.stream(QUEUE).map(|stream| stream.segments), Some(2));
    let rows = log.shard.row_count();

    log.apply(Command::ConfigureQueue {
        queue: QUEUE,
        settings: QueueSettings { max_length_bytes: Some(1000), ..settings },
    });

    let left = log.shard.row_count();
    assert!(left < rows && left > 1000, "{left} of {rows} rows");
    assert_eq!(log.shard.stream(QUEUE).map(|stream| stream.first_offset), Some(40_000));
    assert_eq!(page(&log.shard, 0, 5).first_offset, 40_000);
    assert_eq!(log.shard.next_deadline(), Some(std::time::Duration::ZERO));
    log.restart();
    let mut entries = 0;
    while log.shard.next_deadline().is_some() {
        tick(&mut log);
        entries += 1;
    }
    assert_eq!((entries, log.shard.row_count()), (2, 1000));
}

#[test]
fn a_million_messages_in_bursts_of_a_hundred_cost_less_than_a_byte_each() {
    let mut log = Log::with(QueueSettings { segment_bytes: Some(50_000_000), ..stream() });

    fill(&mut log, 10_000, 100);

    let status = log.shard.stream(QUEUE).expect("a stream");
    assert_eq!((status.next_offset, status.segments), (1_000_000, 4));
    let bytes = log.shard.memory_bytes();
    assert!(bytes < 1_000_000, "{bytes} bytes");
    let snapshot: usize = log.shard.snapshot().iter().map(Bytes::len).sum();
    assert!(snapshot < 1_000_000, "{snapshot} bytes in a snapshot");
    let middle = page(&log.shard, 500_050, 1000);
    assert_eq!((middle.first_offset, middle.next_offset), (500_050, 501_050));
    assert_eq!(middle.runs.len(), 11);
}

#[test]
fn messages_that_came_one_by_one_cost_their_rows_and_a_few_bytes() {
    let mut log = Log::with(stream());

    fill(&mut log, 50_000, 1);

    let bytes = log.shard.memory_bytes() / 50_000;
    assert!(bytes < 32, "{bytes} bytes for each message");
    let snapshot: usize = log.shard.snapshot().iter().map(Bytes::len).sum();
    assert!(snapshot / 50_000 < 26, "{} bytes for each message", snapshot / 50_000);
    let mut restored = Shard::restore(&log.shard.snapshot()).expect("its own snapshot");
    assert_eq!(restored.digest(), log.shard.digest());
    assert_eq!(page(&restored, 23_456, 7), page(&log.shard, 23_456, 7));
    restored.take_over();
}

#[test]
fn what_is_not_for_streams_is_refused_and_does_nothing() {
    let mut log = Log::with(stream());
    log.enqueue_all::<3>();
    let before = log.shard.browse(QUEUE, None, 9).expect("a queue").messages;
    let (spot, at) = (before[1].spot, before[1].at);
    assert!(matches!(spot, Spot::Waiting { .. }));
    let (consumer, queue) = (ConsumerNumber(4), QUEUE);
    let refused = Some(CommandReply::Refused(Refusal::IsStream));

    assert_eq!(log.apply(Command::Attach(super::kit::terms(4))), refused);
    assert_eq!(log.apply(Command::Get { consumer, queue, no_ack: true }), refused);
    assert_eq!(log.apply(Command::PurgeQueue { queue }), refused);
    assert_eq!(log.apply(Command::DropMessage { queue, spot, at }), refused);
    assert_eq!(log.apply(Command::PickMessage { consumer, queue, spot, at }), refused);
    let settings = QueueSettings::PLAIN;
    let other = Some(CommandReply::Refused(Refusal::OtherKind));
    assert_eq!(log.apply(Command::ConfigureQueue { queue, settings }), other);

    assert_eq!(log.shard.browse(QUEUE, None, 9).expect("a queue").messages, before);
    assert_eq!(log.shard.consumers(QUEUE), []);
}

#[test]
fn letters_come_into_a_stream_once() {
    let mut log = Log::with(stream());
    let Command::Publish(message) = publish(&[QUEUE], b"dead") else { unreachable!() };
    let letter =
        |sequence| crate::Letter { source: OTHER, sequence: crate::DeadSequence(sequence) };
    for sequence in [1, 2, 1, 2, 3] {
        let letter = Some(letter(sequence));
        log.apply(Command::Publish(crate::Publish { letter, ..message.clone() }));
    }

    assert_eq!(log.shard.stream(QUEUE).map(|stream| stream.next_offset), Some(3));
}

#[test]
fn a_large_body_is_read_with_its_parts() {
    let mut log = Log::with(stream());
    log.apply(Command::Chunk { upload: 1, bytes: Bytes::from_static(b"begin, ") });
    let Command::Publish(large) = publish(&[QUEUE], b"end") else { unreachable!() };
    log.apply(Command::Publish(crate::Publish { upload: Some(1), ..large }));
    log.restart();

    let page = page(&log.shard, 0, 9);

    assert_eq!(log.rows.stream_bodies(&page), [b"begin, end".to_vec()]);
    assert_eq!(page.bytes, 10);
}

#[test]
fn a_stream_keeps_of_its_settings_what_means_something_to_it() {
    let target = DeadLetterTarget {
        exchange: Bytes::new(),
        routing_key: None,
        strategy: DeadLetterStrategy::AtMostOnce,
    };
    let settings = QueueSettings {
        max_length: Some(1),
        max_length_bytes: Some(2),
        max_age_ms: Some(3),
        segment_bytes: Some(4),
        dead_letter: Some(Arc::new(target)),
        ..stream()
    };
    let log = Log::with(settings.clone());

    let kept = log.shard.queue(QUEUE).expect("a queue").settings;

    assert_eq!(kept, settings.effective());
    assert_eq!((kept.max_length, kept.dead_letter), (None, None));
    assert_eq!((kept.max_length_bytes, kept.max_age_ms), (Some(2), Some(3)));
    assert_eq!(kept.segment_bytes, Some(4));
}

#[test]
fn who_asks_for_a_stream_that_is_none_is_told_so() {
    let log = Log::default();

    assert_eq!(log.shard.stream(QUEUE), None);
    assert_eq!(log.shard.stream_page(OTHER, 0, 1, 1), None);
    assert_eq!(log.shard.stream_run_at(QUEUE, 0), None);
    assert_eq!(log.shard.stream_since(QUEUE, Timestamp(0)), None);
    let empty = Log::with(stream());
    assert_eq!(empty.shard.stream_run_at(QUEUE, 0), None);
    assert_eq!(page(&empty.shard, 5, 5), StreamPage::default());
    assert_eq!(empty.shard.stream_since(QUEUE, Timestamp(0)), Some(0..0));
}
