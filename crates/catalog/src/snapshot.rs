//! The whole catalog as bytes, in pages.
//!
//! A page is a version, its number, the number of pages, and records up to its end. Records come
//! in an order in which each finds what it refers to, so that restoring is inserting. What
//! follows from other rows, such as the policies in effect, is not stored but found again.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use warren_machine::{Digest, RestoreError};
use warren_types::{DecodeError, Reader, Table, Writer};

use crate::catalog::{UserState, VhostState};
use crate::codec::{ExchangeRecord, Header, QueueRecord, Record, Stored};
use crate::{
    Binding, Catalog, Common, Definition, Exchange, Name, Pattern, Permission, Policy, PolicyLayer,
    Queue, TopicPermission,
};

/// The version of snapshots that is written.
const SNAPSHOT_VERSION: u16 = 1;

/// Bytes from which on a page is full. The last record of a page may go beyond.
const PAGE_BYTES: usize = 1024 * 1024 - 64 * 1024;

/// Where the number of pages stands in each page: behind the version and the page's number.
const PAGE_COUNT_AT: std::ops::Range<usize> = 6..10;

impl Catalog {
    pub(crate) fn write_snapshot(&self) -> Vec<Bytes> {
        let mut pages = Pages::new();
        self.write_cluster(&mut pages);
        for state in self.vhosts.iter() {
            write_vhost(state, &mut pages);
        }
        self.write_users(&mut pages);
        pages.finish()
    }

    pub(crate) fn read_snapshot(pages: &[Bytes]) -> Result<Self, RestoreError> {
        if pages.is_empty() {
            return Err(inconsistent("there are no pages"));
        }
        let mut catalog = Self::new();
        for (page, bytes) in pages.iter().enumerate() {
            let damaged = |source| RestoreError::Damaged { page, source };
            let mut reader = Reader::new(bytes.clone());
            let version = reader.u16("snapshot version").map_err(damaged)?;
            if version != SNAPSHOT_VERSION {
                return Err(RestoreError::Version { version });
            }
            let number = read_size(&mut reader).map_err(damaged)?;
            let count = read_size(&mut reader).map_err(damaged)?;
            if number != page || count != pages.len() {
                let what = format!("page {number} of {count} stands as {page} of {}", pages.len());
                return Err(RestoreError::Inconsistent { what });
            }
            while !reader.is_empty() {
                catalog.restore_record(Record::read(&mut reader).map_err(damaged)?)?;
            }
        }
        Ok(catalog)
    }

    pub(crate) fn snapshot_digest(&self) -> Digest {
        let mut hash = Sha256::new();
        for page in self.write_snapshot() {
            hash.update(&page);
        }
        let hash = hash.finalize();
        let head = hash.first_chunk().expect("the hash has 32 bytes");
        Digest(u64::from_be_bytes(*head))
    }

    fn write_cluster(&self, pages: &mut Pages) {
        pages.push(&Record::Header(Header {
            cluster: self.cluster,
            version: self.version,
            revision: self.revision,
            topology_revision: self.topology_revision,
            highest_node: self.highest_node,
        }));
        for node in self.nodes.values() {
            pages.push(&Record::Node(node.clone()));
        }
        for shard in self.shards.values() {
            pages.push(&Record::Shard(shard.clone()));
        }
        for (name, value) in &self.global_parameters {
            let (name, value) = (name.clone(), value.clone());
            pages.push(&Record::GlobalParameter { name, value });
        }
    }

    fn write_users(&self, pages: &mut Pages) {
        for state in self.users.values() {
            pages.push(&Record::User(state.row.clone()));
        }
        for row in self.permissions() {
            pages.push(&Record::Permission {
                user: row.user.clone(),
                vhost: row.vhost.clone(),
                configure: row.permission.configure.text().clone(),
                write: row.permission.write.text().clone(),
                read: row.permission.read.text().clone(),
            });
        }
        for row in self.topic_permissions() {
            pages.push(&Record::TopicPermission {
                user: row.user.clone(),
                vhost: row.vhost.clone(),
                exchange: row.exchange.clone(),
                write: row.permission.write.text().clone(),
                read: row.permission.read.text().clone(),
            });
        }
    }

    fn restore_record(&mut self, record: Record) -> Result<(), RestoreError> {
        match record {
            Record::Header(header) => self.restore_header(&header),
            Record::Node(node) => fresh("node", self.nodes.insert(node.id, node))?,
            Record::Shard(shard) => fresh("shard", self.shards.insert(shard.group, shard))?,
            Record::GlobalParameter { name, value } => {
                fresh("global parameter", self.global_parameters.insert(name, value))?;
            }
            Record::Vhost(row) => {
                let vhost = row.name.clone();
                fresh("vhost", self.vhosts.insert(vhost.clone(), VhostState::new(row)))?;
                self.note_tracing(&vhost);
            }
            Record::Policy { vhost, layer, name, pattern, apply_to, priority, definition } => {
                self.restored_vhost(&vhost)?;
                let pattern = Pattern::restored(pattern);
                let definition = Arc::new(Definition::restored(&definition));
                let policy = Policy { vhost, name, pattern, apply_to, priority, definition };
                fresh("policy", self.insert_policy(layer, policy))?;
            }
            Record::Parameter { vhost, component, name, value } => {
                let state = self.restored_vhost(&vhost)?;
                let parameters = state.parameters.entry(component.clone()).or_default();
                let row = crate::Parameter { vhost, component, name: name.clone(), value };
                fresh("parameter", parameters.insert(name, row))?;
            }
            Record::Exchange(record) => self.restore_exchange(record)?,
            Record::Queue(record) => self.restore_queue(record)?,
            Record::Binding { vhost, source, destination, routing_key, arguments } => {
                let binding = Binding::new(source, destination, routing_key, &arguments);
                if !self.insert_binding(&vhost, binding) {
                    return Err(inconsistent("a binding comes twice or without its ends"));
                }
            }
            Record::User(row) => {
                fresh("user", self.users.insert(row.name.clone(), UserState::new(row)))?;
            }
            Record::Permission { user, vhost, configure, write, read } => {
                self.restored_vhost(&vhost)?;
                let [configure, write, read] = [configure, write, read].map(Pattern::restored);
                let permission = Permission { configure, write, read };
                let state = self.restored_user(&user)?;
                fresh("permission", state.permissions.insert(vhost, permission))?;
            }
            Record::TopicPermission { user, vhost, exchange, write, read } => {
                self.restored_vhost(&vhost)?;
                let [write, read] = [write, read].map(Pattern::restored);
                let permission = TopicPermission { write, read };
                let exchanges = self.restored_user(&user)?.topic_permissions.entry(vhost);
                fresh("topic permission", exchanges.or_default().insert(exchange, permission))?;
            }
        }
        Ok(())
    }

    fn restore_header(&mut self, header: &Header) {
        self.cluster = header.cluster;
        self.version = header.version;
        self.revision = header.revision;
        self.topology_revision = header.topology_revision;
        self.highest_node = header.highest_node;
    }

    fn restore_exchange(&mut self, record: ExchangeRecord) -> Result<(), RestoreError> {
        if self.restored_vhost(&record.vhost)?.exchanges.row(&record.name).is_some() {
            return Err(inconsistent("an exchange comes twice"));
        }
        self.insert_exchange(Exchange {
            vhost: record.vhost,
            name: record.name,
            kind: record.kind,
            durable: record.durable,
            auto_delete: record.auto_delete,
            internal: record.internal,
            arguments: record.arguments,
            created: record.created,
            user: record.user,
            policy: None,
            operator_policy: None,
            alternate: None,
        });
        Ok(())
    }

    fn restore_queue(&mut self, record: QueueRecord) -> Result<(), RestoreError> {
        let is_named = self.restored_vhost(&record.vhost)?.queues.row(&record.name).is_some();
        if is_named || self.queues_by_id.value(&record.id).is_some() {
            return Err(inconsistent("a queue comes twice"));
        }
        self.insert_queue(Queue {
            id: record.id,
            vhost: record.vhost,
            name: record.name,
            kind: record.kind,
            durable: record.durable,
            auto_delete: record.auto_delete,
            exclusive: record.exclusive.map(Box::new),
            arguments: record.arguments,
            placement: record.placement,
            created: record.created,
            common: Common::of(record.user),
        });
        Ok(())
    }

    fn restored_vhost(&mut self, vhost: &Name) -> Result<&mut VhostState, RestoreError> {
        self.vhosts.row_mut(vhost).ok_or_else(|| inconsistent("a row comes before its vhost"))
    }

    fn restored_user(&mut self, user: &Name) -> Result<&mut UserState, RestoreError> {
        self.users.get_mut(user).ok_or_else(|| inconsistent("a permission comes before its user"))
    }
}

fn write_vhost(state: &VhostState, pages: &mut Pages) {
    let vhost = &state.row.name;
    pages.push(&Record::Vhost(state.row.clone()));
    for (layer, policies) in &state.policies {
        for policy in policies.values() {
            pages.push(&policy_record(*layer, policy));
        }
    }
    for parameter in state.parameters.values().flat_map(|parameters| parameters.values()) {
        pages.push(&Record::Parameter {
            vhost: vhost.clone(),
            component: parameter.component.clone(),
            name: parameter.name.clone(),
            value: parameter.value.clone(),
        });
    }
    for exchange in state.exchanges.iter() {
        pages.push(&Record::Exchange(ExchangeRecord::from(&*exchange.row)));
    }
    for queue in state.queues.iter() {
        pages.push(&Record::Queue(QueueRecord::from(&**queue)));
    }
    for binding in state.exchanges.iter().flat_map(|exchange| &exchange.outgoing) {
        pages.push(&Record::Binding {
            vhost: vhost.clone(),
            source: binding.source.clone(),
            destination: binding.destination.clone(),
            routing_key: binding.routing_key.clone(),
            arguments: Table::clone(&binding.arguments),
        });
    }
}

fn policy_record(layer: PolicyLayer, policy: &Policy) -> Record {
    Record::Policy {
        vhost: policy.vhost.clone(),
        layer,
        name: policy.name.clone(),
        pattern: policy.pattern.text().clone(),
        apply_to: policy.apply_to,
        priority: policy.priority,
        definition: policy.definition.text().clone(),
    }
}

fn read_size(reader: &mut Reader) -> Result<usize, DecodeError> {
    let value = reader.u32("page number")?;
    usize::try_from(value)
        .map_err(|_| DecodeError::Unknown { what: "page number", value: u64::from(value) })
}

fn fresh<T>(what: &str, replaced: Option<T>) -> Result<(), RestoreError> {
    match replaced {
        None => Ok(()),
        Some(_) => Err(RestoreError::Inconsistent { what: format!("a {what} comes twice") }),
    }
}

fn inconsistent(what: &str) -> RestoreError {
    RestoreError::Inconsistent { what: what.into() }
}

/// Pages on their way out.
struct Pages {
    full: Vec<Writer>,
    current: Writer,
}

impl Pages {
    fn new() -> Self {
        let mut pages = Self { full: Vec::new(), current: Writer::new() };
        pages.begin();
        pages
    }

    fn begin(&mut self) {
        let number = u32::try_from(self.full.len()).expect("fewer than 2^32 pages");
        self.current.u16(SNAPSHOT_VERSION);
        self.current.u32(number);
        // The number of pages, known at the end.
        self.current.u32(0);
    }

    fn push(&mut self, record: &Record) {
        if self.current.len() >= PAGE_BYTES {
            self.full.push(std::mem::take(&mut self.current));
            self.begin();
        }
        record.write(&mut self.current);
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.full.push(self.current);
        let count = u32::try_from(self.full.len()).expect("fewer than 2^32 pages");
        let patched = self.full.into_iter().map(|page| {
            let mut page = page.into_bytes_mut();
            let slot = page.get_mut(PAGE_COUNT_AT).expect("every page begins with its numbers");
            slot.copy_from_slice(&count.to_be_bytes());
            page.freeze()
        });
        patched.collect()
    }
}

#[cfg(test)]
mod tests;
