//! What a measurement is asked to do.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::failover::Pace;
use crate::measure::{matrix, scale, scheduled, streams};

/// How to call it.
pub const USAGE: &str = "\
warren-measure TASK [OPTION]...

TASK
  failover   a queue with traffic while nodes are killed, frozen or stopped: the longest silences
  queues     many durable queues: how fast they are declared, what they cost idle nodes
  idle       what nodes without queues cost
  matrix     kinds of work, done in turn by three nodes of ours and by a peer
  scale      what many queues, waiting messages, bindings and connections cost in memory
  scheduled  many messages that wait for their time: memory, and how late they come
  streams    a stream, read from its first message through three nodes at once: pace and memory

OPTIONS of matrix, and names of kinds of work (default: all)
  --against URL    the peer's nodes: amqp://user:password@host:port,host:port (nobody)
  --name NAME      what the table calls it (peer)
  --pids A,B,...   its processes, for what they cost
  --rounds N       how often, of which the middle one counts (3)
  --seconds S      how long each time (5)
  --count N        messages of a backlog (1000000)
  --chart FILE     where a drawing goes, as SVG

OPTIONS of scale (with their defaults; 0 leaves a kind out)
  --queues N       durable queues (100000)
  --messages N     messages that wait (10000000)
  --size BYTES     of each (100)
  --bindings N     bindings of one topic exchange (1000000)
  --connections N  idle connections with a channel each (10000)
  --settle S       how long nodes may settle before their memory counts (90)

OPTIONS of scheduled (with their defaults)
  --messages N     messages (1000000)
  --size BYTES     of each (100)
  --rate N         how many are due in a second (5000)
  --after S        when the first one is due (120)
  --spare          nobody is killed; else it is the queue's leader, when half of them are due

OPTIONS of streams (with their defaults)
  --messages N     messages (10000000)
  --size BYTES     of each (100)
  --readers N      who reads all of them, on the nodes in turn (3)
  --prefetch N     deliveries that each may have unacknowledged (10000)
  --settle S       how long nodes may settle before their memory counts (10)

OPTIONS of failover (with their defaults)
  --fault FAULT    (kill)
                   kill      the queue's leader is killed and returns; the clients are elsewhere
                   freeze    the queue's leader is stopped with SIGSTOP and goes on
                   own       the clients' own node is killed and returns
                   rolling   all nodes leave in order, one after the other, and return; with
                             WARREN_BEFORE=path in the environment they begin as that build
                   blackout  all nodes are killed at once
  --rounds N       how often (20)
  --rate N         messages a second (500)
  --size BYTES     bodies (256)
  --window N       publishes that may wait for a confirm (10000)
  --prefetch N     deliveries that may wait for an ack (50)
  --keep N         deliveries that the consumer keeps without an ack (20)
  --seconds S      how long each stretch has traffic (3)
  --frozen S       how long a node stays frozen (60)

OPTIONS of queues and idle
  --count N        queues (10000)
  --connections N  connections that declare them, one declaration each at a time (12)
  --seconds S      how long idle nodes are watched (60)

ALL
  --json           report as one line of JSON
";

/// What is measured.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the usage tells")]
pub enum Task {
    Failover,
    Queues,
    Idle,
    Matrix(Box<matrix::Options>),
    Scale(Box<scale::Options>),
    Scheduled(Box<scheduled::Options>),
    Streams(Box<streams::Options>),
}

/// What happens to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the usage tells")]
pub enum Fault {
    Kill,
    Freeze,
    Own,
    Rolling,
    Blackout,
}

impl Fault {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Own => "own",
            Self::Rolling => "rolling",
            Self::Blackout => "blackout",
        }
    }

    fn of(name: &str) -> Result<Self> {
        let all = [Self::Kill, Self::Freeze, Self::Own, Self::Rolling, Self::Blackout];
        all.into_iter().find(|fault| fault.name() == name).context("no such fault")
    }
}

/// Everything that can be asked for.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the usage tells")]
pub struct Options {
    pub task: Task,
    pub fault: Fault,
    pub rounds: usize,
    pub pace: Pace,
    pub count: usize,
    pub connections: usize,
    pub seconds: Duration,
    pub json: bool,
}

impl Options {
    /// What a task does unless told otherwise.
    pub fn of(task: Task) -> Self {
        let is_failover = matches!(task, Task::Failover);
        let seconds = Duration::from_secs(if is_failover { 3 } else { 60 });
        let pace = Pace { frozen: Duration::from_secs(60), ..Pace::default() };
        Self {
            task,
            fault: Fault::Kill,
            rounds: 20,
            pace,
            count: 10_000,
            connections: 12,
            seconds,
            json: false,
        }
    }

    /// Reads a command line, without the program's name.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut words = arguments.iter().map(String::as_str);
        let task = match words.next() {
            Some("failover") => Task::Failover,
            Some("queues") => Task::Queues,
            Some("idle") => Task::Idle,
            Some("matrix") => {
                return Ok(Self::of(Task::Matrix(Box::new(matrix::Options::parse(words)?))));
            }
            Some("scale") => {
                return Ok(Self::of(Task::Scale(Box::new(scale::Options::parse(words)?))));
            }
            Some("scheduled") => {
                let options = scheduled::Options::parse(words)?;
                return Ok(Self::of(Task::Scheduled(Box::new(options))));
            }
            Some("streams") => {
                return Ok(Self::of(Task::Streams(Box::new(streams::Options::parse(words)?))));
            }
            Some(other) => bail!("no task '{other}'"),
            None => bail!("no task"),
        };
        let mut options = Self::of(task);
        while let Some(name) = words.next() {
            if name == "--json" {
                options.json = true;
                continue;
            }
            let value = words.next().with_context(|| format!("no value for {name}"))?;
            options.set(name, value).with_context(|| format!("{name} {value}"))?;
        }
        options.check()?;
        // A stretch lasts until so many messages went the whole way.
        let messages = options.pace.rate as f64 * options.seconds.as_secs_f64();
        options.pace.messages = messages.ceil() as usize;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "--fault" => self.fault = Fault::of(value)?,
            "--rounds" => self.rounds = number(value)?,
            "--rate" => self.pace.rate = number(value)?,
            "--size" => self.pace.size = number(value)?,
            "--window" => self.pace.window = number(value)?,
            "--prefetch" => self.pace.prefetch = number(value)?,
            "--keep" => self.pace.keep = number(value)?,
            "--frozen" => self.pace.frozen = Duration::try_from_secs_f64(number(value)?)?,
            "--seconds" => self.seconds = Duration::try_from_secs_f64(number(value)?)?,
            "--count" => self.count = number(value)?,
            "--connections" => self.connections = number(value)?,
            _ => bail!("no such option"),
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        ensure!(self.rounds > 0 && self.pace.rate > 0, "at least one round and one message");
        ensure!(self.connections > 0, "at least one connection");
        ensure!(
            self.pace.prefetch == 0 || self.pace.keep < usize::from(self.pace.prefetch),
            "a consumer that keeps {} of {} gets no more",
            self.pace.keep,
            self.pace.prefetch
        );
        Ok(())
    }
}

fn number<T: FromStr>(value: &str) -> Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    value.parse().context("not such a number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_of_options_is_read() {
        let options = parse("failover --fault freeze --rounds 2 --seconds 4 --rate 100").unwrap();

        assert!(matches!(options.task, Task::Failover));
        assert_eq!(options.fault, Fault::Freeze);
        assert_eq!((options.rounds, options.pace.messages), (2, 400));
        assert_eq!(parse("queues --count 7 --json").unwrap().count, 7);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let lines = [
            "",
            "walk",
            "failover --fault rain",
            "failover --rounds 0",
            "failover --keep 50",
            "idle --nonsense 1",
            "matrix nothing",
            "queues --count",
        ];
        for line in lines {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
