//! What always holds, for tests to assert.

use std::sync::Arc;

use super::{Catalog, ExchangeState, VhostState};
use crate::{Binding, Destination, Exchange, Queue};

impl Catalog {
    /// Asserts what the head of this module promises.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check(&self) {
        let mut queues = 0_usize;
        for state in self.vhosts.iter() {
            for queue in state.queues.iter() {
                self.check_queue(state, queue);
                queues = queues.saturating_add(1);
            }
            let mut bindings = 0_usize;
            for exchange in state.exchanges.iter() {
                check_exchange(state, exchange);
                bindings = bindings.saturating_add(exchange.outgoing.len());
            }
            let incoming = state.incoming.values().map(|bindings| bindings.len()).sum::<usize>();
            assert_eq!(bindings, incoming, "bindings by source and by destination");
            assert_eq!(bindings, state.bindings, "bindings and their number");
            assert!(state.incoming.values().all(|bindings| !bindings.is_empty()));
            assert!(state.parameters.values().all(|parameters| !parameters.is_empty()));
        }
        assert_eq!(queues, self.queues_by_id.len(), "queues by name and by id");
        let placed = self.placed.values().map(|ids| ids.len()).sum::<usize>();
        assert_eq!(queues, placed, "queues by name and by placement");
        for (owner, ids) in &self.owned {
            let rows = ids.iter().map(|id| self.queues_by_id.value(id));
            assert!(rows.into_iter().all(|row| row.is_some_and(|row| row.owner() == Some(*owner))));
        }
        let traced = self.vhosts().filter(|row| row.meta.tracing).map(|row| &row.name);
        assert!(traced.eq(&self.traced), "traced virtual hosts by row and by name");
        self.check_users();
    }

    fn check_queue(&self, state: &VhostState, queue: &Arc<Queue>) {
        let by_id = self.queues_by_id.value(&queue.id);
        assert!(by_id.is_some_and(|row| Arc::ptr_eq(row, queue)), "{} by id", queue.name);
        let placed = self.placed.get(&queue.placement);
        assert!(placed.is_some_and(|ids| ids.contains(&queue.id)), "{} by placement", queue.name);
        let owned = |owner| self.owned.get(owner).is_some_and(|ids| ids.contains(&queue.id));
        assert!(queue.exclusive.as_deref().is_none_or(owned), "{} by owner", queue.name);
        let mut dressed = Queue::clone(queue);
        state.dress_queue(&mut dressed, self.defaults());
        assert_eq!(dressed, **queue, "policies in effect are those that match");
    }

    fn check_users(&self) {
        for state in self.users.values() {
            let topic = state.topic_permissions.keys();
            for vhost in state.permissions.keys().chain(topic) {
                assert!(self.vhosts.row(vhost).is_some(), "permissions are for known vhosts");
            }
            assert!(state.topic_permissions.values().all(|exchanges| !exchanges.is_empty()));
        }
    }
}

fn check_exchange(state: &VhostState, exchange: &ExchangeState) {
    for binding in &exchange.outgoing {
        assert_eq!(binding.source, exchange.row.name, "bindings stand with their source");
        check_binding(state, binding);
    }
    let mut dressed = Exchange::clone(&exchange.row);
    state.dress_exchange(&mut dressed);
    assert_eq!(dressed, *exchange.row, "policies in effect are those that match");
}

fn check_binding(state: &VhostState, binding: &Arc<Binding>) {
    let exists = match &binding.destination {
        Destination::Exchange(name) => state.exchanges.row(name).is_some(),
        Destination::Queue(name) => state.queues.row(name).is_some(),
    };
    assert!(exists, "the destination of a binding exists");
    let incoming = state.incoming.get(&binding.destination);
    assert!(incoming.is_some_and(|bindings| bindings.contains(binding)), "by destination");
}
