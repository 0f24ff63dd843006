//! The node, as the management crate asks for it.
//!
//! An [`Observer`] exists before the parts it reports on and is told of each as it comes up, so that
//! health and metrics are served while the node is still starting.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use warren_broker::Broker;
use warren_consensus::Status;
use warren_management::{
    ClientTotals, GroupObservation, Health, Identity, Node, Observation, Phase, ProcessObservation,
    StorageTotals,
};
use warren_storage::{SYNC_BUCKETS_US, Store};
use warren_types::GroupId;

use crate::process;

/// One group, of whatever machine.
pub struct GroupView {
    /// Which group.
    pub id: GroupId,
    /// Says how its replica is.
    pub status: Box<dyn Fn() -> Status + Send + Sync>,
}

/// What is known about the node from outside.
pub struct Observer {
    identity: Identity,
    data_dir: PathBuf,
    started: Instant,
    phase: AtomicU8,
    store: Store,
    groups: OnceLock<Vec<GroupView>>,
    broker: OnceLock<Broker>,
}

impl Observer {
    /// A node that starts, of which nothing but its storage is there yet.
    #[must_use]
    pub fn new(identity: Identity, data_dir: PathBuf, store: Store) -> Self {
        Self {
            identity,
            data_dir,
            started: Instant::now(),
            phase: AtomicU8::new(STARTING),
            store,
            groups: OnceLock::new(),
            broker: OnceLock::new(),
        }
    }

    /// The groups run.
    pub fn set_groups(&self, groups: Vec<GroupView>) {
        // There is one set of groups in the life of a process, and one who sets it.
        let _first = self.groups.set(groups);
    }

    /// The broker serves clients.
    pub fn set_serving(&self, broker: Broker) {
        let _first = self.broker.set(broker);
        self.phase.store(SERVING, Ordering::Release);
    }

    /// The node stops.
    pub fn set_draining(&self) {
        self.phase.store(DRAINING, Ordering::Release);
    }

    /// A group of this node that nobody is known to lead.
    fn leaderless(&self) -> Option<GroupId> {
        let groups = self.groups.get()?;
        let leaderless = |group: &&GroupView| (group.status)().leadership.leader.is_none();
        groups.iter().find(leaderless).map(|group| group.id)
    }

    fn clients(&self) -> Option<ClientTotals> {
        let overview = self.broker.get()?.overview();
        let totals = overview.totals;
        Some(ClientTotals {
            connections: overview.connections,
            connections_opened: totals.connections_opened,
            connections_closed: totals.connections_closed,
            channels_opened: totals.channels_opened,
            channels_closed: totals.channels_closed,
            consumers: totals.consumers,
            vhosts: overview.vhosts,
            exchanges: overview.exchanges,
            queues: overview.queues,
            messages_ready: overview.messages_ready,
            messages_unacked: overview.messages_unacknowledged,
            published: totals.published,
            confirmed: totals.confirmed,
            returned: totals.returned,
            unroutable_dropped: totals.unroutable_dropped,
            delivered: totals.delivered,
            redelivered: totals.redelivered,
            got: totals.got,
            acknowledged: totals.acknowledged,
        })
    }

    fn storage(&self) -> StorageTotals {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let statistics = self.store.statistics();
        StorageTotals {
            rows_written: statistics.rows_written,
            bytes_written: statistics.bytes_written,
            batches: statistics.batches,
            syncs: statistics.syncs,
            sync_us_total: statistics.sync_us_total,
            // The last bucket has no bound; it shows in the count of all.
            sync_buckets: SYNC_BUCKETS_US.into_iter().zip(statistics.sync_buckets).collect(),
            backlog_bytes: count(statistics.backlog_bytes),
            recent_bytes: count(statistics.recent_bytes),
            disk_bytes: statistics.disk_bytes,
        }
    }
}

const STARTING: u8 = 0;
const SERVING: u8 = 1;
const DRAINING: u8 = 2;

impl Node for Observer {
    fn health(&self) -> Health {
        let phase = match self.phase.load(Ordering::Acquire) {
            STARTING => Phase::Starting,
            SERVING => Phase::Serving,
            _ => Phase::Draining,
        };
        let obstacle = match (self.store.failure(), self.leaderless()) {
            (Some(_), _) => Some("storage failed".to_owned()),
            (None, Some(group)) => Some(format!("group {group} has no leader")),
            (None, None) => None,
        };
        Health { phase, obstacle }
    }

    fn observe(&self) -> Observation {
        Observation {
            identity: self.identity.clone(),
            clients: self.clients(),
            groups: self.groups.get().into_iter().flatten().map(GroupView::observe).collect(),
            storage: Some(self.storage()),
            process: ProcessObservation {
                resident_memory_bytes: process::resident_memory_bytes(),
                open_files: process::open_files(),
                open_files_limit: process::open_files_limit(),
                disk_available_bytes: process::disk_available_bytes(&self.data_dir),
                uptime_s: self.started.elapsed().as_secs_f64(),
            },
        }
    }
}

impl GroupView {
    fn observe(&self) -> GroupObservation {
        let status = (self.status)();
        GroupObservation {
            group: self.id,
            term: status.leadership.term,
            leads: status.leadership.here,
            committed: status.committed,
            applied: status.applied,
            last: status.last,
            snapshot: status.snapshot,
        }
    }
}
