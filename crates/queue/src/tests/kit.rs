//! A log with one shard behind it, for scripts.

use std::collections::BTreeMap;

use bytes::Bytes;
use warren_machine::{Applied, Entry, Machine};
use warren_types::{
    BootId, ConsumerId, ConsumerNumber, DeliverySequence, Location, LogIndex, NodeId, QueueId,
    RequestSequence, SessionId, Term, Timestamp,
};

use super::model::Letter;
use crate::entry::{EntryWriter, FragmentWriter, chunk, message};
use crate::{
    Attach, Command, CommandReply, Delivered, DeliveredRun, Effect, FragmentReply, MACHINE_VERSION,
    Outcome, Publish, QueueSettings, Refusal, Reply, SettleRange, Shard, StreamPage,
};

/// The queue that scripts use when they need but one.
pub(super) const QUEUE: QueueId = QueueId(1);

/// The front end that scripts use when they need but one.
pub(super) const FRONT: SessionId = session(1, 1);

pub(super) const fn session(node: u64, boot: u64) -> SessionId {
    SessionId { node: NodeId(node), boot: BootId(boot) }
}

/// A message that was given to somebody, with its body read from the row.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Given {
    pub(super) consumer: ConsumerId,
    pub(super) queue: QueueId,
    pub(super) sequence: u64,
    pub(super) body: Vec<u8>,
    pub(super) acquired: u32,
    pub(super) failed: u32,
}

impl std::fmt::Debug for Given {
    /// One short line, with the body's number and length.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { consumer, queue, sequence, body, acquired, failed } = self;
        let (body, length) = (body.iter().take(8).rev().find(|byte| **byte != 0), body.len());
        write!(f, "{consumer} of {queue} #{sequence}: {body:?}+{length} {acquired}/{failed}")
    }
}

/// The rows that entries have become.
#[derive(Debug, Default)]
pub(super) struct Rows(pub(super) BTreeMap<LogIndex, Bytes>);

impl Rows {
    pub(super) fn body(&self, at: Location, parts: &[Location], size: u32) -> Vec<u8> {
        let mut body = vec![];
        for part in parts {
            body.extend_from_slice(&chunk(&self.0[&part.index], part.offset).expect("a chunk"));
        }
        body.extend_from_slice(&message(&self.0[&at.index], at.offset).expect("a message").body);
        assert_eq!(body.len(), usize::try_from(size).unwrap(), "the size is that of the body");
        body
    }

    /// Each message of a page of a stream.
    pub(super) fn stream_bodies(&self, page: &StreamPage) -> Vec<Vec<u8>> {
        page.runs.iter().flat_map(|run| self.bodies(run)).collect()
    }

    /// Each message of a delivery.
    pub(super) fn given(&self, delivered: &Delivered) -> Vec<Given> {
        let mut given = vec![];
        let mut sequence = delivered.first.0;
        for run in &delivered.runs {
            assert!(run.count > 1 || run.stride == 0, "a single message has no stride");
            for body in self.bodies(run) {
                assert_eq!(run.redelivered, run.acquired_count > 0);
                given.push(Given {
                    consumer: delivered.consumer,
                    queue: delivered.queue,
                    sequence,
                    body,
                    acquired: run.acquired_count,
                    failed: run.delivery_count,
                });
                sequence += 1;
            }
        }
        given
    }

    fn bodies(&self, run: &DeliveredRun) -> Vec<Vec<u8>> {
        let each = run.location;
        self.series(each, (run.stride, run.count), run.parts.as_deref(), run.size)
    }

    fn series(
        &self,
        first: Location,
        (stride, count): (u32, u32),
        parts: Option<&[Location]>,
        size: u32,
    ) -> Vec<Vec<u8>> {
        let each = (0..count).map(|at| {
            let offset = first.offset + at * stride;
            self.body(Location { offset, ..first }, parts.unwrap_or_default(), size)
        });
        each.collect()
    }

    /// Each dead message.
    pub(super) fn letters(&self, effects: &[Effect]) -> Vec<Letter> {
        let mut letters = vec![];
        for effect in effects {
            let Effect::DeadLetter(dead) = effect else { continue };
            let mut sequence = dead.first.0;
            for run in &dead.runs {
                let shape = (run.stride, run.count);
                for body in self.series(run.location, shape, run.parts.as_deref(), run.size) {
                    letters.push(Letter {
                        queue: dead.queue,
                        sequence,
                        body,
                        reason: run.reason.name(),
                        time: run.time.0,
                        acquired: run.acquired_count,
                        failed: run.delivery_count,
                    });
                    sequence += 1;
                }
            }
        }
        letters
    }

    pub(super) fn all_given(&self, effects: &[Effect]) -> Vec<Given> {
        let each = effects.iter().flat_map(|effect| match effect {
            Effect::Deliver(delivered) => self.given(delivered),
            Effect::Cancelled { .. } | Effect::QueueEnded { .. } | Effect::DeadLetter(_) => vec![],
        });
        each.collect()
    }
}

/// One shard and all that was asked of it. Checks the invariants after every entry.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) shard: Shard,
    pub(super) rows: Rows,
    pub(super) index: u64,
    pub(super) time: u64,
    /// The machine version of the entries.
    pub(super) version: u16,
    sequences: BTreeMap<SessionId, u64>,
    pub(super) effects: Vec<Effect>,
    messages: u8,
}

impl Default for Log {
    /// With [`QUEUE`] and [`FRONT`].
    fn default() -> Self {
        Self::with(QueueSettings::default())
    }
}

impl Log {
    pub(super) fn empty() -> Self {
        Self {
            shard: Shard::new(),
            rows: Rows::default(),
            index: 0,
            time: 1000,
            version: MACHINE_VERSION,
            sequences: BTreeMap::new(),
            effects: vec![],
            messages: 0,
        }
    }

    pub(super) fn with(settings: QueueSettings) -> Self {
        Self::of_version(MACHINE_VERSION, settings)
    }

    /// One whose entries are written for an earlier machine.
    pub(super) fn of_version(version: u16, settings: QueueSettings) -> Self {
        let mut log = Self { version, ..Self::empty() };
        log.open(FRONT);
        log.create(QUEUE, settings);
        log
    }

    /// Applies any bytes.
    pub(super) fn apply_bytes(&mut self, payload: Bytes) -> Applied<Reply, Effect> {
        self.index += 1;
        let index = LogIndex(self.index);
        self.rows.0.insert(index, payload.clone());
        let applied = self.shard.apply(&Entry { index, term: Term(1), payload });
        self.shard.check();
        self.effects = applied.effects.clone();
        applied
    }

    /// Applies one fragment, under a sequence of the caller's choice, of a front end that has all
    /// answers before.
    pub(super) fn fragment(
        &mut self,
        session: SessionId,
        sequence: u64,
        commands: &[Command],
    ) -> FragmentReply {
        self.fragment_heard(session, (sequence, sequence.saturating_sub(1)), commands)
    }

    /// Applies one fragment of a front end that has the answers up to `heard`.
    pub(super) fn fragment_heard(
        &mut self,
        session: SessionId,
        (sequence, heard): (u64, u64),
        commands: &[Command],
    ) -> FragmentReply {
        let mut fragment = FragmentWriter::new();
        for command in commands {
            fragment.command(command);
        }
        let mut entry = EntryWriter::new(self.version, Timestamp(self.time));
        let (sequence, heard) = (RequestSequence(sequence), RequestSequence(heard));
        entry.push(session, sequence, heard, &fragment.finish());
        match self.apply_bytes(entry.finish()).reply {
            Reply::Applied(mut replies) => replies.remove(0),
            Reply::Damaged(error) => panic!("the kit writes sound entries: {error}"),
        }
    }

    pub(super) fn next_sequence(&mut self, session: SessionId) -> u64 {
        let sequence = self.sequences.entry(session).or_default();
        *sequence += 1;
        *sequence
    }

    /// Applies commands of a session in one entry.
    pub(super) fn all(&mut self, session: SessionId, commands: &[Command]) -> FragmentReply {
        let sequence = self.next_sequence(session);
        self.fragment(session, sequence, commands)
    }

    /// Applies one command of a session. Returns its answer.
    pub(super) fn by(&mut self, session: SessionId, command: Command) -> Option<CommandReply> {
        match self.all(session, &[command]) {
            FragmentReply::Done(replies) => replies.into_iter().next().map(|(_, reply)| reply),
            other => panic!("the session is open: {other:?}"),
        }
    }

    /// Applies one command of [`FRONT`].
    pub(super) fn apply(&mut self, command: Command) -> Option<CommandReply> {
        self.by(FRONT, command)
    }

    pub(super) fn open(&mut self, session: SessionId) {
        assert_eq!(self.all(session, &[Command::OpenSession]), FragmentReply::Done(vec![]));
    }

    pub(super) fn create(&mut self, queue: QueueId, settings: QueueSettings) {
        self.apply(Command::CreateQueue { queue, settings });
    }

    /// Registers a consumer of [`QUEUE`] by [`FRONT`].
    pub(super) fn attach(&mut self, number: u64, prefetch: u32) -> ConsumerId {
        self.attach_with(FRONT, Attach { prefetch, ..terms(number) }).expect("accepted")
    }

    pub(super) fn attach_with(
        &mut self,
        session: SessionId,
        terms: Attach,
    ) -> Result<ConsumerId, Refusal> {
        let number = terms.consumer;
        match self.by(session, Command::Attach(terms)) {
            Some(CommandReply::Attached) => Ok(ConsumerId { session, number }),
            Some(CommandReply::Refused(refusal)) => Err(refusal),
            other => panic!("no answer to an attach: {other:?}"),
        }
    }

    /// Publishes one message to [`QUEUE`]. Its body is one byte that counts.
    pub(super) fn enqueue(&mut self) -> u8 {
        self.enqueue_to(&[QUEUE])
    }

    pub(super) fn enqueue_to(&mut self, queues: &[QueueId]) -> u8 {
        self.messages += 1;
        assert_eq!(self.apply(publish(queues, &[self.messages])), None);
        self.messages
    }

    /// Publishes messages to [`QUEUE`] in one entry.
    pub(super) fn enqueue_all<const N: usize>(&mut self) -> [u8; N] {
        let mut bodies = [0; N];
        for body in &mut bodies {
            self.messages += 1;
            *body = self.messages;
        }
        let commands: Vec<_> = bodies.iter().map(|body| publish(&[QUEUE], &[*body])).collect();
        self.all(FRONT, &commands);
        bodies
    }

    pub(super) fn settle(&mut self, consumer: ConsumerId, outcome: Outcome, from: u64, to: u64) {
        self.by(consumer.session, settle(consumer.number.0, outcome, from, to));
    }

    pub(super) fn get(&mut self, number: u64) -> Option<CommandReply> {
        let consumer = ConsumerNumber(number);
        self.apply(Command::Get { consumer, queue: QUEUE, no_ack: false })
    }

    /// What the last entry gave to whom: consumer number, sequence, body, redelivered.
    pub(super) fn given(&self) -> Vec<(u64, u64, u8, bool)> {
        self.short(&self.effects)
    }

    pub(super) fn short(&self, effects: &[Effect]) -> Vec<(u64, u64, u8, bool)> {
        let given = self.rows.all_given(effects).into_iter();
        given
            .map(|one| (one.consumer.number.0, one.sequence, one.body[0], one.acquired > 0))
            .collect()
    }

    /// The counts of the messages that the last entry gave: body, acquired, failed.
    pub(super) fn counters(&self) -> Vec<(u8, u32, u32)> {
        let given = self.rows.all_given(&self.effects).into_iter();
        given.map(|one| (one.body[0], one.acquired, one.failed)).collect()
    }

    /// Replaces the shard by what its snapshot says.
    pub(super) fn restart(&mut self) {
        let before = self.shard.digest();
        self.shard = Shard::restore(&self.shard.snapshot()).expect("its own snapshot");
        self.shard.check();
        assert_eq!(self.shard.digest(), before);
    }
}

/// A consumer of [`QUEUE`] without limits.
pub(super) fn terms(number: u64) -> Attach {
    Attach {
        consumer: ConsumerNumber(number),
        queue: QUEUE,
        prefetch: 0,
        granted: DeliverySequence(u64::MAX),
        priority: 0,
        exclusive: false,
        no_ack: false,
        tag: Bytes::from_static(b"ctag"),
        timeout_ms: None,
        claim: None,
    }
}

pub(super) fn publish(queues: &[QueueId], body: &[u8]) -> Command {
    Command::Publish(Publish {
        queues: queues.to_vec(),
        persistent: true,
        exchange: Bytes::from_static(b"amq.topic"),
        routing_key: Bytes::from_static(b"some.key"),
        header: Bytes::from_static(&[0x10, 0, 2]),
        body: Bytes::copy_from_slice(body),
        upload: None,
        expiration_ms: None,
        priority: None,
        trail: Bytes::new(),
        letter: None,
        delay_ms: None,
        dedup: vec![],
    })
}

pub(super) fn settle(number: u64, outcome: Outcome, from: u64, to: u64) -> Command {
    let ranges = vec![SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) }];
    Command::Settle { consumer: ConsumerNumber(number), outcome, ranges }
}
