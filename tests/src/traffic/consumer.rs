//! Consumes with manual acknowledgements.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::checker::{Consumer as Attachment, Number, Publisher};
use crate::history::{History, Who};
use crate::traffic::{Control, PATIENCE, PAUSE, join, stray};
use crate::wire::{
    Flags, Frame, Heard, Pack, Unpack, Wire, consume, declare_queue, id, pairs, settle,
};

/// How often a consumer looks whether it is told to do something else.
const GLANCE: Duration = Duration::from_millis(20);

/// What a consumer does.
#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    /// The queue.
    pub queue: String,
    /// Brokers, taken in turn.
    pub brokers: Vec<SocketAddr>,
    /// Deliveries that may be unacknowledged.
    pub prefetch: u16,
    /// Deliveries that it keeps unacknowledged while it can: the oldest is acknowledged when
    /// there is one more.
    pub keep: usize,
}

impl ConsumerPlan {
    /// A prefetch of 50, of which 20 are kept.
    pub fn of(queue: &str, brokers: &[SocketAddr]) -> Self {
        Self { queue: queue.to_owned(), brokers: brokers.to_vec(), prefetch: 50, keep: 20 }
    }
}

/// A consumer at work, in a thread of its own. Dropped, it is told to leave.
#[derive(Debug)]
pub struct Consumer {
    work: Arc<Work>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Work {
    plan: ConsumerPlan,
    history: Arc<History>,
    control: Control,
    keep: AtomicUsize,
    delivered: AtomicUsize,
}

impl Consumer {
    /// Connects and consumes.
    pub fn start(history: &Arc<History>, plan: ConsumerPlan) -> Self {
        let work = Arc::new(Work {
            keep: AtomicUsize::new(plan.keep),
            plan,
            history: Arc::clone(history),
            control: Control::default(),
            delivered: AtomicUsize::new(0),
        });
        let copy = Arc::clone(&work);
        Self { work, thread: Some(thread::spawn(move || copy.run())) }
    }

    /// From here on keeps so many unacknowledged.
    pub fn keep(&self, keep: usize) {
        self.work.keep.store(keep, Ordering::SeqCst);
    }

    /// Whether it has a connection and consumes.
    pub fn is_attached(&self) -> bool {
        self.work.control.is_connected()
    }

    /// Deliveries that it got so far.
    pub fn delivered(&self) -> usize {
        self.work.delivered.load(Ordering::SeqCst)
    }

    /// Acknowledges all it has, makes sure that this is known, and leaves.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn finish(mut self, longest: Duration) {
        self.keep(0);
        self.work.control.leave();
        join(self.thread.take().expect("only this ends it"), "consumer", longest);
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.work.control.leave();
    }
}

impl Work {
    fn run(&self) {
        for at in 0.. {
            let broker = self.plan.brokers[at % self.plan.brokers.len()];
            let Err(error) = Session::open(self, broker).and_then(Session::run) else { return };
            if self.control.is_connected() {
                self.control.connected(None);
                self.history.lost(Who::Consumer, format!("{broker}: {error:#}"));
            }
            if self.control.is_leaving() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// One connection of a consumer.
struct Session<'a> {
    work: &'a Work,
    wire: Wire,
    attachment: Attachment,
    held: VecDeque<(u64, Publisher, Number)>,
}

impl<'a> Session<'a> {
    fn open(work: &'a Work, broker: SocketAddr) -> Result<Self> {
        let plan = &work.plan;
        let mut wire = Wire::open_channel_within(broker, PATIENCE)?;
        wire.call(1, Pack::method(id::QOS).u32(0).u16(plan.prefetch).u8(0).frame(1), id::QOS_OK)?;
        wire.call(1, consume(1, &plan.queue, "traffic", 0, &[]), id::CONSUME_OK)?;
        let attachment = work.history.tell(|checker| checker.attach(plan.prefetch));
        work.control.connected(Some(broker));
        Ok(Self { work, wire, attachment, held: VecDeque::new() })
    }

    fn run(mut self) -> Result<()> {
        let outcome = self.consume();
        if outcome.is_err() {
            let attachment = self.attachment;
            self.work.history.tell(|checker| checker.lose(attachment));
        }
        outcome
    }

    fn consume(&mut self) -> Result<()> {
        loop {
            match self.wire.hear_within(GLANCE)? {
                Some(Heard::Frame(frame)) => self.take(&frame)?,
                Some(Heard::End) => bail!("the connection ended"),
                None if self.work.control.is_leaving() => {
                    self.acknowledge_beyond(0)?;
                    return self.leave();
                }
                None => {}
            }
            self.acknowledge_beyond(self.work.keep.load(Ordering::SeqCst))?;
        }
    }

    fn take(&mut self, frame: &Frame) -> Result<()> {
        if frame.method() != Some(id::DELIVER) {
            return stray(frame);
        }
        let at = self.work.history.now();
        let message = self.wire.message_after(1, frame)?;
        let mut body = Unpack::new(&message.body);
        let (publisher, number) = (body.u32(), body.u64());
        self.held.push_back((message.tag, publisher, number));
        let attachment = self.attachment;
        self.work.history.delivered(at, |checker| {
            checker.deliver_to(attachment, publisher, number, message.redelivered);
        });
        self.work.delivered.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn acknowledge_beyond(&mut self, keep: usize) -> Result<()> {
        while self.held.len() > keep {
            let (tag, publisher, number) = self.held.pop_front().expect("there is more than none");
            let attachment = self.attachment;
            // Told first: what is sent may be known to the broker before `send` returns.
            let tell = |checker: &mut crate::checker::Checker| {
                checker.acknowledge(attachment, publisher, number);
            };
            self.work.history.tell(tell);
            self.wire.send(&settle(1, id::ACK, tag, 0))?;
        }
        Ok(())
    }

    /// Asks something on the channel, so that the acknowledgements before it are certain.
    fn leave(&mut self) -> Result<()> {
        self.wire.send(&declare_queue(1, &self.work.plan.queue, Flags::PASSIVE, &pairs(&[])))?;
        loop {
            let frame = self.wire.frame()?;
            if frame.method() == Some(id::QUEUE_DECLARE_OK) {
                break;
            }
            self.take(&frame)?;
        }
        let attachment = self.attachment;
        self.work.history.tell(|checker| checker.settle_all(attachment));
        self.wire.send(&Pack::method(id::CLOSE).u16(200).short("bye").u16(0).u16(0).frame(0))?;
        while self.wire.frame()?.method() != Some(id::CLOSE_OK) {}
        // What came after the question was not acknowledged and went back.
        self.work.history.tell(|checker| checker.lose(attachment));
        Ok(())
    }
}
