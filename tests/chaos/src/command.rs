//! What `warren-chaos` does.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::checker;
use crate::dice::Dice;
use crate::fault::{self, FAULTS, Fault, SCENARIOS, Scenario};
use crate::field::Stop;
use crate::history::History;
use crate::options::{Options, Request, USAGE};
use crate::readings::Readings;
use crate::rig::{Tier, alone};
use crate::run::{Plan, run as run_plan};
use crate::{interrupt, report, tools, workload};

/// The exit code for a command line that makes no sense.
const USAGE_ERROR: u8 = 64;

/// Reads the command line and does what it says.
///
/// # Errors
///
/// When that cannot be done.
pub fn run(words: &[String]) -> Result<ExitCode> {
    let request = match Request::parse(words) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("{error:#}\n\n{USAGE}");
            return Ok(ExitCode::from(USAGE_ERROR));
        }
    };
    match request {
        Request::List => {
            println!("{}", list());
            Ok(ExitCode::SUCCESS)
        }
        Request::Check(file) => check(&file),
        Request::Run(options) => match tier() {
            Tier::World if !alone::is_inside() => alone::enter(),
            tier => pairs(&options, tier),
        },
    }
}

/// What this machine lets us do; what is missing is said once.
fn tier() -> Tier {
    if alone::is_inside() {
        return Tier::World;
    }
    match alone::obstacle() {
        None => Tier::World,
        Some(why) => {
            eprintln!(
                "chaos: ONLY KILLS, PAUSES AND SHUT DOORS: this machine gives us no world of our own: {why}"
            );
            Tier::Processes
        }
    }
}

fn list() -> String {
    let workloads = workload::NAMES.iter().map(|(name, what)| format!("{name:<4} {what}"));
    let faults = FAULTS.iter().map(|fault| format!("{:<4} {}", fault.name, fault.what));
    let scenarios = SCENARIOS.iter().map(|scenario| {
        format!("{:<16} {} ({})", scenario.fault.name, scenario.fault.what, scenario.workload)
    });
    workloads.chain(faults).chain(scenarios).collect::<Vec<_>>().join("\n")
}

fn check(file: &Path) -> Result<ExitCode> {
    let history = History::read(file)?;
    let verdict = checker::check(&history, &Readings::default());
    for violation in &verdict.violations {
        println!("{}: {}", violation.invariant, violation.text);
    }
    println!("{:#?}", verdict.summary);
    Ok(if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn pairs(options: &Options, tier: Tier) -> Result<ExitCode> {
    let seed = options.seed.unwrap_or_else(clock);
    eprintln!("chaos: seed {seed}");
    let binary = warren_tests::node::binary()?;
    let dir = absolute(&options.dir)?;
    let mut dice = Dice::of(seed);
    let pairs = match &options.scenario {
        None => options.pairs(&mut dice),
        Some(name) => scenarios(name)?,
    };
    let until = options.minutes.map(|time| Instant::now() + time);
    let stop = Stop::default();
    interrupt::listen(&stop)?;
    if alone::is_inside() {
        interrupt::follow(&stop);
    }
    let mut rows = Vec::new();
    let mut is_good = true;
    for number in 0.. {
        let is_over = until.map_or(number >= pairs.len(), |until| Instant::now() >= until);
        if is_over || pairs.is_empty() || stop.was_said() {
            break;
        }
        let (workload, name) = &pairs[number % pairs.len()];
        let scenario = || fault::scenario(name).map(|scenario| &scenario.fault);
        let fault = fault::by_name(name).or_else(scenario).context("options know what there is")?;
        // One run is the named pair with the named seed, so that it can be had again alone.
        let seed = if pairs.len() == 1 && number == 0 { seed } else { dice.throw() >> 16 };
        if let Some(why) = unable(fault, tier) {
            eprintln!("chaos: {workload} with {name} is left out: {why}");
            continue;
        }
        eprintln!("chaos: {workload} with {name}, seed {seed}");
        let place = dir.join(format!("{workload}-{name}-{seed}"));
        let plan = Plan {
            nodes: options.nodes,
            environment: options.environment.clone(),
            ..Plan::of(&binary, &place, workload, name, seed)
        };
        let outcome = match run_plan(&plan.lasting(options.run), &stop) {
            Ok(outcome) => outcome,
            Err(error) => {
                is_good = false;
                eprintln!("chaos: the run itself failed, in {}: {error:#}", place.display());
                continue;
            }
        };
        if let Some(text) = report::complaint(&outcome) {
            is_good = false;
            eprintln!("{text}");
        }
        let row = report::json(&outcome);
        add(options.json.as_deref(), &row)?;
        rows.push(row);
    }
    println!("{}", report::table(&rows));
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Scenarios with their workloads.
fn scenarios(name: &str) -> Result<Vec<(String, String)>> {
    let is_wanted = |scenario: &&Scenario| name == "all" || scenario.fault.name == name;
    let wanted: Vec<_> = SCENARIOS
        .iter()
        .filter(is_wanted)
        .map(|scenario| (scenario.workload.to_owned(), scenario.fault.name.to_owned()))
        .collect();
    ensure!(!wanted.is_empty(), "there is no scenario {name}");
    Ok(wanted)
}

/// Why a fault cannot be done here.
fn unable(fault: &Fault, tier: Tier) -> Option<String> {
    if fault.tier > tier {
        return Some("it needs a world of its own".to_owned());
    }
    let missing = fault.programs.iter().find(|name| tools::find(name).is_none());
    missing.map(|name| format!("there is no {name}"))
}

fn add(file: Option<&Path>, row: &Value) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    writeln!(file, "{row}").map_err(Into::into)
}

fn absolute(dir: &Path) -> Result<PathBuf> {
    let dir = env::current_dir()?.join(dir);
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

fn clock() -> u64 {
    let age: Duration = UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(age.as_millis()).unwrap_or_default() & 0xffff_ffff
}
