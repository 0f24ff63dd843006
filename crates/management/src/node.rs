//! What is asked of a node, and its answers as plain values.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use warren_broker::{Attempts, Broker, Meters};
use warren_types::{GroupId, LogIndex, Measured, Term, Timestamp};

use crate::login::BrowserLogin;

/// The RabbitMQ whose API, definitions and metrics these are. Tools decide by it what they may ask.
pub(crate) const SPEAKS_AS: &str = "4.3.0";

/// A node, for those who report on it.
pub trait Node: Send + Sync + 'static {
    /// The broker, once it serves clients.
    fn broker(&self) -> Option<Broker>;

    /// What stays as it is for as long as the process lives.
    fn facts(&self) -> Facts;

    /// How the node is. Asked often; must neither wait nor touch a disk.
    fn health(&self) -> Health;

    /// What the node counts. May read from the system, and so wait a little.
    fn observe(&self) -> Observation;

    /// Breaks the node in that way for so long, to see what it does to clients. It begins after
    /// this has been answered, and ends by itself.
    ///
    /// # Errors
    /// When nothing is done.
    fn harm(&self, fault: Fault, time: Duration) -> Result<(), Spared> {
        let _unharmed = (fault, time);
        Err(Spared::Forbidden)
    }

    /// The certificates that the node shows its clients.
    fn certificates(&self) -> Vec<ShownCertificate> {
        Vec::new()
    }

    /// How browsers log in where tokens are made, if they can.
    fn browser_login(&self) -> Option<Arc<BrowserLogin>> {
        None
    }

    /// What the node was told when it started, without secrets.
    fn settings(&self) -> Vec<Setting>;

    /// Asks the node to do something with itself. Answered when it is about to be done, or with
    /// the reason why it is not.
    fn wish(&self, wish: Wish) -> Answering;
}

/// The answer to a wish, in the making.
pub type Answering = Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;

/// What a node can be asked to do with itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end its process, in order.
    End,
    /// To forget everything and to wait, as a node that belongs to nobody.
    Erase,
    /// To serve, if it waits.
    Start,
    /// To look for its cluster at this address when it starts, if it waits, or else to forget
    /// everything and to wait.
    Join {
        /// Where another node listens for nodes.
        address: String,
    },
}

/// A key of the configuration, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key, with dots.
    pub name: String,
    /// The value as TOML, or what stands for it where it is secret.
    pub value: String,
}

/// A way to break a node on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process ends as if it had crashed. Whoever started it may start it again.
    Kill,
    /// The process stands still.
    Pause,
    /// Nothing comes from other nodes or gets to them.
    Isolate,
    /// Every sync of the disk takes so much longer.
    Slow(Duration),
}

/// Why a node is not broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Spared {
    /// Nobody may.
    #[error("this node is not to be broken: its configuration does not say chaos.allowed = true")]
    Forbidden,
    /// It is broken already.
    #[error("this node is being broken already: wait until it is well again")]
    Busy,
    /// It cannot be done here.
    #[error("{0}")]
    Impossible(String),
}

/// How far a node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has not served a client yet.
    Starting,
    /// It serves clients.
    Serving,
    /// It stops, in order.
    Draining,
    /// It belongs to nobody, and waits to be told to start.
    Stopped,
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// How far it is.
    pub phase: Phase,
    /// What keeps it from doing its work, if something does: a clause such as
    /// `group 3 has no leader`.
    pub obstacle: Option<String>,
}

/// What stays as it is for as long as the process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Which node it is.
    pub identity: Identity,
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// Where its data is.
    pub data_dir: String,
    /// Who knows this may do everything, over loopback; nobody, if it is empty.
    pub secret: String,
    /// When the process started.
    pub started: Timestamp,
}

/// Something that listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// What it speaks, in RabbitMQ's words: `amqp`, `amqp/ssl`, `http`, `https`, `http/prometheus`,
    /// `https/prometheus`, `clustering`.
    pub protocol: &'static str,
    /// Where.
    pub address: SocketAddr,
}

/// A certificate that a node shows its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownCertificate {
    /// What is spoken to those whom it is shown, in RabbitMQ's words.
    pub protocol: &'static str,
    /// Whose it is.
    pub subject: String,
    /// From when to when it counts.
    pub validity: String,
    /// Until when it counts, seconds since 1970.
    pub not_after_s: u64,
}

/// Which node it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub node_name: String,
    /// Its cluster's name.
    pub cluster_name: String,
    /// Its cluster's id; empty as long as there is no cluster.
    pub cluster_id: String,
    /// The program's version.
    pub version: String,
    /// The commit that the program was built from.
    pub commit: String,
}

/// What a node counts, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Which node it is.
    pub identity: Identity,
    /// What clients do; nothing as long as none can be served.
    pub clients: Option<ClientTotals>,
    /// What limits clients, and how often that was reached; nothing as long as none can be served.
    pub limits: Vec<LimitTotals>,
    /// What came of logins; nothing as long as nobody can log in.
    pub logins: Vec<Attempts>,
    /// How the cluster is, as this node sees it; nothing as long as it belongs to none.
    pub cluster: Option<ClusterTotals>,
    /// The Raft groups that have a replica here, in any order.
    pub groups: Vec<GroupObservation>,
    /// What the storage did; nothing as long as it is not open.
    pub storage: Option<StorageTotals>,
    /// What the node measured; nothing as long as it does not serve.
    pub meters: Option<Meters>,
    /// How long entries were applied at a time, microseconds.
    pub apply_us: Measured,
    /// What became of the spans of traced messages; nothing where none are traced.
    pub traces: Option<TraceTotals>,
    /// The certificates that the node shows its clients.
    pub certificates: Vec<ShownCertificate>,
    /// What the system says about the process.
    pub process: ProcessObservation,
}

/// A limit that clients run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitTotals {
    /// The key that sets it, without its section.
    pub name: &'static str,
    /// Where it stands; 0 is none.
    pub value: u64,
    /// How often it was reached since the node's start.
    pub hits: u64,
}

/// What the clients of one node have and did. Totals are since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientTotals {
    /// Connections there are.
    pub connections: u64,
    /// Connections that were opened.
    pub connections_opened: u64,
    /// Connections that were closed.
    pub connections_closed: u64,
    /// Channels that were opened.
    pub channels_opened: u64,
    /// Channels that were closed.
    pub channels_closed: u64,
    /// Consumers there are.
    pub consumers: u64,
    /// Virtual hosts there are.
    pub vhosts: u64,
    /// Exchanges there are.
    pub exchanges: u64,
    /// Queues there are.
    pub queues: u64,
    /// Messages that wait in queues.
    pub messages_ready: u64,
    /// Messages that are with a consumer.
    pub messages_unacked: u64,
    /// Channels there are that have published something.
    pub publishers: u64,
    /// Messages that clients published.
    pub published: u64,
    /// Of those, the ones that are to be confirmed.
    pub published_confirm: u64,
    /// Messages that were confirmed to their publishers.
    pub confirmed: u64,
    /// Mandatory messages that went back because no queue took them.
    pub returned: u64,
    /// Messages that were dropped because no queue took them.
    pub unroutable_dropped: u64,
    /// Messages that were sent to consumers.
    pub delivered: u64,
    /// Of those, the ones whose consumers do not acknowledge.
    pub delivered_no_ack: u64,
    /// Of those that were sent, the ones that were sent before.
    pub redelivered: u64,
    /// Messages that were fetched with basic.get.
    pub got: u64,
    /// Of those, the ones that need no acknowledgement.
    pub got_no_ack: u64,
    /// Times that basic.get found nothing.
    pub got_empty: u64,
    /// Messages that clients acknowledged.
    pub acknowledged: u64,
    /// Consumers that a shard knew and no connection had.
    pub orphaned_consumers: u64,
    /// Declarations of queues, also of those that were there.
    pub queues_declared: u64,
    /// Queues that were made.
    pub queues_created: u64,
    /// Queues that were deleted.
    pub queues_deleted: u64,
    /// Bytes of publishes and settles that were sent to shards on other nodes.
    pub link_sent_bytes: u64,
    /// Bytes of deliveries that came from shards on other nodes.
    pub link_received_bytes: u64,
}

/// How a cluster is, as one node sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterTotals {
    /// Nodes that belong to it.
    pub nodes: u64,
    /// Nodes of it that are believed to run.
    pub nodes_running: u64,
    /// Replicas that should be there and are not, or do not vote yet, or whose node does not run.
    pub replicas_missing: u64,
    /// Groups with a replica on this node that nobody is known to lead.
    pub groups_leaderless: u64,
}

/// One Raft group's replica on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupObservation {
    /// Which group.
    pub group: GroupId,
    /// The replica's term.
    pub term: Term,
    /// Whether the replica leads the group.
    pub leads: bool,
    /// The last entry known to be committed.
    pub committed: LogIndex,
    /// The last entry that was applied.
    pub applied: LogIndex,
    /// The last entry in the log.
    pub last: LogIndex,
    /// The last entry that the newest snapshot covers.
    pub snapshot: LogIndex,
    /// On the leader: entries that the replica lacks which has fewest of them.
    pub lag_entries: Option<u64>,
    /// On the leader: how long the last entry took until it was applied, microseconds.
    pub commit_us: Option<u64>,
    /// How often the node saw another leader than before; not known of the catalog.
    pub leader_changes: Option<u64>,
    /// Starts of nodes that the shard knows; the catalog knows none.
    pub sessions: Option<u64>,
}

/// What the storage did since it was opened, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageTotals {
    /// Rows that were written.
    pub rows_written: u64,
    /// Bytes that were given to the engine.
    pub bytes_written: u64,
    /// Batches that were given to the engine.
    pub batches: u64,
    /// Batches that were synced.
    pub syncs: u64,
    /// How long all synced batches took together, microseconds.
    pub sync_us_total: u64,
    /// For each bound in microseconds, ascending: how many synced batches took longer than the
    /// bound before it and not longer than this one.
    pub sync_buckets: Vec<(u64, u64)>,
    /// Bytes that wait for the writer.
    pub backlog_bytes: u64,
    /// Recent rows in memory, bytes.
    pub recent_bytes: u64,
    /// What is on the disk, about, bytes.
    pub disk_bytes: u64,
}

/// What became of the spans of traced messages, since the node's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceTotals {
    /// Spans that the collector took.
    pub exported: u64,
    /// Spans for which there was no room.
    pub dropped: u64,
    /// Spans that the collector did not take.
    pub failed: u64,
}

/// What the system says about the process; what it does not say is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessObservation {
    /// Memory in use, bytes.
    pub resident_memory_bytes: Option<u64>,
    /// Files and sockets that are open.
    pub open_files: Option<u64>,
    /// How many there may be.
    pub open_files_limit: Option<u64>,
    /// Space that is left where the data is, bytes.
    pub disk_available_bytes: Option<u64>,
    /// Memory from which on publishers are blocked, bytes; 0 is no limit.
    pub memory_limit_bytes: u64,
    /// Space left below which publishers are blocked, bytes.
    pub disk_limit_bytes: u64,
    /// Whether more memory is used than the limit.
    pub memory_alarm: bool,
    /// Whether less space is left than the limit.
    pub disk_alarm: bool,
    /// Time since the start, seconds.
    pub uptime_s: f64,
}
