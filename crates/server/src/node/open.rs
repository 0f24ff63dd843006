//! Opens the data directory and finds out who the node is.

use std::time::Duration;

use warren_storage::{OpenError, Store};

use super::NodeError;
use crate::config::Config;
use crate::identity::{Membership, Record};
use crate::logging::chain;
use crate::{process, settings};

/// What opening the data directory takes at least: small files and a new manifest.
const ROOM_BYTES: u64 = 4 << 20;

/// Between two looks whether there is room.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);

/// Opens the data directory, makes it if there is none, and counts this start in it if it belongs
/// to a cluster.
pub(super) async fn open(config: &Config) -> Result<(Store, Record), NodeError> {
    let storage = settings::storage(config);
    blocking(move || {
        let store = open_with_room(&storage).map_err(failed_to_open)?;
        let record = match store.identity()? {
            Some(bytes) => Record::decode(bytes)?,
            None => Record::new(rand::random()),
        };
        let membership = record.membership.map(Membership::started);
        let record = Record { membership, ..record };
        store.save_identity(record.encode())?;
        Ok((store, record))
    })
    .await
}

/// Opens the storage. On a disk without room it waits until there is some: opening writes, and a
/// process that starts over and over would not wait any better.
fn open_with_room(config: &warren_storage::Config) -> Result<Store, OpenError> {
    let mut said = false;
    loop {
        let lacking = match process::disk_available_bytes(&config.data_dir) {
            Some(free) if free < ROOM_BYTES => format!("{free} bytes are free"),
            Some(_) | None => match Store::open(config.clone()) {
                Err(error) if error.is_lack_of_room() => chain(&error),
                outcome => return outcome,
            },
        };
        if !std::mem::replace(&mut said, true) {
            let dir = config.data_dir.display();
            tracing::error!(%dir, lacking, "the disk is full, the node waits for room");
        }
        std::thread::sleep(ROOM_INTERVAL);
    }
}

/// Keeps `record`. On the disk on return.
pub(super) async fn save(store: &Store, record: Record) -> Result<(), NodeError> {
    let store = store.clone();
    blocking(move || Ok(store.save_identity(record.encode())?)).await
}

pub(super) fn failed_to_open(error: OpenError) -> NodeError {
    match error {
        OpenError::Locked { dir, pid } => NodeError::Locked { dir: dir.display().to_string(), pid },
        other => NodeError::Open(other),
    }
}

/// Has `work` done where it may wait for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.expect("a panic ends the process, and nobody cancels the work")
}
