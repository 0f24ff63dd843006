//! The repository's chores: `cargo xtask <name>`.
//!
//! One file per chore; this one finds the chore and says how it ended. Nothing but the standard
//! library is used, so that the first `cargo xtask` in a fresh clone starts within seconds and
//! can see to what the real build needs.
//!
//! **Not here:** what the broker does. Chores start cargo and the built programs.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to whoever started it"
)]

mod bench;
mod cargo;
mod chaos;
mod check;
mod deny;
mod failover;
mod fuzz;
mod image;
mod needs;
mod run;
mod soak;
mod test;
mod tidy;
mod workspace;

use std::env;
use std::process::ExitCode;

/// What a chore comes to: nothing to say, or one sentence about what went wrong.
type Outcome = Result<(), String>;

/// A chore: its name, what it does, and its entry.
struct Chore {
    name: &'static str,
    summary: &'static str,
    entry: fn(&[String]) -> Outcome,
}

const CHORES: [Chore; 11] = [
    Chore {
        name: "run",
        summary: "build, then start a broker, or with --nodes N a cluster: cargo xtask run [options]",
        entry: run::run,
    },
    Chore {
        name: "test",
        summary: "build and run the tests: cargo xtask test [options of the test runner]",
        entry: test::test,
    },
    Chore {
        name: "check",
        summary: "what a change must pass, or some of it: fmt tidy clippy test doc deny",
        entry: check::check,
    },
    Chore {
        name: "image",
        summary: "build the programs of the container image, which need no libraries",
        entry: image::image,
    },
    Chore {
        name: "bench",
        summary: "load a node over sockets: cargo xtask bench [--json] [--seconds N] [scenario]…",
        entry: bench::bench,
    },
    Chore {
        name: "failover",
        summary: "what clients notice when nodes die: cargo xtask failover [--fault F] [--rounds N]…",
        entry: failover::failover,
    },
    Chore {
        name: "chaos",
        summary: "break real nodes: cargo xtask chaos [--workload W1] [--fault N6] [--seed S] [--minutes M]…",
        entry: chaos::chaos,
    },
    Chore {
        name: "soak",
        summary: "histories, fuzzers, burdens and kills at length: queue catalog storage fuzz crash pressure failover",
        entry: soak::soak,
    },
    Chore {
        name: "deny",
        summary: "licences, sources and known holes of what comes from outside, by cargo-deny",
        entry: deny::deny,
    },
    Chore {
        name: "fuzz",
        summary: "look for inputs that decoders cannot bear: cargo xtask fuzz [--seconds N] [target]…",
        entry: fuzz::fuzz,
    },
    Chore {
        name: "tidy",
        summary: "check the rules of the house that no other tool knows",
        entry: tidy::tidy,
    },
];

fn main() -> ExitCode {
    if let Some(code) = image::as_compiler().or_else(fuzz::as_compiler) {
        return code;
    }
    let words: Vec<String> = env::args().skip(1).collect();
    let outcome = match words.split_first() {
        None => usage(),
        Some((name, _)) if matches!(name.as_str(), "help" | "-h" | "--help") => usage(),
        Some((name, rest)) => start(name, rest),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("xtask: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn start(name: &str, rest: &[String]) -> Outcome {
    match CHORES.iter().find(|chore| chore.name == name) {
        Some(chore) => (chore.entry)(rest),
        None => Err(format!("no chore '{name}'; `cargo xtask help` lists them")),
    }
}

fn usage() -> Outcome {
    println!("cargo xtask <chore> [options]\n");
    for chore in &CHORES {
        println!("  {:<8} {}", chore.name, chore.summary);
    }
    Ok(())
}
