//! Segment files as the engine: batches one behind the other, and an index in memory.
//!
//! A batch is one frame at the end of the active **log segment**, of all groups together: one write
//! and one `fdatasync` of space that is allocated and filled with zeros, or was used before. Values
//! stay where they were written; an [`index::Index`] in memory says where. Small records (votes,
//! hints, origins) are in the index themselves.
//!
//! **Always true:**
//! - A log segment's frames are whole, numbered without gaps, and on the disk before the next segment
//!   begins. A frame is tied to its segment and place by its checksum.
//! - The checkpoint on the disk and the log segments from its start on give the index, exactly.
//! - No file is used again that the checkpoint on the disk refers to, or that stands behind it in the
//!   log, or that somebody reads.
//! - How far the log was synced is known outside of it ([`Watermark`]): an end before that is a loss,
//!   an end behind it a crash.
//!
//! | File | |
//! | --- | --- |
//! | `engine` | that the directory is kept in this way |
//! | `N.segment` | a segment, or room for one; which, says its header ([`file`]) |
//! | `checkpoint` | the index as it was when its start began ([`checkpoint`]) |
//!
//! **Not here:** what a value is worth. Its checksum is its owner's, and is checked by whoever reads it.

mod checkpoint;
mod file;
mod frame;
mod index;
mod keeper;
mod probe;
mod recover;
mod rows;
#[cfg(test)]
mod tests;
mod yard;

pub use probe::probe_segments;

use std::fs::{self, File};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::{Change, Engine, EngineError, Visit};
use crate::Key;
use crate::lock::sync_directory;
use crate::watermark::{self, Found, Watermark};

use checkpoint::Checkpoint;
use file::{HEADER_BYTES, Header, Kind, Segment};
use frame::At;
use index::{Place, Record, Step};
use keeper::Thrift;
use yard::Yard;

/// Says that a directory holds segments.
const MARKER: &str = "engine";
const UNFINISHED_MARKER: &str = "engine.new";
const MARKER_TEXT: &str = "segments\n";

/// Records that a scan takes from the index at once.
const SCAN_RECORDS: usize = 256;

/// What a scan reads at once, and how much of it may belong to others.
const SCAN_BYTES: u32 = 256 << 10;
const SCAN_GAP_BYTES: u32 = 16 << 10;

/// A checkpoint is due when the log behind the last one has this many times the largest segment's
/// size, and this many times the checkpoint's.
const SEGMENTS_PER_CHECKPOINT: u64 = 2;
const LOG_PER_CHECKPOINT: u64 = 4;

/// The frame buffer keeps this much from one batch to the next.
const BUFFER_BYTES: usize = 1 << 20;

/// Segment files, as an [`Engine`].
pub struct SegmentEngine {
    yard: Arc<Yard>,
    active: Mutex<Active>,
    mark: Watermark,
    keeper: Option<JoinHandle<()>>,
}

/// The end of the log.
struct Active {
    segment: Arc<Segment>,
    end: u32,
    next_batch: u64,
    /// Whether something is written and not synced.
    unsynced: bool,
    /// Whether the next file was asked for.
    asked: bool,
    /// Bytes of log since the last checkpoint was cut.
    since_cut: u64,
    buffer: Vec<u8>,
    steps: Vec<Step>,
}

/// Whether segments are in `dir`; none if nothing is.
pub(super) fn is_marked(dir: &Path) -> Result<Option<bool>, EngineError> {
    match fs::read_to_string(dir.join(MARKER)) {
        Ok(text) if text == MARKER_TEXT => return Ok(Some(true)),
        Ok(_) => return Err(EngineError::UnknownEngine),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(EngineError::UnknownEngine);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(EngineError::Segment(error)),
    }
    for entry in fs::read_dir(dir).map_err(EngineError::Segment)? {
        if entry.map_err(EngineError::Segment)?.file_name() != UNFINISHED_MARKER {
            return Ok(Some(false));
        }
    }
    Ok(None)
}

impl SegmentEngine {
    /// Opens the segments in `dir`, or makes some. Beside it stands a file that says how far they
    /// were synced; without that file, what is there is taken for all there was.
    ///
    /// # Errors
    /// When the disk does not do as it is told, or something that was synced is missing.
    pub fn open(dir: &Path, segment_bytes: u32) -> Result<Self, EngineError> {
        let mut engine = Self::unattended(dir, segment_bytes)?;
        let theirs = Arc::clone(&engine.yard);
        let keeper = thread::Builder::new().name(String::from("storage-keeper"));
        let keeper = keeper.spawn(move || keeper::run(&theirs)).map_err(EngineError::Segment)?;
        engine.keeper = Some(keeper);
        Ok(engine)
    }

    /// Without a keeper.
    fn unattended(dir: &Path, segment_bytes: u32) -> Result<Self, EngineError> {
        if is_marked(dir)? != Some(true) {
            set_marker(dir).map_err(EngineError::Segment)?;
        }
        let path = watermark::path_beside(dir);
        let had = match watermark::read(&path).map_err(EngineError::Watermark)? {
            Found::Nothing => 0,
            Found::Damaged => return Err(EngineError::Mark),
            Found::Mark(mark) => mark.change,
        };
        let opened = recover::open(dir, segment_bytes, had)?;
        let has = opened.next_batch.saturating_sub(1);
        let mark = Watermark::begin(&path, dir, has).map_err(EngineError::Watermark)?;
        let yard = Arc::new(opened.yard);
        let active = Active {
            segment: opened.active,
            end: HEADER_BYTES,
            next_batch: opened.next_batch,
            unsynced: false,
            asked: false,
            since_cut: 0,
            buffer: Vec::new(),
            steps: Vec::new(),
        };
        Ok(Self { yard, active: Mutex::new(active), mark, keeper: None })
    }

    fn active(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on in another segment, with room for `bytes`. Nothing has changed if that fails.
    fn roll(&self, active: &mut Active, bytes: usize) -> Result<(), EngineError> {
        if active.unsynced {
            active.segment.sync()?;
            active.unsynced = false;
        }
        let blank = self.yard.take_blank(bytes)?;
        let id = self.yard.supply().number_segment();
        let header = Header { id, kind: Kind::Log, first_batch: active.next_batch };
        let segment = Arc::new(blank.begin(&header)?);
        self.yard.write().segments.insert(id, Arc::clone(&segment));
        (active.segment, active.end, active.asked) = (segment, HEADER_BYTES, false);
        Ok(())
    }

    /// A checkpoint that starts with the active segment, of which nothing is written.
    fn cut(&self, active: &mut Active) {
        active.since_cut = 0;
        let index = self.yard.read().index.clone();
        let (next_batch, start) = (active.next_batch, active.segment.id);
        self.yard.hand_over(Checkpoint { next_batch, start, index });
    }

    /// Begins another segment, unless nothing is in this one, and has a checkpoint written there.
    fn cut_here(&self) -> Result<(), EngineError> {
        let mut active = self.active();
        if active.end > HEADER_BYTES {
            self.roll(&mut active, 0)?;
        }
        self.cut(&mut active);
        Ok(())
    }

    fn make_room(&self, active: &mut Active, bytes: usize) -> Result<(), EngineError> {
        let left = active.segment.capacity().saturating_sub(active.end);
        if usize::try_from(left).unwrap_or(usize::MAX) >= bytes {
            return Ok(());
        }
        self.roll(active, bytes)?;
        let (checkpoint_bytes, failed) = {
            let mut supply = self.yard.supply();
            (supply.checkpoint_bytes, supply.failed.take())
        };
        if let Some(error) = failed {
            return Err(error);
        }
        let segments = u64::from(self.yard.segment_bytes).saturating_mul(SEGMENTS_PER_CHECKPOINT);
        if active.since_cut >= segments.max(checkpoint_bytes.saturating_mul(LOG_PER_CHECKPOINT)) {
            self.cut(active);
        }
        Ok(())
    }

    #[cfg(not(feature = "failpoints"))]
    fn put_on_disk(active: &mut Active, sync: bool) -> Result<bool, EngineError> {
        active.segment.write(&active.buffer, active.end)?;
        if sync {
            active.segment.sync()?;
        }
        Ok(sync)
    }

    /// With something between writing and syncing.
    #[cfg(feature = "failpoints")]
    fn put_on_disk(active: &mut Active, sync: bool) -> Result<bool, EngineError> {
        fail::fail_point!("storage.write", |_| Err(EngineError::Planted("write failed")));
        active.segment.write(&active.buffer, active.end)?;
        if !sync {
            return Ok(false);
        }
        fail::fail_point!("storage.sync.before");
        fail::fail_point!("storage.sync", |_| Err(EngineError::Planted("sync failed")));
        fail::fail_point!("sync.skip", |_| Ok(false));
        active.segment.sync()?;
        fail::fail_point!("storage.sync.after");
        Ok(true)
    }

    /// Shows what `records` hold, neighbours read together; says whether to go on.
    fn show(
        records: &[(Key, Record, Option<Arc<Segment>>)],
        visit: &mut Visit<'_>,
    ) -> Result<ControlFlow<()>, EngineError> {
        let mut rest = records;
        while let Some(((key, record, segment), behind)) = rest.split_first() {
            let (place, segment) = match (record, segment) {
                (Record::Is(value), _) => {
                    if visit(*key, value.clone()).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    rest = behind;
                    continue;
                }
                (Record::At(place), Some(segment)) => (place, segment),
                (Record::At(place), None) => {
                    return Err(EngineError::SegmentMissing { segment: place.segment.0 });
                }
            };
            let (end, count) = neighbours(place, behind);
            let bytes = segment.read(place.offset, end.saturating_sub(place.offset))?;
            let (together, behind) = rest.split_at(count);
            for (key, record, _) in together {
                let Record::At(at) = record else { continue };
                let offset = at.offset.saturating_sub(place.offset);
                let range = span(offset, at.length);
                // A copy, so that one record does not keep all of them in memory.
                let value = match bytes.get(range) {
                    Some(value) if count > 1 => Bytes::copy_from_slice(value),
                    Some(_) | None => bytes.clone(),
                };
                if visit(*key, value).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            rest = behind;
        }
        Ok(ControlFlow::Continue(()))
    }
}

impl Engine for SegmentEngine {
    fn write(&self, changes: &[Change], sync: bool) -> Result<(), EngineError> {
        let mut active = self.active();
        let active = &mut *active;
        self.make_room(active, frame::size(changes))?;
        let at = At { segment: active.segment.id, offset: active.end };
        let batch = active.next_batch;
        frame::encode(&mut active.buffer, &mut active.steps, at, batch, changes);
        let synced = Self::put_on_disk(active, sync)?;
        active.unsynced = !synced;
        active.next_batch = batch.saturating_add(1);
        let length = frame::number(active.buffer.len());
        active.end = active.end.saturating_add(length);
        active.since_cut = active.since_cut.saturating_add(u64::from(length));
        {
            let mut contents = self.yard.write();
            active.steps.iter().for_each(|step| contents.index.perform(step));
        }
        if synced {
            self.mark.raise(batch).map_err(EngineError::Watermark)?;
        }
        active.buffer.clear();
        active.buffer.shrink_to(BUFFER_BYTES);
        if !active.asked && active.end > active.segment.capacity() / 2 {
            active.asked = true;
            self.yard.want_blank();
        }
        Ok(())
    }

    fn read(&self, key: &Key) -> Result<Option<Bytes>, EngineError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("storage.read", |_| Err(EngineError::Planted("read failed")));
        let (place, segment) = {
            let contents = self.yard.read();
            match contents.index.get(key) {
                None => return Ok(None),
                Some(Record::Is(value)) => return Ok(Some(value)),
                Some(Record::At(place)) => (place, contents.segments.get(&place.segment).cloned()),
            }
        };
        let segment = segment.ok_or(EngineError::SegmentMissing { segment: place.segment.0 })?;
        segment.read(place.offset, place.length).map(Some)
    }

    fn scan(&self, from: &Key, to: &Key, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("storage.read", |_| Err(EngineError::Planted("read failed")));
        let mut from = *from;
        loop {
            let records: Vec<_> = {
                let contents = self.yard.read();
                let found = contents.index.range(&from, to, SCAN_RECORDS).into_iter();
                let with_segment = found.map(|(key, record)| {
                    let segment = match &record {
                        Record::At(place) => contents.segments.get(&place.segment).cloned(),
                        Record::Is(_) => None,
                    };
                    (key, record, segment)
                });
                with_segment.collect()
            };
            if Self::show(&records, visit)?.is_break() || records.len() < SCAN_RECORDS {
                return Ok(());
            }
            let last = records.last().map(|(key, ..)| *key);
            match last.and_then(|key| index::behind(&key)) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    fn compact(&self, _ranges: &[(Key, Key)]) -> Result<(), EngineError> {
        let _work = self.yard.work();
        let tidied = self.cut_here().and_then(|()| {
            let Some(start) = keeper::write_checkpoint(&self.yard)? else { return Ok(()) };
            let mut moved = false;
            while keeper::clean(&self.yard, start, Thrift::Strict)? {
                moved = true;
            }
            if moved {
                self.cut_here()?;
                keeper::write_checkpoint(&self.yard)?;
            }
            Ok(())
        });
        self.yard.supply().trim(1);
        match tidied {
            // There is nothing to be given back without some room to begin with.
            Err(error) if error.is_lack_of_room() => Ok(()),
            outcome => outcome,
        }
    }

    fn disk_bytes(&self) -> u64 {
        self.yard.disk_bytes()
    }
}

impl Drop for SegmentEngine {
    fn drop(&mut self) {
        self.yard.supply().closed = true;
        self.yard.asked.notify_all();
        if let Some(keeper) = self.keeper.take() {
            // A thread that panicked has nothing to say.
            drop(keeper.join());
        }
    }
}

/// How far, and how many, of `place` and the records behind it are read at once.
fn neighbours(place: &Place, behind: &[(Key, Record, Option<Arc<Segment>>)]) -> (u32, usize) {
    let mut end = place.offset.saturating_add(place.length);
    let mut count = 1_usize;
    for (_, record, _) in behind {
        let Record::At(next) = record else { break };
        let next_end = next.offset.saturating_add(next.length);
        let near = next.segment == place.segment
            && next.offset >= end
            && next.offset.saturating_sub(end) <= SCAN_GAP_BYTES
            && next_end.saturating_sub(place.offset) <= SCAN_BYTES;
        if !near {
            break;
        }
        (end, count) = (next_end, count.saturating_add(1));
    }
    (end, count)
}

fn span(offset: u32, length: u32) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    start..start.saturating_add(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Says in `dir` that it holds segments. On the disk on return.
fn set_marker(dir: &Path) -> io::Result<()> {
    let unfinished = dir.join(UNFINISHED_MARKER);
    let mut file = File::create(&unfinished)?;
    file.write_all(MARKER_TEXT.as_bytes())?;
    file.sync_all()?;
    fs::rename(unfinished, dir.join(MARKER))?;
    sync_directory(dir)
}
