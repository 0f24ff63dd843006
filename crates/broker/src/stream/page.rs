//! Messages of a stream that follow each other, read from this node's replica.

use std::collections::BTreeMap;

use bytes::Bytes;
use warren_consensus::Group;
use warren_queue::entry::{chunk, thin, time};
use warren_queue::{DeliveredRun, Shard};
use warren_types::{Location, LogIndex, QueueId, Timestamp};

/// The most messages of a page.
const PAGE_MESSAGES: usize = 16 * 1024;

/// Bytes of rows after which a page ends: enough that a page is worth its way, little enough that
/// many readers fit into memory. One row, and one message, is in a page whatever its size.
const PAGE_BYTES: usize = 512 * 1024;

/// A row is reduced to what a reader needs where that is less than one part in so many.
const SPARSE_SHARE: usize = 4;

/// What a record takes in a row besides its body, about.
const RECORD_BYTES: usize = 64;

/// Messages of a stream that follow each other, with their bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) pieces: Vec<Piece>,
    /// Where the messages behind it begin.
    pub(crate) next: u64,
}

/// Messages that stand in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The offset of the first one.
    pub(crate) first: u64,
    pub(crate) run: DeliveredRun,
    pub(crate) row: Bytes,
    /// Earlier parts of the body of a large one.
    pub(crate) parts: Vec<Bytes>,
}

/// What a replica has at an offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It does not know the stream.
    Missing,
    /// The stream ends there, or before.
    Nothing,
    /// Messages.
    Page(Page),
}

/// Reads what stands in the stream from the offset `from` on.
pub(crate) async fn read(group: &Group<Shard>, queue: QueueId, from: u64) -> Found {
    let limit_bytes = u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX);
    let listed = group.inspect(|shard| shard.stream_page(queue, from, PAGE_MESSAGES, limit_bytes));
    let Some(listed) = listed else { return Found::Missing };
    if listed.runs.is_empty() {
        return Found::Nothing;
    }
    let (runs, whole) = alike(listed.runs);
    let (indexes, limit) = rows_of(&runs);
    let read = group.rows().read_ahead(indexes.clone(), limit).await;
    // A disk that cannot be read ends the process.
    let Ok(read) = read else { return Found::Nothing };
    let rows: BTreeMap<LogIndex, Option<Bytes>> = indexes.into_iter().zip(read).collect();
    let rows = thinned(&runs, rows);
    let mut page = Page { pieces: Vec::new(), next: listed.first_offset };
    for run in runs {
        // What was not read is in the next page.
        let Some(row) = rows.get(&run.location.index) else { return Found::Page(page) };
        let first = page.next;
        page.next = first.saturating_add(u64::from(run.count));
        // A row that is gone went with the head of the stream.
        let Some(row) = row.clone() else { continue };
        let Some(parts) = parts_of(&run, &rows) else { continue };
        page.pieces.push(Piece { first, run, row, parts });
    }
    if whole {
        page.next = page.next.max(listed.next_offset);
    }
    Found::Page(page)
}

/// The runs up to the first large message, or that message alone; and whether those are all.
fn alike(mut runs: Vec<DeliveredRun>) -> (Vec<DeliveredRun>, bool) {
    let count = match runs.iter().position(|run| run.parts.is_some()) {
        None => return (runs, true),
        Some(0) => 1,
        Some(at) => at,
    };
    let whole = count == runs.len();
    runs.truncate(count);
    (runs, whole)
}

/// The rows that runs need, each once, and how many bytes of them to read at most.
fn rows_of(runs: &[DeliveredRun]) -> (Vec<LogIndex>, usize) {
    let mut indexes = Vec::new();
    let mut limit = PAGE_BYTES;
    for run in runs {
        for part in run.parts.iter().flat_map(|parts| parts.iter()) {
            limit = usize::MAX;
            indexes.push(part.index);
        }
        indexes.push(run.location.index);
    }
    indexes.dedup();
    (indexes, limit)
}

/// The earlier parts of a large body; none where one is gone.
fn parts_of(run: &DeliveredRun, rows: &BTreeMap<LogIndex, Option<Bytes>>) -> Option<Vec<Bytes>> {
    let read = |part: &Location| {
        let row = rows.get(&part.index)?.as_ref()?;
        chunk(row, part.offset).ok()
    };
    run.parts.iter().flat_map(|parts| parts.iter()).map(read).collect()
}

/// The same rows, without what others need of them where that is most: a page keeps its rows.
fn thinned(
    runs: &[DeliveredRun],
    mut rows: BTreeMap<LogIndex, Option<Bytes>>,
) -> BTreeMap<LogIndex, Option<Bytes>> {
    let mut used: BTreeMap<LogIndex, usize> = BTreeMap::new();
    for run in runs.iter().filter(|run| run.parts.is_none()) {
        let each = usize::try_from(run.size).unwrap_or(usize::MAX).saturating_add(RECORD_BYTES);
        let count = usize::try_from(run.count).unwrap_or(usize::MAX);
        let sum = used.entry(run.location.index).or_default();
        *sum = sum.saturating_add(each.saturating_mul(count));
    }
    for (index, used) in used {
        let Some(Some(row)) = rows.get_mut(&index) else { continue };
        if used.saturating_mul(SPARSE_SHARE) < row.len() {
            let mine = runs.iter().filter(|run| run.location.index == index);
            let offsets: Vec<u32> = mine.flat_map(offsets_of).collect();
            *row = thin(row, &offsets);
        }
    }
    rows
}

/// Where the messages of a run stand in their row.
pub(crate) fn offsets_of(run: &DeliveredRun) -> impl Iterator<Item = u32> {
    let DeliveredRun { location, stride, count, .. } = *run;
    (0..count).map(move |at| location.offset.saturating_add(stride.saturating_mul(at)))
}

/// The offset of the first message that came at `time_ms` or later, by the clocks of the leaders of
/// those days; none where the stream is not known here.
pub(crate) async fn since(group: &Group<Shard>, queue: QueueId, time_ms: u64) -> Option<u64> {
    let among = group.inspect(|shard| shard.stream_since(queue, Timestamp(time_ms)))?;
    let (mut low, mut high) = (among.start, among.end);
    // All before `low` are older; the one at `high` is not, or is the first of those that are not.
    while low < high {
        let middle = low.saturating_add((high.saturating_sub(low)) / 2);
        let run = group.inspect(|shard| shard.stream_run_at(queue, middle));
        let Some(run) = run else {
            // Its head went meanwhile, and that was older than what is left.
            low = middle.saturating_add(1);
            continue;
        };
        let row = group.rows().read(run.row).await.ok().flatten();
        match row.as_deref().and_then(time) {
            Some(came) if came.0 < time_ms => low = run.next_offset.max(middle.saturating_add(1)),
            // One of which it is not known when it came is not passed over.
            Some(_) | None => high = run.first_offset.min(middle).max(low),
        }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn run(index: u64, count: u32, parts: &[u64]) -> DeliveredRun {
        let at = |index: u64| Location { index: LogIndex(index), offset: 10 };
        let parts: Vec<Location> = parts.iter().copied().map(at).collect();
        DeliveredRun {
            location: at(index),
            stride: 100,
            count,
            size: 50,
            redelivered: false,
            delivery_count: 0,
            acquired_count: 0,
            parts: (!parts.is_empty()).then(|| Arc::from(parts)),
        }
    }

    #[test]
    fn a_large_message_has_a_page_of_its_own() {
        let small = || run(1, 5, &[]);
        let large = || run(4, 1, &[2, 3]);

        assert_eq!(alike(vec![small(), small()]), (vec![small(), small()], true));
        assert_eq!(alike(vec![small(), large(), small()]), (vec![small()], false));
        assert_eq!(alike(vec![large(), small()]), (vec![large()], false));
        assert_eq!(alike(vec![large()]), (vec![large()], true));
    }

    #[test]
    fn the_rows_of_a_page_are_read_once_each_and_those_of_a_large_message_all() {
        let index = |index: u64| LogIndex(index);
        let several = [run(1, 5, &[]), run(1, 3, &[]), run(2, 1, &[])];

        assert_eq!(rows_of(&several), (vec![index(1), index(2)], PAGE_BYTES));
        let large = rows_of(&[run(4, 1, &[2, 2, 3])]);
        assert_eq!(large, (vec![index(2), index(3), index(4)], usize::MAX));
    }

    #[test]
    fn the_messages_of_a_run_stand_at_equal_distances() {
        assert_eq!(offsets_of(&run(1, 3, &[])).collect::<Vec<_>>(), [10, 110, 210]);
    }
}
