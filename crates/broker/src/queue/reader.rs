//! Reads messages of one shard, one after the other.

use bytes::Bytes;
use warren_queue::entry::{Message, chunk, message};
use warren_types::{Location, LogIndex};

use super::handle::ShardHandle;

/// Reads messages. Neighbours mostly stand in one row, so the last row is kept.
pub(crate) struct Reader<'a> {
    shard: &'a ShardHandle,
    last: Option<(LogIndex, Bytes)>,
}

impl<'a> Reader<'a> {
    /// Reads messages of `shard`.
    pub(crate) fn new(shard: &'a ShardHandle) -> Self {
        Self { shard, last: None }
    }

    /// The message whose record stands there; none where it is not needed any more.
    pub(crate) async fn message(&mut self, at: Location) -> Option<Message> {
        let kept = self.last.as_ref().filter(|(index, _)| *index == at.index);
        if let Some(found) = kept.and_then(|(_, row)| message(row, at.offset).ok()) {
            return Some(found);
        }
        let row = self.shard.row(at.index, &[at.offset]).await?;
        let found = message(&row, at.offset).ok();
        self.last = Some((at.index, row));
        found
    }

    /// When the entry came that the last message stands in, in milliseconds since 1970.
    pub(crate) fn last_time_ms(&self) -> Option<u64> {
        let (_, row) = self.last.as_ref()?;
        warren_queue::entry::time(row).map(|time| time.0)
    }

    /// The body of a message: its parts, as many as it takes to have so many bytes of it.
    pub(crate) async fn body(
        &self,
        parts: &[Location],
        last: &Bytes,
        bytes: usize,
    ) -> Option<Vec<Bytes>> {
        let (mut pieces, mut length) = (Vec::new(), 0_usize);
        for part in parts {
            if length >= bytes {
                return Some(pieces);
            }
            let row = self.shard.row(part.index, &[part.offset]).await?;
            let piece = chunk(&row, part.offset).ok()?;
            length = length.saturating_add(piece.len());
            pieces.push(piece);
        }
        pieces.push(last.clone());
        Some(pieces)
    }
}
