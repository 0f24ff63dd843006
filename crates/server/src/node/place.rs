//! Finds a node's place in a cluster, and where the others are.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use warren_rpc::{ClusterId, Founded, Join};

use super::{Node, NodeError, open};
use crate::config::NodeSection;
use crate::formation::seeds;
use crate::formation::talk::{Outcome, Search, find_others};
use crate::identity::Membership;

/// How often a node that does not serve yet asks its seeds where the others are, and how often one
/// that does: it has found enough of them, and still may be the only one that can find the rest.
const FIND_INTERVAL: Duration = Duration::from_secs(2);
const FIND_INTERVAL_SERVING: Duration = Duration::from_secs(5);

impl Node {
    /// Which node of which cluster this is: as the disk says, or by making a cluster or being taken
    /// into one. From here on others may hear of it.
    pub(super) async fn find_place(&mut self) -> Result<Membership, NodeError> {
        let membership = match self.record.membership {
            Some(membership) => membership,
            None => {
                let membership = self.settle_somewhere().await.started();
                self.keep(membership).await?;
                membership
            }
        };
        let NodeSection { shards, .. } = self.config.node;
        if membership.shards != shards {
            let kept = membership.shards;
            tracing::warn!(kept, ignored = shards, "'shards' counts only when a cluster is made");
        }
        self.peers.set_identity(membership.identity);
        self.desk.set_identity(membership.identity);
        self.candidate.settle(membership.founded());
        self.observer.set_cluster(membership.identity.cluster);
        Ok(membership)
    }

    /// Keeps the node's place. On the disk on return.
    pub(super) async fn keep(&mut self, membership: Membership) -> Result<(), NodeError> {
        self.record = self.record.with(membership);
        open::save(&self.store, self.record).await
    }

    /// Asks the seeds where the others are, less often once the node is `serving`. Nodes that came
    /// back under other addresses are found this way: one that nobody can call does not learn who
    /// leads, and so cannot have its address changed in the catalog.
    pub(super) fn keep_finding(&self, own: Founded, serving: CancellationToken) {
        let seeds = self.config.node.seeds.clone();
        if seeds.is_empty() {
            return;
        }
        let (peers, token) = (self.peers.clone(), self.record.token);
        self.tasks.spawn(self.closing.clone().run_until_cancelled_owned(async move {
            loop {
                let late = serving.is_cancelled();
                let interval = if late { FIND_INTERVAL_SERVING } else { FIND_INTERVAL };
                tokio::time::sleep(interval).await;
                find_others(&peers, token, own, &seeds).await;
            }
        }));
    }

    /// Makes a cluster, or joins one.
    async fn settle_somewhere(&self) -> Membership {
        let NodeSection { seeds, bootstrap_expect, shards, zone, .. } = &self.config.node;
        if seeds.is_empty() {
            return found(*shards);
        }
        if seeds::is_out_of_reach(&self.advertised, seeds) {
            let advertised = &self.advertised;
            tracing::warn!(%advertised, "other machines cannot reach this node; set 'advertise'");
        }
        let join = Join {
            token: self.record.token,
            name: self.names.node.clone(),
            address: self.advertised.clone(),
            zone: zone.clone(),
        };
        let quorum = seeds::quorum(seeds, *bootstrap_expect);
        let search = Search { seeds: seeds.clone(), quorum, join };
        let report = |waiting: &str| {
            tracing::info!("{waiting}");
            self.observer.set_waiting(Some(waiting.to_owned()));
        };
        let outcome = self.candidate.search(&self.peers, &search, report).await;
        self.observer.set_waiting(None);
        match outcome {
            Outcome::Found => found(*shards),
            Outcome::Joined(reply) => {
                for (node, address) in &reply.members {
                    self.peers.suggest_address(*node, address);
                }
                let (cluster, node) = (reply.cluster, reply.node);
                tracing::info!(%cluster, %node, "the node joins a cluster");
                Membership::member(cluster, reply.incarnation, node, reply.shards)
            }
        }
    }
}

/// The place of a node that makes a cluster.
fn found(shards: u32) -> Membership {
    let membership = Membership::founder(ClusterId(rand::random()), shards);
    tracing::info!(cluster = %membership.identity.cluster, shards, "the node makes a cluster");
    membership
}
