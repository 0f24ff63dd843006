//! Looks after what hangs on the life of nodes: queues in memory, and sessions in them.
//!
//! Whoever changes the catalog sees to the consequences; the watchman, on every node, finds what
//! was left over when that was interrupted, and hears of nodes that are gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use warren_catalog::{Placement, Queue};
use warren_queue::{Command, QueueListing, Shard};
use warren_types::{QueueId, SessionId};

use crate::broker::Inner;
use crate::janitor::{Chore, is_deleted};
use crate::queue::handle::{Event, ShardHandle};

/// The shortest time between two looks at the nodes' lives, however much else the catalog changes.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// How often everything is compared, whether anything seems to have changed or not.
const ROUND_INTERVAL: Duration = Duration::from_secs(30);

/// How long the catalog may take to be read up to date.
const BARRIER_LIMIT: Duration = Duration::from_secs(2);

/// How the nodes were at the last look.
type Lives = Vec<(warren_types::NodeId, warren_types::BootId, bool)>;

/// Serves until the broker stops.
pub(crate) async fn run(broker: Arc<Inner>) {
    let stop = broker.stopping().clone();
    let mut changes = broker.directory.changes();
    let mut lives = Lives::new();
    let mut round_at = Instant::now();
    loop {
        changes.mark_unchanged();
        let seen = broker.directory.look(|catalog| {
            catalog.nodes().map(|node| (node.id, node.boot, node.running)).collect::<Lives>()
        });
        let round = Instant::now() >= round_at;
        if seen != lives || round {
            lives = seen;
            bury_the_dead(&broker).await;
        }
        if round {
            make_a_round(&broker).await;
            round_at = Instant::now() + ROUND_INTERVAL;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(round_at) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_PAUSE) => {}
        }
    }
}

/// Ends what starts of nodes that are over had in this node's memory, and what this node had in
/// theirs.
async fn bury_the_dead(broker: &Inner) {
    let mut dead = Vec::new();
    for shard in broker.shards.local() {
        let sessions = look(shard, Shard::open_sessions).await.unwrap_or_default();
        let over = sessions.into_iter().filter(|session| !is_live(broker, *session));
        dead.extend(over.map(|session| (shard, session, Event::Dead(session))));
    }
    for (node, boot, slot) in broker.shards.holders() {
        let session = SessionId { node, boot };
        if !is_live(broker, session) {
            dead.push((broker.shard(slot), session, Event::Holder(None)));
        }
    }
    if dead.is_empty() {
        return;
    }
    // A session may be here before the news of its node; the next look comes to those that stay.
    if !matches!(timeout(BARRIER_LIMIT, broker.directory.catch_up()).await, Ok(Ok(()))) {
        return;
    }
    for (shard, session, event) in dead {
        if !is_live(broker, session) {
            shard.inform(event);
        }
    }
}

fn is_live(broker: &Inner, session: SessionId) -> bool {
    session == broker.session
        || broker.directory.look(|catalog| catalog.is_live((session.node, session.boot)))
}

/// Compares what this node holds with the catalog.
async fn make_a_round(broker: &Inner) {
    for (group, _, shard) in broker.shards.replicated() {
        if shard.whereabouts().leads_here() {
            broker.chore(Chore::Reconcile(group));
        }
    }
    let rows: BTreeMap<QueueId, Arc<Queue>> = broker.directory.look(|catalog| {
        let rows = catalog.local_queues(broker.session.node).filter(|row| is_of(broker, row));
        rows.map(|row| (row.id, row.clone())).collect()
    });
    for (slot, shard) in broker.shards.in_memory() {
        for (queue, reason) in look(shard, Shard::tombstones).await.unwrap_or_default() {
            broker.chore(Chore::QueueEnded { slot, queue, reason });
        }
        let Some(held) = look(shard, Shard::queues).await else { continue };
        for listing in held {
            compare(broker, shard, &rows, &listing);
        }
    }
}

fn is_of(broker: &Inner, row: &Queue) -> bool {
    match row.placement {
        Placement::Local { boot, .. } => boot == broker.session.boot,
        Placement::Shard(_) => false,
    }
}

fn compare(
    broker: &Inner,
    shard: &ShardHandle,
    rows: &BTreeMap<QueueId, Arc<Queue>>,
    listing: &QueueListing,
) {
    let queue = listing.queue;
    match rows.get(&queue) {
        Some(row) => {
            let settings = crate::queue::settings_of(&broker.directory, row);
            if settings != listing.settings {
                shard.tell(&Command::ConfigureQueue { queue, settings });
            }
        }
        None if broker.directory.look(|catalog| is_deleted(catalog, queue)) => {
            let (if_unused, if_empty) = (false, false);
            shard.tell(&Command::DeleteQueue { queue, if_unused, if_empty });
            shard.tell(&Command::ForgetQueue { queue });
        }
        // Declared after the look.
        None => {}
    }
}

/// What `read` says of a shard in this node's memory; `None` when the broker stops.
pub(crate) async fn look<R: Send + 'static>(
    shard: &ShardHandle,
    read: impl FnOnce(&Shard) -> R + Send + 'static,
) -> Option<R> {
    let (answer_to, answer) = oneshot::channel();
    shard.inform(Event::Look(Box::new(move |machine| drop(answer_to.send(read(machine))))));
    answer.await.ok()
}
