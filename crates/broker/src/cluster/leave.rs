//! Takes this node out of its cluster for good, while it still runs.
//!
//! Its replicas go first: each ends once its group's leader says that it is no member any more. Then
//! the cluster forgets the node, which takes it out of the catalog's group. Until then the node
//! takes part in both, so that a group of two never waits for a vote that left too early.
//!
//! **Always holds:** whatever is left undone when it fails can be done by leaving again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep, timeout};
use warren_amqp::ReplyCode;
use warren_catalog::{Catalog, Command};
use warren_types::{GroupId, NodeId};

use super::Inner;
use crate::admin::AdminError;
use crate::failure::Failure;

/// How long the groups may take to do without this node.
const RELEASE_LIMIT: Duration = Duration::from_secs(30);

/// How long one change of the catalog may take.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

/// How long a node may take to say how the catalog's group is.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// Between two looks whether the groups do without this node.
const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Leaves. Nothing is led here any more when this begins.
pub(super) async fn run(inner: &Inner) -> Result<(), AdminError> {
    inner.leaving.store(true, Ordering::Relaxed);
    let left = leave(inner).await;
    if left.is_err() {
        inner.leaving.store(false, Ordering::Relaxed);
    }
    left
}

async fn leave(inner: &Inner) -> Result<(), AdminError> {
    let deadline = Instant::now() + RELEASE_LIMIT;
    let caught_up = timeout(CHANGE_LIMIT, inner.directory.catch_up()).await;
    caught_up.map_err(|_| late("the catalog", CHANGE_LIMIT))?.map_err(|_| AdminError::Stopped)?;
    let rows = inner.directory.look(|catalog| rows_without(catalog, inner.session.node));
    let changes = rows.map_err(|text| Failure::new(ReplyCode::PreconditionFailed, text))?;
    for made in join_all(changes.into_iter().map(|change| submit(inner, change))).await {
        made?;
    }
    while !inner.running().is_empty() {
        pause(deadline, "the leaders of shards with a replica here").await?;
    }
    // The entry that says so may be the first that does not come here: others are asked.
    let forget = Command::ForgetNode { node: inner.session.node };
    drop(timeout(ASK_LIMIT, inner.directory.change(forget)).await);
    while !is_forgotten(inner).await {
        pause(deadline, "the catalog's leader").await?;
    }
    Ok(())
}

/// What takes `here` off every shard, or why that cannot be done.
fn rows_without(catalog: &Catalog, here: NodeId) -> Result<Vec<Command>, String> {
    let runs = |node: &NodeId| catalog.node(*node).is_some_and(|row| row.running);
    let with = catalog.shards().filter(|shard| shard.replicas.contains(&here));
    with.map(|shard| {
        let group = shard.group;
        let others = shard.replicas.iter().copied().filter(|node| *node != here);
        let others: Vec<NodeId> = others.collect();
        if others.is_empty() || !others.iter().all(runs) {
            return Err(format!(
                "not all replicas of group {group} on other nodes run: without them this one cannot be given up"
            ));
        }
        Ok(Command::PutShard { group, replicas: others })
    })
    .collect()
}

async fn submit(inner: &Inner, change: Command) -> Result<(), AdminError> {
    let made = timeout(CHANGE_LIMIT, inner.directory.change(change)).await;
    made.map_err(|_| late("the catalog", CHANGE_LIMIT))?.map_err(Failure::from)?;
    Ok(())
}

/// Whether the catalog's leader knows this node neither as a voter nor as a learner.
async fn is_forgotten(inner: &Inner) -> bool {
    let here = inner.session.node;
    let chart = inner.chart();
    let others = chart.nodes.keys().copied().filter(|node| *node != here);
    let asks = others.map(|node| inner.peers.group_status(node, GroupId::CATALOG, ASK_LIMIT));
    let answers = join_all(asks).await.into_iter().flatten();
    let leader = answers.filter(|status| status.here).max_by_key(|status| status.term);
    leader.is_some_and(|status| !status.voters.contains(&here) && !status.learners.contains(&here))
}

async fn pause(deadline: Instant, what: &str) -> Result<(), AdminError> {
    if Instant::now() >= deadline {
        return Err(late(what, RELEASE_LIMIT));
    }
    sleep(LOOK_PAUSE).await;
    Ok(())
}

fn late(what: &str, limit: Duration) -> AdminError {
    AdminError::Late { what: what.to_owned(), limit_ms: limit.as_millis() }
}
