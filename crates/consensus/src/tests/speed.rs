//! How fast one voter commits. Nothing is asserted; run with `--nocapture` to see.

use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use warren_types::NodeId;

use super::kit::{Do, Replica, config, identity, leads, rocks_store};

const ENTRIES: usize = 20_000;
const IN_FLIGHT: usize = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_voter_commits_pipelined_entries() {
    let entries = std::env::var("WARREN_SPEED_ENTRIES").ok().and_then(|count| count.parse().ok());
    let entries = entries.unwrap_or(ENTRIES);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let replica =
        Replica::start(identity(1, 1), rocks_store(dir.path()), config(), "127.0.0.1:0").await;
    let voters = [(NodeId(1), replica.address.clone())];
    replica.run(|group| async move { group.bootstrap(&voters).await }).await.expect("bootstrap");
    leads(&replica).await;
    let payload: Bytes = Do::Keep(&[1; 1024]).bytes();

    let began = Instant::now();
    replica
        .run(|group| async move {
            let mut in_flight = FuturesOrdered::<crate::Submitted<u64>>::new();
            for _ in 0..entries {
                if in_flight.len() == IN_FLIGHT {
                    in_flight.next().await.expect("some").expect("committed");
                }
                in_flight.push_back(group.submit(payload.clone()));
            }
            while let Some(outcome) = in_flight.next().await {
                outcome.expect("committed");
            }
        })
        .await;

    let us = u128::try_from(entries).unwrap() * 1_000_000;
    let per_second = us / began.elapsed().as_micros();
    println!("{per_second} entries of 1 KiB a second, {IN_FLIGHT} in flight");
    replica.stop().await;
}
