//! A stream that is published, and then read from its beginning through all nodes at once: how fast,
//! and what it costs in memory.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::load::{self, Event, Mode, Parser, process, read_some};
use crate::wire::{Field, Pack, Wire, consume, id, pairs, settle};

/// Connections that publish.
const PUBLISHERS: usize = 3;

/// Deliveries per ack: few enough that the prefetch is never in the way.
const ACK_EVERY: u64 = 1000;

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// What is to be published and read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Messages.
    pub messages: u64,
    /// Bytes of each.
    pub size: usize,
    /// Who reads all of them, on the nodes in turn.
    pub readers: usize,
    /// Deliveries that a reader may have unacknowledged.
    pub prefetch: u16,
    /// How long nodes may settle before and after they are read.
    pub settle: Duration,
    /// Whether the report is JSON.
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Messages.
    pub messages: u64,
    /// Bytes of each.
    pub size: usize,
    /// Published, per second.
    pub published_per_second: f64,
    /// What each reader was given, per second.
    pub read_per_second: Vec<f64>,
    /// What all were given together, per second.
    pub read_per_second_in_all: f64,
    /// CPU time of the nodes per delivery, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// Resident bytes of each node, empty.
    pub empty_bytes: Vec<u64>,
    /// The same once all was published.
    pub filled_bytes: Vec<u64>,
    /// The most that was seen while it was read.
    pub read_bytes: Vec<u64>,
    /// The same afterwards.
    pub after_bytes: Vec<u64>,
}

impl Options {
    /// Reads a command line behind the task.
    pub fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut options = Self {
            messages: 10_000_000,
            size: 100,
            readers: 3,
            prefetch: 10_000,
            settle: Duration::from_secs(10),
            json: false,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                options.json = true;
                continue;
            }
            let value = words.next().with_context(|| format!("no value for {word}"))?;
            let wrong = || format!("{word} {value}");
            match word {
                "--messages" => options.messages = value.parse().with_context(wrong)?,
                "--size" => options.size = value.parse().with_context(wrong)?,
                "--readers" => options.readers = value.parse().with_context(wrong)?,
                "--prefetch" => options.prefetch = value.parse().with_context(wrong)?,
                "--settle" => {
                    options.settle =
                        Duration::try_from_secs_f64(value.parse().with_context(wrong)?)?;
                }
                _ => anyhow::bail!("no such option: {word}"),
            }
        }
        ensure!(options.prefetch > 0, "a stream is not read without a prefetch");
        Ok(options)
    }
}

/// Publishes, and reads.
pub fn measure(options: &Options) -> Result<Report> {
    let cluster = Cluster::start_with(3, &["--shards", "16"]);
    thread::sleep(options.settle);
    let empty = resident(&cluster);
    let work = load::Options {
        amqp: (0..cluster.len()).map(|node| cluster.amqp(node)).collect(),
        publishers: PUBLISHERS,
        consumers: 0,
        size: options.size,
        count: Some(options.messages),
        queue_type: Some("stream".to_owned()),
        keep: true,
        ..load::Options::of(Mode::Backlog)
    };
    let filled = load::run(&work)?;
    thread::sleep(options.settle);
    let filled_bytes = resident(&cluster);
    let (before, begin) = (cpu(&cluster), Instant::now());
    let (rates, read_bytes) = read_all(&cluster, &work.queue(0), options)?;
    let (took, used) = (begin.elapsed(), cpu(&cluster).saturating_sub(before));
    thread::sleep(options.settle);
    let deliveries = options.messages as f64 * options.readers as f64;
    Ok(Report {
        messages: options.messages,
        size: options.size,
        published_per_second: filled.publish_rate,
        read_per_second_in_all: deliveries / took.as_secs_f64().max(1e-9),
        read_per_second: rates,
        cpu_us_per_delivery: used.as_secs_f64() * 1e6 / deliveries.max(1.0),
        empty_bytes: empty,
        filled_bytes,
        read_bytes,
        after_bytes: resident(&cluster),
    })
}

/// Reads everything with all readers at once. Gives how fast each was, and the most that each node
/// had in memory meanwhile.
fn read_all(cluster: &Cluster, stream: &str, options: &Options) -> Result<(Vec<f64>, Vec<u64>)> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = resident(cluster);
            while !over.load(Ordering::Relaxed) {
                thread::sleep(GLANCE);
                for (most, bytes) in most.iter_mut().zip(resident(cluster)) {
                    *most = (*most).max(bytes);
                }
            }
            most
        });
        let readers: Vec<_> = (0..options.readers)
            .map(|reader| {
                let node = cluster.amqp(reader % cluster.len());
                scope.spawn(move || read_from(Wire::open_channel(node)?, stream, options))
            })
            .collect();
        let panicked = |_| anyhow!("a reader panicked");
        let rates: Result<Vec<f64>> =
            readers.into_iter().map(|reader| reader.join().map_err(panicked)?).collect();
        over.store(true, Ordering::Relaxed);
        Ok((rates?, watch.join().map_err(panicked)?))
    })
}

/// Reads everything, and gives how many messages a second that were.
fn read_from(mut wire: Wire, stream: &str, options: &Options) -> Result<f64> {
    let qos = Pack::method(id::QOS).u32(0).u16(options.prefetch).u8(0).frame(1);
    wire.call(1, qos, id::QOS_OK)?;
    let first = pairs(&[("x-stream-offset", Field::text("first"))]);
    let begin = Instant::now();
    wire.send(&consume(1, stream, "reader", 0, &first))?;
    let (mut parser, mut input) = (Parser::default(), Vec::with_capacity(2 * READ_BYTES));
    let (mut count, mut next) = (0_u64, [0_u64; PUBLISHERS]);
    let ack_every = ACK_EVERY.min(u64::from(options.prefetch).div_ceil(2));
    while count < options.messages {
        read_some(wire.stream(), &mut input, READ_BYTES)?;
        let (mut acks, mut stray) = (Vec::new(), None);
        let used = parser.parse(&input, |event| {
            let Event::Delivered { tag, redelivered, stream, number, .. } = event else { return };
            count += 1;
            let expected = next.get_mut(usize::from(stream));
            match expected.filter(|expected| **expected == number && !redelivered) {
                Some(expected) => *expected += 1,
                None => stray = Some((stream, number)),
            }
            if count.is_multiple_of(ack_every) {
                acks.extend(settle(1, id::ACK, tag, 1));
            }
        })?;
        ensure!(stray.is_none(), "{stray:?} is not what comes next");
        input.drain(..used);
        wire.stream().write_all(&acks)?;
    }
    Ok(count as f64 / begin.elapsed().as_secs_f64().max(1e-9))
}

fn resident(cluster: &Cluster) -> Vec<u64> {
    (0..cluster.len()).map(|node| process::resident(cluster.pid(node))).collect()
}

fn cpu(cluster: &Cluster) -> Duration {
    (0..cluster.len()).map(|node| process::cpu(cluster.pid(node))).sum()
}

impl Report {
    /// A few lines.
    pub fn to_text(&self) -> String {
        let megabytes = |bytes: &[u64]| {
            let all: Vec<String> =
                bytes.iter().map(|it| format!("{:.0}", *it as f64 / 1e6)).collect();
            all.join(", ")
        };
        let rates: Vec<String> = self.read_per_second.iter().map(|it| format!("{it:.0}")).collect();
        format!(
            "{} messages of {} B in a stream: published at {:.0}/s; read from the first by {} at \
             once at {} per second, {:.0} in all, {:.1} us of the nodes each\nMB of memory on each \
             node: empty {}; filled {}; at most while it was read {}; afterwards {}",
            self.messages,
            self.size,
            self.published_per_second,
            self.read_per_second.len(),
            rates.join(", "),
            self.read_per_second_in_all,
            self.cpu_us_per_delivery,
            megabytes(&self.empty_bytes),
            megabytes(&self.filled_bytes),
            megabytes(&self.read_bytes),
            megabytes(&self.after_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_a_number_each_and_a_prefetch_there_must_be() {
        let parse = |line: &str| Options::parse(line.split_whitespace());

        let options = parse("--messages 5 --readers 2 --settle 0.5 --json").unwrap();

        assert_eq!((options.messages, options.readers, options.size), (5, 2, 100));
        assert!(options.json && options.settle == Duration::from_millis(500));
        for wrong in ["--messages", "--messages many", "--rooms 3", "--prefetch 0"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
