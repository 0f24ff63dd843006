//! A full queue that refuses what is too much, with more publishers than it can bear.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;

use warren_tests::cluster::{Cluster, Queue};
use warren_tests::wire::{Field, Unpack, id, publish};

use crate::support::{Client, PERSISTENT, await_that, text, texts};

/// Messages that may be ready.
const LIMIT: u32 = 1000;

const PUBLISHERS: usize = 4;

/// Publishes of one publisher that may wait for their answer.
const WINDOW: usize = 100;

/// Refusals after which the publishers have seen enough of a full queue.
const REFUSALS: usize = 4000;

/// Messages that are taken while the publishers go on.
const TAKEN: usize = 3000;

#[test]
fn a_full_queue_refuses_what_is_too_much_and_keeps_all_that_it_confirmed() {
    let Some(mut cluster) = Cluster::own(3) else { return };

    // Once undisturbed, once with the leader killed while the queue is full.
    for kills in [false, true] {
        let limit = [
            ("x-max-length", Field::I32(i32::try_from(LIMIT).unwrap())),
            ("x-overflow", Field::text("reject-publish")),
        ];
        let queue = cluster.declare_with("overload", 0, &limit);
        let tally = overload(&mut cluster, &queue, kills);

        println!("killed: {kills}, {tally:?}");
        assert!(tally.most_ready <= LIMIT, "{} were ready", tally.most_ready);
        assert_eq!(tally.lost, 0, "confirmed, and not delivered: {tally:?}");
        assert_eq!(tally.twice, 0, "delivered twice: {tally:?}");
        assert_eq!(tally.ghosts, 0, "delivered, and refused: {tally:?}");
        assert!(tally.in_order, "the messages of one publisher change places: {tally:?}");
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "shown")]
struct Tally {
    confirmed: usize,
    refused: usize,
    delivered: usize,
    most_ready: u32,
    lost: usize,
    twice: usize,
    ghosts: usize,
    in_order: bool,
}

/// What all threads of a run share.
#[derive(Default)]
struct Board {
    stop: AtomicBool,
    refused: AtomicUsize,
    most_ready: AtomicU32,
}

impl Board {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn await_refusals(&self, count: usize) {
        await_that(&format!("{count} are refused"), || self.refused() >= count);
    }

    /// Looks at the queue until the end.
    fn look(&self, seat: SocketAddr, queue: &str) {
        let mut client = Client::to(seat);
        while !self.is_over() {
            self.most_ready.fetch_max(client.counts(queue).0, Ordering::Relaxed);
        }
    }

    /// Publishes until the end; gives what became of each message.
    fn publish(&self, mut publisher: Publisher) -> Vec<(String, bool)> {
        while !self.is_over() {
            self.refused.fetch_add(publisher.step(WINDOW), Ordering::Relaxed);
        }
        while !publisher.waiting.is_empty() {
            publisher.step(0);
        }
        publisher.answered
    }
}

/// Ends the others' work also when its holder panics.
struct End<'a>(&'a Board);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

fn overload(cluster: &mut Cluster, queue: &Queue, kills: bool) -> Tally {
    let leader = cluster.leader(queue);
    let seats = cluster.amqp_of(&cluster.others(leader));
    let (board, name) = (&Board::default(), queue.name.as_str());
    let (answered, delivered) = thread::scope(|scope| {
        let end = End(board);
        for &seat in &seats {
            scope.spawn(move || board.look(seat, name));
        }
        let publishers: Vec<_> = (0..PUBLISHERS)
            .map(|index| Publisher::to(seats[index % seats.len()], index, name))
            .map(|publisher| scope.spawn(move || board.publish(publisher)))
            .collect();
        board.await_refusals(REFUSALS);
        if kills {
            cluster.kill9(leader);
            board.await_refusals(board.refused() + REFUSALS);
        }
        let mut consumer = Client::to(seats[0]);
        consumer.consume(name, 50);
        let mut delivered = take(&mut consumer, TAKEN);
        drop(end);

        let answered = publishers.into_iter().map(|publisher| publisher.join().unwrap());
        let answered: Vec<Vec<(String, bool)>> = answered.collect();
        let confirmed = answered.iter().flatten().filter(|(_, is_taken)| *is_taken).count();
        delivered.extend(take(&mut consumer, confirmed.saturating_sub(TAKEN)));
        // Nothing more comes.
        delivered.extend(texts(&consumer.rest()));
        (answered, delivered)
    });
    judge(&answered, &delivered, board.most_ready.load(Ordering::Relaxed))
}

fn take(consumer: &mut Client, count: usize) -> Vec<String> {
    let take_one = |_| {
        let message = consumer.next(1).remove(0);
        consumer.ack(message.tag);
        text(&message)
    };
    (0..count).map(take_one).collect()
}

fn judge(answered: &[Vec<(String, bool)>], delivered: &[String], most_ready: u32) -> Tally {
    let of = |wanted: bool| {
        let those = answered.iter().flatten().filter(move |(_, is_taken)| *is_taken == wanted);
        those.map(|(body, _)| body.as_str()).collect::<BTreeSet<_>>()
    };
    let (confirmed, refused) = (of(true), of(false));
    let different: BTreeSet<&str> = delivered.iter().map(String::as_str).collect();
    let in_order = (0..PUBLISHERS).all(|index| {
        let prefix = format!("{index}:");
        let numbers = delivered.iter().filter_map(|body| body.strip_prefix(&prefix));
        numbers.map(|number| number.parse::<u64>().unwrap()).is_sorted()
    });
    Tally {
        confirmed: confirmed.len(),
        refused: refused.len(),
        delivered: delivered.len(),
        most_ready,
        lost: confirmed.difference(&different).count(),
        twice: delivered.len() - different.len(),
        ghosts: different.difference(&confirmed).count(),
        in_order,
    }
}

/// Publishes numbered messages, and notes what became of each.
struct Publisher {
    client: Client,
    queue: String,
    index: usize,
    next: u64,
    /// The delivery tag and body of what is not answered, oldest first.
    waiting: VecDeque<(u64, String)>,
    answered: Vec<(String, bool)>,
}

impl Publisher {
    fn to(seat: SocketAddr, index: usize, queue: &str) -> Self {
        let (client, queue) = (Client::to(seat), queue.to_owned());
        Self { client, queue, index, next: 0, waiting: VecDeque::new(), answered: Vec::new() }
    }

    /// Publishes until so many wait, and hears one answer; gives the number of refusals in it.
    fn step(&mut self, window: usize) -> usize {
        while self.waiting.len() < window {
            self.next += 1;
            let body = format!("{}:{}", self.index, self.next);
            let frames = publish(1, "", &self.queue, 0, &PERSISTENT, body.as_bytes());
            self.client.wire.send(&frames).unwrap();
            self.waiting.push_back((self.next, body));
        }
        let frame = self.client.wire.frame().unwrap();
        let is_taken = match frame.method() {
            Some(id::ACK) => true,
            Some(id::NACK) => false,
            other => panic!("waiting for a confirm, but heard {other:?}: {frame:?}"),
        };
        let mut arguments = Unpack::new(frame.arguments());
        let (tag, multiple) = (arguments.u64(), arguments.u8() & 1 == 1);
        let (answered, waiting): (VecDeque<_>, _) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(sent, _)| *sent == tag || multiple && *sent < tag);
        self.waiting = waiting;
        assert!(!answered.is_empty(), "an answer to nothing that waits: {frame:?}");
        let count = answered.len();
        self.answered.extend(answered.into_iter().map(|(_, body)| (body, is_taken)));
        if is_taken { 0 } else { count }
    }
}
