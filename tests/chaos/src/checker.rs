//! Judges a history and the readings that were taken of the nodes meanwhile.
//!
//! A history is walked once. `world` keeps who holds what and makes facts of the
//! events; each family looks at those for the invariants that it speaks for. What a living consumer would
//! have to prove first is a suspicion (`report`) until it does. All of it is linear in the
//! history's length, except the linearizability of each object of the directory, whose histories are short.
//!
//! | Invariants | File |
//! | --- | --- |
//! | I1 loss, I2 ghosts, I3 duplicates, I5 resurrection, I13 transactions and returns | `messages.rs` |
//! | I4 order | `order.rs` |
//! | I6 confirms | `confirms.rs` |
//! | I7 prefetch | `prefetch.rs` |
//! | I8 single active and exclusive consumers | `active.rs` |
//! | I9 what goes with its owner, I18 blocked publishers, I19 and I20 liveness, I22 slowness | `liveness.rs` |
//! | I10 the directory | `metadata.rs` |
//! | I11 ages, I12 dead letters | `deaths.rs` |
//! | I14 counters and hashes, I15 Raft, I17 members, I21 floors | `nodes.rs` |
//! | I16 damage that was planted and came to light: wrong bodies | `messages.rs`; different hashes: `nodes.rs` |
//!
//! **Not here:** that damage is rebuilt (I16), and that a wiped node is another one (I17). Whoever damages
//! and wipes nodes finds that out ([`fault`](crate::fault)).

mod active;
mod confirms;
mod deaths;
mod doubts;
mod liveness;
mod messages;
mod metadata;
mod nodes;
mod order;
mod prefetch;
mod report;
mod summary;
mod world;

use std::time::Duration;

use crate::history::{Event, History};
use crate::readings::Readings;
use report::Report;
use world::{Fact, World};

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The invariant's name (`I1`).
    pub invariant: &'static str,
    /// What happened, with the lines of the history.
    pub text: String,
}

/// Numbers of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages sent.
    pub published: u64,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages delivered at least once.
    pub delivered: u64,
    /// Confirmed messages that are gone.
    pub lost: u64,
    /// Second deliveries without a flag.
    pub duplicated: u64,
    /// Second deliveries with one.
    pub redelivered: u64,
    /// The longest time for which clients saw nothing confirmed, or nothing delivered.
    pub longest_gap: Duration,
}

/// What comes of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// All that is wrong; of one invariant not more than can be read.
    pub violations: Vec<Violation>,
    /// Numbers.
    pub summary: Summary,
}

/// A line of the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Spot {
    /// Its number.
    line: u64,
    /// Its time, in microseconds.
    at: u64,
}

/// What a family is shown.
#[derive(Clone, Copy)]
struct Step<'a> {
    spot: Spot,
    event: &'a Event,
    facts: &'a [Fact],
    world: &'a World,
}

/// Looks after some invariants.
trait Family {
    /// Sees the next line.
    fn see(&mut self, step: Step<'_>, report: &mut Report);

    /// There are no more.
    fn finish(&mut self, world: &World, report: &mut Report);
}

/// Judges.
///
/// # Panics
///
/// If the history cannot be read.
pub fn check(history: &History, readings: &Readings) -> Verdict {
    let (mut report, mut world) = (Report::default(), World::default());
    let mut confirms = confirms::Confirms::default();
    let mut messages = messages::Messages::default();
    let mut summary = summary::Counting::default();
    let mut families: [Box<dyn Family>; 6] = [
        Box::<order::Order>::default(),
        Box::<prefetch::Prefetch>::default(),
        Box::<active::Active>::default(),
        Box::<deaths::Deaths>::default(),
        Box::<liveness::Liveness>::default(),
        Box::<metadata::Metadata>::default(),
    ];
    let mut facts = Vec::new();
    let walked = history.walk(|number, line| {
        let spot = Spot { line: number, at: line.at };
        facts.clear();
        report.see(spot, &line.event);
        confirms.see(spot, &line.event, &mut facts, &mut report);
        world.see(spot, &line.event, &mut facts, &mut report);
        messages.see(spot, &line.event, &mut facts, &world, &mut report);
        let step = Step { spot, event: &line.event, facts: &facts, world: &world };
        families.iter_mut().for_each(|family| family.see(step, &mut report));
        summary.see(step);
    });
    walked.expect("a history can be read");
    let lost = messages.finish(&world, &mut report);
    families.iter_mut().for_each(|family| family.finish(&world, &mut report));
    nodes::check(readings, &world, &mut report);
    let summary = Summary { lost, ..summary.finish() };
    Verdict { violations: report.finish(), summary }
}

#[cfg(test)]
mod tests;
