//! A cluster from one seed.
//!
//! Three nodes, their clients, disks and network live in one thread, on a clock that jumps ahead
//! whenever all of them wait. Nodes crash, links are cut, and what clients saw is judged.
//!
//! The same seed gives the same history, to the byte. Chance and time are the run's own, also where
//! libraries ask the operating system for them (`chance`, `clock`); a run has one thread, and a process
//! of its own, in which nothing ran before it (`alone`); the disk is written by a task (`node`).
//!
//! `WARREN_SEEDS=n` runs so many seeds per test; `WARREN_SEED=n` runs that one, and shows it.
//!
//! **Not here:** what a real disk, kernel or network adds, and threads: the tests of real processes
//! are in `tests/`.

mod alone;
mod chance;
mod churn;
mod client;
mod clock;
mod faults;
mod history;
mod network;
mod node;
mod operators;
mod panics;
mod run;
mod wire;

use alone::run_alone;
use history::Outcome;
use run::{Plan, Plant};

/// Seeds of each test, unless `WARREN_SEEDS` says otherwise.
const SEEDS: u64 = 25;

/// Runs a seed in which nothing is wrong on purpose.
fn run(seed: u64) -> Outcome {
    run_alone(Plan { seed, plant: Plant::Nothing })
}

/// What the environment says.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one test's share of the seeds.
fn seeds(share: u64) {
    let count = number("WARREN_SEEDS").unwrap_or(SEEDS);
    if let Some(seed) = number("WARREN_SEED") {
        if share == 0 {
            let outcome = run(seed);
            println!("{}", outcome.events.join("\n"));
            println!("seed {seed}: {}", outcome.summary);
            assert!(outcome.faults.is_empty(), "{}", outcome.faults.join("\n"));
        }
        return;
    }
    let mut failed = Vec::new();
    for seed in share * count..(share + 1) * count {
        let outcome = run(seed);
        println!("seed {seed}: {}", outcome.summary);
        if let Some(first) = outcome.faults.first() {
            let count = outcome.faults.len();
            failed.push(format!("WARREN_SEED={seed}: {count} faults, the first: {first}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for seed in [3, 13, 32, 191] {
        let (first, second) = (run(seed), run(seed));

        let differ = first.events.iter().zip(&second.events).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    }
}

/// Whether this is found in a run in which something is wrong on purpose.
fn found(plant: Plant, number: &str) -> bool {
    let faults = run_alone(Plan { seed: 5, plant }).faults;
    faults.iter().any(|fault| fault.contains(number))
}

#[test]
fn a_delivery_that_is_lost_on_its_way_is_found() {
    assert!(found(Plant::Drop, " I1: "));
}

#[test]
fn a_delivery_that_comes_twice_is_found() {
    assert!(found(Plant::Repeat, " I3: "));
}

#[test]
fn disks_that_lie_when_the_power_is_cut_are_found() {
    assert!(found(Plant::Lie, " I1: "));
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_0() {
    seeds(0);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_1() {
    seeds(1);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_2() {
    seeds(2);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_3() {
    seeds(3);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_4() {
    seeds(4);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_5() {
    seeds(5);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_6() {
    seeds(6);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_7() {
    seeds(7);
}
