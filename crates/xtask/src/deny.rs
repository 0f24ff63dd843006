//! `cargo xtask deny`: what comes from outside, checked by cargo-deny as `.deny.toml` says.
//!
//! The walls between crates hold without this: `tidy` checks them as well. cargo-deny adds licences,
//! where crates come from, and advisories about known holes. Compiling it takes longer than most
//! changes may, so `check` does without where it is not there, and this chore makes it.

use std::env;
use std::path::PathBuf;

use crate::Outcome;
use crate::cargo::{self, Cargo};

/// The release whose words `.deny.toml` uses.
const VERSION: &str = "0.20.2";

/// What needs nothing from the network once the crates are there.
const OFFLINE: [&str; 3] = ["bans", "licenses", "sources"];

/// Checks everything, advisories included, with a cargo-deny that is compiled if it is not there.
pub(crate) fn deny(options: &[String]) -> Outcome {
    if let Some(option) = options.first() {
        return Err(format!("'{option}' means nothing: cargo xtask deny"));
    }
    let cargo = Cargo::bare()?;
    if !is_there(&cargo) {
        let root = folder()?;
        let root = root.to_str().ok_or("the cache's path is no text")?;
        let install = ["install", "--locked", "--no-default-features", "--root", root, "--version"];
        let words = [&install[..], &[VERSION, "cargo-deny"]].concat();
        eprintln!("xtask: cargo-deny is compiled once, which takes some minutes");
        cargo.run(&words)?;
    }
    run(&cargo, &[])
}

/// As a part of `cargo xtask check`: what needs no network, if cargo-deny is there.
pub(crate) fn check() -> Outcome {
    let cargo = Cargo::bare()?;
    if !is_there(&cargo) {
        println!("check: there is no cargo-deny (cargo xtask deny brings it): skipped");
        return Ok(());
    }
    run(&cargo, &OFFLINE)
}

fn run(cargo: &Cargo, which: &[&str]) -> Outcome {
    let words = [&["deny", "--workspace", "check"], which].concat();
    let mut command = cargo.command(&words);
    cargo::finish(command.env("PATH", path()?), "cargo deny")
}

fn is_there(cargo: &Cargo) -> bool {
    let Ok(path) = path() else { return false };
    let mut command = cargo.command(&["deny", "--version"]);
    let version = command.env("PATH", path).output();
    version.is_ok_and(|version| version.status.success())
}

/// PATH with our own folder behind everything else.
fn path() -> Result<std::ffi::OsString, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain([folder()?.join("bin")]);
    env::join_paths(folders).map_err(|error| error.to_string())
}

/// Where programs for chores lie, beside the build directory of unattended runs.
fn folder() -> Result<PathBuf, String> {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(cache.ok_or("neither XDG_CACHE_HOME nor HOME is set")?.join("warren/tools"))
}
