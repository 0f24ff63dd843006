//! Processes are killed, frozen and starved.

use anyhow::Result;

use super::Stage;
use crate::rig::READY;

/// How often a node is killed in a row.
const CRASHES: u64 = 6;

/// Kills nodes at the same moment, and brings them back after a while.
pub(super) fn kill(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.victims();
    stage.under("kill", &nodes, |stage| {
        nodes.iter().try_for_each(|node| stage.rig.node(*node).shoot())?;
        nodes.iter().try_for_each(|node| stage.rig.node(*node).kill())?;
        stage.wait_some(100..8_000);
        stage.bring_back(&nodes)
    })
}

/// Freezes nodes for shorter and longer than it takes to elect another leader.
pub(super) fn pause(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.victims();
    stage.under("pause", &nodes, |stage| {
        nodes.iter().try_for_each(|node| stage.rig.node(*node).pause())?;
        stage.wait_some(500..15_000);
        nodes.iter().try_for_each(|node| stage.rig.node(*node).resume())
    })
}

/// A node that others do not hear, or that is frozen, is killed and comes back.
pub(super) fn cut_then_kill(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    let other = stage.order().into_iter().find(|other| *other != node).unwrap_or(node);
    if stage.dice.chance(50) {
        stage.under("isolate, then kill", &[node, other], |stage| {
            super::network::isolate(stage, node)?;
            stage.wait_some(200..6_000);
            stage.rig.node(other).kill()?;
            stage.wait_some(200..4_000);
            stage.rig.cut(&[])?;
            stage.wait_some(0..2_000);
            stage.bring_back(&[other])
        })
    } else {
        stage.under("pause, then kill", &[node, other], |stage| {
            stage.rig.node(node).pause()?;
            stage.wait_some(200..6_000);
            stage.rig.node(other).kill()?;
            stage.wait_some(200..3_000);
            stage.rig.node(node).resume()?;
            stage.wait_some(0..2_000);
            stage.bring_back(&[other])
        })
    }
}

/// Kills a node while it starts, and once more, and brings it back.
pub(super) fn crash_loop(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    stage.under("crash loop", &[node], |stage| {
        stage.rig.node(node).kill()?;
        for _ in 0..stage.dice.within(2..CRASHES) {
            stage.rig.launch(node)?;
            stage.wait_some(20..1_500);
            stage.rig.node(node).kill()?;
        }
        stage.rig.launch(node)?;
        stage.rig.node(node).await_ready(READY)
    })
}

/// Gives a node a tenth of a processor.
pub(super) fn starve(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    stage.under("starve", &[node], |stage| {
        let percent = stage.dice.within(8..25);
        stage.rig.cgroup(node)?.limit_cpu(Some(percent))?;
        stage.wait_some(5_000..15_000);
        stage.rig.cgroup(node)?.limit_cpu(None)
    })
}
