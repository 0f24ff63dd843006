//! A cluster from one seed.
//!
//! Nodes, their clients, disks and network live in one thread, on a clock that jumps ahead
//! whenever all of them wait. Nodes crash, come and go, links are cut, and what clients saw is judged.
//!
//! The same seed gives the same history, to the byte. Chance and time are the run's own, also where
//! libraries ask the operating system for them (`chance`, `clock`); a run has one thread, and a process
//! of its own, in which nothing ran before it (`alone`); the disk is written by a task (`node`).
//!
//! `WARREN_SEEDS=n` runs so many seeds per test, from `WARREN_SEEDS_FROM` on. `WARREN_SEED="members 7"`
//! runs that one (of `storm`, `members` or `core`), and shows it.
//!
//! **Not here:** what a real disk, kernel or network adds, and threads: the tests of real processes
//! are in `tests/`.

mod alone;
mod chance;
mod churn;
mod client;
mod clock;
mod faults;
mod getters;
mod history;
mod judge;
mod kinds;
mod lag;
mod network;
mod node;
mod operators;
mod panics;
mod patience;
mod plan;
mod quiet;
mod run;
mod sight;
mod stream;
mod topology;
mod watch;
mod wire;
mod world;

use alone::run_alone;
use history::Outcome;
use plan::{Kind, Plan, Plant};

/// Seeds of each test, unless `WARREN_SEEDS` says otherwise.
const SEEDS: u64 = 50;

/// Seeds that have failed, and what was wrong. When clients or faults change, a seed is another run:
/// what it showed becomes a script then, as in `sight`.
const FAILED_ONCE: &[(Kind, u64, &str)] = &[];

/// Runs a seed in which nothing is wrong on purpose.
fn run(kind: Kind, seed: u64) -> Outcome {
    run_alone(Plan { kind, seed, plant: Plant::Nothing })
}

/// What the environment says.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs one test's share of the seeds.
fn seeds(kind: Kind, share: u64) {
    if std::env::var("WARREN_SEED").is_ok() {
        return;
    }
    let count = number("WARREN_SEEDS").unwrap_or(SEEDS);
    let first = number("WARREN_SEEDS_FROM").unwrap_or(0) + share * count;
    let mut failed = Vec::new();
    for seed in first..first + count {
        let outcome = run(kind, seed);
        println!("{} {seed}: {}", kind.name(), outcome.summary);
        if let Some(first) = outcome.faults.first() {
            let (count, name) = (outcome.faults.len(), kind.name());
            let text = format!("WARREN_SEED=\"{name} {seed}\": {count} faults, the first: {first}");
            println!("{text}");
            failed.push(text);
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_single_seed_is_shown_when_it_is_asked_for() {
    let Ok(asked) = std::env::var("WARREN_SEED") else { return };
    let plan: Plan = format!("{asked} nothing").parse().expect("a kind and a seed");

    let outcome = run_alone(plan);

    println!("{}", outcome.events.join("\n"));
    println!("{plan}: {}", outcome.summary);
    assert!(outcome.faults.is_empty(), "{}", outcome.faults.join("\n"));
}

#[test]
fn what_has_failed_once_does_not_fail_again() {
    for (kind, seed, what) in FAILED_ONCE {
        let faults = run(*kind, *seed).faults;
        assert!(faults.is_empty(), "{} {seed}, {what}: {}", kind.name(), faults.join("\n"));
    }
}

#[test]
fn the_same_seed_gives_the_same_history() {
    for (kind, seed) in
        [(Kind::Storm, 3), (Kind::Storm, 13), (Kind::Members, 32), (Kind::Core, 191)]
    {
        let (first, second) = (run(kind, seed), run(kind, seed));

        let differ = first.events.iter().zip(&second.events).find(|(one, other)| one != other);
        assert_eq!(differ, None, "seed {seed}");
        assert_eq!(first.hash, second.hash, "seed {seed}");
    }
}

/// Whether this is found in a run in which something is wrong on purpose.
fn found(kind: Kind, plant: Plant, number: &str) -> bool {
    let faults = run_alone(Plan { kind, seed: 5, plant }).faults;
    faults.iter().any(|fault| fault.contains(number))
}

#[test]
fn a_delivery_that_is_lost_on_its_way_is_found() {
    assert!(found(Kind::Storm, Plant::Drop, " I1: "));
}

#[test]
fn a_delivery_that_comes_twice_is_found() {
    assert!(found(Kind::Storm, Plant::Repeat, " I3: "));
}

#[test]
fn disks_that_lie_when_the_power_is_cut_are_found() {
    // What is gone, replicas that differ, or numbers that went back: whichever shows first.
    let numbers = [" I1: ", " I14: ", " I15: "];
    assert!(numbers.into_iter().any(|number| found(Kind::Storm, Plant::Lie, number)));
}

#[test]
fn a_majority_that_does_not_go_on_is_found() {
    assert!(found(Kind::Core, Plant::Leave, " I19: "));
}

#[test]
fn a_node_that_is_given_up_though_all_see_it_is_found() {
    assert!(found(Kind::Storm, Plant::Blame, " I17: "));
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_0() {
    seeds(Kind::Storm, 0);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_1() {
    seeds(Kind::Storm, 1);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_2() {
    seeds(Kind::Storm, 2);
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_3() {
    seeds(Kind::Storm, 3);
}

#[test]
fn a_cluster_keeps_its_promises_while_nodes_come_and_go_0() {
    seeds(Kind::Members, 0);
}

#[test]
fn a_cluster_keeps_its_promises_while_nodes_come_and_go_1() {
    seeds(Kind::Members, 1);
}

#[test]
fn a_cluster_keeps_its_promises_while_nodes_come_and_go_2() {
    seeds(Kind::Members, 2);
}

#[test]
fn a_cluster_keeps_its_promises_while_nodes_come_and_go_3() {
    seeds(Kind::Members, 3);
}

#[test]
fn a_majority_goes_on_without_the_rest_0() {
    seeds(Kind::Core, 0);
}

#[test]
fn a_majority_goes_on_without_the_rest_1() {
    seeds(Kind::Core, 1);
}
