//! Generated histories: everything that front ends can ask, in any order, against the model.
//!
//! `WARREN_HISTORIES` says how many, `WARREN_SEED` where to begin. A failure names its seed.

use std::sync::Arc;

use bytes::Bytes;
use warren_machine::{Entry, Machine};
use warren_types::{
    ConsumerId, ConsumerNumber, DeliverySequence, Location, LogIndex, MessageNumber, QueueId,
    RequestSequence, SessionId, Term, Timestamp,
};

use super::kit::{Rows, session};
use super::model::{Answer, Model};
use crate::entry::{EntryWriter, FragmentWriter, message};
use crate::{
    Attach, Claim, ClaimKey, Command, CommandReply, DeadLetterStrategy, DeadLetterTarget,
    DeadRange, DeadSequence, DedupKey, DelayedRetry, DelayedRetryKind, DeliveryCounting, Effect,
    FragmentReply, Letter, MACHINE_VERSION, Outcome, Overflow, Publish, QueueKind, QueueSettings,
    Reply, Retry, SettleRange, Shard, Spot,
};

/// Histories in a run that nobody has asked for more of: seconds.
const HISTORIES: u64 = 10_000;

/// Entries in each history.
const ENTRIES: u64 = 30;

#[test]
fn histories_end_as_the_model_says_after_every_entry() {
    play_histories(|seed| History::new(seed).play());
}

/// Plays as many as are asked for.
pub(super) fn play_histories(play: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let histories = number("WARREN_HISTORIES").unwrap_or(HISTORIES);
    let first = number("WARREN_SEED").unwrap_or(0);

    for seed in first..first + histories {
        let played = std::panic::catch_unwind(|| play(seed));
        assert!(played.is_ok(), "history failed: WARREN_SEED={seed} WARREN_HISTORIES=1");
    }
}

/// Draws numbers from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (x ^ (x >> 31)) % sides
    }

    pub(super) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

struct History {
    dice: Dice,
    shard: Shard,
    /// Applies the same entries and is never restored.
    twin: Shard,
    model: Model,
    rows: Rows,
    /// The same, never thinned: answers that are given again speak of what may be gone.
    entries: Rows,
    index: u64,
    time: u64,
    bodies: u64,
    /// More different queues, or more on the same few.
    queues: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let queues = 1 + dice.roll(4);
        Self {
            dice,
            shard: Shard::new(),
            twin: Shard::new(),
            model: Model::default(),
            rows: Rows::default(),
            entries: Rows::default(),
            index: 0,
            time: 1_000_000,
            bodies: 0,
            queues,
        }
    }

    fn play(mut self) {
        for _ in 0..ENTRIES {
            self.entry();
            self.compare();
            match self.dice.roll(8) {
                0 => self.restart(),
                1 => self.take_over(),
                _ => {}
            }
        }
        assert_eq!(self.shard.digest(), self.twin.digest(), "replicas differ in the end");
    }

    fn entry(&mut self) {
        self.index += 1 + self.dice.roll(2);
        self.time = match self.dice.roll(12) {
            0 => self.time.saturating_sub(self.dice.roll(100)).max(1),
            1 => self.time + self.dice.roll(30_000),
            2..5 => self.time,
            _ => self.time + self.dice.roll(60),
        };
        let time = Timestamp(self.time);
        self.model.begin(self.index, self.time);
        let mut entry = EntryWriter::new(MACHINE_VERSION, time);
        let mut expected = vec![];
        for _ in 0..self.dice.roll(3) + u64::from(self.index > 1) {
            let (session, sequence, heard, commands) = self.request();
            let mut fragment = FragmentWriter::new();
            for command in &commands {
                fragment.command(command);
            }
            let numbers = (RequestSequence(sequence), RequestSequence(heard));
            entry.push(session, numbers.0, numbers.1, &fragment.finish());
            expected.push(self.model.fragment(session, (sequence, heard), &commands));
        }
        self.model.deliver();

        let (index, term) = (LogIndex(self.index), Term(1));
        let entry = Entry { index, term, payload: entry.finish() };
        self.rows.0.insert(index, entry.payload.clone());
        self.entries.0.insert(index, entry.payload.clone());
        let applied = self.shard.apply(&entry);
        self.twin.apply(&entry);
        let Reply::Applied(replies) = applied.reply else { panic!("the entry is sound") };

        assert_eq!(replies.len(), expected.len());
        for (reply, expected) in replies.into_iter().zip(expected) {
            assert_eq!(self.answers(reply), expected);
        }
        let mut given = self.rows.all_given(&applied.effects);
        given.sort();
        self.model.given.sort();
        assert_eq!(given, self.model.given);
        assert_eq!(events(&applied.effects), by_queue(&self.model.events));
        let mut letters = self.rows.letters(&applied.effects);
        letters.sort();
        self.model.letters.sort();
        assert_eq!(letters, self.model.letters);
        assert_eq!(self.shard.time(), Timestamp(self.model.now));
    }

    /// A reply in the model's words.
    fn answers(&self, reply: FragmentReply) -> Result<Vec<(u32, Answer)>, FragmentReply> {
        let FragmentReply::Done(replies) = reply else { return Err(reply) };
        let answers = replies.into_iter().map(|(ordinal, reply)| {
            let CommandReply::Got(got) = reply else { return (ordinal, Answer::Plain(reply)) };
            let parts = got.parts.as_deref().unwrap_or_default();
            assert_eq!(got.redelivered, got.acquired_count > 0);
            let answer = Answer::Got {
                sequence: got.sequence.0,
                body: self.entries.body(got.location, parts, got.size),
                acquired: got.acquired_count,
                failed: got.delivery_count,
                remaining: got.remaining,
            };
            (ordinal, answer)
        });
        Ok(answers.collect())
    }

    fn compare(&mut self) {
        self.shard.check();
        for queue in (1..=self.queues).map(QueueId) {
            assert_eq!(self.shard.queue_status(queue), self.model.status(queue), "queue {queue}");
        }
        let rows: Vec<u64> =
            self.shard.live_rows(LogIndex(self.index)).into_iter().map(|row| row.0).collect();
        assert_eq!(rows, self.model.rows(), "rows that are needed");
    }

    fn restart(&mut self) {
        let before = self.shard.digest();
        self.shard = Shard::restore(&self.shard.snapshot()).expect("its own snapshot");
        self.shard.check();
        assert_eq!(self.shard.digest(), before, "a snapshot changes nothing");
        assert_eq!(self.shard.digest(), self.twin.digest(), "replicas are alike");
    }

    fn take_over(&mut self) {
        let before = self.shard.digest();
        let effects = self.shard.take_over();
        assert_eq!(self.shard.take_over(), effects, "taking over again owes the same");
        assert_eq!(self.shard.digest(), before, "taking over changes nothing");
        let (held, ended) = self.model.owed();
        let given = self.rows.all_given(&effects);
        assert_eq!(given, held);
        assert_eq!(events(&effects), ended);
        assert_eq!(self.rows.letters(&effects), self.model.owed_letters());
        self.thin();
        self.browse();
        self.read_streams();
    }

    /// Reads streams, a few messages at a time, from anywhere.
    fn read_streams(&mut self) {
        for queue in (1..=self.queues).map(QueueId) {
            let Some(expected) = self.model.stream(queue) else {
                assert_eq!(self.shard.stream(queue), None, "queue {queue}");
                continue;
            };
            let (next, segments) = self.model.stream_shape(queue);
            let status = self.shard.stream(queue).expect("it is a stream");
            let first = segments.first().map_or(next, |(first, _)| first - 1);
            assert_eq!((status.first_offset, status.next_offset), (first, next), "{queue}");
            assert_eq!(status.segments, segments.len(), "{queue}");
            let mut from = self.dice.roll(next + 2);
            let expected: Vec<_> =
                expected.into_iter().filter(|(offset, _)| *offset >= from).collect();
            let mut found = vec![];
            loop {
                let (messages, bytes) = (1 + self.side(4), self.dice.roll(400));
                let page = self.shard.stream_page(queue, from, messages, bytes);
                let page = page.expect("it is a stream");
                assert!(page.messages <= 4 && (page.messages <= 1 || page.bytes <= bytes));
                let read = self.rows.stream_bodies(&page);
                assert_eq!(u64::try_from(read.len()).unwrap(), page.messages);
                assert_eq!(page.next_offset, page.first_offset + page.messages);
                if read.is_empty() {
                    assert_eq!(page.next_offset, next);
                    break;
                }
                let run = self.shard.stream_run_at(queue, page.first_offset).expect("it is there");
                assert!((run.first_offset..run.next_offset).contains(&page.first_offset));
                assert_eq!(run.row, page.runs[0].location.index);
                found.extend((page.first_offset..).zip(read));
                from = page.next_offset;
            }
            assert_eq!(found, expected, "stream {queue}");
            self.check_since(queue, next, &segments);
        }
    }

    /// Looks for a time among the segments.
    fn check_since(&mut self, queue: QueueId, next: u64, segments: &[(u64, u64)]) {
        let time = self.time.saturating_sub(self.dice.roll(200));
        let found = self.shard.stream_since(queue, Timestamp(time)).expect("it is a stream");
        let at = segments.iter().position(|(_, newest)| *newest >= time);
        let start = |at: usize| segments.get(at).map_or(next, |(first, _)| first - 1);
        let expected = at.map_or(next..next, |at| start(at)..start(at + 1));
        assert_eq!(found, expected, "stream {queue} since {time}");
    }

    /// Looks at every message, at once and a few at a time.
    fn browse(&mut self) {
        for queue in (1..=self.queues).map(QueueId) {
            let Some(whole) = self.shard.browse(queue, None, usize::MAX) else { continue };
            let (mut paged, mut from) = (vec![], None);
            loop {
                let limit = 1 + self.side(4);
                let page = self.shard.browse(queue, from, limit).expect("it was just there");
                assert!(page.messages.len() == limit || page.next.is_none(), "a short page");
                paged.extend(page.messages);
                from = page.next;
                if from.is_none() {
                    break;
                }
            }
            assert_eq!(paged, whole.messages, "queue {queue}");
            let status = self.shard.queue_status(queue).expect("it was just there");
            let all = status.ready + status.unsettled + status.delayed + status.dead;
            assert_eq!(u64::try_from(paged.len()).unwrap(), all, "queue {queue}");
            let waiting = paged.iter().filter(|one| matches!(one.spot, Spot::Waiting { .. }));
            let waiting: Vec<_> = waiting
                .map(|one| {
                    self.rows.body(one.at, one.parts.as_deref().unwrap_or_default(), one.size)
                })
                .collect();
            assert_eq!(waiting, self.model.waiting(queue), "what waits in queue {queue}");
        }
    }

    /// Thins out what is sparse, as the sweep does.
    fn thin(&mut self) {
        for sparse in self.shard.sparse_rows(LogIndex(0), LogIndex(self.index), 3) {
            let row = self.rows.0.get_mut(&sparse.index).expect("a row of this log");
            *row = Shard::thin(row, &sparse.live_offsets);
        }
    }

    /// Whose, its number, what was heard, and what is asked.
    fn request(&mut self) -> (SessionId, u64, u64, Vec<Command>) {
        if self.dice.one_in(30) {
            let session = session(1 + self.dice.roll(3), 1);
            return (
                SessionId::LEADER,
                0,
                0,
                vec![Command::CloseSession { session }, Command::Tick],
            );
        }
        let id = session(1 + self.dice.roll(3), 1 + self.dice.roll(2) * self.dice.roll(2));
        let last = self.model.last_request(id);
        let sequence = match self.dice.roll(20) {
            0..3 => last.saturating_sub(self.dice.roll(4)),
            3 => last + 1 + self.dice.roll(4),
            _ => last + 1,
        };
        let heard = (last + 1).saturating_sub(self.dice.roll(6));
        let mut commands = vec![];
        if !self.model.is_open(id) && !self.dice.one_in(4) {
            commands.push(Command::OpenSession);
        }
        for _ in 0..1 + self.dice.roll(6) {
            let command = self.command(id);
            // Bursts, so that there are runs.
            let times = if matches!(command, Command::Publish(_)) { self.dice.roll(6) } else { 0 };
            commands.push(command);
            for _ in 0..times {
                let again = commands.last().map(|last| self.another(last)).expect("just pushed");
                commands.push(again);
            }
        }
        (id, sequence, heard, commands)
    }

    /// The same publish with another body of the same length.
    fn another(&mut self, command: &Command) -> Command {
        let Command::Publish(publish) = command else { return command.clone() };
        let upload = None;
        Command::Publish(Publish { body: self.body(publish.body.len()), upload, ..publish.clone() })
    }

    fn command(&mut self, id: SessionId) -> Command {
        let queue = QueueId(1 + self.dice.roll(self.queues));
        match self.dice.roll(100) {
            0..20 => self.publish(),
            20..45 => self.settle(id),
            45..57 => self.attach(queue),
            57..62 => Command::Cancel { consumer: self.consumer(id) },
            62..65 => Command::Detach { consumer: self.consumer(id) },
            65..67 => Command::Lose { consumer: self.consumer(id) },
            67..72 => {
                let up_to = DeliverySequence(self.dice.roll(30));
                Command::Grant { consumer: self.consumer(id), up_to }
            }
            72..79 => Command::Get { consumer: self.consumer(id), queue, no_ack: false },
            79..86 => Command::CreateQueue { queue, settings: self.settings() },
            86..88 => Command::ConfigureQueue { queue, settings: self.settings() },
            88 => {
                let (if_unused, if_empty) = (self.dice.one_in(2), self.dice.one_in(2));
                Command::DeleteQueue { queue, if_unused, if_empty }
            }
            89..91 => Command::ForgetQueue { queue },
            91 => Command::PurgeQueue { queue },
            92 => Command::Status { queue },
            93 => Command::OpenSession,
            94 => Command::CloseSession { session: session(1 + self.dice.roll(3), 1) },
            95 => match self.dice.roll(7) {
                0 => Command::Touch { queue },
                1 => self.cancel_scheduled(queue),
                2 => {
                    let (spot, at) = self.message_of(queue);
                    Command::DropMessage { queue, spot, at }
                }
                3 | 4 => {
                    let (spot, at) = self.message_of(queue);
                    Command::PickMessage { consumer: self.consumer(id), queue, spot, at }
                }
                _ => self.dead_settled(queue),
            },
            96..98 => {
                let bytes = 1 + usize::try_from(self.dice.roll(20)).unwrap();
                Command::Chunk { upload: self.dice.roll(2), bytes: self.body(bytes) }
            }
            98 => Command::AbandonUpload { upload: self.dice.roll(2) },
            _ => Command::Tick,
        }
    }

    fn publish(&mut self) -> Command {
        let mut queues: Vec<_> = (1..=self.queues).map(QueueId).collect();
        let one = self.dice.roll(self.queues) + 1;
        if !self.dice.one_in(3) {
            queues.retain(|queue| queue.0 == one);
        }
        let length = if self.dice.one_in(4) { 9 + self.dice.roll(300) } else { 8 };
        Command::Publish(Publish {
            queues,
            persistent: self.dice.one_in(2),
            exchange: Bytes::from_static(b"logs"),
            routing_key: Bytes::from_static(b"a.b"),
            header: Bytes::from_static(&[1, 2, 3]),
            body: self.body(usize::try_from(length).unwrap()),
            upload: self.dice.one_in(8).then(|| self.dice.roll(2)),
            expiration_ms: self.dice.one_in(5).then(|| self.dice.roll(4) * 40),
            priority: self.dice.one_in(5).then(|| [0, 2, 4, 9, 40][self.side(5)]),
            trail: Bytes::new(),
            letter: self.dice.one_in(6).then(|| Letter {
                source: QueueId(1 + self.dice.roll(4)),
                sequence: DeadSequence(1 + self.dice.roll(30)),
            }),
            delay_ms: self.dice.one_in(5).then(|| self.dice.roll(4) * 40),
            dedup: self.keys(),
        })
    }

    /// Half of the messages have a name, few names, for some queues.
    fn keys(&mut self) -> Vec<(QueueId, DedupKey)> {
        if self.dice.one_in(2) {
            return vec![];
        }
        let key = DedupKey([u8::try_from(self.dice.roll(12)).unwrap(); 16]);
        let mut queues: Vec<_> = (1..=self.queues).map(QueueId).collect();
        queues.retain(|_| !self.dice.one_in(4));
        queues.into_iter().map(|queue| (queue, key)).collect()
    }

    /// A body like no other, as long as it has eight bytes.
    fn body(&mut self, length: usize) -> Bytes {
        self.bodies += 1;
        let mut body = self.bodies.to_be_bytes().to_vec();
        body.resize(length, 0xAA);
        body.into()
    }

    fn settle(&mut self, id: SessionId) -> Command {
        let consumer = self.consumer(id);
        let id = ConsumerId { session: id, number: consumer };
        let known = self.model.consumers.values().find(|one| one.id == id);
        let last = known.map_or(3, |one| one.last);
        let outcome = [
            Outcome::Ack,
            Outcome::Ack,
            Outcome::Requeue,
            Outcome::RejectRequeue,
            Outcome::Reject,
            Outcome::Release,
            Outcome::Extend,
        ][self.side(7)];
        let mut ranges = vec![];
        for _ in 0..1 + self.dice.roll(2) {
            let to = self.dice.roll(last + 2);
            let from = to.saturating_sub(self.dice.roll(5));
            let to = if self.dice.one_in(30) { u64::MAX } else { to };
            ranges.push(SettleRange { from: DeliverySequence(from), to: DeliverySequence(to) });
        }
        Command::Settle { consumer, outcome, ranges }
    }

    fn attach(&mut self, queue: QueueId) -> Command {
        let granted = if self.dice.one_in(3) { self.dice.roll(6) } else { u64::MAX };
        Command::Attach(Attach {
            consumer: ConsumerNumber(self.dice.roll(5)),
            queue,
            prefetch: [0, 1, 2, 5][usize::try_from(self.dice.roll(4)).unwrap()],
            granted: DeliverySequence(granted),
            priority: [0, 0, 0, 1, -1][usize::try_from(self.dice.roll(5)).unwrap()],
            exclusive: self.dice.one_in(12),
            no_ack: self.dice.one_in(6),
            tag: Bytes::from_static(b"tag"),
            timeout_ms: self.dice.one_in(8).then(|| self.dice.roll(3) * 50),
            claim: self.dice.one_in(3).then(|| self.claim()),
        })
    }

    /// Of few clients, with few connections.
    fn claim(&mut self) -> Claim {
        Claim {
            key: ClaimKey([u8::try_from(self.dice.roll(2)).unwrap(); 16]),
            connection: self.dice.roll(2),
            grace_ms: [0, 40, 100, 9000][self.side(4)],
        }
    }

    /// Mostly one that is there.
    fn consumer(&mut self, id: SessionId) -> ConsumerNumber {
        let own = self.model.consumers.values().map(|one| one.id).filter(|one| one.session == id);
        let own: Vec<_> = own.collect();
        if own.is_empty() || self.dice.one_in(8) {
            return ConsumerNumber(self.dice.roll(6));
        }
        let at = self.dice.roll(u64::try_from(own.len()).unwrap());
        own[usize::try_from(at).unwrap()].number
    }

    fn dead_settled(&mut self, queue: QueueId) -> Command {
        let from = 1 + self.dice.roll(6);
        let to = if self.dice.one_in(4) { u64::MAX } else { from + self.dice.roll(30) };
        let range = DeadRange { from: DeadSequence(from), to: DeadSequence(to) };
        Command::DeadSettled { queue, ranges: vec![range] }
    }

    /// Mostly one that is there.
    fn cancel_scheduled(&mut self, queue: QueueId) -> Command {
        let all = self.shard.scheduled(queue, usize::MAX);
        if all.is_empty() || self.dice.one_in(8) {
            let at = Location { index: LogIndex(1), offset: 5 };
            return Command::CancelScheduled { queue, due: Timestamp(self.model.now), at };
        }
        let one = &all[self.side(u64::try_from(all.len()).unwrap())];
        let body = message(&self.entries.0[&one.at.index], one.at.offset).expect("a message").body;
        self.model.bodies.insert((one.at.index.0, one.at.offset), body.to_vec());
        Command::CancelScheduled { queue, due: one.due, at: one.at }
    }

    /// A message, mostly one that is there and is found where it is.
    fn message_of(&mut self, queue: QueueId) -> (Spot, Location) {
        let page = self.shard.browse(queue, None, usize::MAX).unwrap_or_default();
        if page.messages.is_empty() {
            let spot = Spot::Waiting { level: 0, number: MessageNumber(self.dice.roll(20)) };
            return (spot, Location { index: LogIndex(1), offset: 5 });
        }
        let sides = u64::try_from(page.messages.len()).unwrap();
        let (one, other) = (&page.messages[self.side(sides)], &page.messages[self.side(sides)]);
        let at = if self.dice.one_in(6) { other.at } else { one.at };
        let body = message(&self.entries.0[&at.index], at.offset).expect("a message").body;
        self.model.bodies.insert((at.index.0, at.offset), body.to_vec());
        (one.spot, at)
    }

    fn side(&mut self, sides: u64) -> usize {
        usize::try_from(self.dice.roll(sides)).unwrap()
    }

    /// Half of the queues are plain.
    fn settings(&mut self) -> QueueSettings {
        let mut settings = QueueSettings {
            auto_delete: self.dice.one_in(5),
            single_active_consumer: self.dice.one_in(4),
            ..QueueSettings::PLAIN
        };
        if self.dice.one_in(2) {
            return settings;
        }
        let kinds = [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];
        settings.kind = kinds[self.side(3)];
        settings.max_age_ms = self.dice.one_in(2).then(|| [0, 50, 4000][self.side(3)]);
        settings.segment_bytes = (!self.dice.one_in(4)).then(|| self.dice.roll(500));
        settings.message_ttl_ms = self.dice.one_in(4).then(|| self.dice.roll(3) * 60);
        settings.expires_ms = self.dice.one_in(6).then(|| 1 + self.dice.roll(200));
        settings.max_length = self.dice.one_in(4).then(|| self.dice.roll(6));
        settings.max_length_bytes = self.dice.one_in(6).then(|| self.dice.roll(80));
        settings.overflow =
            [Overflow::DropHead, Overflow::RejectPublish, Overflow::RejectPublishDlx][self.side(3)];
        settings.dead_letter = self.dice.one_in(2).then(|| Arc::new(target()));
        settings.delivery_limit = self.dice.one_in(3).then_some(1);
        settings.delivery_counting =
            [DeliveryCounting::Failures, DeliveryCounting::Returns][self.side(2)];
        settings.max_priority = self.dice.one_in(2).then_some(5);
        settings.consumer_timeout_ms = self.dice.one_in(4).then(|| self.dice.roll(3) * 100);
        settings.leases = self.dice.one_in(2);
        let kinds = [DelayedRetryKind::All, DelayedRetryKind::Failed, DelayedRetryKind::Returned];
        let kind = kinds[self.side(3)];
        let retry = DelayedRetry { kind, min_ms: 30, max_ms: 50 };
        settings.delayed_retry = self.dice.one_in(4).then_some(retry);
        settings.dedup_window_ms = self.dice.one_in(2).then(|| 1 + self.dice.roll(300));
        settings.dedup_limit = self.dice.one_in(3).then(|| 1 + self.dice.roll(5));
        let delays_ms = vec![[0, 40][self.side(2)]; self.side(3)];
        settings.retry = self.dice.one_in(4).then_some(Retry { delays_ms, jitter_percent: 0 });
        settings.parking = self.dice.one_in(3).then(|| Arc::new(target()));
        settings
    }
}

fn target() -> DeadLetterTarget {
    DeadLetterTarget {
        exchange: Bytes::from_static(b"dlx"),
        routing_key: None,
        strategy: DeadLetterStrategy::AtLeastOnce,
    }
}

fn events(effects: &[Effect]) -> Vec<Effect> {
    let events = effects.iter().filter(|effect| match effect {
        Effect::Deliver(_) | Effect::DeadLetter(_) => false,
        Effect::Cancelled { .. } | Effect::QueueEnded { .. } => true,
    });
    by_queue(&events.cloned().collect::<Vec<_>>())
}

/// In the order in which they came, one queue after the other.
fn by_queue(events: &[Effect]) -> Vec<Effect> {
    let mut events = events.to_vec();
    events.sort_by_key(|effect| match effect {
        Effect::Deliver(delivered) => delivered.queue,
        Effect::Cancelled { queue, .. } | Effect::QueueEnded { queue, .. } => *queue,
        Effect::DeadLetter(dead) => dead.queue,
    });
    events
}
