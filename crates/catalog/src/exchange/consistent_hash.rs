//! By a hash of the routing key, a header or a property: the same always to the same, as many to
//! each as its binding's key says.
//!
//! Declarations and bindings are those of RabbitMQ's plugin, and so is what they promise. Which key
//! goes where is another matter: RabbitMQ numbers buckets in the order of the bindings, here each
//! destination draws for itself, so that a binding that goes moves no more than its own share.

use std::sync::Arc;

use warren_types::{Table, Value};

use super::hash::hash;
use super::pool::Pool;
use super::targets::Hop;
use crate::route::{Found, Property};
use crate::{Binding, Message};

const HASH_HEADER: &str = "hash-header";
const HASH_PROPERTY: &str = "hash-property";

/// What is hashed where a message lacks what should be.
const NOTHING: &[u8] = &[];

/// What of a message decides.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    RoutingKey,
    Header(String),
    Property(Property),
}

impl Subject {
    fn of(arguments: &Table) -> Self {
        if let Some(name) = arguments.value(HASH_HEADER).and_then(Value::as_text) {
            return Self::Header(name.to_owned());
        }
        let property = arguments.value(HASH_PROPERTY).and_then(Value::as_text);
        property.and_then(Property::parse).map_or(Self::RoutingKey, Self::Property)
    }
}

/// The bindings of an `x-consistent-hash` exchange.
#[derive(Clone, Debug)]
pub(crate) struct ConsistentHash {
    subject: Subject,
    pool: Pool,
}

impl ConsistentHash {
    pub(crate) fn new(arguments: &Table) -> Self {
        Self { subject: Subject::of(arguments), pool: Pool::default() }
    }

    pub(crate) fn bind(&mut self, binding: &Arc<Binding>, hop: Hop) {
        self.pool.bind(binding, hop);
    }

    pub(crate) fn unbind(&mut self, binding: &Binding) {
        self.pool.unbind(binding);
    }

    /// Whether the routing key alone decides.
    pub(crate) fn goes_by_key(&self) -> bool {
        self.subject == Subject::RoutingKey
    }

    pub(crate) fn route<'a>(&'a self, message: Message<'_>, found: &mut Found<'a, '_>) {
        let key = match &self.subject {
            Subject::RoutingKey => hash_of_keys(message),
            Subject::Header(name) => {
                let value = message.headers.table().and_then(|table| table.value(name));
                value.map_or_else(|| hash(NOTHING), hash_of_value)
            }
            Subject::Property(property) => {
                hash(&message.headers.property(*property).unwrap_or_default())
            }
        };
        self.pool.route_by_weight(key, found);
    }
}

/// The routing key's, and that of the keys of copies if there are any.
pub(crate) fn hash_of_keys(message: Message<'_>) -> u64 {
    match message.extra_keys {
        [] => hash(message.routing_key),
        extra => {
            let mut all = message.routing_key.to_vec();
            extra.iter().for_each(|key| all.extend_from_slice(key));
            hash(&all)
        }
    }
}

/// A value's, whatever the width of an integer.
fn hash_of_value(value: &Value) -> u64 {
    match (value, value.as_integer()) {
        (Value::LongString(bytes) | Value::Bytes(bytes), _) => hash(bytes),
        (_, Some(integer)) => hash(&integer.to_be_bytes()),
        (other, None) => {
            let mut bytes = bytes::BytesMut::new();
            std::iter::once((String::new(), other.clone())).collect::<Table>().encode(&mut bytes);
            hash(&bytes)
        }
    }
}

/// What is wrong with a declaration's arguments, in RabbitMQ's words.
pub(crate) fn check_arguments(arguments: &Table) -> Result<(), String> {
    match (arguments.value(HASH_HEADER), arguments.value(HASH_PROPERTY)) {
        (Some(_), Some(_)) => {
            Err(format!("{HASH_HEADER} and {HASH_PROPERTY} are mutually exclusive"))
        }
        (None, Some(property)) => match property.as_text() {
            Some(name) if Property::parse(name).is_some() => Ok(()),
            name => Err(format!("Unsupported property: {}", name.unwrap_or_default())),
        },
        (Some(header), None) if header.as_text().is_none() => {
            Err(format!("{HASH_HEADER} must be text, not {}", header.type_name()))
        }
        (_, None) => Ok(()),
    }
}
