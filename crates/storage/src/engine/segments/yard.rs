//! What writer, readers and keeper of the segments share: where everything is, and files to come.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use super::checkpoint::Checkpoint;
use super::file::{Blank, HEADER_BYTES, Segment, SegmentId};
use super::index::Index;
use crate::EngineError;

/// The first file of a fresh directory; each one after it is twice as large, up to the configured
/// size, so that a node with little to keep takes little room.
const FIRST_BYTES: u32 = 1 << 20;

/// Files kept for use again.
const MAX_BLANKS: usize = 4;

/// What a read looks at, all at once.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) index: Index,
    pub(super) segments: BTreeMap<SegmentId, Arc<Segment>>,
}

/// Files and numbers to come, and what the keeper is asked to do.
#[derive(Debug)]
pub(super) struct Supply {
    blanks: Vec<Blank>,
    next_file: u64,
    pub(super) next_segment: SegmentId,
    /// Size of the next file.
    capacity: u32,
    /// Whether a file is to be made ahead of its use.
    pub(super) blank_wanted: bool,
    /// To be written.
    pub(super) cut: Option<Checkpoint>,
    /// Length of the last checkpoint that was written.
    pub(super) checkpoint_bytes: u64,
    /// The keeper could not do its work: what the disk says is not to be trusted any more.
    pub(super) failed: Option<EngineError>,
    pub(super) closed: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Yard {
    pub(super) dir: PathBuf,
    /// The largest segment, unless a single batch is larger.
    pub(super) segment_bytes: u32,
    contents: RwLock<Contents>,
    supply: Mutex<Supply>,
    pub(super) asked: Condvar,
    /// Held by whoever writes checkpoints or moves survivors.
    work: Mutex<()>,
}

impl Supply {
    /// Numbers behind those in use, and files as large as the largest of those there are.
    pub(super) fn new(
        next_file: u64,
        next_segment: SegmentId,
        largest: u32,
        segment_bytes: u32,
    ) -> Self {
        Self {
            blanks: Vec::new(),
            next_file,
            next_segment,
            capacity: largest.max(FIRST_BYTES).min(segment_bytes),
            blank_wanted: false,
            cut: None,
            checkpoint_bytes: 0,
            failed: None,
            closed: false,
        }
    }

    /// Keeps `blank` for use again, or gives its room back.
    pub(super) fn give(&mut self, blank: Blank) {
        if blank.capacity() >= self.capacity && self.blanks.len() < MAX_BLANKS {
            self.blanks.push(blank);
        } else {
            blank.remove();
        }
    }

    /// Keeps no more than `count` files for use again.
    pub(super) fn trim(&mut self, count: usize) {
        let count = count.min(self.blanks.len());
        self.blanks.drain(count..).for_each(Blank::remove);
    }

    /// A number that no segment ever had.
    pub(super) fn number_segment(&mut self) -> SegmentId {
        let id = self.next_segment;
        self.next_segment = id.next();
        id
    }

    /// A number that no file here has.
    pub(super) fn number_file(&mut self) -> u64 {
        let number = self.next_file;
        self.next_file = number.saturating_add(1);
        number
    }

    fn blank_bytes(&self) -> u64 {
        self.blanks.iter().fold(0, |sum, blank| sum.saturating_add(u64::from(blank.capacity())))
    }
}

impl Yard {
    pub(super) fn new(
        dir: PathBuf,
        segment_bytes: u32,
        contents: Contents,
        supply: Supply,
    ) -> Self {
        Self {
            dir,
            segment_bytes,
            contents: RwLock::new(contents),
            supply: Mutex::new(supply),
            asked: Condvar::new(),
            work: Mutex::default(),
        }
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn supply(&self) -> MutexGuard<'_, Supply> {
        self.supply.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn work(&self) -> MutexGuard<'_, ()> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the keeper for a file to go on in.
    pub(super) fn want_blank(&self) {
        self.supply().blank_wanted = true;
        self.asked.notify_one();
    }

    /// Hands the keeper a checkpoint to write. A later one takes the place of one that waits.
    pub(super) fn hand_over(&self, cut: Checkpoint) {
        self.supply().cut = Some(cut);
        self.asked.notify_one();
    }

    /// A file with room for `bytes` behind the header; made at once, if none stands ready.
    pub(super) fn take_blank(&self, bytes: usize) -> Result<Blank, EngineError> {
        let needed = u32::try_from(bytes).ok().and_then(|bytes| bytes.checked_add(HEADER_BYTES));
        let needed = needed.expect("a batch is far below 4 GiB");
        {
            let mut supply = self.supply();
            let ready = supply.blanks.iter().position(|blank| blank.capacity() >= needed);
            if let Some(at) = ready {
                return Ok(supply.blanks.swap_remove(at));
            }
        }
        match self.make_blank(needed) {
            // On a disk that is nearly full a smaller one does as well.
            Err(error) if error.is_lack_of_room() => {
                self.supply().capacity = FIRST_BYTES.min(self.segment_bytes);
                self.make_blank(needed)
            }
            outcome => outcome,
        }
    }

    /// Makes a file ahead of its use, if it is asked for and there is none.
    pub(super) fn prepare_blank(&self) -> Result<(), EngineError> {
        let wanted = {
            let mut supply = self.supply();
            std::mem::take(&mut supply.blank_wanted) && supply.blanks.is_empty()
        };
        if wanted {
            let blank = self.make_blank(0)?;
            self.supply().blanks.push(blank);
        }
        Ok(())
    }

    fn make_blank(&self, needed: u32) -> Result<Blank, EngineError> {
        let (number, capacity) = {
            let mut supply = self.supply();
            (supply.number_file(), supply.capacity)
        };
        let blank = Blank::filled(&self.dir, number, capacity.max(needed));
        let blank = blank.map_err(EngineError::Segment)?;
        self.supply().capacity = capacity.saturating_mul(2).min(self.segment_bytes);
        Ok(blank)
    }

    /// Takes back the segments before `start` of which nothing is in use, neither here nor by
    /// `kept`, the index of the last checkpoint on the disk.
    pub(super) fn free(&self, start: SegmentId, kept: &Index) {
        let freed: Vec<Arc<Segment>> = {
            let mut contents = self.write();
            let Contents { index, segments } = &mut *contents;
            let is_free =
                |id: &SegmentId| *id < start && index.used(*id) == 0 && kept.used(*id) == 0;
            segments.extract_if(.., |id, _| is_free(id)).map(|(_, segment)| segment).collect()
        };
        // Without the lock: taking files away may take a while.
        let blanks: Vec<Blank> = freed.into_iter().filter_map(Segment::retire).collect();
        let mut supply = self.supply();
        blanks.into_iter().for_each(|blank| supply.give(blank));
    }

    /// How much of the disk all files together take.
    pub(super) fn disk_bytes(&self) -> u64 {
        let segments = self
            .read()
            .segments
            .values()
            .fold(0_u64, |sum, segment| sum.saturating_add(u64::from(segment.capacity())));
        let supply = self.supply();
        segments.saturating_add(supply.blank_bytes()).saturating_add(supply.checkpoint_bytes)
    }
}
