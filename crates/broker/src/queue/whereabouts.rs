//! Where a shard is, and its rows.
//!
//! The shard's task writes it down; whoever needs a message's bytes reads it. A replica of this node
//! gives a row only once it has applied it: until then, the log may hold something else there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use warren_consensus::{Group, Rows};
use warren_queue::Shard;
use warren_rpc::{Peers, Place};
use warren_types::{LogIndex, NodeId, Term};

/// How long this node's replica may take to catch up with a row before another node is asked.
const REPLICA_PATIENCE: Duration = Duration::from_millis(50);

/// How long another node may take to give rows.
const ASK_LIMIT: Duration = Duration::from_secs(5);

/// How long to wait before somebody else is asked.
const RETRY: Duration = Duration::from_millis(20);

/// This node's replica of a shard.
#[derive(Clone, Debug)]
struct Replica {
    group: Group<Shard>,
    rows: Rows,
}

/// Where a shard is.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    own_memory: bool,
    peers: Peers,
    place: RwLock<Place>,
    replica: RwLock<Option<Replica>>,
    /// How often this node has got or lost its replica.
    moves: watch::Sender<u64>,
    /// The node that leads; 0 while nobody is known to.
    leader: AtomicU64,
    leads_here: AtomicBool,
    /// The term in which this node leads and performs; 0 while it does not.
    reign: AtomicU64,
    /// The last node that was known to lead; 0 while there was none.
    last_leader: AtomicU64,
    /// How often it was led by another node than before, the first one included.
    leader_changes: AtomicU64,
    /// How long the last entry that this node proposed took; 0 while it has not proposed any.
    commit_us: AtomicU64,
}

impl Whereabouts {
    /// A shard at `place`, of which nothing is known.
    pub(crate) fn new(peers: Peers, place: Place) -> Self {
        Self {
            own_memory: false,
            peers,
            place: RwLock::new(place),
            replica: RwLock::new(None),
            moves: watch::Sender::new(0),
            leader: AtomicU64::new(0),
            leads_here: AtomicBool::new(false),
            reign: AtomicU64::new(0),
            last_leader: AtomicU64::new(0),
            leader_changes: AtomicU64::new(0),
            commit_us: AtomicU64::new(0),
        }
    }

    /// A shard in this node's memory.
    pub(crate) fn own_memory(peers: Peers, place: Place) -> Self {
        Self { own_memory: true, leads_here: AtomicBool::new(true), ..Self::new(peers, place) }
    }

    /// Whether it is in this node's memory.
    pub(crate) fn is_own_memory(&self) -> bool {
        self.own_memory
    }

    /// Whether this node leads it.
    pub(crate) fn leads_here(&self) -> bool {
        self.leads_here.load(Ordering::Acquire)
    }

    /// This node's replica.
    pub(crate) fn group(&self) -> Option<Group<Shard>> {
        let replica = self.replica.read().unwrap_or_else(PoisonError::into_inner);
        replica.as_ref().map(|replica| replica.group.clone())
    }

    /// What other nodes call it.
    pub(crate) fn place(&self) -> Place {
        *self.place.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_place(&self, place: Place) {
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = place;
    }

    pub(crate) fn set_replica(&self, group: Option<Group<Shard>>) {
        let replica = group.map(|group| Replica { rows: group.rows(), group });
        *self.replica.write().unwrap_or_else(PoisonError::into_inner) = replica;
        self.moves.send_modify(|moves| *moves = moves.wrapping_add(1));
    }

    /// Tells when this node gets or loses its replica.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    /// The node that leads it, if one is known to.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        Some(NodeId(self.leader.load(Ordering::Acquire))).filter(|leader| *leader != NodeId(0))
    }

    pub(crate) fn set_leader(&self, leader: Option<NodeId>, here: bool) {
        let leader = leader.map_or(0, |node| node.0);
        // Nobody in between, and the same one again, is no change.
        if leader != 0 && self.last_leader.swap(leader, Ordering::AcqRel) != leader {
            self.leader_changes.fetch_add(1, Ordering::Relaxed);
        }
        self.leader.store(leader, Ordering::Release);
        self.leads_here.store(here, Ordering::Release);
    }

    /// How often the leader was another one than before.
    pub(crate) fn leader_changes(&self) -> u64 {
        self.leader_changes.load(Ordering::Relaxed)
    }

    /// How long the last entry took that this node proposed, microseconds, if it leads.
    pub(crate) fn commit_us(&self) -> Option<u64> {
        Some(self.commit_us.load(Ordering::Relaxed)).filter(|us| self.leads_here() && *us > 0)
    }

    pub(crate) fn set_commit_us(&self, took_us: u64) {
        self.commit_us.store(took_us, Ordering::Relaxed);
    }

    /// The leadership of this node whose effects are carried out.
    pub(crate) fn reign(&self) -> Option<Term> {
        Some(Term(self.reign.load(Ordering::Acquire))).filter(|term| *term > Term(0))
    }

    pub(crate) fn set_reign(&self, reign: Option<Term>) {
        self.reign.store(reign.map_or(0, |term| term.0), Ordering::Release);
    }

    fn replica(&self) -> Option<Replica> {
        self.replica.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A row that this node has in memory.
    pub(crate) fn recent_row(&self, index: LogIndex) -> Option<Bytes> {
        let replica = self.replica.read().unwrap_or_else(PoisonError::into_inner);
        let replica = replica.as_ref().filter(|replica| replica.group.applied() >= index)?;
        replica.rows.recent(index)
    }

    /// A row; at least what stands at `offsets` of it. Goes on until somebody knows.
    pub(crate) async fn row(&self, index: LogIndex, offsets: &[u32]) -> Option<Bytes> {
        loop {
            if let Some(known) = self.row_of_replica(index).await {
                return known;
            }
            if let Some(known) = self.row_of_leader(index, offsets).await {
                return known;
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// What this node's replica says; nothing while there is none, or it is behind.
    pub(crate) async fn row_of_replica(&self, index: LogIndex) -> Option<Option<Bytes>> {
        let replica = self.replica()?;
        if replica.group.applied() < index {
            let applied = replica.group.wait_applied(index);
            tokio::time::timeout(REPLICA_PATIENCE, applied).await.ok()?.ok()?;
        }
        // A disk that cannot be read ends the process.
        replica.rows.read(index).await.ok()
    }

    async fn row_of_leader(&self, index: LogIndex, offsets: &[u32]) -> Option<Option<Bytes>> {
        let leader = NodeId(self.leader.load(Ordering::Acquire));
        if leader == NodeId(0) || self.leads_here() {
            return None;
        }
        let wanted = vec![(index, offsets.to_vec())];
        match self.peers.rows(leader, self.place(), wanted, ASK_LIMIT).await {
            Ok(rows) => Some(rows.into_iter().find(|(at, _)| *at == index).map(|(_, row)| row)),
            Err(error) => {
                tracing::debug!(%error, "another node could not be asked for a row");
                None
            }
        }
    }
}
