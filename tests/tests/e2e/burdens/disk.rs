//! A disk that fills up: who publishes waits, nobody else does, memory stays bounded, and all goes on by
//! itself.

use std::fs::File;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use warren_tests::http::Client;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Flags, MethodId, Pack, Unpack, Wire, consume, id, publish, settle};

use super::{BOUND_BYTES, PERSISTENT, Scale, assert_bounded, pour};

const BLOCKED: MethodId = (10, 60);
const UNBLOCKED: MethodId = (10, 61);

/// What is put on the disk: twice what is missing then, as others use the same disk.
const BALLAST_BYTES: u64 = 4 << 30;

/// How long an alarm may take to come or go.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let mut publisher = Wire::open_channel(node.amqp()).unwrap();
    let mut consumer = Wire::open_channel(node.amqp()).unwrap();
    publisher.declare(1, QUEUE, Flags::DURABLE, &[]).unwrap();
    let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
    publisher.call(1, select, id::CONFIRM_SELECT_OK).unwrap();

    fallocate(ballast, FallocateFlags::empty(), 0, BALLAST_BYTES).unwrap();
    let (published, reason) = publish_until_blocked(&mut publisher);
    for _ in 0..3 {
        publisher.send(&publish(1, "", QUEUE, 0, &PERSISTENT, b"waits")).unwrap();
    }
    let heard_meanwhile = publisher.hear_within(Duration::from_millis(300)).unwrap();
    pour_from_many(node.amqp());
    let alarms = Client::new(node.addresses().http, "guest", "guest")
        .try_ask("GET", "/api/health/checks/local-alarms", "")
        .unwrap();
    consumer.call(1, consume(1, QUEUE, "c", 0, &[]), id::CONSUME_OK).unwrap();
    let first = consumer.message(1).unwrap();
    consumer.send(&settle(1, id::ACK, first.tag, 0)).unwrap();

    ballast.set_len(0).unwrap();
    publisher.set_patience(PATIENCE);
    publisher.expect(0, UNBLOCKED).unwrap();
    await_confirm(&mut publisher, published + 3);

    assert_eq!(reason, "low on disk");
    assert!(heard_meanwhile.is_none(), "{heard_meanwhile:?}");
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

/// Publishes, with confirms, until the broker says that it will not be read; says how many and why.
fn publish_until_blocked(wire: &mut Wire) -> (u64, String) {
    let until = Instant::now() + PATIENCE;
    for published in 1.. {
        assert!(Instant::now() < until, "the publisher is never blocked");
        wire.send(&publish(1, "", QUEUE, 0, &PERSISTENT, b"fills")).unwrap();
        let mut confirmed = false;
        let mut reason = None;
        while !confirmed {
            let frame = wire.frame().unwrap();
            match frame.method() {
                Some(BLOCKED) => reason = Some(Unpack::new(frame.arguments()).short()),
                Some(id::ACK) => confirmed = true,
                other => panic!("{other:?} on {}", frame.channel),
            }
        }
        if let Some(reason) = reason {
            return (published, reason);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    unreachable!("the loop ends with an answer or in time")
}

/// Waits until publish `tag` is confirmed.
fn await_confirm(wire: &mut Wire, tag: u64) {
    loop {
        let frame = wire.expect(1, id::ACK).unwrap();
        if Unpack::new(frame.arguments()).u64() >= tag {
            return;
        }
    }
}
