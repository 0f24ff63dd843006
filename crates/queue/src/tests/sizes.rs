//! What many messages and many queues cost.

use warren_machine::Machine;
use warren_types::QueueId;

use super::kit::{FRONT, Log, QUEUE, publish};
use crate::{Command, Outcome, QueueSettings, Shard};

/// Messages in one entry.
const BURST: u64 = 100;

/// Puts plain messages into [`QUEUE`] without looking at the invariants each time.
fn fill(log: &mut Log, messages: u64) {
    use crate::entry::{EntryWriter, FragmentWriter};
    use warren_machine::Entry;
    use warren_types::{LogIndex, RequestSequence, Term, Timestamp};

    let mut fragment = FragmentWriter::new();
    let message = publish(&[QUEUE], &[7; 100]);
    for _ in 0..messages / BURST {
        for _ in 0..BURST {
            fragment.command(&message);
        }
        log.index += 1;
        let mut entry = EntryWriter::new(1, Timestamp(log.index));
        let sequence = log.next_sequence(FRONT);
        let heard = RequestSequence(sequence - 1);
        entry.push(FRONT, RequestSequence(sequence), heard, &fragment.finish());
        let (index, payload) = (LogIndex(log.index), entry.finish());
        log.shard.apply(&Entry { index, term: Term(1), payload });
    }
}

#[test]
fn a_million_waiting_messages_cost_less_than_two_bytes_each() {
    let mut log = Log::default();

    fill(&mut log, 1_000_000);

    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(1_000_000));
    let bytes = log.shard.memory_bytes();
    assert!(bytes < 2_000_000, "{bytes} bytes");
    let snapshot: usize = log.shard.snapshot().iter().map(bytes::Bytes::len).sum();
    assert!(snapshot < 1_000_000, "{snapshot} bytes");
}

#[test]
fn a_million_messages_are_held_and_come_back_as_runs() {
    let mut log = Log::default();
    fill(&mut log, 1_000_000);
    let first = log.attach(1, 0);
    assert_eq!(log.shard.consumer(first).map(|one| one.unsettled), Some(1_000_000));
    let held = log.shard.memory_bytes();

    log.apply(Command::Cancel { consumer: first.number });
    log.settle(first, Outcome::Requeue, 1, u64::MAX);
    let returned = log.shard.memory_bytes();

    assert!(held < 2_000_000, "{held} bytes held");
    assert!(returned < 2_000_000, "{returned} bytes come back");
    assert_eq!(log.shard.queue_status(QUEUE).map(|status| status.ready), Some(1_000_000));
}

#[test]
fn a_hundred_thousand_idle_queues_cost_a_few_hundred_bytes_each() {
    let mut log = Log::default();
    let commands: Vec<_> = (2..=100_000)
        .map(|queue| Command::CreateQueue {
            queue: QueueId(queue),
            settings: QueueSettings::default(),
        })
        .collect();

    log.all(FRONT, &commands);

    let bytes = log.shard.memory_bytes() / 100_000;
    assert!(bytes < 500, "{bytes} bytes for each queue");
    let shard = Shard::restore(&log.shard.snapshot()).expect("its own snapshot");
    assert_eq!(shard.queues().len(), 100_000);
}

#[test]
fn a_queue_that_was_used_and_is_empty_keeps_its_counts_and_nothing_else() {
    let mut log = Log::with(QueueSettings::default());
    let memory = |log: &Log| log.shard.queues()[0].memory_bytes;
    let before = memory(&log);

    for _ in 0..100 {
        log.enqueue();
    }
    let full = memory(&log);
    let consumer = log.attach(1, 0);
    log.settle(consumer, Outcome::Ack, 1, 100);
    log.apply(Command::Detach { consumer: consumer.number });

    let kept = memory(&log) - before;
    assert!(full > before);
    let tally = u64::try_from(size_of::<crate::counts::Tally>()).unwrap();
    assert_eq!(kept, tally, "{before} to {full}");
}
