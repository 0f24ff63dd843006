//! The directory as one value, and the questions it answers.
//!
//! Everything that can be asked is asked with `&self` and answered from memory. Lists come in
//! the order of their names.
//!
//! **Invariant:** every binding's ends exist; every queue is found by name, by id and by
//! placement; policies in effect are those that match. [`Catalog::check`] asserts it; tests call
//! it after every entry.
//!
//! **Not here:** changes, which are in `apply`.

mod check;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use warren_types::{BootId, GroupId, LogIndex, NodeId, QueueId};

use crate::directory::Directory;
use crate::exchange::targets::Hop;
use crate::lookup::Lookup;
use crate::route::Router;
use crate::shared::Shared;
use crate::{
    Access, AuthRefusal, Binding, ClusterId, DEFAULT_EXCHANGE, DEFAULT_EXCHANGE_ALIAS, Destination,
    Exchange, Name, Node, Owner, Parameter, Permission, Placement, Policy, PolicyLayer, Queue,
    Shard, TopicAccess, TopicCheck, TopicPermission, TopicVariables, User, Vhost,
};

/// The replicated directory.
#[derive(Clone, Debug)]
pub struct Catalog {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) version: u16,
    pub(crate) revision: LogIndex,
    pub(crate) topology_revision: LogIndex,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// The highest id ever given; ids of forgotten nodes are not given again.
    pub(crate) highest_node: NodeId,
    pub(crate) shards: BTreeMap<GroupId, Shard>,
    pub(crate) users: BTreeMap<Name, UserState>,
    pub(crate) global_parameters: BTreeMap<Name, Name>,
    pub(crate) vhosts: Directory<VhostState>,
    /// Virtual hosts whose messages are traced.
    pub(crate) traced: BTreeSet<Name>,
    pub(crate) queues_by_id: Lookup<QueueId, Arc<Queue>>,
    pub(crate) placed: BTreeMap<Placement, BTreeSet<QueueId>>,
    pub(crate) owned: BTreeMap<Owner, BTreeSet<QueueId>>,
    pub(crate) shared: Shared,
}

/// A user and what the user may do.
#[derive(Clone, Debug)]
pub(crate) struct UserState {
    pub(crate) row: User,
    /// By virtual host.
    pub(crate) permissions: BTreeMap<Name, Permission>,
    /// By virtual host and exchange.
    pub(crate) topic_permissions: BTreeMap<Name, BTreeMap<Name, TopicPermission>>,
}

/// A virtual host and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct VhostState {
    pub(crate) row: Vhost,
    pub(crate) exchanges: Directory<ExchangeState>,
    pub(crate) queues: Directory<Arc<Queue>>,
    /// Bindings by what they lead to.
    pub(crate) incoming: BTreeMap<Destination, BTreeSet<Arc<Binding>>>,
    /// How many bindings there are.
    pub(crate) bindings: usize,
    pub(crate) policies: BTreeMap<PolicyLayer, BTreeMap<Name, Policy>>,
    /// By component and name.
    pub(crate) parameters: BTreeMap<Name, BTreeMap<Name, Parameter>>,
}

/// An exchange and the bindings it is the source of.
#[derive(Clone, Debug)]
pub(crate) struct ExchangeState {
    pub(crate) row: Arc<Exchange>,
    pub(crate) outgoing: BTreeSet<Arc<Binding>>,
    pub(crate) router: Router,
}

/// A permission and whose it is, for lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PermissionRow<'a> {
    /// The user.
    pub user: &'a Name,
    /// The virtual host.
    pub vhost: &'a Name,
    /// What the one may do in the other.
    pub permission: &'a Permission,
}

/// A topic permission and whose it is, for lists.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopicPermissionRow<'a> {
    /// The user.
    pub user: &'a Name,
    /// The virtual host.
    pub vhost: &'a Name,
    /// The exchange.
    pub exchange: &'a Name,
    /// Which routing keys the user may use there.
    pub permission: &'a TopicPermission,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

/// The cluster.
impl Catalog {
    /// An empty directory, as before the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self {
            cluster: None,
            version: 0,
            revision: LogIndex(0),
            topology_revision: LogIndex(0),
            nodes: BTreeMap::new(),
            highest_node: NodeId(0),
            shards: BTreeMap::new(),
            users: BTreeMap::new(),
            global_parameters: BTreeMap::new(),
            vhosts: Directory::default(),
            traced: BTreeSet::new(),
            queues_by_id: Lookup::default(),
            placed: BTreeMap::new(),
            owned: BTreeMap::new(),
            shared: Shared::default(),
        }
    }

    /// Grows with every change: what was read under the same revision still holds.
    #[must_use]
    pub fn revision(&self) -> LogIndex {
        self.revision
    }

    /// Grows with every change that may alter where a message goes.
    #[must_use]
    pub fn topology_revision(&self) -> LogIndex {
        self.topology_revision
    }

    /// The cluster's identity, once it is founded.
    #[must_use]
    pub fn cluster(&self) -> Option<ClusterId> {
        self.cluster
    }

    /// The version of what is stored and said, raised once all nodes speak it.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// A node.
    #[must_use]
    pub fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(&node)
    }

    /// Whether a node was there and is no more: it will never be again.
    #[must_use]
    pub fn was_forgotten(&self, node: NodeId) -> bool {
        node <= self.highest_node && !self.nodes.contains_key(&node)
    }

    /// All nodes, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    /// Whether a node's start may still be running: its latest, unless that is believed to be
    /// gone. So may one that the node has not yet made known here.
    #[must_use]
    pub fn is_live(&self, (node, boot): (NodeId, BootId)) -> bool {
        self.nodes
            .get(&node)
            .is_some_and(|row| boot > row.boot || (boot == row.boot && row.running))
    }

    /// Whether this copy has come to where a queue was declared: if it does not name the queue, the
    /// queue has been deleted.
    #[must_use]
    pub fn has_seen(&self, queue: QueueId) -> bool {
        crate::command::declared_at(queue) <= self.revision
    }

    /// A shard.
    #[must_use]
    pub fn shard(&self, group: GroupId) -> Option<&Shard> {
        self.shards.get(&group)
    }

    /// All shards, by group.
    pub fn shards(&self) -> impl ExactSizeIterator<Item = &Shard> {
        self.shards.values()
    }

    /// How many shards there are.
    #[must_use]
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }
}

/// Virtual hosts and what belongs to them.
impl Catalog {
    pub(crate) fn vhost_state(&self, vhost: &str) -> Option<&VhostState> {
        self.vhosts.row(vhost)
    }

    pub(crate) fn exchange_state(&self, vhost: &str, exchange: &str) -> Option<&ExchangeState> {
        self.vhosts.row(vhost)?.exchanges.row(exchange)
    }

    /// A virtual host.
    #[must_use]
    pub fn vhost(&self, vhost: &str) -> Option<&Vhost> {
        self.vhosts.row(vhost).map(|state| &state.row)
    }

    /// All virtual hosts, by name.
    pub fn vhosts(&self) -> impl DoubleEndedIterator<Item = &Vhost> {
        self.vhosts.iter().map(|state| &state.row)
    }

    /// Virtual hosts whose messages are copied to their `amq.rabbitmq.trace`, by name.
    pub fn traced_vhosts(&self) -> impl ExactSizeIterator<Item = &Name> {
        self.traced.iter()
    }

    /// A policy.
    #[must_use]
    pub fn policy(&self, vhost: &str, layer: PolicyLayer, name: &str) -> Option<&Policy> {
        self.vhosts.row(vhost)?.policies.get(&layer)?.get(name)
    }

    /// All policies of one layer, by name; none where the virtual host does not exist.
    pub fn policies(&self, vhost: &str, layer: PolicyLayer) -> impl Iterator<Item = &Policy> {
        let state = self.vhosts.row(vhost);
        state
            .into_iter()
            .filter_map(move |state| state.policies.get(&layer))
            .flat_map(BTreeMap::values)
    }

    /// A runtime parameter.
    #[must_use]
    pub fn parameter(&self, vhost: &str, component: &str, name: &str) -> Option<&Parameter> {
        self.vhosts.row(vhost)?.parameters.get(component)?.get(name)
    }

    /// All runtime parameters, by component and name.
    pub fn parameters(&self, vhost: &str) -> impl Iterator<Item = &Parameter> {
        let state = self.vhosts.row(vhost);
        state.into_iter().flat_map(|state| state.parameters.values()).flat_map(BTreeMap::values)
    }

    /// A global parameter's value, JSON.
    #[must_use]
    pub fn global_parameter(&self, name: &str) -> Option<&Name> {
        self.global_parameters.get(name)
    }

    /// All global parameters, by name.
    pub fn global_parameters(&self) -> impl ExactSizeIterator<Item = (&Name, &Name)> {
        self.global_parameters.iter()
    }
}

/// Exchanges, bindings, queues.
impl Catalog {
    /// An exchange. The default one is called `""`.
    #[must_use]
    pub fn exchange(&self, vhost: &str, exchange: &str) -> Option<&Arc<Exchange>> {
        self.exchange_state(vhost, exchange).map(|state| &state.row)
    }

    /// All exchanges, by name.
    pub fn exchanges(&self, vhost: &str) -> impl Iterator<Item = &Arc<Exchange>> {
        let state = self.vhosts.row(vhost);
        state.into_iter().flat_map(|state| state.exchanges.iter()).map(|state| &state.row)
    }

    /// How many exchanges all virtual hosts have.
    #[must_use]
    pub fn exchange_total(&self) -> usize {
        self.vhosts.iter().map(|state| state.exchanges.len()).sum()
    }

    /// How many bindings a virtual host has, those to the default exchange not among them.
    #[must_use]
    pub fn binding_count(&self, vhost: &str) -> usize {
        self.vhosts.row(vhost).map_or(0, |state| state.bindings)
    }

    /// How many queues all virtual hosts have.
    #[must_use]
    pub fn queue_total(&self) -> usize {
        self.queues_by_id.len()
    }

    /// How many virtual hosts there are.
    #[must_use]
    pub fn vhost_count(&self) -> usize {
        self.vhosts.len()
    }

    /// A queue.
    #[must_use]
    pub fn queue(&self, vhost: &str, queue: &str) -> Option<&Arc<Queue>> {
        self.vhosts.row(vhost)?.queues.row(queue)
    }

    /// A queue by its incarnation.
    #[must_use]
    pub fn queue_by_id(&self, queue: QueueId) -> Option<&Arc<Queue>> {
        self.queues_by_id.value(&queue)
    }

    /// All queues, by name.
    pub fn queues(&self, vhost: &str) -> impl Iterator<Item = &Arc<Queue>> {
        let state = self.vhosts.row(vhost);
        state.into_iter().flat_map(|state| state.queues.iter())
    }

    /// How many queues the virtual host has.
    #[must_use]
    pub fn queue_count(&self, vhost: &str) -> usize {
        self.vhosts.row(vhost).map_or(0, |state| state.queues.len())
    }

    /// The queues that a shard should hold, by id.
    pub fn queues_of_group(&self, group: GroupId) -> impl Iterator<Item = &Arc<Queue>> {
        let ids = self.placed.get(&Placement::Shard(group));
        ids.into_iter().flatten().filter_map(|id| self.queues_by_id.value(id))
    }

    /// How many queues a shard should hold.
    #[must_use]
    pub fn queue_count_of_group(&self, group: GroupId) -> usize {
        self.placed.get(&Placement::Shard(group)).map_or(0, BTreeSet::len)
    }

    /// The queues in the memory of one node's start, by placement and id.
    pub fn queues_of_node(&self, node: NodeId, boot: BootId) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues_of_starts(node, boot, boot)
    }

    /// The queues in the memory of a node, whichever start the rows name, by placement and id.
    pub fn local_queues(&self, node: NodeId) -> impl Iterator<Item = &Arc<Queue>> {
        self.queues_of_starts(node, BootId(0), BootId(u64::MAX))
    }

    fn queues_of_starts(
        &self,
        node: NodeId,
        first: BootId,
        last: BootId,
    ) -> impl Iterator<Item = &Arc<Queue>> {
        let first = Placement::Local { node, boot: first, slot: 0 };
        let last = Placement::Local { node, boot: last, slot: u16::MAX };
        let ids = self.placed.range(first..=last).flat_map(|(_, ids)| ids);
        ids.filter_map(|id| self.queues_by_id.value(id))
    }

    /// The exclusive queues of a connection, by id.
    pub fn queues_of_owner(&self, owner: Owner) -> impl Iterator<Item = &Arc<Queue>> {
        let ids = self.owned.get(&owner);
        ids.into_iter().flatten().filter_map(|id| self.queues_by_id.value(id))
    }

    /// All bindings, by source. Those of the default exchange are not stored, see
    /// [`Catalog::default_binding`].
    pub fn bindings(&self, vhost: &str) -> impl Iterator<Item = &Arc<Binding>> {
        let state = self.vhosts.row(vhost);
        state.into_iter().flat_map(|state| state.exchanges.iter()).flat_map(|state| &state.outgoing)
    }

    /// Whether there is an equal binding.
    #[must_use]
    pub fn has_binding(&self, vhost: &str, binding: &Binding) -> bool {
        let source = self.exchange_state(vhost, &binding.source);
        source.is_some_and(|state| state.outgoing.contains(binding))
    }

    /// The bindings that an exchange is the source of.
    pub fn bindings_of_source(
        &self,
        vhost: &str,
        exchange: &str,
    ) -> impl Iterator<Item = &Arc<Binding>> {
        self.exchange_state(vhost, exchange).into_iter().flat_map(|state| &state.outgoing)
    }

    /// The bindings that lead to an exchange or queue.
    pub fn bindings_of_destination(
        &self,
        vhost: &str,
        destination: &Destination,
    ) -> impl Iterator<Item = &Arc<Binding>> {
        let state = self.vhosts.row(vhost);
        state.and_then(|state| state.incoming.get(destination)).into_iter().flatten()
    }

    /// What the HTTP API shows as the default exchange's binding to `queue`.
    #[must_use]
    pub fn default_binding(queue: &Queue) -> Binding {
        let destination = Destination::Queue(queue.name.clone());
        let key = queue.name.clone();
        Binding::new(DEFAULT_EXCHANGE.into(), destination, key, &warren_types::Table::new())
    }
}

impl UserState {
    pub(crate) fn new(row: User) -> Self {
        Self { row, permissions: BTreeMap::new(), topic_permissions: BTreeMap::new() }
    }
}

impl ExchangeState {
    pub(crate) fn new(row: Arc<Exchange>) -> Self {
        Self { outgoing: BTreeSet::new(), router: Router::new(&row), row }
    }
}

impl VhostState {
    pub(crate) fn new(row: Vhost) -> Self {
        Self {
            row,
            exchanges: Directory::default(),
            queues: Directory::default(),
            incoming: BTreeMap::new(),
            bindings: 0,
            policies: BTreeMap::new(),
            parameters: BTreeMap::new(),
        }
    }

    /// What routing needs to know about a binding's destination, if that exists.
    pub(crate) fn hop(&self, destination: &Destination) -> Option<Hop> {
        match destination {
            Destination::Exchange(name) => {
                self.exchanges.row(name).map(|state| Hop::Exchange(state.row.name.clone()))
            }
            Destination::Queue(name) => {
                self.queues.row(name).map(|queue| Hop::Queue(queue.target()))
            }
        }
    }
}

/// Users and what they may do.
impl Catalog {
    /// A user.
    #[must_use]
    pub fn user(&self, user: &str) -> Option<&User> {
        self.users.get(user).map(|state| &state.row)
    }

    /// All users, by name.
    pub fn users(&self) -> impl ExactSizeIterator<Item = &User> {
        self.users.values().map(|state| &state.row)
    }

    /// The user, if that is the password. The caller looks at [`User::loopback_only`], and tells
    /// the client the same whatever was wrong.
    ///
    /// # Errors
    /// When there is no such user, or the password is another.
    pub fn authenticate(&self, user: &str, password: &[u8]) -> Result<&User, AuthRefusal> {
        let user = self.user(user).ok_or(AuthRefusal::UnknownUser)?;
        if user.password.matches(password) { Ok(user) } else { Err(AuthRefusal::WrongPassword) }
    }

    /// What a user may do in a virtual host; none where the user may not even open it.
    #[must_use]
    pub fn permission(&self, user: &str, vhost: &str) -> Option<&Permission> {
        self.users.get(user)?.permissions.get(vhost)
    }

    /// All permissions, by user and virtual host.
    pub fn permissions(&self) -> impl Iterator<Item = PermissionRow<'_>> {
        self.users.values().flat_map(|state| {
            let user = &state.row.name;
            let rows = state.permissions.iter();
            rows.map(move |(vhost, permission)| PermissionRow { user, vhost, permission })
        })
    }

    /// All topic permissions, by user, virtual host and exchange.
    pub fn topic_permissions(&self) -> impl Iterator<Item = TopicPermissionRow<'_>> {
        self.users.values().flat_map(|state| {
            let user = &state.row.name;
            state.topic_permissions.iter().flat_map(move |(vhost, rows)| {
                rows.iter().map(move |(exchange, permission)| TopicPermissionRow {
                    user,
                    vhost,
                    exchange,
                    permission,
                })
            })
        })
    }

    /// Whether `user` may have `access` to the exchange or queue `name`; the default exchange,
    /// `""`, is checked under its alias.
    #[must_use]
    pub fn check_permission(&self, user: &str, vhost: &str, name: &str, access: Access) -> bool {
        let name = if name == DEFAULT_EXCHANGE { DEFAULT_EXCHANGE_ALIAS } else { name };
        self.permission(user, vhost).is_some_and(|permission| permission.allows(access, name))
    }

    /// Which routing keys `user` may use on a topic exchange, for a channel to keep as long as
    /// [`Catalog::revision`] stays.
    #[must_use]
    pub fn topic_check(
        &self,
        user: &str,
        vhost: &str,
        exchange: &str,
        access: TopicAccess,
        variables: TopicVariables<'_>,
    ) -> TopicCheck {
        let state = self.users.get(user);
        let permission = state
            .and_then(|state| state.topic_permissions.get(vhost))
            .and_then(|exchanges| exchanges.get(exchange));
        match (permission, access) {
            (None, TopicAccess::Write | TopicAccess::Read) => TopicCheck::all(),
            (Some(permission), TopicAccess::Write) => TopicCheck::new(&permission.write, variables),
            (Some(permission), TopicAccess::Read) => TopicCheck::new(&permission.read, variables),
        }
    }

    /// Whether `user` may use `routing_key` on a topic exchange. Where nothing is set, all are
    /// allowed.
    #[must_use]
    pub fn check_topic_permission(
        &self,
        user: &str,
        vhost: &str,
        exchange: &str,
        access: TopicAccess,
        routing_key: &[u8],
        variables: TopicVariables<'_>,
    ) -> bool {
        self.topic_check(user, vhost, exchange, access, variables).allows(routing_key)
    }
}
