//! What values must be, by themselves and together.

mod auth;
mod secure;

use std::ops::RangeInclusive;

use super::Config;
use crate::formation::seeds;
use crate::logging;

/// The smallest frame that AMQP 0-9-1 lets a side insist on.
const FRAME_MAX_LEAST_BYTES: u32 = 4096;

/// RabbitMQ's ceiling for one message, which client libraries know.
const MESSAGE_SIZE_MOST_BYTES: u64 = 512 << 20;

/// Longer than any client takes to come back; nobody should wait for one that does not.
const SESSION_GRACE_MOST_MS: u64 = 3_600_000;

/// Groups beyond which their heartbeats alone keep a small machine busy.
const SHARDS_MOST: u32 = 256;

/// Below, a segment's header and the switch to the next one cost more than its rows; above, opening
/// and moving what is left of one take long.
const SEGMENT_BYTES: RangeInclusive<u32> = 1 << 20..=1 << 30;

/// Copies beyond which a commit waits for more disks than it gains safety from.
const REPLICATION_MOST: u32 = 7;

/// The most bytes that AMQP has for a name.
const NAME_MOST_BYTES: usize = 255;

/// Everything that does not hold: the key, and what is wrong with its value.
pub(crate) fn problems(config: &Config) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    check_node(config, &mut problems);
    check_limits(config, &mut problems);
    check_raft(config, &mut problems);
    check_storage(config, &mut problems);
    check_log(config, &mut problems);
    check_tracing(config, &mut problems);
    not_zero("audit.file_bytes", config.audit.file_bytes, &mut problems);
    not_zero("audit.files", config.audit.files, &mut problems);
    secure::problems(config, &mut problems);
    auth::problems(config, &mut problems);
    problems
}

type Problems = Vec<(&'static str, String)>;

fn check_node(config: &Config, problems: &mut Problems) {
    let node = &config.node;
    if !(1..=SHARDS_MOST).contains(&node.shards) {
        problems.push(("shards", format!("expected 1 to {SHARDS_MOST}, found {}", node.shards)));
    }
    for (key, name) in
        [("default_user", &node.default_user), ("default_vhost", &node.default_vhost)]
    {
        if name.is_empty() {
            problems.push((key, "expected a name, found nothing".to_owned()));
        }
    }
    // An empty password would look like one and never let anybody in.
    if node.default_pass.expose().is_empty() {
        problems.push(("default_pass", "expected a password, found nothing".to_owned()));
    }
    let names = [
        ("name", &node.name),
        ("cluster_name", &node.cluster_name),
        ("default_user", &node.default_user),
        ("default_vhost", &node.default_vhost),
    ];
    for (key, name) in names.into_iter().filter(|(_, name)| name.len() > NAME_MOST_BYTES) {
        let text = format!("expected at most {NAME_MOST_BYTES} bytes, found {}", name.len());
        problems.push((key, text));
    }
    check_addresses(config, problems);
    check_cluster(config, problems);
}

/// What makes nodes into a cluster.
fn check_cluster(config: &Config, problems: &mut Problems) {
    let node = &config.node;
    for seed in &node.seeds {
        if let Err(text) = seeds::check(seed) {
            problems.push(("seeds", text));
        }
    }
    if !node.advertise.is_empty()
        && let Err(text) = seeds::check(&node.advertise)
    {
        problems.push(("advertise", text));
    }
    if node.zone.len() > NAME_MOST_BYTES {
        let text = format!("expected at most {NAME_MOST_BYTES} bytes, found {}", node.zone.len());
        problems.push(("zone", text));
    }
    // Two halves that do not know of each other would make a cluster each.
    let (expected, seeds) = (node.bootstrap_expect, seeds::distinct(&node.seeds));
    if expected > 0 && seeds > 1 && usize::try_from(expected).is_ok_and(|most| most <= seeds / 2) {
        let text = format!("expected more than half of the {seeds} seeds, found {expected}");
        problems.push(("bootstrap_expect", text));
    }
    if !(1..=REPLICATION_MOST).contains(&node.replication_factor) {
        let found = node.replication_factor;
        let text = format!("expected 1 to {REPLICATION_MOST}, found {found}");
        problems.push(("replication_factor", text));
    }
    not_zero("node_timeout_ms", node.node_timeout_ms, problems);
}

/// No two front doors at the same address, unless the system picks the port.
fn check_addresses(config: &Config, problems: &mut Problems) {
    let node = &config.node;
    let doors =
        [("amqp", node.amqp), ("http", node.http), ("metrics", node.metrics), ("peer", node.peer)];
    let secure =
        [("amqps", node.amqps), ("https", node.https), ("metrics_https", node.metrics_https)];
    let (has_tls, has_web_tls) = (!config.ssl.certfile.is_empty(), !config.web.certfile.is_empty());
    let secure = secure.into_iter().filter(|(key, _)| has_tls || (has_web_tls && *key != "amqps"));
    let doors: Vec<_> = doors.into_iter().chain(secure).collect();
    for (number, (key, address)) in doors.iter().enumerate() {
        let same = doors.iter().take(number).find(|(_, earlier)| {
            let overlap = earlier.ip() == address.ip()
                || earlier.ip().is_unspecified()
                || address.ip().is_unspecified();
            address.port() != 0 && earlier.port() == address.port() && overlap
        });
        if let Some((earlier, _)) = same {
            problems.push((key, format!("{address} is taken by '{earlier}'")));
        }
    }
}

fn check_limits(config: &Config, problems: &mut Problems) {
    let limits = &config.limits;
    if limits.frame_max < FRAME_MAX_LEAST_BYTES {
        let text = format!("expected at least {FRAME_MAX_LEAST_BYTES}, found {}", limits.frame_max);
        problems.push(("limits.frame_max", text));
    }
    if limits.max_message_size > MESSAGE_SIZE_MOST_BYTES {
        let text = format!(
            "expected at most {MESSAGE_SIZE_MOST_BYTES}, found {}",
            limits.max_message_size
        );
        problems.push(("limits.max_message_size", text));
    }
    if limits.session_grace_ms > SESSION_GRACE_MOST_MS {
        let found = limits.session_grace_ms;
        let text = format!("expected at most {SESSION_GRACE_MOST_MS}, found {found}");
        problems.push(("limits.session_grace_ms", text));
    }
    not_zero("limits.channel_max", limits.channel_max, problems);
    not_zero("limits.handshake_timeout_ms", limits.handshake_timeout_ms, problems);
    not_zero("limits.operation_timeout_ms", limits.operation_timeout_ms, problems);
    not_zero("limits.connection_in_flight_bytes", limits.connection_in_flight_bytes, problems);
    not_zero("limits.connection_output_bytes", limits.connection_output_bytes, problems);
}

fn check_raft(config: &Config, problems: &mut Problems) {
    let raft = &config.raft;
    not_zero("raft.heartbeat_ms", raft.heartbeat_ms, problems);
    not_zero("raft.snapshot_after_bytes", raft.snapshot_after_bytes, problems);
    not_zero("raft.snapshot_after_entries", raft.snapshot_after_entries, problems);
    not_zero("raft.sweep_ms", raft.sweep_ms, problems);
    if raft.election_min_ms <= raft.heartbeat_ms {
        let text = format!(
            "expected more than raft.heartbeat_ms, which is {}, found {}",
            raft.heartbeat_ms, raft.election_min_ms
        );
        problems.push(("raft.election_min_ms", text));
    }
    if raft.election_max_ms <= raft.election_min_ms {
        let text = format!(
            "expected more than raft.election_min_ms, which is {}, found {}",
            raft.election_min_ms, raft.election_max_ms
        );
        problems.push(("raft.election_max_ms", text));
    }
}

fn check_storage(config: &Config, problems: &mut Problems) {
    let rocksdb = &config.rocksdb;
    not_zero("storage.write_batch_bytes", config.storage.write_batch_bytes, problems);
    let segment_bytes = config.storage.segment_bytes;
    if !SEGMENT_BYTES.contains(&segment_bytes) {
        let (least, most) = SEGMENT_BYTES.into_inner();
        let text = format!("expected {least} to {most}, found {segment_bytes}");
        problems.push(("storage.segment_bytes", text));
    }
    not_zero("storage.rocksdb.write_buffer_bytes", rocksdb.write_buffer_bytes, problems);
    not_zero("storage.rocksdb.write_buffers", rocksdb.write_buffers, problems);
    not_zero("storage.rocksdb.background_jobs", rocksdb.background_jobs, problems);
    not_zero("storage.rocksdb.open_files", rocksdb.open_files, problems);
}

fn check_log(config: &Config, problems: &mut Problems) {
    if let Err(error) = logging::filter(&config.log.filter) {
        problems.push(("log.filter", format!("'{}' is no filter: {error}", config.log.filter)));
    }
}

fn check_tracing(config: &Config, problems: &mut Problems) {
    let tracing = &config.tracing;
    not_zero("tracing.waiting_spans", tracing.waiting_spans, problems);
    let host = tracing.endpoint.strip_prefix("http://");
    if !tracing.endpoint.is_empty() && host.is_none_or(str::is_empty) {
        let found = &tracing.endpoint;
        let text = format!("expected http:// and a host, with a port, found '{found}'");
        problems.push(("tracing.endpoint", text));
    }
}

fn not_zero<N: Default + PartialEq>(key: &'static str, value: N, problems: &mut Problems) {
    if value == N::default() {
        problems.push((key, "expected at least 1, found 0".to_owned()));
    }
}
