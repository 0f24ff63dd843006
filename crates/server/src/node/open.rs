//! Opens the data directory and finds out who the node is.

use warren_storage::{OpenError, Store};

use super::NodeError;
use crate::config::Config;
use crate::identity::{Membership, Record};
use crate::settings;

/// Opens the data directory, makes it if there is none, and counts this start in it if it belongs
/// to a cluster.
pub(super) async fn open(config: &Config) -> Result<(Store, Record), NodeError> {
    let storage = settings::storage(config);
    blocking(move || {
        let store = Store::open(storage).map_err(failed_to_open)?;
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

/// Keeps `record`. On the disk on return.
pub(super) async fn save(store: &Store, record: Record) -> Result<(), NodeError> {
    let store = store.clone();
    blocking(move || Ok(store.save_identity(record.encode())?)).await
}

fn failed_to_open(error: OpenError) -> NodeError {
    match error {
        OpenError::Locked { dir, pid } => NodeError::Locked { dir: dir.display().to_string(), pid },
        other => NodeError::Open(other),
    }
}

/// Has `work` done where it may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.expect("a panic ends the process, and nobody cancels the work")
}
