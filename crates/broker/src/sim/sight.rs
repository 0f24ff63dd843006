//! One link alone is cut: nobody waits for it.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;
use warren_types::GroupId;

use super::client::declare;
use super::network::{HoldId, Spot};
use super::operators::{Cluster, eventually};
use super::wire::{self, Ended, Method};
use super::world::World;

/// How long a client may wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

const NODES: [Spot; 3] = [1, 2, 3];

/// Who leads a group, as the others than `away` know.
fn leader(cluster: &Cluster, group: GroupId, away: Spot) -> Option<Spot> {
    let leads = |spot: &Spot| {
        let node = cluster.homes[spot].serving();
        node.and_then(|node| node.consensus.status(group)).is_some_and(|it| it.leadership.here)
    };
    NODES.into_iter().filter(|spot| *spot != away).find(leads)
}

/// Nothing passes between two nodes.
fn cut(cluster: &Cluster, one: Spot, other: Spot) -> HoldId {
    cluster.network.hold(BTreeSet::from([(one, other), (other, one)]))
}

/// A client at this node declares queues, publishes to them and hears of it.
async fn serve(cluster: &Cluster, spot: Spot) -> Result<(), Ended> {
    let mut wire = cluster.client(spot).await;
    wire.send(Method::new(85, 10).u8(0))?;
    wire.expect(wire::SELECT_OK).await?;
    for queue in ["one", "two", "three", "four"] {
        declare(&mut wire, queue).await?;
        wire.publish(queue, b"here")?;
        let said = wire.hear().await?;
        assert_eq!(said.method, wire::ACK, "{said:?}");
    }
    Ok(())
}

async fn must_serve(cluster: &Cluster, spot: Spot) {
    let served = timeout(PATIENCE, serve(cluster, spot)).await;
    assert!(matches!(served, Ok(Ok(()))), "{served:?}");
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_node_that_does_not_reach_the_catalogs_leader_are_served() {
    let cluster = Cluster::start().await;
    let leader = leader(&cluster, GroupId::CATALOG, 0).unwrap();
    let spot = NODES.into_iter().find(|spot| *spot != leader).unwrap();

    cut(&cluster, spot, leader);

    must_serve(&cluster, spot).await;
}

#[tokio::test(start_paused = true)]
async fn clients_of_a_node_that_does_not_reach_a_shards_leader_are_served() {
    for group in World::groups().skip(1) {
        let cluster = Cluster::start().await;
        let leader = leader(&cluster, group, 0).unwrap();
        let spot = NODES.into_iter().find(|spot| *spot != leader).unwrap();

        cut(&cluster, spot, leader);

        must_serve(&cluster, spot).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_given_up_comes_back_though_it_does_not_reach_the_catalogs_leader() {
    let cluster = Cluster::start().await;
    let spot = 3;
    let frozen = cluster.freeze(spot);
    eventually("it is given up", async || cluster.broker(1).overview().cluster.nodes_running == 2)
        .await;
    eventually("another leads", async || leader(&cluster, GroupId::CATALOG, spot).is_some()).await;
    let leader = leader(&cluster, GroupId::CATALOG, spot).unwrap();

    cut(&cluster, spot, leader);
    cluster.network.let_go(frozen);

    let other = NODES.into_iter().find(|other| ![spot, leader].contains(other)).unwrap();
    eventually("it is back", async || cluster.broker(other).overview().cluster.nodes_running == 3)
        .await;
    must_serve(&cluster, spot).await;
}
