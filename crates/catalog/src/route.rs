//! Where a message goes: a pure function of the catalog.
//!
//! Routing goes exchange by exchange. Each exchange is visited once, so that bindings may form
//! cycles, and each queue is named once, however many bindings lead to it. An exchange that
//! finds no way at all hands the message to its alternate exchange.
//!
//! The answer depends on virtual host, exchange and keys alone, as long as
//! [`Catalog::topology_revision`] stays, unless [`Routed::varies`]: so it can be kept.
//!
//! **Not here:** whether the client may publish there, which includes internal exchanges; direct
//! replies.

use std::collections::BTreeSet;
use std::sync::Arc;

use warren_types::Table;

use crate::catalog::VhostState;
use crate::exchange::consistent_hash::{ConsistentHash, hash_of_keys};
use crate::exchange::direct::Direct;
use crate::exchange::fanout::Fanout;
use crate::exchange::headers::Headers;
use crate::exchange::pool::Pool;
use crate::exchange::recent_history::RecentHistory;
use crate::exchange::targets::Hop;
use crate::exchange::topic::{Topic, TopicScratch};
use crate::{Binding, Catalog, DEFAULT_EXCHANGE, Exchange, ExchangeKind, Name, Target};

/// A property that an exchange can go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// `correlation_id`
    CorrelationId,
    /// `message_id`
    MessageId,
    /// `timestamp`
    Timestamp,
}

impl Property {
    /// The property that a declaration names.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "correlation_id" => Some(Self::CorrelationId),
            "message_id" => Some(Self::MessageId),
            "timestamp" => Some(Self::Timestamp),
            _ => None,
        }
    }
}

/// Where routing finds what is beside a message's keys, should an exchange ask for it.
pub trait MessageHeaders {
    /// The headers, decoded; none if the message has none or they make no sense.
    fn table(&self) -> Option<&Table>;

    /// A property's bytes, if the message has it.
    fn property(&self, property: Property) -> Option<Vec<u8>> {
        let _ = property;
        None
    }

    /// A number by which to choose where chance decides; another one each time.
    fn dice(&self) -> u64 {
        0
    }
}

impl MessageHeaders for Table {
    fn table(&self) -> Option<&Table> {
        Some(self)
    }
}

/// No headers.
impl MessageHeaders for () {
    fn table(&self) -> Option<&Table> {
        None
    }
}

/// What routing looks at.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The routing key of `basic.publish`.
    pub routing_key: &'a [u8],
    /// The keys in the headers `CC` and `BCC`.
    pub extra_keys: &'a [&'a [u8]],
    /// Asked for by exchanges that do not go by keys alone.
    pub headers: &'a dyn MessageHeaders,
}

impl<'a> Message<'a> {
    /// A message without headers.
    #[must_use]
    pub fn with_key(routing_key: &'a [u8]) -> Self {
        Self { routing_key, extra_keys: &[], headers: &() }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::once(self.routing_key).chain(self.extra_keys.iter().copied())
    }
}

/// Where a message goes; kept by the caller and used again, so that routing need not allocate.
#[derive(Debug, Default)]
pub struct Routed {
    targets: Vec<Target>,
    varies: bool,
    topic: TopicScratch,
}

impl Routed {
    /// Nowhere yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The queues, each once, by id.
    #[must_use]
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether an exchange was met that does not go by keys alone, so that another message with the
    /// same keys may go elsewhere.
    #[must_use]
    pub fn varies(&self) -> bool {
        self.varies
    }

    fn clear(&mut self) {
        self.targets.clear();
        self.varies = false;
    }
}

/// There is nothing to route from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// The virtual host is gone.
    #[error("no such vhost")]
    NoVhost,
    /// There is no such exchange.
    #[error("no such exchange")]
    NoExchange,
}

/// How an exchange chooses among its bindings.
#[derive(Clone, Debug)]
pub(crate) enum Router {
    Direct(Direct),
    Fanout(Fanout),
    Topic(Topic),
    Headers(Headers),
    ConsistentHash(ConsistentHash),
    Random(Pool),
    ModulusHash(Pool),
    RecentHistory(RecentHistory),
}

impl Router {
    pub(crate) fn new(exchange: &Exchange) -> Self {
        match exchange.routing_kind() {
            ExchangeKind::Direct => Self::Direct(Direct::default()),
            // A kind that names another one names that as its routing kind.
            ExchangeKind::Fanout | ExchangeKind::Delayed => Self::Fanout(Fanout::default()),
            ExchangeKind::Topic => Self::Topic(Topic::default()),
            ExchangeKind::Headers => Self::Headers(Headers::default()),
            ExchangeKind::ConsistentHash => {
                Self::ConsistentHash(ConsistentHash::new(&exchange.arguments))
            }
            ExchangeKind::Random => Self::Random(Pool::default()),
            ExchangeKind::ModulusHash => Self::ModulusHash(Pool::default()),
            ExchangeKind::RecentHistory => Self::RecentHistory(RecentHistory::new(&exchange.name)),
        }
    }

    pub(crate) fn bind(&mut self, binding: &Arc<Binding>, hop: Hop) {
        match self {
            Self::Direct(direct) => direct.bind(binding.routing_key.as_bytes(), hop),
            Self::Fanout(fanout) => fanout.bind(hop),
            Self::Topic(topic) => topic.bind(binding.routing_key.as_bytes(), hop),
            Self::Headers(headers) => headers.bind(binding, hop),
            Self::ConsistentHash(consistent) => consistent.bind(binding, hop),
            Self::Random(pool) | Self::ModulusHash(pool) => pool.bind(binding, hop),
            Self::RecentHistory(recent) => recent.bound.bind(hop),
        }
    }

    pub(crate) fn unbind(&mut self, binding: &Binding, hop: &Hop) {
        match self {
            Self::Direct(direct) => direct.unbind(binding.routing_key.as_bytes(), hop),
            Self::Fanout(fanout) => fanout.unbind(hop),
            Self::Topic(topic) => topic.unbind(binding.routing_key.as_bytes(), hop),
            Self::Headers(headers) => headers.unbind(binding),
            Self::ConsistentHash(consistent) => consistent.unbind(binding),
            Self::Random(pool) | Self::ModulusHash(pool) => pool.unbind(binding),
            Self::RecentHistory(recent) => recent.bound.unbind(hop),
        }
    }
}

/// What one exchange found: queues go straight to the caller, exchanges wait for their turn.
pub(crate) struct Found<'a, 'r> {
    pub(crate) targets: &'r mut Vec<Target>,
    pub(crate) exchanges: &'r mut Vec<&'a Name>,
}

impl Catalog {
    /// Finds the queues that `message` goes to when it is published to `exchange`. No queue is
    /// an answer like others.
    ///
    /// # Errors
    /// When there is no such exchange; `routed` is empty then.
    pub fn route(
        &self,
        vhost: &str,
        exchange: &str,
        message: Message<'_>,
        routed: &mut Routed,
    ) -> Result<(), RouteRefusal> {
        routed.clear();
        let state = self.vhost_state(vhost).ok_or(RouteRefusal::NoVhost)?;
        if exchange == DEFAULT_EXCHANGE {
            route_default(state, message, &mut routed.targets);
        } else {
            let first = state.exchanges.row(exchange).ok_or(RouteRefusal::NoExchange)?;
            route_from(state, &first.row.name, message, routed);
        }
        if routed.targets.len() > 1 {
            routed.targets.sort_unstable();
            routed.targets.dedup();
        }
        Ok(())
    }
}

/// The default exchange knows every queue by its name.
fn route_default(state: &VhostState, message: Message<'_>, targets: &mut Vec<Target>) {
    let names = message.keys().filter_map(|key| std::str::from_utf8(key).ok());
    targets.extend(names.filter_map(|name| state.queues.row(name)).map(|queue| queue.target()));
}

fn route_from<'a>(
    state: &'a VhostState,
    first: &'a Name,
    message: Message<'_>,
    routed: &mut Routed,
) {
    let mut pending: Vec<&'a Name> = Vec::new();
    // Filled once a binding leads to an exchange: most messages meet no more than one.
    let mut visited: BTreeSet<&'a Name> = BTreeSet::new();
    let mut name = first;
    loop {
        visit(state, name, message, routed, &mut pending);
        name = loop {
            let Some(next) = pending.pop() else { return };
            visited.insert(first);
            if visited.insert(next) {
                break next;
            }
        };
    }
}

/// Routes through one exchange; the exchanges it leads to are added to `pending`.
fn visit<'a>(
    state: &'a VhostState,
    name: &Name,
    message: Message<'_>,
    routed: &mut Routed,
    pending: &mut Vec<&'a Name>,
) {
    // An alternate exchange may be missing; the message is dropped then.
    let Some(exchange) = state.exchanges.row(name) else { return };
    let before = (routed.targets.len(), pending.len());
    let mut found = Found { targets: &mut routed.targets, exchanges: pending };
    match &exchange.router {
        Router::Direct(_) if **name == *DEFAULT_EXCHANGE => {
            route_default(state, message, found.targets);
        }
        Router::Direct(direct) => direct.route(message, &mut found),
        Router::Fanout(fanout) => fanout.route(&mut found),
        Router::Topic(topic) => topic.route(message, &mut routed.topic, &mut found),
        Router::Headers(headers) => {
            routed.varies = true;
            headers.route(message, &mut found);
        }
        Router::ConsistentHash(consistent) => {
            routed.varies |= !consistent.goes_by_key();
            consistent.route(message, &mut found);
        }
        Router::Random(pool) => {
            routed.varies = true;
            pool.route_evenly(message.headers.dice(), &mut found);
        }
        Router::ModulusHash(pool) => pool.route_evenly(hash_of_keys(message), &mut found),
        Router::RecentHistory(recent) => {
            routed.varies = true;
            recent.bound.route(&mut found);
        }
    }
    if (routed.targets.len(), pending.len()) == before {
        pending.extend(exchange.row.alternate.as_ref());
    }
    // What is kept is not thereby on its way to anybody.
    if let Router::RecentHistory(recent) = &exchange.router {
        let keeper = recent.keeper(message.headers).and_then(|queue| state.queues.row(queue));
        routed.targets.extend(keeper.map(|queue| queue.target()));
    }
}

#[cfg(test)]
mod one_of_all;
#[cfg(test)]
mod tests;
