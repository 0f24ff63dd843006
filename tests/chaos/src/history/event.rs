//! What can happen.

use serde::{Deserialize, Serialize};

/// A client's channel, and with it its connection: a client that connects anew has another.
pub type Channel = u64;

/// A consumer: a client that consumes anew is another.
pub type Consumer = u64;

/// A message. Each is published once, whatever became of it; later ones have higher numbers.
pub type Message = u64;

/// What is said to be done to a node whose files are changed while it is down.
pub const DAMAGE: &str = "damage";

/// Something that a client did or heard, or that was done to nodes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields say what they are, the variants what happened")]
pub enum Event {
    /// A phase of the run begins.
    Phase { phase: String },
    /// Not judged.
    Note { text: String },
    /// Something is about to be done to nodes.
    Fault { fault: u64, name: String, nodes: Vec<String>, what: String },
    /// It has been undone.
    Healed { fault: u64 },

    /// The workload says what a queue is; it is declared, or about to be.
    Queue { queue: String, rules: Rules },

    /// A channel is open on a connection of its own.
    Open { channel: Channel, node: String, who: String },
    /// The connection ended, or the broker closed the channel.
    Lost { channel: Channel, why: String },
    /// The client closed the connection, and heard that it is.
    Closed { channel: Channel },
    /// Something was not answered in time although the connection lives.
    Stuck { channel: Channel, what: String },
    /// connection.blocked or connection.unblocked
    Blocked { channel: Channel, blocked: bool },

    /// basic.publish; `tag` counts the channel's publishes, and is 0 on one without confirms.
    Publish {
        channel: Channel,
        tag: u64,
        message: Message,
        /// Where it belongs.
        queues: Vec<String>,
        size: u64,
        sum: u32,
        #[serde(default, skip_serializing_if = "is_default")]
        mandatory: bool,
        #[serde(default, skip_serializing_if = "is_default")]
        priority: u8,
        #[serde(default, skip_serializing_if = "is_default")]
        ttl_ms: Option<u64>,
    },
    /// basic.ack (taken) or basic.nack from the broker
    Confirm { channel: Channel, tag: u64, multiple: bool, taken: bool },
    /// basic.return
    Return { channel: Channel, message: Message, code: u16 },
    /// tx.commit is about to be sent.
    Commit { channel: Channel },
    /// tx.commit-ok
    Committed { channel: Channel },
    /// tx.rollback-ok
    RolledBack { channel: Channel },

    /// basic.consume is about to be sent; also the first basic.get of a channel from a queue.
    Consume {
        consumer: Consumer,
        channel: Channel,
        queue: String,
        /// 0: any number.
        prefetch: u16,
        /// Whether deliveries count as acknowledged.
        automatic: bool,
        #[serde(default, skip_serializing_if = "is_default")]
        exclusive: bool,
        #[serde(default, skip_serializing_if = "is_default")]
        priority: i64,
    },
    /// basic.consume-ok
    Consumed { consumer: Consumer },
    /// basic.cancel is about to be sent, was answered, or came from the broker.
    Cancel { consumer: Consumer, by_broker: bool },
    /// basic.deliver or basic.get-ok
    Deliver {
        consumer: Consumer,
        tag: u64,
        /// None where the body is not one that a publisher wrote.
        message: Option<Message>,
        size: u64,
        sum: u32,
        redelivered: bool,
        /// x-acquired-count
        #[serde(default, skip_serializing_if = "is_default")]
        acquired: u64,
        /// x-delivery-count
        #[serde(default, skip_serializing_if = "is_default")]
        count: u64,
        /// The latest of x-death
        #[serde(default, skip_serializing_if = "is_default")]
        death: Option<Death>,
    },
    /// basic.ack, basic.nack or basic.reject is about to be sent.
    Settle { channel: Channel, tag: u64, multiple: bool, how: How },
    /// A question is about to be asked on the channel.
    Ask { channel: Channel },
    /// It was answered: all that was settled before it is certain.
    Certain { channel: Channel },

    /// queue.purge (or queue.delete) is about to be sent.
    Remove { queue: String, delete: bool },
    /// It was answered; the numbers of lines between are for both.
    Removed { queue: String, delete: bool },
    /// All was taken from a queue that could be; what the broker says is left.
    Drained { queue: String, ready: u64 },
    /// A message was sent through a queue by way of a node, after everything was healed.
    Probe { queue: String, node: String, took_ms: u64, failed: Option<String> },
    /// An owner is gone: whether what it left had vanished everywhere within that time.
    Vanish { object: String, node: String, took_ms: u64, gone: bool },

    /// Something is about to be asked of the directory.
    Operate { operation: u64, object: String, action: Action, node: String },
    /// The answer.
    Answer { operation: u64, outcome: Outcome },
}

/// What a queue promises beyond what all do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// It has one consumer at a time, so that order spans consumers.
    #[serde(skip_serializing_if = "is_default")]
    pub sole: bool,
    /// It has a single active consumer.
    #[serde(skip_serializing_if = "is_default")]
    pub single_active: bool,
    /// Its deliveries say how often a message was given out (`x-acquired-count`).
    #[serde(skip_serializing_if = "is_default")]
    pub counts: bool,
    /// It goes with its node.
    #[serde(skip_serializing_if = "is_default")]
    pub transient: bool,
    /// Messages live so long.
    #[serde(skip_serializing_if = "is_default")]
    pub ttl_ms: Option<u64>,
    /// Messages that came back more often leave it.
    #[serde(skip_serializing_if = "is_default")]
    pub delivery_limit: Option<u64>,
    /// It holds so many.
    #[serde(skip_serializing_if = "is_default")]
    pub max_length: Option<u64>,
    /// What happens to more.
    #[serde(skip_serializing_if = "is_default")]
    pub overflow: Overflow,
    /// The queue that gets what leaves it unacknowledged.
    #[serde(skip_serializing_if = "is_default")]
    pub dead_letters: Option<String>,
    /// Whether dead letters are certain to arrive.
    #[serde(skip_serializing_if = "is_default")]
    pub at_least_once: bool,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Drops the oldest.
    #[default]
    DropHead,
    /// Refuses the newest.
    RejectPublish,
}

/// How a message left a queue unacknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The queue.
    pub queue: String,
    /// Why.
    pub reason: String,
    /// How often.
    pub count: u64,
}

/// What a consumer does with a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// basic.ack
    Ack,
    /// basic.nack or basic.reject with requeue
    Requeue,
    /// basic.nack or basic.reject without
    Discard,
}

/// What is asked of the directory about one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// That it be there, with properties of this kind.
    Declare(u32),
    /// That it be gone.
    Delete,
    /// Whether it is there.
    Look,
}

/// What the directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done.
    Done,
    /// It is there.
    Present,
    /// It is not there.
    Absent,
    /// It is there, and different.
    Different,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
