//! Answers what other nodes ask this one as a whole.
//!
//! There is one as soon as the catalog runs, before there is a broker: a node that comes up needs
//! the catalog's leader to be let in.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{sleep, timeout};
use warren_catalog::{Batch, Catalog, Command, Outcome, RegisterNode, reply};
use warren_consensus::{Group, Node, Peers, ProposeError, Status};
use warren_rpc::{Caller, Distress, GroupStatus, Join, JoinReply, Ping, Pong, Refusal, Verdict};
use warren_types::{GroupId, LogIndex, NodeId};

use super::sight::Sight;
use super::{Cluster, forward};
use crate::config::Config;
use crate::directory::name;
use crate::queue::batch::wall_clock;

/// How long a node that wants to join may wait for the catalog.
const JOIN_LIMIT: Duration = Duration::from_secs(10);

/// Between two attempts to have a node registered.
const RETRY: Duration = Duration::from_millis(50);

/// Answers the other nodes' calls once this node belongs to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Envoy {
    inner: Arc<Inner>,
}

struct Inner {
    shards: u32,
    consensus: Node,
    catalog: Group<Catalog>,
    peers: Peers,
    /// This node's part in the cluster, once it takes part.
    cluster: OnceLock<Cluster>,
}

impl Envoy {
    /// An envoy of a node that runs the catalog and nothing else so far.
    #[must_use]
    pub fn new(config: &Config, consensus: Node, catalog: Group<Catalog>, peers: Peers) -> Self {
        let (shards, cluster) = (config.shards, OnceLock::new());
        Self { inner: Arc::new(Inner { shards, consensus, catalog, peers, cluster }) }
    }

    /// Lets the envoy speak of what `cluster` knows.
    pub(crate) fn attach(&self, cluster: &Cluster) {
        // There is one cluster per node; a second would be the same.
        drop(self.inner.cluster.set(cluster.clone()));
    }

    /// Takes a node into the cluster.
    ///
    /// # Errors
    /// When the cluster is not ready for it, or what the node says about itself is refused.
    pub async fn join(&self, join: Join) -> Result<JoinReply, Refusal> {
        let inner = &*self.inner;
        let shards = inner.catalog.inspect(Catalog::shard_count);
        if u32::try_from(shards).ok() != Some(inner.shards) {
            let text = format!("{shards} of {} shards are made", inner.shards);
            return Err(Refusal::Unavailable { text });
        }
        self.make_way(&join).await?;
        let register = Command::RegisterNode(RegisterNode {
            token: join.token,
            wanted: None,
            name: name(&join.name),
            address: name(&join.address),
            zone: name(&join.zone),
        });
        let registered = timeout(JOIN_LIMIT, self.register(register)).await;
        let late = |_| Refusal::Unavailable { text: "the catalog has no leader".to_owned() };
        let node = registered.map_err(late)??;
        tracing::info!(%node, name = join.name, address = join.address, "a node joins");
        let identity = inner.peers.identity();
        let members = inner.catalog.inspect(|catalog| {
            catalog.nodes().map(|row| (row.id, row.address.to_string())).collect()
        });
        Ok(JoinReply {
            cluster: identity.cluster,
            incarnation: identity.incarnation,
            node,
            shards: inner.shards,
            members,
        })
    }

    /// Forgets the node that had the address before: two processes cannot have one, so its disk is
    /// lost, it can never come back, and its replicas have to go to somebody else.
    async fn make_way(&self, join: &Join) -> Result<(), Refusal> {
        let former: Vec<NodeId> = self.inner.catalog.inspect(|catalog| {
            let others = catalog.nodes().filter(|row| row.token != join.token);
            others.filter(|row| *row.address == *join.address).map(|row| row.id).collect()
        });
        for node in former {
            tracing::warn!(%node, name = join.name, "a node has lost its disk and is forgotten");
            let forgetting = timeout(JOIN_LIMIT, self.settle(Command::ForgetNode { node })).await;
            let late = |_| Refusal::Unavailable { text: "the catalog has no leader".to_owned() };
            forgetting.map_err(late)??;
        }
        Ok(())
    }

    async fn register(&self, command: Command) -> Result<NodeId, Refusal> {
        match self.settle(command).await? {
            Outcome::Node(node) => Ok(node),
            other => Err(Refusal::Failed { text: format!("{other:?}") }),
        }
    }

    /// Has a change of the catalog made.
    async fn settle(&self, command: Command) -> Result<Outcome, Refusal> {
        let Inner { catalog, peers, .. } = &*self.inner;
        let payload = Batch { time: wall_clock(), commands: vec![command] }.encode();
        loop {
            match forward::settle(catalog.clone(), peers.clone(), payload.clone()).await {
                Ok(reply) => {
                    return match reply.into_iter().next() {
                        Some(Ok(outcome)) => Ok(outcome),
                        Some(Err(refusal)) => Err(Refusal::Senseless { text: refusal.to_string() }),
                        None => Err(Refusal::Failed { text: "no answer".to_owned() }),
                    };
                }
                Err(error) => {
                    tracing::debug!(%error, "the catalog could not be changed, trying again");
                    sleep(RETRY).await;
                }
            }
        }
    }

    /// As the catalog's leader, has an entry of the catalog made.
    ///
    /// # Errors
    /// When this node does not lead the catalog, or does not know what became of the entry.
    pub async fn propose(&self, payload: Bytes) -> Result<(LogIndex, Bytes), Refusal> {
        let catalog = &self.inner.catalog;
        let not_leader = Refusal::NotLeader { group: GroupId::CATALOG };
        if !catalog.leadership().borrow().here {
            return Err(not_leader);
        }
        match catalog.propose(payload).await {
            Ok((index, answers)) => Ok((index, reply::encode(&answers))),
            Err(ProposeError::NotLeader { .. }) => Err(not_leader),
            Err(error @ (ProposeError::MaybeDone | ProposeError::Stopped)) => {
                Err(Refusal::Failed { text: error.to_string() })
            }
            Err(error @ ProposeError::TooLarge { .. }) => {
                Err(Refusal::Senseless { text: error.to_string() })
            }
        }
    }

    /// Shows that this node lives.
    #[must_use]
    pub fn ping(&self, caller: Caller, ping: Ping) -> Pong {
        let boot = self.inner.peers.identity().boot;
        let forgotten = self.inner.catalog.inspect(|catalog| catalog.was_forgotten(caller.node));
        let Some(cluster) = self.inner.cluster.get() else {
            let distress = Distress::default();
            return Pong { boot, draining: false, serving: false, distress, forgotten };
        };
        // What is new about it is taken over by a look at it.
        let known = cluster.neighbours().sights().borrow().get(&caller.node).copied();
        if ping.draining || known.is_some_and(|sight| sight.distress() != ping.distress) {
            cluster.neighbours().suspect(caller.node);
        }
        Pong {
            boot,
            draining: cluster.is_draining(),
            serving: cluster.is_serving(),
            distress: cluster.distress(),
            forgotten,
        }
    }

    /// Says whether another node is to be seen from here, having looked.
    pub async fn probe(&self, about: NodeId) -> Verdict {
        if about == self.inner.peers.identity().node {
            return Verdict::Alive;
        }
        let Some(cluster) = self.inner.cluster.get() else { return Verdict::Silent };
        match cluster.neighbours().look(about).await {
            Some(Sight::Alive { .. }) => Verdict::Alive,
            Some(Sight::Gone) => Verdict::Gone,
            Some(Sight::Silent { .. }) | None => Verdict::Silent,
        }
    }

    /// How a group looks from here.
    ///
    /// # Errors
    /// When it does not run here.
    pub fn group_status(&self, group: GroupId) -> Result<GroupStatus, Refusal> {
        let status = self.inner.consensus.status(group);
        status.map(group_status).ok_or(Refusal::UnknownGroup { group })
    }
}

fn group_status(status: Status) -> GroupStatus {
    let nodes = |places: Vec<(NodeId, String)>| places.into_iter().map(|(node, _)| node).collect();
    GroupStatus {
        leader: status.leadership.leader,
        term: status.leadership.term,
        here: status.leadership.here,
        voters: nodes(status.voters),
        learners: nodes(status.learners),
        applied: status.applied,
    }
}

impl std::fmt::Debug for Envoy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Envoy").field("consensus", &self.inner.consensus).finish_non_exhaustive()
    }
}
