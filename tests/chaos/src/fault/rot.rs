//! What is on a disk is not what was written: on one node at a time, and never on a majority.
//!
//! A node that finds damage may rebuild what is damaged or stop; one that stopped is given an
//! empty disk, as an operator would. What it must not do is go on as if nothing had happened:
//! that is for the checkers, who see what comes of it.
//!
//! A whole directory that is rolled back is harmless only while no other node is lost before the
//! cluster is complete again: nothing in it can tell that it is old ([`roll_back`]).

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Stage;
use crate::history::DAMAGE;
use crate::tools;

/// The fault whose nodes may end by themselves at any time.
pub(super) const NAME: &str = "N10";

/// How long a node that starts on a damaged disk is given until it is ready or stops.
const DECIDES: Duration = Duration::from_secs(60);

/// What the files of a data directory are for, by a part of their names.
const CLASSES: &[(&str, &str)] = &[
    ("write-ahead log", ".log"),
    ("table", ".sst"),
    ("manifest", "MANIFEST"),
    ("current", "CURRENT"),
    ("options", "OPTIONS"),
    ("segment", ".segment"),
    ("checkpoint", "checkpoint"),
    ("engine", "engine"),
    ("identity", "identity"),
];

/// What is done to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flip,
    Truncate,
    RollBack,
}

/// Damages a file of a node that does not run, and sees what the node does.
pub(super) fn damage(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    let how = *stage.dice.one_of(&[Damage::Flip, Damage::Flip, Damage::Truncate, Damage::RollBack]);
    stage.under(DAMAGE, &[node], |stage| {
        stage.rig.node(node).kill()?;
        let data = stage.rig.node(node).data().to_owned();
        let Some((class, file)) = choose(stage, &data) else {
            return stage.bring_back(&[node]);
        };
        let older = fs::read(&file)?;
        if how == Damage::RollBack {
            // The node runs on with the file, then finds it as it was.
            stage.bring_back(&[node])?;
            stage.wait_some(2_000..6_000);
            stage.rig.node(node).kill()?;
            fs::write(&file, older)?;
        } else {
            apply(stage, how, &file)?;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        stage.recorder.note(&format!("{how:?} of {class} {name}"));
        settle(stage, node)
    })?;
    // Only one disk at a time: the next victim's replicas may be the only whole ones.
    if let Err(error) = stage.await_complete() {
        stage.find("I16", format!("what was damaged is not rebuilt: {error:#}"));
        stage.rig.heal()?;
    }
    Ok(())
}

/// All files of a node become what they were some seconds ago, as when an old copy of a disk is put
/// back. It has forgotten votes and entries that it had promised to keep, and takes them from the others,
/// who are left alone meanwhile.
pub(super) fn roll_back(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    stage.under("roll back", &[node], |stage| {
        stage.rig.node(node).kill()?;
        let data = stage.rig.node(node).data().to_owned();
        let copy = data.with_extension("older");
        drop(fs::remove_dir_all(&copy));
        copy_all(&data, &copy)?;
        stage.bring_back(&[node])?;
        stage.await_complete()?;
        stage.wait_some(2_000..6_000);
        stage.rig.node(node).kill()?;
        fs::remove_dir_all(&data)?;
        fs::rename(&copy, &data)?;
        settle(stage, node)?;
        stage.await_complete()
    })
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    tools::run("cp", &["-a", &from.display().to_string(), &to.display().to_string()]).map(drop)
}

/// A node comes back with an empty disk.
pub(super) fn wipe(stage: &mut Stage<'_>) -> Result<()> {
    let node = stage.victim();
    stage.under("lose the disk", &[node], |stage| {
        let before = stage.rig.identity(node);
        stage.rig.node(node).kill()?;
        stage.rig.wipe(node)?;
        stage.wait_some(100..4_000);
        stage.bring_back(&[node])?;
        stage.await_complete()?;
        stage.judge_identity(node, before);
        Ok(())
    })
}

/// Starts a node on what it has; where it stops, on an empty disk.
fn settle(stage: &mut Stage<'_>, node: usize) -> Result<()> {
    stage.rig.launch(node)?;
    let ready = stage.rig.node(node).await_ready(DECIDES);
    stage.wait_some(2_000..4_000);
    if ready.is_ok() && stage.rig.node(node).is_running() {
        return Ok(());
    }
    let last = stage.rig.node(node).log_tail();
    stage.recorder.note(&format!("it does not go on with that and gets an empty disk: {last}"));
    stage.rig.node(node).kill()?;
    stage.rig.wipe(node)?;
    stage.bring_back(&[node])
}

fn choose(stage: &mut Stage<'_>, data: &Path) -> Option<(&'static str, PathBuf)> {
    let mut all = Vec::new();
    collect(data, &mut all);
    all.sort();
    let of = |part: &str| -> Vec<PathBuf> {
        let is_one = |file: &&PathBuf| {
            file.file_name().is_some_and(|name| name.to_string_lossy().contains(part))
        };
        all.iter().filter(is_one).cloned().collect()
    };
    let classes: Vec<(&'static str, Vec<PathBuf>)> = CLASSES
        .iter()
        .map(|(class, part)| (*class, of(part)))
        .filter(|(_, files)| !files.is_empty())
        .collect();
    let (class, files) = classes.get(stage.dice.place(classes.len().max(1)))?;
    Some((class, stage.dice.one_of(files).clone()))
}

fn collect(dir: &Path, all: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, all);
        } else if entry.metadata().is_ok_and(|meta| meta.len() > 0) {
            all.push(path);
        }
    }
}

fn apply(stage: &mut Stage<'_>, how: Damage, path: &Path) -> Result<()> {
    let len = File::open(path)?.metadata()?.len();
    let at = stage.dice.within(0..len.max(1));
    let file = OpenOptions::new().read(true).write(true).open(path).context("cannot open it")?;
    if how == Damage::Truncate {
        file.set_len(at)?;
        return Ok(());
    }
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    byte[0] ^= 1 << stage.dice.within(0..8);
    file.write_all_at(&byte, at)?;
    Ok(())
}
