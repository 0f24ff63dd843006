//! What a front end can ask of a shard.

use bytes::Bytes;
use warren_types::{ConsumerNumber, DeliverySequence, Location, QueueId, SessionId, Timestamp};

use crate::{QueueSettings, Spot};

/// One request within a fragment. Consumers are those of the fragment's session.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Puts a message at the end of each of its queues. Answered when refused, or with `Missing`.
    /// Refused as `QueueFull` when at least one of them is full and refuses, or cannot remember
    /// another [`DedupKey`]; the others took it. A queue that has it counts as one that took it.
    Publish(Publish),
    /// Ends deliveries, one way or another. What the consumer does not hold is passed over. Not
    /// answered, unless `Extend` finds nothing and is refused as `NotHeld`.
    Settle { consumer: ConsumerNumber, outcome: Outcome, ranges: Vec<SettleRange> },
    /// Registers a consumer. Answered with [`crate::CommandReply::Attached`] or a refusal.
    Attach(Attach),
    /// Gives the consumer nothing more; what it holds stays with it (basic.cancel). Not answered.
    Cancel { consumer: ConsumerNumber },
    /// Ends the consumer; what it holds goes back to where it was, flagged and counted. Not answered.
    Detach { consumer: ConsumerNumber },
    /// Ends a consumer whose client's connection broke: what it holds is kept for its [`Claim`], if
    /// it has one, and else goes back as after `Detach`. Not answered.
    Lose { consumer: ConsumerNumber },
    /// Lets deliveries to the consumer go up to and including `up_to`. Never lowers it. Not answered.
    Grant { consumer: ConsumerNumber, up_to: DeliverySequence },
    /// Takes the oldest ready message (basic.get). `consumer` names the holder: a consumer that is
    /// never given anything unasked, made by its first get that finds something, and bound to that
    /// queue. `no_ack` makes no difference here: the front end settles as it writes to the socket.
    /// Answered with `Got` or `Empty`.
    Get { consumer: ConsumerNumber, queue: QueueId, no_ack: bool },
    /// Makes the queue unless it exists. Answered with `Created`, or refused where it was deleted.
    CreateQueue { queue: QueueId, settings: QueueSettings },
    /// Replaces what may change while a queue lives. Answered only when refused.
    ConfigureQueue { queue: QueueId, settings: QueueSettings },
    /// Ends the queue and remembers that it has ended, until it is forgotten. Answered with
    /// `Deleted`, or refused when a condition does not hold.
    DeleteQueue { queue: QueueId, if_unused: bool, if_empty: bool },
    /// Drops the memory of a deleted queue and of letters from it: the catalog does not name it any
    /// more. Not answered.
    ForgetQueue { queue: QueueId },
    /// Drops all ready messages. Answered with `Purged`.
    PurgeQueue { queue: QueueId },
    /// Counts. Answered with `Status`.
    Status { queue: QueueId },
    /// Starts the fragment's session, whose first command it must be, and ends the one that its
    /// node had before. Refused, as `UnknownSession`, to a boot older than the node's last. Does
    /// nothing in an open session. Not answered.
    OpenSession,
    /// Ends a session: as if each of its consumers were lost. Not answered.
    CloseSession { session: SessionId },
    /// Holds a part of a body that is too large for one entry, until a publish of this session
    /// claims all parts of `upload`, whatever it is answered, or the session ends. Not answered.
    Chunk { upload: u64, bytes: Bytes },
    /// Drops the parts of an upload that is not going to be claimed. Not answered.
    AbandonUpload { upload: u64 },
    /// Lets time pass: the entry's time stamp does the work. Not answered.
    Tick,
    /// Renews the lease of a classic queue that ends when it is unused (a redeclare). Does nothing
    /// to a quorum queue, or where there is none. Not answered.
    Touch { queue: QueueId },
    /// Dead messages have arrived where they were sent, or nowhere for good: they are gone from the
    /// queue. What is not there is passed over. Not answered.
    DeadSettled { queue: QueueId, ranges: Vec<DeadRange> },
    /// Drops the message whose record stands at `at` and that is put aside until `due`. Answered with
    /// `Purged`: of one message, or of none where its time has come or it was dropped before.
    CancelScheduled { queue: QueueId, due: Timestamp, at: Location },
    /// Drops the message whose record stands at `at` and that is found at `spot`. Answered with
    /// `Purged`: of one message, or of none where it is not there any more.
    DropMessage { queue: QueueId, spot: Spot, at: Location },
    /// Takes the message whose record stands at `at` and that waits at `spot`, at once or later, for
    /// whoever moves it elsewhere. `consumer` names who holds it until that is settled, as of a get;
    /// what it holds when it ends waits again as if nobody had taken it. Answered with `Got`, or with
    /// `Empty` where it is not there any more, or has no place in its queue yet.
    PickMessage { consumer: ConsumerNumber, queue: QueueId, spot: Spot, at: Location },
}

/// The number of a message among the dead of its queue: 1, 2, and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeadSequence(pub u64);

/// Dead messages `from` to `to` of one queue, both included.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadRange {
    pub from: DeadSequence,
    pub to: DeadSequence,
}

/// Which dead message of which queue a message is. No queue takes the same one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The queue that it died in.
    pub source: QueueId,
    /// Its number there.
    pub sequence: DeadSequence,
}

/// A message on its way into queues of this shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The queues, each named once.
    pub queues: Vec<QueueId>,
    /// Whether the client asked for persistence (delivery mode 2); reported, not acted upon.
    pub persistent: bool,
    /// The exchange it was published to.
    pub exchange: Bytes,
    /// The key it was published with.
    pub routing_key: Bytes,
    /// Property flags and property list, exactly as the client sent them.
    pub header: Bytes,
    /// The body, or the last part of it when there is an upload.
    pub body: Bytes,
    /// Earlier parts of the body: the upload that holds them.
    pub upload: Option<u64>,
    /// How long it may wait (the `expiration` property); 0 is for immediate delivery only.
    pub expiration_ms: Option<u64>,
    /// The `priority` property.
    pub priority: Option<u8>,
    /// What the front end has to know of the message's way when it dies, and no consumer sees. The
    /// shard only keeps it. Mostly empty.
    pub trail: Bytes,
    /// Where it died, if it has.
    pub letter: Option<Letter>,
    /// How long it is put aside before it waits: it comes to the end of its queues then.
    pub delay_ms: Option<u64>,
    /// What tells it from others, for those of its queues that take a message once.
    pub dedup: Vec<(QueueId, DedupKey)>,
}

/// What a publisher calls a message, whose queue takes it once: a hash of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupKey(pub [u8; DEDUP_KEY_BYTES]);

/// Bytes of a [`DedupKey`]: so many that no two names have the same.
pub const DEDUP_KEY_BYTES: usize = 16;

/// What becomes of settled messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done with (basic.ack).
    Ack,
    /// Back to its place; acquired once more, not a failed delivery (basic.nack, basic.recover).
    Requeue,
    /// Back to its place; a failed delivery (basic.reject with requeue).
    RejectRequeue,
    /// Dropped, or dead-lettered where that is configured (nack or reject without requeue).
    Reject,
    /// Back to its place as if it had never been given out: the client never saw it.
    Release,
    /// Stays with its consumer, as if it had been given out at this moment: its lease begins anew.
    Extend,
}

/// Deliveries `from` to `to` of one consumer, both included.
#[expect(missing_docs, reason = "the text of the whole speaks of its fields")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettleRange {
    pub from: DeliverySequence,
    pub to: DeliverySequence,
}

/// A consumer's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attach {
    /// Its name in its session.
    pub consumer: ConsumerNumber,
    /// The queue it takes from.
    pub queue: QueueId,
    /// Unsettled messages it may hold; 0 is no limit (basic.qos).
    pub prefetch: u32,
    /// Deliveries it may be given before a `Grant` allows more.
    pub granted: DeliverySequence,
    /// Higher ones are served first (x-priority).
    pub priority: i32,
    /// Refused unless alone, and then keeps others out.
    pub exclusive: bool,
    /// Whether the client does not acknowledge: the front end settles as it writes to the socket.
    pub no_ack: bool,
    /// The consumer tag, for listings.
    pub tag: Bytes,
    /// How long it may hold a delivery (x-consumer-timeout), instead of what the queue says; 0 is
    /// for ever.
    pub timeout_ms: Option<u64>,
    /// Whose it is beyond its connection, if anybody's.
    pub claim: Option<Claim>,
}

/// What a client that comes back is known by. It is given again first what its consumers held when
/// their connection broke. Where it comes by another connection while the former one is still
/// there, the consumers of that one are lost at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The client.
    pub key: ClaimKey,
    /// Which of its node's connections it has come by.
    pub connection: u64,
    /// How long others wait for it.
    pub grace_ms: u64,
}

/// A client: a hash of what it calls itself, and of whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey(pub [u8; CLAIM_KEY_BYTES]);

/// Bytes of a [`ClaimKey`]: so many that no two clients have the same.
pub const CLAIM_KEY_BYTES: usize = 16;
