//! The current goes, or a disk is no good.

use std::time::Duration;

use anyhow::Result;

use super::Stage;

/// How long a node may take to notice that its disk fails.
const NOTICES: Duration = Duration::from_secs(60);

/// Writes a second of a slow disk.
const SLOW: std::ops::Range<u64> = 15..60;

/// What a full disk has left: from nothing to where warnings are due.
const LEFT_BYTES: [u64; 4] = [0, 1 << 20, 16 << 20, 45 << 20];

/// Takes the current from nodes at the same moment.
pub(super) fn power_cut(stage: &mut Stage<'_>) -> Result<()> {
    let nodes = stage.victims();
    stage.under("power cut", &nodes, |stage| {
        stage.rig.power_cut(&nodes)?;
        stage.wait_some(100..5_000);
        stage.bring_back(&nodes)
    })
}

/// Some nodes sleep while another loses what it had not flushed; then the sleepers wake, and
/// those sleep that were there (NATS server #7567).
pub(super) fn cut_and_pause(stage: &mut Stage<'_>) -> Result<()> {
    let order = stage.order();
    let sleepers = (order.len() - 1) / 2;
    let (asleep, rest) = order.split_at(sleepers);
    let (cut, awake) = (rest[0], &rest[1..]);
    stage.under("power cut among sleepers", &order, |stage| {
        asleep.iter().try_for_each(|node| stage.rig.node(*node).pause())?;
        stage.wait_some(1_000..6_000);
        stage.rig.power_cut(&[cut])?;
        awake.iter().take(sleepers).try_for_each(|node| stage.rig.node(*node).pause())?;
        stage.rig.launch(cut)?;
        asleep.iter().try_for_each(|node| stage.rig.node(*node).resume())?;
        stage.wait_some(4_000..12_000);
        awake.iter().try_for_each(|node| stage.rig.node(*node).resume())?;
        stage.rig.node(cut).await_ready(crate::rig::READY)
    })
}

/// A disk is full, slow, hung, failing or read-only.
pub(super) fn trouble(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    match stage.dice.within(0..5) {
        0 => full(stage, node),
        1 => slow(stage, node),
        2 => hung(stage, node),
        3 => failing(stage, node),
        _ => read_only(stage, node),
    }
}

fn full(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    let left = *stage.dice.one_of(&LEFT_BYTES);
    stage.under(&format!("disk full, {left} bytes left"), &[node], |stage| {
        stage.rig.disk(node)?.fill(left)?;
        stage.wait_some(3_000..15_000);
        stage.rig.disk(node)?.make_room()?;
        return_of(stage, node)
    })
}

fn slow(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    let writes = stage.dice.within(SLOW);
    stage.under(&format!("slow disk, {writes} writes a second"), &[node], |stage| {
        let device = stage.rig.disk(node)?.numbers()?;
        stage.rig.cgroup(node)?.limit_writes(&device, Some(writes))?;
        stage.wait_some(5_000..15_000);
        stage.rig.cgroup(node)?.limit_writes(&device, None)?;
        return_of(stage, node)
    })
}

fn hung(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.under("hung disk", &[node], |stage| {
        stage.rig.disk(node)?.freeze()?;
        stage.wait_some(1_000..30_000);
        stage.rig.disk(node)?.thaw()?;
        return_of(stage, node)
    })
}

/// Every call fails, while the process lives: it must end by itself.
fn failing(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.under("failing disk", &[node], |stage| {
        stage.rig.disk(node)?.power_cut()?;
        if let Err(error) = stage.rig.node(node).await_end(NOTICES) {
            stage.find("I18", format!("its disk fails, and it goes on: {error:#}"));
            stage.rig.node(node).kill()?;
        }
        stage.rig.unmount(node)?;
        stage.wait_some(0..3_000);
        stage.bring_back(&[node])
    })
}

fn read_only(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.under("read-only disk", &[node], |stage| {
        stage.rig.disk(node)?.make_read_only()?;
        if let Err(error) = stage.rig.node(node).await_end(NOTICES) {
            stage.find("I18", format!("its disk is read-only, and it goes on: {error:#}"));
            stage.rig.node(node).kill()?;
        }
        stage.rig.unmount(node)?;
        stage.rig.disk(node)?.repair()?;
        stage.wait_some(0..3_000);
        stage.bring_back(&[node])
    })
}

/// A node whose disk was no good may have stopped itself; a supervisor starts it again.
pub(super) fn return_of(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.wait(Duration::from_secs(1));
    if stage.rig.node(node).obituary().is_some() {
        stage.recorder.note("the node stopped itself and is started again");
        return stage.bring_back(&[node]);
    }
    Ok(())
}
