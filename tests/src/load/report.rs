//! What a run found, for people and for programs.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::load::{Histogram, Options};

/// Percentiles of a duration, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    /// Durations counted.
    pub count: u64,
    /// Half are not longer.
    pub p50: f64,
    /// Nine of ten are not longer.
    pub p90: f64,
    /// 99 of a hundred are not longer.
    pub p99: f64,
    /// 999 of a thousand are not longer.
    pub p999: f64,
    /// None is longer.
    pub max: f64,
}

impl From<&Histogram> for Latency {
    fn from(histogram: &Histogram) -> Self {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        Self {
            count: histogram.total(),
            p50: ms(histogram.permille(500)),
            p90: ms(histogram.permille(900)),
            p99: ms(histogram.permille(990)),
            p999: ms(histogram.permille(999)),
            max: ms(histogram.longest()),
        }
    }
}

/// One process that was watched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Watched {
    /// Its id.
    pub pid: u32,
    /// CPU time while it was measured, in seconds.
    pub cpu_seconds: f64,
    /// Resident memory before anything was published.
    pub rss_before_bytes: u64,
    /// Resident memory when publishing ended: with a backlog, all of it is there.
    pub rss_loaded_bytes: u64,
    /// Resident memory at the end.
    pub rss_after_bytes: u64,
}

/// All of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The mode.
    pub mode: String,
    /// Queues, publishers, consumers, bytes of a body.
    pub shape: [usize; 4],
    /// How long was measured.
    pub seconds: f64,
    /// Publishes per second.
    pub publish_rate: f64,
    /// Confirms per second.
    pub confirm_rate: f64,
    /// Deliveries per second, while it was measured; of a backlog, while it was drained.
    pub consume_rate: f64,
    /// From write to confirm.
    pub confirm_ms: Latency,
    /// From write to delivery.
    pub e2e_ms: Latency,
    /// Messages sent in all.
    pub sent: u64,
    /// Messages confirmed in all.
    pub confirmed: u64,
    /// Messages refused in all.
    pub refused: u64,
    /// Different messages delivered in all.
    pub delivered: u64,
    /// Confirmed, not delivered, and not waiting in a queue at the end either.
    pub lost: u64,
    /// Confirmed and still in a queue, as consumers did not take it in the time they were given.
    /// What they held unacknowledged is there again and may stand for as many that are lost.
    pub left: u64,
    /// Delivered twice without the flag.
    pub doubled: u64,
    /// Delivered with the flag.
    pub flagged: u64,
    /// Delivered after a later one of its stream, to the same consumer.
    pub overtaken: u64,
    /// CPU time of the watched processes per message that was delivered, in microseconds.
    pub cpu_us_per_message: f64,
    /// CPU time of the load generator itself, while it was measured, in seconds.
    pub own_cpu_seconds: f64,
    /// The processes that were watched.
    pub watched: Vec<Watched>,
}

impl Report {
    /// An empty report on a run.
    pub fn on(options: &Options) -> Self {
        let shape = [options.queues, options.publishers, options.consumers, options.size];
        Self { mode: options.mode.name().to_owned(), shape, ..Self::default() }
    }

    /// One object.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts can be written as JSON")
    }

    /// A few lines.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let [queues, publishers, consumers, size] = self.shape;
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every text");
        line(format!(
            "{}: {queues} queues, {publishers} publishers, {consumers} consumers, {size} bytes, {:.1} s",
            self.mode, self.seconds
        ));
        line(format!(
            "rates      published {:.0}/s  confirmed {:.0}/s  delivered {:.0}/s",
            self.publish_rate, self.confirm_rate, self.consume_rate
        ));
        for (name, latency) in [("confirm", &self.confirm_ms), ("end to end", &self.e2e_ms)] {
            if latency.count > 0 {
                line(format!(
                    "{name:<10} p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
                    milliseconds(latency.p50),
                    milliseconds(latency.p90),
                    milliseconds(latency.p99),
                    milliseconds(latency.p999),
                    milliseconds(latency.max)
                ));
            }
        }
        line(format!(
            "messages   sent {}  confirmed {}  refused {}  delivered {}  lost {}  left {}  doubled {}  flagged {}  overtaken {}",
            self.sent,
            self.confirmed,
            self.refused,
            self.delivered,
            self.lost,
            self.left,
            self.doubled,
            self.flagged,
            self.overtaken
        ));
        for watched in &self.watched {
            let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
            line(format!(
                "process    {}  cpu {:.2} s  rss {:.1} MiB before, {:.1} loaded, {:.1} after",
                watched.pid,
                watched.cpu_seconds,
                mib(watched.rss_before_bytes),
                mib(watched.rss_loaded_bytes),
                mib(watched.rss_after_bytes)
            ));
        }
        if !self.watched.is_empty() {
            line(format!("cpu        {:.2} us per message", self.cpu_us_per_message));
        }
        line(format!("own cpu    {:.2} s", self.own_cpu_seconds));
        out
    }
}

fn milliseconds(value: f64) -> String {
    format!("{value:.2} ms")
}
