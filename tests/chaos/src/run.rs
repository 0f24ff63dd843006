//! One run: a workload and a fault on fresh nodes, phase by phase, and the verdict.
//!
//! calm → faults → heal → liveness → drain → counters, hashes, disk and memory. What was found
//! wrong keeps the history, the nodes' logs and their data; what was not leaves a row in a table.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::checker::{self, Summary, Violation};
use crate::dice::Dice;
use crate::fault::{self, Fault, Stage};
use crate::field::{Field, Stop};
use crate::history::Recorder;
use crate::readings::{Members, Reading, Readings};
use crate::rig::{COMPLETE, Rig, Setup};
use crate::survey::{keep, survey};
use crate::tools;
use crate::watch::{Starvation, Watch};
use crate::workload::{self, Order, Workload};

/// How soon every queue must serve again after the last fault.
const ALIVE: Duration = Duration::from_secs(10);

/// How long a workload may take to end when it is told to.
const ENDS: Duration = Duration::from_secs(120);

/// How long an orderly stop of a node may take.
const LEAVES: Duration = Duration::from_secs(60);

/// How long the nodes' counters, hashes, members, disks and memory may take to come to rest.
const RESTS: Duration = Duration::from_secs(30);

/// How often that is looked at.
const GLANCE: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The broker.
    pub binary: PathBuf,
    /// Where the run keeps its things.
    pub dir: PathBuf,
    /// The workload's name.
    pub workload: String,
    /// The fault's name.
    pub fault: String,
    /// What all choices follow from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// More environment for them.
    pub environment: Vec<(String, String)>,
    /// How long nothing happens at first.
    pub calm: Duration,
    /// How long faults happen.
    pub faults: Duration,
    /// How long clients go on after the last fault.
    pub heal: Duration,
}

impl Plan {
    /// A minute, shared among the phases.
    pub fn of(binary: &Path, dir: &Path, workload: &str, fault: &str, seed: u64) -> Self {
        Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            workload: workload.to_owned(),
            fault: fault.to_owned(),
            seed,
            nodes: 3,
            environment: Vec::new(),
            calm: Duration::from_secs(5),
            faults: Duration::from_secs(40),
            heal: Duration::from_secs(5),
        }
    }

    /// So long from the begin of the calm to the end of the healing.
    pub fn lasting(mut self, time: Duration) -> Self {
        self.calm = (time / 6).min(Duration::from_secs(10));
        self.heal = self.calm;
        self.faults = time.saturating_sub(self.calm + self.heal);
        self
    }
}

/// Settings with which a node takes snapshots, purges its log and forgets files every few seconds, as
/// it does every few minutes under a load that leaves no processor to its clients.
fn small_logs() -> Vec<(String, String)> {
    let all = [
        ("RAFT_SNAPSHOT_AFTER_ENTRIES", "2000"),
        ("RAFT_SNAPSHOT_AFTER_BYTES", "8388608"),
        ("RAFT_KEEP_ENTRIES", "500"),
        ("RAFT_KEEP_BYTES", "8388608"),
        ("STORAGE_ROCKSDB_WAL_BYTES", "67108864"),
    ];
    all.map(|(name, value)| (format!("WARREN_{name}"), value.to_owned())).to_vec()
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was run.
    pub plan: Plan,
    /// Faults that were begun.
    pub injected: u32,
    /// Numbers of messages.
    pub summary: Summary,
    /// All that is wrong.
    pub violations: Vec<Violation>,
    /// What the machine added to every pause.
    pub starvation: Starvation,
    /// How long it took.
    pub took: Duration,
}

/// Runs, judges and keeps what is worth it.
///
/// # Errors
///
/// When the run itself could not be done: nothing is said about the broker then.
pub fn run(plan: &Plan, stop: &Stop) -> Result<Outcome> {
    let begin = Instant::now();
    let watch = Watch::begin();
    let scenario = || fault::scenario(&plan.fault).map(|scenario| &scenario.fault);
    let fault = fault::by_name(&plan.fault).or_else(scenario);
    let fault = fault.with_context(|| format!("no fault {}", plan.fault))?;
    let workload: Arc<dyn Workload> = workload::by_name(&plan.workload)
        .with_context(|| format!("no workload {}", plan.workload))?
        .into();
    fs::create_dir_all(&plan.dir)?;
    let mut environment = small_logs();
    environment.extend(fault::environment(fault.name, &plan.dir, plan.nodes)?);
    environment.extend(plan.environment.iter().cloned());
    let setup = Setup { nodes: plan.nodes, environment, ..Setup::of(&plan.binary, &plan.dir) };
    let mut rig = Rig::start(setup).context("the nodes do not become a cluster")?;
    let recorder = Recorder::create(&plan.dir.join("history.jsonl"))?;
    let mut course = Course {
        plan,
        rig: &mut rig,
        recorder,
        readings: Readings::default(),
        violations: Vec::new(),
        injected: 0,
        stop: stop.clone(),
    };
    course.take(fault, &workload)?;
    let Course { recorder, readings, mut violations, injected, .. } = course;
    let history = recorder.finish()?;
    let verdict = checker::check(&history, &readings);
    violations.extend(verdict.violations);
    keep(&plan.dir.join("readings.txt"), &readings)?;
    let outcome = Outcome {
        plan: plan.clone(),
        injected,
        summary: verdict.summary,
        violations,
        starvation: watch.found(),
        took: begin.elapsed(),
    };
    if !outcome.violations.is_empty() {
        keep_data(&mut rig, &plan.dir)?;
    }
    drop(rig);
    if outcome.violations.is_empty() {
        drop(fs::remove_dir_all(&plan.dir));
    }
    Ok(outcome)
}

/// A run under way.
struct Course<'a> {
    plan: &'a Plan,
    rig: &'a mut Rig,
    recorder: Recorder,
    readings: Readings,
    violations: Vec<Violation>,
    injected: u32,
    stop: Stop,
}

impl Course<'_> {
    fn take(&mut self, fault: &Fault, workload: &Arc<dyn Workload>) -> Result<()> {
        let mut dice = Dice::of(self.plan.seed);
        let field = Field {
            doors: self.rig.doors(),
            recorder: self.recorder.clone(),
            seed: dice.throw(),
            stop: Stop::default(),
        };
        workload.prepare(&field).context("the workload cannot be prepared")?;
        self.phase("calm");
        let ended = start(workload, &field);
        self.wait(self.plan.calm);
        self.phase("faults");
        self.faults(fault, workload.orders(), dice.fork());
        self.phase("heal");
        if let Err(error) = self.rig.heal() {
            self.find("I19", format!("the nodes do not come back: {error:#}"));
        }
        self.recorder.note("healed");
        if let Err(error) = workload.alive(&field, ALIVE) {
            self.find("I19", format!("{error:#}"));
        }
        self.wait(self.plan.heal);
        field.stop.say();
        self.await_end(&ended);
        self.phase("drain");
        if let Err(error) = workload.drain(&field) {
            self.find("I20", format!("the queues cannot be drained: {error:#}"));
        }
        self.rest();
        self.phase("end");
        self.farewell();
        Ok(())
    }

    fn faults(&mut self, fault: &Fault, orders: &[Order], dice: Dice) {
        let until = Instant::now() + self.plan.faults;
        let recorder = self.recorder.clone();
        let mut stage = Stage::new(self.rig, dice, recorder, until, self.stop.clone());
        let played = stage.play(fault, orders);
        self.injected += stage.injected;
        let mut findings = std::mem::take(&mut stage.findings);
        self.violations.append(&mut findings);
        if let Err(error) = played {
            self.find("I19", format!("under {}: {error:#}", fault.name));
        }
    }

    /// Waits until the replicas are equal and the numbers do not change any longer, reading them.
    fn rest(&mut self) {
        let until = Instant::now() + RESTS;
        let mut before: Option<Vec<u64>> = None;
        loop {
            let readings = survey(self.rig, &self.recorder, "drain");
            let now =
                readings.iter().flat_map(|reading| &reading.groups).map(|group| group.applied);
            let now: Vec<u64> = now.collect();
            let is_settled = |reading: &Reading| reading.members.iter().all(Members::is_settled);
            let is_quiet = before.as_ref() == Some(&now) && readings.iter().all(is_settled);
            before = Some(now);
            if is_quiet || Instant::now() > until {
                let last = readings.into_iter().map(|mut reading| {
                    "end".clone_into(&mut reading.phase);
                    reading
                });
                self.readings.taken.extend(last);
                return;
            }
            self.wait(GLANCE);
        }
    }

    /// Stops all nodes in order, and looks for what they should not have written.
    fn farewell(&mut self) {
        if let Err(error) = self.rig.await_complete(COMPLETE) {
            self.find("I20", format!("{error:#}"));
        }
        for node in 0..self.rig.len() {
            if let Err(error) = self.rig.node(node).terminate(LEAVES) {
                self.find("I20", format!("{error:#}"));
            }
            for panic in self.rig.node(node).panics() {
                self.find("I20", panic);
            }
        }
    }

    fn await_end(&mut self, ended: &Receiver<Result<()>>) {
        match ended.recv_timeout(ENDS) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.find("I20", format!("the workload gave up: {error:#}")),
            Err(RecvTimeoutError::Timeout) => {
                self.find("I20", format!("the workload does not end within {ENDS:?}"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.find("I20", "the workload panicked".to_owned());
            }
        }
    }

    fn phase(&mut self, phase: &str) {
        eprintln!("chaos: {:>7.1} s  {phase}", self.recorder.now().as_secs_f64());
        self.recorder.note_phase(phase);
        let readings = survey(self.rig, &self.recorder, phase);
        self.readings.taken.extend(readings);
    }

    fn find(&mut self, invariant: &'static str, text: String) {
        eprintln!("chaos: {invariant}: {text}");
        self.recorder.note(&format!("{invariant}: {text}"));
        self.violations.push(Violation { invariant, text });
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.stop.was_said() {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn start(workload: &Arc<dyn Workload>, field: &Field) -> Receiver<Result<()>> {
    let (say, hear) = sync_channel(1);
    let (workload, field) = (Arc::clone(workload), field.clone());
    thread::spawn(move || drop(say.send(workload.run(&field))));
    hear
}

/// Copies the nodes' data out of their disks, which go with the run.
fn keep_data(rig: &mut Rig, dir: &Path) -> Result<()> {
    let kept = dir.join("data");
    fs::create_dir_all(&kept)?;
    for node in rig.nodes() {
        node.kill()?;
        let mut command = Command::new("cp");
        command.arg("-a").arg(node.data()).arg(kept.join(node.name()));
        if let Err(error) = tools::finish(command, "cp") {
            eprintln!("chaos: the data of {} is not kept: {error:#}", node.name());
        }
    }
    let images = fs::read_dir(dir)?.flatten().map(|entry| entry.path());
    images.filter(|path| path.extension().is_some_and(|end| end == "img")).for_each(|path| {
        drop(fs::remove_file(path));
    });
    Ok(())
}
