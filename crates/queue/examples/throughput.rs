//! How many messages a shard takes through publish, delivery and settle on one core.
//!
//! `cargo run -p warren-queue --example throughput [messages]`
#![expect(clippy::print_stdout, reason = "a program that measures prints what it found")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use warren_machine::{Entry, Machine};
use warren_queue::entry::{EntryWriter, FragmentWriter, PublishParts};
use warren_queue::{
    Attach, Command, Effect, MACHINE_VERSION, Outcome, QueueSettings, SettleRange, Shard,
};
use warren_types::{
    BootId, ConsumerNumber, DeliverySequence, LogIndex, NodeId, QueueId, RequestSequence,
    SessionId, Term, Timestamp,
};

/// Messages in one entry.
const BURST: u64 = 100;

fn main() {
    let messages = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3_000_000);
    for (what, queues, consumers) in [
        ("one queue, one consumer", 1, 1),
        ("one queue, four consumers in turn", 1, 4),
        ("hundred queues, one consumer each", 100, 1),
    ] {
        let mut bench = Bench::new(queues, consumers);
        let rounds = messages / BURST;
        for round in 0..rounds {
            bench.round(round);
        }
        let rate = |spent: Duration| {
            Duration::from_secs(1).as_nanos() * u128::from(rounds * BURST) / spent.as_nanos().max(1)
        };
        println!(
            "{what}: {} messages/s applied, {} messages/s with encoding",
            rate(bench.applying),
            rate(bench.applying + bench.encoding)
        );
    }
}

struct Bench {
    shard: Shard,
    fragments: FragmentWriter,
    queues: Vec<QueueId>,
    /// What was given and is not settled, to be settled with the entry after.
    given: Vec<(ConsumerNumber, SettleRange)>,
    index: u64,
    applying: Duration,
    encoding: Duration,
}

impl Bench {
    fn new(queues: u64, consumers: u64) -> Self {
        let mut bench = Self {
            shard: Shard::new(),
            fragments: FragmentWriter::new(),
            queues: (1..=queues).map(QueueId).collect(),
            given: vec![],
            index: 0,
            applying: Duration::ZERO,
            encoding: Duration::ZERO,
        };
        bench.fragments.command(&Command::OpenSession);
        for queue in bench.queues.clone() {
            let settings = QueueSettings::default();
            bench.fragments.command(&Command::CreateQueue { queue, settings });
            for number in 0..consumers {
                bench.fragments.command(&Command::Attach(Attach {
                    consumer: ConsumerNumber(queue.0 * 10 + number),
                    queue,
                    prefetch: 0,
                    granted: DeliverySequence(u64::MAX),
                    priority: 0,
                    exclusive: false,
                    no_ack: false,
                    tag: Bytes::new(),
                    timeout_ms: None,
                    claim: None,
                }));
            }
        }
        bench.apply();
        (bench.applying, bench.encoding) = (Duration::ZERO, Duration::ZERO);
        bench
    }

    fn round(&mut self, round: u64) {
        let begin = Instant::now();
        let body = [7_u8; 100];
        for (consumer, range) in self.given.drain(..) {
            self.fragments.settle(consumer, Outcome::Ack, &[range]);
        }
        let count = u64::try_from(self.queues.len()).expect("few queues");
        let at = usize::try_from(round % count).expect("few queues");
        let queue = self.queues.get(at..=at).expect("within");
        let parts = PublishParts {
            queues: queue,
            persistent: true,
            exchange: b"amq.direct",
            routing_key: b"some.key",
            header: &[0; 14],
            upload: None,
            expiration_ms: None,
            priority: None,
            trail: &[],
            letter: None,
            delay_ms: None,
            dedup: &[],
        };
        for _ in 0..BURST {
            self.fragments.publish(&parts, body.len(), [&body[..]]);
        }
        self.encoding += begin.elapsed();
        self.apply();
    }

    fn apply(&mut self) {
        let begin = Instant::now();
        self.index += 1;
        let session = SessionId { node: NodeId(1), boot: BootId(1) };
        let mut entry = EntryWriter::new(MACHINE_VERSION, Timestamp(self.index));
        let (sequence, heard) = (RequestSequence(self.index), RequestSequence(self.index - 1));
        entry.push(session, sequence, heard, &self.fragments.finish());
        let (index, term) = (LogIndex(self.index), Term(1));
        let entry = Entry { index, term, payload: entry.finish() };
        self.encoding += begin.elapsed();

        let begin = Instant::now();
        let applied = self.shard.apply(&entry);
        self.applying += begin.elapsed();
        for effect in applied.effects {
            let Effect::Deliver(delivered) = effect else { continue };
            let count: u64 = delivered.runs.iter().map(|run| u64::from(run.count)).sum();
            let range = SettleRange { from: delivered.first, to: delivered.first.plus(count - 1) };
            self.given.push((delivered.consumer.number, range));
        }
    }
}
