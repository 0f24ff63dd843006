//! What the build and the tests need of the machine, beside Rust.
//!
//! RocksDB is compiled from source: a C++ compiler, and libclang to read its header. Some
//! tests use a Python client. What is missing is installed where that is allowed, and named
//! in one line where it is not. When nothing is missing, nothing is asked of the network.

mod libclang;
mod packages;

use std::ffi::OsString;
use std::process::{Command, Stdio};

use crate::{Outcome, workspace};
use packages::Need;

/// What the build needs.
const FOR_BUILD: &[Need] = &[Need::Compiler, Need::Libclang];

/// What the tests need: the build, and a Python client beside it.
const FOR_TESTS: &[Need] = &[Need::Compiler, Need::Libclang, Need::Python];

/// Sees to what the build needs; returns what cargo's environment must say about it.
pub(crate) fn build() -> Result<Vec<(&'static str, OsString)>, String> {
    see_to(FOR_BUILD)?;
    Ok(libclang::find().map(|library| library.environment()).unwrap_or_default())
}

/// Sees to what the tests need, in one go.
pub(crate) fn tests() -> Outcome {
    see_to(FOR_TESTS)
}

/// Sees to what it takes to break networks and disks. Without it, chaos only kills and freezes:
/// worth a word, and no reason to stop.
pub(crate) fn rig() {
    if !cfg!(target_os = "linux") {
        eprintln!("xtask: only Linux lets networks and disks be broken: chaos kills and freezes");
    } else if let Err(sentence) = see_to(&[Need::Rig]) {
        eprintln!("xtask: {sentence}; chaos only kills and freezes");
    }
}

fn see_to(needs: &[Need]) -> Outcome {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    packages::install(&missing)?;
    match self::missing(needs).as_slice() {
        [] => Ok(()),
        still => Err(format!("still missing after the installation: {}", packages::list(still))),
    }
}

fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().copied().filter(|need| !is_there(*need)).collect()
}

fn is_there(need: Need) -> bool {
    match need {
        Need::Compiler => has_compiler(),
        Need::Libclang => libclang::find().is_some(),
        Need::Python => has_python(),
        Need::Rig => has_rig(),
    }
}

/// Whether there is the compiler that RocksDB's build script would take.
fn has_compiler() -> bool {
    match std::env::var("CXX") {
        // "ccache g++" is a compiler, too: its last word.
        Ok(named) => named.split_whitespace().last().is_some_and(exists),
        Err(_) => ["c++", "clang++"].iter().any(|name| exists(name)),
    }
}

fn exists(program: &str) -> bool {
    std::path::Path::new(program).is_file() || workspace::on_path(program).is_some()
}

/// Whether there is what `tests/chaos/src/tools.rs` asks for, in folders that need not be on PATH.
fn has_rig() -> bool {
    let is_there = |name: &&str| {
        let folders = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
        workspace::on_path(name).is_some() || folders.iter().any(|dir| dir.join(name).is_file())
    };
    let names =
        ["ip", "nft", "mkfs.ext4", "losetup", "mount", "fsfreeze", "nsenter", "unshare", "ss"];
    names.iter().all(is_there)
}

/// Whether Python is there, with the modules that make a virtual environment.
fn has_python() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
