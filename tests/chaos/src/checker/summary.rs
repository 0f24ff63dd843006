//! Numbers of a run.

use std::collections::HashSet;
use std::time::Duration;

use super::world::Fact;
use super::{Step, Summary};
use crate::history::{Event, Message};

/// Phases in which silence counts: from when something may be broken until clients stop.
const FELT: [&str; 2] = ["faults", "heal"];

/// Counts as lines pass.
#[derive(Debug, Default)]
pub(super) struct Counting {
    summary: Summary,
    seen: HashSet<Message>,
    /// Since when nothing was confirmed, and nothing delivered, where that counts.
    silent: Option<[u64; 2]>,
    longest: u64,
}

impl Counting {
    /// Counts a line.
    pub(super) fn see(&mut self, step: Step<'_>) {
        let at = step.spot.at;
        match step.event {
            Event::Publish { .. } => self.summary.published += 1,
            Event::Phase { phase } => {
                let is_felt = FELT.contains(&phase.as_str());
                if !is_felt {
                    self.sound(at, &[0, 1]);
                }
                self.silent = is_felt.then(|| self.silent.unwrap_or([at; 2]));
            }
            Event::Confirm { .. } => self.sound(at, &[0]),
            Event::Deliver { .. } => self.sound(at, &[1]),
            _ => {}
        }
        for fact in step.facts {
            match fact {
                Fact::Confirmed { taken: true, .. } => self.summary.confirmed += 1,
                Fact::Delivered(delivery) => {
                    let Some(origin) = delivery.origin else { continue };
                    let message = delivery.message.unwrap_or_default();
                    if self.seen.insert(message) {
                        self.summary.delivered += 1;
                    }
                    if !origin.first {
                        let redelivered = u64::from(delivery.redelivered);
                        self.summary.redelivered += redelivered;
                        self.summary.duplicated += 1 - redelivered;
                    }
                }
                _ => {}
            }
        }
    }

    /// The numbers.
    pub(super) fn finish(self) -> Summary {
        Summary { longest_gap: Duration::from_micros(self.longest), ..self.summary }
    }

    fn sound(&mut self, at: u64, which: &[usize]) {
        let Some(silent) = &mut self.silent else { return };
        for which in which {
            self.longest = self.longest.max(at - silent[*which]);
            silent[*which] = at;
        }
    }
}
