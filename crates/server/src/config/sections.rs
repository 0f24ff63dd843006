//! Every key there is, with its default and its meaning.
//!
//! A key is declared here and nowhere else: the file, the environment, the flags and the reference
//! that `warren config` prints are all made from these declarations.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use warren_broker::{HashingAlgorithm, Limits};
use warren_consensus::Config as Raft;
use warren_storage::{Config as Storage, LogEngine, RocksConfig};

use super::amount::Amount;
use super::auth::Backends;
use super::section::section;
use super::setting::{LogFormat, Ratio, Sampler, Secret};

/// Port `port` of `host`.
fn listen(host: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(host), port)
}

section! {
    /// The node itself.
    pub struct NodeSection in "" {
        /// The node's name, as clients and tools see it. Empty: warren@ and the host's name.
        name: String = String::new(),
        /// The cluster's name. Empty: the name of the node that makes the cluster.
        cluster_name: String = String::new(),
        /// Where the node keeps its data. Made if it is not there; one process uses it at a time.
        data_dir: PathBuf = PathBuf::from("./warren-data"),
        /// Where clients connect with AMQP.
        amqp: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 5672),
        /// Where health checks, the management API and the metrics are served.
        http: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 15672),
        /// Where the metrics and health checks alone are served.
        metrics: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 15692),
        /// Where other nodes connect.
        peer: SocketAddr = listen(Ipv4Addr::LOCALHOST, 25672),
        /// Where clients connect with AMQP under TLS, if ssl_options has a certificate.
        amqps: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 5671),
        /// As http, under TLS, if there is a certificate.
        https: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 15671),
        /// As metrics, under TLS, if there is a certificate.
        metrics_https: SocketAddr = listen(Ipv4Addr::UNSPECIFIED, 15691),
        /// What other nodes call to reach this one, as host:port. Empty: the address in peer, or,
        /// where that is 0.0.0.0 or [::], the host's name with the same port.
        advertise: String = String::new(),
        /// Where a node with an empty directory looks for its cluster: host:port of peer addresses,
        /// names and not only numbers, its own among them or not. With none it is a cluster alone.
        /// Who the nodes are is kept by the cluster; a node that belongs to one asks its seeds only
        /// where nodes are that it knows and cannot reach.
        seeds: Vec<String> = Vec::new(),
        /// Empty nodes that must be there before they make a cluster. 0: as many as there are seeds,
        /// and this node if it is none of them. Must be said when the only seed is a name, which
        /// may stand for many nodes. Fewer than all of them can make two clusters if nodes are lost
        /// while the first one is made.
        bootstrap_expect: u32 = 0,
        /// The place whose failure takes the node with it, such as a rack or an availability zone.
        /// The replicas of a queue are spread over zones.
        zone: String = String::new(),
        /// How many nodes hold a copy of a durable queue, as far as there are so many.
        replication_factor: u32 = 3,
        /// How long a node may be silent before it counts as lost, milliseconds: its transient queues
        /// and its consumers go then. One whose process is gone is not waited for.
        node_timeout_ms: u64 = 10_000,
        /// How long a node may be lost before others take its copies over, milliseconds.
        replace_after_ms: u64 = 600_000,
        /// How long a node that came back must be well before it leads again what it is to lead,
        /// milliseconds.
        lead_return_ms: u64 = 3_000,
        /// Groups over which the queues are spread. Counts when the cluster is made, never later.
        shards: u32 = 16,
        /// The user that exists in a fresh cluster.
        default_user: String = "guest".to_owned(),
        /// The password of that user.
        default_pass: Secret = Secret::new("guest"),
        /// How passwords are hashed that are set from here on: argon2id, or, as RabbitMQ can read
        /// them in exported definitions, sha256 or sha512.
        password_hashing: HashingAlgorithm = HashingAlgorithm::Argon2id,
        /// The virtual host that exists in a fresh cluster.
        default_vhost: String = "/".to_owned(),
        /// If the default user is one of these, it may connect from this machine only.
        loopback_users: Vec<String> = vec!["guest".to_owned()],
        /// Who is asked who a client is and what it may do, one after the other: internal (the users of
        /// the cluster), oauth2, http or cache. Of two with a slash between them the first says who it
        /// is and the second what it may do. Also auth_backends.1 and so on, as RabbitMQ has it.
        auth_backends: Backends = Backends::internal(),
        /// A file of definitions, as /api/definitions gives them, that is brought in at every start.
        /// Empty: none.
        load_definitions: String = String::new(),
        /// How long clients and the disk are waited for when the node stops, milliseconds.
        drain_timeout_ms: u64 = 10_000,
    }
}

/// `time` in whole milliseconds.
pub(super) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

section! {
    /// What clients may use up.
    pub struct LimitsSection in "limits" {
        /// The heartbeat that is suggested to clients, seconds; 0 suggests none.
        heartbeat_s: u16 = Limits::default().heartbeat_s,
        /// The largest frame that is suggested to clients, bytes.
        frame_max: u32 = Limits::default().frame_max_bytes,
        /// The highest channel number that is suggested to clients.
        channel_max: u16 = Limits::default().channel_max,
        /// The largest body of a message, bytes.
        max_message_size: u64 = Limits::default().message_max_bytes,
        /// How long a client may take to log in and open its virtual host, milliseconds.
        handshake_timeout_ms: u64 = ms(Limits::default().handshake_timeout),
        /// How long an operation waits for a leader or a majority, milliseconds.
        operation_timeout_ms: u64 = ms(Limits::default().operation_timeout),
        /// Connections that the node takes; further ones are told so and closed.
        connection_max: usize = Limits::default().connections,
        /// Failed logins of one address in a minute after which it is turned away for the rest of
        /// it, but for who has come in with the same password before; 0 sets no limit.
        login_failures_per_minute: u32 = Limits::default().login_failures_per_minute,
        /// Channels of all connections to the node; 0 sets no limit.
        channel_max_per_node: usize = Limits::default().channels,
        /// Consumers on one channel.
        consumer_max_per_channel: usize = Limits::default().consumers_per_channel,
        /// Messages that one channel may have been given without settling them, beside what its
        /// consumers' own prefetch allows; 0 sets no limit. Consumers wait then, as at the end of
        /// a prefetch; basic.get is refused.
        unacked_max_per_channel: usize = Limits::default().unacked_per_channel,
        /// Virtual hosts of the cluster; 0 sets no limit.
        vhost_max: usize = Limits::default().vhosts,
        /// Queues of the cluster; 0 sets no limit.
        cluster_queue_limit: usize = Limits::default().queues,
        /// Queues of a virtual host that has no max-queues of its own; 0 sets no limit.
        queue_max_per_vhost: usize = Limits::default().queues_per_vhost,
        /// Exchanges of the cluster, the predeclared ones of each virtual host among them; 0 sets
        /// no limit.
        cluster_exchange_limit: usize = Limits::default().exchanges,
        /// Bindings of a virtual host; 0 sets no limit.
        binding_max_per_vhost: usize = Limits::default().bindings_per_vhost,
        /// How long what a client held is kept for it when its connection breaks, milliseconds, if it
        /// has a session_id among its client properties; at most an hour, 0 for not at all.
        session_grace_ms: u64 = ms(Limits::default().session_grace),
        /// Messages that a consumer without a prefetch of its own may hold; 0 sets no limit.
        default_prefetch: u16 = Limits::default().default_prefetch,
        /// Publishes of one connection that may be unanswered before its socket is not read, bytes.
        connection_in_flight_bytes: usize = Limits::default().connection_in_flight_bytes,
        /// What may wait for a client's socket before it is given no more deliveries, bytes.
        connection_output_bytes: usize = Limits::default().connection_output_bytes,
        /// Space that should be free where the data are: an amount, such as 50MB, or a share of the
        /// memory that the node may use, such as 100%. With less, the node leads nothing that another
        /// could, and whoever publishes to what it leads all the same has to wait.
        disk_free_limit: Amount = Amount::Bytes(50_000_000),
        /// Memory that the node should not exceed: an amount, such as 2GiB, or a share of what it may
        /// use; 0 sets no limit. Beyond it, whoever publishes to what it leads has to wait.
        vm_memory_high_watermark: Amount = Amount::Percent(60),
    }
}

section! {
    /// How the groups agree. All nodes of a cluster should have the same times.
    pub struct RaftSection in "raft" {
        /// How often a leader says that it is there, milliseconds.
        heartbeat_ms: u64 = Raft::default().heartbeat_ms,
        /// The shortest silence after which a replica asks for votes, milliseconds.
        election_min_ms: u64 = Raft::default().election_min_ms,
        /// The longest such silence, milliseconds; also how long a leader's lease lasts.
        election_max_ms: u64 = Raft::default().election_max_ms,
        /// A snapshot is taken after so many bytes of applied commands.
        snapshot_after_bytes: u64 = Raft::default().snapshot_after_bytes,
        /// A snapshot is taken after so many applied entries.
        snapshot_after_entries: u64 = Raft::default().snapshot_after_entries,
        /// A group in which nothing happens for so long takes a snapshot, milliseconds.
        snapshot_idle_ms: u64 = Raft::default().snapshot_idle_ms,
        /// Entries kept behind a snapshot for replicas that lag.
        keep_entries: u64 = Raft::default().keep_entries,
        /// Bytes of entries kept behind a snapshot for replicas that lag; the smaller bound wins.
        keep_bytes: u64 = Raft::default().keep_bytes,
        /// How often a group looks whether a snapshot, a purge or a sweep is due, milliseconds.
        sweep_ms: u64 = Raft::default().sweep_ms,
        /// Rows of which little is needed that one sweep rewrites.
        sweep_rows: usize = Raft::default().sweep_rows,
    }
}

section! {
    /// What the node keeps in memory of its disk.
    pub struct StorageSection in "storage" {
        /// Recent rows of all groups together that stay in memory once they are on the disk, bytes.
        recent_bytes: usize = Storage::default().recent_bytes,
        /// How long they stay, milliseconds; who lags further behind reads them from the disk.
        recent_ms: u64 = Storage::default().recent_ms,
        /// The most that one sync takes, bytes.
        write_batch_bytes: usize = Storage::default().write_batch_bytes,
        /// What keeps the data of a directory that is made, "rocksdb" or "segments"; one that is
        /// there stays with what made it.
        log_engine: LogEngine = Storage::default().log_engine,
        /// The largest segment file, bytes.
        segment_bytes: u32 = Storage::default().segment_bytes,
    }
}

section! {
    /// RocksDB's memory and files.
    pub struct RocksSection in "storage.rocksdb" {
        /// One write buffer of the log, bytes.
        write_buffer_bytes: usize = RocksConfig::default().write_buffer_bytes,
        /// How many of them there may be, full ones that wait for the disk included.
        write_buffers: u16 = RocksConfig::default().write_buffers,
        /// The cache for what is read back, bytes.
        block_cache_bytes: usize = RocksConfig::default().block_cache_bytes,
        /// Size of the write-ahead logs at which their oldest content is moved to tables, bytes.
        wal_bytes: u64 = RocksConfig::default().wal_bytes,
        /// Threads that move and merge tables.
        background_jobs: u16 = RocksConfig::default().background_jobs,
        /// Files kept open.
        open_files: u16 = RocksConfig::default().open_files,
    }
}

section! {
    /// What the node says about itself, on stderr.
    pub struct LogSection in "log" {
        /// How lines look: human or json.
        format: LogFormat = LogFormat::Human,
        /// Which lines there are: error, warn, info, debug or trace, also per part of the program
        /// as in "info,warren_broker=debug". openraft has much to say at info.
        filter: String = "info,openraft=warn".to_owned(),
    }
}

section! {
    /// Where single messages are followed to. Off as long as no collector is named.
    pub struct TracingSection in "tracing" {
        /// The collector that takes spans with OTLP over HTTP, such as http://collector:4318. Empty:
        /// none. Also OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT.
        endpoint: String = String::new(),
        /// What the node is called there. Also OTEL_SERVICE_NAME.
        service_name: String = "warren".to_owned(),
        /// Which messages are traced, by OpenTelemetry's names: parentbased_traceidratio are those
        /// whose header traceparent says so, and of those without it the share in ratio. Others:
        /// parentbased_always_on, parentbased_always_off, traceidratio, always_on, always_off. Also
        /// OTEL_TRACES_SAMPLER.
        sampler: Sampler = Sampler::ParentBasedTraceIdRatio,
        /// The share of messages, from 0 to 1, that the sampler asks for. Also
        /// OTEL_TRACES_SAMPLER_ARG.
        ratio: Ratio = Ratio::NONE,
        /// Spans that wait for the collector; further ones are dropped and counted.
        waiting_spans: usize = 8192,
        /// Nothing is traced, whatever else is said. Also OTEL_SDK_DISABLED.
        disabled: bool = false,
    }
}

section! {
    /// The record of who did what.
    pub struct AuditSection in "audit" {
        /// The directory of the record. Empty: none is kept. Every change of what the cluster
        /// contains that is asked for through this node is written there, and every login and
        /// operation that is refused; `warren verify-audit` finds out whether it is unbroken.
        dir: String = String::new(),
        /// The size at which a file is finished and another one begun, bytes.
        file_bytes: u64 = 64 << 20,
        /// Files that are kept, the one that is written included; the oldest goes first.
        files: usize = 16,
    }
}

section! {
    /// Breaking nodes on purpose, to rehearse what happens then.
    pub struct ChaosSection in "chaos" {
        /// Whether administrators may have this node kill, pause, isolate or slow itself, as
        /// warrenctl chaos does.
        allowed: bool = false,
    }
}
