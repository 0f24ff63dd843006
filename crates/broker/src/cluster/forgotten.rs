//! Finds out that the cluster has forgotten this node.
//!
//! A node that was cut off or down when it was forgotten hears no entry that says so: nobody sends it
//! any more, and it would wait for a leader for ever. So it asks, one node after the other; any of
//! them that has forgotten it is certain, as ids are never given twice.

use std::time::Duration;

use tokio::time::sleep;
use warren_consensus::Peers;
use warren_rpc::{Distress, Ping};
use warren_types::NodeId;

use super::neighbours::LOOK_LIMIT;
use crate::directory::Directory;

/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is said of it.
pub(crate) const FORGOTTEN: &str = "the cluster has forgotten this node: its data directory is of no use \
                                    any more; with an empty one it can join as a new node";

/// Returns once some node says that the cluster has forgotten this one.
pub(crate) async fn find_out(directory: Directory, peers: Peers) {
    let here = peers.identity().node;
    let mut asked: Option<NodeId> = None;
    loop {
        sleep(INTERVAL).await;
        let next = directory.look(|catalog| {
            let others = || catalog.nodes().filter(|row| row.id != here);
            let next = others().find(|row| Some(row.id) > asked).or_else(|| others().next());
            next.map(|row| (row.id, row.address.clone()))
        });
        let Some((node, address)) = next else { continue };
        asked = Some(node);
        peers.set_address(node, &address);
        let ping = Ping { draining: false, distress: Distress::default() };
        if peers.ping(node, ping, LOOK_LIMIT).await.is_ok_and(|pong| pong.forgotten) {
            return;
        }
    }
}
