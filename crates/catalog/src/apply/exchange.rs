//! Exchanges: declared, compared, deleted with the bindings on both sides.

use std::sync::Arc;

use warren_types::{Table, Timestamp, Value};

use super::{Step, check_name};
use crate::catalog::ExchangeState;
use crate::equivalence::{ALTERNATE_EXCHANGE, check_exchange};
use crate::{
    Catalog, DEFAULT_EXCHANGE, DeclareExchange, Destination, Effect, Exchange, ExchangeKind, Name,
    Outcome, RESERVED_PREFIX, Refusal, RemovalReason, Resource, ResourceKind, recent_history,
};

/// Who made the exchanges that nobody has declared.
const INTERNAL_USER: &str = "rmq-internal";

impl Catalog {
    pub(super) fn declare_exchange(
        &mut self,
        step: &Step<'_>,
        wanted: DeclareExchange,
    ) -> Result<Outcome, Refusal> {
        let kind = ExchangeKind::parse(&wanted.kind);
        let kind = kind.ok_or(Refusal::UnknownExchangeType { name: wanted.kind.clone() })?;
        let state = self.known_vhost(&wanted.vhost)?;
        if &*wanted.exchange == DEFAULT_EXCHANGE {
            return Err(Refusal::DefaultExchange);
        }
        check_name("exchange name", &wanted.exchange)?;
        if let Some(known) = state.exchanges.row(&wanted.exchange) {
            check_exchange(&known.row, kind, &wanted)?;
            return Ok(Outcome::ExchangeExists(Arc::clone(&known.row)));
        }
        if wanted.exchange.starts_with(RESERVED_PREFIX) {
            let kind = ResourceKind::Exchange;
            return Err(Refusal::ReservedName { kind, name: wanted.exchange });
        }
        match wanted.arguments.value(ALTERNATE_EXCHANGE) {
            None | Some(Value::LongString(_)) => {}
            Some(other) => {
                return Err(Refusal::ArgumentType {
                    resource: Resource::exchange(&wanted.vhost, &wanted.exchange),
                    argument: ALTERNATE_EXCHANGE.into(),
                    given: other.type_name().into(),
                });
            }
        }
        kind.check_arguments(&wanted.arguments).map_err(Refusal::InvalidExchange)?;
        if kind == ExchangeKind::RecentHistory {
            check_name("exchange name", &recent_history::queue_name(&wanted.exchange))?;
        }
        let row = self.insert_exchange(Exchange {
            vhost: wanted.vhost,
            name: wanted.exchange,
            kind,
            durable: wanted.durable,
            auto_delete: wanted.auto_delete,
            internal: wanted.internal,
            arguments: wanted.arguments,
            created: step.time,
            user: wanted.user,
            policy: None,
            operator_policy: None,
            alternate: None,
        });
        self.rerouted(step);
        Ok(Outcome::ExchangeCreated(row))
    }

    pub(super) fn predeclare_exchange(
        &mut self,
        step: &Step<'_>,
        vhost: Name,
        exchange: Name,
    ) -> Result<Outcome, Refusal> {
        let state = self.known_vhost(&vhost)?;
        check_name("exchange name", &exchange)?;
        if let Some(known) = state.exchanges.row(&exchange) {
            return Ok(Outcome::ExchangeExists(Arc::clone(&known.row)));
        }
        let row = self.insert_own_exchange(&vhost, exchange, ExchangeKind::Topic, true, step.time);
        self.rerouted(step);
        Ok(Outcome::ExchangeCreated(row))
    }

    pub(super) fn delete_exchange(
        &mut self,
        step: &mut Step<'_>,
        vhost: Name,
        exchange: Name,
        if_unused: bool,
    ) -> Result<Outcome, Refusal> {
        let state = self.known_vhost(&vhost)?;
        if &*exchange == DEFAULT_EXCHANGE {
            return Err(Refusal::DefaultExchange);
        }
        let resource = Resource::exchange(&vhost, &exchange);
        if exchange.starts_with(RESERVED_PREFIX) {
            return Err(Refusal::SystemExchange { exchange: resource });
        }
        let Some(known) = state.exchanges.row(&exchange) else { return Ok(Outcome::Missing) };
        if if_unused && !known.outgoing.is_empty() {
            return Err(Refusal::InUse { resource });
        }
        self.remove_exchange(step, &vhost, exchange);
        Ok(Outcome::Removed)
    }

    /// Adds one of the exchanges that nobody has declared.
    pub(super) fn insert_own_exchange(
        &mut self,
        vhost: &Name,
        name: Name,
        kind: ExchangeKind,
        internal: bool,
        created: Timestamp,
    ) -> Arc<Exchange> {
        self.insert_exchange(Exchange {
            vhost: vhost.clone(),
            name,
            kind,
            durable: true,
            auto_delete: false,
            internal,
            arguments: Table::new(),
            created,
            user: INTERNAL_USER.into(),
            policy: None,
            operator_policy: None,
            alternate: None,
        })
    }

    /// Adds an exchange, with the policies that are for it, to a virtual host that exists.
    pub(crate) fn insert_exchange(&mut self, mut row: Exchange) -> Arc<Exchange> {
        let vhost = row.vhost.clone();
        let state = self.vhosts.row_mut(&vhost).expect("callers checked the virtual host");
        state.dress_exchange(&mut row);
        let row = Arc::new(row);
        state.exchanges.insert(row.name.clone(), ExchangeState::new(Arc::clone(&row)));
        row
    }

    /// Removes an exchange and the bindings on both sides, and so each automatically deleted
    /// exchange that thereby loses its last binding as a source.
    pub(super) fn remove_exchange(&mut self, step: &mut Step<'_>, vhost: &Name, exchange: Name) {
        self.rerouted(step);
        let mut doomed = vec![exchange];
        while let Some(name) = doomed.pop() {
            let Some(state) = self.vhosts.row_mut(vhost) else { return };
            let Some(exchange) = state.exchanges.row_mut(&name) else { continue };
            for binding in std::mem::take(&mut exchange.outgoing) {
                state.forget_incoming(&binding);
            }
            doomed.extend(state.cut_incoming(&Destination::Exchange(name.clone())));
            let Some(removed) = state.exchanges.remove(&name) else { continue };
            let own = recent_history::queue_name(&name);
            let own = state.queues.row(&own).map(|queue| queue.id);
            let has_own = removed.row.routing_kind() == ExchangeKind::RecentHistory;
            step.effects.push(Effect::ExchangeRemoved(removed.row));
            if let Some(queue) = own.filter(|_| has_own) {
                self.remove_queue(step, queue, RemovalReason::Deleted);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::testing::{Log, VHOST};

    #[test]
    fn an_exchange_of_the_brokers_own_is_made_once_and_is_not_for_clients_to_publish_to() {
        let mut log = Log::new();
        let predeclare = || Command::PredeclareExchange {
            vhost: VHOST.into(),
            exchange: "amq.rabbitmq.event".into(),
        };

        let made = log.apply(predeclare());
        let again = log.apply(predeclare());

        let row = log.catalog.exchange(VHOST, "amq.rabbitmq.event").expect("it was made").clone();
        assert!(row.internal && row.durable && row.kind == ExchangeKind::Topic);
        assert_eq!(made, Ok(Outcome::ExchangeCreated(row.clone())));
        assert_eq!(again, Ok(Outcome::ExchangeExists(row)));
    }
}
