//! One consuming connection.

use std::io::Write;
use std::net::TcpStream;

use anyhow::{Context, Result};

use crate::load::frames::{Event, Parser};
use crate::load::publisher::read_some;
use crate::load::tally::Tally;
use crate::load::{Histogram, Options};
use crate::wire::{Pack, Wire, consume, id, settle};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// Bits of basic.consume.
const NO_ACK: u8 = 2;

/// Numbers that were seen, a bit each.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    bits: Vec<u64>,
}

impl Seen {
    /// Marks a number; false if it was marked before.
    pub fn mark(&mut self, number: u64) -> bool {
        let (word, bit) = ((number / 64) as usize, 1 << (number % 64));
        if self.bits.len() <= word {
            self.bits.resize((word + 1).next_power_of_two(), 0);
        }
        let first = self.bits[word] & bit == 0;
        self.bits[word] |= bit;
        first
    }

    /// Takes over what another saw, and tells how many both had seen.
    pub fn merge(&mut self, other: &Self) -> u64 {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        let mut both = 0;
        for (mine, theirs) in self.bits.iter_mut().zip(&other.bits) {
            both += u64::from((*mine & theirs).count_ones());
            *mine |= theirs;
        }
        both
    }

    /// How many numbers were seen.
    pub fn count(&self) -> u64 {
        self.bits.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// What a consumer found out.
#[derive(Debug, Default)]
pub struct Consumed {
    /// From write to delivery.
    pub latency: Histogram,
    /// Per stream, what came.
    pub seen: Vec<Seen>,
    /// The copy of each message that it gets; those who get the same one share a queue.
    pub copy: usize,
    /// Came twice to this consumer, without the flag.
    pub doubled: u64,
    /// Came with the flag.
    pub flagged: u64,
    /// Came after a later message of its stream, without the flag.
    pub overtaken: u64,
    /// Per stream, the latest message that came without the flag.
    highest: Vec<Option<u64>>,
}

impl Consumed {
    fn of(streams: usize) -> Self {
        let (seen, highest) = (vec![Seen::default(); streams], vec![None; streams]);
        Self { seen, highest, ..Self::default() }
    }

    fn note(&mut self, stream: u16, number: u64, redelivered: bool) {
        let stream = usize::from(stream);
        let (Some(seen), Some(highest)) = (self.seen.get_mut(stream), self.highest.get_mut(stream))
        else {
            // Left over from another run in the same queue.
            return;
        };
        self.flagged += u64::from(redelivered);
        let first = seen.mark(number);
        if redelivered {
            return;
        }
        if !first {
            self.doubled += 1;
        } else if highest.is_some_and(|highest| highest > number) {
            self.overtaken += 1;
        }
        *highest = (*highest).max(Some(number));
    }
}

/// A consumer at work.
pub struct Consumer<'a> {
    options: &'a Options,
    tally: &'a Tally,
    wire: Wire,
    unacked: u64,
    found: Consumed,
}

impl<'a> Consumer<'a> {
    /// Connects and consumes from the queues that are its own.
    pub fn connect(options: &'a Options, tally: &'a Tally, index: usize) -> Result<Self> {
        let mut wire = Wire::open_as(options.broker(index), &options.user, &options.password)?;
        wire.channel(1)?;
        let automatic = options.ack_every == 0;
        if !automatic {
            wire.call(
                1,
                Pack::method(id::QOS).u32(0).u16(options.prefetch).u8(0).frame(1),
                id::QOS_OK,
            )?;
        }
        let bits = if automatic { NO_ACK } else { 0 };
        for queue in queues_of(index, options) {
            // No answer is waited for: the first deliveries may overtake it.
            wire.send(&consume(1, &options.queue(queue), &format!("c{queue}"), bits, &[]))?;
        }
        wire.stream().set_read_timeout(None)?;
        let streams = options.publishers * options.queues;
        let copy = if options.fanout { index % options.queues } else { 0 };
        let found = Consumed { copy, ..Consumed::of(streams) };
        Ok(Self { options, tally, wire, unacked: 0, found })
    }

    /// A second handle to its socket, to end it with.
    pub fn socket(&self) -> Result<TcpStream> {
        self.wire.stream().try_clone().context("cannot clone a socket")
    }

    /// Consumes until its socket is shut down.
    pub fn run(mut self) -> Result<Consumed> {
        let mut parser = Parser::default();
        let mut input = Vec::with_capacity(2 * READ_BYTES);
        let mut acks = Vec::new();
        loop {
            if let Err(error) = read_some(self.wire.stream(), &mut input, READ_BYTES) {
                return self.ended(Err(error));
            }
            let now = self.tally.now();
            let measuring = Tally::is(&self.tally.measuring);
            let mut count = 0;
            let used = parser.parse(&input, |event| {
                if let Event::Delivered { tag, redelivered, stream, number, time } = event {
                    count += 1;
                    self.found.note(stream, number, redelivered);
                    if measuring {
                        self.found.latency.add(now.saturating_sub(time), 1);
                    }
                    self.unacked += 1;
                    if self.unacked == self.options.ack_every {
                        acks.extend(settle(1, id::ACK, tag, 1));
                        self.unacked = 0;
                    }
                }
            })?;
            input.drain(..used);
            if !acks.is_empty() {
                if let Err(error) = self.wire.stream().write_all(&acks) {
                    return self.ended(Err(error).context("cannot acknowledge"));
                }
                acks.clear();
            }
            Tally::add(&self.tally.delivered, count);
        }
    }

    /// What ends the thread once its socket is gone: a failure only if nobody wanted that.
    fn ended(self, failure: Result<()>) -> Result<Consumed> {
        if Tally::is(&self.tally.consuming) { failure.map(|()| self.found) } else { Ok(self.found) }
    }
}

/// The queues of a consumer: each queue has one at least, and each consumer one at least.
fn queues_of(index: usize, options: &Options) -> Vec<usize> {
    if options.consumers >= options.queues {
        return vec![index % options.queues];
    }
    (index..options.queues).step_by(options.consumers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_counted_once() {
        let mut seen = Seen::default();

        assert!(seen.mark(3) && seen.mark(1000) && !seen.mark(3));
        let mut other = Seen::default();
        other.mark(1000);
        other.mark(70_000);

        assert_eq!(seen.merge(&other), 1);
        assert_eq!(seen.count(), 3);
    }

    #[test]
    fn repeats_and_overtaken_messages_are_told_apart() {
        let mut found = Consumed::of(2);

        for (number, redelivered) in
            [(0, false), (2, false), (1, false), (2, false), (2, true), (3, false)]
        {
            found.note(1, number, redelivered);
        }
        found.note(9, 0, false);

        assert_eq!((found.overtaken, found.doubled, found.flagged), (1, 1, 1));
        assert_eq!([found.seen[0].count(), found.seen[1].count()], [0, 4]);
    }
}
