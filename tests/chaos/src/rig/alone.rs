//! A world of our own: namespaces that hold all that a run makes, and end with it.
//!
//! The program starts itself once more in a network, a mount and a process namespace. What is
//! made there, interfaces, mounts, loop devices, processes, is unmade by the kernel as soon as the
//! first process in it ends, however that happens: success, failure, panic, ctrl-C or `kill -9`.
//!
//! What is outside of every namespace are control groups; [`super::cgroup`] sweeps them.

use std::env;
use std::ffi::OsStr;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use anyhow::{Context as _, Result};

use crate::tools;

/// Set for the program inside.
const INSIDE: &str = "WARREN_CHAOS_INSIDE";

/// What makes the world.
const UNSHARE: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Whether this is the program inside.
pub fn is_inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// What keeps us from a world of our own, if anything does.
pub fn obstacle() -> Option<String> {
    let missing = tools::missing();
    if !missing.is_empty() {
        return Some(format!("missing: {}", missing.join(", ")));
    }
    let mut arguments = UNSHARE.to_vec();
    // A loop device is what containers lack most often.
    arguments.extend(["sh", "-c", "ip link set lo up && losetup -f"]);
    tools::run("unshare", &arguments).err().map(|error| format!("{error:#}"))
}

/// Starts this program again, with the same arguments, in a world of its own; gives its exit code.
///
/// # Errors
///
/// When it cannot be started.
pub fn enter() -> Result<ExitCode> {
    let status = enter_with(env::args_os().skip(1))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Starts this program again, with other arguments, in a world of its own. Its input ends when this
/// program does, however that happens.
///
/// # Errors
///
/// When it cannot be started.
pub fn enter_with(arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<ExitStatus> {
    let program = env::current_exe().context("this program has a path")?;
    let mut command = Command::new(tools::find("unshare").context("there is no unshare")?);
    command.args(UNSHARE).arg("--").arg(program).args(arguments);
    let mut child = command.env(INSIDE, "1").stdin(Stdio::piped()).spawn()?;
    // Waiting closes the input of a child that still has it.
    let _leash = child.stdin.take();
    Ok(child.wait()?)
}
