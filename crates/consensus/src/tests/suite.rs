//! openraft's own tests of a log and a state machine, on every engine.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use warren_storage::{MemoryEngine, Store};
use warren_types::{GroupId, NodeId, Term};

use super::kit::{Ledger, effects_mailbox, memory_store, rocks_store, segment_store};
use crate::apply::{Shared, StateMachine};
use crate::driver::Cell;
use crate::log::{FloorLock, LogStore};
use crate::types::Types;

struct OnMemory;
struct OnRocks;
struct OnSegments;

/// Keeps what must outlive one test.
struct Guard {
    store: Store,
    _dir: Option<tempfile::TempDir>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.store.close();
    }
}

fn parts(store: &Store) -> (LogStore, StateMachine) {
    let group = store.group(GroupId(3)).expect("an empty group opens");
    let (effects, _) = effects_mailbox();
    let cell = Arc::new(Cell::new(NodeId(1), Term(0), Ledger::default(), effects));
    let floor = FloorLock::default();
    let shared = Shared::new(Arc::<Cell<Ledger>>::clone(&cell), group.clone(), floor.clone());
    let log = LogStore::new((group, cell), 1 << 20, floor, None, None);
    (log, StateMachine::new(shared, None))
}

impl StoreBuilder<Types, LogStore, StateMachine, Guard> for OnMemory {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<Types>> {
        let store = memory_store(&MemoryEngine::new());
        let (log, machine) = parts(&store);
        Ok((Guard { store, _dir: None }, log, machine))
    }
}

impl StoreBuilder<Types, LogStore, StateMachine, Guard> for OnRocks {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<Types>> {
        on_disk(rocks_store)
    }
}

impl StoreBuilder<Types, LogStore, StateMachine, Guard> for OnSegments {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<Types>> {
        on_disk(segment_store)
    }
}

fn on_disk(
    open: fn(&std::path::Path) -> Store,
) -> Result<(Guard, LogStore, StateMachine), StorageError<Types>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = open(dir.path());
    let (log, machine) = parts(&store);
    Ok((Guard { store, _dir: Some(dir) }, log, machine))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_is_content_with_log_and_machine_in_memory() {
    Suite::test_all(OnMemory).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_is_content_with_log_and_machine_on_rocksdb() {
    Suite::test_all(OnRocks).await.expect("the suite passes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openraft_is_content_with_log_and_machine_on_segments() {
    Suite::test_all(OnSegments).await.expect("the suite passes");
}
