//! What a shard answers.

use std::sync::Arc;

use warren_types::{DecodeError, DeliverySequence, Location, QueueId, RequestSequence};

/// The answer to an entry: one for each of its fragments, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Each fragment's answer.
    Applied(Vec<FragmentReply>),
    /// The entry makes no sense; nothing of it was done.
    Damaged(DecodeError),
}

/// The answer to one fragment.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FragmentReply {
    /// All was done. Holds the answers of those commands that have one, by ordinal from 0,
    /// ascending. A command that is not named was accepted.
    Done(Vec<(u32, CommandReply)>),
    /// It was done before, under the same sequence, and its session has said that it has the answer.
    /// One whose answer was not heard is answered as the first time. A session that is opened again
    /// under the same boot goes on counting.
    Duplicate,
    /// Its session is not known here, or was ended, or was opened behind this request before it came.
    /// Nothing was done.
    UnknownSession,
    /// Some before it are missing, of which `next` is the first. Nothing was done.
    Gap { next: RequestSequence },
}

/// The answer to one command.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandReply {
    /// Said no, alike on every replica.
    Refused(Refusal),
    /// A publish: these of its queues are not here, or not any more, and did not take it; the others
    /// did. Who published may know less than others do: a queue of that name may be here.
    Missing(Vec<QueueId>),
    /// The consumer is registered.
    Attached,
    /// A message, by basic.get.
    Got(Got),
    /// No message, by basic.get.
    Empty,
    /// The queue exists; `fresh` when it did not before.
    Created { fresh: bool },
    /// The queue is gone, and with it so many ready messages.
    Deleted { messages: u64 },
    /// So many ready messages are gone.
    Purged { messages: u64 },
    /// Counts.
    Status(QueueStatus),
}

/// A message taken by basic.get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// Its number among what its holder was given. The holder holds it, also when the get had
    /// no_ack: the front end then settles as it writes to the socket.
    pub sequence: DeliverySequence,
    /// Where it stands.
    pub location: Location,
    /// Body size in bytes, all parts included.
    pub size: u32,
    /// Whether it was given to somebody before.
    pub redelivered: bool,
    /// Failed deliveries so far.
    pub delivery_count: u32,
    /// How often it was given out before.
    pub acquired_count: u32,
    /// Where the earlier parts of a large body stand, in order.
    pub parts: Option<Arc<[Location]>>,
    /// Ready messages left in the queue.
    pub remaining: u64,
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStatus {
    /// Messages that wait.
    pub ready: u64,
    /// Bytes of their bodies.
    pub ready_bytes: u64,
    /// Messages that consumers hold.
    pub unsettled: u64,
    /// Bytes of their bodies.
    pub unsettled_bytes: u64,
    /// Consumers, without those made by basic.get.
    pub consumers: u32,
    /// Returned messages that wait for their time.
    pub delayed: u64,
    /// Bytes of their bodies.
    pub delayed_bytes: u64,
    /// Dead messages that have not arrived where they go.
    pub dead: u64,
    /// Bytes of their bodies.
    pub dead_bytes: u64,
}

/// Why a command was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The shard has no such queue: it was never made here, or has been forgotten.
    #[error("the shard has no such queue")]
    UnknownQueue,
    /// The queue has been deleted and will not come back.
    #[error("the queue has been deleted")]
    QueueDeleted,
    /// Another consumer is exclusive, or this one asked to be and is not alone.
    #[error("another consumer has the queue, or wants it alone")]
    ExclusiveConsumer,
    /// basic.get from a queue with a single active consumer.
    #[error("the queue has a single active consumer")]
    SingleActiveConsumer,
    /// Delete if-unused, and consumers are there.
    #[error("the queue is in use")]
    InUse,
    /// Delete if-empty, and messages are there.
    #[error("the queue is not empty")]
    NotEmpty,
    /// A consumer of this number exists.
    #[error("the consumer number is taken")]
    ConsumerExists,
    /// The same fragment has closed its own session.
    #[error("the session has been closed")]
    SessionClosed,
    /// A publish claims an upload of which the shard has no parts.
    #[error("the upload has no parts here")]
    UnknownUpload,
    /// A queue of a publish is full and takes no more.
    #[error("the queue is full")]
    QueueFull,
    /// A lease is to begin anew and the consumer holds nothing of it.
    #[error("the consumer does not hold the message")]
    NotHeld,
    /// A message is to be taken out of a stream, or somebody is to take some.
    #[error("a stream is read, and nothing is taken out of it")]
    IsStream,
    /// A stream is to become something else, or something a stream that somebody takes from.
    #[error("the queue is of another kind")]
    OtherKind,
}
