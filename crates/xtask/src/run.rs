//! `cargo xtask run`: a broker from a clone.

use std::process::Command;

use crate::cargo::Cargo;
use crate::{Outcome, workspace};

/// Builds, then becomes `warren server` with the given options.
pub(crate) fn run(options: &[String]) -> Outcome {
    Cargo::ready()?.build_programs()?;
    let warren = workspace::program("warren")?;
    let mut command = Command::new(&warren);
    command.arg("server").args(options);
    become_program(&mut command)
}

/// Puts the program in this one's place, so that signals and exit code are the broker's own.
#[cfg(unix)]
fn become_program(command: &mut Command) -> Outcome {
    use std::os::unix::process::CommandExt;

    let error = command.exec();
    Err(format!("cannot start {}: {error}", command.get_program().display()))
}

#[cfg(not(unix))]
fn become_program(command: &mut Command) -> Outcome {
    crate::cargo::finish(command, "warren server")
}
