//! Publishes at a rate, with confirms.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::checker::Number;
use crate::history::{History, Who};
use crate::traffic::{Control, PATIENCE, PAUSE, join, stray};
use crate::wire::{Frame, Heard, Pack, Unpack, Wire, id, publish};

/// How far behind its pace a publisher may fall before it gives the missed messages up.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How long a publisher listens at least between two messages, however late it is.
const SHORTEST_LOOK: Duration = Duration::from_micros(50);

/// Flags for delivery-mode alone, and the mode: persistent.
const PERSISTENT: [u8; 3] = [0x10, 0, 2];

/// What a publisher does.
#[derive(Clone, Debug)]
pub struct PublisherPlan {
    /// Its number in the history.
    pub index: crate::checker::Publisher,
    /// The queue, by way of the default exchange.
    pub queue: String,
    /// Brokers, taken in turn.
    pub brokers: Vec<SocketAddr>,
    /// Messages a second.
    pub rate: u64,
    /// Publishes that may wait for their confirm.
    pub window: usize,
    /// Bytes of a body, at least 12.
    pub size: usize,
    /// Messages in all, if there is an end.
    pub count: Option<u64>,
}

impl PublisherPlan {
    /// 500 messages a second without an end, 256 bytes each.
    pub fn to(queue: &str, brokers: &[SocketAddr]) -> Self {
        let (queue, brokers) = (queue.to_owned(), brokers.to_vec());
        Self { index: 0, queue, brokers, rate: 500, window: 10_000, size: 256, count: None }
    }
}

/// A publisher at work, in a thread of its own. Dropped, it is told to leave.
#[derive(Debug)]
pub struct Publisher {
    work: Arc<Work>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Work {
    plan: PublisherPlan,
    history: Arc<History>,
    control: Control,
    sent: AtomicU64,
    confirmed: AtomicU64,
}

impl Publisher {
    /// Connects and publishes.
    pub fn start(history: &Arc<History>, plan: PublisherPlan) -> Self {
        let work = Arc::new(Work {
            plan,
            history: Arc::clone(history),
            control: Control::default(),
            sent: AtomicU64::new(0),
            confirmed: AtomicU64::new(0),
        });
        let copy = Arc::clone(&work);
        Self { work, thread: Some(thread::spawn(move || copy.run())) }
    }

    /// Messages that were sent and confirmed so far.
    pub fn counts(&self) -> (u64, u64) {
        (self.work.sent.load(Ordering::SeqCst), self.work.confirmed.load(Ordering::SeqCst))
    }

    /// Publishes no more, waits for the confirms that are missing, and leaves.
    ///
    /// # Panics
    ///
    /// If they do not come in time.
    pub fn finish(mut self, longest: Duration) {
        self.work.control.leave();
        join(self.thread.take().expect("only this ends it"), "publisher", longest);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.work.control.leave();
    }
}

impl Work {
    fn run(&self) {
        for at in 0.. {
            let broker = self.plan.brokers[at % self.plan.brokers.len()];
            match Session::open(self, broker).and_then(Session::run) {
                Ok(()) => return,
                Err(error) => {
                    if self.control.is_connected() {
                        self.control.connected(None);
                        self.history.lost(Who::Publisher, format!("{broker}: {error:#}"));
                    }
                    if self.is_done() && self.control.is_leaving() {
                        return;
                    }
                    thread::sleep(PAUSE);
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        let sent = self.sent.load(Ordering::SeqCst);
        self.control.is_leaving() || self.plan.count.is_some_and(|count| sent >= count)
    }
}

/// One connection of a publisher.
struct Session<'a> {
    work: &'a Work,
    wire: Wire,
    /// Messages that were sent on earlier connections.
    before: Number,
    tag: u64,
    open: VecDeque<(u64, Number)>,
}

impl<'a> Session<'a> {
    fn open(work: &'a Work, broker: SocketAddr) -> Result<Self> {
        let mut wire = Wire::open_channel_within(broker, PATIENCE)?;
        wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
        work.control.connected(Some(broker));
        let before = work.sent.load(Ordering::SeqCst);
        Ok(Self { work, wire, before, tag: 0, open: VecDeque::new() })
    }

    fn run(mut self) -> Result<()> {
        let period = Duration::from_secs(1) / u32::try_from(self.work.plan.rate)?;
        let mut due = Instant::now();
        loop {
            let now = Instant::now();
            if self.work.is_done() && self.open.is_empty() {
                if self.work.control.is_leaving() {
                    return self.wire.close();
                }
                // All is sent; the connection stays until its owner has seen enough.
                due = now + period;
            } else if self.work.is_done() || self.open.len() >= self.work.plan.window {
                due = now + period;
            } else if due <= now {
                self.publish()?;
                due = if now > due + CATCH_UP { now + period } else { due + period };
            }
            self.listen(due)?;
        }
    }

    fn publish(&mut self) -> Result<()> {
        let plan = &self.work.plan;
        self.tag += 1;
        let number = self.work.history.tell(|checker| checker.publish(plan.index));
        self.open.push_back((self.tag, number));
        self.work.sent.fetch_add(1, Ordering::SeqCst);
        let mut body = Pack::empty().u32(plan.index).u64(number).bytes();
        body.resize(plan.size.max(body.len()), b'x');
        self.wire.send(&publish(1, "", &plan.queue, 0, &PERSISTENT, &body))
    }

    /// Takes what the broker says until a message is due, but one frame at least if there is one.
    fn listen(&mut self, due: Instant) -> Result<()> {
        let left = due.saturating_duration_since(Instant::now()).max(SHORTEST_LOOK);
        match self.wire.hear_within(left)? {
            None => Ok(()),
            Some(Heard::End) => bail!("the connection ended"),
            Some(Heard::Frame(frame)) => match frame.method() {
                Some(id::ACK | id::NACK) => self.confirm(&frame),
                _ => stray(&frame),
            },
        }
    }

    fn confirm(&mut self, frame: &Frame) -> Result<()> {
        let at = self.work.history.now();
        let mut arguments = Unpack::new(frame.arguments());
        let (tag, bits) = (arguments.u64(), arguments.u8());
        let (multiple, taken) = (bits & 1 == 1, frame.method() == Some(id::ACK));
        let covered = |of: u64| of == tag || (multiple && of < tag);
        let mut numbers: Vec<Number> =
            self.open.iter().filter(|(of, _)| covered(*of)).map(|(_, number)| *number).collect();
        self.open.retain(|(of, _)| !covered(*of));
        if numbers.is_empty() {
            // The second confirm of a message, or one of a message that was never sent.
            numbers.push(self.before + tag.saturating_sub(1));
        }
        self.work.confirmed.fetch_add(u64::try_from(numbers.len())?, Ordering::SeqCst);
        let index = self.work.plan.index;
        self.work.history.confirmed(at, |checker| {
            for number in numbers {
                if taken {
                    checker.confirm(index, number);
                } else {
                    checker.refuse(index, number);
                }
            }
        });
        Ok(())
    }
}
