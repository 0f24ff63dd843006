//! Events of what clients and operators declare: exchanges, queues, bindings, virtual hosts.

use warren_catalog::{Binding, Catalog, Exchange, Placement, Queue, QueueKind, Vhost};
use warren_types::{Table, Value};

use super::{Told, entries};

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::Array(texts.map(Value::text).collect())
}

/// exchange.created
pub(super) fn exchange(row: &Exchange) -> Told {
    Told::new("exchange.created")
        .text("name", &row.name)
        .text("vhost", &row.vhost)
        .text("type", row.kind.as_str())
        .flag("durable", row.durable)
        .flag("auto_delete", row.auto_delete)
        .flag("internal", row.internal)
        .with("arguments", entries(&row.arguments))
        .text("policy", row.policy.as_deref().unwrap_or_default())
}

/// exchange.deleted
pub(super) fn exchange_gone(vhost: &str, name: &str) -> Told {
    Told::new("exchange.deleted").text("name", name).text("vhost", vhost)
}

/// queue.created
pub(super) fn queue(catalog: &Catalog, row: &Queue) -> Told {
    let nodes = match row.placement {
        Placement::Shard(group) => {
            catalog.shard(group).map(|shard| shard.replicas.clone()).unwrap_or_default()
        }
        Placement::Local { node, .. } => vec![node],
    };
    let named = || nodes.iter().filter_map(|node| Some(&*catalog.node(*node)?.name));
    let owner = row.owner().map(|owner| super::super::connection_id(catalog, owner));
    Told::new("queue.created")
        .text("name", &row.name)
        .text("vhost", &row.vhost)
        .text("type", row.kind.long_name())
        .flag("durable", row.durable)
        .flag("auto_delete", row.auto_delete)
        .flag("exclusive", row.exclusive.is_some())
        .with("arguments", entries(&row.arguments))
        // The first node of a shard's row is the one that leads it.
        .text("leader", named().next().unwrap_or_default())
        .with("members", texts(named()))
        .text("owner_pid", &owner.unwrap_or_default())
}

/// queue.deleted
pub(super) fn queue_gone(row: &Queue) -> Told {
    Told::new("queue.deleted")
        .text("name", &row.name)
        .text("vhost", &row.vhost)
        .text("type", row.kind.long_name())
}

/// binding.created or binding.deleted
pub(super) fn binding(key: &'static str, vhost: &str, row: &Binding) -> Told {
    Told::new(key)
        .text("vhost", vhost)
        .text("source_kind", "exchange")
        .text("source_name", &row.source)
        .text("destination_kind", row.destination.type_name())
        .text("destination_name", row.destination.name())
        .text("routing_key", &row.routing_key)
        .with("arguments", entries(&row.arguments))
}

/// vhost.created or vhost.updated
pub(super) fn vhost(key: &'static str, catalog: &Catalog, row: &Vhost) -> Told {
    let meta = &row.meta;
    let mut states = Table::new();
    for node in catalog.nodes() {
        let state = if node.running { "running" } else { "down" };
        states.insert(&node.name, Value::text(state));
    }
    let kind = meta.default_queue_type.unwrap_or(QueueKind::Classic).as_str();
    Told::new(key)
        .text("name", &row.name)
        .text("description", &meta.description)
        .with("tags", texts(meta.tags.iter().map(|tag| &**tag)))
        .text("default_queue_type", kind)
        .flag("tracing", meta.tracing)
        .flag("protected_from_deletion", meta.protected_from_deletion)
        .with("cluster_state", Value::Table(states))
}
