//! Definitions out of the catalog.
//!
//! Left out is what no other cluster could have: exclusive queues and their bindings, and what every
//! virtual host has by itself.

use serde_json::{Map, Value, json};
use warren_catalog::{
    Binding, Catalog, DEFAULT_EXCHANGE, Destination, Exchange, PolicyLayer, Queue, RESERVED_PREFIX,
    Vhost, recent_history,
};

use crate::api::{parameters, permissions, policies, table, users, vhosts};
use crate::node::{Identity, SPEAKS_AS};

/// Everything.
pub(crate) fn cluster(catalog: &Catalog, identity: &Identity) -> Value {
    let name = parameters::cluster_name(catalog, &identity.cluster_name);
    let mut document = head(identity, "cluster");
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("original_cluster_name", name.as_str().into());
    put("explanation", format!("Definitions of cluster '{name}'").into());
    put("users", catalog.users().map(users::row).collect());
    put("vhosts", catalog.vhosts().map(vhost_row).collect());
    put("permissions", catalog.permissions().map(permissions::row).collect());
    put("topic_permissions", catalog.topic_permissions().map(permissions::topic_row).collect());
    put("global_parameters", parameters::global_rows(catalog).into());
    let mut contents = Contents::default();
    for vhost in catalog.vhosts() {
        contents.add(catalog, &vhost.name, true);
    }
    contents.put_into(&mut document);
    Value::Object(document)
}

/// What is in one virtual host, for any virtual host.
pub(crate) fn vhost(catalog: &Catalog, vhost: &str, identity: &Identity) -> Value {
    let mut document = head(identity, "single_virtual_host");
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("original_vhost_name", vhost.into());
    put("explanation", format!("Definitions of virtual host '{vhost}'").into());
    if let Some(row) = catalog.vhost(vhost) {
        put("description", row.meta.description.to_string().into());
        put("metadata", vhosts::metadata(&row.meta));
        put("limits", Value::Object(vhosts::limits(&row.limits)));
        put("default_queue_type", row.meta.default_queue_type.unwrap_or_default().as_str().into());
    }
    let mut contents = Contents::default();
    contents.add(catalog, vhost, false);
    contents.put_into(&mut document);
    Value::Object(document)
}

fn head(identity: &Identity, format: &str) -> Map<String, Value> {
    [
        ("rabbit_version", SPEAKS_AS.into()),
        ("rabbitmq_version", SPEAKS_AS.into()),
        ("product_name", "warren".into()),
        ("product_version", identity.version.as_str().into()),
        ("rabbitmq_definition_format", format.into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect()
}

fn vhost_row(vhost: &Vhost) -> Value {
    json!({
        "name": &*vhost.name,
        "description": &*vhost.meta.description,
        "tags": vhost.meta.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "default_queue_type": vhost.meta.default_queue_type.unwrap_or_default().as_str(),
        "metadata": vhosts::metadata(&vhost.meta),
        "limits": vhosts::limits(&vhost.limits),
    })
}

/// What virtual hosts contain.
#[derive(Default)]
struct Contents {
    parameters: Vec<Value>,
    policies: Vec<Value>,
    queues: Vec<Value>,
    exchanges: Vec<Value>,
    bindings: Vec<Value>,
}

impl Contents {
    /// Adds a virtual host's; with its name in every row, or without.
    fn add(&mut self, catalog: &Catalog, vhost: &str, named: bool) {
        let with_name = |mut row: Value| {
            if let Value::Object(fields) = &mut row {
                match named {
                    true => fields.insert("vhost".to_owned(), vhost.into()),
                    false => fields.remove("vhost"),
                };
            }
            row
        };
        let parameters = parameters::rows(catalog, vhost).into_iter();
        self.parameters.extend(parameters.map(with_name));
        let policies = catalog.policies(vhost, PolicyLayer::User).map(policies::row);
        self.policies.extend(policies.map(with_name));
        let is_made_by_itself = |queue: &Queue| recent_history::is_queue_name(&queue.name);
        let queues = catalog
            .queues(vhost)
            .filter(|queue| queue.exclusive.is_none() && !is_made_by_itself(queue));
        self.queues.extend(queues.map(|queue| with_name(queue_row(queue))));
        let exchanges = catalog.exchanges(vhost).filter(|exchange| is_own(&exchange.name));
        self.exchanges.extend(exchanges.map(|exchange| with_name(exchange_row(exchange))));
        let bindings = catalog.bindings(vhost).filter(|binding| lasts(catalog, vhost, binding));
        self.bindings.extend(bindings.map(|binding| with_name(binding_row(binding))));
    }

    fn put_into(self, document: &mut Map<String, Value>) {
        for (key, rows) in [
            ("parameters", self.parameters),
            ("policies", self.policies),
            ("queues", self.queues),
            ("exchanges", self.exchanges),
            ("bindings", self.bindings),
        ] {
            document.insert(key.to_owned(), rows.into());
        }
    }
}

fn is_own(exchange: &str) -> bool {
    exchange != DEFAULT_EXCHANGE && !exchange.starts_with(RESERVED_PREFIX)
}

/// Whether what a binding leads to is in the document as well.
fn lasts(catalog: &Catalog, vhost: &str, binding: &Binding) -> bool {
    match &binding.destination {
        Destination::Exchange(_) => true,
        Destination::Queue(name) => {
            catalog.queue(vhost, name).is_some_and(|queue| queue.exclusive.is_none())
        }
    }
}

fn queue_row(queue: &Queue) -> Value {
    json!({
        "name": &*queue.name,
        "type": queue.kind.as_str(),
        "durable": queue.durable,
        "auto_delete": queue.auto_delete,
        "arguments": table::to_json(&queue.arguments),
    })
}

fn exchange_row(exchange: &Exchange) -> Value {
    json!({
        "name": &*exchange.name,
        "type": exchange.kind.as_str(),
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": table::to_json(&exchange.arguments),
    })
}

fn binding_row(binding: &Binding) -> Value {
    json!({
        "source": &*binding.source,
        "destination": &**binding.destination.name(),
        "destination_type": binding.destination.type_name(),
        "routing_key": &*binding.routing_key,
        "arguments": table::to_json(&binding.arguments),
    })
}
