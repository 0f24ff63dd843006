//! One row of the directory of bindings.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::BytesMut;
use sha2::{Digest, Sha256};
use warren_types::{Table, Value};

use crate::Name;

/// Bytes of the hash that stands for arguments in a [`Binding::properties_key`].
const PROPERTIES_HASH_BYTES: usize = 16;

/// What a binding leads to, in the source's virtual host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// An exchange.
    Exchange(Name),
    /// A queue.
    Queue(Name),
}

impl Destination {
    /// The name, whichever it is.
    #[must_use]
    pub fn name(&self) -> &Name {
        match self {
            Self::Exchange(name) | Self::Queue(name) => name,
        }
    }

    /// `exchange` or `queue`, as `destination_type` in HTTP.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Queue(_) => "queue",
        }
    }
}

/// A binding. Two are the same when source, destination, routing key and arguments are; the
/// order of the arguments does not matter.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The exchange that messages come from.
    pub source: Name,
    /// Where they go.
    pub destination: Destination,
    /// The key or pattern.
    pub routing_key: Name,
    /// What else the source's kind looks at, sorted by name.
    pub arguments: Table,
    /// `arguments` as bytes, for comparing.
    canonical: Box<[u8]>,
}

impl Binding {
    /// A binding, its arguments brought into order.
    #[must_use]
    pub fn new(
        source: Name,
        destination: Destination,
        routing_key: Name,
        arguments: &Table,
    ) -> Self {
        let mut entries: Vec<(String, Value)> =
            arguments.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        let arguments: Table = entries.into_iter().collect();
        let mut bytes = BytesMut::new();
        arguments.encode(&mut bytes);
        let canonical = Box::from(bytes.as_ref());
        Self { source, destination, routing_key, arguments, canonical }
    }

    /// How the HTTP API names the binding among those of its two ends: the routing key, `~` if
    /// that is empty, with `~` and a hash behind it if there are arguments. Not yet escaped for
    /// a path.
    #[must_use]
    pub fn properties_key(&self) -> String {
        if self.canonical.is_empty() {
            return if self.routing_key.is_empty() {
                "~".into()
            } else {
                self.routing_key.to_string()
            };
        }
        let hash = Sha256::digest(&self.canonical);
        let head = hash.get(..PROPERTIES_HASH_BYTES).unwrap_or_default();
        format!("{}~{}", self.routing_key, URL_SAFE_NO_PAD.encode(head))
    }

    fn key(&self) -> (&Name, &Destination, &Name, &[u8]) {
        (&self.source, &self.destination, &self.routing_key, &self.canonical)
    }
}

impl PartialEq for Binding {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Binding {}

impl PartialOrd for Binding {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Binding {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests;
