//! Cargo, called the same way by every chore.
//!
//! **What always holds:** every build selects `--workspace` and the test targets or examples
//! with it. Cargo unites the features of what is selected; a chore that selected less would
//! have other features, and compile half of the dependencies once more.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use crate::{Outcome, needs, workspace};

/// What `cargo run` sets for this program, and must not reach the cargo below it: build scripts
/// that watch these would run again whenever cargo is called with and without xtask in turn.
const OWN_VARIABLES: [&str; 3] = ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_"];

/// The folders in which distributions keep compilers that are really ccache.
const CCACHE_FOLDERS: [&str; 5] = [
    "/usr/lib/ccache",
    "/usr/lib64/ccache",
    "/usr/lib/ccache/bin",
    "/opt/homebrew/opt/ccache/libexec",
    "/usr/local/opt/ccache/libexec",
];

/// Cargo, once what the build needs is there.
pub(crate) struct Cargo {
    root: PathBuf,
    environment: Vec<(&'static str, OsString)>,
}

impl Cargo {
    /// Sees to what the build needs, then gives cargo.
    pub(crate) fn ready() -> Result<Self, String> {
        let mut environment = needs::build()?;
        if let Some(path) = path_with_ccache() {
            environment.push(("PATH", path));
        }
        Ok(Self { root: workspace::root()?, environment })
    }

    /// Cargo for what compiles nothing that needs more than Rust.
    pub(crate) fn bare() -> Result<Self, String> {
        Ok(Self { root: workspace::root()?, environment: Vec::new() })
    }

    /// `cargo words…`, to be started in the clone's top directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(&self.root).args(words);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if OWN_VARIABLES.iter().any(|own| name.starts_with(own)) {
                command.env_remove(name);
            }
        }
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// Runs `cargo words…` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Outcome {
        finish(&mut self.command(words), &format!("cargo {}", words.join(" ")))
    }

    /// Builds every program.
    ///
    /// `--examples` is there for its side effect: it makes cargo unite features the way that
    /// tests do, without compiling tests. Standard output stays free for the chore's own.
    pub(crate) fn build_programs(&self) -> Outcome {
        let words = ["build", "--workspace", "--bins", "--examples"];
        let mut command = self.command(&words);
        finish(command.stdout(Stdio::from(std::io::stderr())), "cargo build")
    }

    /// Whether `cargo word` exists.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.command(&[word, "--version"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

/// Runs a program to its end; `name` is what to call it when it fails.
pub(crate) fn finish(command: &mut Command, name: &str) -> Outcome {
    let status = command.status().map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed ({status})")) }
}

/// Runs a program in place of this one, and ends as it does.
pub(crate) fn exit_code(command: &mut Command) -> ExitCode {
    let code = command.status().ok().and_then(|status| status.code());
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// PATH with ccache's compilers in front, so that RocksDB, most of a cold build, is compiled
/// once per machine and not once per build directory.
///
/// PATH and not CXX: RocksDB's build script watches CXX and would start over when it changes.
fn path_with_ccache() -> Option<OsString> {
    let path = env::var_os("PATH")?;
    let folder = CCACHE_FOLDERS
        .iter()
        .map(PathBuf::from)
        .find(|folder| folder.join("c++").exists())
        .or_else(linked_ccache)?;
    env::join_paths(iter::once(folder).chain(env::split_paths(&path))).ok()
}

/// A folder of our own in which compilers' names lead to the ccache on PATH; ccache tells by
/// the name under which it is called what to be.
#[cfg(unix)]
fn linked_ccache() -> Option<PathBuf> {
    let ccache = workspace::on_path("ccache")?;
    let folder = workspace::programs().ok()?.join("ccache");
    fs::create_dir_all(&folder).ok()?;
    for name in ["cc", "c++", "gcc", "g++"].iter().filter(|name| workspace::on_path(name).is_some())
    {
        let link = folder.join(name);
        if !link.exists() {
            std::os::unix::fs::symlink(&ccache, &link).ok()?;
        }
    }
    Some(folder)
}

#[cfg(not(unix))]
fn linked_ccache() -> Option<PathBuf> {
    None
}
