//! What nodes say of themselves: I14 counters and hashes, I15 Raft, I17 members, I21 floors.
//!
//! Where something on a disk was damaged on purpose, replicas that differ say that the damage was
//! spread, or not found: I16.

use std::collections::{BTreeMap, HashMap};

use super::report::Report;
use super::world::World;
use crate::readings::{Group, Members, Reading, Readings};

/// Files that a node may have open beyond what it had in calm: its engine keeps some for each table.
const MORE_FILES: u64 = 200;

/// Threads beyond those in calm: blocking pools keep theirs for a while.
const MORE_THREADS: u64 = 64;

/// Bytes of memory beyond those in calm: caches of bounded size that fill.
const MORE_MEMORY: u64 = 400 << 20;

/// Bytes on disk beyond those in calm: what background work has not come round to.
const MORE_DISK: u64 = 400 << 20;

/// Judges readings.
pub(super) fn check(readings: &Readings, world: &World, report: &mut Report) {
    digests(readings, world, report);
    counters(readings, world, report);
    logs(readings, report);
    leaders(readings, report);
    members(readings, report);
    floors(readings, report);
}

/// I14: replicas that have applied as much have come to the same.
fn digests(readings: &Readings, world: &World, report: &mut Report) {
    let invariant = if world.is_damaged() { "I16" } else { "I14" };
    let mut states: HashMap<(&str, u64), (u64, &Reading)> = HashMap::new();
    for reading in &readings.taken {
        for group in &reading.groups {
            let Some((applied, digest)) = group.digest else { continue };
            let of = (group.name.as_str(), applied);
            let (known, by) = *states.entry(of).or_insert((digest, reading));
            if known != digest {
                let text = format!(
                    "group {} at {}: {:?} has {known:x}, {:?} has {digest:x}",
                    group.name,
                    applied,
                    place(by),
                    place(reading)
                );
                report.blame(invariant, text);
            }
        }
    }
}

/// I14: when nothing is left and nobody is there, all counters are zero, at every node.
fn counters(readings: &Readings, world: &World, report: &mut Report) {
    for reading in last_of(readings, "end").into_values() {
        for counts in &reading.queues {
            let kept = world.rules_of(&counts.queue).is_some_and(|rules| !rules.transient);
            let is_zero = counts.ready == 0 && counts.unacknowledged == 0 && counts.consumers == 0;
            if kept && !is_zero {
                report.blame("I14", format!("{:?} after the drain: {counts:?}", place(reading)));
            }
        }
    }
}

/// I15: terms never go back, a life forgets nothing, and each log is in order.
fn logs(readings: &Readings, report: &mut Report) {
    let mut before: HashMap<(&str, u32, &str), &Group> = HashMap::new();
    for reading in &readings.taken {
        for group in &reading.groups {
            let Group { snapshot, applied, committed, last, .. } = *group;
            if ![snapshot, applied, committed, last].is_sorted() {
                report.blame("I15", format!("{:?}: out of order: {group:?}", place(reading)));
            }
            let of = (reading.node.as_str(), reading.life, group.name.as_str());
            let Some(then) = before.insert(of, group) else { continue };
            let went_back = group.term < then.term
                || group.committed < then.committed
                || group.applied < then.applied
                || group.snapshot < then.snapshot;
            if went_back {
                report.blame("I15", format!("{:?}: {then:?} became {group:?}", place(reading)));
            }
        }
    }
}

/// I15: a term has one leader.
fn leaders(readings: &Readings, report: &mut Report) {
    let mut known: HashMap<(&str, u64), &Reading> = HashMap::new();
    for reading in &readings.taken {
        for group in reading.groups.iter().filter(|group| group.leads) {
            let first = *known.entry((&group.name, group.term)).or_insert(reading);
            if first.node != reading.node {
                let (one, other) = (place(first), place(reading));
                let Group { name, term, .. } = group;
                let text = format!("group {name} in term {term}: {one:?} and {other:?} lead");
                report.blame("I15", text);
            }
        }
    }
}

/// I17: at the end everybody votes who is to, and nobody else, and all say the same of it.
fn members(readings: &Readings, report: &mut Report) {
    let mut known: HashMap<u64, (&Members, &Reading)> = HashMap::new();
    for reading in last_of(readings, "end").into_values() {
        for members in &reading.members {
            if !members.is_settled() {
                report.blame("I17", format!("{:?} at the end: {members:?}", place(reading)));
            }
            let (first, by) = *known.entry(members.group).or_insert((members, reading));
            if first != members {
                let (one, other) = (place(by), place(reading));
                report.blame("I17", format!("{one:?} says {first:?}, {other:?} says {members:?}"));
            }
        }
    }
}

/// I21: what a node takes comes back to about where it was.
fn floors(readings: &Readings, report: &mut Report) {
    let calm = last_of(readings, "calm");
    for (node, end) in last_of(readings, "end") {
        let Some(calm) = calm.get(node) else { continue };
        let rows = [
            ("files", calm.files, end.files, MORE_FILES),
            ("threads", calm.threads, end.threads, MORE_THREADS),
            ("bytes of memory", calm.memory_bytes, end.memory_bytes, MORE_MEMORY),
            ("bytes on disk", calm.disk_bytes, end.disk_bytes, MORE_DISK),
        ];
        for (what, then, at_last, more) in rows {
            if at_last > then.saturating_add(more) {
                report.blame("I21", format!("{node}: {then} {what} in calm, {at_last} at the end"));
            }
        }
    }
}

/// The last reading of each node in a phase.
fn last_of<'a>(readings: &'a Readings, phase: &str) -> BTreeMap<&'a str, &'a Reading> {
    let of_phase = readings.taken.iter().filter(|reading| reading.phase == phase);
    of_phase.map(|reading| (reading.node.as_str(), reading)).collect()
}

/// Where and when.
fn place(reading: &Reading) -> (&str, u32, u128) {
    (&reading.node, reading.life, reading.at.as_millis())
}
