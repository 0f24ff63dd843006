//! Clients that record their every step.
//!
//! Each workload is some clients that publish, consume and administer at a pace that leaves room for the
//! brokers beside them, choose nodes by the seed, and come back when they lose their connection. It says
//! in the history what its queues promise ([`Rules`](crate::history::Rules)), so that the history alone
//! is enough to judge it.

pub mod consumer;
pub mod drain;
pub mod parcel;
pub mod persist;
pub mod publisher;
pub mod session;

mod active;
mod backlog;
mod churn;
mod clerk;
mod deaths;
mod large;
mod many;
mod mixed;
mod order;
mod routing;
mod storm;
mod topology;
mod total;

use std::time::Duration;

use anyhow::Result;
use warren_tests::wire::Field as Value;

use crate::field::Field;
use crate::history::{Event, Rules};
use crate::workload::session::Session;

/// Clients of one kind.
pub trait Workload: Send + Sync {
    /// What it is called (`W1`).
    fn name(&self) -> &'static str;

    /// The queues that stay while it works, and that messages can be sent through.
    fn queues(&self) -> &'static [&'static str];

    /// Declares what it needs, in a healthy cluster.
    fn prepare(&self, field: &Field) -> Result<()>;

    /// Works until the word is given.
    fn run(&self, field: &Field) -> Result<()>;

    /// Sends a message through each queue by way of each node, while it works.
    fn alive(&self, field: &Field, limit: Duration) -> Result<()> {
        drain::probe(field, self.queues(), limit);
        Ok(())
    }

    /// Consumes what is left, in a healthy cluster, after it has worked.
    fn drain(&self, field: &Field) -> Result<()> {
        drain::drain(field, self.queues())
    }

    /// What is to be done to nodes beside the faults.
    fn orders(&self) -> &'static [Order] {
        &[]
    }
}

/// What an operator does to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stops and starts one after the other, in order.
    RollingRestart,
    /// Gives an empty node the place of one that is forgotten.
    Replace,
    /// Adds a node.
    Grow,
    /// Takes one away.
    Shrink,
    /// Spreads leads anew.
    Rebalance,
}

/// Every workload, with a sentence.
pub const NAMES: &[(&str, &str)] = &[
    ("W1", "publish, push and get: all that is confirmed comes, once"),
    ("W2", "order per channel, with one consumer and with several"),
    ("W3", "prefetch: acknowledge, give back, cancel and come again, one by one and many at once"),
    ("W4", "single active and exclusive consumers, priorities, consumers that are too slow"),
    ("W5", "dead letters: rejected, expired, too many, come back too often"),
    ("W6", "queues, exchanges and bindings come and go, and all nodes see it"),
    ("W7", "fan-out, topics, alternate exchanges, returns and transactions, against a model"),
    ("W8", "connections come and go by the hundred, some do not read"),
    ("W9", "large messages among small ones"),
    ("W10", "ten thousand queues of which few are used"),
    ("W11", "a backlog that grows and is taken at the end"),
    ("W12", "a mixture, during rolling restarts"),
    ("W13", "a mixture, while nodes come and go for good"),
];

/// The workload of that name.
pub fn by_name(name: &str) -> Option<Box<dyn Workload>> {
    Some(match name {
        "W1" => Box::new(total::Total),
        "W2" => Box::new(order::Order),
        "W3" => Box::new(churn::Churn),
        "W4" => Box::new(active::Active),
        "W5" => Box::new(deaths::Deaths),
        "W6" => Box::new(topology::Topology),
        "W7" => Box::new(routing::Routing),
        "W8" => Box::new(storm::Storm),
        "W9" => Box::new(large::Large),
        "W10" => Box::new(many::Many),
        "W11" => Box::new(backlog::Backlog),
        "W12" => Box::new(mixed::ROLLING),
        "W13" => Box::new(mixed::MEMBERS),
        _ => return None,
    })
}

/// A connection to the first node, to declare things on.
fn first(field: &Field) -> Result<Session> {
    let door = field.doors.first().expect("there are nodes");
    Session::open(field, door, "prepare")
}

/// Makes a replicated queue with one consumer at a time, whose deliveries say how often they were given out.
fn prepare_sole(field: &Field, queue: &str) -> Result<()> {
    let mut session = first(field)?;
    let rules = Rules { counts: true, sole: true, ..Rules::default() };
    declare(&mut session, field, queue, rules, &[])?;
    session.close()
}

/// Says what a queue is and declares it as a replicated one.
fn declare(
    session: &mut Session,
    field: &Field,
    queue: &str,
    rules: Rules,
    arguments: &[(&str, Value)],
) -> Result<()> {
    let mut all = arguments.to_vec();
    if !arguments.iter().any(|(name, _)| *name == "x-queue-type") {
        all.push(("x-queue-type", Value::text("quorum")));
        if rules.delivery_limit.is_none() {
            // Else a message that many lost consumers had would go.
            all.push(("x-delivery-limit", Value::I32(-1)));
        }
    }
    field.recorder.tell(Event::Queue { queue: queue.to_owned(), rules });
    session.declare(queue, &all)
}
