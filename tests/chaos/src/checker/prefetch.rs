//! I7: no consumer holds more than it asked for, as it counts itself.

use super::report::Report;
use super::world::{Fact, World};
use super::{Family, Step};

/// Looks at every delivery.
#[derive(Debug, Default)]
pub(super) struct Prefetch;

impl Family for Prefetch {
    fn see(&mut self, step: Step<'_>, report: &mut Report) {
        for fact in step.facts {
            let Fact::Delivered(delivery) = fact else { continue };
            let Some(consuming) = step.world.consumer(delivery.consumer) else { continue };
            let (held, limit) = (consuming.held, consuming.prefetch);
            if limit == 0 || held <= limit {
                continue;
            }
            // One whose session was given up holds what is not its own any more.
            let oldest = step.world.oldest(delivery.consumer).map_or(step.spot, |held| held.spot);
            if !step.world.is_doubtful(delivery.channel, oldest.at, step.spot.at) {
                let text = format!(
                    "consumer {} of {} holds {held} messages and asked for {limit} (line {})",
                    delivery.consumer, delivery.queue, step.spot.line
                );
                report.blame("I7", text);
            }
        }
    }

    fn finish(&mut self, _world: &World, _report: &mut Report) {}
}
