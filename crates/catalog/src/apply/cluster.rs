//! Nodes, shards, the cluster's identity and version.

use warren_types::{BootId, GroupId, NodeId, QueueId};

use super::Step;
use crate::{
    Catalog, ClusterId, Effect, Name, Node, Outcome, Owner, Placement, Refusal, RegisterNode,
    RemovalReason, Shard,
};

impl Catalog {
    pub(super) fn found_cluster(
        &mut self,
        step: &Step<'_>,
        cluster: ClusterId,
    ) -> Result<Outcome, Refusal> {
        match self.cluster {
            Some(known) if known == cluster => Ok(Outcome::Unchanged),
            Some(_) => Err(Refusal::FoundedOtherwise),
            None => {
                self.cluster = Some(cluster);
                self.changed(step);
                Ok(Outcome::Created)
            }
        }
    }

    pub(super) fn register_node(
        &mut self,
        step: &mut Step<'_>,
        wanted: RegisterNode,
    ) -> Result<Outcome, Refusal> {
        let RegisterNode { token, wanted, name, address, zone } = wanted;
        if let Some(node) = self.nodes.values_mut().find(|node| node.token == token) {
            let id = node.id;
            if (&node.name, &node.address, &node.zone) != (&name, &address, &zone) {
                (node.name, node.address, node.zone) = (name, address, zone);
                self.node_changed(step, id);
            }
            return Ok(Outcome::Node(id));
        }
        let lowest = self.highest_node.0.saturating_add(1);
        let id = match wanted {
            // No id runs ahead of the log, or the next ones would meet it there.
            Some(id) if id.0 < lowest || id.0 > step.index.0 => {
                return Err(Refusal::NodeIdTaken { node: id });
            }
            Some(id) => id,
            None => NodeId(step.index.0.max(lowest)),
        };
        self.highest_node = id;
        let boot = BootId(0);
        let node = Node {
            id,
            token,
            name,
            address,
            zone,
            boot,
            speaks: 0,
            running: false,
            draining: false,
        };
        self.nodes.insert(id, node);
        self.node_changed(step, id);
        Ok(Outcome::Node(id))
    }

    fn node_changed(&mut self, step: &mut Step<'_>, node: NodeId) {
        self.changed(step);
        step.effects.push(Effect::NodeChanged(node));
    }

    pub(super) fn start_node(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        boot: BootId,
        speaks: u16,
    ) -> Result<Outcome, Refusal> {
        let version = self.version;
        let row = self.nodes.get_mut(&node).ok_or(Refusal::NoNode { node })?;
        if boot < row.boot {
            return Err(Refusal::StartOver { node, boot });
        }
        if speaks < version {
            return Err(Refusal::VersionNotSpoken { version, node, speaks });
        }
        let earlier = row.boot.0.min(boot.0.saturating_sub(1));
        let anew = boot > row.boot;
        if (row.boot, row.speaks, row.running) != (boot, speaks, true) {
            (row.boot, row.speaks, row.running) = (boot, speaks, true);
            self.node_changed(step, node);
        }
        let removed = self.remove_queues_of_starts(step, node, BootId(earlier));
        if anew {
            self.end_transient_exchanges(step, node);
        }
        Ok(removed)
    }

    /// Exchanges that are not durable, and their bindings, live as long as some node does, and so
    /// end when the only node that ran has another start.
    ///
    /// A node that is not known to be lost counts as running. So they may outlive a power cut of
    /// all nodes, which looks from here as if one had been started again after the other; that
    /// must not end them.
    fn end_transient_exchanges(&mut self, step: &mut Step<'_>, node: NodeId) {
        if self.nodes.values().any(|other| other.id != node && other.running) {
            return;
        }
        let transient: Vec<(Name, Name)> = self
            .vhosts
            .iter()
            .flat_map(|vhost| vhost.exchanges.iter())
            .filter(|exchange| !exchange.row.durable)
            .map(|exchange| (exchange.row.vhost.clone(), exchange.row.name.clone()))
            .collect();
        for (vhost, exchange) in transient {
            self.remove_exchange(step, &vhost, exchange);
        }
    }

    pub(super) fn lose_node(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        boot: BootId,
    ) -> Result<Outcome, Refusal> {
        let row = self.nodes.get_mut(&node).ok_or(Refusal::NoNode { node })?;
        if boot < row.boot {
            return Err(Refusal::StartOver { node, boot });
        }
        // A start may be lost before its node could say that there is one.
        let anew = boot > row.boot;
        if anew || row.running {
            (row.boot, row.running) = (boot, false);
            self.node_changed(step, node);
        }
        let removed = self.remove_queues_of_starts(step, node, boot);
        if anew {
            self.end_transient_exchanges(step, node);
        }
        Ok(removed)
    }

    pub(super) fn forget_node(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
    ) -> Result<Outcome, Refusal> {
        if self.nodes.remove(&node).is_none() {
            return Ok(Outcome::Missing);
        }
        for shard in self.shards.values_mut().filter(|shard| shard.replicas.contains(&node)) {
            shard.replicas.retain(|replica| *replica != node);
            step.effects.push(Effect::ShardChanged(shard.group));
        }
        self.changed(step);
        step.effects.push(Effect::NodeForgotten(node));
        Ok(self.remove_queues_of_starts(step, node, BootId(u64::MAX)))
    }

    pub(super) fn drain_node(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        draining: bool,
    ) -> Result<Outcome, Refusal> {
        let row = self.nodes.get_mut(&node).ok_or(Refusal::NoNode { node })?;
        if row.draining == draining {
            return Ok(Outcome::Unchanged);
        }
        row.draining = draining;
        self.node_changed(step, node);
        Ok(Outcome::Updated)
    }

    pub(super) fn put_shard(
        &mut self,
        step: &mut Step<'_>,
        group: GroupId,
        replicas: Vec<NodeId>,
    ) -> Result<Outcome, Refusal> {
        if let Some(&node) = replicas.iter().find(|node| !self.nodes.contains_key(node)) {
            return Err(Refusal::NoNode { node });
        }
        let shard = Shard { group, replicas };
        let outcome = match self.shards.insert(group, shard.clone()) {
            Some(known) if known == shard => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.changed(step);
        step.effects.push(Effect::ShardChanged(group));
        Ok(outcome)
    }

    pub(super) fn raise_version(
        &mut self,
        step: &Step<'_>,
        version: u16,
    ) -> Result<Outcome, Refusal> {
        if version <= self.version {
            return Err(Refusal::VersionNotAbove { version, current: self.version });
        }
        if let Some(node) = self.nodes.values().find(|node| node.speaks < version) {
            let (node, speaks) = (node.id, node.speaks);
            return Err(Refusal::VersionNotSpoken { version, node, speaks });
        }
        self.version = version;
        self.changed(step);
        Ok(Outcome::Updated)
    }

    /// Whether `boot` is the start of `node` that runs.
    pub(super) fn check_start(&self, node: NodeId, boot: BootId) -> Result<(), Refusal> {
        let row = self.nodes.get(&node).ok_or(Refusal::NoNode { node })?;
        if row.boot == boot && row.running {
            Ok(())
        } else {
            Err(Refusal::StartOver { node, boot })
        }
    }

    /// Removes what lived in the memory, or belonged to the connections, of all starts of `node`
    /// up to `last`.
    fn remove_queues_of_starts(
        &mut self,
        step: &mut Step<'_>,
        node: NodeId,
        last: BootId,
    ) -> Outcome {
        let first = Placement::Local { node, boot: BootId(0), slot: 0 };
        let end = Placement::Local { node, boot: last, slot: u16::MAX };
        let local = self.placed.range(first..=end).flat_map(|(_, ids)| ids).copied();
        let first = Owner { node, boot: BootId(0), connection: 0 };
        let end = Owner { node, boot: last, connection: u64::MAX };
        let owned = self.owned.range(first..=end).flat_map(|(_, ids)| ids).copied();
        // A queue may be both; it is found and removed the first time.
        let ids: Vec<QueueId> = local.chain(owned).collect();
        let reason = RemovalReason::NodeGone;
        let removed = ids.into_iter().filter_map(|id| self.remove_queue(step, id, reason));
        Outcome::QueuesRemoved(removed.collect())
    }
}
