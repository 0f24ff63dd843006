//! The events that a change of the catalog makes.
//!
//! What goes is looked at before the change, what comes after it. Changes that were refused, or
//! that changed nothing, make none.

use std::sync::Arc;

use warren_catalog::{
    Binding, BindingCommand, Catalog, Command as Change, Destination, Name, Outcome, PolicyLayer,
    PutPolicy, PutUser, Queue, VhostLimits, json_value,
};
use warren_types::{Table, Value};

use super::Told;
use super::declared;

/// What goes with a change, if it is made.
#[derive(Debug, Default)]
pub(crate) struct Foretold {
    gone: Vec<Told>,
    /// Exchanges that go with the last binding that they are the source of.
    loose: Vec<(Name, Name)>,
}

impl Foretold {
    /// What `change` would take away from the catalog as it is.
    pub(crate) fn of(catalog: &Catalog, change: &Change) -> Self {
        let mut foretold = Self::default();
        match change {
            Change::DeleteVhost { vhost } => foretold.vhost_goes(catalog, vhost),
            Change::DeleteUser { user } => {
                foretold.gone.push(Told::new("user.deleted").text("name", user));
            }
            Change::ClearPermission { user, vhost } => {
                foretold.gone.push(permission_gone("permission.deleted", user, vhost));
            }
            Change::ClearTopicPermission { user, vhost, exchange } => {
                let told = permission_gone("topic.permission.deleted", user, vhost);
                let told = match exchange {
                    Some(exchange) => told.text("exchange", exchange),
                    None => told,
                };
                foretold.gone.push(told);
            }
            Change::DeleteExchange { vhost, exchange, .. } => {
                foretold.exchange_goes(catalog, vhost, exchange);
            }
            Change::DeleteQueue { queue, .. } => {
                let row = catalog.queue_by_id(*queue);
                foretold.queues_go(catalog, row.into_iter());
            }
            Change::CloseConnection { owner } => {
                foretold.queues_go(catalog, catalog.queues_of_owner(*owner));
            }
            Change::Unbind(binding) => foretold.unbinds(catalog, binding),
            Change::DeletePolicy { vhost, layer, name } => {
                foretold.policy_goes(vhost, *layer, name);
            }
            Change::DeleteParameter { vhost, component, name } => {
                let told = Told::new("parameter.cleared").text("component", component);
                foretold.gone.push(told.text("name", name).text("vhost", vhost));
            }
            Change::DeleteGlobalParameter { name } => {
                let told = Told::new("parameter.cleared").text("component", "global");
                foretold.gone.push(told.text("name", name));
            }
            Change::FoundCluster(_)
            | Change::RegisterNode(_)
            | Change::StartNode { .. }
            | Change::LoseNode { .. }
            | Change::ForgetNode { .. }
            | Change::DrainNode { .. }
            | Change::PutShard { .. }
            | Change::RaiseVersion { .. }
            | Change::PutVhost { .. }
            | Change::SetVhostLimit { .. }
            | Change::PutUser(_)
            | Change::SetUserLimit { .. }
            | Change::SetPermission { .. }
            | Change::SetTopicPermission { .. }
            | Change::DeclareExchange(_)
            | Change::PredeclareExchange { .. }
            | Change::DeclareQueue(_)
            | Change::Bind(_)
            | Change::PutPolicy(_)
            | Change::PutParameter { .. }
            | Change::PutGlobalParameter { .. } => {}
        }
        foretold
    }

    /// What has happened, `change` having come to `outcome`.
    pub(crate) fn comes_true(
        self,
        catalog: &Catalog,
        change: &Change,
        outcome: &Outcome,
    ) -> Vec<Told> {
        match outcome {
            Outcome::Removed | Outcome::QueuesRemoved(_) => {
                let mut told = self.gone;
                let gone = self
                    .loose
                    .iter()
                    .filter(|(vhost, exchange)| catalog.exchange(vhost, exchange).is_none());
                told.extend(gone.map(|(vhost, name)| declared::exchange_gone(vhost, name)));
                told
            }
            Outcome::Created | Outcome::Updated => {
                come(catalog, change, *outcome == Outcome::Created)
            }
            Outcome::QueueCreated(queue) => vec![declared::queue(catalog, queue)],
            Outcome::ExchangeCreated(exchange) => vec![declared::exchange(exchange)],
            Outcome::Unchanged
            | Outcome::Missing
            | Outcome::Node(_)
            | Outcome::QueueExists(_)
            | Outcome::ExchangeExists(_) => Vec::new(),
        }
    }

    fn vhost_goes(&mut self, catalog: &Catalog, vhost: &Name) {
        let permitted = catalog.permissions().filter(|row| row.vhost == vhost);
        self.gone
            .extend(permitted.map(|row| permission_gone("permission.deleted", row.user, vhost)));
        let unbound = catalog.bindings(vhost);
        self.gone.extend(unbound.map(|row| declared::binding("binding.deleted", vhost, row)));
        self.gone.extend(catalog.queues(vhost).map(|row| declared::queue_gone(row)));
        let exchanges = catalog.exchanges(vhost);
        self.gone.extend(exchanges.map(|row| declared::exchange_gone(vhost, &row.name)));
        let limits = catalog.vhost(vhost).map(|row| row.limits).unwrap_or_default();
        if limits != VhostLimits::default() {
            let told = |key| Told::new(key).text("name", "limits").text("vhost", vhost);
            self.gone.push(told("parameter.cleared").text("component", "vhost-limits"));
            self.gone.push(told("vhost.limits.cleared"));
        }
        self.gone.push(Told::new("vhost.deleted").text("name", vhost));
    }

    fn exchange_goes(&mut self, catalog: &Catalog, vhost: &Name, exchange: &Name) {
        self.gone.push(declared::exchange_gone(vhost, exchange));
        let here = Destination::Exchange(exchange.clone());
        let outgoing = catalog.bindings_of_source(vhost, exchange);
        let incoming = catalog.bindings_of_destination(vhost, &here);
        let bindings: Vec<&Arc<Binding>> = outgoing.chain(incoming).collect();
        self.bindings_go(catalog, vhost, &bindings);
    }

    fn queues_go<'a>(&mut self, catalog: &Catalog, queues: impl Iterator<Item = &'a Arc<Queue>>) {
        for row in queues {
            self.gone.push(declared::queue_gone(row));
            let here = Destination::Queue(row.name.clone());
            let bindings: Vec<&Arc<Binding>> =
                catalog.bindings_of_destination(&row.vhost, &here).collect();
            self.bindings_go(catalog, &row.vhost, &bindings);
        }
    }

    fn unbinds(&mut self, catalog: &Catalog, binding: &BindingCommand) {
        let row = binding_of(binding);
        self.bindings_go(catalog, &binding.vhost, &[&Arc::new(row)]);
    }

    fn bindings_go(&mut self, catalog: &Catalog, vhost: &Name, bindings: &[&Arc<Binding>]) {
        for row in bindings {
            self.gone.push(declared::binding("binding.deleted", vhost, row));
            let source = catalog.exchange(vhost, &row.source);
            if source.is_some_and(|source| source.auto_delete) {
                let loose = (vhost.clone(), row.source.clone());
                if !self.loose.contains(&loose) {
                    self.loose.push(loose);
                }
            }
        }
    }

    fn policy_goes(&mut self, vhost: &str, layer: PolicyLayer, name: &str) {
        let key = match layer {
            PolicyLayer::User => "policy.cleared",
            PolicyLayer::Operator => {
                let told = Told::new("parameter.cleared").text("component", "operator_policy");
                self.gone.push(told.text("name", name).text("vhost", vhost));
                "operator.policy.cleared"
            }
        };
        self.gone.push(Told::new(key).text("name", name).text("vhost", vhost));
    }
}

fn permission_gone(key: &'static str, user: &str, vhost: &str) -> Told {
    Told::new(key).text("user", user).text("vhost", vhost)
}

fn binding_of(binding: &BindingCommand) -> Binding {
    let BindingCommand { source, destination, routing_key, arguments, .. } = binding;
    Binding::new(source.clone(), destination.clone(), routing_key.clone(), arguments)
}

/// What there is after a change that was not there before, or that is another.
fn come(catalog: &Catalog, change: &Change, created: bool) -> Vec<Told> {
    match change {
        Change::PutVhost { vhost, .. } => vhost_comes(catalog, vhost, created),
        Change::SetVhostLimit { vhost, .. } => vhost_limits(catalog, vhost),
        Change::PutUser(put) => user_comes(put, created),
        Change::SetUserLimit { user, limit, value } => {
            let told = |key| Told::new(key).text("name", "limits").text("username", user);
            vec![match value {
                Some(value) => told("user.limits.set").number(limit.as_str(), *value),
                None => told("user.limits.cleared"),
            }]
        }
        Change::SetPermission { user, vhost, configure, write, read } => {
            let told = Told::new("permission.created").text("user", user).text("vhost", vhost);
            let told = told.text("configure", configure).text("write", write);
            vec![told.text("read", read)]
        }
        Change::SetTopicPermission { user, vhost, exchange, write, read } => {
            let told = Told::new("topic.permission.created").text("user", user);
            let told = told.text("vhost", vhost).text("exchange", exchange);
            vec![told.text("write", write).text("read", read)]
        }
        Change::Bind(binding) => {
            vec![declared::binding("binding.created", &binding.vhost, &binding_of(binding))]
        }
        Change::PutPolicy(policy) => policy_comes(policy),
        Change::PutParameter { vhost, component, name, value } => {
            vec![parameter(component, name, value).text("vhost", vhost)]
        }
        Change::PutGlobalParameter { name, value } => vec![parameter("global", name, value)],
        Change::FoundCluster(_)
        | Change::RegisterNode(_)
        | Change::StartNode { .. }
        | Change::LoseNode { .. }
        | Change::ForgetNode { .. }
        | Change::DrainNode { .. }
        | Change::PutShard { .. }
        | Change::RaiseVersion { .. }
        | Change::DeleteVhost { .. }
        | Change::DeleteUser { .. }
        | Change::ClearPermission { .. }
        | Change::ClearTopicPermission { .. }
        | Change::DeclareExchange(_)
        | Change::PredeclareExchange { .. }
        | Change::DeleteExchange { .. }
        | Change::DeclareQueue(_)
        | Change::DeleteQueue { .. }
        | Change::CloseConnection { .. }
        | Change::Unbind(_)
        | Change::DeletePolicy { .. }
        | Change::DeleteParameter { .. }
        | Change::DeleteGlobalParameter { .. } => Vec::new(),
    }
}

fn vhost_comes(catalog: &Catalog, vhost: &str, created: bool) -> Vec<Told> {
    let Some(row) = catalog.vhost(vhost) else { return Vec::new() };
    if !created {
        return vec![declared::vhost("vhost.updated", catalog, row)];
    }
    let mut told: Vec<Told> =
        catalog.exchanges(vhost).map(|exchange| declared::exchange(exchange)).collect();
    told.push(declared::vhost("vhost.created", catalog, row));
    told
}

fn vhost_limits(catalog: &Catalog, vhost: &str) -> Vec<Told> {
    let Some(row) = catalog.vhost(vhost) else { return Vec::new() };
    let VhostLimits { max_connections, max_queues } = row.limits;
    let mut limits = Table::new();
    for (name, limit) in [("max-connections", max_connections), ("max-queues", max_queues)] {
        if let Some(limit) = limit {
            limits.insert(name, Value::I64(i64::try_from(limit).unwrap_or(i64::MAX)));
        }
    }
    let mut set = Told::new("vhost.limits.set").text("name", "limits").text("vhost", vhost);
    for (name, limit) in limits.iter() {
        set = set.with(name, limit.clone());
    }
    let parameter = Told::new("parameter.set").text("component", "vhost-limits");
    let parameter = parameter.text("name", "limits").text("vhost", vhost);
    vec![parameter.with("value", Value::Table(limits)), set]
}

fn user_comes(put: &PutUser, created: bool) -> Vec<Told> {
    let told = |key| Told::new(key).text("name", &put.user);
    let mut all = Vec::new();
    if created {
        all.push(told("user.created"));
    } else if put.password.is_some() {
        all.push(told("user.password.changed"));
    }
    if let Some(tags) = &put.tags {
        let tags = tags.iter().map(|tag| Value::text(tag)).collect();
        all.push(told("user.tags.set").with("tags", Value::Array(tags)));
    }
    all
}

fn policy_comes(policy: &PutPolicy) -> Vec<Told> {
    let PutPolicy { vhost, layer, name, pattern, apply_to, priority, definition } = policy;
    let mut facts = Table::new();
    facts.insert("pattern", Value::text(pattern));
    facts.insert("definition", json_value(definition).unwrap_or(Value::text(definition)));
    facts.insert("priority", Value::I64(*priority));
    facts.insert("apply-to", Value::text(apply_to.as_str()));
    let mut set = Told::new("policy.set").text("name", name).text("vhost", vhost);
    for (name, fact) in facts.iter() {
        set = set.with(name, fact.clone());
    }
    match layer {
        PolicyLayer::User => vec![set],
        PolicyLayer::Operator => {
            let parameter = Told::new("parameter.set").text("component", "operator_policy");
            let parameter = parameter.text("name", name).text("vhost", vhost);
            vec![parameter.with("value", Value::Table(facts)), set]
        }
    }
}

fn parameter(component: &str, name: &str, value: &str) -> Told {
    Told::new("parameter.set")
        .text("component", component)
        .text("name", name)
        .with("value", json_value(value).unwrap_or(Value::text(value)))
}
