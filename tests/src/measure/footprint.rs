//! What idle nodes cost, without queues and with many.

use std::fmt::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::Serialize;

use crate::cluster::{Cluster, durable};
use crate::load::process;
use crate::measure::{Options, Task};
use crate::wire::{Flags, Wire};

/// How long nodes may settle before they are called idle.
const SETTLE: Duration = Duration::from_secs(10);

/// One node that nobody asks for anything.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Idle {
    /// Per cent of one core.
    pub cpu_percent: f64,
    /// Resident memory.
    pub rss_bytes: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How long idle nodes were watched.
    pub seconds: f64,
    /// Each node without queues.
    pub empty: Vec<Idle>,
    /// What the most expensive node costs without queues.
    pub empty_max: Idle,
    /// Queues declared; 0: none were asked for, and what follows is empty.
    pub queues: usize,
    /// Declarations a second, over all connections.
    pub declared_per_second: f64,
    /// Each node with the queues.
    pub full: Vec<Idle>,
    /// What the most expensive node costs with the queues.
    pub full_max: Idle,
    /// The most memory that the queues took on a node.
    pub grown_max_bytes: u64,
    /// From the start of a stopped node to its being ready, with the queues.
    pub restart_seconds: f64,
    /// From the start of a stopped node to a cluster that is complete.
    pub complete_seconds: f64,
}

/// Watches fresh nodes, or those that the environment names.
pub fn measure(options: &Options) -> Result<Report> {
    let mut cluster = Cluster::start();
    let empty = watch(&cluster, options.seconds);
    let mut report = Report {
        seconds: options.seconds.as_secs_f64(),
        empty_max: most(&empty),
        empty,
        ..Report::default()
    };
    if matches!(options.task, Task::Idle) {
        return Ok(report);
    }
    report.queues = options.count;
    report.declared_per_second = declare(&cluster, options)?;
    report.full = watch(&cluster, options.seconds);
    report.full_max = most(&report.full);
    let grown = |(full, empty): (&Idle, &Idle)| full.rss_bytes.saturating_sub(empty.rss_bytes);
    report.grown_max_bytes =
        report.full.iter().zip(&report.empty).map(grown).max().unwrap_or_default();

    let last = cluster.len() - 1;
    cluster.terminate(last);
    let begin = Instant::now();
    cluster.restart(last);
    report.restart_seconds = begin.elapsed().as_secs_f64();
    cluster.wait_complete();
    report.complete_seconds = begin.elapsed().as_secs_f64();
    Ok(report)
}

fn watch(cluster: &Cluster, longest: Duration) -> Vec<Idle> {
    thread::sleep(SETTLE);
    let pids: Vec<u32> = (0..cluster.len()).map(|node| cluster.pid(node)).collect();
    let before: Vec<Duration> = pids.iter().map(|pid| process::cpu(*pid)).collect();
    let begin = Instant::now();
    thread::sleep(longest);
    let length = begin.elapsed();
    let idle = |(pid, before): (&u32, Duration)| Idle {
        cpu_percent: 100.0 * process::cpu(*pid).saturating_sub(before).as_secs_f64()
            / length.as_secs_f64(),
        rss_bytes: process::resident(*pid),
    };
    pids.iter().zip(before).map(idle).collect()
}

fn most(nodes: &[Idle]) -> Idle {
    let more = |one: Idle, other: &Idle| Idle {
        cpu_percent: one.cpu_percent.max(other.cpu_percent),
        rss_bytes: one.rss_bytes.max(other.rss_bytes),
    };
    nodes.iter().fold(Idle::default(), more)
}

/// Declares the queues over all nodes and tells how many a second.
fn declare(cluster: &Cluster, options: &Options) -> Result<f64> {
    let connect = |index| Wire::open_channel(cluster.amqp(index % cluster.len()));
    let wires: Vec<Wire> = (0..options.connections).map(connect).collect::<Result<_>>()?;
    let arguments = durable();
    let begin = Instant::now();
    thread::scope(|scope| {
        let share = |(index, mut wire): (usize, Wire)| {
            let arguments = &arguments;
            scope.spawn(move || -> Result<()> {
                for queue in (index..options.count).step_by(options.connections) {
                    let name = format!("measure.{queue}");
                    wire.declare(1, &name, Flags::DURABLE, arguments)
                        .with_context(|| format!("cannot declare {name}"))?;
                }
                Ok(())
            })
        };
        let threads: Vec<_> = wires.into_iter().enumerate().map(share).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow!("a declaring thread panicked"))?
        })
    })?;
    Ok(options.count as f64 / begin.elapsed().as_secs_f64())
}

impl Report {
    /// A few lines.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every text");
        let shown = |nodes: &[Idle]| {
            let one = |node: &Idle| {
                format!("{:.2} % {:.0} MB", node.cpu_percent, node.rss_bytes as f64 / 1e6)
            };
            nodes.iter().map(one).collect::<Vec<_>>().join("   ")
        };
        line(format!("idle, no queues     {}   ({} s)", shown(&self.empty), self.seconds));
        if self.queues > 0 {
            line(format!("idle, {:>6} queues {}", self.queues, shown(&self.full)));
            line(format!("grown by            {:.0} MB", self.grown_max_bytes as f64 / 1e6));
            line(format!("declared            {:.0}/s", self.declared_per_second));
            line(format!(
                "restart of a node   ready after {:.2} s, complete after {:.2} s",
                self.restart_seconds, self.complete_seconds
            ));
        }
        out
    }
}
