//! Queues: declared, compared, removed with the bindings that lead to them.

use std::sync::Arc;

use warren_types::QueueId;

use super::{Step, check_name};
use crate::catalog::VhostState;
use crate::equivalence::check_queue;
use crate::{
    Catalog, Common, DeclareQueue, Destination, Effect, Name, Outcome, Owner, Placement, Queue,
    QueueKind, RESERVED_PREFIX, Refusal, RemovalReason, Resource, ResourceKind, arguments,
    incarnation,
};

impl Catalog {
    pub(super) fn declare_queue(
        &mut self,
        step: &mut Step<'_>,
        wanted: DeclareQueue,
    ) -> Result<Outcome, Refusal> {
        check_name("queue name", &wanted.queue)?;
        let state = self.known_vhost(&wanted.vhost)?;
        let default = state.row.meta.default_queue_type.unwrap_or_default();
        let replicable = wanted.durable && wanted.exclusive.is_none() && !wanted.auto_delete;
        let arguments = arguments::complete(&wanted.arguments, default, replicable);
        if let Some(known) = state.queues.row(&wanted.queue) {
            check_queue(known, &wanted, &arguments)?;
            return Ok(Outcome::QueueExists(Arc::clone(known)));
        }
        let resource = Resource::queue(&wanted.vhost, &wanted.queue);
        if wanted.queue.starts_with(RESERVED_PREFIX) && !wanted.server_named {
            let kind = ResourceKind::Queue;
            return Err(Refusal::ReservedName { kind, name: wanted.queue });
        }
        let kind = arguments::check(&resource, &arguments)?;
        check_queue_limit(state, &wanted.queue)?;
        check_properties(&resource, kind, &wanted)?;
        self.check_placement(wanted.placement)?;
        if let Some(Owner { node, boot, connection: _ }) = wanted.exclusive {
            self.check_start(node, boot)?;
        }
        let queue = self.insert_queue(Queue {
            id: incarnation(step.index, step.ordinal),
            vhost: wanted.vhost,
            name: wanted.queue,
            kind,
            // An exclusive queue goes with its connection, so it is never durable.
            durable: wanted.durable && wanted.exclusive.is_none(),
            auto_delete: wanted.auto_delete,
            exclusive: wanted.exclusive.map(Box::new),
            arguments: Arc::new(arguments),
            placement: wanted.placement,
            created: step.time,
            common: Common::of(wanted.user),
        });
        step.effects.push(Effect::QueueCreated(Arc::clone(&queue)));
        self.rerouted(step);
        Ok(Outcome::QueueCreated(queue))
    }

    pub(super) fn delete_queue(
        &mut self,
        step: &mut Step<'_>,
        queue: QueueId,
        reason: RemovalReason,
    ) -> Result<Outcome, Refusal> {
        match self.remove_queue(step, queue, reason) {
            Some(queue) => Ok(Outcome::QueuesRemoved(vec![queue])),
            None => Ok(Outcome::Missing),
        }
    }

    pub(super) fn close_connection(
        &mut self,
        step: &mut Step<'_>,
        owner: Owner,
    ) -> Result<Outcome, Refusal> {
        let ids: Vec<QueueId> = self.owned.get(&owner).into_iter().flatten().copied().collect();
        let reason = RemovalReason::OwnerGone;
        let removed = ids.into_iter().filter_map(|id| self.remove_queue(step, id, reason));
        Ok(Outcome::QueuesRemoved(removed.collect()))
    }

    /// Adds a queue, with the policies that are for it, to a virtual host that exists.
    pub(crate) fn insert_queue(&mut self, mut row: Queue) -> Arc<Queue> {
        let (vhost, defaults) = (row.vhost.clone(), self.defaults());
        let state = self.vhosts.row_mut(&vhost).expect("callers checked the virtual host");
        state.dress_queue(&mut row, defaults);
        row.vhost = state.row.name.clone();
        self.shared.thin(&mut row);
        let row = Arc::new(row);
        state.queues.insert(row.name.clone(), Arc::clone(&row));
        self.queues_by_id.insert(row.id, Arc::clone(&row));
        self.placed.entry(row.placement).or_default().insert(row.id);
        if let Some(owner) = row.owner() {
            self.owned.entry(owner).or_default().insert(row.id);
        }
        row
    }

    /// Removes a queue and the bindings that lead to it, and so each automatically deleted
    /// exchange that thereby loses its last binding as a source.
    pub(super) fn remove_queue(
        &mut self,
        step: &mut Step<'_>,
        id: QueueId,
        reason: RemovalReason,
    ) -> Option<Arc<Queue>> {
        let queue = Arc::clone(self.queues_by_id.value(&id)?);
        self.rerouted(step);
        let mut doomed: Vec<Name> = Vec::new();
        if let Some(state) = self.vhosts.row_mut(&queue.vhost) {
            doomed = state.cut_incoming(&Destination::Queue(queue.name.clone()));
            state.queues.remove(&queue.name);
        }
        self.forget_queue(&queue);
        step.effects.push(Effect::QueueRemoved { queue: Arc::clone(&queue), reason });
        for exchange in doomed {
            self.remove_exchange(step, &queue.vhost, exchange);
        }
        Some(queue)
    }

    /// Takes a queue out of all indexes but its virtual host's.
    pub(super) fn forget_queue(&mut self, queue: &Queue) {
        self.queues_by_id.remove(&queue.id);
        if let Some(ids) = self.placed.get_mut(&queue.placement) {
            ids.remove(&queue.id);
            if ids.is_empty() {
                self.placed.remove(&queue.placement);
            }
        }
        let Some(owner) = queue.owner() else { return };
        if let Some(ids) = self.owned.get_mut(&owner) {
            ids.remove(&queue.id);
            if ids.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }

    /// Nothing may be put where it would never be looked after.
    fn check_placement(&self, placement: Placement) -> Result<(), Refusal> {
        match placement {
            Placement::Shard(group) if self.shards.contains_key(&group) => Ok(()),
            Placement::Shard(group) => Err(Refusal::NoShard { group }),
            Placement::Local { node, boot, slot: _ } => self.check_start(node, boot),
        }
    }
}

fn check_queue_limit(state: &VhostState, queue: &Name) -> Result<(), Refusal> {
    let Some(limit) = state.row.limits.max_queues else { return Ok(()) };
    if u64::try_from(state.queues.len()).is_ok_and(|count| count < limit) {
        return Ok(());
    }
    Err(Refusal::QueueLimit { vhost: state.row.name.clone(), queue: queue.clone(), limit })
}

/// What only a classic queue can be.
fn check_properties(
    queue: &Resource,
    kind: QueueKind,
    wanted: &DeclareQueue,
) -> Result<(), Refusal> {
    if kind == QueueKind::Classic {
        return Ok(());
    }
    if wanted.server_named {
        return Err(Refusal::ServerNamed { kind });
    }
    let property = match (wanted.auto_delete, wanted.exclusive.is_some(), wanted.durable) {
        (true, _, _) => "auto-delete",
        (false, true, _) => "exclusive-owner",
        (false, false, false) => "non-durable",
        (false, false, true) => return Ok(()),
    };
    Err(Refusal::InvalidProperty { resource: queue.clone(), property: property.into() })
}
