//! What an operator may set.

use std::path::PathBuf;

use serde::Deserialize;

/// How one node keeps its data.
///
/// There is deliberately nothing here that turns syncing off.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the data is. Made if it is not there.
    pub data_dir: PathBuf,
    /// How many bytes of recent rows, of all groups together, stay in memory once they are on
    /// the disk. Rows on their way to the disk are held on top of that.
    pub recent_bytes: usize,
    /// How long recent rows stay in memory once they are on the disk, milliseconds. Whoever lags
    /// further behind reads them from there.
    pub recent_ms: u64,
    /// How many bytes one batch, and so one sync, takes at most (one request at least).
    pub write_batch_bytes: usize,
    /// What keeps the data of a directory that is made. One that is there stays with what made it.
    pub log_engine: LogEngine,
    /// The largest segment file, unless a single batch is larger.
    pub segment_bytes: u32,
    /// RocksDB's own settings.
    pub rocksdb: RocksConfig,
}

/// What keeps the data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogEngine {
    /// RocksDB.
    Rocksdb,
    /// Segment files of our own.
    #[default]
    Segments,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            recent_bytes: 64 << 20,
            recent_ms: 10_000,
            write_batch_bytes: 4 << 20,
            log_engine: LogEngine::default(),
            segment_bytes: 32 << 20,
            rocksdb: RocksConfig::default(),
        }
    }
}

impl Config {
    /// The defaults, with the data in `data_dir`.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), ..Self::default() }
    }
}

/// RocksDB's memory and files.
///
/// Memory is taken as it is needed: an idle node holds a few arena blocks, a busy one at most
/// `write_buffer_bytes × write_buffers` and the block cache.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RocksConfig {
    /// One write buffer of the log.
    pub write_buffer_bytes: usize,
    /// How many of them there may be, full ones waiting for the disk included.
    pub write_buffers: u16,
    /// Cache for what is read back, indexes and filters included.
    pub block_cache_bytes: usize,
    /// Size of the write-ahead logs at which their oldest content is moved to tables.
    pub wal_bytes: u64,
    /// Threads for moving and merging tables.
    pub background_jobs: u16,
    /// Files kept open.
    pub open_files: u16,
}

impl Default for RocksConfig {
    fn default() -> Self {
        Self {
            write_buffer_bytes: 32 << 20,
            write_buffers: 3,
            block_cache_bytes: 64 << 20,
            wal_bytes: 256 << 20,
            background_jobs: 2,
            open_files: 512,
        }
    }
}
