//! The node, as the management crate asks for it.
//!
//! An [`Observer`] exists before the parts it reports on and is told of each as it comes up, so that
//! health and metrics are served while the node is still starting.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use warren_broker::{Broker, ClusterOverview, LimitRow, Machine, Overview};
use warren_consensus::{Node as Consensus, Status};
use warren_management::{
    Answering, BrowserLogin, ClientTotals, ClusterTotals, Facts, Fault, GroupObservation, Health,
    Identity, LimitTotals, Listener, Node, Observation, Phase, ProcessObservation, Setting,
    ShownCertificate, Spared, StorageTotals, Wish,
};
use warren_rpc::ClusterId;
use warren_storage::{SYNC_BUCKETS_US, Store};
use warren_types::{GroupId, Timestamp};

use crate::chaos::Chaos;
use crate::config::Config;
use crate::doors::Addresses;
use crate::gauge::{Levels, Marks};
use crate::process;
use crate::secure::Security;
use crate::settings;
use crate::telemetry::Telemetry;
use crate::wishes::Wishes;

/// What an operator gave the node, and is given by it.
#[derive(Debug)]
pub struct Operator {
    /// The configuration, without secrets.
    pub settings: Vec<Setting>,
    /// How browsers log in where tokens are made, if they can.
    pub browser_login: Option<Arc<BrowserLogin>>,
    /// Where wishes go.
    pub wishes: Wishes,
    /// The certificates in use.
    pub security: Security,
}

/// What is known about the node from outside.
pub struct Observer {
    facts: Facts,
    cluster: OnceLock<ClusterId>,
    waiting: Mutex<Option<String>>,
    data_dir: PathBuf,
    started: Instant,
    phase: AtomicU8,
    settings: RwLock<Vec<Setting>>,
    browser_login: Option<Arc<BrowserLogin>>,
    wishes: Wishes,
    security: Security,
    store: Store,
    consensus: OnceLock<Consensus>,
    broker: OnceLock<Broker>,
    telemetry: OnceLock<Telemetry>,
    chaos: OnceLock<Chaos>,
    levels: OnceLock<Arc<Levels>>,
}

impl Observer {
    /// A node that starts, of which nothing but its storage is there yet.
    #[must_use]
    pub fn new(
        identity: Identity,
        addresses: &Addresses,
        secret: String,
        data_dir: PathBuf,
        store: Store,
        operator: Operator,
    ) -> Self {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started = Timestamp(u64::try_from(started.as_millis()).unwrap_or(u64::MAX));
        let listeners = listeners(addresses);
        let shown = data_dir.display().to_string();
        Self {
            facts: Facts { identity, listeners, data_dir: shown, secret, started },
            cluster: OnceLock::new(),
            waiting: Mutex::default(),
            data_dir,
            started: Instant::now(),
            phase: AtomicU8::new(STARTING),
            settings: RwLock::new(operator.settings),
            browser_login: operator.browser_login,
            wishes: operator.wishes,
            security: operator.security,
            store,
            consensus: OnceLock::new(),
            broker: OnceLock::new(),
            telemetry: OnceLock::new(),
            chaos: OnceLock::new(),
            levels: OnceLock::new(),
        }
    }

    /// The node belongs to `cluster`.
    pub fn set_cluster(&self, cluster: ClusterId) {
        // Nobody changes its cluster.
        let _first = self.cluster.set(cluster);
    }

    /// What the node waits for before it can start, in words.
    pub fn set_waiting(&self, waiting: Option<String>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// Groups may run from here on.
    pub fn set_consensus(&self, consensus: Consensus) {
        // There is one in the life of a process, and one who sets it.
        let _first = self.consensus.set(consensus);
    }

    /// Messages are traced.
    pub fn set_telemetry(&self, telemetry: Telemetry) {
        let _first = self.telemetry.set(telemetry);
    }

    /// Disk and memory are watched.
    pub fn set_levels(&self, levels: Arc<Levels>) {
        let _first = self.levels.set(levels);
    }

    /// The broker serves clients.
    pub fn set_serving(&self, broker: Broker) {
        let _first = self.broker.set(broker);
        self.phase.store(SERVING, Ordering::Release);
    }

    /// The configuration is another.
    pub fn set_config(&self, config: &Config) {
        let shown = settings::shown(config);
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = shown;
        if let Some(levels) = self.levels.get() {
            levels.set_marks(Marks::new(&config.limits));
        }
        if let Some(broker) = self.broker.get() {
            broker.set_limits(settings::limits(config));
            // Their certificates may have been denied by files that count by now.
            broker.dismiss_revoked();
        }
    }

    /// The node waits to be told to start.
    pub fn set_stopped(&self) {
        self.phase.store(STOPPED, Ordering::Release);
    }

    /// The node starts.
    pub fn set_starting(&self) {
        self.phase.store(STARTING, Ordering::Release);
    }

    /// The node may be broken on purpose.
    pub fn set_chaos(&self, chaos: Chaos) {
        let _first = self.chaos.set(chaos);
    }

    /// The node stops.
    pub fn set_draining(&self) {
        self.phase.store(DRAINING, Ordering::Release);
    }

    /// What other nodes hear of this node's machine and process.
    pub fn machine(&self) -> Machine {
        let facts = &self.facts;
        let levels = self.levels.get();
        let marks = levels.map(|levels| levels.marks());
        let distress = levels.map(|levels| levels.distress()).unwrap_or_default();
        let listeners = facts.listeners.iter().map(|listener| warren_broker::Listener {
            protocol: listener.protocol.to_owned(),
            ip: listener.address.ip().to_string(),
            port: listener.address.port(),
        });
        Machine {
            mem_used: process::resident_memory_bytes().unwrap_or_default(),
            mem_limit: marks.map_or(0, |marks| marks.memory_used),
            mem_alarm: distress.memory,
            disk_free: process::disk_available_bytes(&self.data_dir).unwrap_or_default(),
            disk_free_limit: marks.map_or(0, |marks| marks.disk_free),
            disk_free_alarm: distress.disk,
            fd_used: process::open_files().unwrap_or_default(),
            fd_total: process::open_files_limit().unwrap_or_default(),
            processors: available_parallelism()
                .map_or(0, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
            os_pid: std::process::id(),
            version: facts.identity.version.clone(),
            data_dir: facts.data_dir.clone(),
            config_files: Vec::new(),
            listeners: listeners.collect(),
        }
    }

    /// The groups that run on this node.
    fn groups(&self) -> impl Iterator<Item = (GroupId, Status)> {
        self.consensus.get().into_iter().flat_map(|consensus| {
            consensus.groups().into_iter().filter_map(|id| Some((id, consensus.status(id)?)))
        })
    }

    /// A group of this node that nobody is known to lead.
    fn leaderless(&self) -> Option<GroupId> {
        let mut groups = self.groups();
        groups.find(|(_, status)| status.leadership.leader.is_none()).map(|(id, _)| id)
    }

    /// All that is known about them.
    fn observed_groups(&self) -> Vec<GroupObservation> {
        let totals = self.broker.get().map(Broker::shard_totals).unwrap_or_default();
        let observed = self.groups().map(|(id, status)| {
            let total = totals.iter().find(|total| total.group == id);
            GroupObservation {
                commit_us: total.and_then(|total| total.commit_us),
                leader_changes: total.map(|total| total.leader_changes),
                sessions: total.and_then(|total| total.sessions),
                ..group(id, &status)
            }
        });
        observed.collect()
    }

    fn storage(&self) -> StorageTotals {
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
const STOPPED: u8 = 3;

impl Node for Observer {
    fn broker(&self) -> Option<Broker> {
        self.broker.get().cloned()
    }

    fn facts(&self) -> Facts {
        let cluster_id = self.cluster.get().map(ToString::to_string).unwrap_or_default();
        let identity = Identity { cluster_id, ..self.facts.identity.clone() };
        Facts { identity, ..self.facts.clone() }
    }

    fn health(&self) -> Health {
        let phase = match self.phase.load(Ordering::Acquire) {
            STARTING => Phase::Starting,
            SERVING => Phase::Serving,
            STOPPED => Phase::Stopped,
            _ => Phase::Draining,
        };
        let obstacle = match (self.store.failure(), self.leaderless()) {
            (Some(_), _) => Some("storage failed".to_owned()),
            (None, Some(group)) => Some(format!("group {group} has no leader")),
            (None, None) => self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        Health { phase, obstacle }
    }

    fn observe(&self) -> Observation {
        let overview = self.broker.get().map(Broker::overview);
        let levels = self.levels.get();
        let distress = levels.map(|levels| levels.distress()).unwrap_or_default();
        Observation {
            identity: self.facts().identity,
            clients: overview.as_ref().map(clients),
            limits: self.broker.get().map(limits).unwrap_or_default(),
            logins: self.broker.get().map(Broker::login_attempts).unwrap_or_default(),
            cluster: overview.as_ref().map(|overview| cluster(&overview.cluster)),
            groups: self.observed_groups(),
            meters: self.broker.get().map(Broker::meters),
            apply_us: self.consensus.get().map(Consensus::apply_turns_us).unwrap_or_default(),
            storage: Some(self.storage()),
            traces: self.telemetry.get().map(Telemetry::totals),
            certificates: self.certificates(),
            process: ProcessObservation {
                resident_memory_bytes: process::resident_memory_bytes(),
                open_files: process::open_files(),
                open_files_limit: process::open_files_limit(),
                disk_available_bytes: process::disk_available_bytes(&self.data_dir),
                memory_limit_bytes: levels.map_or(0, |levels| levels.marks().memory_used),
                disk_limit_bytes: levels.map_or(0, |levels| levels.marks().disk_free),
                memory_alarm: distress.memory,
                disk_alarm: distress.disk,
                uptime_s: self.started.elapsed().as_secs_f64(),
            },
        }
    }

    fn certificates(&self) -> Vec<ShownCertificate> {
        self.security.shown()
    }

    fn browser_login(&self) -> Option<Arc<BrowserLogin>> {
        self.browser_login.clone()
    }

    fn settings(&self) -> Vec<Setting> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn harm(&self, fault: Fault, time: Duration) -> Result<(), Spared> {
        match self.chaos.get() {
            Some(chaos) => chaos.cause(fault, time),
            None => Err(Spared::Forbidden),
        }
    }

    fn wish(&self, wish: Wish) -> Answering {
        let wishes = self.wishes.clone();
        Box::pin(async move { wishes.send(wish).await })
    }
}

/// What listens, in the words that RabbitMQ's tools look for.
fn listeners(addresses: &Addresses) -> Vec<Listener> {
    let Addresses { amqp, http, metrics, peer, amqps, https, metrics_https } = *addresses;
    let all = [
        ("amqp", Some(amqp)),
        ("amqp/ssl", amqps),
        ("clustering", Some(peer)),
        ("http", Some(http)),
        ("http/prometheus", Some(metrics)),
        ("https", https),
        ("https/prometheus", metrics_https),
    ];
    let there = all.into_iter().filter_map(|(protocol, address)| Some((protocol, address?)));
    there.map(|(protocol, address)| Listener { protocol, address }).collect()
}

fn clients(overview: &Overview) -> ClientTotals {
    let totals = &overview.totals;
    ClientTotals {
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
        publishers: totals.publishers,
        published: totals.published,
        published_confirm: totals.published_confirm,
        confirmed: totals.confirmed,
        returned: totals.returned,
        unroutable_dropped: totals.unroutable_dropped,
        delivered: totals.delivered,
        delivered_no_ack: totals.delivered_no_ack,
        redelivered: totals.redelivered,
        got: totals.got,
        got_no_ack: totals.got_no_ack,
        got_empty: totals.got_empty,
        acknowledged: totals.acknowledged,
        orphaned_consumers: totals.orphaned_consumers,
        queues_declared: totals.queues_declared,
        queues_created: totals.queues_created,
        queues_deleted: totals.queues_deleted,
        link_sent_bytes: totals.link_sent_bytes,
        link_received_bytes: totals.link_received_bytes,
    }
}

fn limits(broker: &Broker) -> Vec<LimitTotals> {
    let rows = broker.limit_rows().into_iter();
    rows.map(|LimitRow { name, value, hits }| LimitTotals { name, value, hits }).collect()
}

fn cluster(overview: &ClusterOverview) -> ClusterTotals {
    ClusterTotals {
        nodes: count(overview.nodes_known),
        nodes_running: count(overview.nodes_running),
        replicas_missing: count(overview.replicas_missing),
        groups_leaderless: count(overview.leaderless),
    }
}

fn group(id: GroupId, status: &Status) -> GroupObservation {
    GroupObservation {
        group: id,
        term: status.leadership.term,
        leads: status.leadership.here,
        committed: status.committed,
        applied: status.applied,
        last: status.last,
        snapshot: status.snapshot,
        lag_entries: status.leadership.here.then(|| {
            let fewest = status.matched.iter().map(|(_, matched)| *matched).min();
            status.last.0.saturating_sub(fewest.unwrap_or(status.last).0)
        }),
        ..GroupObservation::default()
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
