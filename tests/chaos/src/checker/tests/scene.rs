//! Clean histories: a broker without a fault, and clients that the seed leads.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::history::{Event, How, Line, Message, Rules};

/// Steps of a history.
const STEPS: usize = 300;

/// The queue that is consumed by one at a time.
pub(super) const ONE: &str = "one";

/// The queue that many consume from.
pub(super) const MANY: &str = "many";

/// What is written, and what the broker has.
pub(super) struct Scene {
    pub(super) lines: Vec<Line>,
    chance: StdRng,
    numbers: u64,
    publishers: Vec<Publisher>,
    consumers: Vec<Client>,
    queues: BTreeMap<&'static str, VecDeque<Waiting>>,
}

struct Publisher {
    channel: u64,
    queue: &'static str,
    tag: u64,
    open: VecDeque<u64>,
}

struct Client {
    channel: u64,
    consumer: u64,
    queue: &'static str,
    prefetch: usize,
    tag: u64,
    held: BTreeMap<u64, Waiting>,
}

#[derive(Clone, Copy)]
struct Waiting {
    message: Message,
    times: u64,
}

impl Scene {
    /// A history that follows from a seed, to its end.
    pub(super) fn play(seed: u64) -> Vec<Line> {
        let mut scene = Self {
            lines: Vec::new(),
            chance: StdRng::seed_from_u64(seed),
            numbers: 0,
            publishers: Vec::new(),
            consumers: Vec::new(),
            queues: BTreeMap::from([(ONE, VecDeque::new()), (MANY, VecDeque::new())]),
        };
        let many = Rules { counts: true, ..Rules::default() };
        let one = Rules { sole: true, single_active: true, ..many.clone() };
        scene.tell(Event::Queue { queue: ONE.into(), rules: one });
        scene.tell(Event::Queue { queue: MANY.into(), rules: many });
        for queue in [ONE, MANY, MANY] {
            scene.publisher(queue);
            scene.consumer(queue);
        }
        for _ in 0..STEPS {
            scene.step();
        }
        scene.end();
        scene.lines
    }

    fn step(&mut self) {
        match self.chance.random_range(0..100) {
            0..35 => self.publish(),
            35..50 => self.confirm(),
            50..75 => self.deliver(),
            75..90 => self.settle(),
            90..95 => self.certain(),
            95..97 => self.lose_consumer(),
            97..99 => self.lose_publisher(),
            _ => self.leave(),
        }
    }

    fn publisher(&mut self, queue: &'static str) {
        let channel = self.open();
        self.publishers.push(Publisher { channel, queue, tag: 0, open: VecDeque::new() });
    }

    fn consumer(&mut self, queue: &'static str) {
        let channel = self.open();
        let consumer = self.number();
        let prefetch = self.chance.random_range(2..6);
        self.tell(Event::Consume {
            consumer,
            channel,
            queue: queue.into(),
            prefetch,
            automatic: false,
            exclusive: false,
            priority: 0,
        });
        self.tell(Event::Consumed { consumer });
        let prefetch = prefetch.into();
        let held = BTreeMap::new();
        self.consumers.push(Client { channel, consumer, queue, prefetch, tag: 0, held });
    }

    fn publish(&mut self) {
        let at = self.chance.random_range(0..self.publishers.len());
        let message = self.number();
        let publisher = &mut self.publishers[at];
        publisher.tag += 1;
        publisher.open.push_back(publisher.tag);
        let (channel, tag, queue) = (publisher.channel, publisher.tag, publisher.queue);
        self.tell(Event::Publish {
            channel,
            tag,
            message,
            queues: vec![queue.into()],
            size: 64,
            sum: sum(message),
            mandatory: false,
            priority: 0,
            ttl_ms: None,
        });
        self.queues.get_mut(queue).unwrap().push_back(Waiting { message, times: 0 });
    }

    /// All publishes of a channel up to one, or that one alone.
    fn confirm(&mut self) {
        let at = self.chance.random_range(0..self.publishers.len());
        let multiple = self.chance.random();
        let publisher = &mut self.publishers[at];
        if publisher.open.is_empty() {
            return;
        }
        let place = self.chance.random_range(0..publisher.open.len());
        let tag = publisher.open[place];
        if multiple {
            publisher.open.drain(..=place);
        } else {
            publisher.open.remove(place);
        }
        let channel = publisher.channel;
        self.tell(Event::Confirm { channel, tag, multiple, taken: true });
    }

    fn deliver(&mut self) {
        let at = self.chance.random_range(0..self.consumers.len());
        let client = &mut self.consumers[at];
        if client.held.len() >= client.prefetch {
            return;
        }
        let Some(waiting) = self.queues.get_mut(client.queue).unwrap().pop_front() else { return };
        client.tag += 1;
        client.held.insert(client.tag, Waiting { times: waiting.times + 1, ..waiting });
        let (consumer, tag) = (client.consumer, client.tag);
        self.tell(deliver(consumer, tag, waiting.message, waiting.times));
    }

    fn settle(&mut self) {
        let at = self.chance.random_range(0..self.consumers.len());
        let client = &mut self.consumers[at];
        if client.held.is_empty() {
            return;
        }
        let how = if self.chance.random_ratio(1, 6) { How::Requeue } else { How::Ack };
        let multiple = self.chance.random();
        let place = self.chance.random_range(0..client.held.len());
        let tag = *client.held.keys().nth(place).unwrap();
        let settled: Vec<Waiting> = if multiple {
            let rest = client.held.split_off(&(tag + 1));
            std::mem::replace(&mut client.held, rest).into_values().collect()
        } else {
            client.held.remove(&tag).into_iter().collect()
        };
        let (channel, queue) = (client.channel, client.queue);
        self.tell(Event::Settle { channel, tag, multiple, how });
        if how == How::Requeue {
            self.give_back(queue, settled);
        }
    }

    fn certain(&mut self) {
        let at = self.chance.random_range(0..self.consumers.len());
        let channel = self.consumers[at].channel;
        self.tell(Event::Ask { channel });
        self.tell(Event::Certain { channel });
    }

    fn lose_consumer(&mut self) {
        let at = self.chance.random_range(0..self.consumers.len());
        let client = self.consumers.remove(at);
        self.tell(Event::Lost { channel: client.channel, why: "a fault".into() });
        self.give_back(client.queue, client.held.into_values());
        self.consumer(client.queue);
    }

    fn lose_publisher(&mut self) {
        let at = self.chance.random_range(0..self.publishers.len());
        let publisher = self.publishers.remove(at);
        self.tell(Event::Lost { channel: publisher.channel, why: "a fault".into() });
        self.publisher(publisher.queue);
    }

    fn leave(&mut self) {
        let at = self.chance.random_range(0..self.consumers.len());
        let client = self.consumers.remove(at);
        let channel = client.channel;
        self.tell(Event::Ask { channel });
        self.tell(Event::Certain { channel });
        self.tell(Event::Closed { channel });
        self.give_back(client.queue, client.held.into_values());
        self.consumer(client.queue);
    }

    fn end(&mut self) {
        while self.publishers.iter().any(|publisher| !publisher.open.is_empty()) {
            self.confirm();
        }
        let is_left = |scene: &Self| {
            scene.queues.values().any(|queue| !queue.is_empty())
                || scene.consumers.iter().any(|client| !client.held.is_empty())
        };
        while is_left(self) {
            self.deliver();
            self.settle();
        }
        for _ in 0..20 {
            self.certain();
        }
        for queue in [ONE, MANY] {
            self.tell(Event::Drained { queue: queue.into(), ready: 0 });
        }
    }

    /// Where they were: by their numbers, before all that nobody had.
    fn give_back(&mut self, queue: &str, back: impl IntoIterator<Item = Waiting>) {
        let queue = self.queues.get_mut(queue).unwrap();
        queue.extend(back);
        queue.make_contiguous().sort_by_key(|waiting| waiting.message);
    }

    fn open(&mut self) -> u64 {
        let channel = self.number();
        self.tell(Event::Open { channel, node: "n1".into(), who: "somebody".into() });
        channel
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn tell(&mut self, event: Event) {
        let at = self.lines.len() as u64 * 5_000_000;
        self.lines.push(Line { at, event });
    }
}

/// A delivery of a message that was given out so often before.
pub(super) fn deliver(consumer: u64, tag: u64, message: Message, times: u64) -> Event {
    Event::Deliver {
        consumer,
        tag,
        message: Some(message),
        size: 64,
        sum: sum(message),
        redelivered: times > 0,
        acquired: times,
        count: 0,
        death: None,
    }
}

pub(super) fn sum(message: Message) -> u32 {
    u32::try_from(message).unwrap() * 7
}
