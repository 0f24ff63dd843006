//! Opens the data directory and finds out who the node is.

use warren_rpc::ClusterId;
use warren_storage::{OpenError, Store};

use super::NodeError;
use crate::config::Config;
use crate::identity::Record;
use crate::settings;

/// Opens the data directory, makes it if there is none, and counts this start in it.
pub(super) async fn open(config: &Config) -> Result<(Store, Record), NodeError> {
    let (storage, shards) = (settings::storage(config), config.node.shards);
    blocking(move || {
        let store = Store::open(storage).map_err(failed_to_open)?;
        let record = identify(&store, shards)?.started();
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

/// Who the directory belongs to; one that belongs to nobody gets a cluster of its own.
fn identify(store: &Store, shards: u32) -> Result<Record, NodeError> {
    let Some(bytes) = store.identity()? else {
        let record = Record::founder(ClusterId(rand::random()), rand::random(), shards);
        tracing::info!(cluster = %record.identity.cluster, shards, "the node makes a cluster");
        return Ok(record);
    };
    let record = Record::decode(bytes)?;
    if record.shards != shards {
        let kept = record.shards;
        tracing::warn!(kept, ignored = shards, "'shards' counts only when a cluster is made");
    }
    Ok(record)
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
