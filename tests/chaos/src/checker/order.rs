//! I4: first deliveries of what one channel published to one queue ascend.
//!
//! On one consumer; where a queue has one consumer at a time, on all of them together. A flag says that
//! the message may have been on its way to somebody else; such a one may come late. So may one that had
//! been given to a consumer who left before it was sent, while others had later ones: that goes back as
//! if it had never been given out. Dead letters that nobody had seen where they died come in the order
//! of their deaths, which there is theirs too.

use std::collections::HashMap;
use std::rc::Rc;

use super::report::Report;
use super::world::{Delivery, Fact, Origin, World};
use super::{Family, Step};
use crate::history::{Channel, Consumer, Message};

/// The latest of each row of messages.
#[derive(Debug, Default)]
pub(super) struct Order {
    latest: HashMap<Row, (Message, u64)>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Row {
    publisher: Channel,
    priority: u8,
    queue: Rc<str>,
    consumer: Option<Consumer>,
    /// Why they died, and where.
    death: Option<(String, String)>,
}

impl Family for Order {
    fn see(&mut self, step: Step<'_>, report: &mut Report) {
        for fact in step.facts {
            let Fact::Delivered(delivery) = fact else { continue };
            let (Some(message), Some(origin)) = (delivery.message, delivery.origin) else {
                continue;
            };
            let Some(row) = row(delivery, &origin, step.world) else { continue };
            let line = step.spot.line;
            match self.latest.get_mut(&row) {
                Some((latest, before)) if *latest > message => {
                    let text = format!(
                        "message {message} came to consumer {} of {} (line {line}) after message {latest} \
                         (line {before}), which channel {} published later (it at line {})",
                        delivery.consumer, delivery.queue, origin.channel, origin.spot.line
                    );
                    report.blame("I4", text);
                }
                Some(latest) => *latest = (message, line),
                None => drop(self.latest.insert(row, (message, line))),
            }
        }
    }

    fn finish(&mut self, _world: &World, _report: &mut Report) {}
}

/// The row that a delivery belongs to, if its place is certain.
fn row(delivery: &Delivery, origin: &Origin, world: &World) -> Option<Row> {
    if delivery.redelivered || !origin.first || world.is_stale(delivery) {
        return None;
    }
    let death = match (&delivery.death, origin.dead) {
        (Some(death), true) => {
            let is_in_order = matches!(death.reason.as_str(), "maxlen" | "expired");
            let was_untouched =
                origin.deliveries_before == 0 && !world.was_loss_since(&death.queue, origin.spot);
            if !is_in_order || !was_untouched || origin.ttl_ms.is_some() {
                return None;
            }
            Some((death.queue.clone(), death.reason.clone()))
        }
        (None, true) => return None,
        (_, false) => None,
    };
    let rules = world.rules_of(&delivery.queue);
    let is_one = rules.is_some_and(|rules| rules.sole || rules.single_active);
    let may_come_late = match rules {
        Some(rules) if rules.single_active => false,
        // The broker may not have noticed yet that the one before is gone.
        Some(rules) if rules.sole => world.was_loss_since(&delivery.queue, origin.spot),
        _ => world.was_departure_since(&delivery.queue, origin.spot),
    };
    if may_come_late {
        return None;
    }
    Some(Row {
        publisher: origin.channel,
        priority: origin.priority,
        queue: Rc::clone(&delivery.queue),
        consumer: (!is_one).then_some(delivery.consumer),
        death,
    })
}
