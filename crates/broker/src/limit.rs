//! The limits that clients run into: what each is called, where it stands, and how often it
//! was reached.
//!
//! **Not here:** what happens then. Each limit acts where the thing is done that it limits; what
//! the catalog may hold is in `room.rs`.

use warren_amqp::{Bound, ChannelError, ConnectionError};
use warren_types::MAX_TABLE_DEPTH;

use crate::broker::Broker;
use crate::config::Limits;
use crate::counters::Counter;
use crate::failure::Failure;

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $value:expr;)+) => {
        /// A limit that clients run into.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Limit {
            $($(#[$doc])* $variant,)+
        }

        impl Limit {
            /// All of them.
            const ALL: &[Self] = &[$(Self::$variant),+];

            /// The key that sets it, without its section.
            const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Where it stands; 0 is none.
            fn value(self, limits: &Limits) -> u64 {
                let value: fn(&Limits) -> u64 = match self {
                    $(Self::$variant => $value,)+
                };
                value(limits)
            }
        }

        /// How often each limit was reached.
        #[derive(Debug)]
        pub(crate) struct Hits([(Limit, Counter); Limit::ALL.len()]);

        impl Default for Hits {
            fn default() -> Self {
                Self([$((Limit::$variant, Counter::default())),+])
            }
        }
    };
}

limits! {
    /// The largest frame.
    FrameSize = "frame_max", |limits| limits.frame_max_bytes.into();
    /// Channels of one connection.
    Channels = "channel_max", |limits| limits.channel_max.into();
    /// The largest message.
    MessageSize = "max_message_size", |limits| limits.message_max_bytes;
    /// Tables and arrays within each other. It keeps the stack from overflowing and has no key.
    TableDepth = "table_depth", |_| count(MAX_TABLE_DEPTH);
    /// The time until a client has logged in, milliseconds.
    Handshake = "handshake_timeout_ms", |limits| {
        u64::try_from(limits.handshake_timeout.as_millis()).unwrap_or(u64::MAX)
    };
    /// The time in which a client has to be heard of, seconds; it may ask for another.
    Heartbeat = "heartbeat_s", |limits| limits.heartbeat_s.into();
    /// Failed logins of one address in a minute.
    LoginFailures = "login_failures_per_minute", |limits| limits.login_failures_per_minute.into();
    /// Connections to this node.
    Connections = "connection_max", |limits| count(limits.connections);
    /// Channels on this node.
    ChannelsOfNode = "channel_max_per_node", |limits| count(limits.channels);
    /// Consumers of one channel.
    Consumers = "consumer_max_per_channel", |limits| count(limits.consumers_per_channel);
    /// Messages that one channel has not settled.
    Unacked = "unacked_max_per_channel", |limits| count(limits.unacked_per_channel);
    /// Virtual hosts.
    Vhosts = "vhost_max", |limits| count(limits.vhosts);
    /// Queues of the cluster.
    Queues = "cluster_queue_limit", |limits| count(limits.queues);
    /// Queues of one virtual host that has no limit of its own.
    QueuesOfVhost = "queue_max_per_vhost", |limits| count(limits.queues_per_vhost);
    /// Exchanges of the cluster.
    Exchanges = "cluster_exchange_limit", |limits| count(limits.exchanges);
    /// Bindings of one virtual host.
    Bindings = "binding_max_per_vhost", |limits| count(limits.bindings_per_vhost);
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl Hits {
    /// Somebody has run into `limit`.
    pub(crate) fn note(&self, limit: Limit) {
        let counted = self.0.iter().find(|(known, _)| *known == limit);
        counted.expect("all limits are counted").1.add(1);
    }

    /// Counts a failure that comes from a limit of the codec.
    pub(crate) fn note_failure(&self, failure: &Failure) {
        match failure {
            Failure::Channel(error) => self.note_bound(ChannelError::bound(error)),
            Failure::Connection(error) => self.note_bound(ConnectionError::bound(error)),
        }
    }

    /// Counts a limit of the codec.
    pub(crate) fn note_bound(&self, bound: Option<Bound>) {
        match bound {
            Some(Bound::FrameSize) => self.note(Limit::FrameSize),
            Some(Bound::Channels) => self.note(Limit::Channels),
            Some(Bound::MessageSize) => self.note(Limit::MessageSize),
            Some(Bound::TableDepth) => self.note(Limit::TableDepth),
            None => {}
        }
    }
}

/// A limit as operators see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// The key that sets it, without its section.
    pub name: &'static str,
    /// Where it stands; 0 is none.
    pub value: u64,
    /// How often it was reached since the node's start.
    pub hits: u64,
}

impl Broker {
    /// All limits that clients run into.
    #[must_use]
    pub fn limit_rows(&self) -> Vec<LimitRow> {
        let inner = self.inner();
        let limits = inner.limits();
        let rows = inner.counters.hits.0.iter();
        rows.map(|(limit, hits)| LimitRow {
            name: limit.name(),
            value: limit.value(&limits),
            hits: hits.value(),
        })
        .collect()
    }
}
