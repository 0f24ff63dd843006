//! The bytes of what a snapshot holds: one record per row, without what follows from other rows.

use std::sync::Arc;

use warren_types::{DecodeError, LogIndex, NodeId, QueueId, Reader, Table, Timestamp, Writer};

use super::stored::{Stored, stored_enum, stored_struct};
use crate::{
    ApplyTo, ClusterId, Destination, Exchange, ExchangeKind, Name, Node, Owner, Placement,
    PolicyLayer, Queue, QueueKind, Shard, User, Vhost,
};

/// What stands for itself and not in any row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Header {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) version: u16,
    pub(crate) revision: LogIndex,
    pub(crate) topology_revision: LogIndex,
    pub(crate) highest_node: NodeId,
}

/// An exchange, without its policies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ExchangeRecord {
    pub(crate) vhost: Name,
    pub(crate) name: Name,
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    pub(crate) arguments: Table,
    pub(crate) created: Timestamp,
    pub(crate) user: Name,
}

/// A queue, without its policies and settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct QueueRecord {
    pub(crate) id: QueueId,
    pub(crate) vhost: Name,
    pub(crate) name: Name,
    pub(crate) kind: QueueKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) exclusive: Option<Owner>,
    pub(crate) arguments: Arc<Table>,
    pub(crate) placement: Placement,
    pub(crate) created: Timestamp,
    pub(crate) user: Name,
}

/// One row. A snapshot has them in an order in which each finds what it refers to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Header(Header),
    Node(Node),
    Shard(Shard),
    GlobalParameter {
        name: Name,
        value: Name,
    },
    Vhost(Vhost),
    Policy {
        vhost: Name,
        layer: PolicyLayer,
        name: Name,
        pattern: Name,
        apply_to: ApplyTo,
        priority: i64,
        definition: Name,
    },
    Parameter {
        vhost: Name,
        component: Name,
        name: Name,
        value: Name,
    },
    Exchange(ExchangeRecord),
    Queue(QueueRecord),
    Binding {
        vhost: Name,
        source: Name,
        destination: Destination,
        routing_key: Name,
        arguments: Table,
    },
    User(User),
    Permission {
        user: Name,
        vhost: Name,
        configure: Name,
        write: Name,
        read: Name,
    },
    TopicPermission {
        user: Name,
        vhost: Name,
        exchange: Name,
        write: Name,
        read: Name,
    },
}

stored_struct! { Header { cluster, version, revision, topology_revision, highest_node } }
stored_struct! { Node { id, token, name, address, zone, boot, speaks, running, draining } }
stored_struct! { Shard { group, replicas } }
stored_struct! { Vhost { name, meta, limits, created } }
stored_struct! { User { name, password, tags, loopback_only, limits } }
stored_enum! {
    ExchangeKind {
        0 => Direct,
        1 => Fanout,
        2 => Topic,
        3 => Headers,
        4 => ConsistentHash,
        5 => Random,
        6 => ModulusHash,
        7 => Delayed,
        8 => RecentHistory,
    }
}
stored_struct! {
    ExchangeRecord {
        vhost,
        name,
        kind,
        durable,
        auto_delete,
        internal,
        arguments,
        created,
        user,
    }
}
stored_struct! {
    QueueRecord {
        id,
        vhost,
        name,
        kind,
        durable,
        auto_delete,
        exclusive,
        arguments,
        placement,
        created,
        user,
    }
}
stored_enum! {
    Record {
        1 => Header(header),
        2 => Node(node),
        3 => Shard(shard),
        4 => GlobalParameter { name, value },
        5 => Vhost(vhost),
        6 => Policy { vhost, layer, name, pattern, apply_to, priority, definition },
        7 => Parameter { vhost, component, name, value },
        8 => Exchange(exchange),
        9 => Queue(queue),
        10 => Binding { vhost, source, destination, routing_key, arguments },
        11 => User(user),
        12 => Permission { user, vhost, configure, write, read },
        13 => TopicPermission { user, vhost, exchange, write, read },
    }
}

impl From<&Exchange> for ExchangeRecord {
    fn from(row: &Exchange) -> Self {
        Self {
            vhost: row.vhost.clone(),
            name: row.name.clone(),
            kind: row.kind,
            durable: row.durable,
            auto_delete: row.auto_delete,
            internal: row.internal,
            arguments: row.arguments.clone(),
            created: row.created,
            user: row.user.clone(),
        }
    }
}

impl From<&Queue> for QueueRecord {
    fn from(row: &Queue) -> Self {
        Self {
            id: row.id,
            vhost: row.vhost.clone(),
            name: row.name.clone(),
            kind: row.kind,
            durable: row.durable,
            auto_delete: row.auto_delete,
            exclusive: row.owner(),
            arguments: Arc::clone(&row.arguments),
            placement: row.placement,
            created: row.created,
            user: row.user.clone(),
        }
    }
}
