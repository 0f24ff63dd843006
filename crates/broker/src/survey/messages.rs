//! The messages of a queue, looked at without touching them.
//!
//! The leader of the queue looks, and reads the messages from its own disk. Nothing is noted of it
//! anywhere. **Always holds:** a look ends when it has told or read as much as it may, or has taken
//! long enough, and then says where to go on.

mod rows;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, timeout};
use warren_amqp::Body;
use warren_queue::{MessageListing, Shard};
use warren_types::{Location, QueueId};

pub use self::rows::{
    Bookmark, FoundMessages, MessageFilter, MessageId, MessageQuery, MessageRow, MessageState,
};
use super::local::{LOCAL_LIMIT, led, look, places};
use crate::broker::Inner;
use crate::connection::operator::beginning;
use crate::queue::handle::ShardHandle;
use crate::queue::reader::Reader;

/// Messages that a shard lists at once: nothing else happens in it meanwhile.
const LISTED_AT_ONCE: usize = 512;

/// How long a look may take: less than whoever asks waits for another node.
const LOOK_LIMIT: Duration = Duration::from_millis(800);

/// Bytes of properties and bodies in one answer, after which it ends.
const ANSWER_BYTES: usize = 1024 * 1024;

/// Looks at messages of a queue, if this node leads it. To whom it `is_enough` where they are,
/// nothing else is told.
pub(super) async fn search(
    broker: &Inner,
    queue: QueueId,
    query: MessageQuery,
    is_enough: bool,
) -> Option<FoundMessages> {
    let (_, slot) = places(broker, vec![queue]).pop()?;
    if !led(broker).contains(&slot) {
        return None;
    }
    let shard = broker.shard(slot);
    let listing = look(shard, move |machine| machine.queue(queue)).await??;
    let attempts = listing.settings.retry.map(|retry| retry.delays_ms.len());
    let mut walk = Walk {
        shard,
        reader: Reader::new(shard),
        found: FoundMessages {
            newest: listing.counts.published,
            attempts: attempts.and_then(|attempts| u64::try_from(attempts).ok()),
            ..FoundMessages::default()
        },
        position: query.from.map_or(0, |from| from.position),
        told_bytes: 0,
        until: Instant::now() + LOOK_LIMIT,
        queue,
        query,
        is_enough,
    };
    if walk.query.filter.ids.is_empty() {
        walk.along().await?
    } else {
        walk.by_ids().await?
    }
    Some(walk.found)
}

/// A look at a queue, from message to message.
struct Walk<'a> {
    shard: &'a ShardHandle,
    reader: Reader<'a>,
    queue: QueueId,
    query: MessageQuery,
    is_enough: bool,
    found: FoundMessages,
    position: u64,
    told_bytes: usize,
    until: Instant,
}

impl Walk<'_> {
    /// Looks at one message after the other.
    async fn along(&mut self) -> Option<()> {
        let queue = self.queue;
        let mut from = self.query.from.map(|from| (from.spot, from.id.at()));
        loop {
            let list = move |machine: &Shard| machine.browse(queue, from, LISTED_AT_ONCE);
            let page = look(self.shard, list).await??;
            for message in &page.messages {
                if self.is_over() {
                    let (spot, id) = (message.spot, MessageId::of(message.at));
                    self.found.next = Some(Bookmark { spot, id, position: self.position });
                    return Some(());
                }
                if self.position >= self.query.offset {
                    self.visit(message).await;
                }
                self.position = self.position.saturating_add(1);
            }
            let Some(next) = page.next else { return Some(()) };
            from = Some(next);
        }
    }

    /// Looks at those messages alone that are asked for by name.
    async fn by_ids(&mut self) -> Option<()> {
        let queue = self.queue;
        let wanted = self.query.filter.ids.iter().map(|id| id.at()).collect();
        let messages = look(self.shard, move |machine| machine.locate(queue, &wanted)).await?;
        for message in &messages {
            // There is nothing to go on with, so nothing is left out for want of time.
            if self.has_told_enough() {
                break;
            }
            self.visit(message).await;
            self.position = self.position.saturating_add(1);
        }
        Some(())
    }

    /// Whether this look has lasted long enough.
    fn is_over(&self) -> bool {
        self.has_told_enough()
            || self.found.scanned >= self.query.scan
            || Instant::now() >= self.until
    }

    fn has_told_enough(&self) -> bool {
        let told = u64::try_from(self.found.rows.len()).unwrap_or(u64::MAX);
        told >= self.query.count || self.told_bytes >= ANSWER_BYTES
    }

    /// Tells of a message if it is meant.
    async fn visit(&mut self, message: &MessageListing) {
        self.found.scanned = self.found.scanned.saturating_add(1);
        let filter = &self.query.filter;
        if !filter.fits_state(MessageState::of(message.spot)) {
            return;
        }
        let row = MessageRow::bare(self.position, message);
        let row = if self.is_enough && !filter.asks_for_content() {
            Some(row)
        } else {
            timeout(LOCAL_LIMIT, self.described(message, row)).await.ok().flatten()
        };
        if let Some(row) = row {
            let bytes = row.payload.len().saturating_add(row.header.len());
            self.told_bytes = self.told_bytes.saturating_add(bytes);
            self.found.rows.push(row);
        }
    }

    /// The same with what the message itself says, if it is meant and still there.
    async fn described(
        &mut self,
        message: &MessageListing,
        mut row: MessageRow,
    ) -> Option<MessageRow> {
        let content = self.reader.message(message.at).await?;
        let filter = &self.query.filter;
        if !filter.fits(&content) {
            return None;
        }
        let prefix = filter.body_prefix.as_deref().unwrap_or_default().as_bytes();
        let truncate = usize::try_from(self.query.truncate).unwrap_or(usize::MAX);
        let entered_ms = self.reader.last_time_ms();
        let wanted = truncate.max(prefix.len());
        let parts: &[Location] = message.parts.as_deref().unwrap_or_default();
        let body = self.reader.body(parts, &content.body, wanted).await?;
        let body = beginning(&Body::from_pieces(body), wanted);
        if !body.starts_with(prefix) {
            return None;
        }
        if self.is_enough {
            return Some(row);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        row.payload = body.slice(..truncate.min(body.len()));
        // In memory of its own: the row that it stands in may be large.
        row.header = Bytes::copy_from_slice(&content.header);
        row.exchange = text(&content.exchange);
        row.routing_key = text(&content.routing_key);
        row.entered_ms = entered_ms;
        Some(row)
    }
}
