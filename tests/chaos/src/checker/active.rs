//! I8: a queue with a single active consumer, or an exclusive one, has two holders at no time.
//!
//! A consumer that was cancelled keeps what it holds, and another may begin.

use std::collections::HashMap;
use std::rc::Rc;

use super::report::Report;
use super::world::{Consuming, Fact, World};
use super::{Family, Step};
use crate::history::{Consumer, Event};

/// Who got from such queues lately.
#[derive(Debug, Default)]
pub(super) struct Active {
    /// Consumers that may hold something, by queue.
    holders: HashMap<Rc<str>, Vec<Consumer>>,
    /// Exclusive consumers, by queue.
    owners: HashMap<Rc<str>, Vec<Consumer>>,
}

impl Family for Active {
    fn see(&mut self, step: Step<'_>, report: &mut Report) {
        if let Event::Consumed { consumer } = step.event {
            self.own(*consumer, step, report);
        }
        for fact in step.facts {
            let Fact::Delivered(delivery) = fact else { continue };
            let rules = step.world.rules_of(&delivery.queue);
            if !rules.is_some_and(|rules| rules.single_active) {
                continue;
            }
            let holders = self.holders.entry(Rc::clone(&delivery.queue)).or_default();
            let holds = |consumer: Consumer| {
                step.world
                    .consumer(consumer)
                    .filter(|consuming| consuming.held > 0 && !consuming.is_cancelled)
            };
            holders.retain(|holder| *holder != delivery.consumer && holds(*holder).is_some());
            for holder in &*holders {
                let oldest = step.world.oldest(*holder).expect("it holds something");
                let text = format!(
                    "{}: consumer {} gets (line {}) while consumer {holder} holds what it got at line {}",
                    delivery.queue, delivery.consumer, step.spot.line, oldest.spot.line
                );
                if !step.world.is_doubtful(oldest.channel, oldest.spot.at, step.spot.at) {
                    report.suspect(step.spot, oldest.channel, "I8", text);
                }
            }
            holders.push(delivery.consumer);
        }
    }

    fn finish(&mut self, _world: &World, _report: &mut Report) {}
}

impl Active {
    /// Nobody else consumes beside an exclusive consumer.
    fn own(&mut self, consumer: Consumer, step: Step<'_>, report: &mut Report) {
        let Some(consuming) = step.world.consumer(consumer).filter(|consuming| consuming.exclusive)
        else {
            return;
        };
        let lives = |consuming: &Consuming| !consuming.is_cancelled;
        let owners = self.owners.entry(Rc::clone(&consuming.queue)).or_default();
        owners.retain(|owner| step.world.consumer(*owner).is_some_and(lives));
        for owner in &*owners {
            let older = step.world.consumer(*owner).expect("those that are gone are left out");
            let text = format!(
                "{}: consumer {consumer} consumes alone (line {}), and so does {owner} (line {})",
                consuming.queue, step.spot.line, older.spot.line
            );
            if !step.world.is_doubtful(older.channel, older.spot.at, step.spot.at) {
                report.suspect(step.spot, older.channel, "I8", text);
            }
        }
        owners.push(consumer);
    }
}
