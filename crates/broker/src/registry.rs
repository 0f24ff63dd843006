//! Which connections this node has.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustc_hash::{FxHashMap, FxHashSet};
use warren_types::ConsumerNumber;

use crate::connection::{Mailbox, ToConnection};

/// A client's connection to this node; counted from the node's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The number of this connection's `nth` consumer. The connection can be told from it.
    pub(crate) fn consumer(self, nth: u32) -> ConsumerNumber {
        ConsumerNumber((u64::from(self.0) << 32) | u64::from(nth))
    }

    fn of(consumer: ConsumerNumber) -> Self {
        Self(u32::try_from(consumer.0 >> 32).expect("32 bits are left of 64"))
    }
}

/// What others may know of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) mailbox: Mailbox,
    pub(crate) vhost: Arc<str>,
    pub(crate) user: Arc<str>,
    /// What people call it: both ends of its socket.
    pub(crate) name: Arc<str>,
    /// What was agreed under TLS; none without TLS.
    pub(crate) secured: Option<Arc<warren_tls::Session>>,
    /// How many channels it has.
    pub(crate) channels: Arc<AtomicU64>,
}

/// All connections of this node. Cheap to clone.
///
/// Shards look here for every batch of deliveries, and connections come and go: a lock that is
/// held for one look-up is cheaper than a task in between.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registry {
    connections: Arc<RwLock<FxHashMap<ConnectionId, Registered>>>,
    last: Arc<AtomicU32>,
    /// Consumers of direct replies, by the number in their address.
    listeners: Arc<RwLock<FxHashSet<u64>>>,
}

impl Registry {
    /// A number for a connection.
    pub(crate) fn number(&self) -> ConnectionId {
        ConnectionId(self.last.fetch_add(1, Ordering::Relaxed).wrapping_add(1))
    }

    /// Makes a connection known.
    pub(crate) fn enter(&self, connection: ConnectionId, registered: Registered) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        connections.insert(connection, registered);
    }

    /// Forgets a connection.
    pub(crate) fn leave(&self, connection: ConnectionId) {
        let mut connections = self.connections.write().unwrap_or_else(PoisonError::into_inner);
        connections.remove(&connection);
    }

    /// Sends to the connection that has `consumer`; one that has gone does not mind.
    pub(crate) fn send(&self, consumer: ConsumerNumber, message: ToConnection) {
        self.send_to(ConnectionId::of(consumer), message);
    }

    /// Whether there is the connection of `consumer`.
    pub(crate) fn has(&self, consumer: ConsumerNumber) -> bool {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        connections.contains_key(&ConnectionId::of(consumer))
    }

    /// Sends to a connection; false when it has gone.
    pub(crate) fn send_to(&self, connection: ConnectionId, message: ToConnection) -> bool {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let Some(registered) = connections.get(&connection) else { return false };
        registered.mailbox.send(message);
        true
    }

    /// Makes a consumer of direct replies known.
    pub(crate) fn listen(&self, nonce: u64) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).insert(nonce);
    }

    /// Forgets a consumer of direct replies.
    pub(crate) fn hush(&self, nonce: u64) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).remove(&nonce);
    }

    /// Whether there is such a consumer of direct replies.
    pub(crate) fn listens(&self, nonce: u64) -> bool {
        self.listeners.read().unwrap_or_else(PoisonError::into_inner).contains(&nonce)
    }

    /// Sends to every connection for which `chosen` holds.
    pub(crate) fn send_where(
        &self,
        chosen: impl Fn(&Registered) -> bool,
        message: impl Fn() -> ToConnection,
    ) {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        for registered in connections.values().filter(|registered| chosen(registered)) {
            registered.mailbox.send(message());
        }
    }

    /// Sends to every connection for which `chosen` holds what `message` makes for it. Returns how
    /// many that are.
    pub(crate) fn send_each(
        &self,
        chosen: impl Fn(&Registered) -> bool,
        mut message: impl FnMut() -> ToConnection,
    ) -> u64 {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0_u64;
        for registered in connections.values().filter(|registered| chosen(registered)) {
            registered.mailbox.send(message());
            count = count.saturating_add(1);
        }
        count
    }

    /// How many connections there are for which `chosen` holds.
    pub(crate) fn count(&self, chosen: impl Fn(&Registered) -> bool) -> usize {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        connections.values().filter(|registered| chosen(registered)).count()
    }

    /// How many channels the connections have for which `chosen` holds.
    pub(crate) fn count_channels(&self, chosen: impl Fn(&Registered) -> bool) -> u64 {
        let connections = self.connections.read().unwrap_or_else(PoisonError::into_inner);
        let chosen = connections.values().filter(|registered| chosen(registered));
        let counts = chosen.map(|registered| registered.channels.load(Ordering::Relaxed));
        counts.fold(0, u64::saturating_add)
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
