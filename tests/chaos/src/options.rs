//! The command line of `warren-chaos`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::dice::Dice;
use crate::fault::{CALM, FAULTS, by_name};
use crate::workload;

/// What can be said.
pub const USAGE: &str = "\
warren-chaos [OPTIONS]            runs pairs of a workload and a fault on real nodes
warren-chaos check FILE           judges a history again
warren-chaos table FILE           the rows of such a file of lines, for people
warren-chaos list                 says what workloads, faults and scenarios there are

  --workload W1,W3   only these workloads (default: any)
  --fault N1,N6      only these faults (default: any)
  --scenario NAME    a named scenario instead of pairs; `all` for every one
  --seed S           what all choices follow from (default: the clock)
  --minutes M        how long to go on with pairs (default: one run of each that is named)
  --seconds S        how long a run lasts from calm to healed (default: 60, or what a scenario takes)
  --nodes N          how many nodes (default: 3)
  --dir DIR          where failed runs are kept (default: target/chaos)
  --json FILE        where a line for each run is added
  --env NAME=VALUE   more environment for the nodes; may come more than once
";

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Runs.
    Run(Options),
    /// A verdict.
    Check(PathBuf),
    /// What came of runs.
    Table(PathBuf),
    /// What there is.
    List,
}

/// Which runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Workloads; none: any.
    pub workloads: Vec<String>,
    /// Faults; none: any.
    pub faults: Vec<String>,
    /// A scenario.
    pub scenario: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// How long to go on.
    pub minutes: Option<Duration>,
    /// How long a run lasts, if that was said.
    pub run: Option<Duration>,
    /// How many nodes.
    pub nodes: usize,
    /// Where runs are.
    pub dir: PathBuf,
    /// Where lines are added.
    pub json: Option<PathBuf>,
    /// More environment for the nodes.
    pub environment: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            workloads: Vec::new(),
            faults: Vec::new(),
            scenario: None,
            seed: None,
            minutes: None,
            run: None,
            nodes: 3,
            dir: PathBuf::from("target/chaos"),
            json: None,
            environment: Vec::new(),
        }
    }
}

impl Request {
    /// Reads a command line.
    ///
    /// # Errors
    ///
    /// When it makes no sense.
    pub fn parse(words: &[String]) -> Result<Self> {
        match words {
            [word] if word == "list" => return Ok(Self::List),
            [word, file] if word == "check" => return Ok(Self::Check(file.into())),
            [word, file] if word == "table" => return Ok(Self::Table(file.into())),
            _ => {}
        }
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let value = words.next().with_context(|| format!("{word} needs a value"))?;
            match word.as_str() {
                "--workload" => options.workloads = names(value, is_workload)?,
                "--fault" => options.faults = names(value, |name| by_name(name).is_some())?,
                "--scenario" => options.scenario = Some(value.clone()),
                "--seed" => options.seed = Some(value.parse().context("a seed is a number")?),
                "--minutes" => options.minutes = Some(Duration::from_secs(number(value)? * 60)),
                "--seconds" => options.run = Some(Duration::from_secs(number(value)?)),
                "--nodes" => options.nodes = usize::try_from(number(value)?)?,
                "--dir" => options.dir = value.into(),
                "--json" => options.json = Some(value.into()),
                "--env" => {
                    let (name, value) = value.split_once('=').context("--env NAME=VALUE")?;
                    options.environment.push((name.to_owned(), value.to_owned()));
                }
                _ => bail!("no option {word}"),
            }
        }
        ensure!(options.nodes >= 3, "three nodes are the least");
        Ok(Self::Run(options))
    }
}

impl Options {
    /// The pairs to run, endless where there is a time to fill; the first come all once, in an order
    /// that follows from the dice.
    pub fn pairs(&self, dice: &mut Dice) -> Vec<(String, String)> {
        let any_workload = || workload::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
        let any_fault = || FAULTS.iter().map(|fault| fault.name.to_owned()).collect::<Vec<_>>();
        let or = |named: &Vec<String>, any: Vec<String>| {
            if named.is_empty() { any } else { named.clone() }
        };
        let workloads = or(&self.workloads, any_workload());
        let mut faults = or(&self.faults, any_fault());
        if self.faults.is_empty() {
            faults.retain(|fault| fault != CALM);
        }
        let all: Vec<_> = workloads
            .iter()
            .flat_map(|workload| faults.iter().map(|fault| (workload.clone(), fault.clone())))
            .collect();
        let order = dice.shuffled(&all);
        // Every workload and every fault comes early; the rest of the pairs follow.
        let mut seen = BTreeSet::new();
        let (early, late): (Vec<_>, Vec<_>) = order.into_iter().partition(|(workload, fault)| {
            seen.insert(workload.clone()) | seen.insert(fault.clone())
        });
        early.into_iter().chain(late).collect()
    }
}

fn names(list: &str, is_known: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    let name = |name: &str| {
        let name = name.trim().to_uppercase();
        ensure!(is_known(&name), "there is no {name}");
        Ok(name)
    };
    list.split(',').map(name).collect()
}

fn is_workload(name: &str) -> bool {
    workload::NAMES.iter().any(|(known, _)| *known == name)
}

fn number(value: &str) -> Result<u64> {
    value.parse().with_context(|| format!("{value} is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Request> {
        Request::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn options(line: &str) -> Options {
        match parse(line).unwrap() {
            Request::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_taken_in_any_case_and_unknown_ones_are_refused() {
        let found = options("--workload w1 --fault n1,N2 --seed 7 --minutes 2");

        assert_eq!(found.workloads, ["W1"]);
        assert_eq!(found.faults, ["N1", "N2"]);
        assert_eq!((found.seed, found.minutes), (Some(7), Some(Duration::from_secs(120))));
        assert!(parse("--fault N99").is_err());
        assert!(parse("--nodes 2").is_err());
        assert!(parse("--seed").is_err());
    }

    #[test]
    fn every_pair_comes_once_and_all_faults_come_early() {
        let found = options("--workload W1 --seed 7");
        let pairs = found.pairs(&mut Dice::of(7));

        let faults: BTreeSet<&String> = pairs.iter().map(|(_, fault)| fault).collect();
        assert_eq!(faults.len(), FAULTS.len() - 1);
        assert_eq!(pairs.len(), faults.len());
    }
}
