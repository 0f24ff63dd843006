//! The replicated directory of everything that is not a message, and its routing.
//!
//! A [`Catalog`] is a machine: committed [`Batch`]es of [`Command`]s in, a [`Reply`] and
//! [`Effect`]s out. Every node applies the same entries, so every node answers every question
//! and routes every message from its own memory. It reads no clock, draws nothing at random and
//! logs nothing; hash maps serve for look-up alone, behind a type that cannot be walked.
//!
//! **Not here:** whether somebody may do what a command asks for. Who proposes a command checks
//! that first, with [`Catalog::check_permission`] and its neighbours.

mod apply;
mod arguments;
mod binding;
mod catalog;
mod codec;
mod command;
mod defaults;
mod directory;
mod equivalence;
mod exchange;
mod first_start;
mod lookup;
mod machine;
mod name;
mod node;
mod outcome;
mod parameter;
mod permission;
mod plan;
mod policy;
mod queue;
mod refusal;
mod route;
mod settings;
mod shared;
mod snapshot;
#[cfg(test)]
mod testing;
mod user;
mod vhost;

pub use arguments::parse_max_age;
pub use binding::{Binding, Destination};
pub use catalog::{Catalog, PermissionRow, TopicPermissionRow};
pub use codec::reply;
pub use command::{
    Batch, BindingCommand, Command, DeclareExchange, DeclareQueue, MAX_BATCH_COMMANDS, PutPolicy,
    PutUser, RegisterNode, RemovalReason, incarnation,
};
pub use defaults::{CONSUMER_TIMEOUT, CONSUMER_TIMEOUT_ACTION, DELIVERY_COUNTING};
pub use exchange::{
    DEFAULT_EXCHANGE, DEFAULT_EXCHANGE_ALIAS, Exchange, ExchangeKind, recent_history,
};
pub use first_start::{FirstUser, first_start};
pub use name::{Name, RESERVED_PREFIX, Resource, ResourceKind};
pub use node::{ClusterId, Node, Shard};
pub use outcome::{Effect, Outcome, Reply};
pub use parameter::{Parameter, json_value};
pub use permission::{
    Access, Pattern, PatternError, Permission, TopicAccess, TopicCheck, TopicPermission,
    TopicVariables,
};
pub use plan::{PlanInput, plan_shards, plan_voters};
pub use policy::{ApplyTo, Definition, DefinitionError, Policy, PolicyLayer};
pub use queue::{Common, Owner, Placement, Queue, QueueKind, Target};
pub use refusal::{Given, Inequivalence, Refusal, RefusalKind};
pub use route::{Message, MessageHeaders, Property, RouteRefusal, Routed};
pub use settings::{
    DeadLetterStrategy, Dedup, DelayedRetry, DelayedRetryKind, DeliveryCounting, Overflow, Retry,
    Settings, TimeoutAction,
};
pub use user::{
    AuthRefusal, HashingAlgorithm, PasswordHash, SALT_BYTES, User, UserLimit, UserLimits,
};
pub use vhost::{Vhost, VhostLimit, VhostLimits, VhostMeta};
