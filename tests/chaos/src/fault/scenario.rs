//! Named scenarios: what broke other brokers and their libraries, in the order in which it did.
//!
//! Each is a fault with the workload that it was found with. It is played once, to its end, or until
//! the time is over that the run was given: the tests of every change play each for some seconds.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::{Fault, Stage, cluster, disk, fault, rot};
use crate::rig::{READY, Tier};

/// A fault with the workload that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The fault; its name is the scenario's.
    pub fault: Fault,
    /// The workload's name.
    pub workload: &'static str,
    /// Seconds from calm to healed that it takes to its end, on a machine that has other things to do.
    seconds: u64,
}

/// How often all nodes lose their current.
const POWER_CUTS: u32 = 20;

/// How often the leader dies.
const LEADER_CHANGES: u32 = 10;

/// How soon another node must lead when a leader's disk hangs.
const OTHERS_LEAD: Duration = Duration::from_secs(10);

/// How long a leader's disk hangs.
const HANGS: Duration = Duration::from_secs(30);

/// How long a leader's disk is full.
const FULL: Duration = Duration::from_secs(20);

/// How long all nodes are starved.
const STARVED: Duration = Duration::from_secs(40);

/// What a starved node may use of a processor.
const STARVED_PERCENT: u64 = 3;

/// How often the lead is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// How long a disk is full before there is room again.
const FULL_MILLIS: std::ops::Range<u64> = 200..4_000;

/// The file that says where a broker with places to break it at is broken; `{n}` is the node's number.
const PLACES: &str = "n{n}.failpoints";

/// Where a node is that takes over another one's snapshot.
const INSTALLS: [&str; 3] =
    ["consensus.install.adopted", "consensus.install.saved", "consensus.install.purged"];

/// How long a node may take to come to a place where it is to break.
const COMES: Duration = Duration::from_secs(30);

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "power-cut-20",
        "W1",
        400,
        "all nodes lose their current at once, 20 times",
        power_cuts,
    ),
    scenario("disk-full-leader", "W1", 60, "the disk of the leader is full for 20 s", disk_full),
    scenario("disk-hung-leader", "W1", 60, "the disk of the leader hangs for 30 s", disk_hung),
    scenario(
        "rabbitmq-12366",
        "W1",
        60,
        "a queue is deleted and declared anew while a replica sleeps",
        cluster::redeclare,
    ),
    scenario(
        "rabbitmq-15725",
        "W2",
        90,
        "every node in turn comes back with an empty disk",
        fresh_members,
    ),
    scenario(
        "rabbitmq-15473",
        "W3",
        150,
        "the leader dies again and again while consumers hold messages",
        leader_changes,
    ),
    scenario(
        "rabbitmq-17317",
        "W4",
        90,
        "the single active consumer's node is frozen beyond every timeout",
        frozen_active,
    ),
    scenario(
        "rabbitmq-5609",
        "W5",
        150,
        "messages are returned and buried while their leader changes",
        leader_changes,
    ),
    scenario("ra-wal", "W1", 150, "the current goes while a node starts", cut_while_starting),
    scenario(
        "ra-578",
        "W1",
        120,
        "disks are full for a moment, again and again",
        full_for_a_moment,
    ),
    scenario("nats-7567", "W1", 120, "one loses its current while others sleep in turn", |stage| {
        again(stage, disk::cut_and_pause)
    }),
    scenario("openraft-2116", "W1", 60, "all nodes are starved under load", starved),
    scenario(
        "rolled-back",
        "W1",
        90,
        "a node comes back with all its files as they were a while ago",
        |stage| again(stage, rot::roll_back),
    ),
    inside("install-crash", "W1", 120, "a node dies while it takes over a snapshot", install_crash),
    inside("disk-unreadable", "W11", 90, "a disk cannot be read any more", unreadable),
];

const fn scenario(
    name: &'static str,
    workload: &'static str,
    seconds: u64,
    what: &'static str,
    act: fn(&mut Stage<'_>) -> Result<()>,
) -> Scenario {
    let fault = Fault { once: true, ..fault(name, what, Tier::World, act) };
    Scenario { fault, workload, seconds }
}

/// A scenario that breaks the broker at places inside it.
const fn inside(
    name: &'static str,
    workload: &'static str,
    seconds: u64,
    what: &'static str,
    act: fn(&mut Stage<'_>) -> Result<()>,
) -> Scenario {
    let scenario = scenario(name, workload, seconds, what, act);
    Scenario { fault: Fault { breaks_inside: true, ..scenario.fault }, ..scenario }
}

/// The scenario of that name.
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.fault.name == name)
}

impl Scenario {
    /// How long it takes to its end.
    pub fn lasts(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// More environment that its nodes need.
    pub fn environment(&self, dir: &Path) -> Vec<(String, String)> {
        if !self.fault.breaks_inside {
            return Vec::new();
        }
        let places = dir.join(PLACES).display().to_string();
        let all = [
            ("FAILPOINTS_FILE", places.as_str()),
            // So that whoever is away for a moment needs a snapshot.
            ("WARREN_RAFT_SNAPSHOT_AFTER_ENTRIES", "100"),
            ("WARREN_RAFT_KEEP_ENTRIES", "20"),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }
}

/// Does it with one after the other, while there is time.
fn each<T>(
    stage: &mut Stage<'_>,
    all: impl IntoIterator<Item = T>,
    mut act: impl FnMut(&mut Stage<'_>, T) -> Result<()>,
) -> Result<()> {
    for one in all {
        act(stage, one)?;
        if stage.is_over() {
            break;
        }
    }
    Ok(())
}

/// Does it three times, if there is time for it.
fn again(stage: &mut Stage<'_>, act: fn(&mut Stage<'_>) -> Result<()>) -> Result<()> {
    each(stage, 0..3, |stage, _| {
        act(stage)?;
        stage.await_complete()
    })
}

fn power_cuts(stage: &mut Stage<'_>) -> Result<()> {
    each(stage, 0..POWER_CUTS, |stage, _| {
        let nodes = stage.order();
        stage.under("power cut of all", &nodes, |stage| {
            stage.rig.power_cut(&nodes)?;
            stage.bring_back(&nodes)
        })?;
        // Clients need a moment to be at work again.
        stage.wait_some(2_000..5_000);
        Ok(())
    })
}

fn disk_full(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.rig.leader();
    stage.under("disk full", &[node], |stage| {
        stage.rig.disk(node)?.fill(0)?;
        stage.wait(FULL.min(stage.left()));
        stage.rig.disk(node)?.make_room()?;
        disk::return_of(stage, node)
    })?;
    stage.await_complete()
}

fn disk_hung(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.rig.leader();
    stage.under("hung disk", &[node], |stage| {
        stage.rig.disk(node)?.freeze()?;
        let begin = Instant::now();
        let mut led_after = None;
        let hangs = HANGS.min(stage.left().max(OTHERS_LEAD));
        while begin.elapsed() < hangs && !stage.stop.was_said() {
            if led_after.is_none() && stage.rig.is_led_without(node) {
                led_after = Some(begin.elapsed());
            }
            stage.wait(GLANCE);
        }
        stage.recorder.note(&format!("others led everything after {led_after:?}"));
        if led_after.is_none_or(|time| time > OTHERS_LEAD) {
            stage.find("I19", format!("the leader's disk hung; others led after {led_after:?}"));
        }
        stage.rig.disk(node)?.thaw()?;
        disk::return_of(stage, node)
    })?;
    stage.await_complete()
}

fn fresh_members(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.order();
    each(stage, nodes, |stage, node| {
        stage.under("comes back empty", &[node], |stage| {
            let before = stage.rig.identity(node);
            stage.rig.node(node).kill()?;
            stage.rig.wipe(node)?;
            stage.bring_back(&[node])?;
            stage.await_complete()?;
            stage.judge_identity(node, before);
            Ok(())
        })?;
        stage.wait_some(1_000..3_000);
        Ok(())
    })
}

fn leader_changes(stage: &mut Stage<'_>) -> Result<()> {
    each(stage, 0..LEADER_CHANGES, |stage, _| {
        let node = stage.rig.leader();
        stage.under("the leader dies", &[node], |stage| {
            stage.rig.node(node).kill()?;
            stage.wait_some(300..2_000);
            stage.bring_back(&[node])
        })?;
        stage.wait_some(1_000..4_000);
        Ok(())
    })
}

fn frozen_active(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.order();
    each(stage, nodes, |stage, node| {
        stage.under("frozen", &[node], |stage| {
            stage.rig.node(node).pause()?;
            stage.wait_some(12_000..16_000);
            stage.rig.node(node).resume()
        })?;
        stage.wait_some(2_000..4_000);
        Ok(())
    })
}

fn cut_while_starting(stage: &mut Stage<'_>) -> Result<()> {
    each(stage, 0..LEADER_CHANGES, |stage, _| {
        let node = stage.victim();
        stage.under("power cut while it starts", &[node], |stage| {
            stage.rig.power_cut(&[node])?;
            stage.rig.launch(node)?;
            stage.wait_some(50..1_200);
            stage.rig.power_cut(&[node])?;
            stage.bring_back(&[node])
        })?;
        stage.wait_some(500..2_000);
        Ok(())
    })
}

fn starved(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.order();
    stage.under("starve all", &nodes, |stage| {
        for node in &nodes {
            stage.rig.cgroup(*node)?.limit_cpu(Some(STARVED_PERCENT))?;
        }
        stage.wait(STARVED.min(stage.left()));
        nodes.iter().try_for_each(|node| stage.rig.cgroup(*node)?.limit_cpu(None))
    })
}

/// A node whose disk was full for a moment goes on, or ends and comes back with all that it had
/// confirmed: no hole is left in its log (ra #578).
fn full_for_a_moment(stage: &mut Stage<'_>) -> Result<()> {
    each(stage, 0..LEADER_CHANGES, |stage, _| {
        let node = stage.victim();
        stage.under("disk full for a moment", &[node], |stage| {
            stage.rig.disk(node)?.fill(0)?;
            stage.wait_some(FULL_MILLIS);
            stage.rig.disk(node)?.make_room()?;
            disk::return_of(stage, node)?;
            // What it wrote meanwhile must be readable.
            stage.rig.node(node).kill()?;
            stage.bring_back(&[node])
        })?;
        stage.await_complete()
    })
}

/// A node that was away for longer than the logs of the others reach back takes over a snapshot, dies
/// while it does, at each place in turn, and comes back.
fn install_crash(stage: &mut Stage<'_>) -> Result<()> {
    each(stage, INSTALLS, |stage, place| {
        let node = stage.victim();
        stage.under(&format!("dies at {place}"), &[node], |stage| {
            stage.rig.node(node).kill()?;
            stage.rig.wipe(node)?;
            break_at(stage, node, &format!("{place}=panic"))?;
            stage.rig.launch(node)?;
            if stage.rig.node(node).await_end(COMES).is_err() {
                stage.find("I17", format!("an empty node does not come to {place}"));
                stage.rig.node(node).kill()?;
            }
            break_at(stage, node, "")?;
            stage.bring_back(&[node])?;
            stage.await_complete()
        })
    })
}

/// A node that cannot read what it wrote ends, and comes back when it can.
fn unreadable(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.order();
    each(stage, nodes, |stage, node| {
        stage.under("disk cannot be read", &[node], |stage| {
            // Started anew, it has nothing in memory.
            stage.rig.node(node).kill()?;
            stage.bring_back(&[node])?;
            break_at(stage, node, "storage.read=return")?;
            match stage.rig.node(node).await_end(COMES) {
                Ok(()) => stage.recorder.note("it ended by itself"),
                Err(_) => stage.recorder.note("it did not read"),
            }
            break_at(stage, node, "")?;
            stage.rig.node(node).kill()?;
            stage.rig.launch(node)?;
            stage.rig.node(node).await_ready(READY)
        })?;
        stage.await_complete()
    })
}

/// From here on a node breaks at these places.
fn break_at(stage: &Stage<'_>, node: usize, places: &str) -> Result<()> {
    let name = PLACES.replace("{n}", &(node + 1).to_string());
    fs::write(stage.rig.dir().join(name), places).context("cannot write the places")
}
