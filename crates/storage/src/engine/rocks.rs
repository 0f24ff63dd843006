//! RocksDB as the engine: one database, three column families for all groups together.
//!
//! A column family per group would multiply memory and keep every write-ahead log alive for the
//! sake of its coldest group. Rows leave by range deletes, and scans begin with a seek to a key
//! that exists, never at the start of a group, where the tombstones are.
//!
//! The write-ahead log is synced with `fdatasync` and its files are used again: writing over
//! blocks that are there is the steadiest sync there is. What a power cut leaves torn at the end
//! of the log is dropped on opening; by then nobody was told that it was kept. That no more than
//! this is dropped is seen by the number of the last change that was synced, which is kept beside
//! the database ([`Watermark`]).

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBCompressionType, DBRecoveryMode, LogLevel, Options, ReadOptions, WriteBatch, WriteOptions,
    properties,
};

use super::{Change, Engine, EngineError, Visit};
use crate::keys::Space;
use crate::watermark::{self, Found, List, Watermark};
use crate::{Key, RocksConfig};

const LOG: &str = "log";
const META: &str = "meta";
const SNAPSHOT: &str = "snapshot";

/// Memory is given to write buffers in pieces of this size, so an idle one costs little.
const ARENA_BLOCK_BYTES: usize = 256 << 10;

/// Votes and hints are overwritten all the time and few: a small buffer holds them all.
const META_BUFFER_BYTES: usize = 2 << 20;

/// Snapshots come in pages that are written once; the buffer merely collects them.
const SNAPSHOT_BUFFER_BYTES: usize = 8 << 20;

/// Write-ahead log files kept for use again.
const RECYCLED_LOGS: usize = 4;

/// Tables are pushed to the disk in pieces, so that no sync of the log waits behind a whole one.
const BYTES_PER_SYNC: u64 = 1 << 20;

/// RocksDB's own text log: four files of this size.
const TEXT_LOG_BYTES: usize = 4 << 20;

/// Records that a removed range must span before looking for whole files to drop pays.
const DROP_FILES_SPAN: u64 = 4096;

/// Whether what was written, and all before it, is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Synced {
    Yes,
    No,
}

/// RocksDB, as an [`Engine`].
pub struct RocksEngine {
    db: DB,
    mark: Watermark,
    scratch: Mutex<Vec<u8>>,
}

impl RocksEngine {
    /// Opens the database in `dir`, or makes one. Beside it stands a file that says how far it
    /// was synced; without that file, what is there is taken for all there was.
    ///
    /// # Errors
    /// When RocksDB does, or when the database lacks something that was synced.
    pub fn open(dir: &Path, config: &RocksConfig) -> Result<Self, EngineError> {
        let cache = Cache::new_lru_cache(config.block_cache_bytes);
        let families = [
            ColumnFamilyDescriptor::new(LOG, log_options(config, &cache)),
            ColumnFamilyDescriptor::new(META, small_options(META_BUFFER_BYTES, &cache)),
            ColumnFamilyDescriptor::new(SNAPSHOT, small_options(SNAPSHOT_BUFFER_BYTES, &cache)),
        ];
        let path = watermark::path_beside(dir);
        let had = check_list(&path, dir)?;
        let db = DB::open_cf_descriptors(&database_options(config), dir, families)?;
        let has = db.latest_sequence_number();
        if has < had {
            return Err(EngineError::Lost { had, has });
        }
        let mark = Watermark::begin(&path, dir, has).map_err(EngineError::Watermark)?;
        Ok(Self { db, mark, scratch: Mutex::default() })
    }

    fn family(&self, space: Space) -> Result<&ColumnFamily, EngineError> {
        let name = match space {
            Space::Log => LOG,
            Space::Meta => META,
            Space::Snapshot => SNAPSHOT,
        };
        self.db.cf_handle(name).ok_or(EngineError::Family { name })
    }

    fn add(
        &self,
        batch: &mut WriteBatch,
        scratch: &mut Vec<u8>,
        change: &Change,
    ) -> Result<(), EngineError> {
        match change {
            Change::PutRow { key, value } => {
                scratch.clear();
                value.write(scratch);
                batch.put_cf(self.family(key.space())?, key.bytes(), scratch);
            }
            Change::Put { key, value } => {
                batch.put_cf(self.family(key.space())?, key.bytes(), value);
            }
            Change::Remove { key } => batch.delete_cf(self.family(key.space())?, key.bytes()),
            Change::RemoveRange { from, to, for_good: _ } => {
                batch.delete_range_cf(
                    self.family(from.space())?,
                    from.bytes().as_ref(),
                    behind(to).as_slice(),
                );
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "failpoints"))]
    fn put_on_disk(&self, batch: WriteBatch, sync: bool) -> Result<Synced, EngineError> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        self.db.write_opt(batch, &options)?;
        Ok(if sync { Synced::Yes } else { Synced::No })
    }

    /// In two steps, so that there is something between writing and syncing.
    #[cfg(feature = "failpoints")]
    fn put_on_disk(&self, batch: WriteBatch, sync: bool) -> Result<Synced, EngineError> {
        fail::fail_point!("storage.write", |_| Err(EngineError::Planted("write failed")));
        self.db.write_opt(batch, &WriteOptions::default())?;
        if !sync {
            return Ok(Synced::No);
        }
        fail::fail_point!("storage.sync.before");
        fail::fail_point!("storage.sync", |_| Err(EngineError::Planted("sync failed")));
        fail::fail_point!("sync.skip", |_| Ok(Synced::No));
        self.db.flush_wal(true)?;
        fail::fail_point!("storage.sync.after");
        Ok(Synced::Yes)
    }

    /// Drops the tables that hold nothing but removed rows: sooner than merging would, and for
    /// free. The range delete is written by then, so that what lies deeper stays hidden.
    fn drop_files(&self, changes: &[Change]) -> Result<(), EngineError> {
        for change in changes {
            if let Change::RemoveRange {
                from: from @ Key::Row(_, first),
                to: to @ Key::Row(_, last),
                for_good: true,
            } = change
                && last.0.saturating_sub(first.0) >= DROP_FILES_SPAN
            {
                let family = self.family(Space::Log)?;
                self.db.delete_file_in_range_cf(family, from.bytes(), to.bytes())?;
            }
        }
        Ok(())
    }
}

impl Engine for RocksEngine {
    fn write(&self, changes: &[Change], sync: bool) -> Result<(), EngineError> {
        let size = changes.iter().map(Change::size).fold(0_usize, usize::saturating_add);
        let mut batch = WriteBatch::with_capacity_bytes(size);
        {
            let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
            for change in changes {
                self.add(&mut batch, &mut scratch, change)?;
            }
            scratch.shrink_to(1 << 20);
        }
        if self.put_on_disk(batch, sync)? == Synced::Yes {
            let mark = self.db.latest_sequence_number();
            self.mark.raise(mark).map_err(EngineError::Watermark)?;
        }
        self.drop_files(changes)
    }

    fn read(&self, key: &Key) -> Result<Option<Bytes>, EngineError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("storage.read", |_| Err(EngineError::Planted("read failed")));
        let family = self.family(key.space())?;
        Ok(self.db.get_cf(family, key.bytes())?.map(Bytes::from))
    }

    fn scan(&self, from: &Key, to: &Key, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("storage.read", |_| Err(EngineError::Planted("read failed")));
        let space = from.space();
        let family = self.family(space)?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(behind(to));
        // What is read in a row is read once; it must not push out single bodies.
        options.fill_cache(false);
        let mut records = self.db.raw_iterator_cf_opt(family, options);
        records.seek(from.bytes());
        while let Some((key, value)) = records.item() {
            let key = Key::parse(space, key).ok_or(EngineError::UnknownKey)?;
            if let ControlFlow::Break(()) = visit(key, Bytes::copy_from_slice(value)) {
                return Ok(());
            }
            records.next();
        }
        Ok(records.status()?)
    }

    fn compact(&self, ranges: &[(Key, Key)]) -> Result<(), EngineError> {
        let mut options = CompactOptions::default();
        // Merges that the load asks for go on.
        options.set_exclusive_manual_compaction(false);
        for (from, to) in ranges {
            let family = self.family(from.space())?;
            let (from, to) = (from.bytes(), behind(to));
            self.db.compact_range_cf_opt(family, Some(from.as_ref()), Some(&to), &options);
        }
        // The write-ahead log goes once nothing in it is in memory alone.
        for space in [Space::Log, Space::Meta, Space::Snapshot] {
            self.db.flush_cf(self.family(space)?)?;
        }
        self.mark.look();
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        let tables = [Space::Log, Space::Meta, Space::Snapshot].into_iter().map(|space| {
            let family = self.family(space).ok()?;
            self.db.property_int_value_cf(family, properties::TOTAL_SST_FILES_SIZE).ok()?
        });
        tables.fold(0_u64, |sum, bytes| sum.saturating_add(bytes.unwrap_or(0)))
    }
}

impl Drop for RocksEngine {
    fn drop(&mut self) {
        // Closing waits for merges under way otherwise, which may take a while.
        self.db.cancel_all_background_work(true);
    }
}

/// Says up to which change the database in `dir` was synced, as the file at `path` has it. That
/// its list of tables is whole is seen only before it is opened, which makes another.
fn check_list(path: &Path, dir: &Path) -> Result<u64, EngineError> {
    let had = match watermark::read(path).map_err(EngineError::Watermark)? {
        Found::Nothing => return Ok(0),
        Found::Damaged => return Err(EngineError::Mark),
        Found::Mark(had) => had,
    };
    let list = watermark::list(dir).map_err(EngineError::Watermark)?;
    let has = list.map(|(list, _)| list).unwrap_or_default();
    if has < had.list {
        let pair = |list: List| (list.number, list.bytes);
        return Err(EngineError::Shortened { had: pair(had.list), has: pair(has) });
    }
    Ok(had.change)
}

/// The smallest key behind `key`: the end of a range that includes it.
fn behind(key: &Key) -> Vec<u8> {
    let mut bytes = key.bytes().as_ref().to_vec();
    bytes.push(0);
    bytes
}

fn database_options(config: &RocksConfig) -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_paranoid_checks(true);
    options.set_use_fsync(false);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_recycle_log_file_num(RECYCLED_LOGS);
    options.set_max_total_wal_size(config.wal_bytes);
    options.set_bytes_per_sync(BYTES_PER_SYNC);
    options.set_max_background_jobs(i32::from(config.background_jobs));
    options.set_max_open_files(i32::from(config.open_files));
    options.set_keep_log_file_num(4);
    options.set_max_log_file_size(TEXT_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Rows: large, written in order, mostly incompressible and soon gone.
fn log_options(config: &RocksConfig, cache: &Cache) -> Options {
    let mut options = family_options(cache);
    options.set_write_buffer_size(config.write_buffer_bytes);
    options.set_max_write_buffer_number(i32::from(config.write_buffers));
    options.set_compression_type(DBCompressionType::None);
    options
}

fn small_options(buffer_bytes: usize, cache: &Cache) -> Options {
    let mut options = family_options(cache);
    options.set_write_buffer_size(buffer_bytes);
    options.set_max_write_buffer_number(2);
    options.set_compression_type(DBCompressionType::Lz4);
    options
}

fn family_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_arena_block_size(ARENA_BLOCK_BYTES);
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_block_size(16 << 10);
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    options.set_block_based_table_factory(&tables);
    options
}
