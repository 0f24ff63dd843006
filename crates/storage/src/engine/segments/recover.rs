//! Opening a directory of segments: the last checkpoint, and the log behind it.
//!
//! The log ends at the first batch that is not whole, or not the next one. Whether that is the end
//! that a crash has torn, or whether something is missing, tells the number of the last batch that
//! was synced, which is kept beside the directory. After a torn end the log goes on in a segment of
//! its own, from a checkpoint that has it as its start: what may stand behind the torn place is never
//! looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::checkpoint::Checkpoint;
use super::file::{self, Blank, HEADER_BYTES, Header, Kind, Segment, SegmentId};
use super::frame::{self, At};
use super::keeper::{self, Thrift};
use super::yard::{Contents, Supply, Yard};
use crate::EngineError;

/// A directory that was opened.
pub(super) struct Opened {
    pub(super) yard: Yard,
    /// Where the next batch goes.
    pub(super) active: Arc<Segment>,
    pub(super) next_batch: u64,
}

/// Segments as they are found, and files that are none.
struct Files {
    segments: BTreeMap<SegmentId, (Header, Segment)>,
    blanks: Vec<Blank>,
    supply: Supply,
}

/// Opens the segments in `dir`, of which the first `had` batches were synced.
pub(super) fn open(dir: &Path, segment_bytes: u32, had: u64) -> Result<Opened, EngineError> {
    let mut checkpoint = Checkpoint::read(dir)?.unwrap_or_default();
    let mut files = find(dir, checkpoint.start, segment_bytes)?;
    // What the checkpoint on the disk refers to must stay until there is another.
    let referred: BTreeSet<SegmentId> = checkpoint.index.segments().collect();
    let ends = replay(&files.segments, &mut checkpoint)?;
    let has = checkpoint.next_batch.saturating_sub(1);
    if has < had {
        return Err(EngineError::Lost { had, has });
    }
    for id in checkpoint.index.segments() {
        if !files.segments.contains_key(&id) {
            return Err(EngineError::SegmentMissing { segment: id.0 });
        }
    }

    let stale = |id: &SegmentId| !referred.contains(id) && !ends.contains_key(id);
    let stale: Vec<_> = files.segments.extract_if(.., |id, _| stale(id)).collect();
    let stale =
        stale.into_iter().filter_map(|(_, (_, segment))| Segment::retire(Arc::new(segment)));
    files.blanks.extend(stale);
    files.blanks.sort_by_key(|blank| std::cmp::Reverse(blank.capacity()));
    let mut supply = files.supply;
    files.blanks.into_iter().for_each(|blank| supply.give(blank));

    let segments = files.segments.into_iter().map(|(id, (_, segment))| (id, Arc::new(segment)));
    let contents = Contents { index: checkpoint.index.clone(), segments: segments.collect() };
    let yard = Yard::new(dir.to_path_buf(), segment_bytes, contents, supply);
    let blank = yard.take_blank(0)?;
    let id = yard.supply().number_segment();
    let next_batch = checkpoint.next_batch;
    let active = Arc::new(blank.begin(&Header { id, kind: Kind::Log, first_batch: next_batch })?);
    yard.write().segments.insert(id, Arc::clone(&active));

    cut_off(&yard, &ends);
    match keeper::clean(&yard, id, Thrift::Usual) {
        Err(error) if !error.is_lack_of_room() => return Err(error),
        // What is left of each life would gather otherwise, if none of them lasts.
        Ok(_) | Err(_) => {}
    }
    let checkpoint = Checkpoint { next_batch, start: id, index: yard.read().index.clone() };
    let bytes = checkpoint.write(dir).map_err(EngineError::Segment)?;
    yard.supply().checkpoint_bytes = bytes;
    yard.free(id, &checkpoint.index);
    Ok(Opened { yard, active, next_batch })
}

/// What is in `dir`.
fn find(dir: &Path, start: SegmentId, segment_bytes: u32) -> Result<Files, EngineError> {
    let mut segments = BTreeMap::new();
    let mut blanks = Vec::new();
    let (mut next_file, mut next_segment, mut largest) = (1, start.next(), 0);
    for found in file::list(dir).map_err(EngineError::Segment)? {
        next_file = next_file.max(found.number.saturating_add(1));
        largest = largest.max(found.blank.capacity());
        let Some(header) = found.header else {
            blanks.push(found.blank);
            continue;
        };
        next_segment = next_segment.max(header.id.next());
        let double = segments.insert(header.id, (header, found.into_segment(header.id)));
        if double.is_some() {
            return Err(EngineError::SegmentTwice { segment: header.id.0 });
        }
    }
    let supply = Supply::new(next_file, next_segment, largest, segment_bytes);
    Ok(Files { segments, blanks, supply })
}

/// Gives back the room behind the ends of log segments, which nothing will be written to any more.
fn cut_off(yard: &Yard, ends: &BTreeMap<SegmentId, u32>) {
    let mut contents = yard.write();
    for (id, end) in ends {
        if let Some(segment) = contents.segments.get_mut(id).and_then(Arc::get_mut) {
            segment.cut_off(*end);
        }
    }
}

/// Does what the log behind `checkpoint` says; returns where it ends in each of its segments. All of
/// it is on the disk on return.
fn replay(
    segments: &BTreeMap<SegmentId, (Header, Segment)>,
    checkpoint: &mut Checkpoint,
) -> Result<BTreeMap<SegmentId, u32>, EngineError> {
    let mut ends = BTreeMap::new();
    for (id, (header, segment)) in segments.range(checkpoint.start..) {
        match header.kind {
            Kind::Log => {}
            Kind::Kept => continue,
        }
        if header.first_batch != checkpoint.next_batch {
            break;
        }
        let bytes = segment.contents()?;
        let mut at = At { segment: *id, offset: HEADER_BYTES };
        while let Some(frame) = frame::decode(&bytes, at)? {
            if frame.batch != checkpoint.next_batch {
                break;
            }
            frame.steps.iter().for_each(|step| checkpoint.index.perform(step));
            checkpoint.next_batch = checkpoint.next_batch.saturating_add(1);
            at.offset = frame.end;
        }
        // What was not synced by a process that was killed is read like the rest, and relied on.
        segment.sync()?;
        ends.insert(*id, at.offset);
    }
    Ok(ends)
}
