//! I11: nothing expires early, nothing that expired is delivered. I12: messages die of what they die of.
//!
//! Times are those of clients: before the publish was sent, and after the delivery was read. So a message
//! that seems to be too young was; one that seems too old may have waited for its reader.

use super::report::Report;
use super::world::{Delivery, Fact, Origin, World};
use super::{Family, Step};
use crate::history::Death;

/// Microseconds by which clocks may differ: what counts is one leader's clock, and then another's.
const SKEW: u64 = 250_000;

/// Microseconds after its time that a message may still be delivered, where nothing is broken.
const LATE: u64 = 10_000_000;

/// Looks at every first delivery.
#[derive(Debug, Default)]
pub(super) struct Deaths;

impl Family for Deaths {
    fn see(&mut self, step: Step<'_>, report: &mut Report) {
        for fact in step.facts {
            let Fact::Delivered(delivery) = fact else { continue };
            let Some(origin) = delivery.origin.filter(|origin| origin.first) else { continue };
            let name = format!(
                "message {} (line {}) from {} (line {})",
                delivery.message.unwrap_or_default(),
                origin.spot.line,
                delivery.queue,
                step.spot.line
            );
            match (&delivery.death, origin.dead) {
                (Some(death), true) => judge(&name, delivery, &origin, death, step.world, report),
                (None, true) => report.blame("I12", format!("{name} does not say how it died")),
                (_, false) => judge_age(&name, delivery, &origin, step.world, report),
            }
        }
    }

    fn finish(&mut self, _world: &World, _report: &mut Report) {}
}

/// A dead letter died of what it says.
fn judge(
    name: &str,
    delivery: &Delivery,
    origin: &Origin,
    death: &Death,
    world: &World,
    report: &mut Report,
) {
    let Some(rules) = world.rules_of(&death.queue) else {
        return report.blame("I12", format!("{name} died in {}, which is unknown", death.queue));
    };
    if rules.dead_letters.as_deref() != Some(&*delivery.queue) {
        return report.blame("I12", format!("{name} died in {}, elsewhere", death.queue));
    }
    if death.count != 1 {
        report.blame("I12", format!("{name} says that it died {} times there", death.count));
    }
    match death.reason.as_str() {
        "expired" => {
            let ttl_ms = [rules.ttl_ms, origin.ttl_ms].into_iter().flatten().min();
            let age = delivery.spot.at - origin.spot.at;
            match ttl_ms {
                None => report.blame("I11", format!("{name} expired and had no end")),
                Some(ttl_ms) if age + SKEW < ttl_ms * 1000 => report
                    .blame("I11", format!("{name} expired after {} of {ttl_ms} ms", age / 1000)),
                Some(_) => {}
            }
        }
        "rejected" if !origin.discarded => {
            report.blame("I12", format!("{name} is said to be rejected, and nobody did so"));
        }
        "rejected" => {}
        "maxlen" if rules.max_length.is_none() => {
            report.blame("I12", format!("{name} was too much, and there is no limit"));
        }
        "maxlen" => {}
        "delivery_limit" => judge_limit(name, origin, death, delivery.spot.at, world, report),
        other => report.blame("I12", format!("{name} died of {other}")),
    }
}

/// A message that came back too often was given out more often than that.
fn judge_limit(
    name: &str,
    origin: &Origin,
    death: &Death,
    at: u64,
    world: &World,
    report: &mut Report,
) {
    let limit = world.rules_of(&death.queue).and_then(|rules| rules.delivery_limit);
    let Some(limit) = limit else {
        return report.blame("I12", format!("{name} came back too often, and there is no limit"));
    };
    // Who was lost, or given up with his node, may have had it and not seen it.
    let is_broken = world.doubts.touch_any(origin.spot.at, at);
    if is_broken || world.was_loss_since(&death.queue, origin.spot) {
        return;
    }
    let seen = origin.deliveries_before;
    if seen <= limit {
        let text = format!("{name} was given out {seen} times, and {limit} are allowed to fail");
        report.blame("I12", text);
    }
}

/// A message that is delivered has not expired, where nothing was broken meanwhile.
fn judge_age(name: &str, delivery: &Delivery, origin: &Origin, world: &World, report: &mut Report) {
    let queue = world.rules_of(&delivery.queue).and_then(|rules| rules.ttl_ms);
    let Some(ttl_ms) = [queue, origin.ttl_ms].into_iter().flatten().min() else { return };
    let age = delivery.spot.at - origin.spot.at;
    let end = origin.spot.at + ttl_ms * 1000;
    if age > ttl_ms * 1000 + LATE && !world.doubts.touch_any(end, delivery.spot.at) {
        report.blame("I11", format!("{name} is {} ms old and lives for {ttl_ms}", age / 1000));
    }
}
