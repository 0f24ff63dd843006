//! openraft's state machine: applies entries, takes snapshots and installs them.
//!
//! Entries are applied one by one, each under the machine's own lock, and other tasks get their
//! turn about every millisecond. A snapshot is taken on a thread that may block, with the next
//! entries waiting meanwhile (`gate`), and written after they may go on.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::SnapshotOf;
use tokio::sync::Mutex;
use tokio::time::Instant;
use warren_storage::{GroupStore, Snapshot};
use warren_types::Meter;

use crate::aside;
use crate::codec;
use crate::driver::Driver;
use crate::error::Broken;
use crate::fatal::Vigil;
use crate::holds::Holds;
use crate::log::{FloorLock, completion, written};
use crate::types::{LogId, SnapshotMeta, StoredMembership, Types};

/// How long entries are applied before other tasks get their turn.
const TURN: Duration = Duration::from_millis(1);

/// Upper ends, in microseconds, of the buckets for the times that entries are applied at a time.
pub(crate) const TURNS_US: &[u64] =
    &[10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 200_000, 1_000_000];

/// The pages of a machine's state.
#[derive(Clone, Debug)]
pub(crate) struct Pages {
    pub(crate) pages: Vec<Bytes>,
    /// Says on which replica's disk they are; none for what has just arrived.
    pub(crate) home: Option<Home>,
}

/// The last entry that a replica's stored snapshot covers; shared by all who store one there.
pub(crate) type Home = Arc<Mutex<Option<LogId>>>;

/// One group's machine, as openraft wants it.
pub(crate) struct StateMachine {
    shared: Shared,
    _vigil: Option<Vigil>,
}

/// What a snapshot needs besides the machine itself. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) store: GroupStore,
    pub(crate) floor: FloorLock,
    pub(crate) holds: Holds,
    /// Held while entries are applied, and while the state is copied.
    gate: Arc<Mutex<()>>,
    /// The last entry that the stored snapshot covers; held while one is stored, so that an older
    /// one does not replace a newer one, and while the sweep runs, so that it does not take
    /// what was just shipped for what nobody needs.
    pub(crate) stored: Home,
    /// How long entries were applied at a time, microseconds.
    turns: Arc<Meter>,
}

/// Takes one snapshot.
pub(crate) struct Builder {
    shared: Shared,
}

impl StateMachine {
    pub(crate) fn new(shared: Shared, vigil: Option<Vigil>) -> Self {
        Self { shared, _vigil: vigil }
    }
}

impl Shared {
    pub(crate) fn new(driver: Arc<dyn Driver>, store: GroupStore, floor: FloorLock) -> Self {
        let (holds, gate, stored) = (Holds::default(), Arc::default(), Arc::default());
        let turns = Arc::new(Meter::new(TURNS_US));
        Self { driver, store, floor, holds, gate, stored, turns }
    }

    /// The same, with its times counted in `turns`.
    pub(crate) fn metered(self, turns: Arc<Meter>) -> Self {
        Self { turns, ..self }
    }

    async fn stored_snapshot(&self) -> Result<Option<(SnapshotMeta, Vec<Bytes>)>, Broken> {
        let store = self.store.clone();
        let reading = aside::run(store.is_inline(), move || store.snapshot()).await;
        let stored = reading.map_err(|_| Broken::Other("reading a snapshot panicked"))??;
        let Some(Snapshot { meta, pages }) = stored else { return Ok(None) };
        Ok(Some((codec::read_meta(meta)?, pages)))
    }

    async fn save(&self, meta: &SnapshotMeta, pages: Vec<Bytes>) -> Result<(), Broken> {
        let snapshot = Snapshot { meta: codec::write_meta(meta), pages };
        let store = self.store.clone();
        let (done, outcome) = completion();
        let inline = store.is_inline();
        let handing_over = aside::run(inline, move || store.save_snapshot(snapshot, done));
        handing_over.await.map_err(|_| Broken::Other("storing a snapshot panicked"))?;
        written(outcome).await
    }

    /// Makes what another replica sent the state of this one. Its bodies are adopted already, and
    /// become part of the log's floor with the purge.
    async fn install(&self, meta: SnapshotMeta, data: Pages) -> Result<(), Broken> {
        let mut stored = self.stored.lock().await;
        let at_home = data.home.is_some_and(|home| Arc::ptr_eq(&home, &self.stored));
        if !at_home {
            #[cfg(feature = "failpoints")]
            fail::fail_point!("consensus.install.adopted");
            self.save(&meta, data.pages.clone()).await?;
            #[cfg(feature = "failpoints")]
            fail::fail_point!("consensus.install.saved");
            if let Some(id) = meta.last_log_id {
                let (done, outcome) = completion();
                self.floor.held(|| self.store.purge(codec::stored_id(&id), done));
                written(outcome).await?;
            }
        }
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.install.purged");
        let _gate = self.gate.lock().await;
        *stored = meta.last_log_id;
        let driver = Arc::clone(&self.driver);
        let inline = self.store.is_inline();
        let installing = aside::run(inline, move || driver.install(&meta, &data.pages));
        installing.await.map_err(|_| Broken::Other("restoring a snapshot panicked"))??;
        Ok(())
    }

    /// A snapshot that is on this replica's disk.
    fn whole(&self, meta: SnapshotMeta, pages: Vec<Bytes>) -> SnapshotOf<Types, Pages> {
        let home = Some(Arc::clone(&self.stored));
        SnapshotOf::<Types, Pages> { meta, snapshot: Pages { pages, home } }
    }

    /// Takes and stores a snapshot of the present state.
    async fn take(&self) -> Result<(SnapshotMeta, Vec<Bytes>), Broken> {
        let gate = Arc::clone(&self.gate).lock_owned().await;
        let driver = Arc::clone(&self.driver);
        let copying = aside::run(self.store.is_inline(), move || {
            let copy = driver.snapshot();
            drop(gate);
            copy
        });
        let copy = copying.await.map_err(|_| Broken::Other("taking a snapshot panicked"))?;
        let (meta, pages) = copy;
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.snapshot.copied");
        let mut stored = self.stored.lock().await;
        if *stored < meta.last_log_id {
            self.save(&meta, pages.clone()).await?;
            *stored = meta.last_log_id;
        }
        Ok((meta, pages))
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = Pages;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok(self.shared.driver.applied())
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let Shared { driver, gate, turns, .. } = &self.shared;
        let mut turn = gate.lock().await;
        let mut began = Instant::now();
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let answer = driver.apply(entry);
            if let Some(responder) = responder {
                responder.send(answer);
            }
            if began.elapsed() >= TURN {
                turns.count(micros(began.elapsed()));
                driver.publish();
                drop(turn);
                tokio::task::yield_now().await;
                turn = gate.lock().await;
                began = Instant::now();
            }
        }
        turns.count(micros(began.elapsed()));
        drop(turn);
        driver.publish();
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { shared: self.shared.clone() }
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Pages,
    ) -> Result<(), io::Error> {
        Ok(self.shared.install(meta.clone(), snapshot).await?)
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> Result<Option<SnapshotOf<Types, Pages>>, io::Error> {
        let stored = self.shared.stored_snapshot().await?;
        Ok(stored.map(|(meta, pages)| self.shared.whole(meta, pages)))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = Pages;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Pages>, io::Error> {
        let (meta, pages) = self.shared.take().await?;
        Ok(self.shared.whole(meta, pages))
    }
}
