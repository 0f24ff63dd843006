//! `cargo xtask soak`: the same tests with far more to do.
//!
//! Generated histories, fuzzers and the crash loop run for seconds in `test`; here they run for
//! as long as a claim about them asks for. Quiet until the end of each, except for failures,
//! which name the seed. `--seeds N --from S` says how many clusters are simulated, and which.

use std::time::Instant;

use crate::cargo::{self, Cargo};
use crate::{Outcome, workspace};

/// One family of tests and how much more it is given to do.
struct Soak {
    name: &'static str,
    summary: &'static str,
    package: &'static str,
    /// Part of the tests' names.
    tests: &'static str,
    settings: &'static [(&'static str, &'static str)],
}

/// Simulated clusters, unless it is said how many.
const SEEDS: u64 = 2000;

/// Tests that share them.
const SEED_SHARES: u64 = 10;

const SOAKS: [Soak; 8] = [
    Soak {
        name: "queue",
        summary: "100,000 generated histories of a shard against a naive model",
        package: "warren-queue",
        tests: "histories",
        settings: &[("WARREN_HISTORIES", "100000")],
    },
    Soak {
        name: "catalog",
        summary: "1,000 histories of the catalog, 60,000 routes against naive matchers",
        package: "warren-catalog",
        tests: "tests",
        settings: &[("WARREN_HISTORIES", "1000"), ("WARREN_CASES", "60000")],
    },
    Soak {
        name: "sim",
        summary: "2,000 simulated clusters, or as many as --seeds says",
        package: "warren-broker",
        tests: "sim::a_",
        settings: &[],
    },
    Soak {
        name: "storage",
        summary: "ten times the histories and crashes of the storage",
        package: "warren-storage",
        tests: "histories",
        settings: &[("WARREN_HISTORIES", "10")],
    },
    Soak {
        name: "fuzz",
        summary: "1,000,000 inputs for each decoder of what comes from outside",
        package: "warren-amqp",
        tests: "fuzz",
        settings: &[("BOLERO_RANDOM_ITERATIONS", "1000000")],
    },
    Soak {
        name: "crash",
        summary: "200 times kill -9 under load",
        package: "warren-tests",
        tests: "killed_again_and_again",
        settings: &[("WARREN_TEST_ROUNDS", "200")],
    },
    Soak {
        name: "pressure",
        summary: "clients that ask too much or give too little: 10,000 of them, gigabytes, a full disk",
        package: "warren-tests",
        tests: "burdens::",
        settings: &[("WARREN_TEST_PRESSURE", "full")],
    },
    Soak {
        name: "failover",
        summary: "50 times kill -9 of the node that leads a queue under load, of three",
        package: "warren-tests",
        tests: "when_the_node_that_leads_their_queue_is_killed",
        settings: &[("WARREN_TEST_ROUNDS", "50")],
    },
];

/// Runs the families that are named, or all.
pub(crate) fn soak(options: &[String]) -> Outcome {
    let (seeds, names) = Seeds::take(options)?;
    let chosen = choose(&names)?;
    let cargo = Cargo::ready()?;
    cargo.build_programs()?;
    for soak in chosen {
        eprintln!("xtask: {}: {}", soak.name, soak.summary);
        let begin = Instant::now();
        soak.run(&cargo, &seeds)?;
        println!("{}: passed after {} s: {}", soak.name, begin.elapsed().as_secs(), soak.summary);
    }
    Ok(())
}

fn choose(options: &[String]) -> Result<Vec<&'static Soak>, String> {
    if options.is_empty() {
        return Ok(SOAKS.iter().collect());
    }
    let find = |name: &String| {
        let known: Vec<&str> = SOAKS.iter().map(|soak| soak.name).collect();
        SOAKS.iter().find(|soak| soak.name == name).ok_or_else(|| {
            format!("nothing to soak is called '{name}'; there are {}", known.join(", "))
        })
    };
    options.iter().map(find).collect()
}

/// Which clusters are simulated.
#[derive(Debug, PartialEq, Eq)]
struct Seeds {
    count: u64,
    from: u64,
}

impl Seeds {
    /// Takes them from among the options.
    fn take(options: &[String]) -> Result<(Self, Vec<String>), String> {
        let (mut seeds, mut rest) = (Self { count: SEEDS, from: 0 }, Vec::new());
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let place = match option.as_str() {
                "--seeds" => &mut seeds.count,
                "--from" => &mut seeds.from,
                _ => {
                    rest.push(option.clone());
                    continue;
                }
            };
            let number = options.next().and_then(|number| number.parse().ok());
            *place = number.ok_or_else(|| format!("{option} wants a number"))?;
        }
        Ok((seeds, rest))
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        let each = self.count.div_ceil(SEED_SHARES);
        [("WARREN_SEEDS", each.to_string()), ("WARREN_SEEDS_FROM", self.from.to_string())]
    }
}

impl Soak {
    fn run(&self, cargo: &Cargo, seeds: &Seeds) -> Outcome {
        let words = self.words(cargo.has("nextest"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = cargo.command(&words);
        command.env("WARREN_BIN", workspace::program("warren")?);
        command.envs(self.settings.iter().copied()).envs(seeds.settings());
        cargo::finish(&mut command, &format!("cargo {}", words.join(" ")))
    }

    /// All calls select the workspace, so that nothing is compiled anew; without cargo-nextest,
    /// tests of that name in other packages run as well.
    fn words(&self, has_nextest: bool) -> Vec<String> {
        if !has_nextest {
            return ["test", "--workspace", self.tests].map(str::to_owned).to_vec();
        }
        let filter = format!("package({}) & test({})", self.package, self.tests);
        let words = ["nextest", "run", "--workspace", "--profile", "soak", "-E"];
        words.into_iter().map(str::to_owned).chain([filter]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(options: &[&str]) -> Result<Vec<&'static str>, String> {
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        Ok(choose(&options)?.into_iter().map(|soak| soak.name).collect())
    }

    #[test]
    fn without_names_everything_is_soaked() {
        assert_eq!(names(&[]).map(|names| names.len()), Ok(SOAKS.len()));
    }

    #[test]
    fn what_is_named_is_soaked_in_that_order() {
        assert_eq!(names(&["crash", "queue"]), Ok(vec!["crash", "queue"]));
    }

    #[test]
    fn seeds_are_taken_from_among_the_names() {
        let options = ["sim", "--seeds", "95", "--from", "7", "queue"].map(str::to_owned);

        let (seeds, names) = Seeds::take(&options).unwrap();

        assert_eq!(names, ["sim", "queue"]);
        let settings = seeds.settings();
        assert_eq!(settings.map(|(_, value)| value), ["10".to_owned(), "7".to_owned()]);
        assert!(Seeds::take(&["--seeds".to_owned()]).is_err());
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let refusal = names(&["rain"]).unwrap_err();

        assert!(refusal.contains("'rain'") && refusal.contains("queue, catalog"), "{refusal}");
    }

    #[test]
    fn a_call_selects_the_package_within_the_workspace() {
        let words = SOAKS[0].words(true);

        assert!(words.contains(&"--workspace".to_owned()), "{words:?}");
        assert_eq!(
            words.last().map(String::as_str),
            Some("package(warren-queue) & test(histories)")
        );
    }
}
