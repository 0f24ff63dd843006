//! One node's storage: the engine, its writer, and the groups.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use warren_types::GroupId;

use crate::backlog::{BACKLOG_BYTES, Request};
use crate::engine::{self, Change, Engine, EngineError};
use crate::erase;
use crate::failure::chain;
use crate::format::opaque;
use crate::group::Group;
use crate::lock::{DirectoryLock, make_directory};
use crate::writer::{Shared, Writer};
use crate::{Config, GroupStore, Key, OpenError, Statistics, StorageError, damage, watermark};

/// The folder of the database in the data directory.
pub(crate) const DATABASE: &str = "db";

/// What a removed row is taken to have had before one was written.
const UNKNOWN_ROW_BYTES: u64 = 1024;

/// One node's storage. Cheap to clone; closed when the last clone, and the last
/// [`GroupStore`], is dropped.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

/// A group's place: the group, once it has been read from the disk. Whoever reads it holds the
/// lock, so that it is read once.
type Place = Arc<Mutex<Option<Arc<Group>>>>;

pub(crate) struct Inner {
    pub(crate) shared: Arc<Shared>,
    groups: Mutex<BTreeMap<GroupId, Place>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens, or makes, the database in `config.data_dir`, once no other process uses it.
    ///
    /// # Errors
    /// When the directory is in use or unusable, or the database does not open.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let lock = DirectoryLock::take(&config.data_dir)?;
        let unfinished = erase::finish(&config.data_dir);
        unfinished
            .map_err(|source| OpenError::Directory { dir: config.data_dir.clone(), source })?;
        let dir = config.data_dir.join(DATABASE);
        make_directory(&dir).map_err(|source| OpenError::Directory { dir: dir.clone(), source })?;
        damage::check(&config.data_dir)?;
        let engine = engine::open(&dir, &config)
            .map_err(|source| unusable(&config.data_dir, &dir, source))?;
        tracing::info!(dir = %dir.display(), "storage opened");
        let store = Self::start(Shared::new(engine, &config, Some(lock)))?;
        // The first to hear of a failure: whoever comes next may end the process.
        store.on_failure(Box::new(move |error| note_damage(&config.data_dir, &error)));
        Ok(store)
    }

    /// A store on any engine. Nothing of `config` that concerns files is looked at.
    ///
    /// # Errors
    /// When the writer thread does not start.
    pub fn with_engine(engine: Box<dyn Engine>, config: Config) -> Result<Self, OpenError> {
        Self::start(Shared::new(engine, &config, None))
    }

    /// A store on any engine without a writer thread: whatever is asked for is written, synced
    /// and completed before the call returns. For simulations that must not depend on threads.
    #[must_use]
    pub fn inline(engine: Box<dyn Engine>, config: Config) -> Self {
        Self::around(Arc::new(Shared::inline(engine, &config, None)), None)
    }

    /// As [`Store::inline`], but what is asked for waits for [`Store::write_waiting`], after `wake` was
    /// called. For simulations of a disk that takes time; [`Store::save_identity`] is not for it.
    #[must_use]
    pub fn on_demand(
        engine: Box<dyn Engine>,
        config: Config,
        wake: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self::around(Arc::new(Shared::inline(engine, &config, Some(wake))), None)
    }

    /// Writes, syncs and completes what waits. Does nothing where a writer thread does it.
    pub fn write_waiting(&self) {
        self.inner.shared.run_inline();
    }

    /// Whether this is a store without a writer thread.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.inner.shared.is_inline()
    }

    fn start(shared: Shared) -> Result<Self, OpenError> {
        let shared = Arc::new(shared);
        let theirs = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name(String::from("storage-writer"))
            .spawn(move || {
                theirs.backlog.set_writer(thread::current().id());
                Writer::default().run(&theirs);
            })
            .map_err(OpenError::Thread)?;
        Ok(Self::around(shared, Some(writer)))
    }

    fn around(shared: Arc<Shared>, writer: Option<JoinHandle<()>>) -> Self {
        let groups = Mutex::default();
        Self { inner: Arc::new(Inner { shared, groups, writer: Mutex::new(writer) }) }
    }

    /// Has `hook` called once when the store fails, on the thread that finds out; at once if it has
    /// failed already. A server ends its process in it.
    pub fn on_failure(&self, hook: Box<dyn FnOnce(Arc<StorageError>) + Send>) {
        self.inner.shared.failure.on_failure(hook);
    }

    /// Keeps who this node is. Synced on return. Not for use in a completion.
    ///
    /// # Errors
    /// When it is not, or perhaps not, kept.
    pub fn save_identity(&self, identity: Bytes) -> Result<(), StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        let key = Key::Identity;
        let change = Change::Put { key, value: opaque::encode(&key, &identity) };
        let (outcome, heard) = sync_channel(1);
        let done = Box::new(move |result| {
            // Nobody listens only when the caller's thread is gone.
            let _gone = outcome.send(result);
        });
        shared.wait_for_room(BACKLOG_BYTES);
        shared.pushed(shared.backlog.push(Request::new(vec![change], true, Some(done))));
        heard.recv().unwrap_or(Err(StorageError::Closed))
    }

    /// Who this node is.
    ///
    /// # Errors
    /// When the disk does not say, or its answer is damaged.
    pub fn identity(&self) -> Result<Option<Bytes>, StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        let key = Key::Identity;
        let record = shared.answer(shared.engine.read(&key))?;
        record.map(|record| shared.sound(opaque::decode(&key, record))).transpose()
    }

    /// One group's part. The first call reads its whole log above the floor and checks it, so it
    /// takes a while; later ones hand out the same. Other groups are not waited for.
    ///
    /// # Errors
    /// When the log has a hole, a record is damaged, or the disk cannot be read.
    pub fn group(&self, id: GroupId) -> Result<GroupStore, StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        let place = Arc::clone(self.inner.groups().entry(id).or_default());
        let mut known = place.lock().unwrap_or_else(PoisonError::into_inner);
        let group = match &*known {
            Some(group) => Arc::clone(group),
            None => {
                let group = Arc::new(shared.sound(Group::recover(id, shared))?);
                *known = Some(Arc::clone(&group));
                group
            }
        };
        drop(known);
        Ok(GroupStore::new(Arc::clone(&self.inner), group))
    }

    /// What the store failed of, if it has.
    #[must_use]
    pub fn failure(&self) -> Option<Arc<StorageError>> {
        self.inner.shared.failure.get()
    }

    /// From here on, every sync takes so much longer, as on a disk that is slow. For rehearsals.
    pub fn slow_down(&self, more: Duration) {
        self.inner.shared.slowness.set(more);
    }

    /// For how long the disk has been at what it was given last, without being done with it.
    #[must_use]
    pub fn stalled_for(&self) -> Duration {
        self.inner.shared.stall.lasts()
    }

    /// What it did so far, and what it holds.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        let shared = &self.inner.shared;
        shared.counters.statistics(shared.backlog.bytes(), shared.engine.disk_bytes())
    }

    /// About how many bytes on the disk belong to rows that were removed, where
    /// [`Store::compact`] would give them back.
    #[must_use]
    pub fn garbage_bytes(&self) -> u64 {
        let groups = self.inner.all();
        let rows = groups.iter().map(|group| group.garbage_rows()).fold(0, u64::saturating_add);
        let written = self.statistics();
        let row_bytes = written.bytes_written.checked_div(written.rows_written);
        rows.saturating_mul(row_bytes.unwrap_or(UNKNOWN_ROW_BYTES))
    }

    /// Gives the room back that removed rows took. Takes as long as reading what else stands among
    /// them does.
    ///
    /// # Errors
    /// When the store has failed.
    pub fn compact(&self) -> Result<(), StorageError> {
        let shared = &self.inner.shared;
        shared.failure.check()?;
        let ranges: Vec<(Key, Key)> =
            self.inner.all().iter().filter_map(|group| group.take_garbage()).collect();
        let outcome = shared.engine.compact(&ranges);
        outcome.map_err(|source| shared.fail(StorageError::Write { source: Arc::new(source) }))
    }

    /// Writes what waits and stops. Later writes are refused; reads go on. The directory is free
    /// when the last handle is dropped. Not for use in a completion.
    pub fn close(&self) {
        self.inner.close();
    }
}

/// The database in `dir` does not open.
fn unusable(data_dir: &Path, dir: &Path, source: EngineError) -> OpenError {
    if !source.is_damage() {
        return OpenError::Engine { dir: dir.to_path_buf(), source };
    }
    let how = source.to_string();
    // Opening it again may succeed, with less: from here on the note keeps it closed. Whoever takes
    // the note away wants to go on without what is lost.
    let is_lost = matches!(
        source,
        EngineError::Lost { .. } | EngineError::Shortened { .. } | EngineError::Mark
    );
    let outcome = damage::note(data_dir, &how);
    let outcome = if is_lost { outcome.and_then(|()| watermark::forget(dir)) } else { outcome };
    if let Err(error) = outcome {
        tracing::error!(%error, "that the data are damaged could not be written down");
    }
    damage::refusal(data_dir, &how)
}

/// Keeps a directory in which something is damaged from being used again.
fn note_damage(data_dir: &Path, error: &StorageError) {
    if !error.is_damage() {
        return;
    }
    if let Err(error) = damage::note(data_dir, &chain(error)) {
        tracing::error!(%error, "that the data are damaged could not be written down");
    }
    let refusal = damage::refusal(data_dir, &chain(error));
    tracing::error!("{refusal}");
}

impl Inner {
    fn groups(&self) -> MutexGuard<'_, BTreeMap<GroupId, Place>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The groups that have been read.
    fn all(&self) -> Vec<Arc<Group>> {
        let places: Vec<Place> = self.groups().values().cloned().collect();
        let read = |place: &Place| place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        places.iter().filter_map(read).collect()
    }

    fn close(&self) {
        self.shared.backlog.close();
        // Held to the end: who closes second finds everything written, too.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        match writer.take() {
            // The last handle may be dropped by a completion, and a thread cannot wait for itself.
            Some(writer) if writer.thread().id() != thread::current().id() => {
                if writer.join().is_err() {
                    let source = Arc::new(EngineError::WriterPanicked);
                    self.shared.failure.set(&StorageError::Write { source });
                }
            }
            Some(_) => {}
            None => self.shared.write_hints(),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}
