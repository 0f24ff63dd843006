//! What the world must do after an entry. The leader of the shard carries it out.

use std::sync::Arc;

use warren_types::{ConsumerId, DeliverySequence, Location, QueueId, Timestamp};

use crate::{DeadLetterTarget, DeadSequence};

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
    /// Messages have died: they are to be published once more, and then settled with
    /// [`crate::Command::DeadSettled`]. No more than a window of them are under way per queue.
    DeadLetter(DeadLettered),
}

/// Dead messages of one queue, in the order in which they died.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLettered {
    /// Where they died.
    pub queue: QueueId,
    /// Where they go.
    pub target: Arc<DeadLetterTarget>,
    /// The sequence of the first message; the others count on from it.
    pub first: DeadSequence,
    /// The messages in order.
    pub runs: Vec<DeadRun>,
}

/// Dead messages that stand at equal distances in one log row. Exchange, routing key, properties
/// and body are read from there, as they were published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadRun {
    /// Where the first one stands.
    pub location: Location,
    /// Bytes from one to the next; 0 for a single one.
    pub stride: u32,
    /// How many, at least one.
    pub count: u32,
    /// Body size of each, in bytes, all parts included.
    pub size: u32,
    /// Why they died.
    pub reason: DeathReason,
    /// When, by the clock of the leader of that time.
    pub time: Timestamp,
    /// Failed deliveries.
    pub delivery_count: u32,
    /// How often they were given out.
    pub acquired_count: u32,
    /// Where the earlier parts of a large body stand, in order; such a run has one message.
    pub parts: Option<Arc<[Location]>>,
}

/// Why a message died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathReason {
    /// A consumer said so (basic.reject or basic.nack without requeue).
    Rejected,
    /// It waited for too long.
    Expired,
    /// The queue was full.
    MaxLength,
    /// Too many deliveries failed.
    DeliveryLimit,
}

impl DeathReason {
    /// As the x-death header has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
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

impl Delivered {
    /// Drops the messages up to and including `after` from the front: those that the consumer's
    /// connection has seen. Returns how many.
    pub fn skip_to(&mut self, after: DeliverySequence) -> u64 {
        let seen = after.0.saturating_add(1).saturating_sub(self.first.0);
        let (mut left, mut whole) = (seen, 0_usize);
        for run in &mut self.runs {
            let count = u64::from(run.count);
            if left < count {
                run.drop_front(u32::try_from(left).expect("less than a count of 32 bits"));
                left = 0;
                break;
            }
            left -= count;
            whole += 1;
        }
        self.runs.drain(..whole);
        let dropped = seen - left;
        self.first = DeliverySequence(self.first.0.saturating_add(dropped));
        dropped
    }
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

impl DeliveredRun {
    /// Drops the first `count` messages, fewer than there are.
    fn drop_front(&mut self, count: u32) {
        let offset = &mut self.location.offset;
        *offset = offset.saturating_add(self.stride.saturating_mul(count));
        self.count = self.count.saturating_sub(count);
        if self.count == 1 {
            self.stride = 0;
        }
    }
}

/// Why a consumer was ended by its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelReason {
    /// Its queue was deleted.
    QueueDeleted,
    /// It held a delivery for too long; what it held waits again. One that was cancelled before, or
    /// made by basic.get, has no client's consumer to cancel: its channel is to be closed.
    Timeout,
    /// It was cancelled before, and the leases of all that it still held have ended. Its client need
    /// not be told.
    LeaseEnded,
    /// Its client has come back by another connection, which was given what it held.
    TakenOver,
}

/// Why a queue ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its last consumer has gone (auto-delete).
    Unused,
    /// A front end had it deleted, and may not have lived to tell the catalog.
    Deleted,
    /// Nobody has used it for as long as its settings allow.
    Expired,
}

#[cfg(test)]
mod tests {
    use warren_types::LogIndex;

    use super::*;

    /// So many messages, 30 bytes apart from byte 100 of a row.
    fn run(index: u64, count: u32) -> DeliveredRun {
        DeliveredRun {
            location: Location { index: LogIndex(index), offset: 100 },
            stride: if count == 1 { 0 } else { 30 },
            count,
            size: 10,
            redelivered: false,
            delivery_count: 0,
            acquired_count: 0,
            parts: None,
        }
    }

    /// Messages 5 to 10.
    fn delivered() -> Delivered {
        Delivered {
            consumer: ConsumerId::default(),
            queue: QueueId(1),
            first: DeliverySequence(5),
            runs: vec![run(1, 3), run(2, 1), run(3, 2)],
        }
    }

    /// Sequence, row and offset of each message.
    fn messages(delivered: &Delivered) -> Vec<(u64, u64, u32)> {
        let each = delivered.runs.iter().flat_map(|run| {
            assert!(run.count > 1 || run.stride == 0, "a single message has no stride");
            let Location { index, offset } = run.location;
            (0..run.count).map(move |at| (index.0, offset + at * run.stride))
        });
        let numbered = (delivered.first.0..).zip(each);
        numbered.map(|(sequence, (index, offset))| (sequence, index, offset)).collect()
    }

    #[test]
    fn what_was_seen_is_dropped_from_the_front_and_the_rest_stays_where_it_is() {
        let all = messages(&delivered());
        for after in 0..13_u64 {
            let mut left = delivered();

            let dropped = left.skip_to(DeliverySequence(after));

            let seen = all.iter().take_while(|(sequence, ..)| *sequence <= after).count();
            assert_eq!(dropped, u64::try_from(seen).unwrap(), "after {after}");
            assert_eq!(left.first.0, 5 + dropped, "after {after}");
            assert_eq!(messages(&left), all[seen..], "after {after}");
        }
    }

    #[test]
    fn everything_is_dropped_up_to_the_end_of_all_sequences() {
        let mut left = delivered();

        let dropped = left.skip_to(DeliverySequence(u64::MAX));

        assert_eq!((dropped, left.first, left.runs), (6, DeliverySequence(11), vec![]));
    }
}
