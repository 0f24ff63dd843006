//! Finds sessions whose node's start is over, so that what they held goes back.
//!
//! A session ends only with its node, and somebody has to notice: what nobody holds and nobody
//! gives back is lost to every other consumer. So they are all compared with the catalog, at
//! each change of it, whenever a shard begins to be led here, and now and then in any case.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use warren_queue::Shard;
use warren_types::{GroupId, SessionId};

use super::Inner;

/// Between two looks at least; a session that is reported is still there until it is closed.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long the catalog may take to be read up to date.
const BARRIER_LIMIT: Duration = Duration::from_secs(2);

/// Between two looks when the catalog could not be read up to date.
const RETRY: Duration = Duration::from_millis(200);

/// Looks after the sessions of the shards that are led here, until `stop`.
pub(super) async fn run(
    inner: Arc<Inner>,
    dead: mpsc::UnboundedSender<(GroupId, SessionId)>,
    stop: CancellationToken,
) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = watch(&inner, dead) => {}
    }
}

async fn watch(inner: &Inner, dead: mpsc::UnboundedSender<(GroupId, SessionId)>) {
    let mut chart = inner.chart.clone();
    loop {
        chart.mark_unchanged();
        let mut pause = INTERVAL;
        let over = |(_, session): &(GroupId, SessionId)| is_over(inner, *session);
        let candidates: Vec<(GroupId, SessionId)> = open(inner).into_iter().filter(over).collect();
        if !candidates.is_empty() {
            // A session may be older than the news of its node are here.
            if matches!(timeout(BARRIER_LIMIT, inner.directory.catch_up()).await, Ok(Ok(()))) {
                for (group, session) in candidates.into_iter().filter(over) {
                    tracing::info!(%group, %session, "the session's node is gone");
                    // Nobody listens while the broker goes down.
                    let _heard = dead.send((group, session));
                }
            } else {
                pause = RETRY;
            }
        }
        tokio::select! {
            changed = chart.changed() => if changed.is_err() { return },
            () = inner.reign.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The open sessions of the shards that are led here.
fn open(inner: &Inner) -> Vec<(GroupId, SessionId)> {
    let mut open = Vec::new();
    for group in inner.running() {
        if group.leadership().borrow().here {
            let id = group.id();
            open.extend(group.inspect(Shard::open_sessions).into_iter().map(|it| (id, it)));
        }
    }
    open
}

fn is_over(inner: &Inner, session: SessionId) -> bool {
    session != SessionId::LEADER
        && inner.directory.look(|catalog| !catalog.is_live((session.node, session.boot)))
}
