//! How the groups of a node behave.

use std::sync::Arc;

use openraft::SnapshotPolicy;
use warren_types::GroupId;

/// What openraft waits before it calls an unreachable node again: soon at first, as most faults
/// are short, then twice a second.
const BACKOFF: &str = "50ms 100ms 200ms ..500ms";

/// The most entries of one append; the bytes are bounded by [`Config::max_append_bytes`].
const MAX_APPEND_ENTRIES: u64 = 1024;

/// How the groups of a node behave. All nodes of a cluster should agree on the times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How often a leader shows that it lives.
    pub heartbeat_ms: u64,
    /// The shortest time without a sign of the leader before a replica asks for votes.
    pub election_min_ms: u64,
    /// The longest such time; also how long a leader's lease keeps others from voting.
    pub election_max_ms: u64,
    /// A snapshot is taken after this many bytes of applied commands.
    pub snapshot_after_bytes: u64,
    /// A snapshot is taken after this many applied entries.
    pub snapshot_after_entries: u64,
    /// A group that has applied something but nothing more for this long takes a snapshot, so
    /// that an idle group does not keep its garbage.
    pub snapshot_idle_ms: u64,
    /// Entries kept behind a snapshot for replicas that lag.
    pub keep_entries: u64,
    /// Bytes of entries kept behind a snapshot for replicas that lag; the smaller bound wins.
    pub keep_bytes: u64,
    /// Bytes of entries sent in one append; one entry is sent whatever its size.
    pub max_append_bytes: usize,
    /// The largest entry that is accepted.
    pub max_entry_bytes: usize,
    /// What all groups together may spend on snapshots that this node sends; 0 is as fast as it
    /// goes.
    pub snapshot_bytes_per_second: u64,
    /// How often a group looks whether a snapshot, a purge or a sweep is due.
    pub sweep_ms: u64,
    /// How many sparse rows one sweep rewrites.
    pub sweep_rows: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat_ms: 500,
            election_min_ms: 1500,
            election_max_ms: 2000,
            snapshot_after_bytes: 64 * 1024 * 1024,
            snapshot_after_entries: 50_000,
            snapshot_idle_ms: 60_000,
            keep_entries: 10_000,
            keep_bytes: 64 * 1024 * 1024,
            max_append_bytes: 1024 * 1024,
            max_entry_bytes: 16 * 1024 * 1024,
            snapshot_bytes_per_second: 64 * 1024 * 1024,
            sweep_ms: 1000,
            sweep_rows: 16,
        }
    }
}

impl Config {
    /// openraft's view of it, for one group.
    pub(crate) fn raft(
        &self,
        group: GroupId,
        may_stand: bool,
    ) -> Result<Arc<openraft::Config>, String> {
        // Suppressed heartbeats leave a gap of two intervals and a tick, which an election
        // timeout must outlast.
        let gap = self.heartbeat_ms.saturating_mul(5) / 2;
        let spaced = self.election_min_ms > gap;
        let config = openraft::Config {
            cluster_name: format!("group-{group}"),
            heartbeat_interval: self.heartbeat_ms,
            heartbeat_min_interval: spaced.then_some(self.heartbeat_ms),
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            max_payload_entries: MAX_APPEND_ENTRIES,
            // Snapshots and purges are decided by `sweep`, by bytes and by time.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: u64::MAX,
            enable_elect: may_stand,
            enable_pre_vote: Some(true),
            // A restarted leader that went on in its old term would perform again, as its own,
            // what its former life proposed.
            enable_leader_restore: Some(false),
            backoff: BACKOFF.to_owned(),
            ..openraft::Config::default()
        };
        config.validate().map(Arc::new).map_err(|error| error.to_string())
    }
}
