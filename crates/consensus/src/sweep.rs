//! What keeps a group's log short: when to take a snapshot, what to purge, what to sweep.
//!
//! Every replica decides for itself. A snapshot is due by bytes, by entries, or when the group has
//! gone quiet; behind it some of the log is kept for replicas that lag. Below the floor,
//! only rows that the machine refers to stay, and sparse ones are rewritten.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use openraft::Instant as _;
use openraft::async_runtime::WatchReceiver as _;
use openraft::type_config::alias::InstantOf;
use tokio::time::Instant;
use warren_types::LogIndex;

use crate::apply::Shared;
use crate::aside;
use crate::codec;
use crate::config::Config;
use crate::error::Broken;
use crate::member::{Member, pause};
use crate::runtime::on_raster;
use crate::tidy::Tidy;
use crate::types::Types;

/// Rounds after which rows are swept although the floor has not moved, because the machine may
/// have let go of them. Asking it which it still needs goes through all of them.
const LAZY_ROUNDS: u32 = 10;

/// Bytes of entries that are kept for a replica that is being sent a snapshot. One that cannot
/// catch up with what is written meanwhile begins again.
const HOLD_BYTES: u64 = 1024 * 1024 * 1024;

struct Sweep {
    member: Arc<Member>,
    config: Config,
    /// As of the last snapshot asked for.
    asked: Mark,
    /// As of some of the last rounds, oldest first: how many bytes are behind an index.
    history: VecDeque<Mark>,
    /// When something was last applied.
    changed: Instant,
    swept: Swept,
    tidy: Arc<Tidy>,
}

/// How far the group had applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    index: LogIndex,
    bytes: u64,
}

/// As of the last sweep.
#[derive(Clone, Copy, Debug, Default)]
struct Swept {
    floor: LogIndex,
    applied: LogIndex,
    rounds_ago: u32,
    /// The last sparse row that was looked at, while there are more.
    sparse: Option<LogIndex>,
}

/// Looks after one group until it ends.
pub(crate) async fn run(member: Arc<Member>, config: Config, tidy: Arc<Tidy>) {
    let every = Duration::from_millis(config.sweep_ms);
    let snapshot = codec::index_of(member.raft.metrics().borrow_watched().snapshot.as_ref());
    let mut sweep = Sweep {
        member,
        config,
        asked: Mark { index: snapshot, bytes: 0 },
        history: VecDeque::new(),
        changed: Instant::now(),
        swept: Swept::default(),
        tidy,
    };
    // All groups of a node at the same moment: looking is cheap, being woken is not.
    while pause(&sweep.member.stop, on_raster(InstantOf::<Types>::now(), every)).await {
        sweep.round().await;
    }
}

impl Sweep {
    async fn round(&mut self) {
        let driver = &self.member.shared.driver;
        let index = codec::index_of(driver.applied().0.as_ref());
        let here = Mark { index, bytes: driver.applied_bytes() };
        if self.history.back() != Some(&here) {
            self.history.push_back(here);
            self.changed = Instant::now();
        }
        let (snapshot, purged) = {
            let metrics = self.member.raft.metrics();
            let metrics = metrics.borrow_watched();
            (codec::index_of(metrics.snapshot.as_ref()), codec::index_of(metrics.purged.as_ref()))
        };
        // Errors below mean that the core has ended, which `Member::watch` sees to.
        if self.snapshot_is_due(here) {
            self.asked = here;
            drop(self.member.raft.trigger().snapshot().await);
        }
        let upto = self.purgeable(here, snapshot);
        if upto > purged {
            drop(self.member.raft.trigger().purge_log(codec::raft_index(upto)).await);
        }
        self.history.retain(|mark| mark.index >= upto);
        if let Err(error) = self.sweep(index).await {
            tracing::error!(group = %self.member.id, %error, "sweeping failed");
        }
        self.tidy.look().await;
    }

    fn snapshot_is_due(&self, here: Mark) -> bool {
        let entries = here.index.0.saturating_sub(self.asked.index.0);
        let bytes = here.bytes.saturating_sub(self.asked.bytes);
        let idle = Duration::from_millis(self.config.snapshot_idle_ms);
        entries > 0
            && (entries >= self.config.snapshot_after_entries
                || bytes >= self.config.snapshot_after_bytes
                || self.changed.elapsed() >= idle)
    }

    /// Up to where the log need not be kept for replicas that lag.
    fn purgeable(&self, here: Mark, snapshot: LogIndex) -> LogIndex {
        let by_entries = LogIndex(here.index.0.saturating_sub(self.config.keep_entries));
        let enough_behind =
            |mark: &&Mark| here.bytes.saturating_sub(mark.bytes) >= self.config.keep_bytes;
        let by_bytes = self.history.iter().rev().find(enough_behind);
        let free = by_bytes.map_or(by_entries, |mark| mark.index.max(by_entries)).min(snapshot);
        match self.member.shared.holds.lowest() {
            Some(held) if !self.is_far_behind(here, held) => free.min(held),
            Some(_) | None => free,
        }
    }

    /// Whether what follows `index` is more than what is kept for a replica that is sent a snapshot.
    fn is_far_behind(&self, here: Mark, index: LogIndex) -> bool {
        let mark = self.history.iter().find(|mark| mark.index >= index);
        mark.is_some_and(|mark| here.bytes.saturating_sub(mark.bytes) > HOLD_BYTES)
    }

    async fn sweep(&mut self, applied: LogIndex) -> Result<(), Broken> {
        let Some(floor) = self.member.shared.store.bounds().floor else { return Ok(()) };
        self.swept.rounds_ago = self.swept.rounds_ago.saturating_add(1);
        let moved = floor.index != self.swept.floor;
        let late = self.swept.rounds_ago >= LAZY_ROUNDS && applied != self.swept.applied;
        let anew = moved || late;
        if !anew && self.swept.sparse.is_none() {
            return Ok(());
        }
        let after = self.swept.sparse.unwrap_or_default();
        if anew {
            self.swept = Swept { floor: floor.index, applied, rounds_ago: 0, sparse: None };
        }
        // A snapshot that comes in has bodies that only its own state refers to.
        let shared = self.member.shared.clone();
        let stored = Arc::clone(&shared.stored).lock_owned().await;
        let limit = self.config.sweep_rows;
        let inline = shared.store.is_inline();
        let sweeping = aside::run(inline, move || {
            if anew {
                let_go(&shared, floor);
            }
            let outcome = thin_out(&shared, after, floor.index, limit);
            drop(stored);
            outcome
        });
        self.swept.sparse = sweeping.await.map_err(|_| Broken::Other("sweeping panicked"))??;
        Ok(())
    }
}

/// Lets go of the rows below `floor` that the machine does not refer to.
fn let_go(shared: &Shared, floor: warren_storage::LogId) {
    let Shared { driver, store, .. } = shared;
    let live = driver.live_rows(floor.index);
    shared.floor.held(|| {
        // What a purge has added below the floor meanwhile was not asked about.
        if store.bounds().floor == Some(floor) {
            store.retain(&live);
        }
    });
}

/// Rewrites some of the rows behind `after` of which the machine needs little. Says where to go on:
/// a row that was rewritten is as sparse as before.
fn thin_out(
    shared: &Shared,
    after: LogIndex,
    floor: LogIndex,
    limit: usize,
) -> Result<Option<LogIndex>, Broken> {
    let Shared { driver, store, .. } = shared;
    let sparse = driver.sparse_rows(after, floor, limit);
    let more = sparse.last().map(|last| last.index).filter(|_| sparse.len() >= limit);
    for sparse in sparse {
        let Some(mut row) = store.row(sparse.index)? else { continue };
        let thin = driver.thin(&row.payload, &sparse.live_offsets);
        if thin.len() < row.payload.len() {
            row.payload = thin;
            store.replace(row);
        }
    }
    Ok(more)
}
