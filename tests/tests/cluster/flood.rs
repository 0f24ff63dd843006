//! A publisher that waits for nothing, at a queue that commits nothing: little of what it sends is taken.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use warren_tests::cluster::Cluster;
use warren_tests::load::process::resident;
use warren_tests::wire::{Wire, publish};

use crate::support::{Client, PERSISTENT};

const BODY_BYTES: usize = 64 * 1024;

/// For how long it publishes.
const FLOOD: Duration = Duration::from_secs(5);

/// What is taken at most: 4 MiB by the node, once in flight and once as they come, and the rest by the
/// system, which has room for either end of a socket.
const TAKEN_BYTES: usize = 32 << 20;

/// What the node may need for it.
const GROWTH_BYTES: u64 = 96 << 20;

#[test]
fn a_queue_that_commits_nothing_takes_little_of_what_a_publisher_sends() {
    let Some(mut cluster) = Cluster::own(3) else { return };
    let queue = cluster.declare("flood", 0);
    let leader = cluster.leader(&queue);
    let others = cluster.others(leader);
    let before = resident(cluster.pid(leader));

    for &other in &others {
        cluster.pause(other);
    }
    let taken = pour(cluster.amqp(leader), &queue.name);
    let grown = resident(cluster.pid(leader)).saturating_sub(before);
    for &other in &others {
        cluster.resume(other);
    }

    println!("{} KiB were taken, {} KiB of memory", taken >> 10, grown >> 10);
    assert!((1..TAKEN_BYTES).contains(&taken), "{} MiB were taken", taken >> 20);
    assert!(grown < GROWTH_BYTES, "{} MiB of memory", grown >> 20);
    // And it goes on, once it can.
    let mut client = Client::of(&cluster, leader);
    assert!(client.publish("", &queue.name, "again"));
}

/// Publishes to a queue for a while as fast as the node takes it. How many bytes were taken.
fn pour(address: SocketAddr, queue: &str) -> usize {
    let wire = Wire::open_channel(address).unwrap();
    wire.stream().set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut stream = wire.stream();
    let message = publish(1, "", queue, 0, &PERSISTENT, &[b'x'; BODY_BYTES]);

    let (until, mut taken) = (Instant::now() + FLOOD, 0);
    while Instant::now() < until {
        match stream.write(&message[taken % message.len()..]) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => panic!("after {taken} bytes: {error}"),
        }
    }
    taken
}
