//! Who belongs to the cluster changes, clocks jump, and queues change while a node is away.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use warren_tests::node::unique;
use warren_tests::wire::{Flags, Pack, Wire, delete_queue, id, publish};

use super::Stage;
use crate::tools;
use crate::workload::Order;

/// How long a node may take to leave in order.
const LEAVES: Duration = Duration::from_secs(60);

/// Where Debian and others put the library that lies about the time.
const FAKETIME: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// By how many seconds a clock is wrong.
const JUMPS: [i64; 6] = [-3_600, -300, -2, 2, 300, 3_600];

/// Messages of the queue that is deleted and declared anew.
const MESSAGES: u64 = 20;

/// How long a queue's counters may take to be right.
const SETTLES: Duration = Duration::from_secs(30);

/// A node's wall clock jumps, or goes too fast, and is right again. Its other clock never jumps.
pub(super) fn clocks(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    let lie = if stage.dice.chance(70) {
        format!("{:+}", stage.dice.one_of(&JUMPS))
    } else {
        "+0 x1.5".to_owned()
    };
    let file = clock_file(stage.rig.dir(), node);
    stage.under(&format!("clock {lie}"), &[node], |stage| {
        fs::write(&file, &lie)?;
        stage.wait_some(3_000..12_000);
        fs::write(&file, "+0").context("cannot set a clock")
    })
}

/// What the nodes need so that their clocks can be set.
pub(super) fn clock_environment(dir: &Path, nodes: usize) -> Result<Vec<(String, String)>> {
    let library = FAKETIME.iter().find(|path| Path::new(path).is_file());
    let library = library.context("there is no libfaketime")?;
    ensure!(tools::find("faketime").is_some(), "there is no faketime");
    fs::create_dir_all(dir)?;
    (0..nodes).try_for_each(|node| fs::write(clock_file(dir, node), "+0"))?;
    let file = dir.join("n{n}.clock").display().to_string();
    let all = [
        ("LD_PRELOAD", (*library).to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file),
        ("FAKETIME_CACHE_DURATION", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    Ok(all.map(|(name, value)| (name.to_owned(), value)).to_vec())
}

fn clock_file(dir: &Path, node: usize) -> std::path::PathBuf {
    dir.join(format!("n{}.clock", node + 1))
}

/// Does what an operator was told to.
pub(super) fn obey(stage: &mut Stage<'_>, order: Order) -> Result<()> {
    let has_more = stage.rig.len() > stage.rig.planned();
    match order {
        Order::RollingRestart => rolling_restart(stage),
        Order::Replace => {
            let node = stage.victim();
            replace(stage, node)
        }
        Order::Grow if has_more => Ok(()),
        Order::Grow => grow(stage),
        Order::Shrink if has_more => shrink(stage),
        Order::Shrink => Ok(()),
        Order::Rebalance => {
            let node = stage.victim();
            let answer = stage.rig.http(node).try_ask("POST", "/api/rebalance/queues", "");
            stage.recorder.note(&format!("rebalance: {answer:?}"));
            stage.await_complete()
        }
    }
}

/// Nodes are drained, restarted in order, forgotten and replaced, or one more comes and goes.
pub(super) fn membership(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    match stage.dice.within(0..4) {
        0 => stage.under("drain and revive", &[node], |stage| {
            let other = (node + 1) % stage.rig.len();
            let path = format!("/api/warren/nodes/{}/drain", stage.rig.node(node).name());
            stage.rig.http(other).try_ask("PUT", &path, "")?;
            stage.wait_some(1_000..8_000);
            let answer = stage.rig.http(other).try_ask("DELETE", &path, "")?;
            ensure!(answer.status == 204, "it is not revived: {answer:?}");
            Ok(())
        }),
        1 => rolling_restart(stage),
        2 => replace(stage, node),
        _ => {
            grow(stage)?;
            stage.wait_some(1_000..6_000);
            shrink(stage)
        }
    }
}

/// A node is forgotten, and an empty one comes in its place.
fn replace(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.under("forget and replace", &[node], |stage| {
        let before = stage.rig.identity(node);
        stage.rig.node(node).kill()?;
        stage.rig.forget(node)?;
        stage.rig.wipe(node)?;
        stage.wait_some(0..4_000);
        stage.bring_back(&[node])?;
        stage.await_complete()?;
        stage.judge_identity(node, before);
        Ok(())
    })
}

/// One more node joins.
fn grow(stage: &mut Stage<'_>) -> Result<()> {
    stage.under("one more node", &[], |stage| {
        let joined = stage.rig.add()?;
        stage.rig.node(joined).await_ready(crate::rig::READY)?;
        stage.await_complete()
    })
}

/// The node that joined last goes for good.
fn shrink(stage: &mut Stage<'_>) -> Result<()> {
    let last = stage.rig.len() - 1;
    stage.under("and one less", &[last], |stage| {
        stage.rig.node(last).kill()?;
        stage.rig.forget(last)?;
        stage.rig.remove_last()
    })?;
    stage.await_complete()
}

/// Every node leaves in order and comes back before the next one leaves.
pub(super) fn rolling_restart(stage: &mut Stage<'_>) -> Result<()> {
    for node in stage.order() {
        stage.under("restart in order", &[node], |stage| {
            if let Err(error) = stage.rig.node(node).terminate(LEAVES) {
                stage.find("I20", format!("{error:#}"));
                stage.rig.node(node).kill()?;
            }
            stage.bring_back_whole(node)
        })?;
        stage.await_complete()?;
        if stage.is_over() {
            break;
        }
    }
    Ok(())
}

/// A queue is deleted and declared anew while a node that has a replica of it is down; then that
/// node is needed for a majority (RabbitMQ server #12366).
pub(super) fn redeclare(stage: &mut Stage<'_>) -> Result<()> {
    let order = stage.order();
    let (away, later, stays) = (order[0], order[1], order[2]);
    let queue = unique("chaos.anew");
    stage.under("declare anew without it", &[away], |stage| {
        let mut wire = open(stage, stays)?;
        fill(&mut wire, &queue, "old")?;
        for _ in 0..MESSAGES / 2 {
            wire.get(1, &queue, true)?.context("a message is there")?;
        }
        stage.rig.node(away).kill()?;
        delete(&mut wire, &queue)?;
        fill(&mut wire, &queue, "new")?;
        stage.wait_some(200..3_000);
        stage.bring_back(&[away])
    })?;
    stage.await_complete()?;
    stage.under("the other one goes", &[later], |stage| {
        stage.rig.node(later).kill()?;
        let found = drain(stage, away, &queue);
        stage.bring_back(&[later])?;
        let wanted: Vec<String> = (0..MESSAGES).map(|number| format!("new {number}")).collect();
        match found {
            Ok(found) if found == wanted => {}
            found => stage.find("I5", format!("{queue} was declared anew, and gave {found:?}")),
        }
        Ok(())
    })
}

fn open(stage: &mut Stage<'_>, node: usize) -> Result<Wire> {
    let address = stage.rig.node(node).addresses().amqp;
    let mut wire = Wire::open_channel_within(address, SETTLES)?;
    wire.set_patience(SETTLES);
    Ok(wire)
}

/// Declares a queue and publishes to it, confirmed.
fn fill(wire: &mut Wire, queue: &str, what: &str) -> Result<()> {
    wire.declare(1, queue, Flags::DURABLE, &[])?;
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
    for number in 0..MESSAGES {
        let body = format!("{what} {number}");
        wire.send(&publish(1, "", queue, 0, &[0x10, 0, 2], body.as_bytes()))?;
        wire.expect(1, id::ACK)?;
    }
    Ok(())
}

fn delete(wire: &mut Wire, queue: &str) -> Result<()> {
    let delete = delete_queue(1, queue);
    wire.call(1, delete, id::QUEUE_DELETE_OK).map(drop)
}

/// All that a queue gives, asked through a node; then it is deleted.
fn drain(stage: &mut Stage<'_>, node: usize, queue: &str) -> Result<Vec<String>> {
    let until = Instant::now() + SETTLES;
    let mut found = Vec::new();
    loop {
        let mut wire = open(stage, node)?;
        while let Ok(Some(message)) = wire.get(1, queue, true) {
            found.push(String::from_utf8_lossy(&message.body).into_owned());
        }
        let enough = usize::try_from(MESSAGES).is_ok_and(|enough| found.len() >= enough);
        if enough || Instant::now() > until {
            delete(&mut wire, queue)?;
            return Ok(found);
        }
        stage.wait(Duration::from_millis(200));
    }
}
