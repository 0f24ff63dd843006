//! Policies, and what they do to queues and exchanges that exist.

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use warren_types::Table;

use super::{Step, check_name};
use crate::arguments;
use crate::catalog::VhostState;
use crate::defaults::Defaults;
use crate::equivalence::ALTERNATE_EXCHANGE;
use crate::policy::definition;
use crate::{
    Catalog, Definition, Effect, Exchange, Name, Outcome, Pattern, Policy, PolicyLayer, PutPolicy,
    Queue, Refusal, Settings,
};

impl Catalog {
    pub(super) fn put_policy(
        &mut self,
        step: &mut Step<'_>,
        wanted: PutPolicy,
    ) -> Result<Outcome, Refusal> {
        let PutPolicy { vhost, layer, name, pattern, apply_to, priority, definition } = wanted;
        check_name("policy name", &name)?;
        self.known_vhost(&vhost)?;
        let pattern = Pattern::new(pattern)?;
        let definition = Definition::parse(&definition, layer);
        let definition = Arc::new(definition.map_err(Refusal::InvalidDefinition)?);
        let vhost_name = vhost.clone();
        let policy = Policy { vhost, name: name.clone(), pattern, apply_to, priority, definition };
        let known = self.insert_policy(layer, policy.clone());
        let outcome = match &known {
            Some(known) if *known == policy => return Ok(Outcome::Unchanged),
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        self.dress_again(step, &vhost_name, &[known.as_ref(), Some(&policy)]);
        Ok(outcome)
    }

    pub(super) fn delete_policy(
        &mut self,
        step: &mut Step<'_>,
        vhost: Name,
        layer: PolicyLayer,
        name: &Name,
    ) -> Result<Outcome, Refusal> {
        let Some(state) = self.vhosts.row_mut(&vhost) else {
            return Err(Refusal::NoVhost { vhost });
        };
        let removed = state.policies.get_mut(&layer).and_then(|policies| policies.remove(name));
        let Some(removed) = removed else { return Ok(Outcome::Missing) };
        self.dress_again(step, &vhost, &[Some(&removed)]);
        Ok(Outcome::Removed)
    }

    /// Puts a policy into a virtual host that exists; returns the one it replaces.
    pub(crate) fn insert_policy(&mut self, layer: PolicyLayer, policy: Policy) -> Option<Policy> {
        let state = self.vhosts.row_mut(&policy.vhost).expect("callers checked the virtual host");
        state.policies.entry(layer).or_default().insert(policy.name.clone(), policy)
    }

    /// Finds anew what is in effect on everything that one of `policies` is for.
    fn dress_again(&mut self, step: &mut Step<'_>, vhost: &Name, policies: &[Option<&Policy>]) {
        self.rerouted(step);
        let policies: Vec<&Policy> = policies.iter().copied().flatten().collect();
        self.dress_queues(step, vhost, |queue| {
            policies.iter().any(|policy| policy.covers_queue(queue))
        });
        let Some(state) = self.vhosts.row_mut(vhost) else { return };
        let names: Vec<Name> = state.exchanges.names().cloned().collect();
        for name in names {
            let Some(exchange) = state.exchanges.row(&name) else { continue };
            if !policies.iter().any(|policy| policy.covers_exchange(&exchange.row)) {
                continue;
            }
            let mut dressed = Exchange::clone(&exchange.row);
            state.dress_exchange(&mut dressed);
            if let Some(exchange) = state.exchanges.row_mut(&name) {
                exchange.row = Arc::new(dressed);
            }
        }
    }

    /// Finds anew what is in effect on all queues.
    pub(super) fn dress_all_queues(&mut self, step: &mut Step<'_>) {
        let vhosts: Vec<Name> = self.vhosts.names().cloned().collect();
        for vhost in vhosts {
            self.dress_queues(step, &vhost, |_| true);
        }
    }

    /// Finds anew what is in effect on the queues that are `meant`.
    fn dress_queues(&mut self, step: &mut Step<'_>, vhost: &Name, meant: impl Fn(&Queue) -> bool) {
        let defaults = self.defaults();
        let Some(state) = self.vhosts.row_mut(vhost) else { return };
        let names: Vec<Name> = state.queues.names().cloned().collect();
        for name in names {
            let Some(queue) = state.queues.row(&name).filter(|queue| meant(queue)) else {
                continue;
            };
            let mut dressed = Queue::clone(queue);
            state.dress_queue(&mut dressed, defaults);
            if dressed == **queue {
                continue;
            }
            self.shared.thin(&mut dressed);
            let dressed = Arc::new(dressed);
            state.queues.insert(name, Arc::clone(&dressed));
            self.queues_by_id.insert(dressed.id, Arc::clone(&dressed));
            step.effects.push(Effect::QueueChanged(dressed));
        }
    }

    /// The policy that a queue will fall under if it is declared with these arguments.
    #[must_use]
    pub fn policy_of_new_queue(
        &self,
        vhost: &str,
        queue: &str,
        arguments: &Table,
        replicable: bool,
    ) -> Option<&Policy> {
        let state = self.vhosts.row(vhost)?;
        let default = state.row.meta.default_queue_type.unwrap_or_default();
        let kind = arguments::kind(&arguments::complete(arguments, default, replicable))?;
        state.strongest(PolicyLayer::User, |policy| policy.covers(kind, queue))
    }

    /// What the two policies in effect on a queue or exchange come to, as
    /// `effective_policy_definition` in HTTP.
    #[must_use]
    pub fn effective_definition(
        &self,
        vhost: &str,
        policy: Option<&str>,
        operator_policy: Option<&str>,
    ) -> Map<String, Json> {
        let find = |layer, name: Option<&str>| {
            name.and_then(|name| self.policy(vhost, layer, name)).map(|policy| &*policy.definition)
        };
        let user = find(PolicyLayer::User, policy);
        definition::merge(user, find(PolicyLayer::Operator, operator_policy))
    }
}

impl VhostState {
    /// Fills in what policies and arguments come to.
    pub(crate) fn dress_queue(&self, queue: &mut Queue, defaults: Defaults) {
        let user = self.strongest(PolicyLayer::User, |policy| policy.covers_queue(queue));
        let operator = self.strongest(PolicyLayer::Operator, |policy| policy.covers_queue(queue));
        let merged = merge(user, operator);
        let settings = Settings::new(queue.kind, &queue.arguments, &merged, defaults);
        let policy = user.map(|policy| policy.name.clone());
        let operator_policy = operator.map(|policy| policy.name.clone());
        let common = Arc::make_mut(&mut queue.common);
        if *common.settings != settings {
            common.settings = Arc::new(settings);
        }
        (common.policy, common.operator_policy) = (policy, operator_policy);
    }

    /// Fills in what policies and arguments come to.
    pub(crate) fn dress_exchange(&self, exchange: &mut Exchange) {
        let user = self.strongest(PolicyLayer::User, |policy| policy.covers_exchange(exchange));
        let operator =
            self.strongest(PolicyLayer::Operator, |policy| policy.covers_exchange(exchange));
        let merged = merge(user, operator);
        let argument = exchange.arguments.value(ALTERNATE_EXCHANGE);
        exchange.alternate = match argument {
            Some(argument) => argument.as_text().map(Name::from),
            None => merged.get(ALTERNATE_EXCHANGE).and_then(Json::as_str).map(Name::from),
        };
        exchange.policy = user.map(|policy| policy.name.clone());
        exchange.operator_policy = operator.map(|policy| policy.name.clone());
    }

    /// The policy of the highest priority that `covers`; of equals, the first by name.
    fn strongest(&self, layer: PolicyLayer, covers: impl Fn(&Policy) -> bool) -> Option<&Policy> {
        let policies = self.policies.get(&layer).into_iter().flat_map(|policies| policies.values());
        policies
            .filter(|policy| covers(policy))
            .reduce(|best, next| if next.priority > best.priority { next } else { best })
    }
}

fn merge(user: Option<&Policy>, operator: Option<&Policy>) -> Map<String, Json> {
    let definition = |policy: Option<&Policy>| policy.map(|policy| Arc::clone(&policy.definition));
    definition::merge(definition(user).as_deref(), definition(operator).as_deref())
}
