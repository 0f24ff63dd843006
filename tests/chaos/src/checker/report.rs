//! What is wrong, and what would be wrong if somebody were alive.
//!
//! Whether a connection had ended is known to its client only later. A **suspicion** holds that a
//! channel was alive at a line; it is proven by an answer to a question that was asked after that
//! line, and dropped when the channel is lost without one.

use std::collections::{BTreeMap, HashMap};

use super::{Spot, Violation};
use crate::history::{Channel, Event};

/// Violations of one invariant that are kept in full.
const SHOWN: usize = 100;

/// Suspicions of one channel that are kept.
const SUSPICIONS: usize = 1000;

/// Everything that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: Vec<Violation>,
    counts: BTreeMap<&'static str, usize>,
    asked: HashMap<Channel, u64>,
    suspicions: HashMap<Channel, Vec<(u64, Violation)>>,
}

impl Report {
    /// Proves and drops suspicions.
    pub(super) fn see(&mut self, spot: Spot, event: &Event) {
        match event {
            Event::Ask { channel } => drop(self.asked.insert(*channel, spot.line)),
            Event::Lost { channel, .. } => drop(self.suspicions.remove(channel)),
            Event::Certain { channel } => {
                let asked = self.asked.remove(channel).unwrap_or_default();
                let waiting = self.suspicions.remove(channel).unwrap_or_default();
                let (proven, open): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|(line, _)| *line < asked);
                for (_, violation) in proven {
                    let text =
                        format!("{}; channel {channel} lived at line {asked}", violation.text);
                    self.blame(violation.invariant, text);
                }
                if !open.is_empty() {
                    self.suspicions.insert(*channel, open);
                }
            }
            _ => {}
        }
    }

    /// Something is wrong.
    pub(super) fn blame(&mut self, invariant: &'static str, text: String) {
        let count = self.counts.entry(invariant).or_default();
        *count += 1;
        if *count <= SHOWN {
            self.found.push(Violation { invariant, text });
        }
    }

    /// Something is wrong if a channel is alive here.
    pub(super) fn suspect(
        &mut self,
        spot: Spot,
        channel: Channel,
        invariant: &'static str,
        text: String,
    ) {
        let waiting = self.suspicions.entry(channel).or_default();
        if waiting.len() < SUSPICIONS {
            waiting.push((spot.line, Violation { invariant, text }));
        }
    }

    /// All that is wrong.
    pub(super) fn finish(mut self) -> Vec<Violation> {
        for (invariant, count) in self.counts {
            if let Some(more) = count.checked_sub(SHOWN).filter(|more| *more > 0) {
                let text = format!("{more} more that are not shown");
                self.found.push(Violation { invariant, text });
            }
        }
        self.found
    }
}
