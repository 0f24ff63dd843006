//! Programs of the system that the rig calls.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// What the whole set of faults needs beside root.
pub const NEEDED: &[&str] = &[
    "ip",
    "nft",
    "mkfs.ext4",
    "losetup",
    "mount",
    "umount",
    "fsfreeze",
    "nsenter",
    "unshare",
    "ss",
];

/// Those that are missing.
pub fn missing() -> Vec<&'static str> {
    NEEDED.iter().copied().filter(|name| find(name).is_none()).collect()
}

/// Where a program is.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // The PATH of a user who is not root often lacks what only root needs.
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// What a program prints.
///
/// # Errors
///
/// When it cannot be started or fails, with what it said.
pub fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let found = find(program).with_context(|| format!("there is no {program}"))?;
    let mut command = Command::new(found);
    command.args(arguments);
    finish(command, &format!("{program} {}", arguments.join(" ")))
}

/// What a command prints.
///
/// # Errors
///
/// When it cannot be started or fails, with what it said.
pub fn finish(mut command: Command, name: &str) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{name}`"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`{name}` failed: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
