//! What a run is asked to do.

use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::load::frames::STAMP_BYTES;

/// How to call it.
pub const USAGE: &str = "\
warren-load [MODE] [OPTION]...

MODE
  durable     durable queues, persistent messages, confirms, manual acks (the default)
  transient   queues in memory, no confirms, automatic acks
  backlog     as durable, but all is published first, then drained; needs --count

OPTIONS (with the values for durable)
  --hosts HOST:PORT[,...]  brokers, taken in turn (127.0.0.1:5672)
  --declare-at HOST:PORT   the broker that declares the queues (the first)
  --queues N               queues (1)
  --publishers N           publishing connections (1)
  --consumers N            consuming connections (1)
  --fanout                 each message goes to all queues, of which each has a consumer
  --idle N                 connections with a channel that do nothing (0)
  --size BYTES             bodies, at least 16 (100)
  --confirm N              publishes that may wait for a confirm, 0: no confirms (1000)
  --prefetch N             deliveries that may wait for an ack (1000)
  --ack-every N            deliveries per ack, 0: automatic acks (100)
  --rate N                 messages a second of each publisher, 0: as fast as it goes (0)
  --seconds S              how long to measure (10)
  --warmup S               how long to load before measuring (1)
  --count N                messages of all publishers; ends the run before its time
  --drain S                how long consumers may take for the rest (60)
  --queue-type TYPE        x-queue-type: classic or quorum
  --no-durable             queues in memory
  --transient              messages that need not be kept
  --keep                   the queues stay, with what is in them
  --prefix NAME            the queues are NAME.0, NAME.1, ... (load)
  --user NAME --password P (guest, guest)
  --pids A,B,...           processes whose CPU and memory are told
  --json                   report as one line of JSON
";

/// The shape of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Durable queues, confirms, acks.
    Durable,
    /// Queues in memory, neither confirms nor acks.
    Transient,
    /// First in, then out.
    Backlog,
}

impl Mode {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Transient => "transient",
            Self::Backlog => "backlog",
        }
    }
}

/// Everything that can be asked for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the usage tells")]
pub struct Options {
    pub mode: Mode,
    pub amqp: Vec<SocketAddr>,
    pub declare_at: Option<SocketAddr>,
    pub queues: usize,
    pub publishers: usize,
    pub consumers: usize,
    pub fanout: bool,
    pub idle: usize,
    pub size: usize,
    pub window: usize,
    pub prefetch: u16,
    pub ack_every: u64,
    pub rate: u64,
    pub seconds: Duration,
    pub warmup: Duration,
    pub count: Option<u64>,
    pub drain: Duration,
    pub queue_type: Option<String>,
    pub durable: bool,
    pub persistent: bool,
    pub keep: bool,
    pub prefix: String,
    pub user: String,
    pub password: String,
    pub pids: Vec<u32>,
    pub json: bool,
}

impl Options {
    /// What a mode does unless told otherwise.
    pub fn of(mode: Mode) -> Self {
        let safe = mode != Mode::Transient;
        Self {
            mode,
            amqp: vec![SocketAddr::from(([127, 0, 0, 1], 5672))],
            declare_at: None,
            queues: 1,
            publishers: 1,
            consumers: 1,
            fanout: false,
            idle: 0,
            size: 100,
            window: if safe { 1000 } else { 0 },
            prefetch: 1000,
            ack_every: if safe { 100 } else { 0 },
            rate: 0,
            seconds: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            count: None,
            drain: Duration::from_secs(60),
            queue_type: None,
            durable: safe,
            persistent: safe,
            keep: false,
            prefix: "load".to_owned(),
            user: "guest".to_owned(),
            password: "guest".to_owned(),
            pids: Vec::new(),
            json: false,
        }
    }

    /// Reads a command line, without the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut words = arguments.iter().map(String::as_str).peekable();
        let mode = match words.next_if(|word| !word.starts_with("--")) {
            None | Some("durable") => Mode::Durable,
            Some("transient") => Mode::Transient,
            Some("backlog") => Mode::Backlog,
            Some(other) => bail!("no mode '{other}'"),
        };
        let mut options = Self::of(mode);
        while let Some(name) = words.next() {
            match name {
                "--no-durable" => options.durable = false,
                "--transient" => options.persistent = false,
                "--json" => options.json = true,
                "--fanout" => options.fanout = true,
                "--keep" => options.keep = true,
                _ => {
                    let value = words.next().with_context(|| format!("no value for {name}"))?;
                    options.set(name, value).with_context(|| format!("{name} {value}"))?;
                }
            }
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "--hosts" => self.amqp = list(value, address)?,
            "--declare-at" => self.declare_at = Some(address(value)?),
            "--idle" => self.idle = number(value)?,
            "--queues" => self.queues = number(value)?,
            "--publishers" => self.publishers = number(value)?,
            "--consumers" => self.consumers = number(value)?,
            "--size" => self.size = number(value)?,
            "--confirm" => self.window = number(value)?,
            "--prefetch" => self.prefetch = number(value)?,
            "--ack-every" => self.ack_every = number(value)?,
            "--rate" => self.rate = number(value)?,
            "--seconds" => self.seconds = Duration::try_from_secs_f64(number(value)?)?,
            "--warmup" => self.warmup = Duration::try_from_secs_f64(number(value)?)?,
            "--count" => self.count = Some(number(value)?),
            "--drain" => self.drain = Duration::try_from_secs_f64(number(value)?)?,
            "--queue-type" => self.queue_type = Some(value.to_owned()),
            "--prefix" => value.clone_into(&mut self.prefix),
            "--user" => value.clone_into(&mut self.user),
            "--password" => value.clone_into(&mut self.password),
            "--pids" => self.pids = list(value, number)?,
            _ => bail!("no such option"),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(self.queues > 0 && self.publishers > 0, "at least one queue and one publisher");
        ensure!(self.size >= STAMP_BYTES, "a body has at least {STAMP_BYTES} bytes");
        ensure!(
            self.publishers.saturating_mul(self.queues) <= usize::from(u16::MAX),
            "more streams than can be told apart"
        );
        ensure!(
            !self.fanout || self.consumers >= self.queues,
            "with --fanout each queue has a consumer of its own"
        );
        ensure!(self.mode != Mode::Backlog || self.count.is_some(), "a backlog needs --count");
        ensure!(
            self.prefetch == 0 || self.ack_every <= u64::from(self.prefetch),
            "an ack per {} deliveries never comes with a prefetch of {}",
            self.ack_every,
            self.prefetch
        );
        Ok(())
    }

    /// The name of a queue.
    pub fn queue(&self, index: usize) -> String {
        format!("{}.{index}", self.prefix)
    }

    /// How often a message is delivered.
    pub fn copies(&self) -> u64 {
        if self.fanout { self.queues as u64 } else { 1 }
    }

    /// Where messages go: the exchange, and the key for a queue.
    pub fn target(&self, queue: usize) -> (&str, String) {
        if self.fanout { (&self.prefix, String::new()) } else { ("", self.queue(queue)) }
    }

    /// The broker for a client.
    pub fn broker(&self, client: usize) -> SocketAddr {
        self.amqp[client % self.amqp.len()]
    }
}

fn number<T: FromStr>(value: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    value.parse().context("not such a number")
}

/// Reads `host:port`.
pub fn address(value: &str) -> Result<SocketAddr> {
    value.to_socket_addrs()?.next().context("no address")
}

fn list<T>(value: &str, read: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    value.split(',').map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_of_options_is_read() {
        let line = "--hosts 127.0.0.1:1,127.0.0.1:2 --json --queues 4 --no-durable --rate 500";

        let options = parse(line).unwrap();

        assert_eq!((options.mode, options.queues, options.rate), (Mode::Durable, 4, 500));
        assert!(options.json && !options.durable && options.persistent);
        assert_eq!(options.broker(3).port(), 2);
        assert_eq!(parse("transient --confirm 7").unwrap().window, 7);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let lines = [
            "fast",
            "--queues",
            "--queues many",
            "--nonsense 1",
            "--queues 0",
            "backlog",
            "--size 4",
            "--queues 2 --fanout",
            "--queues 1000 --publishers 1000",
            "--prefetch 10",
        ];
        for line in lines {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
