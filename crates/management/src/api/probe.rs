//! Any bytes as what requests bring, read as handlers do before they ask a broker.

use std::sync::LazyLock;

use serde_json::Value;
use warren_broker::{Actor, Grants, HashingAlgorithm};
use warren_catalog::{Name, PolicyLayer, VhostMeta};

use super::body::Fields;
use super::definitions::import;
use super::list::{Listing, Query};
use super::route::{Field, Kind};
use super::{exchanges, limits, messages, parameters, policies, queues, table, users, vhosts};

/// Every field that some body may have.
static FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let mut fields: Vec<Field> = Vec::new();
    for field in super::routes().into_iter().flat_map(|route| route.fields) {
        if !fields.iter().any(|known| (known.name, known.kind) == (field.name, field.kind)) {
            fields.push(field);
        }
    }
    fields
});

fn actor() -> Actor {
    let (tags, grants) = (Vec::new(), Grants::Catalog);
    Actor { user: "guest".into(), tags, grants, trusted: false, from: None }
}

/// Reads `bytes` as a document with definitions, of a cluster and of one virtual host.
pub fn probe_definitions(bytes: &[u8]) {
    for vhost in [None, Some(Name::from("/"))] {
        import::read_through(bytes, vhost, &actor());
    }
}

/// Reads `bytes` as the body of every request, and as what a list is picked by.
///
/// # Panics
/// When arguments that can be read would not be shown.
pub fn probe_bodies(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        pick(text);
    }
    let Ok(fields) = Fields::parse(bytes) else { return };
    for field in FIELDS.iter() {
        let name = field.name;
        match field.kind {
            Kind::Text => drop(fields.text(name)),
            Kind::Integer => drop(fields.integer(name)),
            Kind::Truth => drop(fields.truth(name)),
            Kind::List => drop(fields.names(name)),
            Kind::Object => drop(fields.table(name).map(|arguments| table::to_json(&arguments))),
            Kind::Any => drop(fields.value(name).map(Value::to_string)),
        }
    }
    make(&fields);
}

/// What makes something.
fn make(fields: &Fields) {
    let (vhost, name) = (|| Name::from("/"), || Name::from("name"));
    drop(users::read(name(), fields, HashingAlgorithm::Sha256));
    drop(vhosts::read_metadata(fields, VhostMeta::default()));
    drop(exchanges::read(vhost(), name(), fields, name()));
    drop(queues::read(vhost(), name(), fields, &actor()));
    drop((limits::of_vhost(&vhost(), fields), limits::of_user(&name(), fields)));
    drop((messages::payload(fields), messages::properties(fields)));
    for layer in [PolicyLayer::User, PolicyLayer::Operator] {
        drop(policies::read(vhost(), layer, name(), fields));
    }
    let value = fields.value("value").unwrap_or(&Value::Null);
    for component in [parameters::OPERATOR_POLICY, parameters::VHOST_LIMITS, "another"] {
        drop(parameters::commands(&vhost(), component, &name(), value));
    }
}

/// What is asked of a list: a pair per line.
fn pick(text: &str) {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let Ok(listing) = Listing::parse(&Query(pairs.collect())) else { return };
    let row = |name: &str| serde_json::json!({ "name": name, "messages": 1, "more": { "x": [] } });
    drop(listing.of(vec![row("a"), row("b"), Value::Null]));
}
