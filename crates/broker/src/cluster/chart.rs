//! What the catalog says about the cluster itself, as a value that can be compared.
//!
//! The catalog changes with every queue; nodes and shards hardly ever do. One task looks, and
//! everybody else is woken only when something about the cluster is different.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use warren_catalog::{Catalog, Node};
use warren_types::{GroupId, NodeId};

use crate::directory::Directory;

/// The shortest time between two looks, however much is declared meanwhile.
const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// The nodes, and who should hold which shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chart {
    /// The nodes.
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// The nodes that should hold each shard; the first should lead it.
    pub(crate) shards: BTreeMap<GroupId, Vec<NodeId>>,
}

impl Chart {
    fn of(catalog: &Catalog) -> Self {
        let shards = catalog.shards().map(|shard| (shard.group, shard.replicas.clone()));
        Self {
            nodes: catalog.nodes().map(|node| (node.id, node.clone())).collect(),
            shards: shards.collect(),
        }
    }

    /// The nodes that should hold a shard.
    pub(crate) fn replicas(&self, group: GroupId) -> &[NodeId] {
        self.shards.get(&group).map_or(&[], Vec::as_slice)
    }

    /// Nodes whose process is believed to run.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.running)
    }
}

/// Keeps a chart up to date.
pub(super) struct Surveyor {
    directory: Directory,
    chart: watch::Sender<Arc<Chart>>,
}

impl Surveyor {
    /// A chart as of this moment, and the task that has to be run for it.
    pub(super) fn new(directory: Directory) -> (watch::Receiver<Arc<Chart>>, Self) {
        let (chart, seen) = watch::channel(Arc::new(directory.look(Chart::of)));
        (seen, Self { directory, chart })
    }

    /// Serves until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut changes = self.directory.changes();
        loop {
            changes.mark_unchanged();
            let chart = self.directory.look(Chart::of);
            self.chart.send_if_modified(|known| {
                let changed = **known != chart;
                if changed {
                    *known = Arc::new(chart);
                }
                changed
            });
            tokio::select! {
                () = stop.cancelled() => return,
                changed = changes.changed() => if changed.is_err() { return },
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_PAUSE) => {}
            }
        }
    }
}
