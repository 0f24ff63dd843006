//! Bindings.

use std::sync::Arc;

use super::{NAME_LIMIT_BYTES, Step};
use crate::catalog::VhostState;
use crate::{
    Binding, BindingCommand, Catalog, DEFAULT_EXCHANGE, Destination, Name, Outcome, Owner, Refusal,
    Resource,
};

impl Catalog {
    pub(super) fn bind(
        &mut self,
        step: &Step<'_>,
        command: BindingCommand,
    ) -> Result<Outcome, Refusal> {
        let BindingCommand { vhost, source, destination, routing_key, arguments, connection } =
            command;
        let state = self.known_vhost(&vhost)?;
        check_not_default(&source, &destination)?;
        if routing_key.len() > NAME_LIMIT_BYTES {
            let bytes = routing_key.len();
            return Err(Refusal::InvalidName { what: "routing key".into(), bytes });
        }
        let Some(exchange) = state.exchanges.row(&source) else {
            return Err(Refusal::NoResource(Resource::exchange(&vhost, &source)));
        };
        if state.hop(&destination).is_none() {
            return Err(Refusal::NoResource(resource(&vhost, &destination)));
        }
        exchange.row.check_binding(&routing_key, &arguments).map_err(Refusal::InvalidBinding)?;
        check_open(state, &vhost, &destination, connection)?;
        let binding = Binding::new(source, destination, routing_key, &arguments);
        if !self.insert_binding(&vhost, binding) {
            return Ok(Outcome::Unchanged);
        }
        self.rerouted(step);
        Ok(Outcome::Created)
    }

    pub(super) fn unbind(
        &mut self,
        step: &mut Step<'_>,
        command: BindingCommand,
    ) -> Result<Outcome, Refusal> {
        let BindingCommand { vhost, source, destination, routing_key, arguments, connection } =
            command;
        check_not_default(&source, &destination)?;
        check_open(self.known_vhost(&vhost)?, &vhost, &destination, connection)?;
        let binding = Binding::new(source, destination, routing_key, &arguments);
        let state = self.vhosts.row_mut(&vhost).expect("it was just found");
        let Some(doomed) = state.remove_binding(&binding) else { return Ok(Outcome::Missing) };
        self.rerouted(step);
        if let Some(exchange) = doomed {
            self.remove_exchange(step, &vhost, exchange);
        }
        Ok(Outcome::Removed)
    }

    /// Adds a binding between ends that exist; false if there is an equal one.
    pub(crate) fn insert_binding(&mut self, vhost: &str, mut binding: Binding) -> bool {
        let Some(state) = self.vhosts.row_mut(vhost) else { return false };
        let Some(hop) = state.hop(&binding.destination) else { return false };
        if let Some(name) = state.shared_name(&binding.destination) {
            // One copy of the name for all bindings that lead there.
            binding.destination = match binding.destination {
                Destination::Exchange(_) => Destination::Exchange(name),
                Destination::Queue(_) => Destination::Queue(name),
            };
        }
        let Some(exchange) = state.exchanges.row_mut(&binding.source) else { return false };
        binding.source = exchange.row.name.clone();
        let binding = Arc::new(binding);
        if !exchange.outgoing.insert(Arc::clone(&binding)) {
            return false;
        }
        exchange.router.bind(&binding, hop);
        state.incoming.entry(binding.destination.clone()).or_default().insert(binding);
        state.bindings = state.bindings.saturating_add(1);
        true
    }
}

impl VhostState {
    /// Removes a binding, if there is an equal one. What is inside is the source, if that is to
    /// be deleted for having lost its last binding.
    fn remove_binding(&mut self, binding: &Binding) -> Option<Option<Name>> {
        let hop = self.hop(&binding.destination)?;
        let exchange = self.exchanges.row_mut(&binding.source)?;
        if !exchange.outgoing.remove(binding) {
            return None;
        }
        exchange.router.unbind(binding, &hop);
        let is_doomed = exchange.row.auto_delete && exchange.outgoing.is_empty();
        let doomed = is_doomed.then(|| exchange.row.name.clone());
        self.forget_incoming(binding);
        Some(doomed)
    }

    /// Takes a binding out of its destination's list.
    pub(super) fn forget_incoming(&mut self, binding: &Binding) {
        let Some(known) = self.incoming.get_mut(&binding.destination) else { return };
        if known.remove(binding) {
            self.bindings = self.bindings.saturating_sub(1);
        }
        if known.is_empty() {
            self.incoming.remove(&binding.destination);
        }
    }

    /// Removes all bindings that lead to `destination`, which still exists. Returns the sources
    /// that are to be deleted for having lost their last binding.
    pub(super) fn cut_incoming(&mut self, destination: &Destination) -> Vec<Name> {
        let bindings = self.incoming.get(destination).cloned().unwrap_or_default();
        bindings.iter().filter_map(|binding| self.remove_binding(binding).flatten()).collect()
    }

    fn shared_name(&self, destination: &Destination) -> Option<Name> {
        match destination {
            Destination::Exchange(name) => {
                self.exchanges.row(name).map(|exchange| exchange.row.name.clone())
            }
            Destination::Queue(name) => self.queues.row(name).map(|queue| queue.name.clone()),
        }
    }
}

fn check_not_default(source: &Name, destination: &Destination) -> Result<(), Refusal> {
    let into_default =
        matches!(destination, Destination::Exchange(name) if &**name == DEFAULT_EXCHANGE);
    if &**source == DEFAULT_EXCHANGE || into_default {
        return Err(Refusal::DefaultExchange);
    }
    Ok(())
}

/// Nobody binds somebody else's exclusive queue.
fn check_open(
    state: &VhostState,
    vhost: &Name,
    destination: &Destination,
    connection: Option<Owner>,
) -> Result<(), Refusal> {
    match destination {
        Destination::Exchange(_) => Ok(()),
        Destination::Queue(name) => match state.queues.row(name) {
            Some(queue) if !queue.is_open_to(connection) => {
                Err(Refusal::Locked { queue: Resource::queue(vhost, name) })
            }
            Some(_) | None => Ok(()),
        },
    }
}

fn resource(vhost: &Name, destination: &Destination) -> Resource {
    match destination {
        Destination::Exchange(name) => Resource::exchange(vhost, name),
        Destination::Queue(name) => Resource::queue(vhost, name),
    }
}
