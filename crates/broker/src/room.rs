//! How much the catalog may hold: virtual hosts, queues, exchanges, bindings.
//!
//! Asked before a change is proposed, of the local copy, by the node that a client talks to: what
//! several ask for at the same moment may go over by that much, as it may in RabbitMQ. What is
//! there already is never refused here, nor what the broker makes for itself.

use warren_catalog::{Binding, BindingCommand, Catalog, Command as Change};

use crate::broker::Inner;
use crate::config::Limits;
use crate::limit::Limit;
use crate::press::INTERNAL_USER;

/// There is no room for what was to be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Full {
    text: String,
}

/// The limit that is reached, and what is to be said about it.
type Reached = (Limit, String);

impl Inner {
    /// Refuses a change that would make more of something than there may be.
    pub(crate) async fn check_room(&self, user: &str, change: &Change) -> Result<(), Full> {
        if user == INTERNAL_USER {
            return Ok(());
        }
        let limits = self.limits();
        let look = || self.directory.look(|catalog| reached(catalog, &limits, change));
        let mut full = look();
        if full.is_some() && !self.directory.is_alone() {
            // Another node may have made it, or room for it, a moment ago.
            let caught_up = self.directory.catch_up();
            let _without_a_majority_the_local_copy_counts =
                tokio::time::timeout(limits.operation_timeout, caught_up).await;
            full = look();
        }
        let Some((limit, text)) = full else { return Ok(()) };
        self.counters.hits.note(limit);
        Err(Full { text })
    }
}

/// Whether something is to be made for which there is no room. The texts are RabbitMQ's, where it
/// has the limit.
fn reached(catalog: &Catalog, limits: &Limits, change: &Change) -> Option<Reached> {
    match change {
        Change::PutVhost { vhost, .. } if catalog.vhost(vhost).is_none() => {
            is_reached(limits.vhosts, || catalog.vhost_count()).then(|| {
                let limit = limits.vhosts;
                let text =
                    format!("cannot create vhost '{vhost}': vhost limit of {limit} is reached");
                (Limit::Vhosts, text)
            })
        }
        Change::DeclareQueue(queue) if catalog.queue(&queue.vhost, &queue.queue).is_none() => {
            no_room_for_queue(catalog, limits, &queue.vhost, &queue.queue)
        }
        Change::DeclareExchange(wanted)
            if catalog.exchange(&wanted.vhost, &wanted.exchange).is_none() =>
        {
            is_reached(limits.exchanges, || catalog.exchange_total()).then(|| {
                let (exchange, vhost, limit) = (&wanted.exchange, &wanted.vhost, limits.exchanges);
                let text = format!(
                    "cannot declare exchange '{exchange}' in vhost '{vhost}': \
                     exchange limit of {limit} is reached"
                );
                (Limit::Exchanges, text)
            })
        }
        Change::Bind(binding) => {
            let (vhost, limit) = (&binding.vhost, limits.bindings_per_vhost);
            let is_there = || {
                let BindingCommand { source, destination, routing_key, arguments, .. } = binding;
                let (source, destination) = (source.clone(), destination.clone());
                let alike = Binding::new(source, destination, routing_key.clone(), arguments);
                catalog.has_binding(vhost, &alike)
            };
            let full = is_reached(limit, || catalog.binding_count(vhost)) && !is_there();
            full.then(|| {
                let source = &binding.source;
                let text = format!(
                    "cannot bind to exchange '{source}': \
                     binding limit in vhost '{vhost}' ({limit}) is reached"
                );
                (Limit::Bindings, text)
            })
        }
        _ => None,
    }
}

fn no_room_for_queue(
    catalog: &Catalog,
    limits: &Limits,
    vhost: &str,
    queue: &str,
) -> Option<Reached> {
    if is_reached(limits.queues, || catalog.queue_total()) {
        let limit = limits.queues;
        let text =
            format!("cannot declare queue '{queue}': queue limit in cluster ({limit}) is reached");
        return Some((Limit::Queues, text));
    }
    let has_its_own = catalog.vhost(vhost).is_some_and(|row| row.limits.max_queues.is_some());
    let limit = if has_its_own { 0 } else { limits.queues_per_vhost };
    is_reached(limit, || catalog.queue_count(vhost)).then(|| {
        let text = format!(
            "cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached"
        );
        (Limit::QueuesOfVhost, text)
    })
}

fn is_reached(limit: usize, count: impl FnOnce() -> usize) -> bool {
    limit > 0 && count() >= limit
}
