//! `cargo xtask test`: every test, with what it needs.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::cargo::{self, Cargo};
use crate::{Outcome, needs, workspace};

/// How many tests of real processes run at a time where cargo-nextest, which knows test
/// groups, is not installed: more would measure the machine's patience instead of the broker.
const PROCESS_TESTS: &str = "2";

/// Builds the programs and runs the tests; options go to the test runner.
pub(crate) fn test(options: &[String]) -> Outcome {
    needs::tests()?;
    needs::rig();
    let cargo = Cargo::ready()?;
    run_tests(&cargo, options)
}

/// Builds the programs and runs the tests with a cargo that is ready.
pub(crate) fn run_tests(cargo: &Cargo, options: &[String]) -> Outcome {
    cargo.build_programs()?;
    let warren = workspace::program("warren")?;
    for step in steps(cargo.has("nextest"), options, env::var_os("RUST_TEST_THREADS")) {
        step.run(cargo, &warren)?;
    }
    Ok(())
}

/// One call of cargo.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    words: Vec<String>,
    threads: Option<OsString>,
}

impl Step {
    fn of(words: &[&str], options: &[String]) -> Self {
        let words = words.iter().map(|word| (*word).to_owned());
        Self { words: words.chain(options.iter().cloned()).collect(), threads: None }
    }

    fn with_threads(mut self, threads: &OsStr) -> Self {
        self.threads = Some(threads.to_owned());
        self
    }

    fn run(&self, cargo: &Cargo, warren: &Path) -> Outcome {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let mut command = cargo.command(&words);
        command.env("WARREN_BIN", warren);
        if let Some(threads) = &self.threads {
            command.env("RUST_TEST_THREADS", threads);
        }
        cargo::finish(&mut command, &format!("cargo {}", words.join(" ")))
    }
}

/// With options, one call that they apply to; without, everything there is.
fn steps(has_nextest: bool, options: &[String], threads: Option<OsString>) -> Vec<Step> {
    match (has_nextest, options.is_empty()) {
        (true, false) => vec![Step::of(&["nextest", "run", "--workspace"], options)],
        (true, true) => vec![
            Step::of(&["nextest", "run", "--workspace"], &[]),
            // cargo-nextest runs no examples of the documentation.
            Step::of(&["test", "--workspace", "--doc", "--quiet"], &[]),
        ],
        (false, false) => vec![Step::of(&["test", "--workspace"], options)],
        (false, true) => {
            let threads = threads.unwrap_or_else(|| PROCESS_TESTS.into());
            vec![
                Step::of(&["test", "--workspace", "--lib", "--bins", "--examples"], &[]),
                Step::of(&["test", "--workspace", "--test", "*"], &[]).with_threads(&threads),
                Step::of(&["test", "--workspace", "--doc", "--quiet"], &[]),
            ]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_selects_the_workspace_so_that_features_agree() {
        let options = ["--test-threads=1".to_owned()];

        for has_nextest in [true, false] {
            for options in [&options[..], &[]] {
                for step in steps(has_nextest, options, None) {
                    assert!(step.words.contains(&"--workspace".to_owned()), "{step:?}");
                    assert!(!step.words.contains(&"-p".to_owned()), "{step:?}");
                }
            }
        }
    }

    #[test]
    fn options_reach_the_one_call_that_is_made() {
        let options = ["-E".to_owned(), "test(order)".to_owned()];

        let with = steps(true, &options, None);
        let without = steps(false, &options, None);

        assert_eq!(with, [Step::of(&["nextest", "run", "--workspace", "-E", "test(order)"], &[])]);
        assert_eq!(without, [Step::of(&["test", "--workspace", "-E", "test(order)"], &[])]);
    }

    #[test]
    fn tests_of_processes_have_few_threads_unless_the_caller_says_otherwise() {
        let few = steps(false, &[], None);
        let many = steps(false, &[], Some("9".into()));

        let threads = |steps: &[Step]| steps.iter().find_map(|step| step.threads.clone());
        assert_eq!(threads(&few), Some(PROCESS_TESTS.into()));
        assert_eq!(threads(&many), Some("9".into()));
    }
}
