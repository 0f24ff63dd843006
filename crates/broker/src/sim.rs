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

/// Runs this test's share of the seeds.
fn seeds(share: u64) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let count: u64 = number("WARREN_SEEDS").unwrap_or(SEEDS);
    let all: Vec<u64> = match number("WARREN_SEED") {
        Some(seed) if share == 0 => vec![seed],
        Some(_) => return,
        None => (share * count..(share + 1) * count).collect(),
    };
    for seed in all {
        let outcome = run(seed);
        println!("seed {seed}: {:?}", outcome.summary);
        if let Some(faults) = outcome.faults {
            panic!("{faults}\n\nWARREN_SEED={seed} shows it again");
        }
    }
}

#[test]
fn a_cluster_keeps_its_promises_whatever_breaks_0() {
    seeds(0);
}
