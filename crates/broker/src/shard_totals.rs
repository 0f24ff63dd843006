//! What operators are told about single shards of this node, beside what consensus says of their
//! logs, and what the node measured.

use warren_queue::Shard;
use warren_types::{GroupId, Measured};

use crate::broker::Broker;

/// What is counted per shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardTotals {
    /// The shard's group.
    pub group: GroupId,
    /// How often this node saw another leader than before.
    pub leader_changes: u64,
    /// On the leader: how long the last entry took from its proposal until it was applied,
    /// microseconds.
    pub commit_us: Option<u64>,
    /// Starts of nodes that the shard knows, if it has a replica here.
    pub sessions: Option<u64>,
}

/// How long things took and how large they were, on this node since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meters {
    /// Sizes of published messages, bytes.
    pub message_bytes: Measured,
    /// Times from the proposals of entries until they were applied here, microseconds.
    pub commit_us: Measured,
}

impl Broker {
    /// What is counted per replicated shard.
    #[must_use]
    pub fn shard_totals(&self) -> Vec<ShardTotals> {
        let shards = self.inner().shards.replicated().map(|(group, _, handle)| {
            let whereabouts = handle.whereabouts();
            let sessions = whereabouts.group().map(|group| {
                let sessions = group.inspect(Shard::open_sessions).len();
                u64::try_from(sessions).unwrap_or(u64::MAX)
            });
            let (leader_changes, commit_us) =
                (whereabouts.leader_changes(), whereabouts.commit_us());
            ShardTotals { group, leader_changes, commit_us, sessions }
        });
        shards.collect()
    }

    /// What this node measured.
    #[must_use]
    pub fn meters(&self) -> Meters {
        let counters = &self.inner().counters;
        Meters {
            message_bytes: counters.message_bytes.measured(),
            commit_us: counters.commit_us.measured(),
        }
    }
}
