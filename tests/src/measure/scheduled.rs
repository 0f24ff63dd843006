//! Many messages that wait for times of their own, and are due at a steady pace: what they cost in
//! memory, and how late they come, also while the node that leads their queue dies.

use std::io::Write as _;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use crate::cluster::{Cluster, Queue};
use crate::load::{Event, Histogram, Parser, process, read_some};
use crate::wire::{Field, Pack, Properties, Wire, consume, id, publish, settle};

/// Messages that are published together.
const BURST: u64 = 250;

/// Publishes that may be unconfirmed.
const WINDOW: u64 = 5_000;

/// Deliveries that the consumer may have unacknowledged.
const PREFETCH: u16 = 5_000;

/// Deliveries per ack.
const ACK_EVERY: u64 = 500;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// What is to be scheduled.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages.
    pub messages: u64,
    /// Bytes of each.
    pub size: usize,
    /// How many are due in a second.
    pub rate: u64,
    /// When the first one is due: after all have been published.
    pub after: Duration,
    /// Whether the queue's leader is killed when half of them are due.
    pub kill: bool,
    /// Whether the report is JSON.
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Messages.
    pub messages: u64,
    /// How many are due in a second.
    pub rate: u64,
    /// Whether the queue's leader was killed.
    pub killed: bool,
    /// How long publishing took, in seconds.
    pub published_s: f64,
    /// Resident bytes of each node, empty.
    pub empty_bytes: Vec<u64>,
    /// The same with all messages waiting for their time.
    pub filled_bytes: Vec<u64>,
    /// How late they came, in milliseconds.
    pub late_p50_ms: f64,
    /// The same.
    pub late_p99_ms: f64,
    /// The same, the latest one.
    pub late_most_ms: f64,
    /// How many came more than a second late.
    pub late_over_1s: u64,
    /// How many came before their time by more than a millisecond, which is what times are counted in.
    pub early: u64,
    /// How many came again.
    pub again: u64,
}

impl Options {
    /// Reads a command line behind the task.
    pub fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut options = Self {
            messages: 1_000_000,
            size: 100,
            rate: 5_000,
            after: Duration::from_secs(120),
            kill: true,
            json: false,
        };
        while let Some(word) = words.next() {
            match word {
                "--json" => options.json = true,
                "--spare" => options.kill = false,
                "--messages" | "--size" | "--rate" | "--after" => {
                    let value = words.next().with_context(|| format!("no value for {word}"))?;
                    let number: u64 = value.parse().with_context(|| format!("{word} {value}"))?;
                    match word {
                        "--messages" => options.messages = number,
                        "--size" => options.size = usize::try_from(number)?,
                        "--rate" => options.rate = number,
                        _ => options.after = Duration::from_secs(number),
                    }
                }
                _ => anyhow::bail!("no such option: {word}"),
            }
        }
        ensure!(options.rate > 0, "some must be due in a second");
        ensure!(options.size >= 16, "a message has room for its number and its time");
        Ok(options)
    }

    /// When a message is due.
    fn due(&self, number: u64) -> Duration {
        self.after + Duration::from_nanos(number * 1_000_000_000 / self.rate)
    }
}

/// Schedules, kills, and waits for all.
pub fn measure(options: &Options) -> Result<Report> {
    let mut cluster = Cluster::start_with(3, &["--shards", "16"]);
    thread::sleep(Duration::from_secs(10));
    let empty_bytes = resident(&cluster);
    let queue = cluster.declare("scheduled", 0);
    let leader = cluster.leader(&queue);
    let node = *cluster.others(leader).first().context("there are other nodes")?;
    let begin = Instant::now();
    schedule(Wire::open_channel(cluster.amqp(node))?, &queue.name, options, begin)?;
    let published = begin.elapsed();
    ensure!(published < options.after, "publishing took {published:?}: --after is too short");
    thread::sleep(options.after.saturating_sub(published + Duration::from_secs(5)));
    let filled_bytes = resident(&cluster);
    let address = cluster.amqp(node);
    let seen = thread::scope(|scope| {
        let consumer =
            scope.spawn(|| receive(Wire::open_channel(address)?, &queue.name, options, begin));
        if options.kill {
            kill_at(&mut cluster, &queue, begin, options.due(options.messages / 2));
        }
        consumer.join().map_err(|_| anyhow!("the consumer panicked"))?
    })?;
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    Ok(Report {
        messages: options.messages,
        rate: options.rate,
        killed: options.kill,
        published_s: published.as_secs_f64(),
        empty_bytes,
        filled_bytes,
        late_p50_ms: ms(seen.late.permille(500)),
        late_p99_ms: ms(seen.late.permille(990)),
        late_most_ms: ms(seen.late.longest()),
        late_over_1s: seen.over_1s,
        early: seen.early,
        again: seen.again,
    })
}

fn kill_at(cluster: &mut Cluster, queue: &Queue, begin: Instant, at: Duration) {
    thread::sleep(at.saturating_sub(begin.elapsed()));
    let leader = cluster.leader(queue);
    cluster.kill9(leader);
}

/// Publishes everything, and waits for the confirms.
fn schedule(mut wire: Wire, queue: &str, options: &Options, begin: Instant) -> Result<()> {
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
    let (mut parser, mut input) = (Parser::default(), Vec::with_capacity(2 * READ_BYTES));
    let (mut sent, mut confirmed) = (0, 0);
    while confirmed < options.messages {
        while sent < options.messages && sent - confirmed < WINDOW {
            let burst = BURST.min(options.messages - sent);
            let mut bytes = Vec::new();
            for number in sent..sent + burst {
                bytes.extend(message(queue, number, options, begin));
            }
            wire.send(&bytes)?;
            sent += burst;
        }
        read_some(wire.stream(), &mut input, READ_BYTES)?;
        let mut refused = None;
        let used = parser.parse(&input, |event| {
            if let Event::Confirm { tag, multiple, taken } = event {
                confirmed = if multiple { confirmed.max(tag) } else { confirmed + 1 };
                refused = refused.or((!taken).then_some(tag));
            }
        })?;
        ensure!(refused.is_none(), "publish {refused:?} was refused");
        input.drain(..used);
    }
    Ok(())
}

/// The frames of one publish.
fn message(queue: &str, number: u64, options: &Options, begin: Instant) -> Vec<u8> {
    let due = options.due(number);
    let delay = due.saturating_sub(begin.elapsed()).as_millis();
    let delay = i32::try_from(delay).expect("a measurement takes less than weeks");
    let properties = Properties::persistent().with_headers(&[("x-delay", Field::I32(delay))]);
    let mut body = vec![b'.'; options.size];
    let due = u64::try_from(due.as_nanos()).expect("a measurement takes less than centuries");
    body[..8].copy_from_slice(&number.to_be_bytes());
    body[8..16].copy_from_slice(&due.to_be_bytes());
    publish(1, "", queue, 0, &properties.encode(), &body)
}

/// What a consumer has seen.
#[derive(Default)]
struct Received {
    late: Histogram,
    over_1s: u64,
    early: u64,
    again: u64,
}

/// Takes everything.
fn receive(mut wire: Wire, queue: &str, options: &Options, begin: Instant) -> Result<Received> {
    wire.set_patience(options.after + Duration::from_secs(60));
    let qos = Pack::method(id::QOS).u32(0).u16(PREFETCH).u8(0).frame(1);
    wire.call(1, qos, id::QOS_OK)?;
    wire.send(&consume(1, queue, "consumer", 0, &[]))?;
    let (mut parser, mut input) = (Parser::default(), Vec::with_capacity(2 * READ_BYTES));
    let mut received = Received::default();
    let mut seen = vec![false; usize::try_from(options.messages)?];
    let (mut count, mut left) = (0_u64, options.messages);
    while left > 0 {
        read_some(wire.stream(), &mut input, READ_BYTES)?;
        let now = u64::try_from(begin.elapsed().as_nanos())?;
        let (mut acks, mut last) = (Vec::new(), None);
        let used = parser.parse(&input, |event| {
            let Event::Delivered { tag, number, time, .. } = event else { return };
            count += 1;
            last = Some(tag);
            let known = usize::try_from(number).ok().and_then(|number| seen.get_mut(number));
            if known.is_none_or(|known| std::mem::replace(known, true)) {
                received.again += 1;
                return;
            }
            left -= 1;
            let late = now.saturating_sub(time);
            received.late.add(late, 1);
            received.over_1s += u64::from(late > 1_000_000_000);
            received.early += u64::from(time.saturating_sub(now) > 1_000_000);
            if count.is_multiple_of(ACK_EVERY) {
                acks.extend(settle(1, id::ACK, tag, 1));
            }
        })?;
        input.drain(..used);
        // Nobody waits for what comes last.
        if let Some(tag) = last.filter(|_| acks.is_empty()) {
            acks.extend(settle(1, id::ACK, tag, 1));
        }
        wire.stream().write_all(&acks)?;
    }
    Ok(received)
}

fn resident(cluster: &Cluster) -> Vec<u64> {
    (0..cluster.len()).map(|node| process::resident(cluster.pid(node))).collect()
}

impl Report {
    /// A few lines.
    pub fn to_text(&self) -> String {
        let megabytes = |bytes: &[u64]| {
            let all: Vec<String> =
                bytes.iter().map(|it| format!("{:.0}", *it as f64 / 1e6)).collect();
            all.join(", ")
        };
        let killed = if self.killed { ", and the leader was killed at half of them" } else { "" };
        format!(
            "{} messages scheduled in {:.0} s, due at {}/s{killed}\nMB of memory on each node: \
             empty {}; with all of them waiting {}\nlate by {:.1} ms (p50), {:.1} ms (p99), {:.0} \
             ms at most; {} by more than a second, {} too early, {} came again",
            self.messages,
            self.published_s,
            self.rate,
            megabytes(&self.empty_bytes),
            megabytes(&self.filled_bytes),
            self.late_p50_ms,
            self.late_p99_ms,
            self.late_most_ms,
            self.late_over_1s,
            self.early,
            self.again,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_one_after_the_other() {
        let parse = |line: &str| Options::parse(line.split_whitespace());

        let options = parse("--messages 10 --rate 4 --after 3 --spare").unwrap();

        let due: Vec<u128> = (0..3).map(|number| options.due(number).as_millis()).collect();
        assert_eq!(due, [3000, 3250, 3500]);
        assert!(!options.kill && !options.json);
        for wrong in ["--messages", "--messages many", "--rooms 3", "--rate 0", "--size 4"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
