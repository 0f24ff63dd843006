//! The configuration, as each crate wants to hear it.

mod oauth2;

use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use warren_broker::InitialContent;
use warren_broker::auth::{CacheSettings, HttpSettings};
use warren_management::Setting;
use warren_storage::RocksConfig;

use crate::config::Config;
use crate::identity::Record;
use crate::process;

pub(crate) use oauth2::{browser_login, oauth2_problems};

/// What stands for a value that nobody may be shown.
const HIDDEN: &str = "\"********\"";

/// Open files that clients leave to others: four listeners for HTTP with 256 connections each, nodes and
/// those who pretend to be some, the log, libraries.
const RESERVED_FILES: usize = 2048;

/// What the node and its cluster are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The node's name, in the shape `name@host`.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
}

impl Names {
    /// The configured names, or those that follow from the machine's.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let node = match config.node.name.as_str() {
            "" => format!("warren@{}", process::host_name()),
            name => name.to_owned(),
        };
        let cluster = match config.node.cluster_name.as_str() {
            "" => node.clone(),
            name => name.to_owned(),
        };
        Self { node, cluster }
    }
}

/// For the storage.
#[must_use]
pub fn storage(config: &Config) -> warren_storage::Config {
    let rocksdb = &config.rocksdb;
    warren_storage::Config {
        data_dir: config.node.data_dir.clone(),
        recent_bytes: config.storage.recent_bytes,
        recent_ms: config.storage.recent_ms,
        write_batch_bytes: config.storage.write_batch_bytes,
        log_engine: config.storage.log_engine,
        segment_bytes: config.storage.segment_bytes,
        rocksdb: RocksConfig {
            write_buffer_bytes: rocksdb.write_buffer_bytes,
            write_buffers: rocksdb.write_buffers,
            block_cache_bytes: rocksdb.block_cache_bytes,
            wal_bytes: rocksdb.wal_bytes,
            background_jobs: rocksdb.background_jobs,
            open_files: rocksdb.open_files,
        },
    }
}

/// For consensus.
#[must_use]
pub fn consensus(config: &Config) -> warren_consensus::Config {
    let raft = &config.raft;
    warren_consensus::Config {
        heartbeat_ms: raft.heartbeat_ms,
        election_min_ms: raft.election_min_ms,
        election_max_ms: raft.election_max_ms,
        snapshot_after_bytes: raft.snapshot_after_bytes,
        snapshot_after_entries: raft.snapshot_after_entries,
        snapshot_idle_ms: raft.snapshot_idle_ms,
        keep_entries: raft.keep_entries,
        keep_bytes: raft.keep_bytes,
        sweep_ms: raft.sweep_ms,
        sweep_rows: raft.sweep_rows,
        // What entries may be is agreed between broker and consensus, not an operator's choice.
        ..warren_consensus::Config::default()
    }
}

/// For the broker.
#[must_use]
pub fn broker(
    config: &Config,
    record: &Record,
    names: &Names,
    advertised: &str,
) -> warren_broker::Config {
    let node = &config.node;
    let membership = record.membership.expect("a broker has a cluster");
    let identity = membership.identity;
    warren_broker::Config {
        node: identity.node,
        boot: identity.boot,
        node_name: names.node.clone(),
        cluster: identity.cluster.0,
        token: record.token,
        peer_address: advertised.to_owned(),
        zone: node.zone.clone(),
        shards: membership.shards,
        replication_factor: usize::try_from(node.replication_factor).unwrap_or(usize::MAX),
        node_timeout: Duration::from_millis(node.node_timeout_ms),
        replace_after: Duration::from_millis(node.replace_after_ms),
        lead_return_after: Duration::from_millis(node.lead_return_ms),
        cluster_name: names.cluster.clone(),
        initial: InitialContent {
            user: node.default_user.clone(),
            password: node.default_pass.expose().to_owned(),
            vhost: node.default_vhost.clone(),
            loopback_only: node.loopback_users.contains(&node.default_user),
            hashing: node.password_hashing,
        },
        limits: limits(config),
        auth: auth(config),
        local_shards: available_parallelism().map_or(1, usize::from),
    }
}

/// Who is asked who clients are.
pub(crate) fn auth(config: &Config) -> warren_broker::auth::Settings {
    let Config { auth_http, auth_http_tls, auth_cache, .. } = config;
    let file = |path: &str| Some(PathBuf::from(path)).filter(|_| !path.is_empty());
    warren_broker::auth::Settings {
        backends: config.node.auth_backends.0.clone(),
        oauth2: oauth2::tokens(config),
        http: HttpSettings {
            method: auth_http.http_method,
            user_path: auth_http.user_path.clone(),
            vhost_path: auth_http.vhost_path.clone(),
            resource_path: auth_http.resource_path.clone(),
            topic_path: auth_http.topic_path.clone(),
            request_timeout: Duration::from_millis(auth_http.request_timeout),
            connection_timeout: Duration::from_millis(auth_http.connection_timeout),
            cacertfile: file(&auth_http_tls.cacertfile),
        },
        cache: CacheSettings {
            cached_backend: auth_cache.cached_backend,
            cache_ttl: Duration::from_millis(auth_cache.cache_ttl),
            cache_refusals: auth_cache.cache_refusals,
            entries: auth_cache.cache_entries,
        },
    }
}

/// What clients may use up.
pub(crate) fn limits(config: &Config) -> warren_broker::Limits {
    let limits = &config.limits;
    warren_broker::Limits {
        frame_max_bytes: limits.frame_max,
        channel_max: limits.channel_max,
        heartbeat_s: limits.heartbeat_s,
        message_max_bytes: limits.max_message_size,
        handshake_timeout: Duration::from_millis(limits.handshake_timeout_ms),
        operation_timeout: Duration::from_millis(limits.operation_timeout_ms),
        connections: clients_within(limits.connection_max, process::open_files_limit()),
        login_failures_per_minute: limits.login_failures_per_minute,
        channels: limits.channel_max_per_node,
        consumers_per_channel: limits.consumer_max_per_channel,
        unacked_per_channel: limits.unacked_max_per_channel,
        vhosts: limits.vhost_max,
        queues: limits.cluster_queue_limit,
        queues_per_vhost: limits.queue_max_per_vhost,
        exchanges: limits.cluster_exchange_limit,
        bindings_per_vhost: limits.binding_max_per_vhost,
        session_grace: Duration::from_millis(limits.session_grace_ms),
        default_prefetch: limits.default_prefetch,
        connection_in_flight_bytes: limits.connection_in_flight_bytes,
        connection_output_bytes: limits.connection_output_bytes,
    }
}

/// How many clients the node takes, of those that are `wanted`. Each is an open file, and a node that
/// can open no further one cannot write: [`RESERVED_FILES`] are for everybody else, and a quarter of those
/// beside for the log. Of very few, clients get a quarter.
fn clients_within(wanted: usize, open_files_limit: Option<u64>) -> usize {
    let Some(limit) = open_files_limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return wanted;
    };
    let beside = limit.saturating_sub(RESERVED_FILES);
    let room = beside.saturating_sub(beside / 4).max(limit / 4);
    if room < wanted {
        tracing::warn!(
            limit,
            clients = room,
            connection_max = wanted,
            "the node may open too few files for as many clients as are configured"
        );
    }
    room.min(wanted)
}

/// The whole configuration as operators may see it.
#[must_use]
pub fn shown(config: &Config) -> Vec<Setting> {
    let keys = config.keys().into_iter();
    keys.map(|key| {
        let value = if key.is_secret { HIDDEN.to_owned() } else { key.value };
        Setting { name: key.path, value }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use warren_rpc::ClusterId;
    use warren_types::{BootId, NodeId};

    use super::*;
    use crate::identity::Membership;

    #[test]
    fn names_follow_from_the_machine_and_the_node_unless_they_are_given() {
        let mut config = Config::default();
        let by_default = Names::new(&config);
        config.node.name = "a@b".to_owned();
        let by_name = Names::new(&config);
        config.node.cluster_name = "c".to_owned();

        assert!(by_default.node.starts_with("warren@") && by_default.node.len() > "warren@".len());
        assert_eq!(by_default.cluster, by_default.node);
        assert_eq!(by_name, Names { node: "a@b".to_owned(), cluster: "a@b".to_owned() });
        assert_eq!(Names::new(&config).cluster, "c");
    }

    #[test]
    fn what_is_not_configured_is_what_each_crate_has_by_default() {
        let config = Config::default();

        let storage = warren_storage::Config::new(config.node.data_dir.clone());
        assert_eq!(super::storage(&config), storage);
        assert_eq!(consensus(&config), warren_consensus::Config::default());
        // How many clients there may be depends on the machine as well.
        let connections = limits(&config).connections;
        let expected = warren_broker::Limits { connections, ..warren_broker::Limits::default() };
        assert_eq!(format!("{:?}", limits(&config)), format!("{expected:?}"));
    }

    #[test]
    fn clients_leave_files_to_others() {
        for (open_files_limit, clients) in [
            (None, 100_000),
            (Some(1_048_576), 100_000),
            (Some(65_536), 47_616),
            (Some(4096), 1536),
            (Some(2048), 512),
            (Some(1024), 256),
            (Some(0), 0),
        ] {
            assert_eq!(clients_within(100_000, open_files_limit), clients, "{open_files_limit:?}");
        }
        assert_eq!(clients_within(10, Some(4096)), 10);
    }

    #[test]
    fn the_default_user_is_held_to_loopback_only_if_it_is_listed() {
        let record = Record::new(2).with(Membership::founder(ClusterId(1), 4).started());
        let mut config = Config::default();
        let names = Names::new(&config);
        let guest = broker(&config, &record, &names, "127.0.0.1:25672");
        config.node.default_user = "ann".to_owned();

        let ann = broker(&config, &record, &names, "127.0.0.1:25672");

        assert!(guest.initial.loopback_only);
        assert!(!ann.initial.loopback_only);
        assert_eq!((ann.node, ann.boot), (NodeId(1), BootId(1)));
        assert_eq!(ann.initial.user, "ann");
    }
}
