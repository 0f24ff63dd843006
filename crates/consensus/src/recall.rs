//! What a replica knew before it left its group and was erased.
//!
//! A node may get a shard back that it had given away. Its log comes again from the beginning, and the
//! beginning tells of members that are none any more, of this node alone perhaps: a replica that believed
//! it would stand, win, and overwrite what the group has committed since. So it keeps its vote and
//! the length of its log when it is erased. **Always holds:** until its log is that long again, it
//! neither votes nor stands; from then on it knows what it would know had it never left.

use std::sync::Arc;
use std::time::Duration;

use warren_storage::GroupStore;
use warren_types::LogIndex;

use crate::member::{Member, pause};

/// Between two looks at the log.
const LOOK: Duration = Duration::from_millis(100);

/// How long a log has to be until its replica may vote.
pub(crate) struct Recall {
    /// None where nothing was given up.
    given_up: Option<LogIndex>,
    store: GroupStore,
}

impl Recall {
    pub(crate) fn new(given_up: Option<LogIndex>, store: GroupStore) -> Self {
        Self { given_up, store }
    }

    /// Whether the replica was here before and was erased.
    pub(crate) fn was_here(&self) -> bool {
        self.given_up.is_some()
    }

    /// Whether the replica knows again what it knew.
    pub(crate) fn is_whole(&self) -> bool {
        let last = self.store.bounds().last.map(|id| id.index);
        self.given_up.is_none_or(|given_up| last.is_some_and(|last| last >= given_up))
    }
}

/// Lets the replica stand for election as soon as it may.
pub(crate) async fn run(member: Arc<Member>) {
    while !member.recall.is_whole() {
        if !pause(&member.stop, LOOK).await {
            return;
        }
    }
    member.raft.runtime_config().elect(true);
}
