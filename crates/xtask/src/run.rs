//! `cargo xtask run`: a broker from a clone, or a cluster of them.

use std::process::Command;

use crate::cargo::Cargo;
use crate::{Outcome, workspace};

/// Builds, then becomes `warren server` with the given options; or, where one of them says how many
/// nodes there are to be, `warren cluster`.
pub(crate) fn run(options: &[String]) -> Outcome {
    Cargo::ready()?.build_programs()?;
    let warren = workspace::program("warren")?;
    let mut command = Command::new(&warren);
    command.arg(task(options)).args(options);
    become_program(&mut command)
}

/// What the program is to do with `options`.
fn task(options: &[String]) -> &'static str {
    let several = |option: &String| option == "--nodes" || option.starts_with("--nodes=");
    if options.iter().any(several) { "cluster" } else { "server" }
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
    crate::cargo::finish(command, "warren")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_make_a_cluster_and_anything_else_a_server() {
        let options = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();

        assert_eq!(task(&options(&["--nodes", "3"])), "cluster");
        assert_eq!(task(&options(&["--dir", "d", "--nodes=3"])), "cluster");
        assert_eq!(task(&options(&["--data-dir", "--nodesque"])), "server");
        assert_eq!(task(&[]), "server");
    }
}
