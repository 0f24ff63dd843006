//! What is left on the disk once the messages are gone.

use std::path::Path;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use warren_storage::MemoryEngine;
use warren_types::{LogIndex, NodeId};

use super::kit::{
    Do, Ledger, Replica, config, eventually, identity, leads, memory_store, rocks_store,
};
use crate::Config;

/// Bytes of one entry.
const ENTRY: usize = 64 * 1024;
/// Entries: 64 MiB together.
const ENTRIES: usize = 1024;
/// What the files may take when nothing is left: four of the write-ahead log's, of one batch each, are
/// kept to be used again.
const SMALL: u64 = 40 * 1024 * 1024;

async fn alone(store: warren_storage::Store, config: Config) -> Replica {
    let replica = Replica::start(identity(1, 1), store, config, "127.0.0.1:0").await;
    let voters = [(NodeId(1), replica.address.clone())];
    replica.run(|group| async move { group.bootstrap(&voters).await }).await.expect("bootstrap");
    leads(&replica).await;
    replica
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_drained_leaves_the_disk_but_for_one_old_message() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let eager = Config { snapshot_after_entries: 100, keep_entries: 10, keep_bytes: 1, ..config() };
    let store = rocks_store(dir.path());
    let replica = alone(store.clone(), eager).await;
    let payload = Do::Keep(&[7; ENTRY]).bytes();
    let (old, _) = replica.propose(Do::Keep(&[9; ENTRY])).await.expect("committed");
    let kept = commit(&replica, (0..ENTRIES).map(|_| payload.clone()).collect()).await;
    let full = size(dir.path());

    commit(&replica, kept.into_iter().map(|index| Do::Forget(index).bytes()).collect()).await;
    replica.propose(Do::Shrink(old, 100)).await.expect("committed");
    // The purge and the sweep go as the log does.
    for _ in 0..200 {
        let (index, _) = replica.propose(Do::Keep(b"x")).await.expect("committed");
        replica.propose(Do::Forget(index)).await.expect("committed");
    }
    let small = async || (size(dir.path()) < SMALL).then_some(());
    eventually("the disk is free again", small).await;

    println!("{full} bytes in files when full, {} after", size(dir.path()));
    let row = replica.group.rows().read(old).await.expect("readable").expect("it is needed");
    assert_eq!(row.len(), 100, "it was thinned");
    replica.stop().await;
}

/// Proposes all at once, and waits until they are committed.
async fn commit(replica: &Replica, payloads: Vec<Bytes>) -> Vec<LogIndex> {
    let submit = |group: crate::Group<Ledger>| async move {
        let mut in_flight: FuturesOrdered<crate::Submitted<u64>> =
            payloads.into_iter().map(|payload| group.submit(payload)).collect();
        let mut indexes = Vec::new();
        while let Some(outcome) = in_flight.next().await {
            indexes.push(outcome.expect("committed").0);
        }
        indexes
    };
    replica.run(submit).await
}

/// All files below `dir`.
fn size(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size(&entry.path()),
            _ => entry.metadata().map_or(0, |data| data.len()),
        })
        .sum()
}

#[tokio::test]
async fn all_sparse_rows_are_thinned_however_few_at_a_time() {
    let eager = Config { snapshot_after_entries: 10, keep_entries: 1, sweep_rows: 2, ..config() };
    let replica = alone(memory_store(&MemoryEngine::new()), eager).await;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let (index, _) = replica.propose(Do::Keep(&[7; 1000])).await.expect("committed");
        kept.push(index);
    }
    for index in &kept {
        replica.propose(Do::Shrink(*index, 10)).await.expect("committed");
    }
    let beyond = replica.propose(Do::Keep(b"x")).await.expect("committed").0;
    for _ in 0..20 {
        replica.propose(Do::Keep(b"x")).await.expect("committed");
    }
    let purged = async || (replica.group.status().purged >= beyond).then_some(());
    eventually("the rows are below the floor", purged).await;

    let thin = async || {
        for index in &kept {
            let row = replica.group.rows().read(*index).await.expect("readable").expect("kept");
            if row.len() > 10 {
                return None;
            }
        }
        Some(())
    };
    eventually("every row is thin", thin).await;

    replica.stop().await;
}
