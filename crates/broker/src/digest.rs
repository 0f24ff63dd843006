//! What this node's replicas hold, in numbers that are equal where the replicas are.
//!
//! At one applied index every replica of a group has the same fingerprint. Two that differ
//! are the worst that can be found of a broker, so it can be asked at any time.

use warren_machine::Digest;
use warren_types::{GroupId, LogIndex};

use crate::Broker;

/// What one replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupDigest {
    /// Whose replica. The catalog is group 0.
    pub group: GroupId,
    /// The last entry applied.
    pub applied: LogIndex,
    /// The fingerprint of what it left.
    pub digest: Digest,
}

impl Broker {
    /// The fingerprints of all replicas here. Each is made while the replica applies nothing.
    #[must_use]
    pub fn digests(&self) -> Vec<GroupDigest> {
        let (applied, digest) = self.inner().directory.fingerprint();
        let catalog = GroupDigest { group: GroupId::CATALOG, applied, digest };
        let shards = self.inner().shards.replicated().filter_map(|(group, _, shard)| {
            let (applied, digest) = shard.whereabouts().group()?.fingerprint();
            Some(GroupDigest { group, applied, digest })
        });
        std::iter::once(catalog).chain(shards).collect()
    }
}
