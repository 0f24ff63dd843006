//! What a connection tells operators about itself.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use warren_types::{ChannelNumber, Table};

use super::channel::Mode;
use super::holder::{Holder, Stage};
use super::state::Connection;
use crate::queue::batch::wall_clock;
use crate::survey::{ChannelRow, ConnectionRow, ConsumerRow, Pace, TlsRow};

/// Bytes of a client's own properties that are kept for operators. Usual are some hundred.
const PROPERTIES_BYTES: usize = 8 * 1024;

/// A connection, its channels and their consumers.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) connection: ConnectionRow,
    pub(crate) channels: Vec<ChannelRow>,
    pub(crate) consumers: Vec<ConsumerRow>,
}

/// Bytes that went one way, and in how many pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Traffic {
    bytes: u64,
    pieces: u64,
}

impl Traffic {
    /// A piece went.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        self.pieces = self.pieces.saturating_add(1);
    }
}

/// What is told to operators and means nothing to the connection itself.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Where its socket ends on this side.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) channel_max: u16,
    mechanism: String,
    /// What the client says about itself, encoded: a table takes more room.
    properties: Bytes,
    pub(crate) received: Traffic,
    pub(crate) sent: Traffic,
    since_ms: u64,
    pace: Pace<(u64, u64), (f64, f64)>,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            local: None,
            channel_max: 0,
            mechanism: String::new(),
            properties: Bytes::new(),
            received: Traffic::default(),
            sent: Traffic::default(),
            since_ms: wall_clock().0,
            pace: Pace::default(),
        }
    }
}

impl Facts {
    /// How the client has logged in; empty as long as it has not tried.
    pub(crate) fn mechanism(&self) -> &str {
        &self.mechanism
    }

    /// What the client says about itself.
    pub(crate) fn properties(&self) -> Table {
        Table::decode(&self.properties).unwrap_or_default()
    }

    /// When it came, in milliseconds since 1970.
    pub(crate) fn since_ms(&self) -> u64 {
        self.since_ms
    }

    /// Keeps what the client says about itself, unless that is unreasonably much.
    pub(crate) fn introduced(&mut self, mechanism: &str, properties: &Table) {
        self.mechanism = mechanism.to_owned();
        let mut encoded = BytesMut::new();
        properties.encode(&mut encoded);
        if encoded.len() <= PROPERTIES_BYTES {
            self.properties = encoded.freeze();
        }
    }
}

impl Connection {
    /// What people call it: both ends of its socket.
    pub(crate) fn name(&self) -> Arc<str> {
        let (peer, local) = (canonical(self.peer), self.facts.local.map(canonical));
        match local {
            Some(local) => format!("{peer} -> {local}").into(),
            None => peer.to_string().into(),
        }
    }

    /// Tells how it is.
    pub(crate) fn describe(&mut self) -> Description {
        let now = Instant::now();
        let connection = self.describe_connection(now);
        let channels = self.describe_channels(&connection, now);
        let consumers = self.holders.values().filter(|holder| is_consumer(holder));
        let consumers = consumers.chain(self.stream_consumers());
        let consumers = consumers.map(|holder| describe_consumer(&connection, holder)).collect();
        Description { connection, channels, consumers }
    }

    fn state(&self) -> &'static str {
        match (self.held_up_by.is_empty(), self.may_read()) {
            (false, _) => "blocked",
            (true, true) => "running",
            (true, false) => "flow",
        }
    }

    fn describe_connection(&mut self, now: Instant) -> ConnectionRow {
        let (peer, local) = (canonical(self.peer), self.facts.local.map(canonical));
        let (received, sent) = (self.facts.received, self.facts.sent);
        let rates =
            self.facts.pace.look(now, (received.bytes, sent.bytes), |after, before, over| {
                (per_second(after.0, before.0, over), per_second(after.1, before.1, over))
            });
        let text = |name: Option<&str>| name.unwrap_or_default().to_owned();
        let client = self.client.as_ref();
        ConnectionRow {
            node: self.broker.session.node,
            id: self.id.0,
            name: self.name().to_string(),
            peer_host: peer.ip().to_string(),
            peer_port: peer.port(),
            host: local.map(|local| local.ip().to_string()).unwrap_or_default(),
            port: local.map(|local| local.port()).unwrap_or_default(),
            user: text(client.map(|client| &*client.user)),
            vhost: text(client.map(|client| &*client.vhost)),
            auth_mechanism: self.facts.mechanism.clone(),
            client_properties: self.facts.properties(),
            connected_at_ms: self.facts.since_ms,
            state: self.state().to_owned(),
            channels: u32::try_from(self.channels.len()).unwrap_or(u32::MAX),
            channel_max: self.facts.channel_max,
            frame_max: self.frame_max,
            heartbeat_s: self.heartbeat_s,
            recv_oct: received.bytes,
            recv_cnt: received.pieces,
            send_oct: sent.bytes,
            send_cnt: sent.pieces,
            send_pend: u64::try_from(self.out.len()).unwrap_or(u64::MAX),
            recv_oct_rate: rates.0,
            send_oct_rate: rates.1,
            tls: self.secured.as_deref().map(TlsRow::of),
        }
    }

    fn describe_channels(&mut self, of: &ConnectionRow, now: Instant) -> Vec<ChannelRow> {
        let rows = self.channels.iter_mut().map(|(number, channel)| {
            let (publishes, settles) = match &channel.mode {
                Mode::Transaction(transaction) => transaction.held(),
                Mode::Plain | Mode::Confirm(_) => (0, 0),
            };
            let unconfirmed = match &channel.mode {
                Mode::Confirm(confirms) => confirms.open(),
                Mode::Plain | Mode::Transaction(_) => 0,
            };
            let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
            ChannelRow {
                node: of.node,
                connection: of.id,
                connection_name: of.name.clone(),
                peer_host: of.peer_host.clone(),
                peer_port: of.peer_port,
                user: of.user.clone(),
                vhost: of.vhost.clone(),
                number: number.0,
                state: of.state.clone(),
                confirm: matches!(channel.mode, Mode::Confirm(_)),
                transactional: matches!(channel.mode, Mode::Transaction(_)),
                consumer_count: u32::try_from(channel.consumers.len()).unwrap_or(u32::MAX),
                prefetch_count: channel.prefetch,
                global_prefetch_count: channel.channel_prefetch,
                messages_unacknowledged: count(channel.unacked.open()),
                messages_unconfirmed: count(unconfirmed),
                messages_uncommitted: count(publishes),
                acks_uncommitted: count(settles),
                counts: channel.counts,
                rates: channel.pace.of(now, channel.counts),
            }
        });
        rows.collect()
    }
}

fn describe_consumer(of: &ConnectionRow, holder: &Holder) -> ConsumerRow {
    let ChannelNumber(channel) = holder.channel;
    ConsumerRow {
        node: of.node,
        connection: of.id,
        connection_name: of.name.clone(),
        peer_host: of.peer_host.clone(),
        peer_port: of.peer_port,
        user: of.user.clone(),
        vhost: of.vhost.clone(),
        channel,
        consumer: holder.number.0,
        queue: holder.queue,
        tag: String::from_utf8_lossy(&holder.tag).into_owned(),
        ack_required: !holder.no_ack,
        exclusive: holder.terms.exclusive,
        prefetch_count: holder.prefetch,
        priority: holder.terms.priority,
        messages_unacknowledged: holder.held,
        active: true,
    }
}

fn is_consumer(holder: &Holder) -> bool {
    !holder.is_getter && holder.stage == Stage::Live
}

/// An address that came over IPv6 and means one of IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn per_second(after: u64, before: u64, seconds: f64) -> f64 {
    // Kilobytes do: a u32 of them is 4 TiB.
    let more = u32::try_from(after.saturating_sub(before) / 1024).unwrap_or(u32::MAX);
    f64::from(more) * 1024.0 / seconds
}
