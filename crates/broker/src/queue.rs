//! Queues, from the front end's side: the shards that hold them and the tasks that speak to those.

pub(crate) mod batch;
pub(crate) mod effects;
pub(crate) mod handle;
pub(crate) mod leader;
pub(crate) mod local;

use warren_catalog::Queue;
use warren_queue::QueueSettings;

/// What a queue's shard has to know of its row.
pub(crate) fn settings(queue: &Queue) -> QueueSettings {
    QueueSettings {
        auto_delete: queue.auto_delete,
        single_active_consumer: queue.settings.single_active_consumer,
    }
}
