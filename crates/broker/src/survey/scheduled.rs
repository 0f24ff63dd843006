//! Messages that wait for a time that their publishers chose: listed, and dropped.

use std::collections::BTreeMap;

use futures::future::join_all;
use tokio::time::timeout;
use warren_amqp::header;
use warren_queue::entry::message;
use warren_queue::{Command, CommandReply, Refusal, ScheduledListing};
use warren_types::{Location, LogIndex, QueueId, Timestamp};

use super::local::{LOCAL_LIMIT, led, look, places};
use super::question::Question;
use super::rows::{Gathered, ScheduledRow};
use crate::broker::{Broker, Inner};
use crate::connection::context::{Context, Kind, unexpected};
use crate::failure::Failure;
use crate::queue::handle::{ShardHandle, ShardSlot};

impl Broker {
    /// Up to `limit` messages of a virtual host, those first whose time comes first.
    pub async fn scheduled(&self, vhost: &str, limit: usize) -> Gathered<ScheduledRow> {
        let most = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut gathered = self.gather(&Question::Scheduled(vhost.to_owned(), most)).await;
        cut(&mut gathered.rows, limit);
        gathered
    }
}

fn cut(rows: &mut Vec<ScheduledRow>, limit: usize) {
    rows.sort_by_key(|row| (row.in_ms, row.queue, row.row, row.offset));
    rows.truncate(limit);
}

/// Those of the queues that this node leads.
pub(super) async fn of_vhost(broker: &Inner, vhost: &str, limit: u64) -> Vec<ScheduledRow> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let queues =
        broker.directory.look(|catalog| catalog.queues(vhost).map(|queue| queue.id).collect());
    let mut by_slot: BTreeMap<ShardSlot, Vec<QueueId>> = BTreeMap::new();
    let here = led(broker);
    for (queue, slot) in places(broker, queues).into_iter().filter(|(_, slot)| here.contains(slot))
    {
        by_slot.entry(slot).or_default().push(queue);
    }
    let looks = by_slot.into_iter().map(async |(slot, queues)| {
        let of_shard = look(broker.shard(slot), move |machine| {
            let of_queue =
                |queue| machine.scheduled(queue, limit).into_iter().map(move |one| row(queue, one));
            let mut rows: Vec<ScheduledRow> = queues.into_iter().flat_map(of_queue).collect();
            cut(&mut rows, limit);
            rows
        });
        let rows = of_shard.await.unwrap_or_default();
        join_all(rows.into_iter().map(|row| described(broker.shard(slot), row))).await
    });
    join_all(looks).await.into_iter().flatten().collect()
}

fn row(queue: QueueId, listing: ScheduledListing) -> ScheduledRow {
    ScheduledRow {
        queue,
        due: listing.due.0,
        in_ms: listing.in_ms,
        row: listing.at.index.0,
        offset: listing.at.offset,
        payload_bytes: u64::from(listing.size),
        exchange: String::new(),
        routing_key: String::new(),
        message_id: None,
    }
}

/// The same with what the message itself says, if it can be read in time.
async fn described(shard: &ShardHandle, mut row: ScheduledRow) -> ScheduledRow {
    let offset = row.offset;
    let offsets = [offset];
    let read = timeout(LOCAL_LIMIT, shard.row(LogIndex(row.row), &offsets)).await.ok().flatten();
    if let Some(message) = read.and_then(|bytes| message(&bytes, offset).ok()) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        row.exchange = text(&message.exchange);
        row.routing_key = text(&message.routing_key);
        row.message_id = header::message_id(&message.header).map(text);
    }
    row
}

impl Context {
    /// Drops a message that waits for its time. Returns whether it was there.
    pub(crate) async fn cancel_scheduled(
        &self,
        queue: &str,
        due: Timestamp,
        at: Location,
    ) -> Result<bool, Failure> {
        self.permit(warren_catalog::Access::Read, Kind::Queue, queue).await?;
        let queue = self.queue(queue).await?;
        match self.ask(&queue, &Command::CancelScheduled { queue: queue.id, due, at }).await? {
            Some(CommandReply::Purged { messages }) => Ok(messages > 0),
            Some(CommandReply::Refused(Refusal::UnknownQueue | Refusal::QueueDeleted)) => Ok(false),
            other => Err(unexpected(other.as_ref())),
        }
    }
}
