//! What management is shown. Reads, and changes nothing.

use std::sync::Arc;

use bytes::Bytes;
use warren_types::{
    ConsumerId, ConsumerNumber, DeliverySequence, Location, QueueId, RequestSequence, SessionId,
    Timestamp,
};

use crate::queue::{Queue, Standing};
use crate::shard::Shard;
use crate::{EndReason, QueueCounts, QueueSettings, QueueStatus};

/// A queue and its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueListing {
    /// Its incarnation.
    pub queue: QueueId,
    /// What it is told about itself.
    pub settings: QueueSettings,
    /// What it holds.
    pub status: QueueStatus,
    /// The consumer that is served, where it is a single one.
    pub active_consumer: Option<ConsumerId>,
    /// Bytes of memory, roughly.
    pub memory_bytes: u64,
    /// The message that waits first.
    pub head: Option<Location>,
    /// Keys of messages that it does not take again.
    pub dedup_keys: u64,
    /// What has happened in it.
    pub counts: QueueCounts,
}

/// A message that is put aside until its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledListing {
    /// When its time comes, by the shard's own time.
    pub due: Timestamp,
    /// How far off that is.
    pub in_ms: u64,
    /// Where its record stands.
    pub at: Location,
    /// Bytes of its body.
    pub size: u32,
}

/// A consumer and its terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerListing {
    /// Who.
    pub consumer: ConsumerId,
    /// Where it takes from.
    pub queue: QueueId,
    /// Its consumer tag.
    pub tag: Bytes,
    /// Unsettled messages it may hold; 0 is no limit.
    pub prefetch: u32,
    /// Deliveries it may be given.
    pub granted: DeliverySequence,
    /// Higher ones are served first.
    pub priority: i32,
    /// Whether it has the queue for itself.
    pub exclusive: bool,
    /// Whether its client does not acknowledge.
    pub no_ack: bool,
    /// Whether it is given messages as long as it has capacity.
    pub active: bool,
    /// Whether it is given nothing more and only holds what it has.
    pub cancelled: bool,
    /// Whether it was made by basic.get, or holds what is being moved elsewhere.
    pub holder: bool,
    /// The last sequence it was given.
    pub last: DeliverySequence,
    /// Messages that it holds.
    pub unsettled: u64,
    /// How long it may hold one, where that is bounded.
    pub timeout_ms: Option<u64>,
}

/// A session that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionListing {
    /// Which.
    pub session: SessionId,
    /// What it asked last.
    pub last: RequestSequence,
    /// Its consumers, also those made by basic.get.
    pub consumers: Vec<ConsumerNumber>,
    /// Uploads that no publish has claimed.
    pub uploads: Vec<u64>,
}

impl Shard {
    /// The counts of a queue.
    #[must_use]
    pub fn queue_status(&self, queue: QueueId) -> Option<QueueStatus> {
        self.queues.queue(queue).map(Queue::status)
    }

    /// One queue.
    #[must_use]
    pub fn queue(&self, queue: QueueId) -> Option<QueueListing> {
        self.queues.queue(queue).map(queue_listing)
    }

    /// All queues, ascending.
    #[must_use]
    pub fn queues(&self) -> Vec<QueueListing> {
        self.queues.in_order().into_iter().map(queue_listing).collect()
    }

    /// What all queues are told about themselves, ascending.
    #[must_use]
    pub fn queue_settings(&self) -> Vec<(QueueId, Arc<QueueSettings>)> {
        let queues = self.queues.in_order().into_iter();
        queues.map(|queue| (queue.id, Arc::clone(&queue.settings))).collect()
    }

    /// The queues that have ended and are not forgotten, ascending, and why they have.
    #[must_use]
    pub fn tombstones(&self) -> Vec<(QueueId, EndReason)> {
        self.tombstones.iter().map(|(queue, reason)| (*queue, *reason)).collect()
    }

    /// The queues that dead letters came from, ascending.
    #[must_use]
    pub fn letter_sources(&self) -> Vec<QueueId> {
        self.letters.sources()
    }

    /// Whether dead letters came from a queue.
    #[must_use]
    pub fn has_letters_of(&self, source: QueueId) -> bool {
        self.letters.come_from(source)
    }

    /// Up to `limit` of the messages that a queue has put aside until a time that their publishers
    /// chose, by their times.
    #[must_use]
    pub fn scheduled(&self, queue: QueueId, limit: usize) -> Vec<ScheduledListing> {
        let aside = self.queues.queue(queue).and_then(|queue| queue.aside.as_ref());
        let runs = aside.into_iter().flat_map(|aside| aside.scheduled.runs()).take(limit);
        let listings = runs.map(|(due, run)| ScheduledListing {
            due,
            in_ms: due.0.saturating_sub(self.clock.now.0),
            at: Location { index: run.index, offset: run.offset },
            size: run.size,
        });
        listings.collect()
    }

    /// The consumers of a queue, as they came; also those that were cancelled and still hold
    /// something, and those made by basic.get.
    #[must_use]
    pub fn consumers(&self, queue: QueueId) -> Vec<ConsumerListing> {
        let Some(queue) = self.queues.queue(queue) else { return vec![] };
        let orders = queue.consumers.iter().map(|consumer| consumer.order);
        orders.filter_map(|order| consumer_listing(queue, order)).collect()
    }

    /// One consumer, if it is here.
    #[must_use]
    pub fn consumer(&self, id: ConsumerId) -> Option<ConsumerListing> {
        let seat = self.sessions.seat(id)?;
        consumer_listing(self.queues.at(seat.queue)?, seat.order)
    }

    /// The open sessions, by node.
    #[must_use]
    pub fn sessions(&self) -> Vec<SessionListing> {
        let open = self.sessions.nodes().filter_map(|(id, node)| {
            let session = node.session.as_ref()?;
            Some(SessionListing {
                session: SessionId { node: id, boot: node.boot },
                last: node.answers.last(),
                consumers: session.consumers.keys().copied().collect(),
                uploads: session.uploads.keys().copied().collect(),
            })
        });
        open.collect()
    }

    /// The open sessions, by node, and nothing about them.
    #[must_use]
    pub fn open_sessions(&self) -> Vec<SessionId> {
        self.sessions.open_sessions().map(|(id, _)| id).collect()
    }

    /// Whether a session is open.
    #[must_use]
    pub fn has_session(&self, session: SessionId) -> bool {
        self.sessions.session(session).is_some()
    }

    /// The sessions that have consumers, also such as were cancelled and still hold something.
    #[must_use]
    pub fn sessions_with_consumers(&self) -> Vec<SessionId> {
        let open = self.sessions.open_sessions();
        open.filter(|(_, session)| !session.consumers.is_empty()).map(|(id, _)| id).collect()
    }

    /// The consumers of a session, ascending, also those that were cancelled and still hold
    /// something, and those made by basic.get; none where the session is not open.
    #[must_use]
    pub fn session_consumers(&self, session: SessionId) -> Vec<ConsumerNumber> {
        let open = self.sessions.session(session);
        open.map_or_else(Vec::new, |session| session.consumers.keys().copied().collect())
    }

    /// The log rows that are needed.
    #[must_use]
    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of memory of the whole shard, roughly. Looks at every queue.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let queues: usize = self.queues.unordered().map(|(_, queue)| queue_memory(queue)).sum();
        let rows = self.rows.memory_bytes();
        bytes(queues + rows + self.queues.memory_bytes() + self.sessions.memory_bytes())
    }
}

fn queue_listing(queue: &Queue) -> QueueListing {
    let active = queue.consumers.active().and_then(|order| queue.consumers.member(order));
    QueueListing {
        queue: queue.id,
        settings: QueueSettings::clone(&queue.settings),
        status: queue.status(),
        active_consumer: active.map(|consumer| consumer.id),
        memory_bytes: bytes(size_of::<Queue>() + queue_memory(queue)),
        head: queue.ready.first().map(|run| Location { index: run.index, offset: run.offset }),
        dedup_keys: queue.recent.as_ref().map_or(0, |recent| recent.len()),
        counts: queue.counts(),
    }
}

fn consumer_listing(queue: &Queue, order: u64) -> Option<ConsumerListing> {
    let consumer = queue.consumers.member(order)?;
    let single_active = queue.settings.single_active_consumer;
    Some(ConsumerListing {
        consumer: consumer.id,
        queue: queue.id,
        tag: Bytes::copy_from_slice(&consumer.tag),
        prefetch: consumer.prefetch,
        granted: consumer.granted,
        priority: consumer.priority,
        exclusive: consumer.exclusive,
        no_ack: consumer.no_ack,
        active: queue.consumers.is_active(consumer, single_active),
        cancelled: consumer.standing == Standing::Cancelled,
        holder: matches!(consumer.standing, Standing::Holder | Standing::Picker),
        last: consumer.last,
        unsettled: consumer.held.len(),
        timeout_ms: consumer.timeout_ms(&queue.settings),
    })
}

/// Bytes of memory of a queue besides its own place.
fn queue_memory(queue: &Queue) -> usize {
    let run = size_of::<crate::run::Run>();
    let aside = queue.aside.as_ref().map_or(0, |aside| {
        let later = aside.delayed.runs().len() + aside.scheduled.runs().len();
        let later = later + usize::try_from(aside.reserved.len()).unwrap_or(usize::MAX);
        size_of_val(&**aside) + later * (run + 24) + aside.dead.memory_bytes()
    });
    let tally = queue.tally.as_deref().map_or(0, size_of_val);
    let recent = queue.recent.as_ref().map_or(0, |recent| recent.memory_bytes());
    let parts = queue.ready.own_bytes() + queue.consumers.own_bytes() + queue.present.own_bytes();
    let stream = queue.stream.as_ref().map_or(0, |stream| stream.memory_bytes());
    let parts = parts + stream;
    parts + queue.ready.memory_bytes() + queue.consumers.memory_bytes() + aside + tally + recent
}

fn bytes(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
