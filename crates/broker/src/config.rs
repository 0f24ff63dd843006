//! What a broker is told at its start.

use std::time::Duration;

use warren_catalog::HashingAlgorithm;
use warren_types::{BootId, NodeId};

/// A broker's settings. The server reads them; nothing here looks at files or the environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// This node.
    pub node: NodeId,
    /// This start of it.
    pub boot: BootId,
    /// What people call the node, in the shape `name@host`.
    pub node_name: String,
    /// The cluster's identity, drawn when it was founded.
    pub cluster: u128,
    /// What the catalog knows the node's data directory by, drawn when that was made.
    pub token: u128,
    /// Where other nodes reach this one.
    pub peer_address: String,
    /// The node's failure zone, empty if unknown: replicas of one shard go to different ones.
    pub zone: String,
    /// Shards that the cluster was made with.
    pub shards: u32,
    /// Nodes that hold each shard, if there are as many.
    pub replication_factor: usize,
    /// How long nothing may be heard of a node before it is given up, with its sessions.
    pub node_timeout: Duration,
    /// How long a node may be away before its replicas go to others.
    pub replace_after: Duration,
    /// How long the preferred leader of a shard has to be well before it is given the lead back.
    pub lead_return_after: Duration,
    /// What people call the cluster; clients read it.
    pub cluster_name: String,
    /// The user, password and virtual host that an empty catalog begins with.
    pub initial: InitialContent,
    /// What clients may use up.
    pub limits: Limits,
    /// Who is asked who they are, and what they may do.
    pub auth: warren_auth::Settings,
    /// Shards in memory, for exclusive and non-durable queues. One per core keeps them all busy.
    pub local_shards: usize,
}

/// What an empty catalog begins with.
#[derive(Clone, Debug)]
pub struct InitialContent {
    /// The user's name.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// The virtual host, on which the user may do everything.
    pub vhost: String,
    /// Whether the user may log in from this machine alone.
    pub loopback_only: bool,
    /// How passwords are hashed that are set without a word about it.
    pub hashing: HashingAlgorithm,
}

impl Default for InitialContent {
    /// RabbitMQ's: guest may come in over loopback with the password guest.
    fn default() -> Self {
        Self {
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            vhost: "/".to_owned(),
            loopback_only: true,
            hashing: HashingAlgorithm::default(),
        }
    }
}

/// What clients may use up.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest frame on offer, in bytes, overhead included.
    pub frame_max_bytes: u32,
    /// The highest channel number on offer.
    pub channel_max: u16,
    /// The heartbeat on offer, in seconds; 0 for none.
    pub heartbeat_s: u16,
    /// The largest message body, in bytes.
    pub message_max_bytes: u64,
    /// How long a client may take to log in and open its virtual host.
    pub handshake_timeout: Duration,
    /// How long an operation may wait for what it needs before its channel is closed.
    pub operation_timeout: Duration,
    /// Connections that this node takes; further ones are closed at once.
    pub connections: usize,
    /// Failed logins of one address in a minute after which it is turned away; 0 for any number.
    pub login_failures_per_minute: u32,
    /// Channels of all connections to this node; 0 for any number.
    pub channels: usize,
    /// Consumers on one channel.
    pub consumers_per_channel: usize,
    /// Messages that one channel may have been given and not settled, those aside that its
    /// consumers' own prefetch allows; 0 for any number.
    pub unacked_per_channel: usize,
    /// Virtual hosts of the cluster; 0 for any number.
    pub vhosts: usize,
    /// Queues of the cluster; 0 for any number.
    pub queues: usize,
    /// Queues of a virtual host that has no limit of its own; 0 for any number.
    pub queues_per_vhost: usize,
    /// Exchanges of the cluster; 0 for any number.
    pub exchanges: usize,
    /// Bindings of a virtual host; 0 for any number.
    pub bindings_per_vhost: usize,
    /// How long what a client held is kept for it when its connection breaks, if it has a
    /// `session_id`; 0 for not at all.
    pub session_grace: Duration,
    /// What a consumer without a prefetch of its own is limited to; 0 for nothing.
    pub default_prefetch: u16,
    /// Bytes of publishes that one connection may have unanswered before its socket is not read.
    pub connection_in_flight_bytes: usize,
    /// Bytes that wait for one client's socket before it is given no more deliveries.
    pub connection_output_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max_bytes: 131_072,
            channel_max: 2047,
            heartbeat_s: 60,
            message_max_bytes: 16 * 1024 * 1024,
            handshake_timeout: Duration::from_secs(10),
            operation_timeout: Duration::from_secs(30),
            connections: 100_000,
            login_failures_per_minute: 100,
            channels: 1_000_000,
            consumers_per_channel: 65_535,
            unacked_per_channel: 1_000_000,
            vhosts: 100_000,
            queues: 1_000_000,
            queues_per_vhost: 0,
            exchanges: 1_000_000,
            bindings_per_vhost: 10_000_000,
            session_grace: Duration::from_secs(60),
            default_prefetch: 0,
            connection_in_flight_bytes: 4 * 1024 * 1024,
            connection_output_bytes: 256 * 1024,
        }
    }
}
