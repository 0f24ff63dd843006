//! A queue under steady traffic while something happens to nodes, and what its clients notice.
//!
//! - [`Scene`]: a queue, its leader, a publisher and a consumer, begun and ended.
//! - [`fault`]: what is done to nodes, stretch by stretch; each gives an [`Account`].
//!
//! The tests of the cluster judge accounts by their faults; `warren-measure` shows their times.

pub mod fault;
mod noise;

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::checker::{Fault, Summary};
use crate::cluster::{Cluster, Queue};
use crate::history::{Gap, History, Loss};
use crate::traffic::{Consumer, ConsumerPlan, Publisher, PublisherPlan};
use crate::wire::{Flags, Wire, delete_queue, id};
pub use noise::Noise;

/// How long traffic may take to go on, or a queue to run dry.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Messages a second.
    pub rate: u64,
    /// Bytes of a body.
    pub size: usize,
    /// Publishes that may wait for their confirm.
    pub window: usize,
    /// Deliveries that may be unacknowledged.
    pub prefetch: u16,
    /// Deliveries that the consumer keeps unacknowledged, so that a fault finds some.
    pub keep: usize,
    /// How many messages go the whole way in each stretch, at least.
    pub messages: usize,
    /// How long a node stays frozen, at least.
    pub frozen: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            rate: 500,
            size: 256,
            window: 10_000,
            prefetch: 50,
            keep: 20,
            messages: 500,
            frozen: Duration::ZERO,
        }
    }
}

/// A part of a run between two things that happen.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// What it begins with.
    pub name: &'static str,
    /// How long it took.
    pub length: Duration,
    /// The longest time without a confirm.
    pub confirms: Gap,
    /// The longest time without a delivery.
    pub deliveries: Gap,
    /// By how much a thread that wanted to sleep a millisecond overslept, at most: what the
    /// machine adds to every other time.
    pub noise: Duration,
}

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its parts, in order.
    pub stretches: Vec<Stretch>,
    /// Numbers of messages.
    pub summary: Summary,
    /// What the broker did wrong.
    pub faults: Vec<Fault>,
    /// Connections that ended against their clients' will.
    pub losses: Vec<Loss>,
}

impl Account {
    /// Checks that nothing went wrong with any message.
    ///
    /// # Panics
    ///
    /// If something did; the first faults are shown.
    pub fn expect_no_faults(&self) {
        let shown: Vec<String> = self.faults.iter().take(20).map(ToString::to_string).collect();
        assert!(
            self.faults.is_empty(),
            "{} faults, the first:\n{}\n{self:#?}",
            self.faults.len(),
            shown.join("\n")
        );
        assert!(self.summary.delivered >= self.summary.confirmed, "{self:#?}");
    }

    /// Checks that no client lost its connection, and that so nothing was delivered twice.
    ///
    /// # Panics
    ///
    /// If one did.
    pub fn expect_no_losses(&self) {
        assert!(self.losses.is_empty() && self.summary.repeats == 0, "{self:#?}");
    }

    /// Checks that nobody waited longer than this for a confirm or a delivery.
    ///
    /// # Panics
    ///
    /// If somebody did.
    pub fn expect_gaps_below(&self, longest: Duration) {
        let is_short =
            |of: &Stretch| of.confirms.length <= longest && of.deliveries.length <= longest;
        assert!(self.stretches.iter().all(is_short), "longer than {longest:?}: {self:#?}");
    }
}

/// Where the two clients connect.
#[derive(Clone, Debug)]
pub struct Seats {
    /// The publisher's nodes, taken in turn.
    pub publisher: Vec<usize>,
    /// The consumer's nodes, taken in turn.
    pub consumer: Vec<usize>,
}

/// A queue with traffic.
#[derive(Debug)]
pub struct Scene {
    queue: Queue,
    history: Arc<History>,
    publisher: Publisher,
    consumer: Consumer,
    noise: Noise,
    messages: usize,
    /// Begins of stretches.
    marks: Vec<(&'static str, Duration)>,
}

impl Scene {
    /// Starts the clients, and waits until messages flow.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub fn begin(cluster: &Cluster, queue: Queue, seats: &Seats, pace: &Pace) -> Self {
        let history = Arc::new(History::default());
        let noise = Noise::listen(&history);
        let consumer = Consumer::start(
            &history,
            ConsumerPlan {
                prefetch: pace.prefetch,
                keep: pace.keep,
                ..ConsumerPlan::of(&queue.name, &cluster.amqp_of(&seats.consumer))
            },
        );
        let publisher = Publisher::start(
            &history,
            PublisherPlan {
                rate: pace.rate,
                size: pace.size,
                window: pace.window,
                ..PublisherPlan::to(&queue.name, &cluster.amqp_of(&seats.publisher))
            },
        );
        let messages = pace.messages;
        let mut scene =
            Self { queue, history, publisher, consumer, noise, messages, marks: Vec::new() };
        // What a first message costs, routes and streams between nodes, belongs to no stretch.
        scene.await_messages(messages.min(100));
        scene.mark("before");
        scene.await_messages(messages);
        scene
    }

    /// A stretch begins.
    pub fn mark(&mut self, name: &'static str) {
        self.marks.push((name, self.history.now()));
    }

    /// Waits until so many more confirms and deliveries came as a stretch has.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn flow(&self) {
        self.await_messages(self.messages);
    }

    /// The queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Ends the traffic, drains the queue and deletes it.
    ///
    /// # Panics
    ///
    /// If a confirm or a message that is missing does not come, or the queue is not empty, as seen
    /// from any node, when all is acknowledged.
    pub fn end(mut self, cluster: &Cluster) -> Account {
        self.mark("end");
        let Self { queue, history, publisher, consumer, noise, marks, .. } = self;
        publisher.finish(PATIENCE);
        consumer.keep(0);
        let mut wire = Wire::open_channel(cluster.amqp(0)).expect("the node serves clients");
        await_that("the queue runs dry", || {
            let ready = wire.declare(1, &queue.name, Flags::PASSIVE, &[]).map(|counts| counts.1);
            ready.is_ok_and(|ready| ready == 0) && history.tell(|checker| checker.missing()) == 0
        });
        consumer.finish(PATIENCE);
        expect_empty(cluster, &queue.name);
        let delete = delete_queue(1, &queue.name);
        wire.call(1, delete, id::QUEUE_DELETE_OK).expect("the queue can be deleted");

        let ends = marks.iter().skip(1).map(|(_, at)| *at);
        let stretch = |(&(name, from), to): (&(&'static str, Duration), Duration)| Stretch {
            name,
            length: to - from,
            confirms: history.confirm_gap(from, to),
            deliveries: history.delivery_gap(from, to),
            noise: noise.longest(from, to),
        };
        let stretches = marks.iter().zip(ends).map(stretch).collect();
        let losses = history.losses();
        let (summary, faults) = history.finish();
        Account { stretches, summary, faults, losses }
    }

    fn await_messages(&self, messages: usize) {
        let (confirms, deliveries) = (self.publisher.counts().1, self.consumer.delivered());
        let more = u64::try_from(messages).expect("64 bits are enough for a count");
        let until = Instant::now() + PATIENCE;
        while self.publisher.counts().1 < confirms + more
            || self.consumer.delivered() < deliveries + messages
        {
            assert!(
                Instant::now() < until,
                "no {messages} messages within {PATIENCE:?}: {:?} of {:?}, {} of {deliveries}; {:#?}",
                self.publisher.counts(),
                confirms,
                self.consumer.delivered(),
                self.history.losses()
            );
            thread::sleep(GLANCE);
        }
    }
}

/// Checks that a queue has neither messages nor consumers, seen from every node.
///
/// # Panics
///
/// If it has some for too long, or something comes out of it.
pub fn expect_empty(cluster: &Cluster, queue: &str) {
    for node in 0..cluster.len() {
        let mut wire = Wire::open_channel(cluster.amqp(node)).expect("the node serves clients");
        let mut counts = None;
        await_that(&format!("{queue} is empty and has no consumer, as node {node} says"), || {
            counts = wire.declare(1, queue, Flags::PASSIVE, &[]).ok();
            counts.as_ref().is_some_and(|(_, ready, consumers)| (*ready, *consumers) == (0, 0))
        });
        let left = wire.get(1, queue, true).expect("basic.get is answered");
        assert!(left.is_none(), "{queue} gave {left:?} to node {node} after it was drained");
    }
}

/// Waits for a condition.
///
/// # Panics
///
/// If it does not come true in time.
pub fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        thread::sleep(GLANCE);
    }
}
