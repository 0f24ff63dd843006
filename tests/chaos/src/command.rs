//! What `warren-chaos` does.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{env, fs};

use anyhow::{Context as _, Result, anyhow, ensure};
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

/// How long a pair runs from calm to healed, if nothing else was said.
const PAIR: Duration = Duration::from_secs(60);

/// So many runs that come to nothing, one after the other, end it.
const IN_VAIN: usize = 5;

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
        Request::Table(file) => table(&file),
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

fn table(file: &Path) -> Result<ExitCode> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let rows = text.lines().filter(|line| !line.trim().is_empty()).map(serde_json::from_str);
    let rows = rows.collect::<Result<Vec<Value>, _>>().context("a line is none of ours")?;
    println!("{}", report::rows(&rows));
    Ok(ExitCode::SUCCESS)
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
    let (mut rows, mut in_vain) = (Vec::new(), 0);
    for number in 0.. {
        let is_over = until.map_or(number >= pairs.len(), |until| Instant::now() >= until);
        if is_over || pairs.is_empty() || stop.was_said() {
            break;
        }
        let (workload, name) = &pairs[number % pairs.len()];
        let (fault, lasts) = known(name)?;
        // One run is the named pair with the named seed, so that it can be had again alone.
        let seed = if pairs.len() == 1 && number == 0 { seed } else { dice.throw() >> 16 };
        let broker = match unable(fault, tier) {
            Some(why) => Err(why),
            None => broker(&binary, fault),
        };
        let broker = match broker {
            Ok(broker) => broker,
            Err(why) => {
                eprintln!("chaos: {workload} with {name} is left out: {why}");
                continue;
            }
        };
        eprintln!("chaos: {workload} with {name}, seed {seed}");
        let place = dir.join(format!("{workload}-{name}-{seed}"));
        let plan = Plan {
            nodes: options.nodes,
            environment: options.environment.clone(),
            ..Plan::of(&broker, &place, workload, name, seed)
        };
        let row = one(&plan.lasting(options.run.unwrap_or(lasts)), &stop);
        add(options.json.as_deref(), &row)?;
        in_vain = if report::came_to_nothing(&row) { in_vain + 1 } else { 0 };
        rows.push(row);
        if in_vain == IN_VAIN {
            eprintln!("chaos: {IN_VAIN} runs in a row came to nothing: this machine cannot do it");
            break;
        }
    }
    println!("{}", report::table(&rows));
    let is_good = rows.iter().all(report::is_good);
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run, whatever comes of it: those that follow are not to fall with it.
fn one(plan: &Plan, stop: &Stop) -> Value {
    let done = panic::catch_unwind(AssertUnwindSafe(|| run_plan(plan, stop)));
    let outcome = done.unwrap_or_else(|_| Err(anyhow!("it panicked, as was said above")));
    match outcome {
        Ok(outcome) => {
            if let Some(text) = report::complaint(&outcome) {
                eprintln!("{text}");
            }
            report::json(&outcome)
        }
        Err(error) => {
            let place = plan.dir.display();
            eprintln!("chaos: the run itself failed, in {place}: {error:#}");
            report::failed(plan, &format!("{error:#}"))
        }
    }
}

/// A fault or a scenario of that name, and how long it takes.
fn known(name: &str) -> Result<(&'static Fault, Duration)> {
    let of = |scenario: &'static Scenario| (&scenario.fault, scenario.lasts());
    let found = fault::by_name(name).map(|fault| (fault, PAIR));
    found.or_else(|| fault::scenario(name).map(of)).context("options know what there is")
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

/// The program to run: the broker, or where a fault needs places inside it, the one that has them.
fn broker(binary: &Path, fault: &Fault) -> Result<PathBuf, String> {
    const OPEN: &str = "warren-failpoints";
    if !fault.breaks_inside || binary.ends_with(OPEN) {
        return Ok(binary.to_owned());
    }
    let broker = binary.with_file_name(OPEN);
    if broker.is_file() { Ok(broker) } else { Err(format!("there is no {}", broker.display())) }
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
