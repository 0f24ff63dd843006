//! `rabbitmq-server`: becomes `warren server`.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::{env, fs};

use crate::failure::{SOFTWARE, UNAVAILABLE};

/// The program that is a node.
const PROGRAM: &str = "warren";

/// Starts a node: in the place of this process, or beside it with `-detached`.
#[expect(clippy::print_stderr, reason = "a command line tool prints")]
pub(crate) fn run(words: &[String]) -> ExitCode {
    let detached = words.iter().any(|word| word == "-detached");
    let more = words.iter().filter(|word| *word != "-detached");
    let mut command = Command::new(program());
    command.arg("server").args(more);
    if !detached {
        let error = command.exec();
        eprintln!("Error: {PROGRAM} cannot be started: {error}");
        return ExitCode::from(SOFTWARE);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    match command.spawn() {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {PROGRAM} cannot be started: {error}");
            ExitCode::from(if error.kind() == io::ErrorKind::NotFound {
                UNAVAILABLE
            } else {
                SOFTWARE
            })
        }
    }
}

/// The program beside this one, or by its name wherever the shell would find it.
fn program() -> PathBuf {
    let here = env::current_exe().and_then(fs::canonicalize);
    let beside = here.ok().map(|here| here.with_file_name(PROGRAM)).filter(|file| file.exists());
    beside.unwrap_or_else(|| PathBuf::from(PROGRAM))
}
