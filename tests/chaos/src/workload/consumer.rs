//! Takes messages from a queue, and does with them what its habits say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::field::Field;
use crate::history::How;
use crate::workload::persist::persist;
use crate::workload::session::{Given, Plan, Session};

/// How long a consumer listens before it looks at what it holds.
const GLANCE: Duration = Duration::from_millis(50);

/// How long somebody who asks for messages waits when there was none.
const IDLE: Duration = Duration::from_millis(30);

/// What a consumer does with what it gets.
#[derive(Clone, Copy, Debug)]
pub struct Habits {
    /// How it consumes.
    pub plan: Plan,
    /// Deliveries that it keeps while it can.
    pub keep: usize,
    /// Of a thousand deliveries, how many it gives back.
    pub requeue: u32,
    /// Of a thousand deliveries, how many it discards.
    pub discard: u32,
    /// Of a thousand settlements, how many are for all deliveries up to one.
    pub multiple: u32,
    /// Settlements after which it makes sure that they are known.
    pub certain_after: u32,
    /// How long it consumes before it leaves in order, and another comes.
    pub life: Duration,
    /// How long it does nothing after each look at its queue.
    pub pause: Duration,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            plan: Plan { prefetch: 50, ..Plan::default() },
            keep: 10,
            requeue: 0,
            discard: 0,
            multiple: 100,
            certain_after: 100,
            life: Duration::from_secs(3600),
            pause: Duration::ZERO,
        }
    }
}

/// Consumes from a queue until everything stops.
pub fn consume_steadily(field: &Field, who: &str, queue: &str, habits: Habits) {
    while !field.stop.was_said() {
        persist(field, who, |mut session, chance| {
            session.consume(queue, habits.plan)?;
            let mut hand = Hand::new(queue, habits);
            let end = Instant::now() + habits.life;
            while !field.stop.was_said() && Instant::now() < end {
                session.listen(GLANCE)?;
                hand.play(&mut session, chance)?;
                session.idle(habits.pause)?;
            }
            hand.put_down(&mut session)?;
            session.close()
        });
    }
}

/// Asks a queue for messages, one by one, until everything stops.
pub fn get_steadily(field: &Field, who: &str, queue: &str, habits: Habits) {
    persist(field, who, |mut session, chance| {
        let mut hand = Hand::new(queue, habits);
        while !field.stop.was_said() {
            match session.get(queue)? {
                Some(given) => hand.take(given),
                None => session.listen(IDLE)?,
            }
            hand.play(&mut session, chance)?;
            session.idle(habits.pause)?;
        }
        hand.put_down(&mut session)?;
        session.close()
    });
}

/// What a consumer holds.
#[derive(Debug)]
pub struct Hand {
    queue: String,
    habits: Habits,
    held: VecDeque<Given>,
    settled: u32,
}

impl Hand {
    /// Nothing yet.
    pub fn new(queue: &str, habits: Habits) -> Self {
        Self { queue: queue.to_owned(), habits, held: VecDeque::new(), settled: 0 }
    }

    /// One more.
    pub fn take(&mut self, given: Given) {
        if !self.habits.plan.automatic {
            self.held.push_back(given);
        }
    }

    /// Takes what came, and settles what is too much.
    pub fn play(&mut self, session: &mut Session, chance: &mut StdRng) -> Result<()> {
        while let Some(given) = session.pop() {
            self.take(given);
        }
        while self.held.len() > self.habits.keep {
            let how = match chance.random_range(0..1000) {
                at if at < self.habits.requeue => How::Requeue,
                at if at < self.habits.requeue + self.habits.discard => How::Discard,
                _ => How::Ack,
            };
            let multiple = chance.random_range(0..1000) < self.habits.multiple;
            // What is settled together is the older half, and oldest first.
            let at = if multiple { self.held.len() / 2 } else { 0 };
            let tag = self.held.get(at).expect("it is not empty").tag;
            let count = if multiple { at + 1 } else { 1 };
            self.held.drain(..count);
            session.settle(tag, multiple, how)?;
            self.settled += 1;
            if self.settled.is_multiple_of(self.habits.certain_after) {
                session.certain(&self.queue)?;
            }
        }
        Ok(())
    }

    /// Acknowledges everything.
    pub fn put_down(&mut self, session: &mut Session) -> Result<()> {
        while let Some(given) = session.pop() {
            self.take(given);
        }
        if let Some(last) = self.held.back() {
            session.settle(last.tag, true, How::Ack)?;
        }
        self.held.clear();
        session.certain(&self.queue).map(drop)
    }
}
