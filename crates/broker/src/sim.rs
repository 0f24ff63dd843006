//! A cluster from one seed.
//!
//! Three nodes, their clients, disks and network live in one thread, on a clock that jumps ahead
//! whenever all of them wait. All that is random follows from the seed of the run; nodes crash,
//! links are cut, and what clients saw is judged.
//!
//! `WARREN_SEEDS=n` runs so many seeds per test; `WARREN_SEED=n` runs that one, and shows it.
//!
//! **Not here:** what a real disk, kernel or network adds, and threads: the tests of real processes
//! are in `tests/`.

mod chance;
mod client;
pub(crate) mod clock;
mod faults;
mod history;
mod network;
mod node;
mod run;
mod wire;

use run::run;

/// Seeds of each test, unless `WARREN_SEEDS` says otherwise.
const SEEDS: u64 = 25;

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
            println!("seed {seed}: {:?}", outcome.summary);
            assert!(outcome.faults.is_empty(), "{}", outcome.faults.join("\n"));
        }
        return;
    }
    let mut failed = Vec::new();
    for seed in share * count..(share + 1) * count {
        let outcome = run(seed);
        println!("seed {seed}: {:?}", outcome.summary);
        if let Some(first) = outcome.faults.first() {
            failed.push(format!(
                "WARREN_SEED={seed}: {} faults, the first: {first}",
                outcome.faults.len()
            ));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_0() {
    seeds(0);
}
