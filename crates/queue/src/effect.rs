//! What the world must do after an entry. The leader of the shard carries it out.

use std::sync::Arc;

use warren_types::{ConsumerId, DeliverySequence, Location, QueueId};

/// One thing to do. Each is harmless when done again after a change of leader.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Messages for a consumer. Its node drops those it has seen, by sequence.
    Deliver(Delivered),
    /// The consumer is no more; its client must be told.
    Cancelled { consumer: ConsumerId, queue: QueueId, reason: CancelReason },
    /// The queue has ended: the catalog must let go of it, and then the shard be told to forget it.
    /// Comes when a queue has ended by itself, and for all that are not forgotten after a change of
    /// leader; not when it is deleted by command, where the front end that asked sees to it.
    QueueEnded { queue: QueueId, reason: EndReason },
}

/// Deliveries of one consumer, in sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Who is given them.
    pub consumer: ConsumerId,
    /// Where they come from.
    pub queue: QueueId,
    /// The sequence of the first message; the others count on from it.
    pub first: DeliverySequence,
    /// The messages in order.
    pub runs: Vec<DeliveredRun>,
}

/// Messages that stand at equal distances in one log row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveredRun {
    /// Where the first one stands.
    pub location: Location,
    /// Bytes from one to the next; 0 for a single one.
    pub stride: u32,
    /// How many, at least one.
    pub count: u32,
    /// Body size of each, in bytes, all parts included.
    pub size: u32,
    /// Whether they were given to somebody before.
    pub redelivered: bool,
    /// Failed deliveries so far (x-delivery-count).
    pub delivery_count: u32,
    /// How often they were given out before (x-acquired-count).
    pub acquired_count: u32,
    /// Where the earlier parts of a large body stand, in order; such a run has one message.
    pub parts: Option<Arc<[Location]>>,
}

/// Why a consumer was ended by its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its queue was deleted.
    QueueDeleted,
}

/// Why a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its last consumer has gone (auto-delete).
    Unused,
    /// A front end had it deleted, and may not have lived to tell the catalog.
    Deleted,
}
