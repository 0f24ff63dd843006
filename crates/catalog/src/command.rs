//! What can be asked of the catalog.

use warren_types::{BootId, GroupId, LogIndex, NodeId, QueueId, Table, Timestamp};

use crate::{
    ApplyTo, ClusterId, Destination, Name, Owner, PasswordHash, Placement, PolicyLayer, UserLimit,
    VhostLimit, VhostMeta,
};

/// Commands that one entry may carry; a queue's id has room for as many.
pub const MAX_BATCH_COMMANDS: usize = 65_535;

/// The payload of one entry: commands that are applied in order, each accepted or refused on
/// its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The proposer's clock.
    pub time: Timestamp,
    /// At most [`MAX_BATCH_COMMANDS`].
    pub commands: Vec<Command>,
}

/// One change. Permissions are checked by who proposes it.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "fields are what their types are called")]
pub enum Command {
    /// Gives the cluster its identity, once.
    FoundCluster(ClusterId),
    /// Gives a node its id, or updates what is known about it.
    RegisterNode(RegisterNode),
    /// A node's process came up. Queues in the memory of its earlier starts are gone.
    StartNode { node: NodeId, boot: BootId, speaks: u16 },
    /// A node's process is believed to be gone, with all queues in its memory.
    LoseNode { node: NodeId, boot: BootId },
    /// A node leaves for good.
    ForgetNode { node: NodeId },
    /// A node is to be emptied, or to be used again.
    DrainNode { node: NodeId, draining: bool },
    /// Says which nodes should hold a shard.
    PutShard { group: GroupId, replicas: Vec<NodeId> },
    /// Raises the version of what is stored and said.
    RaiseVersion { version: u16 },
    /// Makes a virtual host or changes what may be changed about it.
    PutVhost { vhost: Name, meta: VhostMeta },
    /// Deletes a virtual host and all that is in it.
    DeleteVhost { vhost: Name },
    /// Sets a limit, or lifts it.
    SetVhostLimit { vhost: Name, limit: VhostLimit, value: Option<u64> },
    /// Makes a user or changes one.
    PutUser(PutUser),
    /// Deletes a user and the user's permissions.
    DeleteUser { user: Name },
    /// Sets a limit, or lifts it.
    SetUserLimit { user: Name, limit: UserLimit, value: Option<u64> },
    /// Says what a user may do in a virtual host.
    SetPermission { user: Name, vhost: Name, configure: Name, write: Name, read: Name },
    /// Takes a user's access to a virtual host away.
    ClearPermission { user: Name, vhost: Name },
    /// Says which routing keys a user may use on an exchange.
    SetTopicPermission { user: Name, vhost: Name, exchange: Name, write: Name, read: Name },
    /// Lifts that, on one exchange or on all of the virtual host.
    ClearTopicPermission { user: Name, vhost: Name, exchange: Option<Name> },
    /// Declares an exchange.
    DeclareExchange(DeclareExchange),
    /// Makes one of the broker's own exchanges: a topic, into which clients may not publish.
    PredeclareExchange { vhost: Name, exchange: Name },
    /// Deletes an exchange.
    DeleteExchange { vhost: Name, exchange: Name, if_unused: bool },
    /// Declares a queue.
    DeclareQueue(DeclareQueue),
    /// Deletes this incarnation of a queue.
    DeleteQueue { queue: QueueId, reason: RemovalReason },
    /// A client's connection is gone, and its exclusive queues with it.
    CloseConnection { owner: Owner },
    /// Binds.
    Bind(BindingCommand),
    /// Unbinds.
    Unbind(BindingCommand),
    /// Makes or replaces a policy.
    PutPolicy(PutPolicy),
    /// Deletes a policy.
    DeletePolicy { vhost: Name, layer: PolicyLayer, name: Name },
    /// Sets a runtime parameter to a JSON text.
    PutParameter { vhost: Name, component: Name, name: Name, value: Name },
    /// Deletes a runtime parameter.
    DeleteParameter { vhost: Name, component: Name, name: Name },
    /// Sets a global parameter to a JSON text.
    PutGlobalParameter { name: Name, value: Name },
    /// Deletes a global parameter.
    DeleteGlobalParameter { name: Name },
}

/// See [`Command::RegisterNode`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterNode {
    /// Drawn by the node when its data directory was made; the same token gets the same id.
    pub token: u128,
    /// The id that the founder gave itself; everyone else is given one.
    pub wanted: Option<NodeId>,
    /// What people call it.
    pub name: Name,
    /// Where its peers reach it.
    pub address: Name,
    /// Its failure zone, empty if unknown.
    pub zone: Name,
}

/// See [`Command::PutUser`]. What is `None` stays as it is, or as a new user has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutUser {
    /// The login.
    pub user: Name,
    /// The password; a new user without one cannot log in by password.
    pub password: Option<PasswordHash>,
    /// The tags; a new user has none.
    pub tags: Option<Vec<Name>>,
    /// Whether to accept the user from the same machine alone; a new user from anywhere.
    pub loopback_only: Option<bool>,
}

/// See [`Command::DeclareExchange`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareExchange {
    /// Where.
    pub vhost: Name,
    /// Its name.
    pub exchange: Name,
    /// Its kind, as the client wrote it.
    pub kind: Name,
    /// Survives restarts.
    pub durable: bool,
    /// Goes with its last binding as a source.
    pub auto_delete: bool,
    /// Not for clients to publish to.
    pub internal: bool,
    /// As the client wrote them.
    pub arguments: Table,
    /// Who asks.
    pub user: Name,
}

/// See [`Command::DeclareQueue`].
#[derive(Clone, Debug, PartialEq)]
pub struct DeclareQueue {
    /// Where.
    pub vhost: Name,
    /// Its name.
    pub queue: Name,
    /// Whether the broker chose the name, which may then begin with `amq.`.
    pub server_named: bool,
    /// Survives restarts.
    pub durable: bool,
    /// Goes when its last consumer does.
    pub auto_delete: bool,
    /// The connection that it shall belong to alone.
    pub exclusive: Option<Owner>,
    /// As the client wrote them.
    pub arguments: Table,
    /// Where to put it if it has to be made.
    pub placement: Placement,
    /// The user who asks.
    pub user: Name,
}

/// See [`Command::Bind`] and [`Command::Unbind`].
#[derive(Clone, Debug, PartialEq)]
pub struct BindingCommand {
    /// Where.
    pub vhost: Name,
    /// The exchange that messages come from.
    pub source: Name,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern.
    pub routing_key: Name,
    /// What else the source's kind looks at.
    pub arguments: Table,
    /// Who asks; operators pass none and may touch no exclusive queue.
    pub connection: Option<Owner>,
}

/// See [`Command::PutPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutPolicy {
    /// Where.
    pub vhost: Name,
    /// Whose.
    pub layer: PolicyLayer,
    /// Its name.
    pub name: Name,
    /// Which names it is for.
    pub pattern: Name,
    /// Which kinds of things it is for.
    pub apply_to: ApplyTo,
    /// The highest wins.
    pub priority: i64,
    /// What it sets, a JSON object.
    pub definition: Name,
}

/// Why a queue goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RemovalReason {
    /// Somebody deleted it.
    Deleted,
    /// `x-expires`
    Expired,
    /// Its last consumer left.
    AutoDelete,
    /// Its owner's connection is gone.
    OwnerGone,
    /// The node that had it in memory is gone.
    NodeGone,
    /// Its virtual host was deleted.
    VhostDeleted,
}

/// The id of the `ordinal`th thing that the entry at `index` makes.
#[must_use]
pub fn incarnation(index: LogIndex, ordinal: u16) -> QueueId {
    QueueId((index.0 << 16) | u64::from(ordinal))
}

/// Where in the log the entry stands that made `id`.
pub(crate) fn declared_at(id: QueueId) -> LogIndex {
    LogIndex(id.0 >> 16)
}
