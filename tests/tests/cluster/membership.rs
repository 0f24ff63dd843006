//! Nodes join, and lose their disks.

use warren_tests::cluster::Cluster;
use warren_tests::failover::{Pace, Scene, Seats, await_that};

/// Shards that a node has a replica of: the groups it knows, without the catalog.
fn shards(cluster: &Cluster, node: usize) -> usize {
    let groups = cluster.metrics(node).by_label("rabbitmq_raft_last_applied", "group");
    groups.iter().filter(|(group, applied)| group != "0" && *applied > 0.0).count()
}

#[test]
fn a_node_that_joins_under_load_takes_its_share() {
    let Some(mut cluster) = Cluster::own(3) else { return };
    let queue = cluster.declare("join", 0);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    let seats = Seats { publisher: vec![others[0]], consumer: vec![others[1]] };
    let mut scene = Scene::begin(&cluster, queue, &seats, &Pace::default());

    scene.mark("join");
    let joined = cluster.add();
    cluster.wait_complete();
    await_that("the node has replicas of shards", || shards(&cluster, joined) > 0);
    scene.flow();
    let account = scene.end(&cluster);

    account.expect_no_faults();
    account.expect_no_losses();
    // Clients of the node are served as any.
    let order = vec![joined];
    let seats = Seats { publisher: order.clone(), consumer: order };
    let queue = cluster.declare("joined", joined);
    let scene = Scene::begin(&cluster, queue, &seats, &Pace::default());
    scene.end(&cluster).expect_no_faults();
}

#[test]
fn a_node_that_lost_its_disk_comes_back_as_another_and_the_cluster_still_has_three() {
    let Some(mut cluster) = Cluster::own(3) else { return };
    let queue = cluster.declare("wiped", 0);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    let seats = Seats { publisher: vec![others[0]], consumer: vec![others[1]] };
    let mut scene = Scene::begin(&cluster, queue, &seats, &Pace::default());

    scene.mark("wipe");
    cluster.kill9(leader);
    cluster.wipe(leader);
    scene.flow();
    cluster.restart(leader);
    cluster.wait_complete();
    scene.flow();
    let account = scene.end(&cluster);
    account.expect_no_faults();
    account.expect_no_losses();

    // It counts: with it and one other there is a majority of every group.
    let gone = others[0];
    cluster.kill9(gone);
    let seats = Seats { publisher: vec![others[1]], consumer: vec![leader] };
    let queue = cluster.declare("replaced", leader);
    let scene = Scene::begin(&cluster, queue, &seats, &Pace::default());
    scene.flow();
    cluster.restart(gone);
    cluster.wait_complete();
    scene.end(&cluster).expect_no_faults();
}
