//! A world of our own: namespaces that hold all that a run makes, and end with it.
//!
//! The program starts itself once more in a network, a mount and a process namespace. What is
//! made there, interfaces, mounts, loop devices, processes, is unmade by the kernel as soon as the
//! first process in it ends, however that happens: success, failure, panic, ctrl-C or `kill -9`.
//!
//! What is outside of every namespace are control groups; [`super::cgroup`] sweeps them. And a file
//! system that is frozen outlives its mounts: a watchdog, which nobody who ends us knows, thaws it.

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, ensure};

use crate::tools;

/// Set for the program inside.
const INSIDE: &str = "WARREN_CHAOS_INSIDE";

/// What makes the world.
const UNSHARE: [&str; 6] = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Names, for the program inside, the file with the places that it froze.
const FROZEN: &str = "WARREN_CHAOS_FROZEN";

/// How long a namespace may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);

/// The watchdog: waits until process $1 is gone, reaped or not, then thaws what file $2 lists in its
/// mount namespace, and takes the file away. It keeps that namespace until then.
const WATCH: &str = r#"exec 9<"/proc/$1/ns/mnt"
while read -r _ _ state _ <"/proc/$1/stat" && [ "$state" != Z ]; do sleep 0.2; done
while read -r place; do nsenter --mount="/proc/$$/fd/9" fsfreeze -u "$place"; done <"$2"
rm -f "$2""#;

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
    let frozen = tempfile::NamedTempFile::new()?.into_temp_path().keep()?;
    command.env(FROZEN, &frozen).env(INSIDE, "1");
    let mut child = command.stdin(Stdio::piped()).spawn()?;
    watch(&child, &frozen)?;
    // Waiting closes the input of a child that still has it.
    let _leash = child.stdin.take();
    Ok(child.wait()?)
}

/// Has somebody thaw what `child` froze when it is gone. Whoever kills it, or us, or our process group,
/// does not reach him.
fn watch(child: &Child, frozen: &Path) -> Result<()> {
    let pid = child.id().to_string();
    let namespace = format!("/proc/{pid}/ns/mnt");
    let ours = fs::read_link("/proc/self/ns/mnt")?;
    let until = Instant::now() + PATIENCE;
    loop {
        match fs::read_link(&namespace) {
            Ok(found) if found != ours => break,
            // It has ended already.
            Err(_) => return fs::remove_file(frozen).map_err(Into::into),
            Ok(_) => {}
        }
        ensure!(Instant::now() < until, "no world is made within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
    let mut command = Command::new(tools::find("setsid").context("there is no setsid")?);
    command.args(["sh", "-c", WATCH, "watch", &pid]).arg(frozen);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // He ends by himself, and not before we do.
    drop(command.spawn().context("cannot start setsid")?);
    Ok(())
}

/// Notes, before it happens, that a file system freezes.
///
/// # Errors
///
/// When it cannot be noted.
pub fn note_frozen(place: &Path) -> Result<()> {
    let Some(file) = env::var_os(FROZEN) else { return Ok(()) };
    let mut file = fs::OpenOptions::new().append(true).open(file)?;
    writeln!(file, "{}", place.display()).context("cannot note what is frozen")
}
