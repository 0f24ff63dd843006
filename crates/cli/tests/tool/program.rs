//! The program under each of its names.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

/// Runs it under a name, asking the node there.
pub(crate) fn run(name: &str, url: &str, arguments: &[&str]) -> Output {
    command(name, arguments).env("WARREN_URL", url).output().expect("the program runs")
}

/// The same with something to read.
pub(crate) fn fed(name: &str, url: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = command(name, arguments);
    command.env("WARREN_URL", url).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).expect("the program reads");
    drop(stdin);
    child.wait_with_output().expect("the program ends")
}

/// The program, with nothing around it that it could find a node by.
pub(crate) fn command(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warrenctl"));
    command.arg0(name).args(arguments).stdin(Stdio::null());
    command.env_remove("WARREN_URL").env_remove("WARREN_DATA_DIR").current_dir("/");
    command
}

/// What it printed.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}
