//! The names of all metrics, and the page that shows them.
//!
//! A number that RabbitMQ has carries RabbitMQ's name, so that its dashboards and alerts work;
//! the others begin with `warren_`. The page costs the same whatever the number of queues,
//! connections and consumers: only totals are shown, and one row per Raft group. What each queue,
//! connection and channel counts is on pages of its own (`objects.rs`).

mod objects;

use crate::exposition::{Kind, Metric, Page};
use crate::node::{
    ClientTotals, ClusterTotals, GroupObservation, Identity, Observation, ProcessObservation,
    SPEAKS_AS, StorageTotals,
};

pub(crate) use objects::{Wishes, detailed, per_object};

/// Microseconds in a second: durations are counted in the former and shown in the latter.
const US_PER_S: u64 = 1_000_000;

const fn counter(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, help }
}

const IDENTITY_INFO: Metric =
    gauge("rabbitmq_identity_info", "Which node and cluster this is; always 1.");
const BUILD_INFO: Metric = gauge("rabbitmq_build_info", "Which program this is; always 1.");
const UPTIME: Metric =
    gauge("rabbitmq_erlang_uptime_seconds", "Time since the node's start, under RabbitMQ's name.");

const NODES: Metric = gauge("warren_cluster_nodes", "Nodes that belong to the cluster.");
const NODES_RUNNING: Metric =
    gauge("warren_cluster_nodes_running", "Nodes of the cluster that are believed to run.");
const REPLICAS_MISSING: Metric = gauge(
    "warren_cluster_replicas_missing",
    "Replicas that should be there and are not, or whose node does not run.",
);
const GROUPS_LEADERLESS: Metric =
    gauge("warren_cluster_groups_leaderless", "Groups of this node that nobody is known to lead.");

const CONNECTIONS: Metric = gauge("rabbitmq_connections", "Connections there are.");
const CHANNELS: Metric = gauge("rabbitmq_channels", "Channels there are.");
const CONSUMERS: Metric = gauge("rabbitmq_consumers", "Consumers there are.");
const QUEUES: Metric = gauge("rabbitmq_queues", "Queues there are.");
const VHOSTS: Metric = gauge("warren_vhosts", "Virtual hosts there are.");
const EXCHANGES: Metric = gauge("warren_exchanges", "Exchanges there are.");
const MESSAGES_READY: Metric =
    gauge("rabbitmq_queue_messages_ready", "Messages that wait in queues.");
const MESSAGES_UNACKED: Metric =
    gauge("rabbitmq_queue_messages_unacked", "Messages that consumers have not settled.");
const MESSAGES: Metric =
    gauge("rabbitmq_queue_messages", "Messages in queues, ready and unsettled.");

const CONNECTIONS_OPENED: Metric =
    counter("rabbitmq_connections_opened_total", "Connections that were opened.");
const CONNECTIONS_CLOSED: Metric =
    counter("rabbitmq_connections_closed_total", "Connections that were closed.");
const CHANNELS_OPENED: Metric =
    counter("rabbitmq_channels_opened_total", "Channels that were opened.");
const CHANNELS_CLOSED: Metric =
    counter("rabbitmq_channels_closed_total", "Channels that were closed.");

const RECEIVED: Metric =
    counter("rabbitmq_global_messages_received_total", "Messages that clients published.");
const CONFIRMED: Metric = counter(
    "rabbitmq_global_messages_confirmed_total",
    "Messages that were confirmed to their publishers.",
);
const UNROUTABLE_RETURNED: Metric = counter(
    "rabbitmq_global_messages_unroutable_returned_total",
    "Mandatory messages that went back because no queue took them.",
);
const UNROUTABLE_DROPPED: Metric = counter(
    "rabbitmq_global_messages_unroutable_dropped_total",
    "Messages that were dropped because no queue took them.",
);
const DELIVERED: Metric = counter(
    "rabbitmq_global_messages_delivered_total",
    "Messages that clients were sent, as consumers or with basic.get.",
);
const REDELIVERED: Metric = counter(
    "rabbitmq_global_messages_redelivered_total",
    "Messages sent to consumers that had been sent before.",
);
const ACKNOWLEDGED: Metric =
    counter("rabbitmq_global_messages_acknowledged_total", "Messages that clients acknowledged.");
const ROUTED: Metric =
    counter("rabbitmq_global_messages_routed_total", "Messages that at least one queue took.");
const DELIVERED_MANUAL_ACK: Metric = counter(
    "rabbitmq_global_messages_delivered_consume_manual_ack_total",
    "Messages sent to consumers that acknowledge.",
);
const DELIVERED_AUTO_ACK: Metric = counter(
    "rabbitmq_global_messages_delivered_consume_auto_ack_total",
    "Messages sent to consumers that do not acknowledge.",
);
const GOT_MANUAL_ACK: Metric = counter(
    "rabbitmq_global_messages_delivered_get_manual_ack_total",
    "Messages fetched with basic.get, to be acknowledged.",
);
const GOT_AUTO_ACK: Metric = counter(
    "rabbitmq_global_messages_delivered_get_auto_ack_total",
    "Messages fetched with basic.get that need no acknowledgement.",
);
const GOT_EMPTY: Metric =
    counter("rabbitmq_global_messages_get_empty_total", "Times that basic.get found nothing.");
const GLOBAL_CONSUMERS: Metric = gauge("rabbitmq_global_consumers", "Consumers there are.");
const GOT: Metric = counter("warren_messages_got_total", "Messages fetched with basic.get.");

const ORPHANED: Metric = counter(
    "warren_orphaned_consumers_total",
    "Consumers that a queue knew and no connection had; what they held went back.",
);

const RESIDENT_MEMORY: Metric =
    gauge("rabbitmq_process_resident_memory_bytes", "Memory that the process uses.");
const OPEN_FILES: Metric =
    gauge("rabbitmq_process_open_fds", "Files and sockets that the process has open.");
const OPEN_FILES_LIMIT: Metric =
    gauge("rabbitmq_process_max_fds", "Files and sockets that the process may have open.");
const DISK_AVAILABLE: Metric = gauge(
    "rabbitmq_disk_space_available_bytes",
    "Space that is left where the node keeps its data.",
);

const RAFT_TERM: Metric = gauge("rabbitmq_raft_term", "The term of the group's replica here.");
const RAFT_COMMITTED: Metric =
    gauge("rabbitmq_raft_commit_index", "The last entry known here to be committed.");
const RAFT_APPLIED: Metric = gauge("rabbitmq_raft_last_applied", "The last entry applied here.");
const RAFT_LAST: Metric =
    gauge("rabbitmq_raft_last_written_index", "The last entry in the group's log here.");
const RAFT_SNAPSHOT: Metric =
    gauge("rabbitmq_raft_snapshot_index", "The last entry that the newest snapshot here covers.");
const RAFT_LEADS: Metric = gauge("warren_raft_leads", "Whether this node leads the group, 0 or 1.");

const ROWS_WRITTEN: Metric =
    counter("warren_storage_rows_written_total", "Rows that were written to logs.");
const BYTES_WRITTEN: Metric =
    counter("warren_storage_written_bytes_total", "Bytes that were given to the storage engine.");
const BATCHES: Metric =
    counter("warren_storage_batches_total", "Batches that were given to the storage engine.");
const SYNC_DURATION: Metric = Metric {
    name: "warren_storage_sync_duration_seconds",
    kind: Kind::Histogram,
    help: "How long writing and syncing a batch took.",
};
const BACKLOG: Metric = gauge("warren_storage_backlog_bytes", "Bytes that wait for the writer.");
const RECENT: Metric =
    gauge("warren_storage_recent_bytes", "Recent rows that are held in memory, in bytes.");
const ON_DISK: Metric = gauge("warren_storage_disk_bytes", "What the storage takes, about.");

/// What queues hold: one number for all, or left out because each queue has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueTotals {
    Shown,
    LeftOut,
}

/// The page for `observation`; `endpoint` is the address at which it was asked for.
pub(crate) fn page(observation: &Observation, endpoint: &str, totals: QueueTotals) -> Page {
    let mut page = Page::default();
    identity(&mut page, &observation.identity, endpoint);
    process(&mut page, &observation.process);
    if let Some(clients) = &observation.clients {
        clients_now(&mut page, clients);
        if totals == QueueTotals::Shown {
            queues_now(&mut page, clients);
        }
        clients_in_total(&mut page, clients);
    }
    if let Some(cluster) = &observation.cluster {
        cluster_totals(&mut page, cluster);
    }
    groups(&mut page, &observation.groups);
    if let Some(storage) = &observation.storage {
        storage_totals(&mut page, storage);
    }
    page
}

fn identity(page: &mut Page, identity: &Identity, endpoint: &str) {
    let labels = [
        ("rabbitmq_node", identity.node_name.as_str()),
        ("rabbitmq_cluster", &identity.cluster_name),
        ("rabbitmq_cluster_permanent_id", &identity.cluster_id),
        ("rabbitmq_endpoint", endpoint),
    ];
    page.single(IDENTITY_INFO, &labels, 1);
    let labels = [
        ("rabbitmq_version", SPEAKS_AS),
        ("product_name", "warren"),
        ("product_version", &identity.version),
        ("commit", &identity.commit),
    ];
    page.single(BUILD_INFO, &labels, 1);
}

fn process(page: &mut Page, process: &ProcessObservation) {
    page.single(UPTIME, &[], process.uptime_s);
    for (metric, value) in [
        (RESIDENT_MEMORY, process.resident_memory_bytes),
        (OPEN_FILES, process.open_files),
        (OPEN_FILES_LIMIT, process.open_files_limit),
        (DISK_AVAILABLE, process.disk_available_bytes),
    ] {
        if let Some(value) = value {
            page.single(metric, &[], value);
        }
    }
}

fn clients_now(page: &mut Page, clients: &ClientTotals) {
    // The two totals are read one after the other, so a close may be counted before its opening.
    let channels = clients.channels_opened.saturating_sub(clients.channels_closed);
    for (metric, value) in [
        (CONNECTIONS, clients.connections),
        (CHANNELS, channels),
        (CONSUMERS, clients.consumers),
        (VHOSTS, clients.vhosts),
        (EXCHANGES, clients.exchanges),
        (QUEUES, clients.queues),
        (CONNECTIONS_OPENED, clients.connections_opened),
        (CONNECTIONS_CLOSED, clients.connections_closed),
        (CHANNELS_OPENED, clients.channels_opened),
        (CHANNELS_CLOSED, clients.channels_closed),
    ] {
        page.single(metric, &[], value);
    }
}

fn queues_now(page: &mut Page, clients: &ClientTotals) {
    for (metric, value) in [
        (MESSAGES_READY, clients.messages_ready),
        (MESSAGES_UNACKED, clients.messages_unacked),
        (MESSAGES, clients.messages_ready.saturating_add(clients.messages_unacked)),
    ] {
        page.single(metric, &[], value);
    }
}

fn clients_in_total(page: &mut Page, clients: &ClientTotals) {
    let labels = [("protocol", "amqp091")];
    let unroutable = clients.returned.saturating_add(clients.unroutable_dropped);
    let routed = clients.published.saturating_sub(unroutable);
    for (metric, value) in [
        (RECEIVED, clients.published),
        (CONFIRMED, clients.confirmed),
        (UNROUTABLE_RETURNED, clients.returned),
        (UNROUTABLE_DROPPED, clients.unroutable_dropped),
        (DELIVERED, clients.delivered.saturating_add(clients.got)),
        (DELIVERED_MANUAL_ACK, clients.delivered.saturating_sub(clients.delivered_no_ack)),
        (DELIVERED_AUTO_ACK, clients.delivered_no_ack),
        (GOT_MANUAL_ACK, clients.got.saturating_sub(clients.got_no_ack)),
        (GOT_AUTO_ACK, clients.got_no_ack),
        (GOT_EMPTY, clients.got_empty),
        (ROUTED, routed),
        (GLOBAL_CONSUMERS, clients.consumers),
        (REDELIVERED, clients.redelivered),
        (ACKNOWLEDGED, clients.acknowledged),
        (GOT, clients.got),
    ] {
        page.single(metric, &labels, value);
    }
    page.single(ORPHANED, &[], clients.orphaned_consumers);
}

fn cluster_totals(page: &mut Page, cluster: &ClusterTotals) {
    for (metric, value) in [
        (NODES, cluster.nodes),
        (NODES_RUNNING, cluster.nodes_running),
        (REPLICAS_MISSING, cluster.replicas_missing),
        (GROUPS_LEADERLESS, cluster.groups_leaderless),
    ] {
        page.single(metric, &[], value);
    }
}

fn groups(page: &mut Page, groups: &[GroupObservation]) {
    type Value = fn(&GroupObservation) -> u64;
    let rows: [(Metric, Value); 6] = [
        (RAFT_TERM, |group| group.term.0),
        (RAFT_COMMITTED, |group| group.committed.0),
        (RAFT_APPLIED, |group| group.applied.0),
        (RAFT_LAST, |group| group.last.0),
        (RAFT_SNAPSHOT, |group| group.snapshot.0),
        (RAFT_LEADS, |group| u64::from(group.leads)),
    ];
    for (metric, value) in rows {
        if !groups.is_empty() {
            page.heading(metric);
        }
        for group in groups {
            page.sample(metric.name, &[("group", &group.group.to_string())], value(group));
        }
    }
}

fn storage_totals(page: &mut Page, storage: &StorageTotals) {
    for (metric, value) in [
        (ROWS_WRITTEN, storage.rows_written),
        (BYTES_WRITTEN, storage.bytes_written),
        (BATCHES, storage.batches),
        (BACKLOG, storage.backlog_bytes),
        (RECENT, storage.recent_bytes),
        (ON_DISK, storage.disk_bytes),
    ] {
        page.single(metric, &[], value);
    }
    let name = SYNC_DURATION.name;
    page.heading(SYNC_DURATION);
    let mut up_to_here = 0u64;
    for (bound_us, count) in &storage.sync_buckets {
        up_to_here = up_to_here.saturating_add(*count);
        page.sample(&format!("{name}_bucket"), &[("le", &seconds(*bound_us))], up_to_here);
    }
    page.sample(&format!("{name}_bucket"), &[("le", "+Inf")], storage.syncs);
    page.sample(&format!("{name}_sum"), &[], seconds(storage.sync_us_total));
    page.sample(&format!("{name}_count"), &[], storage.syncs);
}

/// Microseconds as seconds, exactly: a fraction of two would round.
fn seconds(us: u64) -> String {
    let fraction = format!("{:06}", us % US_PER_S);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        (us / US_PER_S).to_string()
    } else {
        format!("{}.{fraction}", us / US_PER_S)
    }
}

#[cfg(test)]
mod tests;
