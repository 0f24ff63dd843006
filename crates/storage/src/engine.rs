//! What keeps the records: the narrow part below the [`crate::Store`].
//!
//! An engine keeps records under [`Key`]s and knows nothing of what they mean, nor of
//! checksums: it is given sealed bytes. One thread writes; any thread reads.
//!
//! **What an engine promises:** a batch happens as a whole or not at all; batches survive in the
//! order in which they were written, so that what survives a crash is all of them up to some
//! point; a batch written with `sync`, and all before it, survive every crash. After a failed
//! write it promises nothing, and it is not asked to write again.
//!
//! Rows of the log come under [`Key::Row`] alone, are written once, in order, and leave in
//! stretches: [`SegmentEngine`] lives by that, and [`RocksEngine`] by RocksDB.

mod memory;
mod rocks;
mod segments;

pub use memory::MemoryEngine;
pub use rocks::RocksEngine;
pub use segments::{SegmentEngine, probe_segments};

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use crate::{Config, Key, LogEngine, RowValue};

/// One step of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Keeps a row, or an adopted row.
    PutRow {
        /// Where: a row's key or an adopted row's.
        key: Key,
        /// The row.
        value: RowValue,
    },
    /// Keeps any other record.
    Put {
        /// Where.
        key: Key,
        /// The record.
        value: Bytes,
    },
    /// Removes one record, if it is there.
    Remove {
        /// Which.
        key: Key,
    },
    /// Removes all records from one key to another of the same kind, both included.
    RemoveRange {
        /// The first.
        from: Key,
        /// The last.
        to: Key,
        /// Whether nothing will ever be written there again and nobody cares which of it
        /// survives a crash, so that whole files may go at once.
        for_good: bool,
    },
}

impl Change {
    /// About how many bytes the change adds to a batch.
    pub(crate) fn size(&self) -> usize {
        let value = match self {
            Self::PutRow { value, .. } => value.len(),
            Self::Put { value, .. } => value.len(),
            Self::Remove { .. } | Self::RemoveRange { .. } => 0,
        };
        value.saturating_add(CHANGE_BYTES)
    }
}

/// What a change costs beside its value: key, lengths, its place in lists.
const CHANGE_BYTES: usize = 48;

/// Called by a scan with each record; may end it.
pub type Visit<'a> = dyn FnMut(Key, Bytes) -> ControlFlow<()> + 'a;

/// Keeps records.
pub trait Engine: Send + Sync + 'static {
    /// Writes one batch; with `sync`, returns after it and all before it are on the disk.
    ///
    /// # Errors
    /// When it is unknown what of the batch is, or will stay, on the disk.
    fn write(&self, changes: &[Change], sync: bool) -> Result<(), EngineError>;

    /// The record under `key`, as the last written batch left it.
    ///
    /// # Errors
    /// When the disk does not say.
    fn read(&self, key: &Key) -> Result<Option<Bytes>, EngineError>;

    /// Shows the records from one key to another of the same kind, both included, in order,
    /// beginning with a seek to the first.
    ///
    /// # Errors
    /// When the disk does not say.
    fn scan(&self, from: &Key, to: &Key, visit: &mut Visit<'_>) -> Result<(), EngineError>;

    /// Gives the room back that removed records of these ranges took, and what else waits to be
    /// given back. The ranges hold little but removed records. Takes a while; others may read and
    /// write meanwhile.
    ///
    /// # Errors
    /// When it is unknown what is, or will stay, on the disk.
    fn compact(&self, ranges: &[(Key, Key)]) -> Result<(), EngineError>;

    /// About how much of the disk is in use.
    fn disk_bytes(&self) -> u64;
}

/// Opens what is in `dir` with the engine that made it, or makes it with the configured one.
pub(crate) fn open(dir: &Path, config: &Config) -> Result<Box<dyn Engine>, EngineError> {
    let engine = match segments::is_marked(dir)? {
        Some(true) => LogEngine::Segments,
        Some(false) => LogEngine::Rocksdb,
        None => config.log_engine,
    };
    Ok(match engine {
        LogEngine::Rocksdb => Box::new(RocksEngine::open(dir, &config.rocksdb)?),
        LogEngine::Segments => Box::new(SegmentEngine::open(dir, config.segment_bytes)?),
    })
}

/// An engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// RocksDB's own words.
    #[error("rocksdb: {0}")]
    Rocks(#[from] rocksdb::Error),
    /// A column family is missing.
    #[error("column family {name} is missing")]
    Family {
        /// Its name.
        name: &'static str,
    },
    /// The database ends before the last change that was synced.
    #[error("the database ends with change {has}, and change {had} was on the disk already")]
    Lost {
        /// The last change that was synced.
        had: u64,
        /// The last change that is there.
        has: u64,
    },
    /// The list of the database's tables lacks its end.
    #[error(
        "the list of tables is MANIFEST-{:06} with {} bytes, and MANIFEST-{:06} with {} bytes was on \
         the disk already",
        has.0, has.1, had.0, had.1
    )]
    Shortened {
        /// Number and length of the list that was synced.
        had: (u64, u64),
        /// Those of the list that is there.
        has: (u64, u64),
    },
    /// The system's words about a file of the segments' directory.
    #[error("segment files: {0}")]
    Segment(io::Error),
    /// A segment ends before its records do.
    #[error("segment {segment} ends before its records do")]
    SegmentEnds {
        /// Its number.
        segment: u32,
    },
    /// A segment with records in it is not there.
    #[error("segment {segment} is missing")]
    SegmentMissing {
        /// Its number.
        segment: u32,
    },
    /// Two files say that they are the same segment.
    #[error("segment {segment} is there twice")]
    SegmentTwice {
        /// Its number.
        segment: u32,
    },
    /// The checkpoint of the segments is not what was written.
    #[error("the checkpoint is damaged: {0}")]
    Checkpoint(String),
    /// The file that says which engine made the directory makes no sense.
    #[error("the file that says which engine made the database makes no sense")]
    UnknownEngine,
    /// The file that says how far the database was synced makes no sense.
    #[error("the file that says how far the database was synced makes no sense")]
    Mark,
    /// How far the database is synced cannot be written down.
    #[error("how far the database is synced cannot be written down: {0}")]
    Watermark(io::Error),
    /// A record stands under a key that nothing here writes.
    #[error("a record stands under an unknown key")]
    UnknownKey,
    /// A test asked for this.
    #[error("{0}, as the test asked for")]
    Planted(&'static str),
    /// A completion panicked, and the writer thread with it.
    #[error("the writer thread panicked")]
    WriterPanicked,
    /// The in-memory disk has crashed: it belongs to somebody else.
    #[error("this disk has crashed")]
    Crashed,
}
