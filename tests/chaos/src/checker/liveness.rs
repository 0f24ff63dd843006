//! I9 and I18 to I20, I22: whatever was broken, afterwards everything works, and what is asked is answered.

use std::collections::HashMap;

use super::report::Report;
use super::world::World;
use super::{Family, Step};
use crate::history::{Channel, Event};

/// Milliseconds that a message may take through a healed queue. Ten seconds are promised; the rest is for a
/// machine on which nodes and clients share two processors.
const PROBE_MS: u64 = 20_000;

/// Of a hundred messages that are confirmed in calm, how many at least with a slow node.
const SLOW_PERCENT: u64 = 3;

/// Microseconds below which a stretch says nothing about throughput.
const STRETCH: u64 = 5_000_000;

/// What works, and how much.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    probes: u64,
    /// Channels that were asked to publish nothing, with the line.
    blocked: HashMap<Channel, u64>,
    confirms: u64,
    /// The begin of the calm phase, and the confirms before it.
    calm: Option<(u64, u64)>,
    /// Confirms per second while all was calm.
    rate: Option<u64>,
    /// Faults that only slow a node down: their name and begin, and the confirms before.
    slow: HashMap<u64, (String, u64, u64)>,
}

impl Family for Liveness {
    fn see(&mut self, step: Step<'_>, report: &mut Report) {
        let line = step.spot.line;
        match step.event {
            Event::Probe { queue, node, took_ms, failed } => {
                self.probes += 1;
                if let Some(why) = failed {
                    let text = format!("line {line}: {queue} does not work by {node}: {why}");
                    report.blame("I19", text);
                } else if *took_ms > PROBE_MS {
                    let text = format!("line {line}: {queue} by {node} took {took_ms} ms");
                    report.blame("I19", text);
                }
            }
            Event::Drained { queue, ready } if *ready > 0 => {
                let text = format!("line {line}: {ready} messages in {queue} go to nobody");
                report.blame("I20", text);
            }
            Event::Stuck { channel, what } => {
                report.blame("I20", format!("line {line}: channel {channel}: {what}"));
            }
            // A node that is cut off does not hear that somebody left.
            Event::Vanish { object, node, took_ms, gone: false }
                if !step.world.doubts.touch_any(since(step.spot.at, *took_ms), step.spot.at) =>
            {
                let text = format!("line {line}: {object} is at {node} after {took_ms} ms");
                report.blame("I9", text);
            }
            Event::Blocked { channel, blocked } => {
                if *blocked {
                    self.blocked.insert(*channel, line);
                } else {
                    self.blocked.remove(channel);
                }
            }
            Event::Lost { channel, .. } | Event::Closed { channel } => {
                self.blocked.remove(channel);
            }
            Event::Phase { phase } => self.phase(phase, step, report),
            Event::Confirm { .. } => self.confirms += 1,
            Event::Fault { fault, name, what, .. } if what.contains("slow") => {
                let begun = (name.clone(), step.spot.at, self.confirms);
                self.slow.insert(*fault, begun);
            }
            Event::Healed { fault } => self.healed(*fault, step, report),
            _ => {}
        }
    }

    fn finish(&mut self, world: &World, report: &mut Report) {
        if world.phase("drain").is_some() && world.phase("heal").is_some() && self.probes == 0 {
            report.blame("I19", "nobody looked whether anything works after all was healed".into());
        }
    }
}

impl Liveness {
    fn phase(&mut self, phase: &str, step: Step<'_>, report: &mut Report) {
        if let Some((begin, before)) = self.calm.take() {
            self.rate = rate(self.confirms - before, step.spot.at - begin);
        }
        match phase {
            "calm" => self.calm = Some((step.spot.at, self.confirms)),
            "drain" => {
                for (channel, line) in &self.blocked {
                    let text = format!("channel {channel} is blocked since line {line}");
                    report.blame("I18", text);
                }
            }
            _ => {}
        }
    }

    /// A node was slow: the others went on.
    fn healed(&mut self, fault: u64, step: Step<'_>, report: &mut Report) {
        let Some((name, begin, before)) = self.slow.remove(&fault) else { return };
        let confirmed = self.confirms - before;
        let (Some(calm), Some(slow)) = (self.rate, rate(confirmed, step.spot.at - begin)) else {
            return;
        };
        if slow * 100 < calm * SLOW_PERCENT {
            let line = step.spot.line;
            let text = format!(
                "line {line}: {name}: {slow} confirms a second with a slow node, {calm} in calm"
            );
            report.blame("I22", text);
        }
    }
}

/// Confirms per second, if the stretch is long enough to say so.
fn rate(confirms: u64, micros: u64) -> Option<u64> {
    (micros >= STRETCH).then(|| confirms * 1_000_000 / micros)
}

fn since(at: u64, took_ms: u64) -> u64 {
    at.saturating_sub(took_ms.saturating_mul(1000))
}
