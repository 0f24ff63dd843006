//! A broker that does one thing wrong: the clients and the checker behind them must notice.

use std::collections::VecDeque;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use anyhow::Context;

use super::*;
use crate::checker::Fault;
use crate::history::History;
use crate::wire::{FRAME_BODY, FRAME_HEADER, Heard, Pack, Wire};

/// Messages of a run.
const COUNT: u64 = 300;

/// The message that something is done to.
const VICTIM: u64 = 100;

/// What the broker does wrong, to the victim unless it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sin {
    Nothing,
    Drops,
    Doubles,
    RedeliversWhatIsHeld,
    Swaps,
    FlagsWithoutReason,
    ConfirmsTwice,
    /// Pays no attention to the prefetch count.
    Overfeeds,
    /// Ends the consumer's connection, and gives the victim back without the flag.
    Forgets,
}

/// A broker with one queue.
struct Broker {
    sin: Sin,
    ready: Mutex<VecDeque<(Vec<u8>, bool)>>,
}

/// One connection of a client.
struct Guest {
    wire: Wire,
    broker: Arc<Broker>,
    published: u64,
    prefetch: usize,
    consumes: bool,
    delivered: u64,
    held: VecDeque<(u64, Vec<u8>)>,
}

impl Broker {
    fn listen(sin: Sin) -> (SocketAddr, Arc<Self>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let broker = Arc::new(Self { sin, ready: Mutex::default() });
        let copy = Arc::clone(&broker);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let broker = Arc::clone(&copy);
                thread::spawn(move || serve(broker, stream));
            }
        });
        (address, broker)
    }
}

fn serve(broker: Arc<Broker>, mut stream: TcpStream) {
    stream.read_exact(&mut [0; 8]).unwrap();
    let wire = Wire::over(stream, PATIENCE).unwrap();
    let held = VecDeque::new();
    let mut guest =
        Guest { wire, broker, published: 0, prefetch: 0, consumes: false, delivered: 0, held };
    // The end of a conversation is an error here, and where a consumer leaves what it has.
    drop(guest.serve());
    let mut ready = guest.broker.ready.lock().unwrap();
    for (_, body) in guest.held.into_iter().rev() {
        let flag = guest.broker.sin != Sin::Forgets || number_of(&body) != VICTIM;
        ready.push_front((body, flag));
    }
}

impl Guest {
    fn serve(&mut self) -> anyhow::Result<()> {
        let start = Pack::method(id::START).u8(0).u8(9).table(&[]).long(b"PLAIN").long(b"en_US");
        self.wire.send(&start.frame(0))?;
        loop {
            match self.wire.hear_within(Duration::from_micros(200))? {
                Some(Heard::Frame(frame)) => self.answer(&frame)?,
                Some(Heard::End) => bail!("the client left"),
                None => {}
            }
            if self.consumes {
                self.deliver()?;
            }
        }
    }

    fn answer(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let channel = frame.channel;
        let mut arguments = Unpack::new(frame.arguments());
        let bytes = match frame.method().context("a method comes first")? {
            id::START_OK => Pack::method(id::TUNE).u16(9).u32(131_072).u16(0),
            id::TUNE_OK => return Ok(()),
            id::OPEN => Pack::method(id::OPEN_OK).short(""),
            id::CHANNEL_OPEN => Pack::method(id::CHANNEL_OPEN_OK).long(b""),
            id::CONFIRM_SELECT => Pack::method(id::CONFIRM_SELECT_OK),
            id::QOS => {
                self.prefetch = usize::from((arguments.u32(), arguments.u16()).1);
                Pack::method(id::QOS_OK)
            }
            id::CONSUME => {
                self.consumes = true;
                Pack::method(id::CONSUME_OK).short("traffic")
            }
            id::QUEUE_DECLARE => Pack::method(id::QUEUE_DECLARE_OK).short("q").u32(0).u32(1),
            id::ACK => {
                let tag = arguments.u64();
                // A consumer that keeps 20 has read the victim by then.
                if self.broker.sin == Sin::Forgets && tag + 20 == VICTIM {
                    bail!("enough of this client");
                }
                self.held.retain(|(of, _)| *of != tag);
                return Ok(());
            }
            id::PUBLISH => return self.take(),
            id::CLOSE => Pack::method(id::CLOSE_OK),
            other => bail!("what is {other:?}?"),
        };
        self.wire.send(&bytes.frame(channel))
    }

    fn take(&mut self) -> anyhow::Result<()> {
        assert_eq!(self.wire.frame()?.kind, FRAME_HEADER);
        let body = self.wire.frame()?.payload;
        let number = self.published;
        self.published += 1;
        let is_victim = number == VICTIM;
        let sin = self.broker.sin;
        {
            let mut ready = self.broker.ready.lock().unwrap();
            match sin {
                Sin::Drops if is_victim => {}
                Sin::FlagsWithoutReason if is_victim => ready.push_back((body, true)),
                Sin::Swaps if is_victim && !ready.is_empty() => ready.push_front((body, false)),
                _ => ready.push_back((body, false)),
            }
        }
        let times = if is_victim && sin == Sin::ConfirmsTwice { 2 } else { 1 };
        for _ in 0..times {
            self.wire.send(&Pack::method(id::ACK).u64(self.published).u8(0).frame(1))?;
        }
        Ok(())
    }

    fn deliver(&mut self) -> anyhow::Result<()> {
        let limit = if self.broker.sin == Sin::Overfeeds { usize::MAX } else { self.prefetch };
        while self.held.len() < limit {
            let next = self.broker.ready.lock().unwrap().pop_front();
            let Some((body, redelivered)) = next else { return Ok(()) };
            self.send(&body, redelivered)?;
            let is_victim = number_of(&body) == VICTIM;
            match self.broker.sin {
                Sin::Doubles if is_victim => self.send(&body, false)?,
                Sin::RedeliversWhatIsHeld if is_victim => self.send(&body, true)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, body: &[u8], redelivered: bool) -> anyhow::Result<()> {
        self.delivered += 1;
        self.held.push_back((self.delivered, body.to_vec()));
        let deliver = Pack::method(id::DELIVER).short("traffic").u64(self.delivered);
        let mut bytes = deliver.u8(u8::from(redelivered)).short("").short("q").frame(1);
        let size = u64::try_from(body.len())?;
        let header = Pack::empty().u16(60).u16(0).u64(size).u16(0).bytes();
        bytes.extend(Frame { kind: FRAME_HEADER, channel: 1, payload: header }.encode());
        bytes.extend(Frame { kind: FRAME_BODY, channel: 1, payload: body.to_vec() }.encode());
        self.wire.send(&bytes)
    }
}

fn number_of(body: &[u8]) -> u64 {
    Unpack::new(&body[4..]).u64()
}

/// What is found when the broker does this.
fn faults(sin: Sin) -> Vec<Fault> {
    let (address, broker) = Broker::listen(sin);
    let history = Arc::new(History::default());
    let plan = PublisherPlan { rate: 20_000, count: Some(COUNT), ..to(address) };
    let publisher = Publisher::start(&history, plan);
    until(|| publisher.counts().1 >= COUNT);
    // A consumer that acknowledges sooner may never have too much.
    let keep = if sin == Sin::Overfeeds { 50 } else { 20 };
    let plan = ConsumerPlan { keep, ..ConsumerPlan::of("q", &[address]) };
    let consumer = Consumer::start(&history, plan);
    if sin == Sin::Overfeeds {
        until(|| consumer.delivered() > keep);
    }
    if sin == Sin::Forgets {
        until(|| history.losses().len() == 1);
    }
    consumer.keep(0);
    until(|| broker.ready.lock().unwrap().is_empty() && consumer.is_attached());
    publisher.finish(PATIENCE);
    consumer.finish(PATIENCE);
    history.finish().1
}

fn to(address: SocketAddr) -> PublisherPlan {
    PublisherPlan::to("q", &[address])
}

fn until(mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "it does not come true");
        thread::sleep(PAUSE);
    }
}

#[test]
fn a_broker_that_does_nothing_wrong_is_found_to_do_nothing_wrong() {
    assert_eq!(faults(Sin::Nothing), []);
}

#[test]
fn everything_that_a_broker_does_wrong_is_found() {
    let (publisher, number) = (0, VICTIM);
    let taken = Fault::Taken { publisher, number, from: 0, to: 0 };
    let expected = [
        (Sin::Drops, vec![Fault::Lost { publisher, number }]),
        (Sin::Doubles, vec![taken.clone(), Fault::Unflagged { publisher, number }]),
        (Sin::RedeliversWhatIsHeld, vec![taken, Fault::FalselyFlagged { publisher, number }]),
        (Sin::FlagsWithoutReason, vec![Fault::FalselyFlagged { publisher, number }]),
        (Sin::ConfirmsTwice, vec![Fault::ConfirmedTwice { publisher, number }]),
        (Sin::Forgets, vec![Fault::Unflagged { publisher, number }]),
    ];
    for (sin, expected) in expected {
        assert_eq!(faults(sin), expected, "{sin:?}");
    }
    let overtaken = faults(Sin::Swaps);
    let by_victim = |fault: &Fault| matches!(fault, Fault::Overtaken { by, .. } if *by == VICTIM);
    assert!(overtaken.len() as u64 == VICTIM && overtaken.iter().all(by_victim), "{overtaken:?}");
    let overfed = faults(Sin::Overfeeds);
    assert!(overfed.iter().any(|fault| matches!(fault, Fault::Overfed { .. })), "{overfed:?}");
}
