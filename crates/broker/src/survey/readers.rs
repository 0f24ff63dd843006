//! Who reads streams, on this node.
//!
//! A stream's leader knows nothing of its readers, so every node tells about its own, and whoever has
//! asked adds them to what the leader says.

use std::collections::BTreeMap;

use tokio::time::Instant;
use warren_types::QueueId;

use super::local::{led, look, places};
use super::rows::{MessageCounts, MessageRates, QueueFigures};
use super::wire::wire_struct;
use crate::broker::Inner;

wire_struct! {
    /// What one node's consumers of a stream come to.
    #[derive()]
    ReaderFigures {
        /// Which stream.
        queue: QueueId,
        /// Consumers.
        consumers: u64,
        /// What happened.
        counts: MessageCounts,
        /// How fast.
        rates: MessageRates,
    }
}

wire_struct! {
    /// How far a stream reaches.
    #[derive(Copy, Eq)]
    StreamReach {
        /// The first message that is there.
        first_offset: u64,
        /// The message that comes next.
        next_offset: u64,
        /// Bytes that count towards its limit.
        bytes: u64,
        /// Its segments, of which the oldest go first.
        segments: u64,
    }
}

/// How far a stream reaches, if this node leads it.
pub(super) async fn reach(broker: &Inner, queue: QueueId) -> Option<StreamReach> {
    let (_, slot) = places(broker, vec![queue]).pop()?;
    if !led(broker).contains(&slot) {
        return None;
    }
    let status = look(broker.shard(slot), move |shard| shard.stream(queue)).await??;
    Some(StreamReach {
        first_offset: status.first_offset,
        next_offset: status.next_offset,
        bytes: status.bytes,
        segments: u64::try_from(status.segments).unwrap_or(u64::MAX),
    })
}

/// The streams that this node's clients read, or have read.
pub(super) fn figures(broker: &Inner) -> Vec<ReaderFigures> {
    let stock = broker.books.take_stock(|stream| {
        broker.directory.look(|catalog| catalog.queue_by_id(stream).is_some())
    });
    let counts = |deliver, ack| MessageCounts { deliver, ack, ..MessageCounts::default() };
    let grown: Vec<_> = stock
        .iter()
        .map(|(stream, account)| (*stream, counts(account.delivered, account.acknowledged)))
        .collect();
    let rates = broker.sight.reader_paces.of(Instant::now(), grown.iter().copied());
    let figures = stock.iter().zip(grown).zip(rates);
    figures
        .map(|(((queue, account), (_, counts)), rates)| ReaderFigures {
            queue: *queue,
            consumers: account.consumers,
            counts,
            rates,
        })
        .collect()
}

/// Adds the readers of streams to what their leaders say.
pub(super) fn add<'a>(
    rows: impl Iterator<Item = &'a mut QueueFigures>,
    readers: Vec<ReaderFigures>,
) {
    let mut rows: BTreeMap<QueueId, &mut QueueFigures> = rows.map(|row| (row.queue, row)).collect();
    for reader in readers {
        let Some(row) = rows.get_mut(&reader.queue) else { continue };
        row.consumers =
            row.consumers.saturating_add(u32::try_from(reader.consumers).unwrap_or(u32::MAX));
        row.counts = row.counts.zip(&reader.counts, u64::saturating_add);
        row.rates = row.rates.zip(&reader.rates, |one, other| one + other);
    }
}
