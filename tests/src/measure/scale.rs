//! What many of a kind cost three nodes: queues, waiting messages, bindings, idle connections.
//!
//! Each kind has fresh nodes of its own. Memory is what the dearest node has more than before, once
//! nodes have settled: the logs of what was done lie behind a snapshot by then.

mod backlog;
mod bindings;
mod connections;
mod pipeline;
mod queues;

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::cluster::Cluster;
use crate::load::process;

/// How many of each kind, and how to look at them.
#[derive(Clone, Debug)]
pub struct Options {
    /// Durable queues; 0 of a kind: it is left out.
    pub queues: usize,
    /// Messages that wait.
    pub messages: u64,
    /// Bytes of each.
    pub size: usize,
    /// Bindings of one topic exchange.
    pub bindings: usize,
    /// Connections with a channel each.
    pub connections: usize,
    /// How long nodes may settle before their memory counts.
    pub settle: Duration,
    /// Whether the report is JSON.
    pub json: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
#[expect(missing_docs, reason = "the names of the parts tell")]
pub struct Report {
    pub queues: Option<queues::Found>,
    pub backlog: Option<backlog::Found>,
    pub bindings: Option<bindings::Found>,
    pub connections: Option<connections::Found>,
}

impl Options {
    /// Reads a command line behind the task.
    pub fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut options = Self {
            queues: 100_000,
            messages: 10_000_000,
            size: 100,
            bindings: 1_000_000,
            connections: 10_000,
            settle: Duration::from_secs(90),
            json: false,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                options.json = true;
                continue;
            }
            let value = words.next().with_context(|| format!("no value for {word}"))?;
            let count = || value.parse::<usize>().with_context(|| format!("{word} {value}"));
            match word {
                "--queues" => options.queues = count()?,
                "--messages" => options.messages = count()? as u64,
                "--size" => options.size = count()?,
                "--bindings" => options.bindings = count()?,
                "--connections" => options.connections = count()?,
                "--settle" => options.settle = Duration::try_from_secs_f64(value.parse()?)?,
                _ => anyhow::bail!("no such option: {word}"),
            }
        }
        Ok(options)
    }
}

/// Does what is asked for, one kind after the other.
pub fn measure(options: &Options) -> Result<Report> {
    Ok(Report {
        queues: (options.queues > 0).then(|| queues::measure(options)).transpose()?,
        backlog: (options.messages > 0).then(|| backlog::measure(options)).transpose()?,
        bindings: (options.bindings > 0).then(|| bindings::measure(options)).transpose()?,
        connections: (options.connections > 0)
            .then(|| connections::measure(options))
            .transpose()?,
    })
}

impl Report {
    /// A few lines.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let parts = [
            self.queues.as_ref().map(queues::Found::to_text),
            self.backlog.as_ref().map(backlog::Found::to_text),
            self.bindings.as_ref().map(bindings::Found::to_text),
            self.connections.as_ref().map(connections::Found::to_text),
        ];
        for part in parts.into_iter().flatten() {
            writeln!(out, "{part}").expect("a string takes every text");
        }
        out
    }
}

/// Three nodes as they are by default.
fn nodes() -> Cluster {
    Cluster::start_with(3, &["--shards", "16"])
}

/// What each node has in memory once it has settled.
fn settled(cluster: &Cluster, options: &Options) -> Vec<u64> {
    thread::sleep(options.settle);
    (0..cluster.len()).map(|node| process::resident(cluster.pid(node))).collect()
}

/// The most that a node has more than before.
fn grown(before: &[u64], after: &[u64]) -> u64 {
    let grown = before.iter().zip(after).map(|(before, after)| after.saturating_sub(*before));
    grown.max().unwrap_or_default()
}

/// `bytes` divided by `count`.
fn each(bytes: u64, count: usize) -> f64 {
    bytes as f64 / count.max(1) as f64
}

/// CPU time of all nodes so far.
fn cpu(cluster: &Cluster) -> Duration {
    (0..cluster.len()).map(|node| process::cpu(cluster.pid(node))).sum()
}

fn per_second(count: usize, begin: Instant) -> f64 {
    count as f64 / begin.elapsed().as_secs_f64().max(1e-9)
}

/// Stops all nodes in order, starts them, and waits until they are ready. Gives how long the start
/// took.
fn restart_all(cluster: &mut Cluster) -> Duration {
    (0..cluster.len()).for_each(|node| cluster.terminate(node));
    let begin = Instant::now();
    (0..cluster.len()).for_each(|node| cluster.launch(node));
    (0..cluster.len()).for_each(|node| cluster.wait_ready(node));
    begin.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace())
    }

    #[test]
    fn each_kind_has_a_number_and_the_rest_stays_as_it_is() {
        let options = parse("--queues 7 --messages 0 --settle 0.5 --json").unwrap();

        assert_eq!((options.queues, options.messages, options.bindings), (7, 0, 1_000_000));
        assert!(options.json && options.settle == Duration::from_millis(500));
    }

    #[test]
    fn what_is_no_number_or_no_option_is_refused() {
        for line in ["--queues", "--queues many", "--rooms 3"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
