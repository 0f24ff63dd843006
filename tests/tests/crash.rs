//! `kill -9` in a loop under load: no confirmed message lost, none doubled without the flag, all in order.
//!
//! Each queue has one publisher, with confirms, and one consumer, with manual acks; all of them
//! reconnect whenever the node comes back. A message is sent once: what was unconfirmed when its
//! connection was lost may or may not be there, and is never sent again.
//!
//! `WARREN_TEST_ROUNDS` sets the number of kills. Against another broker
//! (`WARREN_TEST_AMQP`) nothing is killed: that checks this test.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use warren_tests::checker::{Checker, Number, Publisher};
use warren_tests::node::{self, Node, unique};
use warren_tests::wire::{
    Flags, Heard, Pack, Unpack, Wire, consume, delete_queue, id, publish, settle,
};

/// Kills, unless told otherwise.
const ROUNDS: u64 = 20;
/// Queues, each with a publisher and a consumer.
const QUEUES: Publisher = 2;
/// Publishes that may wait for their confirm, per publisher.
const WINDOW: usize = 100;
/// Deliveries that may wait for their ack, per consumer.
const PREFETCH: u16 = 50;
/// Deliveries that one ack settles.
const ACK_EVERY: u64 = 10;
/// Confirms between two kills, at least.
const CONFIRMS: u64 = 400;
/// Where the program is ended, and how often it comes by before that, roughly.
const PLACES: [(&str, u32); 13] = [
    ("consensus.append.before", 20),
    ("consensus.append.after", 20),
    ("storage.write", 20),
    ("storage.sync.before", 20),
    ("storage.sync.after", 20),
    ("consensus.vote.saved", 1),
    ("consensus.snapshot.copied", 1),
    ("storage.snapshot.page", 1),
    ("storage.snapshot.head", 1),
    ("consensus.apply.after", 50),
    ("consensus.committed.before", 20),
    ("broker.confirm.before", 50),
    ("broker.deliver.before", 20),
];
/// How long a stream of deliveries must rest to be called a pause.
const PAUSE: Duration = Duration::from_millis(50);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the threads of a run share.
struct Run {
    address: SocketAddr,
    queues: Vec<String>,
    checker: Mutex<Checker>,
    confirms: AtomicU64,
    deliveries: AtomicU64,
    publishing: AtomicBool,
    consuming: AtomicBool,
}

#[test]
fn nothing_confirmed_is_lost_or_doubled_or_reordered_when_the_node_is_killed_again_and_again() {
    break_under_load(node::own(), kill_and_restart);
}

#[test]
fn nothing_confirmed_is_lost_or_doubled_or_reordered_wherever_the_node_ends() {
    // Snapshots all the time, so that there is one to end in.
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&settings, "[raft]\nsnapshot_after_entries = 50\nsweep_ms = 100\n").unwrap();
    let path = settings.path().to_str().unwrap();
    let Some(node) = Node::start_breakable(&["--config", path]) else { return };

    break_under_load(Some(node), end_everywhere);
}

/// Has clients publish and consume while `break_it` does what it does to the node.
fn break_under_load(mut node: Option<Node>, break_it: fn(&mut Node, &Run)) {
    let run = Arc::new(Run {
        address: node.as_ref().map_or_else(node::shared, Node::amqp),
        queues: (0..QUEUES).map(|_| unique("crash")).collect(),
        checker: Mutex::default(),
        confirms: AtomicU64::new(0),
        deliveries: AtomicU64::new(0),
        publishing: AtomicBool::new(true),
        consuming: AtomicBool::new(true),
    });
    for queue in &run.queues {
        Wire::open_channel(run.address).unwrap().declare(1, queue, Flags::DURABLE, &[]).unwrap();
    }

    let (publishers, consumers) = (spawn(&run, publish_on), spawn(&run, consume_from));
    if let Some(node) = &mut node {
        break_it(node, &run);
    }
    run.await_progress(CONFIRMS);
    run.publishing.store(false, Ordering::SeqCst);
    publishers.into_iter().for_each(|thread| thread.join().unwrap());
    run.await_drain();
    run.consuming.store(false, Ordering::SeqCst);
    consumers.into_iter().for_each(|thread| thread.join().unwrap());

    // What the consumers settled before they left in order stays settled.
    if let Some(node) = &mut node {
        node.terminate();
        node.restart();
    }
    for queue in &run.queues {
        let mut wire = Wire::open_channel(run.address).unwrap();
        assert!(wire.get(1, queue, true).unwrap().is_none(), "{queue} is not empty");
        wire.call(1, delete_queue(1, queue), id::QUEUE_DELETE_OK).unwrap();
    }
    let (summary, faults) = std::mem::take(&mut *run.checker.lock().unwrap()).finish();
    println!("{summary:?}");
    let shown: Vec<String> = faults.iter().take(20).map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} faults in {summary:?}, the first:\n{}",
        faults.len(),
        shown.join("\n")
    );
    assert!(summary.confirmed >= CONFIRMS && summary.delivered >= summary.confirmed, "{summary:?}");
}

fn spawn(run: &Arc<Run>, work: fn(&Run, Publisher)) -> Vec<thread::JoinHandle<()>> {
    let start = |index| {
        let run = Arc::clone(run);
        thread::spawn(move || work(&run, index))
    };
    (0..QUEUES).map(start).collect()
}

fn kill_and_restart(node: &mut Node, run: &Run) {
    let rounds =
        std::env::var("WARREN_TEST_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    // Some other amount of work in each round, so that the kills fall into different moments.
    let mut seed = u64::from(std::process::id());
    for round in 1..=rounds {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        run.await_progress(CONFIRMS + (seed >> 33) % CONFIRMS);
        node.kill9();
        node.restart();
        println!("round {round}: {} confirms so far", run.confirms.load(Ordering::SeqCst));
    }
}

/// Ends the process at each of its failpoints in turn.
fn end_everywhere(node: &mut Node, run: &Run) {
    for (place, passes) in PLACES {
        run.await_progress(CONFIRMS / 4);
        if place == "consensus.vote.saved" {
            // A node that is alone votes when it starts, and not again.
            node.kill9();
            node.arm(&format!("{place}=panic"));
            node.spawn().unwrap();
        } else {
            node.arm(&format!("{place}={passes}*off->panic"));
        }
        let status = node.wait_end();
        assert!(!status.success(), "{place}: the node left with {status}");
        node.arm("");
        node.restart();
        println!("{place}: {} confirms so far", run.confirms.load(Ordering::SeqCst));
    }
}

impl Run {
    /// Waits for so many more confirms and some more deliveries.
    fn await_progress(&self, confirms: u64) {
        let begin = (self.confirms.load(Ordering::SeqCst), self.deliveries.load(Ordering::SeqCst));
        await_that("the clients make progress", || {
            self.confirms.load(Ordering::SeqCst) >= begin.0 + confirms
                && self.deliveries.load(Ordering::SeqCst) > begin.1
        });
    }

    /// Waits until all that was confirmed was delivered, and nothing is ready any more.
    fn await_drain(&self) {
        let mut wire = Wire::open_channel(self.address).unwrap();
        await_that("the queues run dry", || {
            let ready = self
                .queues
                .iter()
                .any(|queue| wire.declare(1, queue, Flags::PASSIVE, &[]).unwrap().1 > 0);
            !ready && self.checker.lock().unwrap().missing() == 0
        });
    }
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn publish_on(run: &Run, index: Publisher) {
    while run.publishing.load(Ordering::SeqCst) {
        // An error is the end of a connection, and the next one goes on.
        drop(publish_until_lost(run, index));
        thread::sleep(Duration::from_millis(1));
    }
}

fn publish_until_lost(run: &Run, index: Publisher) -> Result<()> {
    let queue = queue_of(run, index);
    let mut wire = Wire::open_channel(run.address)?;
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
    let mut open: VecDeque<(u64, Number)> = VecDeque::new();
    let mut tag = 0;
    loop {
        let publishing = run.publishing.load(Ordering::SeqCst);
        if !publishing && open.is_empty() {
            return wire.close();
        }
        while publishing && open.len() < WINDOW {
            tag += 1;
            let number = run.checker.lock().unwrap().publish(index);
            let body = Pack::empty().u32(index).u64(number).raw(&[b'x'; 100]).bytes();
            // Flags for delivery-mode alone, and the mode: persistent.
            wire.send(&publish(1, "", queue, 0, &[0x10, 0, 2], &body))?;
            open.push_back((tag, number));
        }
        take_confirm(run, index, &mut wire, &mut open)?;
    }
}

fn take_confirm(
    run: &Run,
    index: Publisher,
    wire: &mut Wire,
    open: &mut VecDeque<(u64, Number)>,
) -> Result<()> {
    let ack = wire.expect(1, id::ACK)?;
    let mut arguments = Unpack::new(ack.arguments());
    let (tag, multiple) = (arguments.u64(), arguments.u8() == 1);
    let covered = |of: u64| of == tag || (multiple && of < tag);
    let mut checker = run.checker.lock().unwrap();
    for (_, number) in open.iter().filter(|(of, _)| covered(*of)) {
        checker.confirm(index, *number);
        run.confirms.fetch_add(1, Ordering::SeqCst);
    }
    open.retain(|(of, _)| !covered(*of));
    Ok(())
}

fn consume_from(run: &Run, index: Publisher) {
    while run.consuming.load(Ordering::SeqCst) {
        drop(consume_until_lost(run, index));
        thread::sleep(Duration::from_millis(1));
    }
}

fn consume_until_lost(run: &Run, index: Publisher) -> Result<()> {
    let mut wire = Wire::open_channel(run.address)?;
    wire.call(1, Pack::method(id::QOS).u32(0).u16(PREFETCH).u8(0).frame(1), id::QOS_OK)?;
    wire.call(1, consume(1, queue_of(run, index), "c", 0, &[]), id::CONSUME_OK)?;
    let mut unacked = 0;
    loop {
        let message = match wire.hear_within(PAUSE)? {
            Some(Heard::Frame(first)) => wire.message_after(1, &first)?,
            Some(Heard::End) => bail!("the connection was lost"),
            // A pause in the stream is the time to settle the rest, and to leave if all is done.
            None => {
                if unacked > 0 {
                    wire.send(&settle(1, id::ACK, 0, 1))?;
                    unacked = 0;
                }
                if run.consuming.load(Ordering::SeqCst) {
                    continue;
                }
                return wire.close();
            }
        };
        let mut body = Unpack::new(&message.body);
        let (publisher, number) = (body.u32(), body.u64());
        run.checker.lock().unwrap().deliver(publisher, number, message.redelivered);
        run.deliveries.fetch_add(1, Ordering::SeqCst);
        unacked += 1;
        if unacked == ACK_EVERY {
            wire.send(&settle(1, id::ACK, message.tag, 1))?;
            unacked = 0;
        }
    }
}

fn queue_of(run: &Run, index: Publisher) -> &str {
    let queue =
        run.queues.get(usize::try_from(index).unwrap()).context("there is a queue per publisher");
    queue.unwrap()
}
