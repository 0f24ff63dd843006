//! What a connection's task remembers.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::stream::FuturesUnordered;
use rustc_hash::FxHashMap;
use slab::Slab;
use tokio::sync::watch;
use tokio::time::Instant;
use warren_amqp::{ClientCapabilities, Connection as Wire, ConnectionError, Output};
use warren_auth::Authority;
use warren_catalog::{Access, Catalog, Name, TopicAccess, TopicCheck, TopicVariables};
use warren_types::{ChannelNumber, ConsumerNumber, Tally};

use super::Mailbox;
use super::channel::Channel;
use super::deliver::Pending;
use super::deliver::RowRead;
use super::describe::Facts;
use super::flow::InFlight;
use super::holder::Holder;
use super::operation::Operation;
use super::plan::Plans;
use super::staging::Staging;
use super::stream::Streams;
use super::unacked::Nth;
use crate::broker::Inner;
use crate::config::Limits;
use crate::grants::{Grants, Identity, Kind, topic_question};
use crate::janitor::Chore;
use crate::queue::handle::ShardSlot;
use crate::registry::ConnectionId;
use crate::traces::Tracer;
use warren_queue::Claim;

/// The tag of those who may publish under others' names.
const IMPERSONATOR: &str = "impersonator";

/// Who the client is, once it has opened its virtual host.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) user: Name,
    pub(crate) vhost: Name,
    /// Where it comes from, if it is none of our own.
    pub(crate) from: Option<IpAddr>,
    /// Its tags, where it is not the catalog that knows them.
    pub(crate) tags: Vec<Name>,
    /// Who says what it may do.
    pub(crate) grants: Grants,
}

impl Client {
    /// One of our own, whom nobody asks.
    pub(crate) fn own(user: Name, vhost: Name) -> Self {
        Self { user, vhost, from: None, tags: Vec::new(), grants: Grants::Catalog }
    }

    /// Whether it may have `access` to the exchange or queue `name`; none where that has to be
    /// asked.
    pub(crate) fn may(
        &self,
        catalog: &Catalog,
        kind: Kind,
        name: &str,
        access: Access,
    ) -> Option<bool> {
        self.grants.may(catalog, (&self.user, &self.vhost), (kind, name), access)
    }

    /// Which routing keys it may use on a topic exchange.
    pub(crate) fn topics<'a>(
        &'a self,
        catalog: &Catalog,
        exchange: &'a str,
        access: TopicAccess,
    ) -> Topics<'a> {
        let Self { user, vhost, grants, .. } = self;
        match grants {
            Grants::Catalog => {
                let variables = TopicVariables { username: user, vhost, client_id: None };
                let check = catalog.topic_check(user, vhost, exchange, access, variables);
                Topics::Known(check)
            }
            Grants::Foreign(authority) => Topics::Asked { authority, vhost, exchange, access },
        }
    }

    /// Whether it may publish under others' names.
    pub(crate) fn is_impersonator(&self, catalog: &Catalog) -> bool {
        match &self.grants {
            Grants::Catalog => {
                catalog.user(&self.user).is_some_and(|user| user.has_tag(IMPERSONATOR))
            }
            Grants::Foreign(_) => self.tags.iter().any(|tag| &**tag == IMPERSONATOR),
        }
    }
}

/// Which routing keys somebody may use on a topic exchange.
pub(crate) enum Topics<'a> {
    /// Those that the catalog says.
    Known(TopicCheck),
    /// Those that somebody else says.
    Asked { authority: &'a Authority, vhost: &'a str, exchange: &'a str, access: TopicAccess },
}

impl Topics<'_> {
    /// Whether that one may be used; none where that has to be asked.
    pub(crate) fn allows(&self, routing_key: &[u8]) -> Option<bool> {
        match self {
            Self::Known(check) => Some(check.allows(routing_key)),
            Self::Asked { authority, vhost, exchange, access } => {
                let access = match access {
                    TopicAccess::Write => Access::Write,
                    TopicAccess::Read => Access::Read,
                };
                authority.allows(&topic_question(vhost, exchange, routing_key, access))
            }
        }
    }
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The client has not opened its virtual host.
    Handshake,
    /// The client is served.
    Open,
    /// The client has been refused and is kept waiting before the socket is dropped.
    Held,
    /// Consumers and exclusive queues are given up; the client waits for its close-ok.
    Leaving,
}

/// One client's connection.
pub(crate) struct Connection {
    pub(crate) broker: Arc<Inner>,
    pub(crate) id: ConnectionId,
    pub(crate) mailbox: Mailbox,
    pub(crate) peer: SocketAddr,
    pub(crate) phase: Phase,
    pub(crate) wire: Wire,
    pub(crate) out: Output,
    pub(crate) frame_max: u32,
    pub(crate) heartbeat_s: u16,
    pub(crate) capabilities: ClientCapabilities,
    /// What is told to operators and means nothing else here.
    pub(crate) facts: Facts,
    /// What was agreed under TLS, and who the client has proved to be; none without TLS.
    pub(crate) secured: Option<Arc<warren_tls::Session>>,
    /// What it may use up: the limits of when it came.
    limits: Arc<Limits>,
    /// The user that has logged in.
    pub(crate) user: Option<Name>,
    /// The same, until the virtual host is open.
    pub(crate) identity: Option<Identity>,
    /// When what the client showed expires, once that is watched.
    pub(crate) expiry: Option<watch::Sender<Option<u64>>>,
    /// How many channels there are, for others to see.
    pub(crate) channel_count: Arc<AtomicU64>,
    pub(crate) client: Option<Client>,
    /// What the client calls itself, should it come back.
    pub(crate) session_id: Option<String>,
    /// What its consumers register with, if it calls itself anything.
    pub(crate) claim: Option<Claim>,
    /// Whether the connection ends and its client did not ask for that.
    pub(crate) is_lost: bool,
    /// Boxed, because a tree with one entry has room for eleven.
    pub(crate) channels: BTreeMap<ChannelNumber, Box<Channel>>,
    /// Counts channels, so that a late answer is not taken for a later channel's.
    pub(crate) generations: u64,
    pub(crate) holders: FxHashMap<Nth, Holder>,
    /// Where each holder is registered: what has to be ended whatever happens to this task.
    pub(crate) attached: BTreeMap<ConsumerNumber, ShardSlot>,
    /// The number that the last holder got.
    pub(crate) last_holder: Nth,
    /// Whether an exclusive queue was ever asked for.
    pub(crate) owns_queues: bool,
    pub(crate) plans: Plans,
    pub(crate) staging: Staging,
    /// Fragments that have not been answered.
    pub(crate) in_flight: Slab<InFlight>,
    pub(crate) in_flight_bytes: usize,
    /// Bytes of frames that wait behind operations.
    pub(crate) backlog_bytes: usize,
    /// Deliveries that have not been written, in order.
    pub(crate) pending: VecDeque<Pending>,
    /// Bytes of rows that pending deliveries keep in memory, counted once per delivery.
    pub(crate) kept_row_bytes: usize,
    /// The row that the first pending delivery waits for.
    pub(crate) reading: Option<RowRead>,
    /// Its consumers of streams, if it has any.
    pub(crate) streams: Option<Box<Streams>>,
    pub(crate) operations: FuturesUnordered<Operation>,
    /// Why the connection must be closed.
    pub(crate) failed: Option<ConnectionError>,
    /// Why the client is sent away, once what it published is answered, and when at the latest.
    pub(crate) dismissed: Option<(ConnectionError, Instant)>,
    /// Shards to which it has published and nobody may at the moment.
    pub(crate) held_up_by: Vec<ShardSlot>,
    /// Channels whose confirms may be due.
    pub(crate) confirming: Vec<ChannelNumber>,
    /// Channels that may have room again under their own prefetch.
    pub(crate) relieved: Vec<ChannelNumber>,
    /// Sizes of messages published since they were last passed on.
    pub(crate) published_bytes: Tally,
    /// Where the spans of traced messages go, if messages are traced.
    pub(crate) tracer: Option<Tracer>,
}

impl Connection {
    /// A connection whose client has not said anything.
    pub(crate) fn new(
        broker: Arc<Inner>,
        mailbox: Mailbox,
        peer: SocketAddr,
        secured: Option<Arc<warren_tls::Session>>,
    ) -> Self {
        let limits = broker.limits();
        let has_certificate = secured.as_ref().is_some_and(|session| session.login_name.is_some());
        let offer = super::login::offer(&broker.config, &limits, has_certificate);
        let wire = Wire::new(offer);
        Self {
            id: broker.registry.number(),
            mailbox,
            peer,
            phase: Phase::Handshake,
            wire,
            out: Output::new(),
            frame_max: limits.frame_max_bytes,
            heartbeat_s: 0,
            capabilities: ClientCapabilities::default(),
            facts: Facts::default(),
            secured,
            limits,
            user: None,
            identity: None,
            expiry: None,
            channel_count: Arc::default(),
            client: None,
            session_id: None,
            claim: None,
            is_lost: false,
            channels: BTreeMap::new(),
            generations: 0,
            holders: FxHashMap::default(),
            attached: BTreeMap::new(),
            last_holder: 0,
            owns_queues: false,
            plans: Plans::default(),
            staging: Staging::default(),
            in_flight: Slab::new(),
            in_flight_bytes: 0,
            backlog_bytes: 0,
            pending: VecDeque::new(),
            kept_row_bytes: 0,
            reading: None,
            streams: None,
            operations: FuturesUnordered::new(),
            failed: None,
            dismissed: None,
            held_up_by: Vec::new(),
            confirming: Vec::new(),
            relieved: Vec::new(),
            published_bytes: broker.counters.message_bytes.tally(),
            tracer: broker.tracer.get().cloned(),
            broker,
        }
    }

    /// The node's limits for clients.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The client, on channels that exist only once it has opened its virtual host.
    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("channels open after the virtual host")
    }

    /// Whether the socket may be read: nothing that the client causes is beyond its bound.
    pub(crate) fn may_read(&self) -> bool {
        let limits = self.limits();
        // What is sent before a decision need not be read before it.
        !self.wire.awaits_decision()
            && self.dismissed.is_none()
            && self.held_up_by.is_empty()
            && self.in_flight_bytes < limits.connection_in_flight_bytes
            && self.backlog_bytes < limits.connection_in_flight_bytes
            && self.out.len() < limits.connection_output_bytes.saturating_mul(4)
            && matches!(self.phase, Phase::Handshake | Phase::Open | Phase::Leaving)
    }
}

impl Drop for Connection {
    /// A task that panics has not left in order: what it holds must not be held by nobody.
    fn drop(&mut self) {
        self.broker.registry.leave(self.id);
        self.is_lost = true;
        for (consumer, slot) in std::mem::take(&mut self.attached) {
            self.broker.shard(slot).tell(&self.end_of(consumer));
        }
        if self.owns_queues {
            self.broker.chore(Chore::ConnectionGone(self.broker.owner(self.id)));
        }
    }
}
