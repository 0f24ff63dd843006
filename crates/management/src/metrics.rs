//! The names of all metrics, and the page that shows them.
//!
//! A number that RabbitMQ has carries RabbitMQ's name, so that its dashboards and alerts work;
//! the others begin with `warren_`. The page costs the same whatever the number of queues,
//! connections and consumers: only totals are shown, and one row per Raft group. What each queue,
//! connection and channel counts is on pages of its own (`objects.rs`).

mod objects;

use std::fmt::Display;

use warren_broker::Attempts;
use warren_types::{GroupId, Measured};

use crate::exposition::{Kind, Metric, Page};
use crate::node::{
    ClientTotals, ClusterTotals, GroupObservation, Identity, LimitTotals, Observation,
    ProcessObservation, SPEAKS_AS, ShownCertificate, StorageTotals,
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

const fn histogram(name: &'static str, help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, help }
}

const IDENTITY_INFO: Metric =
    gauge("rabbitmq_identity_info", "Which node and cluster this is; always 1.");
const BUILD_INFO: Metric = gauge("rabbitmq_build_info", "Which program this is; always 1.");
const UPTIME: Metric =
    gauge("rabbitmq_erlang_uptime_seconds", "Time since the node's start, under RabbitMQ's name.");

const NOT_AFTER: Metric = gauge(
    "warren_certificate_not_after_seconds",
    "Until when a certificate counts that clients are shown, seconds since 1970.",
);

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

const LIMIT: Metric = gauge(
    "warren_limit",
    "Where a limit stands that clients run into, by the key that sets it; 0 is none.",
);
const LIMIT_HITS: Metric =
    counter("warren_limit_hits_total", "Times that clients ran into a limit of this node.");

const LOGINS: Metric = counter("rabbitmq_auth_attempts_total", "Logins that were tried.");
const LOGINS_ACCEPTED: Metric =
    counter("rabbitmq_auth_attempts_succeeded_total", "Logins that were accepted.");
const LOGINS_REFUSED: Metric =
    counter("rabbitmq_auth_attempts_failed_total", "Logins that were refused.");

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

const MEMORY_LIMIT: Metric = gauge(
    "rabbitmq_resident_memory_limit_bytes",
    "Memory from which on publishers are blocked; 0 is no limit.",
);
const DISK_LIMIT: Metric = gauge(
    "rabbitmq_disk_space_available_limit_bytes",
    "Space left on the disk below which publishers are blocked.",
);
const MEMORY_ALARM: Metric = gauge(
    "rabbitmq_alarms_memory_used_watermark",
    "Whether the process uses more memory than its limit, 0 or 1.",
);
const DISK_ALARM: Metric = gauge(
    "rabbitmq_alarms_free_disk_space_watermark",
    "Whether less space is left on the disk than the limit, 0 or 1.",
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
const SYNC_DURATION: Metric =
    histogram("warren_storage_sync_duration_seconds", "How long writing and syncing a batch took.");
const BACKLOG: Metric = gauge("warren_storage_backlog_bytes", "Bytes that wait for the writer.");
const RECENT: Metric =
    gauge("warren_storage_recent_bytes", "Recent rows that are held in memory, in bytes.");
const ON_DISK: Metric = gauge("warren_storage_disk_bytes", "What the storage takes, about.");

const SPANS_EXPORTED: Metric =
    counter("warren_tracing_spans_exported_total", "Spans that the collector took.");
const SPANS_DROPPED: Metric = counter(
    "warren_tracing_spans_dropped_total",
    "Spans for which there was no room while others waited for the collector.",
);
const SPANS_FAILED: Metric =
    counter("warren_tracing_spans_failed_total", "Spans that the collector did not take.");

const QUEUES_DECLARED: Metric = counter(
    "rabbitmq_queues_declared_total",
    "Declarations of queues, also of those that were there.",
);
const QUEUES_CREATED: Metric = counter("rabbitmq_queues_created_total", "Queues that were made.");
const QUEUES_DELETED: Metric =
    counter("rabbitmq_queues_deleted_total", "Queues that were deleted.");
const PUBLISHERS: Metric =
    gauge("rabbitmq_global_publishers", "Channels there are that have published something.");
const RECEIVED_CONFIRM: Metric = counter(
    "rabbitmq_global_messages_received_confirm_total",
    "Messages that clients published to have them confirmed.",
);
const MESSAGE_BYTES: Metric =
    histogram("rabbitmq_message_size_bytes", "Sizes of the messages that clients published.");

const COMMIT_LATENCY: Metric = gauge(
    "rabbitmq_raft_commit_latency_seconds",
    "How long the last entry took from its proposal until it was applied, where the leader is.",
);
const RAFT_LOG_COMMITTED: Metric = gauge(
    "rabbitmq_raft_log_commit_index",
    "As rabbitmq_raft_commit_index, by the name that RabbitMQ 3 had for it.",
);
const RAFT_LOG_LAST: Metric = gauge(
    "rabbitmq_raft_log_last_written_index",
    "As rabbitmq_raft_last_written_index, by the name that RabbitMQ 3 had for it.",
);
const RAFT_LOG_SNAPSHOT: Metric = gauge(
    "rabbitmq_raft_log_snapshot_index",
    "As rabbitmq_raft_snapshot_index, by the name that RabbitMQ 3 had for it.",
);
const RAFT_LAG: Metric = gauge(
    "warren_raft_lag_entries",
    "Entries that the replica lacks which has fewest of them, where the leader is.",
);
const LEADER_CHANGES: Metric = counter(
    "warren_raft_leader_changes_total",
    "Times that the node saw another leader than before, the first one included.",
);
const SESSIONS: Metric =
    gauge("warren_shard_sessions", "Starts of nodes that the shard's replica here knows.");
const COMMIT_DURATION: Metric = histogram(
    "warren_raft_commit_duration_seconds",
    "Times from the proposals of entries until they were applied, where the leader is.",
);
const APPLY_DURATION: Metric = histogram(
    "warren_raft_apply_duration_seconds",
    "How long committed entries were applied at a time.",
);
const LINK_SENT: Metric = counter(
    "warren_link_sent_bytes_total",
    "Bytes of publishes and settles that were sent to shards on other nodes.",
);
const LINK_RECEIVED: Metric = counter(
    "warren_link_received_bytes_total",
    "Bytes of deliveries that came from shards on other nodes.",
);

/// What queues hold: one number for all, or left out because each queue has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueTotals {
    Shown,
    LeftOut,
}

/// The page for `observation`.
pub(crate) fn page(observation: &Observation, totals: QueueTotals) -> Page {
    let mut page = Page::default();
    let endpoint = match totals {
        QueueTotals::Shown => "aggregated",
        QueueTotals::LeftOut => "per-object",
    };
    identity(&mut page, &observation.identity, endpoint);
    process(&mut page, &observation.process);
    certificates(&mut page, &observation.certificates);
    if let Some(clients) = &observation.clients {
        clients_now(&mut page, clients);
        if totals == QueueTotals::Shown {
            queues_now(&mut page, clients);
        }
        clients_in_total(&mut page, clients);
    }
    limits(&mut page, &observation.limits);
    logins(&mut page, &observation.logins);
    if let Some(cluster) = &observation.cluster {
        cluster_totals(&mut page, cluster);
    }
    groups(&mut page, &observation.groups);
    some_groups(&mut page, &observation.groups);
    if let Some(meters) = &observation.meters {
        measured(&mut page, MESSAGE_BYTES, &meters.message_bytes, bytes);
        measured(&mut page, COMMIT_DURATION, &meters.commit_us, seconds);
        measured(&mut page, APPLY_DURATION, &observation.apply_us, seconds);
    }
    if let Some(storage) = &observation.storage {
        storage_totals(&mut page, storage);
    }
    if let Some(traces) = &observation.traces {
        for (metric, value) in [
            (SPANS_EXPORTED, traces.exported),
            (SPANS_DROPPED, traces.dropped),
            (SPANS_FAILED, traces.failed),
        ] {
            page.single(metric, &[], value);
        }
    }
    page
}

/// Which node, cluster and program it is. `endpoint` is RabbitMQ's word for the page; dashboards
/// choose by it what they show.
pub(crate) fn identity(page: &mut Page, identity: &Identity, endpoint: &str) {
    let labels = [
        ("rabbitmq_node", identity.node_name.as_str()),
        ("rabbitmq_cluster", &identity.cluster_name),
        ("rabbitmq_cluster_permanent_id", &identity.cluster_id),
        ("rabbitmq_endpoint", endpoint),
    ];
    page.single(IDENTITY_INFO, &labels, 1);
    let labels = [
        ("rabbitmq_version", SPEAKS_AS),
        // A panel of RabbitMQ's shows it; there is no Erlang here.
        ("erlang_version", ""),
        ("product_name", "warren"),
        ("product_version", &identity.version),
        ("commit", &identity.commit),
    ];
    page.single(BUILD_INFO, &labels, 1);
}

fn certificates(page: &mut Page, certificates: &[ShownCertificate]) {
    if certificates.is_empty() {
        return;
    }
    page.heading(NOT_AFTER);
    for ShownCertificate { protocol, subject, not_after_s, .. } in certificates {
        let labels = [("protocol", *protocol), ("subject", subject)];
        page.sample(NOT_AFTER.name, &labels, not_after_s);
    }
}

fn process(page: &mut Page, process: &ProcessObservation) {
    page.single(UPTIME, &[], process.uptime_s);
    for (metric, value) in [
        (RESIDENT_MEMORY, process.resident_memory_bytes),
        (OPEN_FILES, process.open_files),
        (OPEN_FILES_LIMIT, process.open_files_limit),
        (DISK_AVAILABLE, process.disk_available_bytes),
        (MEMORY_LIMIT, Some(process.memory_limit_bytes)),
        (DISK_LIMIT, Some(process.disk_limit_bytes)),
        (MEMORY_ALARM, Some(u64::from(process.memory_alarm))),
        (DISK_ALARM, Some(u64::from(process.disk_alarm))),
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
        (QUEUES_DECLARED, clients.queues_declared),
        (QUEUES_CREATED, clients.queues_created),
        (QUEUES_DELETED, clients.queues_deleted),
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
        (RECEIVED_CONFIRM, clients.published_confirm),
        (PUBLISHERS, clients.publishers),
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
    for (metric, value) in [
        (ORPHANED, clients.orphaned_consumers),
        (LINK_SENT, clients.link_sent_bytes),
        (LINK_RECEIVED, clients.link_received_bytes),
    ] {
        page.single(metric, &[], value);
    }
}

fn limits(page: &mut Page, limits: &[LimitTotals]) {
    type Value = fn(&LimitTotals) -> u64;
    let families: [(Metric, Value); 2] = [(LIMIT, |row| row.value), (LIMIT_HITS, |row| row.hits)];
    for (metric, value) in families {
        if !limits.is_empty() {
            page.heading(metric);
        }
        for limit in limits {
            page.sample(metric.name, &[("limit", limit.name)], value(limit));
        }
    }
}

fn logins(page: &mut Page, logins: &[Attempts]) {
    type Value = fn(&Attempts) -> u64;
    let families: [(Metric, Value); 3] = [
        (LOGINS, |row| row.failed.saturating_add(row.succeeded)),
        (LOGINS_ACCEPTED, |row| row.succeeded),
        (LOGINS_REFUSED, |row| row.failed),
    ];
    for (metric, value) in families {
        if !logins.is_empty() {
            page.heading(metric);
        }
        for row in logins {
            page.sample(metric.name, &[("protocol", row.door.as_str())], value(row));
        }
    }
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
    let rows: [(Metric, Value); 9] = [
        (RAFT_TERM, |group| group.term.0),
        (RAFT_COMMITTED, |group| group.committed.0),
        (RAFT_APPLIED, |group| group.applied.0),
        (RAFT_LAST, |group| group.last.0),
        (RAFT_SNAPSHOT, |group| group.snapshot.0),
        (RAFT_LEADS, |group| u64::from(group.leads)),
        (RAFT_LOG_COMMITTED, |group| group.committed.0),
        (RAFT_LOG_LAST, |group| group.last.0),
        (RAFT_LOG_SNAPSHOT, |group| group.snapshot.0),
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

/// What is known of some groups only: of those that this node leads, or of shards.
fn some_groups(page: &mut Page, groups: &[GroupObservation]) {
    type Value = fn(&GroupObservation) -> Option<String>;
    let rows: [(Metric, Value); 4] = [
        (RAFT_LAG, |group| Some(group.lag_entries?.to_string())),
        (COMMIT_LATENCY, |group| Some(seconds(group.commit_us?))),
        (LEADER_CHANGES, |group| Some(group.leader_changes?.to_string())),
        (SESSIONS, |group| Some(group.sessions?.to_string())),
    ];
    for (metric, value) in rows {
        let known = groups.iter().filter_map(|group| Some((group.group, value(group)?)));
        let known: Vec<(GroupId, String)> = known.collect();
        if !known.is_empty() {
            page.heading(metric);
        }
        for (group, value) in known {
            page.sample(metric.name, &[("group", &group.to_string())], value);
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
    let times = Measured {
        buckets: storage.sync_buckets.clone(),
        count: storage.syncs,
        sum: storage.sync_us_total,
    };
    measured(page, SYNC_DURATION, &times, seconds);
}

/// A histogram; `shown` says how its numbers are written.
fn measured<D: Display>(page: &mut Page, metric: Metric, times: &Measured, shown: fn(u64) -> D) {
    let name = metric.name;
    page.heading(metric);
    let bucket = format!("{name}_bucket");
    let mut up_to_here = 0u64;
    for (bound, count) in &times.buckets {
        up_to_here = up_to_here.saturating_add(*count);
        page.sample(&bucket, &[("le", &shown(*bound).to_string())], up_to_here);
    }
    page.sample(&bucket, &[("le", "+Inf")], times.count);
    page.sample(&format!("{name}_sum"), &[], shown(times.sum));
    page.sample(&format!("{name}_count"), &[], times.count);
}

/// A number of bytes, as RabbitMQ's dashboards look for bounds: a fraction, or a power from a
/// million on.
fn bytes(bytes: u64) -> String {
    match (bytes / 1_000_000, bytes % 1_000_000) {
        (0, _) => format!("{bytes}.0"),
        (millions, 0) => {
            let digits = millions.to_string();
            let significant = digits.trim_end_matches('0');
            let power = digits.len().saturating_sub(significant.len()).saturating_add(6);
            format!("{significant}e+{power:02}")
        }
        _ => format!("{bytes}.0"),
    }
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
