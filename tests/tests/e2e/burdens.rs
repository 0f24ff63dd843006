//! Clients that ask too much of a node, or give it too little: the node lives, it serves whoever else
//! comes, and its memory stays below a bound.
//!
//! Seconds each, as they stand. `WARREN_TEST_PRESSURE=full` (`cargo xtask soak pressure`) takes the numbers of
//! a bad day: ten thousand connections, gigabytes, minutes.

mod disk;
mod files;
mod memory;
mod strangers;

use std::env;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use warren_tests::failover::await_that;
use warren_tests::load::process::resident;
use warren_tests::node::{self, Node};
use warren_tests::wire::{FRAME_HEARTBEAT, Flags, Frame, Pack, Unpack, Wire, consume, id, publish};

use crate::support::assert_serves;

const MIB: u64 = 1 << 20;

/// Memory from which on the node would have all publishers wait, which none of this is worth.
const BOUND_BYTES: u64 = 512 * MIB;

/// Sockets that this program, and the node, need beside those of a crowd.
const OTHER_SOCKETS: usize = 300;

/// How often memory is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Flags for delivery-mode alone, and the mode: persistent.
const PERSISTENT: [u8; 3] = [0x10, 0, 2];

const NO_ACK: u8 = 2;

/// What a burden is made of.
struct Scale {
    /// What the node may need for it, and no more than half of what it would need to keep it in memory.
    growth_bytes: u64,
    /// Of it, what the storage keeps of what was written last.
    recent_bytes: u64,
    connections: usize,
    /// How long each of them sends its byte a second.
    trickle: Duration,
    /// What is published to whoever does not read.
    unread_bytes: u64,
    /// How long somebody publishes who does not wait for anything.
    flood: Duration,
    /// What nobody consumes.
    kept_messages: u64,
    kept_body_bytes: usize,
}

impl Scale {
    fn of_this_run() -> Self {
        if env::var("WARREN_TEST_PRESSURE").is_ok_and(|value| value == "full") {
            return Self {
                growth_bytes: BOUND_BYTES,
                recent_bytes: 64 * MIB,
                connections: 10_000,
                trickle: Duration::from_secs(120),
                unread_bytes: 4096 * MIB,
                flood: Duration::from_secs(120),
                kept_messages: 2_000_000,
                kept_body_bytes: 1024,
            };
        }
        Self {
            growth_bytes: 160 * MIB,
            recent_bytes: 8 * MIB,
            connections: 500,
            trickle: Duration::from_secs(2),
            unread_bytes: 320 * MIB,
            flood: Duration::from_secs(2),
            kept_messages: 20_000,
            kept_body_bytes: 16 * 1024,
        }
    }
}

/// Has `burden` laid upon a node, and looks at its memory and at what others get meanwhile.
fn bear(what: &str, burden: impl FnOnce(SocketAddr, &Scale)) {
    if node::elsewhere().is_some() {
        return;
    }
    let mut scale = Scale::of_this_run();
    scale.connections = scale.connections.min(sockets().saturating_sub(OTHER_SOCKETS));
    let place = tempfile::tempdir().unwrap();
    let settings = place.path().join("warren.toml");
    let Scale { growth_bytes, recent_bytes, .. } = scale;
    let text = format!(
        "[limits]\nvm_memory_high_watermark = \"{BOUND_BYTES}\"\n\
         [storage]\nrecent_bytes = {recent_bytes}\n"
    );
    std::fs::write(&settings, text).unwrap();
    let node = Node::start_with(&["--config", settings.to_str().unwrap()]);
    let address = node.amqp();
    let (is_over, served) = (AtomicBool::new(false), AtomicU64::new(0));

    let bound = BOUND_BYTES.min(resident(node.pid()) + growth_bytes);
    assert_bounded(&node, what, bound, || {
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    assert_serves(address, what);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
            let end = End(&is_over);
            burden(address, &scale);
            // Whoever comes last is served as well.
            let before = served.load(Ordering::Relaxed);
            await_that("others are served", || served.load(Ordering::Relaxed) > before);
            drop(end);
        });
    });

    println!("{what}: {} others were served", served.into_inner());
}

/// Does `work`, and looks at the node's memory meanwhile.
fn assert_bounded(node: &Node, what: &str, bound: u64, work: impl FnOnce()) {
    let (is_over, most) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                most.fetch_max(resident(node.pid()), Ordering::Relaxed);
                thread::sleep(LOOK_INTERVAL);
            }
        });
        let end = End(&is_over);
        work();
        drop(end);
    });

    let most = most.into_inner();
    println!("{what}: {} MiB at most", most / MIB);
    assert!((1..bound).contains(&most), "{what}: {} MiB", most / MIB);
}

/// Ends the others' work also when its holder panics.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_consumer_that_reads_nothing_costs_no_more_than_its_buffers() {
    bear("a consumer that reads nothing", |address, scale| {
        let mut slow = Wire::open_channel(address).unwrap();
        slow.declare(1, "slow", Flags::DURABLE, &[]).unwrap();
        slow.call(1, consume(1, "slow", "c", NO_ACK, &[]), id::CONSUME_OK).unwrap();

        let body = vec![b'x'; 64 * 1024];
        let count = scale.unread_bytes / u64::try_from(body.len()).unwrap();
        publish_confirmed(address, "slow", &body, count, 64);
    });
}

#[test]
fn a_queue_that_nobody_consumes_costs_little_memory() {
    bear("a queue that nobody consumes", |address, scale| {
        let mut owner = Wire::open_channel(address).unwrap();
        owner.declare(1, "kept", Flags::DURABLE, &[]).unwrap();

        let body = vec![b'x'; scale.kept_body_bytes];
        publish_confirmed(address, "kept", &body, scale.kept_messages, 1000);

        let (_, ready, _) = owner.declare(1, "kept", Flags::DURABLE, &[]).unwrap();
        assert_eq!(u64::from(ready), scale.kept_messages);
    });
}

#[test]
fn a_publisher_that_waits_for_nothing_is_slowed_down_and_nobody_else() {
    bear("a publisher that waits for nothing", |address, scale| {
        let sent = pour(address, "flood", scale.flood);

        println!("{} MiB were taken", sent / MIB);
        assert!(sent > 0);
    });
}

#[test]
fn many_connections_that_send_a_byte_a_second_leave_room_for_others() {
    bear("connections that send a byte a second", |address, scale| {
        let mut crowd: Vec<Wire> =
            (0..scale.connections).map(|_| Wire::open(address).unwrap()).collect();
        let heartbeat = Frame { kind: FRAME_HEARTBEAT, channel: 0, payload: Vec::new() }.encode();

        let begin = Instant::now();
        for second in 0.. {
            for wire in &mut crowd {
                wire.send(&heartbeat[second % heartbeat.len()..][..1]).unwrap();
            }
            if begin.elapsed() > scale.trickle {
                break;
            }
            let next = Duration::from_secs(u64::try_from(second + 1).unwrap());
            thread::sleep(next.saturating_sub(begin.elapsed()));
        }

        println!("{} connections", crowd.len());
    });
}

/// Publishes to a durable queue for so long, as fast as the node takes it, and waits for nothing. Says
/// how many bytes were taken.
fn pour(address: SocketAddr, queue: &str, duration: Duration) -> u64 {
    let mut wire = Wire::open_channel(address).unwrap();
    wire.declare(1, queue, Flags::DURABLE, &[]).unwrap();
    wire.stream().set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut stream = wire.stream().try_clone().unwrap();
    let burst = publish(1, "", queue, 0, &PERSISTENT, &[b'x'; 1024]).repeat(100);

    let (until, mut sent, mut at) = (Instant::now() + duration, 0_u64, 0);
    while Instant::now() < until {
        match stream.write(&burst[at..]) {
            Ok(count) => {
                at = (at + count) % burst.len();
                sent += u64::try_from(count).unwrap();
            }
            Err(error) if is_full(error.kind()) => {}
            Err(error) => panic!("after {sent} bytes: {error}"),
        }
    }
    sent
}

/// How many sockets this program may have at most, as the nodes may that it starts from here on.
fn sockets() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let most = if raised.is_ok() { maximum } else { current };
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

fn is_full(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Publishes so many messages, of which never more than `window` wait for their confirm.
fn publish_confirmed(address: SocketAddr, queue: &str, body: &[u8], count: u64, window: u64) {
    let mut wire = Wire::open_channel(address).unwrap();
    confirm(&mut wire);
    publish_confirmed_on(&mut wire, queue, body, count, window);
}

/// Has publishes on channel 1 confirmed.
fn confirm(wire: &mut Wire) {
    let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
    wire.call(1, select, id::CONFIRM_SELECT_OK).unwrap();
}

/// As [`publish_confirmed`], the first ones on that channel.
fn publish_confirmed_on(wire: &mut Wire, queue: &str, body: &[u8], count: u64, window: u64) {
    let message = publish(1, "", queue, 0, &PERSISTENT, body);
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < count {
        while sent < count && sent - confirmed < window {
            wire.send(&message).unwrap();
            sent += 1;
        }
        let ack = wire.frame().unwrap();
        match ack.method() {
            Some(id::ACK) => confirmed = confirmed.max(Unpack::new(ack.arguments()).u64()),
            other => panic!("{other:?} while {confirmed} of {sent} are confirmed"),
        }
    }
}
