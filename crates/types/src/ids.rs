//! The numbers that cross crates, each a type of its own so that none is taken for another.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! counting {
    ($($name:ident),+) => {
        $(impl $name {
            /// The number after this one.
            ///
            /// # Panics
            /// When 2^64 of them have been used up, which no running time reaches.
            #[must_use]
            pub fn next(self) -> Self {
                self.plus(1)
            }

            /// The number `by` places after this one.
            ///
            /// # Panics
            /// When 2^64 of them have been used up, which no running time reaches.
            #[must_use]
            pub fn plus(self, by: u64) -> Self {
                Self(self.0.checked_add(by).expect("2^64 numbers are never used up"))
            }
        })+
    };
}

number! {
    /// A node of the cluster. Given once, by the catalog, and never used again.
    NodeId(u64)
}
number! {
    /// One start of a node's process; a later start has a higher number.
    BootId(u64)
}
number! {
    /// One Raft group: 0 is the catalog, shards follow.
    GroupId(u32)
}
number! {
    /// An entry's place in its group's log, from 1.
    LogIndex(u64)
}
number! {
    /// Raft's election counter.
    Term(u64)
}
number! {
    /// A queue's incarnation: from the catalog log index that declared it, so that it ascends. A
    /// queue that is deleted and declared again has another one.
    QueueId(u64)
}
number! {
    /// A message's place in its queue, by arrival; what is requeued keeps its number.
    MessageNumber(u64)
}
number! {
    /// A session's name for one of its consumers, unique within the session.
    ConsumerNumber(u64)
}
number! {
    /// Counts what one consumer was given, from 1, without gaps.
    DeliverySequence(u64)
}
number! {
    /// Counts what one session asked of one shard, from 1.
    RequestSequence(u64)
}
number! {
    /// AMQP's delivery tag: counts what one channel was given, from 1.
    DeliveryTag(u64)
}
number! {
    /// AMQP's channel number; 0 is the connection itself.
    ChannelNumber(u16)
}
number! {
    /// Milliseconds since 1970 UTC.
    Timestamp(u64)
}

counting!(LogIndex, MessageNumber, ConsumerNumber, DeliverySequence, RequestSequence, DeliveryTag);

impl GroupId {
    /// The group that replicates the catalog.
    pub const CATALOG: Self = Self(0);
}

impl Timestamp {
    /// The moment `ms` milliseconds later, or the end of time.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// One node's front end, from its start to its end. A shard knows its clients by it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The node.
    pub node: NodeId,
    /// Its start.
    pub boot: BootId,
}

impl SessionId {
    /// The leader of a shard, where it speaks for nobody: it lets time pass and closes sessions.
    /// No node has the number 0.
    pub const LEADER: Self = Self { node: NodeId(0), boot: BootId(0) };
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.node, self.boot)
    }
}

/// A consumer, as a shard knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId {
    /// Whose consumer it is.
    pub session: SessionId,
    /// Its number there.
    pub number: ConsumerNumber,
}

impl fmt::Display for ConsumerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.session, self.number)
    }
}

/// Where a message's bytes stand: an entry of its shard's log, and the byte offset of the
/// publish record within that entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The entry.
    pub index: LogIndex,
    /// Where the record begins in it, in bytes.
    pub offset: u32,
}
