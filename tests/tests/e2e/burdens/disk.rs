//! A disk that fills up: who publishes waits, nobody else does, memory stays bounded, and all goes on by
//! itself.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use warren_tests::blocked::Publisher;
use warren_tests::http::Client;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Flags, Wire, consume, id, settle};

use super::{BOUND_BYTES, Scale, assert_bounded, pour};

/// What is put on the disk: twice what is missing then, as others use the same disk.
const BALLAST_BYTES: u64 = 4 << 30;

const QUEUE: &str = "pressure";

/// Of those who do not wait.
const PUBLISHERS: usize = 16;

#[test]
fn publishers_wait_while_the_disk_is_full_and_go_on_when_there_is_room() {
    let Some((node, ballast)) = node_on_a_disk_that_can_be_filled() else { return };
    assert_bounded(&node, "a full disk", BOUND_BYTES, || fill_and_empty(&node, &ballast));
}

/// Fills the disk, and makes room again, under a publisher and a consumer.
fn fill_and_empty(node: &Node, ballast: &File) {
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    let mut consumer = Wire::open_channel(node.amqp()).unwrap();
    wire.declare(1, QUEUE, Flags::DURABLE, &[]).unwrap();
    let mut publisher = Publisher::new(wire, QUEUE).unwrap();

    fallocate(ballast, FallocateFlags::empty(), 0, BALLAST_BYTES).unwrap();
    let reason = publisher.send_until_blocked(b"fills", Duration::from_millis(20)).unwrap();
    for _ in 0..3 {
        publisher.send(b"waits").unwrap();
    }
    publisher.hear_nothing(Duration::from_millis(300)).unwrap();
    pour_from_many(node.amqp());
    let alarms = Client::new(node.addresses().http, "guest", "guest")
        .try_ask("GET", "/api/health/checks/local-alarms", "")
        .unwrap();
    consumer.call(1, consume(1, QUEUE, "c", 0, &[]), id::CONSUME_OK).unwrap();
    let first = consumer.message(1).unwrap();
    consumer.send(&settle(1, id::ACK, first.tag, 0)).unwrap();

    ballast.set_len(0).unwrap();
    publisher.await_release().unwrap();

    assert_eq!(reason, "low on disk");
    assert_eq!(alarms.status, 503, "{}", alarms.body);
    assert!(alarms.body.contains("disk"), "{}", alarms.body);
    assert_eq!(first.body, b"fills");
}

/// Publishers that wait for nothing while nothing can be taken.
fn pour_from_many(address: SocketAddr) {
    let duration = Scale::of_this_run().flood;
    std::thread::scope(|scope| {
        for _ in 0..PUBLISHERS {
            scope.spawn(|| pour(address, "poured", duration));
        }
    });
}

/// A node that wants two gigabytes less than there are, and a file that takes four. Nothing where
/// there is no such disk.
fn node_on_a_disk_that_can_be_filled() -> Option<(Node, File)> {
    node::elsewhere().is_none().then_some(())?;
    let place = tempfile::tempdir().unwrap();
    let space = statvfs(place.path()).unwrap();
    let free = space.f_bavail * space.f_frsize;
    let ballast = tempfile::tempfile_in(place.path()).unwrap();
    let can_be_filled = free > 2 * BALLAST_BYTES
        && fallocate(&ballast, FallocateFlags::empty(), 0, BALLAST_BYTES).is_ok();
    ballast.set_len(0).unwrap();
    if !can_be_filled {
        eprintln!("NOT TESTED: this disk cannot be filled with {BALLAST_BYTES} bytes at once");
        return None;
    }
    let settings = place.path().join("warren.toml");
    let limit = free - BALLAST_BYTES / 2;
    let text = format!(
        "[limits]\ndisk_free_limit = \"{limit}\"\nvm_memory_high_watermark = \"{BOUND_BYTES}\"\n"
    );
    std::fs::write(&settings, text).unwrap();
    let node = Node::start_with(&["--config", settings.to_str().unwrap()]);
    Some((node, ballast))
}
