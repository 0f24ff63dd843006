//! One publishing connection.
//!
//! It writes whole batches while its window has room for half of itself, then reads confirms.
//! With a rate it writes what is due and waits for the next due time or the next confirm.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::load::frames::{Batch, Event, Parser};
use crate::load::tally::Tally;
use crate::load::{Histogram, Options};
use crate::wire::{Pack, Wire, id};

/// Bytes read at once: confirms are short.
const READ_BYTES: usize = 16 * 1024;
/// The longest wait when nothing is due, so that the end of the run is noticed.
const LONGEST_WAIT_NS: u64 = 50_000_000;

/// What a publisher found out.
#[derive(Debug, Default)]
pub struct Published {
    /// From write to confirm.
    pub latency: Histogram,
}

/// Messages that were written together and are not all confirmed.
#[derive(Debug)]
struct Flight {
    /// The last of them, as the channel counts.
    last: u64,
    time: u64,
}

/// A publisher at work.
pub struct Publisher<'a> {
    options: &'a Options,
    tally: &'a Tally,
    wire: Wire,
    /// One per queue that it serves, with the next number.
    batches: Vec<(Batch, u64)>,
    turn: usize,
    sent: u64,
    /// Messages of this publisher, if they are counted.
    limit: u64,
    /// All up to this are confirmed.
    confirmed: u64,
    /// Confirmed one by one, beyond `confirmed`.
    early: Vec<u64>,
    flights: VecDeque<Flight>,
    parser: Parser,
    input: Vec<u8>,
    found: Published,
}

impl<'a> Publisher<'a> {
    /// Connects; `index` says which queues it serves.
    pub fn connect(options: &'a Options, tally: &'a Tally, index: usize) -> Result<Self> {
        let mut wire = Wire::open_as(options.broker(index), &options.user, &options.password)?;
        wire.channel(1)?;
        if options.window > 0 {
            wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
        }
        let mut batches = Vec::new();
        for queue in queues_of(index, options) {
            let stream =
                u16::try_from(index * options.queues + queue).context("too many streams")?;
            let (exchange, key) = options.target(queue);
            let target = (exchange, key.as_str());
            batches.push((Batch::new(target, stream, options.size, options.persistent), 0));
        }
        wire.stream().set_read_timeout(None)?;
        let share = |count: u64| {
            let [index, all] = [index as u64, options.publishers as u64];
            count / all + u64::from(index < count % all)
        };
        Ok(Self {
            options,
            tally,
            wire,
            batches,
            turn: 0,
            sent: 0,
            limit: options.count.map_or(u64::MAX, share),
            confirmed: 0,
            early: Vec::new(),
            flights: VecDeque::new(),
            parser: Parser::default(),
            input: Vec::new(),
            found: Published::default(),
        })
    }

    /// Publishes until the run ends it or its share is sent, then waits for the last confirms.
    pub fn run(mut self) -> Result<Published> {
        let begin = self.tally.now();
        while Tally::is(&self.tally.publishing) && self.sent < self.limit {
            let room = self.room(begin);
            if room > 0 {
                self.write(room)?;
            } else if self.options.rate > 0 {
                self.wait(self.due_in(begin))?;
            } else {
                self.read()?;
            }
        }
        while self.options.window > 0 && self.confirmed < self.sent {
            self.read()?;
        }
        // In order, so that all that was sent is taken: without confirms nothing else tells.
        self.wire.close().context("cannot close a publisher")?;
        Ok(self.found)
    }

    /// Messages that may be written at once.
    fn room(&self, begin: u64) -> u64 {
        let left = self.limit - self.sent;
        let open = self.sent - self.confirmed;
        let window = match self.options.window as u64 {
            0 => left,
            window if self.options.rate > 0 => window.saturating_sub(open),
            // Half a window at a time keeps the other half under way.
            window if open <= window / 2 => window - open,
            _ => 0,
        };
        let due = match self.options.rate {
            0 => left,
            rate => {
                let due = (self.tally.now() - begin) as f64 / 1e9 * rate as f64;
                (due as u64 + 1).saturating_sub(self.sent)
            }
        };
        window.min(due).min(left)
    }

    /// Nanoseconds until the next message is due.
    fn due_in(&self, begin: u64) -> u64 {
        let apart = 1e9 / self.options.rate as f64;
        let next = begin + (apart * self.sent as f64) as u64;
        next.saturating_sub(self.tally.now()).clamp(1000, LONGEST_WAIT_NS)
    }

    fn write(&mut self, room: u64) -> Result<()> {
        let time = self.tally.now();
        let turn = self.turn;
        self.turn = (turn + 1) % self.batches.len();
        let (batch, next) = &mut self.batches[turn];
        let count = room.min(batch.capacity as u64);
        let bytes = batch.stamped(count as usize, *next, time);
        self.wire.stream().write_all(bytes).context("cannot publish")?;
        *next += count;
        self.sent += count;
        Tally::add(&self.tally.sent, count);
        if self.options.window == 0 {
            self.confirmed = self.sent;
            Tally::add(&self.tally.confirmed, count);
        } else {
            self.flights.push_back(Flight { last: self.sent, time });
        }
        Ok(())
    }

    /// Waits for a confirm, this long at most.
    fn wait(&mut self, nanoseconds: u64) -> Result<()> {
        let mut sockets = [PollFd::new(self.wire.stream(), PollFlags::IN)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: nanoseconds as _ };
        match poll(&mut sockets, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.read(),
            Err(error) => Err(error).context("cannot poll"),
        }
    }

    fn read(&mut self) -> Result<()> {
        read_some(self.wire.stream(), &mut self.input, READ_BYTES)?;
        let now = self.tally.now();
        let mut confirms = Vec::new();
        let used = self.parser.parse(&self.input, |event| {
            if let Event::Confirm { tag, multiple, taken } = event {
                confirms.push((tag, multiple, taken));
            }
        })?;
        self.input.drain(..used);
        let before = self.confirmed;
        for (tag, multiple, taken) in confirms {
            if !taken {
                Tally::add(&self.tally.refused, if multiple { tag - self.confirmed } else { 1 });
            }
            self.confirm(tag, multiple);
        }
        Tally::add(&self.tally.confirmed, self.confirmed - before);
        self.land(before, now);
        Ok(())
    }

    /// Moves the mark below which all is confirmed.
    fn confirm(&mut self, tag: u64, multiple: bool) {
        if multiple {
            self.confirmed = self.confirmed.max(tag);
            self.early.retain(|early| *early > tag);
        } else if tag == self.confirmed + 1 {
            self.confirmed = tag;
        } else {
            self.early.push(tag);
        }
        while let Some(at) = self.early.iter().position(|early| *early == self.confirmed + 1) {
            self.early.swap_remove(at);
            self.confirmed += 1;
        }
    }

    /// Counts the time of all that is confirmed since `before`.
    fn land(&mut self, mut before: u64, now: u64) {
        let measuring = Tally::is(&self.tally.measuring);
        while let Some(flight) = self.flights.front() {
            let landed = flight.last.min(self.confirmed);
            if measuring && landed > before {
                self.found.latency.add(now.saturating_sub(flight.time), landed - before);
            }
            before = before.max(landed);
            if flight.last > self.confirmed {
                break;
            }
            self.flights.pop_front();
        }
    }
}

/// The queues of a publisher: each queue has one at least, and each publisher one at least.
fn queues_of(index: usize, options: &Options) -> Vec<usize> {
    if options.publishers >= options.queues || options.fanout {
        return vec![index % options.queues];
    }
    (index..options.queues).step_by(options.publishers).collect()
}

/// Reads at least a byte into the end of a buffer.
pub fn read_some(mut stream: &TcpStream, input: &mut Vec<u8>, room: usize) -> Result<()> {
    let filled = input.len();
    input.resize(filled + room, 0);
    let outcome = stream.read(&mut input[filled..]);
    input.truncate(filled + outcome.as_ref().copied().unwrap_or(0));
    match outcome {
        Ok(0) => bail!("the connection was lost"),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(error).context("cannot read"),
    }
}
