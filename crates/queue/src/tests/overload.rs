//! A full queue that refuses, under more than it can take.

use std::collections::BTreeSet;

use super::histories::Dice;
use super::kit::{FRONT, Log, QUEUE, publish, settle};
use crate::{CommandReply, FragmentReply, Outcome, Overflow, QueueSettings, Refusal};

const LIMIT: u64 = 1000;

/// Publishers and consumers of one queue, and what they were told.
struct Crowd {
    dice: Dice,
    log: Log,
    published: u32,
    /// Published, not refused.
    confirmed: BTreeSet<u32>,
    refused: u64,
    acknowledged: BTreeSet<u32>,
    /// Sequences and bodies that the consumer holds.
    held: Vec<(u64, u32)>,
    /// Messages that were given back and may stand beyond the limit.
    returned: u64,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let overflow = Overflow::RejectPublish;
        let settings = QueueSettings { max_length: Some(LIMIT), overflow, ..QueueSettings::PLAIN };
        let mut log = Log::with(settings);
        log.attach(1, 50);
        Self {
            dice: Dice(seed),
            log,
            published: 0,
            confirmed: BTreeSet::new(),
            refused: 0,
            acknowledged: BTreeSet::new(),
            held: vec![],
            returned: 0,
        }
    }

    fn burst(&mut self) {
        let first = self.published;
        self.published += u32::try_from(1 + self.dice.roll(400)).unwrap();
        let bodies = first..self.published;
        let commands: Vec<_> =
            bodies.clone().map(|body| publish(&[QUEUE], &body.to_be_bytes())).collect();
        let FragmentReply::Done(replies) = self.log.all(FRONT, &commands) else { panic!("open") };
        self.take();
        self.confirmed.extend(bodies);
        for (ordinal, reply) in replies {
            assert_eq!(reply, CommandReply::Refused(Refusal::QueueFull));
            self.confirmed.remove(&(first + ordinal));
            self.refused += 1;
        }
    }

    /// Ends some of the deliveries that are held.
    fn end(&mut self, outcome: Outcome) {
        let count = 1 + self.dice.roll(60);
        for _ in 0..count.min(u64::try_from(self.held.len()).unwrap()) {
            let among = u64::try_from(self.held.len()).unwrap();
            let at = usize::try_from(self.dice.roll(among)).unwrap();
            let (sequence, body) = self.held.swap_remove(at);
            self.log.apply(settle(1, outcome, sequence, sequence));
            match outcome {
                Outcome::Ack => assert!(self.acknowledged.insert(body), "acknowledged twice"),
                _ => self.returned += 1,
            }
            self.take();
        }
    }

    /// Takes note of what the last entry gave to the consumer.
    fn take(&mut self) {
        for one in self.log.rows.all_given(&self.log.effects) {
            let body = u32::from_be_bytes(one.body.try_into().expect("four bytes"));
            self.held.push((one.sequence, body));
        }
    }

    fn ready(&self) -> u64 {
        self.log.shard.queue_status(QUEUE).expect("it lives").ready
    }

    /// Takes all that is left, and gives back what was acknowledged in the end.
    fn drain(mut self) -> BTreeSet<u32> {
        while !self.held.is_empty() {
            let (sequence, body) = self.held.remove(0);
            self.log.apply(settle(1, Outcome::Ack, sequence, sequence));
            assert!(self.acknowledged.insert(body), "acknowledged twice");
            self.take();
        }
        self.acknowledged
    }
}

#[test]
fn a_full_queue_keeps_its_limit_refuses_the_rest_and_loses_nothing_it_confirmed() {
    for seed in 0..8 {
        let mut crowd = Crowd::new(seed);
        for _ in 0..60 {
            match crowd.dice.roll(8) {
                0..=3 => crowd.burst(),
                4..=6 => crowd.end(Outcome::Ack),
                _ => crowd.log.restart(),
            }
            assert!(crowd.ready() <= LIMIT, "seed {seed}: {} wait", crowd.ready());
        }

        assert!(crowd.refused > 1000, "seed {seed}: it was not full");
        let confirmed = crowd.confirmed.clone();
        assert!(crowd.drain() == confirmed, "seed {seed}: confirmed is what arrives");
    }
}

#[test]
fn what_is_given_back_to_a_full_queue_is_kept_beyond_its_limit() {
    for seed in 0..8 {
        let mut crowd = Crowd::new(seed);
        for _ in 0..60 {
            match crowd.dice.roll(8) {
                0..=3 => crowd.burst(),
                4 => crowd.end(Outcome::Ack),
                5 | 6 => crowd.end(Outcome::Requeue),
                _ => crowd.log.restart(),
            }
            assert!(crowd.ready() <= LIMIT + crowd.returned, "seed {seed}: {}", crowd.ready());
        }

        let confirmed = crowd.confirmed.clone();
        assert!(crowd.drain() == confirmed, "seed {seed}: confirmed is what arrives");
    }
}
