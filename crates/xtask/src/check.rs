//! `cargo xtask check`: what a change must pass before it is sent.

use std::time::Instant;

use crate::cargo::{self, Cargo};
use crate::{Outcome, deny, needs, test, tidy};

/// One check.
struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

/// The quick ones first.
const STEPS: [Step; 6] = [
    Step { name: "fmt", run: fmt },
    Step { name: "tidy", run: || tidy::tidy(&[]) },
    Step { name: "clippy", run: clippy },
    Step { name: "test", run: run_tests },
    Step { name: "doc", run: doc },
    Step { name: "deny", run: deny::check },
];

/// Runs the checks that are named, or all, and stops at the first that fails.
pub(crate) fn check(names: &[String]) -> Outcome {
    for step in steps(names)? {
        println!("check: {}", step.name);
        let start = Instant::now();
        (step.run)().map_err(|sentence| format!("{}: {sentence}", step.name))?;
        println!("check: {} passed after {:.0} s", step.name, start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn steps(names: &[String]) -> Result<Vec<&'static Step>, String> {
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    let step = |name: &String| {
        STEPS.iter().find(|step| step.name == name).ok_or_else(|| {
            let known: Vec<&str> = STEPS.iter().map(|step| step.name).collect();
            format!("no check '{name}'; there are {}", known.join(", "))
        })
    };
    names.iter().map(step).collect()
}

fn fmt() -> Outcome {
    Cargo::bare()?.run(&["fmt", "--all", "--check"])
}

fn clippy() -> Outcome {
    Cargo::ready()?.run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn run_tests() -> Outcome {
    needs::tests()?;
    test::run_tests(&Cargo::ready()?, &[])
}

fn doc() -> Outcome {
    let mut command = Cargo::ready()?.command(&["doc", "--workspace", "--no-deps"]);
    cargo::finish(command.env("RUSTDOCFLAGS", "-D warnings"), "cargo doc")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Result<Vec<&'static str>, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(steps(&words)?.into_iter().map(|step| step.name).collect())
    }

    #[test]
    fn every_check_runs_unless_some_are_named() {
        assert_eq!(names(&[]), Ok(vec!["fmt", "tidy", "clippy", "test", "doc", "deny"]));
        assert_eq!(names(&["doc", "fmt"]), Ok(vec!["doc", "fmt"]));
    }

    #[test]
    fn a_check_that_does_not_exist_is_refused_with_those_that_do() {
        assert!(names(&["fmt", "spelling"]).unwrap_err().contains("clippy"));
    }
}
