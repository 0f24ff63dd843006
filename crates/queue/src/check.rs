//! What always holds between entries.

use std::collections::BTreeMap;

use warren_types::{LogIndex, MessageNumber};

use crate::clock::NEVER;
use crate::counts::Share;
use crate::queue::{Consumer, Queue, Standing};
use crate::run::Run;
use crate::session::Seat;
use crate::shard::Shard;
use crate::{Overflow, QueueKind, Totals};

/// References and weight of a row, as counted.
type Counted = BTreeMap<LogIndex, (u64, u64)>;

impl Shard {
    /// Looks at everything. For tests, and for a node that suspects itself.
    ///
    /// # Panics
    /// When an invariant does not hold, with a sentence about which one.
    pub fn check(&self) {
        let mut rows = Counted::new();
        let mut seats = 0;
        for (place, queue) in self.queues.unordered() {
            assert!(
                !self.tombstones.contains_key(&queue.id),
                "queue {} lives and has ended",
                queue.id
            );
            assert_eq!(self.queues.place(queue.id), Some(place), "queue {} is not found", queue.id);
            check_messages(queue);
            check_consumers(queue);
            self.check_rules(queue);
            queue.runs().for_each(|run| count(&run, &mut rows));
            for consumer in queue.consumers.iter() {
                let seat = Seat { queue: place, order: consumer.order };
                assert_eq!(
                    self.sessions.seat(consumer.id),
                    Some(seat),
                    "consumer {} holds messages and its session does not know",
                    consumer.id
                );
                seats += 1;
            }
        }
        let shares = self.queues.unordered().map(|(_, queue)| {
            let (unsettled, _) = queue.consumers.unsettled();
            assert_eq!(
                queue.share(),
                Share { unsettled, ..queue.share() },
                "of queue {}",
                queue.id
            );
            assert_eq!(queue.noted_share(), queue.share(), "noted of queue {}", queue.id);
            queue.share()
        });
        let mut totals = Totals::default();
        shares.for_each(|share| totals.exchange(Share::default(), share));
        assert_eq!(totals, self.totals, "what is in all queues");
        let timed = self.queues.unordered().filter(|(_, queue)| queue.noted_due != NEVER);
        assert_eq!(self.timers.len(), timed.count(), "timers of queues that are not there");
        for (node, known) in self.sessions.nodes() {
            assert!(known.answers.is_sound(), "node {node}: what it asked and was answered");
        }
        for (target, letter) in self.letters.iter() {
            let (place, source) = (self.queues.place(target), letter.source);
            assert!(place.is_some(), "queue {target} took letters of {source} and is not there");
            assert!(self.letters.come_from(source), "letters of {source} would not be forgotten");
        }
        let mut known_seats = 0;
        for (_, session) in self.sessions.open_sessions() {
            known_seats += session.consumers.len();
            for upload in session.uploads.values() {
                for (index, weight) in upload.parts().weights() {
                    add(&mut rows, index, 1, weight);
                }
            }
        }
        assert_eq!(seats, known_seats, "sessions name consumers that no queue has");
        self.check_rows(&rows);
    }

    /// What the settings promise.
    fn check_rules(&self, queue: &Queue) {
        let (id, now) = (queue.id, self.clock.now);
        assert_eq!(queue.noted_due, queue.due(), "queue {id}: when it is due");
        let is_noted = self.timers.contains(id, queue.noted_due);
        assert_eq!(is_noted, queue.noted_due != NEVER, "queue {id}: its timer");
        let head = queue.ready.first().map_or(NEVER, |run| run.deadline);
        assert!(head > now, "queue {id}: what is at the head had to be gone");
        let delayed = queue.aside.as_ref().map_or(NEVER, |aside| aside.due());
        assert!(delayed > now, "queue {id}: a delay is over");
        assert!(queue.is_aside_sound(), "queue {id}: dead messages under way");
        assert!(queue.is_reserved_sound(), "queue {id}: what is kept for clients");
        assert!(queue.is_stream_sound(), "queue {id}: a stream and its segments");
        assert!(queue.is_recent_sound(now), "queue {id}: what is not to come again");
        assert!(queue.due() <= queue.first_lease(), "queue {id}: a lease ends unseen");
        let is_stream = queue.settings.kind == QueueKind::Stream;
        assert_eq!(queue.stream.is_some(), is_stream, "queue {id}: what it is");
        match queue.settings.overflow {
            Overflow::DropHead if is_stream => {
                assert!(queue.consumers.iter().next().is_none(), "stream {id}: it is taken from");
            }
            Overflow::DropHead => {
                let (length, bytes) = (queue.settings.max_length, queue.settings.max_length_bytes);
                let is_short = length.is_none_or(|limit| queue.ready.len() <= limit);
                let is_small = bytes.is_none_or(|limit| queue.ready.bytes() <= limit);
                // A body of no bytes takes no room, wherever it stands.
                assert!(is_short && is_small, "queue {id} holds more than it may");
            }
            Overflow::RejectPublish | Overflow::RejectPublishDlx => {}
        }
    }

    fn check_rows(&self, counted: &Counted) {
        for (index, (references, weight)) in counted {
            let row = self.rows.row(*index).unwrap_or_default();
            assert_eq!(row.references, *references, "references to row {index}");
            assert_eq!(row.weight, *weight, "weight of row {index}");
        }
        assert_eq!(self.rows.len(), counted.len(), "rows are kept that nothing refers to");
    }
}

fn check_messages(queue: &Queue) {
    let id = queue.id;
    let mut before: Option<(i16, MessageNumber)> = None;
    for run in queue.ready.runs() {
        let here = (run.level, run.number);
        assert!(before < Some(here), "queue {id}: {} waits out of order", run.number);
        assert_eq!(run.step, 1, "queue {id}: a waiting run has gaps");
        before = Some((run.level, run.last_number()));
    }
    assert!(queue.ready.is_counted(), "queue {id}: count of a level");
    let mut numbers: Vec<u64> = vec![];
    for run in queue.runs() {
        assert!(run.count > 0, "queue {id}: an empty run");
        if run.number == MessageNumber(0) {
            // Scheduled: it has no place yet.
            continue;
        }
        numbers.extend(run.singles().map(|single| single.number.0));
    }
    let count = numbers.len();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), count, "queue {id}: a message is in two places");
    let newest = numbers.last().copied().unwrap_or_default();
    assert!(newest < queue.next_number.0, "queue {id}: message {newest} is from the future");
    let waiting: u64 = queue.ready.runs().map(|run| u64::from(run.count)).sum();
    let waiting_bytes: u64 = queue.ready.runs().map(|run| run.bytes()).sum();
    assert_eq!(queue.ready.len(), waiting, "queue {id}: count of what waits");
    assert_eq!(queue.ready.bytes(), waiting_bytes, "queue {id}: bytes of what waits");
}

fn check_consumers(queue: &Queue) {
    let id = queue.id;
    let single_active = queue.settings.single_active_consumer;
    assert!(!queue.touched, "queue {id} was touched and not looked at");
    let mut registered = 0;
    for consumer in queue.consumers.iter() {
        check_consumer(queue, consumer);
        registered += usize::from(consumer.standing == Standing::Registered);
    }
    assert_eq!(queue.consumers.registered(), registered, "queue {id}: count of consumers");
    let mut exclusive = queue
        .consumers
        .iter()
        .filter(|consumer| consumer.exclusive && consumer.standing == Standing::Registered);
    assert!(exclusive.next().is_none() || registered == 1, "queue {id}: exclusive and not alone");
    assert!(queue.consumers.is_active_sound(single_active), "queue {id}: who is active");
    let waits = !queue.ready.is_empty();
    assert!(!(waits && queue.consumers.is_anybody_able()), "queue {id}: a message waits in vain");
}

fn check_consumer(queue: &Queue, consumer: &Consumer) {
    let (id, held) = (consumer.id, &consumer.held);
    let single_active = queue.settings.single_active_consumer;
    let counted: u64 = held.runs().map(|run| u64::from(run.count)).sum();
    assert_eq!(held.len(), counted, "consumer {id}: count of what it holds");
    assert_eq!(held.bytes(), held.runs().map(Run::bytes).sum::<u64>(), "consumer {id}: bytes");
    let mut behind = 1;
    for (first, run, _) in held.numbered() {
        assert!(first >= behind, "consumer {id}: two deliveries have sequence {first}");
        behind = first + u64::from(run.count);
    }
    assert!(behind <= consumer.last.0 + 1, "consumer {id} holds what it was not given");
    let is_able = queue.consumers.is_active(consumer, single_active)
        && consumer.capacity() > 0
        && !is_outranked(queue, consumer);
    assert_eq!(
        queue.consumers.is_noted_able(consumer),
        is_able,
        "consumer {id}: whether it can take"
    );
    match consumer.standing {
        Standing::Registered | Standing::Cancelled => {
            let prefetch = u64::from(consumer.prefetch);
            assert!(prefetch == 0 || held.len() <= prefetch, "consumer {id}: prefetch exceeded");
            assert!(consumer.last <= consumer.granted, "consumer {id}: more than was granted");
        }
        Standing::Holder | Standing::Picker => {}
    }
    let is_idle = consumer.standing == Standing::Cancelled && held.is_empty();
    assert!(!is_idle, "consumer {id} is a ghost");
}

/// Whether a single active consumer must finish before a more important one takes over.
fn is_outranked(queue: &Queue, consumer: &Consumer) -> bool {
    let mut others = queue.consumers.iter().filter(|one| one.standing == Standing::Registered);
    queue.settings.single_active_consumer
        && others.any(|one| one.priority > consumer.priority && !one.lapsed)
}

fn count(run: &Run, rows: &mut Counted) {
    add(rows, run.index, u64::from(run.count), run.weight());
    for (index, weight) in run.parts.iter().flat_map(|parts| parts.weights()) {
        add(rows, index, 1, weight);
    }
}

fn add(rows: &mut Counted, index: LogIndex, references: u64, weight: u64) {
    let row = rows.entry(index).or_default();
    row.0 += references;
    row.1 += weight;
}
