//! What basic.get leaves behind.

use warren_queue::Shard;
use warren_types::GroupId;

use super::client::declare;
use super::node::SHARDS;
use super::operators::{Cluster, eventually};
use super::wire::{self, Method, Wire};
use crate::connection::GETTERS_KEPT;

const QUEUES: usize = 2 * GETTERS_KEPT;

fn queue(number: usize) -> String {
    format!("look {number}")
}

/// Holders and consumers of all shards, as the node that knows most of them has it.
fn holders(cluster: &Cluster) -> usize {
    let of = |spot| {
        let node = cluster.homes[spot].serving().unwrap();
        let shards = (1..=SHARDS).filter_map(|group| node.shard(GroupId(group)));
        let sessions = shards.flat_map(|shard| shard.inspect(Shard::sessions));
        sessions.map(|session| session.consumers.len()).sum()
    };
    [1, 2, 3].iter().map(of).max().unwrap_or_default()
}

/// Puts a message into each queue.
async fn filled() -> (Cluster, Wire) {
    let cluster = Cluster::start().await;
    let mut wire = cluster.client(1).await;
    for number in 0..QUEUES {
        declare(&mut wire, &queue(number)).await.unwrap();
        wire.publish(&queue(number), b"it").unwrap();
    }
    (cluster, wire)
}

/// Gets the message.
async fn get(wire: &mut Wire, number: usize, no_ack: bool) {
    loop {
        let get = Method::new(60, 70).u16(0).short(&queue(number)).u8(no_ack.into());
        wire.send(get).unwrap();
        if wire.hear().await.unwrap().method == wire::GET_OK {
            return;
        }
    }
}

fn ack(wire: &Wire, tag: usize, multiple: bool) {
    wire.send(Method::new(60, 80).u64(u64::try_from(tag).unwrap()).u8(multiple.into())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_gets_from_many_queues_leaves_few_holders_behind() {
    let (cluster, mut wire) = filled().await;

    for number in 0..QUEUES {
        let no_ack = number % 2 == 0;
        get(&mut wire, number, no_ack).await;
        if !no_ack {
            ack(&wire, number + 1, false);
        }
    }

    eventually("few are left", async || holders(&cluster) <= GETTERS_KEPT).await;
    assert!(holders(&cluster) >= GETTERS_KEPT / 2, "those that were used last are kept");
}

#[tokio::test(start_paused = true)]
async fn holders_that_hold_something_stay() {
    let (cluster, mut wire) = filled().await;

    for number in 0..QUEUES {
        get(&mut wire, number, false).await;
    }
    let holding = holders(&cluster);
    ack(&wire, QUEUES, true);
    drop(wire);
    eventually("none is left", async || holders(&cluster) == 0).await;
    let mut wire = cluster.client(2).await;

    assert_eq!(holding, QUEUES);
    for number in 0..QUEUES {
        wire.send(Method::new(60, 70).u16(0).short(&queue(number)).u8(1)).unwrap();
        wire.expect(wire::GET_EMPTY).await.unwrap();
    }
}
