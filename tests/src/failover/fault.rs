//! What is done to nodes while a queue has traffic.

use std::thread;
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, Queue};
use crate::failover::{Account, Pace, Scene, Seats};

/// How long a node must have led before it counts as the leader.
const SETTLED: Duration = Duration::from_secs(5);

/// How often the lead is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(200);

/// How often another queue is taken when leadership moved meanwhile.
const TRIES: usize = 10;

/// A queue whose leader is not where the clients are.
///
/// # Panics
///
/// If it cannot be declared, no messages flow, or its leadership moves every time.
pub fn scene_away_from_leader(cluster: &Cluster, node: usize, pace: &Pace) -> (Scene, usize) {
    for _ in 0..TRIES {
        let queue = cluster.declare("failover", node);
        let leader = settled_leader(cluster, &queue);
        let others = cluster.others(leader);
        let seats = Seats { publisher: vec![others[0]], consumer: vec![others[1]] };
        let scene = Scene::begin(cluster, queue, &seats, pace);
        // Young clusters, and those to which a node came back, spread their leaderships.
        if cluster.leader(scene.queue()) == leader {
            return (scene, leader);
        }
        scene.end(cluster).expect_no_faults();
    }
    panic!("leadership moved in each of {TRIES} tries");
}

/// Who leads a queue, and has led it for a while.
fn settled_leader(cluster: &Cluster, queue: &Queue) -> usize {
    let mut leader = cluster.leader(queue);
    let mut since = Instant::now();
    while since.elapsed() < SETTLED {
        thread::sleep(GLANCE);
        let latest = cluster.leader(queue);
        if latest != leader {
            (leader, since) = (latest, Instant::now());
        }
    }
    leader
}

/// Kills the node that leads the queue, and brings it back; both clients are on other nodes.
///
/// # Panics
///
/// If messages do not flow again, or the node does not come back.
pub fn kill(cluster: &mut Cluster, node: usize, pace: &Pace) -> Account {
    let (mut scene, leader) = scene_away_from_leader(cluster, node, pace);
    scene.mark("kill");
    cluster.kill9(leader);
    scene.flow();
    scene.mark("return");
    cluster.restart(leader);
    cluster.wait_complete();
    scene.flow();
    scene.end(cluster)
}

/// Freezes the node that leads the queue, and thaws it; both clients are on other nodes.
///
/// # Panics
///
/// If messages do not flow again.
pub fn freeze(cluster: &mut Cluster, node: usize, pace: &Pace) -> Account {
    let (mut scene, leader) = scene_away_from_leader(cluster, node, pace);
    let begin = Instant::now();
    scene.mark("freeze");
    cluster.pause(leader);
    scene.flow();
    thread::sleep(pace.frozen.saturating_sub(begin.elapsed()));
    scene.mark("thaw");
    cluster.resume(leader);
    cluster.wait_complete();
    scene.flow();
    scene.end(cluster)
}

/// Kills the node that both clients are connected to, and brings it back; they go elsewhere.
///
/// # Panics
///
/// If messages do not flow again, or the node does not come back.
pub fn kill_own(cluster: &mut Cluster, node: usize, pace: &Pace) -> Account {
    let queue = cluster.declare("failover", node);
    let mut order = vec![node];
    order.extend(cluster.others(node));
    let seats = Seats { publisher: order.clone(), consumer: order };
    let mut scene = Scene::begin(cluster, queue, &seats, pace);
    scene.mark("kill");
    cluster.kill9(node);
    scene.flow();
    scene.mark("return");
    cluster.restart(node);
    cluster.wait_complete();
    scene.flow();
    scene.end(cluster)
}

/// Stops all nodes in order, one after the other, each back before the next goes; the clients
/// go elsewhere whenever theirs leaves.
///
/// # Panics
///
/// If messages do not flow again, or a node does not come back.
pub fn rolling(cluster: &mut Cluster, pace: &Pace) -> Account {
    let mut scene = scene_everywhere(cluster, cluster.declare("rolling", 0), pace);
    scene.mark("restarts");
    for node in 0..cluster.len() {
        cluster.terminate(node);
        scene.flow();
        cluster.restart(node);
        cluster.wait_complete();
    }
    scene.flow();
    scene.end(cluster)
}

/// Kills all nodes at once and starts them in this order.
///
/// # Panics
///
/// If they do not come back.
pub fn kill_all(cluster: &mut Cluster, order: &[usize], pace: &Pace) -> Account {
    let mut scene = scene_everywhere(cluster, cluster.declare("blackout", 0), pace);
    scene.mark("blackout");
    cluster.kill9_all();
    order.iter().for_each(|node| cluster.launch(*node));
    order.iter().for_each(|node| cluster.wait_ready(*node));
    cluster.wait_complete();
    scene.flow();
    scene.end(cluster)
}

/// Clients on different nodes that go to any other when theirs is gone.
fn scene_everywhere(cluster: &Cluster, queue: Queue, pace: &Pace) -> Scene {
    let turned = |by: usize| (0..cluster.len()).map(|at| (at + by) % cluster.len()).collect();
    let seats = Seats { publisher: turned(0), consumer: turned(1) };
    Scene::begin(cluster, queue, &seats, pace)
}
