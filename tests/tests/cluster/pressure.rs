//! A node that is short of memory: whoever publishes to what it leads waits, at whichever node, and nobody
//! else does.

use std::time::{Duration, Instant};

use warren_tests::blocked::Publisher;
use warren_tests::cluster::{Cluster, Queue};
use warren_tests::http::Client as Http;
use warren_tests::load::process::resident;
use warren_tests::wire::{Flags, Wire};

use crate::support::{Client, await_that};

/// The node that will be short of memory.
const SHORT: usize = 2;

/// What it takes before that.
const ROOM_BYTES: u64 = 96 << 20;

/// Queues of which each node leads some, once leads are spread.
const QUEUES: usize = 64;

/// For how long no lead moves before they count as spread.
const SETTLED: Duration = Duration::from_secs(4);

/// A queue that it keeps in memory.
const FILLED: &str = "filled";

/// A publisher at `node`.
fn publisher(cluster: &Cluster, node: usize, queue: &str) -> Publisher {
    Publisher::new(Wire::open_channel(cluster.amqp(node)).unwrap(), queue).unwrap()
}

/// A queue of each node, which leads it and has for a while: leads of a young cluster go where they belong.
fn one_led_by_each(cluster: &Cluster) -> Vec<Queue> {
    let queues: Vec<Queue> = (0..QUEUES).map(|number| cluster.declare("led", number % 3)).collect();
    let (mut leaders, mut since) = (Vec::new(), Instant::now());
    await_that("each node leads a queue, and goes on to", || {
        let found: Vec<usize> = queues.iter().map(|queue| cluster.leader(queue)).collect();
        if found != leaders {
            (leaders, since) = (found, Instant::now());
        }
        since.elapsed() >= SETTLED && (0..3).all(|node| leaders.contains(&node))
    });
    let led = |node| leaders.iter().position(|leader| *leader == node).unwrap();
    (0..3).map(|node| queues[led(node)].clone()).collect()
}

/// Three nodes, whose mark is a little more than what each of them has taken, and a queue that each leads.
fn nodes_with_little_room(settings: &std::path::Path) -> (Cluster, Vec<Queue>) {
    std::fs::write(settings, "[limits]\n").unwrap();
    let cluster = Cluster::start_with(3, &["--config", settings.to_str().unwrap()]);
    let queues: Vec<Queue> = one_led_by_each(&cluster);
    let most = (0..3).map(|node| resident(cluster.pid(node))).max().unwrap();
    let mark = most + ROOM_BYTES;
    let text = format!("[limits]\nvm_memory_high_watermark = \"{mark}\"\n");
    std::fs::write(settings, text).unwrap();
    for node in 0..3 {
        let http = Http::new(cluster.http(node), "guest", "guest");
        await_that("the mark counts", || {
            let nodes = http.value("/api/nodes");
            nodes.as_array().unwrap().iter().all(|row| row["mem_limit"] == mark)
        });
    }
    (cluster, queues)
}

#[test]
fn only_those_wait_who_publish_to_what_a_node_short_of_memory_leads() {
    if Cluster::is_elsewhere() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let (cluster, queues) = nodes_with_little_room(&place.path().join("warren.toml"));
    let mut owner = Client::of(&cluster, SHORT);
    owner.declare(FILLED, Flags::NONE);

    let mut filler = publisher(&cluster, SHORT, FILLED);
    let reason = filler.send_until_blocked(&[b'x'; 64 * 1024], Duration::ZERO).unwrap();
    // Those who come to it later wait as well, at whichever node they are.
    let mut waiting: Vec<Publisher> =
        (0..3).map(|node| publisher(&cluster, node, &queues[SHORT].name)).collect();
    for one in &mut waiting {
        let reason = one.send_until_blocked(b"taken", Duration::from_millis(50)).unwrap();
        assert_eq!(reason, "low on memory");
        one.send(b"waits").unwrap();
    }
    for queue in &queues[..SHORT] {
        for node in 0..3 {
            let mut free = publisher(&cluster, node, &queue.name);
            for _ in 0..20 {
                assert_eq!(free.send_confirmed(b"goes on").unwrap(), None, "at node {node}");
            }
        }
    }
    for one in &mut waiting {
        one.hear_nothing(Duration::from_millis(500)).unwrap();
    }
    let leader = cluster.leader(&queues[SHORT]);
    owner.purge(FILLED);

    assert_eq!((reason.as_str(), leader), ("low on memory", SHORT));
    filler.await_release().unwrap();
    for mut one in waiting {
        one.await_release().unwrap();
    }
}
