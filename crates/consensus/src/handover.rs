//! Giving leaderships away before a node stops.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::async_runtime::WatchReceiver as _;
use tokio::time::{Instant, timeout, timeout_at};

use crate::codec;
use crate::member::{Member, ms_since};

/// How long a voter gets to take over before another one is asked.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Gives away what `members` lead, until `limit` ends; says how many are left.
pub(crate) async fn run(members: &[Arc<Member>], limit: Duration) -> usize {
    let end = Instant::now() + limit;
    join_all(members.iter().map(|member| timeout_at(end, hand_over(member)))).await;
    members.iter().filter(|member| member.leadership.borrow().here).count()
}

/// Returns once this node does not lead the group, or nobody else could.
async fn hand_over(member: &Member) {
    let mut leadership = member.leadership.subscribe();
    let mut asked = BTreeSet::new();
    while leadership.borrow_and_update().here {
        match best(member, &asked) {
            Best::Voter(voter) => {
                asked.insert(voter);
                tracing::info!(group = %member.id, to = voter, "handing leadership over");
                if member.raft.trigger().transfer_leader(voter).await.is_err() {
                    return;
                }
            }
            Best::NobodyNow => asked.clear(),
            Best::Nobody => return,
        }
        // The time is up, or the group has ended: both show when it is asked again.
        drop(timeout(ATTEMPT, leadership.wait_for(|leadership| !leadership.here)).await);
        if member.stop.is_cancelled() {
            return;
        }
    }
}

enum Best {
    Voter(u64),
    /// No other voter that was not asked yet has been heard lately.
    NobodyNow,
    /// There is no other voter.
    Nobody,
}

/// The voter that lives and has most of the log.
fn best(member: &Member, asked: &BTreeSet<u64>) -> Best {
    let metrics = member.raft.metrics();
    let metrics = metrics.borrow_watched();
    let others: Vec<u64> = metrics
        .membership_config
        .membership()
        .voter_ids()
        .filter(|voter| *voter != member.node.0)
        .collect();
    if others.is_empty() {
        return Best::Nobody;
    }
    let heard = metrics.heartbeat.as_ref();
    let lease_ms = member.raft.config().election_timeout_max;
    let lives = |voter: &u64| {
        let at = heard.and_then(|heard| heard.get(voter).copied().flatten());
        at.is_some_and(|at| ms_since(*at) < lease_ms)
    };
    let matched = |voter: &u64| {
        let matched = metrics.replication.as_ref().and_then(|progress| progress.get(voter));
        codec::index_of(matched.and_then(Option::as_ref))
    };
    let able = others.into_iter().filter(|voter| !asked.contains(voter) && lives(voter));
    able.max_by_key(matched).map_or(Best::NobodyNow, Best::Voter)
}
