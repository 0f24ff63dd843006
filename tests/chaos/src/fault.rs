//! What is done to nodes while clients work, by the names of the list in the README.
//!
//! A fault is a function that does one episode: it breaks something, waits, and undoes it. The
//! run calls it again and again until its time is over. What an episode leaves broken when it
//! fails, [`Rig::heal`] mends.
//!
//! **Invariant:** no fault destroys the disks of a majority, and none destroys a second disk
//! before the first one's replicas are back.

mod cluster;
mod disk;
mod network;
mod process;
mod rot;
mod scenario;

pub use scenario::{SCENARIOS, Scenario};

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::checker::Violation;
use crate::dice::Dice;
use crate::field::Stop;
use crate::history::Recorder;
use crate::rig::{COMPLETE, READY, Rig, Tier};
use crate::workload::Order;

/// A kind of fault.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What it is called (`N1`).
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// What it needs of the machine.
    pub tier: Tier,
    /// Programs that it needs beside those of the rig.
    pub programs: &'static [&'static str],
    /// Whether it needs the broker that has places to break it at.
    pub breaks_inside: bool,
    /// Whether one episode is all of it.
    once: bool,
    act: fn(&mut Stage<'_>) -> Result<()>,
}

/// Nothing happens: clients alone must not find anything either.
pub const CALM: &str = "N0";

/// Every fault.
pub const FAULTS: &[Fault] = &[
    fault(CALM, "nothing at all", Tier::Processes, calm),
    fault("N1", "kill one, a majority or all", Tier::Processes, process::kill),
    fault("N2", "pause one, a majority or all", Tier::Processes, process::pause),
    fault("N3", "partitions, whole and one-way", Tier::Processes, network::partition),
    fault("N4", "loss, narrow links, pulled cables", Tier::World, network::degrade),
    fault("N5", "cut links one by one, heal in another order", Tier::Processes, network::swizzle),
    fault("N6", "power cut of one, a majority or all", Tier::World, disk::power_cut),
    fault(
        "N7",
        "power cut of one while others are paused in turn",
        Tier::World,
        disk::cut_and_pause,
    ),
    fault("N8", "partition or pause, then kill", Tier::Processes, process::cut_then_kill),
    fault("N9", "disk full, slow, hung, failing or read-only", Tier::World, disk::trouble),
    fault(rot::NAME, "bits flipped, files cut short or rolled back", Tier::Processes, rot::damage),
    fault("N11", "a node loses its disk", Tier::Processes, rot::wipe),
    Fault {
        programs: &["faketime"],
        ..fault("N12", "clocks jump and drift", Tier::Processes, cluster::clocks)
    },
    fault("N13", "a tenth of a processor for one node", Tier::World, process::starve),
    fault(
        "N14",
        "nodes drained, forgotten, replaced and added",
        Tier::Processes,
        cluster::membership,
    ),
    fault("N16", "kill again and again while it starts", Tier::Processes, process::crash_loop),
    fault("N17", "every connection of a node is reset", Tier::Processes, network::resets),
    fault(
        "N18",
        "delete and declare anew while a node is down",
        Tier::Processes,
        cluster::redeclare,
    ),
];

const fn fault(
    name: &'static str,
    what: &'static str,
    tier: Tier,
    act: fn(&mut Stage<'_>) -> Result<()>,
) -> Fault {
    Fault { name, what, tier, programs: &[], breaks_inside: false, once: false, act }
}

/// The fault of that name.
pub fn by_name(name: &str) -> Option<&'static Fault> {
    FAULTS.iter().find(|fault| fault.name.eq_ignore_ascii_case(name))
}

/// The scenario of that name.
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    scenario::by_name(name)
}

/// More environment that the nodes need for a fault.
pub fn environment(
    fault: &str,
    dir: &std::path::Path,
    nodes: usize,
) -> Result<Vec<(String, String)>> {
    match scenario(fault) {
        Some(scenario) => Ok(scenario.environment(dir)),
        None if fault == "N12" => cluster::clock_environment(dir, nodes),
        None => Ok(Vec::new()),
    }
}

/// Where faults happen.
#[derive(Debug)]
pub struct Stage<'a> {
    /// The nodes.
    pub rig: &'a mut Rig,
    /// What is chosen by.
    pub dice: Dice,
    /// Where it is noted.
    pub recorder: Recorder,
    /// When no more episode begins.
    pub until: Instant,
    /// Said when the run is to end early.
    pub stop: Stop,
    /// What the faults themselves found.
    pub findings: Vec<Violation>,
    /// How many faults were begun.
    pub injected: u32,
    name: &'static str,
}

impl<'a> Stage<'a> {
    /// A stage on which nothing has happened.
    pub fn new(
        rig: &'a mut Rig,
        dice: Dice,
        recorder: Recorder,
        until: Instant,
        stop: Stop,
    ) -> Self {
        Self { rig, dice, recorder, until, stop, findings: Vec::new(), injected: 0, name: CALM }
    }

    /// Lets a fault happen until the time is over, and between its episodes what an operator was
    /// told to do, one after the other.
    ///
    /// # Errors
    ///
    /// When something cannot be done, or a node does not come back.
    pub fn play(&mut self, fault: &Fault, orders: &[Order]) -> Result<()> {
        self.name = fault.name;
        let mut orders = orders.iter().cycle();
        while !self.is_over() {
            (fault.act)(self)?;
            if fault.once {
                self.until = Instant::now();
            }
            self.look();
            if let Some(order) = orders.next().filter(|_| !self.is_over()) {
                cluster::obey(self, *order)?;
                self.look();
            }
            let rest = self.dice.millis(1_000..4_000);
            self.wait(rest);
        }
        Ok(())
    }

    /// Whether nothing more is to begin.
    fn is_over(&self) -> bool {
        Instant::now() >= self.until || self.stop.was_said()
    }

    /// The time until nothing more is to begin.
    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Something is done to nodes, and undone.
    fn under(
        &mut self,
        what: &str,
        nodes: &[usize],
        act: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let names = self.rig.names(nodes);
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        eprintln!(
            "chaos: {:>7.1} s  {} {what}: {}",
            self.recorder.now().as_secs_f64(),
            self.name,
            list.join(" ")
        );
        let fault = self.recorder.begin_fault(self.name, &list, what);
        self.injected += 1;
        let done = act(self);
        self.recorder.end_fault(fault);
        done
    }

    /// Lets time pass, unless the run is to end.
    fn wait(&self, time: Duration) {
        const GLANCE: Duration = Duration::from_millis(20);
        let until = Instant::now() + time;
        while Instant::now() < until && !self.stop.was_said() {
            thread::sleep(GLANCE.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// Lets a time out of a range of milliseconds pass.
    fn wait_some(&mut self, millis: std::ops::Range<u64>) {
        let time = self.dice.millis(millis);
        self.wait(time);
    }

    /// A node that ended although nobody ended it is a finding; it is started again.
    fn look(&mut self) {
        for node in 0..self.rig.len() {
            let Some(status) = self.rig.node(node).obituary() else { continue };
            let name = self.rig.node(node).name().to_owned();
            let text = format!("{name} ended with {status}\n{}", self.rig.node(node).log_tail());
            if self.name == rot::NAME {
                // It found what was planted earlier, as it should.
                self.recorder.note(&text);
                drop(self.rig.wipe(node));
            } else {
                self.find("I20", text);
            }
            drop(self.rig.restart(node));
        }
    }

    /// A node whose disk was taken away comes back as another one: as the same it would not know
    /// what it had promised.
    fn judge_identity(&mut self, node: usize, before: Option<u64>) {
        let after = self.rig.identity(node);
        let name = self.rig.node(node).name();
        let text = format!("{name} lost its disk; it was node {before:?}, and is node {after:?}");
        self.recorder.note(&text);
        if after.is_none() || after == before {
            self.find("I17", text);
        }
    }

    /// Something is wrong.
    fn find(&mut self, invariant: &'static str, text: String) {
        self.recorder.note(&format!("{invariant}: {text}"));
        self.findings.push(Violation { invariant, text });
    }

    /// A node, the one that leads most groups in half of all cases.
    fn victim(&mut self) -> usize {
        if self.dice.chance(50) { self.rig.leader() } else { self.dice.place(self.rig.len()) }
    }

    /// A node; or a majority; or all.
    fn victims(&mut self) -> Vec<usize> {
        let len = self.rig.len();
        let count = match self.dice.within(0..10) {
            0..6 => return vec![self.victim()],
            6..8 => len / 2 + 1,
            _ => len,
        };
        self.order().into_iter().take(count).collect()
    }

    /// All nodes, in any order.
    fn order(&mut self) -> Vec<usize> {
        let all: Vec<usize> = (0..self.rig.len()).collect();
        self.dice.shuffled(&all)
    }

    /// Starts nodes that do not run, and waits until they are ready.
    fn bring_back(&mut self, nodes: &[usize]) -> Result<()> {
        nodes.iter().try_for_each(|node| self.rig.launch(*node))?;
        nodes.iter().try_for_each(|node| self.rig.node(*node).await_ready(READY))
    }

    /// As [`Stage::bring_back`]; but a node that finds what was planted on its disk earlier, and does
    /// not go on with it, gets an empty one.
    fn bring_back_whole(&mut self, node: usize) -> Result<()> {
        let done = self.bring_back(&[node]);
        if self.name != rot::NAME || done.is_ok() {
            return done;
        }
        self.recorder.note("it finds what was planted earlier and gets an empty disk");
        self.rig.node(node).kill()?;
        self.rig.wipe(node)?;
        self.bring_back(&[node])
    }

    /// Waits until all replicas are there again.
    fn await_complete(&mut self) -> Result<()> {
        self.rig.await_complete(COMPLETE)
    }
}

fn calm(stage: &mut Stage<'_>) -> Result<()> {
    stage.wait(Duration::from_secs(1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_given_once_and_found() {
        for fault in FAULTS {
            let found = FAULTS.iter().filter(|other| other.name == fault.name).count();
            assert_eq!(found, 1, "{}", fault.name);
            assert!(by_name(&fault.name.to_lowercase()).is_some());
        }
    }
}
