//! A node whose disk is full or hangs, or that uses too much memory.
//!
//! It says so to the others with every sign of life. With a disk that is full or hangs it leads
//! nothing that another could: stewards hand leads over and give none back meanwhile. When the disk
//! hangs there is no time to space that out, as what is led here may wait for the disk any moment.
//! Publishers to what it leads all the same are held up ([`crate::pressure`]).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use warren_rpc::Distress;
use warren_types::NodeId;

use super::{Cluster, Inner};

/// How long the others may take to take over what is led on a disk that hangs, before they are
/// asked again.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(3);

/// Between two attempts.
const RETRY: Duration = Duration::from_millis(500);

impl Cluster {
    /// What this node runs out of, from here on.
    pub(crate) fn set_distress(&self, distress: Distress) {
        self.inner
            .distress
            .send_if_modified(|known| std::mem::replace(known, distress) != distress);
    }

    /// What this node runs out of.
    pub(crate) fn distress(&self) -> Distress {
        *self.inner.distress.borrow()
    }

    /// What `node` runs out of, as far as is known.
    pub(crate) fn distress_of(&self, node: NodeId) -> Distress {
        self.inner.distress_of(node)
    }

    /// Says whenever this node runs out of something, or does no more.
    pub(crate) fn distress_changes(&self) -> tokio::sync::watch::Receiver<Distress> {
        self.inner.distress.subscribe()
    }
}

impl Inner {
    /// What `node` runs out of, as far as is known.
    pub(super) fn distress_of(&self, node: NodeId) -> Distress {
        if node == self.session.node {
            return *self.distress.borrow();
        }
        let sights = self.neighbours.sights();
        let sight = sights.borrow().get(&node).copied();
        sight.map(super::sight::Sight::distress).unwrap_or_default()
    }

    /// Whether `node` should not lead: what it writes may not reach its disk.
    pub(super) fn is_unfit(&self, node: NodeId) -> bool {
        let distress = self.distress_of(node);
        distress.disk || distress.stalled
    }
}

/// Has the others hear at once what this node runs out of, and gives its leads away while its disk
/// hangs, until `stop`.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let mut distress = inner.distress.subscribe();
    loop {
        let stalled = distress.borrow_and_update().stalled;
        if stalled && !inner.consensus.leads().is_empty() {
            let giving = inner.consensus.hand_over(HAND_OVER_LIMIT);
            // A group that waits for the disk itself does not answer; the others go on.
            match timeout(HAND_OVER_LIMIT + RETRY, giving).await {
                Ok(0) => {}
                Ok(left) => {
                    tracing::warn!(groups = left, "groups are led here on a disk that hangs")
                }
                Err(_) => tracing::warn!("groups are led here on a disk that hangs"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = distress.changed() => match changed {
                Ok(()) => announce(&inner),
                Err(_) => return,
            },
            () = sleep(RETRY), if stalled => {}
        }
    }
}

/// The others look at this node when it tells them something new about itself.
fn announce(inner: &Inner) {
    let distress = *inner.distress.borrow();
    tracing::warn!(?distress, "what the node runs out of has changed");
    for node in inner.chart().nodes.keys().filter(|node| **node != inner.session.node) {
        inner.neighbours.suspect(*node);
    }
}
