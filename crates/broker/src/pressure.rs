//! Which shards nobody may publish to at the moment: those that are led by a node that runs out of
//! disk or memory.
//!
//! Nothing is refused. A connection that publishes to such a shard is read no further
//! (`connection/pressure.rs`) until the node has recovered or another leads the shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use warren_rpc::Distress;

use crate::broker::{Broker, Inner};
use crate::connection::ToConnection;
use crate::queue::handle::ShardSlot;

/// How often connections that are held up look whether they still are, while some node is in
/// distress: leads move without a word to them.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// Whether any node runs out of something, for those who publish to ask first.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    somewhere: AtomicBool,
}

impl Broker {
    /// Says what this node runs out of, from here on.
    pub fn set_distress(&self, distress: Distress) {
        self.inner().set_distress(distress);
    }
}

impl Inner {
    /// What the node runs out of that leads the shard at `slot`, if that keeps publishers waiting.
    pub(crate) fn pressure_on(&self, slot: ShardSlot) -> Option<Distress> {
        if !self.pressure.somewhere.load(Ordering::Relaxed) {
            return None;
        }
        let whereabouts = self.shard(slot).whereabouts();
        let here = whereabouts.is_own_memory().then_some(self.session.node);
        let leader = here.or_else(|| whereabouts.leader())?;
        Some(self.distress_of(leader)).filter(|distress| distress.disk || distress.memory)
    }
}

/// Keeps an eye on the nodes, until the broker stops.
pub(crate) async fn run(broker: Arc<Inner>) {
    let stop = broker.stopping().clone();
    let (mut sights, mut own) = broker.distress_changes();
    loop {
        let here = *own.borrow_and_update();
        let there = sights.borrow_and_update().clone();
        let holds_up = |distress: Distress| distress.disk || distress.memory;
        let somewhere = holds_up(here) || there.values().any(|sight| holds_up(sight.distress()));
        let before = broker.pressure.somewhere.swap(somewhere, Ordering::Relaxed);
        if somewhere || before {
            broker.registry.send_where(|_| true, || ToConnection::Pressure);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = own.changed() => if changed.is_err() { return },
            changed = sights.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_INTERVAL), if somewhere => {}
        }
    }
}
