//! `cargo xtask bench`: a real load over sockets against a node, and what came of it.
//!
//! Every scenario gets a fresh node with an empty data directory and is driven by
//! `warren-load`, a program of its own, through the loopback interface. The table says on what
//! machine, at which commit and with which settings, because a rate without them says nothing.
//! Scenarios of three nodes ([`cluster`]) have a table of their own, and so have the comparison with
//! another broker and the cost of many ([`matrix`]).
//! What is worth keeping goes to `crates/server/BENCHMARKS.md`.

mod cluster;
mod json;
mod machine;
mod matrix;
mod node;
mod report;
mod scenarios;

use std::process::{Command, Stdio};

use crate::cargo::Cargo;
use crate::{Outcome, workspace};
use json::Json;
use machine::Machine;
use node::Node;
use report::Row;
use scenarios::{SCENARIOS, Scenario};

/// How long each scenario loads the node when nothing is said.
const SECONDS: u32 = 15;

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Request {
    json: bool,
    seconds: u32,
    scenarios: Vec<&'static Scenario>,
    clusters: Vec<&'static cluster::Scenario>,
}

/// Builds, runs the scenarios that are named, or all of one node, and prints the results.
pub(crate) fn bench(options: &[String]) -> Outcome {
    if let Some(task) = matrix::asked_for(options) {
        Cargo::ready()?.build_programs()?;
        return matrix::bench(task, options);
    }
    let request = Request::read(options)?;
    Cargo::ready()?.build_programs()?;
    let machine = Machine::look();
    let mut rows = Vec::new();
    for scenario in &request.scenarios {
        eprintln!("xtask: {} for {} s: {}", scenario.name, request.seconds, scenario.summary);
        rows.push(Row { scenario, result: measure(scenario, request.seconds)? });
    }
    let mut clusters = Vec::new();
    for scenario in &request.clusters {
        eprintln!("xtask: {}: {}", scenario.name, scenario.summary);
        clusters.push(cluster::measure(scenario)?);
    }
    if request.json {
        println!("{}", report::json(&machine, request.seconds, &rows, &clusters));
    } else {
        print!("{}", report::table(&machine, request.seconds, &rows));
        print!("{}", cluster::table(&clusters));
    }
    Ok(())
}

impl Request {
    fn read(options: &[String]) -> Result<Self, String> {
        let mut request =
            Self { json: false, seconds: SECONDS, scenarios: Vec::new(), clusters: Vec::new() };
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--json" => request.json = true,
                "--seconds" => {
                    let number = words.next().and_then(|word| word.parse().ok());
                    request.seconds = number
                        .filter(|seconds| *seconds > 0)
                        .ok_or("--seconds needs a number of seconds")?;
                }
                name => match cluster::SCENARIOS.iter().find(|scenario| scenario.name == name) {
                    Some(scenario) => request.clusters.push(scenario),
                    None => request.scenarios.push(scenario(name)?),
                },
            }
        }
        if request.scenarios.is_empty() && request.clusters.is_empty() {
            request.scenarios = SCENARIOS.iter().collect();
        }
        Ok(request)
    }
}

fn scenario(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let one = SCENARIOS.iter().map(|scenario| scenario.name);
        let three = cluster::SCENARIOS.iter().map(|scenario| scenario.name);
        let names: Vec<&str> = one.chain(three).collect();
        format!("no scenario '{name}'; there are {}", names.join(", "))
    })
}

/// One scenario against a node of its own.
fn measure(scenario: &Scenario, seconds: u32) -> Result<Json, String> {
    let node = Node::start(&workspace::program("warren")?)?;
    let mut command = Command::new(workspace::program("warren-load")?);
    command.args(scenarios::load_arguments(scenario, node.amqp(), node.pid(), seconds));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start warren-load: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let (status, log) = (output.status, node.log_tail());
        return Err(format!(
            "warren-load failed ({status}): {text}\nthe node's last words:\n{log}"
        ));
    }
    node.stop()?;
    // The result is the last line: what is printed before it is for people.
    let line = text.lines().rfind(|line| line.starts_with('{'));
    let line = line.ok_or_else(|| format!("warren-load printed no result: {text}"))?;
    Json::read(line).ok_or_else(|| format!("warren-load printed what is no JSON: {line}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Request, String> {
        Request::read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn without_names_every_scenario_of_one_node_runs() {
        let request = read(&["--json"]).unwrap();

        assert!(request.json && request.clusters.is_empty());
        assert_eq!(request.scenarios.len(), SCENARIOS.len());
        assert_eq!(request.seconds, SECONDS);
    }

    #[test]
    fn named_scenarios_run_in_the_order_of_their_names() {
        let names = [SCENARIOS[1].name, SCENARIOS[0].name];

        let request = read(&[names[0], "--seconds", "3", names[1]]).unwrap();

        let found: Vec<&str> = request.scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(found, names);
        assert_eq!(request.seconds, 3);
    }

    #[test]
    fn a_scenario_of_three_nodes_runs_alone_when_it_is_named() {
        let request = read(&["queues"]).unwrap();

        assert!(request.scenarios.is_empty());
        assert_eq!(request.clusters, [&cluster::SCENARIOS[1]]);
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_there_is() {
        assert!(read(&["nothing"]).unwrap_err().contains(SCENARIOS[0].name));
        assert!(read(&["--seconds", "0"]).is_err());
        assert!(read(&["--seconds"]).is_err());
    }
}
