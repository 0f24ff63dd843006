//! Named scenarios: what broke other brokers and their libraries, in the order in which it did.
//!
//! Each is a fault that is played once, to its end, with the workload that it was found with.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Fault, Stage, cluster, disk, fault};
use crate::rig::Tier;

/// A fault with the workload that belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// The fault; its name is the scenario's.
    pub fault: Fault,
    /// The workload's name.
    pub workload: &'static str,
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
const STARVED_PERCENT: u64 = 10;

/// How often the lead is looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// Every scenario.
pub const SCENARIOS: &[Scenario] = &[
    scenario("power-cut-20", "W1", "all nodes lose their current at once, 20 times", power_cuts),
    scenario("disk-full-leader", "W1", "the disk of the leader is full for 20 s", disk_full),
    scenario("disk-hung-leader", "W1", "the disk of the leader hangs for 30 s", disk_hung),
    scenario(
        "rabbitmq-12366",
        "W1",
        "a queue is deleted and declared anew while a replica sleeps",
        |stage| once(stage, cluster::redeclare),
    ),
    scenario(
        "rabbitmq-15725",
        "W2",
        "every node in turn comes back with an empty disk",
        fresh_members,
    ),
    scenario(
        "rabbitmq-15473",
        "W3",
        "the leader dies again and again while consumers hold messages",
        leader_changes,
    ),
    scenario(
        "rabbitmq-17317",
        "W4",
        "the single active consumer's node is frozen beyond every timeout",
        frozen_active,
    ),
    scenario(
        "rabbitmq-5609",
        "W5",
        "messages are returned and buried while their leader changes",
        leader_changes,
    ),
    scenario("ra-wal", "W1", "the current goes while a node starts", cut_while_starting),
    scenario("nats-7567", "W1", "one loses its current while others sleep in turn", |stage| {
        once(stage, disk::cut_and_pause)
    }),
    scenario("openraft-2116", "W1", "all nodes are starved under load", starved),
];

const fn scenario(
    name: &'static str,
    workload: &'static str,
    what: &'static str,
    act: fn(&mut Stage<'_>) -> Result<()>,
) -> Scenario {
    Scenario { fault: fault(name, what, Tier::World, act), workload }
}

/// The scenario of that name.
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.fault.name == name)
}

/// Does it, and lets the faults end with that.
fn once(stage: &mut Stage<'_>, act: fn(&mut Stage<'_>) -> Result<()>) -> Result<()> {
    let done = act(stage);
    stage.until = Instant::now();
    done
}

fn power_cuts(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..POWER_CUTS {
        let nodes = stage.order();
        stage.under("power cut of all", &nodes, |stage| {
            stage.rig.power_cut(&nodes)?;
            stage.bring_back(&nodes)
        })?;
        // Clients need a moment to be at work again.
        stage.wait_some(2_000..5_000);
        if stage.stop.was_said() {
            break;
        }
    }
    stage.until = Instant::now();
    Ok(())
}

fn disk_full(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.rig.leader();
    stage.under("disk full", &[node], |stage| {
        stage.rig.disk(node)?.fill(0)?;
        stage.wait(FULL);
        stage.rig.disk(node)?.make_room()?;
        disk::return_of(stage, node)
    })?;
    stage.until = Instant::now();
    stage.await_complete()
}

fn disk_hung(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.rig.leader();
    stage.under("hung disk", &[node], |stage| {
        stage.rig.disk(node)?.freeze()?;
        let begin = Instant::now();
        let mut led_after = None;
        while begin.elapsed() < HANGS && !stage.stop.was_said() {
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
    stage.until = Instant::now();
    stage.await_complete()
}

fn fresh_members(stage: &mut Stage<'_>) -> Result<()> {
    for node in stage.order() {
        stage.under("comes back empty", &[node], |stage| {
            stage.rig.node(node).kill()?;
            stage.rig.wipe(node)?;
            stage.bring_back(&[node])?;
            stage.await_complete()
        })?;
        stage.wait_some(1_000..3_000);
    }
    stage.until = Instant::now();
    Ok(())
}

fn leader_changes(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..LEADER_CHANGES {
        let node = stage.rig.leader();
        stage.under("the leader dies", &[node], |stage| {
            stage.rig.node(node).kill()?;
            stage.wait_some(300..2_000);
            stage.bring_back(&[node])
        })?;
        stage.wait_some(1_000..4_000);
        if stage.stop.was_said() {
            break;
        }
    }
    stage.until = Instant::now();
    Ok(())
}

fn frozen_active(stage: &mut Stage<'_>) -> Result<()> {
    for node in stage.order() {
        stage.under("frozen", &[node], |stage| {
            stage.rig.node(node).pause()?;
            stage.wait_some(12_000..16_000);
            stage.rig.node(node).resume()
        })?;
        stage.wait_some(2_000..4_000);
    }
    stage.until = Instant::now();
    Ok(())
}

fn cut_while_starting(stage: &mut Stage<'_>) -> Result<()> {
    for _ in 0..LEADER_CHANGES {
        let node = stage.victim();
        stage.under("power cut while it starts", &[node], |stage| {
            stage.rig.power_cut(&[node])?;
            stage.rig.launch(node)?;
            stage.wait_some(50..1_200);
            stage.rig.power_cut(&[node])?;
            stage.bring_back(&[node])
        })?;
        stage.wait_some(500..2_000);
        if stage.stop.was_said() {
            break;
        }
    }
    stage.until = Instant::now();
    Ok(())
}

fn starved(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.order();
    stage.under("starve all", &nodes, |stage| {
        for node in &nodes {
            stage.rig.cgroup(*node)?.limit_cpu(Some(STARVED_PERCENT))?;
        }
        stage.wait(STARVED);
        nodes.iter().try_for_each(|node| stage.rig.cgroup(*node)?.limit_cpu(None))
    })?;
    stage.until = Instant::now();
    Ok(())
}
