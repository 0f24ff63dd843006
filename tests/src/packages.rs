//! Other people's tools that are installed on demand, each by name and version, into directories of
//! their own under the user's cache (`$XDG_CACHE_HOME/warren`), and found there the next time.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::python::Library;
use crate::tools;

/// A client of the management API for Python.
pub const PYRABBIT2: Library = Library {
    name: "pyrabbit2-1.0.7",
    requirements: &["pyrabbit2==1.0.7", "requests>=2,<3"],
    package: "pyrabbit2",
    programs: "management",
    without_libev: false,
};

/// Where a package of npm is installed, or nothing, said on stderr, where it cannot be.
#[must_use]
pub fn npm(package: &str) -> Option<PathBuf> {
    tools::find(&["node", "npm"])?;
    let name = package.replace(['/', '@'], "-");
    let install = |dir: &Path| {
        let arguments = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
        said(Command::new("npm").args(arguments).arg(dir).arg(package))
    };
    or_without(installed("npm", &name, "node_modules", install))
}

/// `rabbitmqadmin` of RabbitMQ 3, a program for Python, out of Debian's package; nothing, said on
/// stderr, where it cannot be had.
#[must_use]
pub fn rabbitmqadmin_3() -> Option<PathBuf> {
    const PROGRAM: &str = "rabbitmqadmin";
    tools::find(&["apt-get", "dpkg-deb", "python3"])?;
    let install = |dir: &Path| {
        let fetch = ["download", "--quiet", "rabbitmq-server"];
        said(Command::new("apt-get").args(fetch).current_dir(dir))?;
        let package = found(dir, |path| path.extension().is_some_and(|it| it == "deb"));
        let package = package.context("nothing was fetched")?;
        said(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(dir.join("all")))?;
        let program = found(&dir.join("all"), |path| path.ends_with("www/cli/rabbitmqadmin"));
        fs::copy(program.context("it is not in the package")?, dir.join(PROGRAM))?;
        fs::remove_file(package)?;
        Ok(fs::remove_dir_all(dir.join("all"))?)
    };
    let dir = installed("debian", "rabbitmqadmin-3", PROGRAM, install);
    Some(or_without(dir)?.join(PROGRAM))
}

/// What was installed, or why the test has to do without it.
fn or_without(installed: Result<PathBuf>) -> Option<PathBuf> {
    installed.inspect_err(|error| tools::without(&format!("{error:#}"))).ok()
}

/// The directory of something, installed if `sign` is not in it.
pub(crate) fn installed(
    kind: &str,
    name: &str,
    sign: &str,
    install: impl Fn(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = cache()?.join("warren").join(kind);
    let target = root.join(name);
    if target.join(sign).exists() {
        return Ok(target);
    }
    fs::create_dir_all(&root)?;
    let staging = tempfile::Builder::new().prefix("installing-").tempdir_in(&root)?;
    install(staging.path()).with_context(|| format!("cannot install {name}"))?;
    // Whoever comes first wins; the other finds it done.
    if fs::rename(staging.path(), &target).is_err() {
        ensure!(target.join(sign).exists(), "cannot put {name} in its place");
    }
    Ok(target)
}

/// Where the user's programs keep what they can get again.
fn cache() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(dir));
    }
    let home = env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(PathBuf::from(home).join(".cache"))
}

/// Runs a command to its end; what it said is the error, if it fails.
pub(crate) fn said(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {text}");
    Ok(())
}

/// The first file below `dir` that is meant.
fn found(dir: &Path, is_it: fn(&Path) -> bool) -> Option<PathBuf> {
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).ok()?.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => dirs.push(entry.path()),
                Ok(_) if is_it(&entry.path()) => return Some(entry.path()),
                Ok(_) | Err(_) => {}
            }
        }
    }
    None
}
