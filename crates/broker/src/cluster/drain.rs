//! Gives away what this node leads, before it ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;

/// Has every group that is led here be led elsewhere, as far as `limit` allows. From here on this
/// node says that it goes, so nobody gives it anything to lead.
pub(super) async fn run(inner: &Inner, limit: Duration) {
    inner.draining.store(true, Ordering::Relaxed);
    let chart = inner.chart();
    // They look at this node when it tells them that it goes.
    for node in chart.nodes.keys().filter(|node| **node != inner.session.node) {
        inner.neighbours.suspect(*node);
    }
    let left = inner.consensus.hand_over(limit).await;
    if left > 0 {
        tracing::warn!(groups = left, "groups are still led here: nobody else could");
    }
}
