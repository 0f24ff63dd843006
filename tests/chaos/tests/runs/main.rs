//! What runs with every change: `warren-chaos` on three real nodes, one run at a time.
//!
//! It makes itself a world of its own where it can. Where it cannot, what only kills and freezes
//! runs all the same, and the rest says that it is left out. Seeds are fixed, so that a run that
//! fails can be had again with the line it prints.

mod frozen;
mod pairs;
mod planted;
mod scenarios;

use std::process::Command;

/// `warren-chaos`, told where to keep what fails. The broker lies beside this test program, or is
/// named by WARREN_BIN.
fn chaos(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren-chaos"));
    command.args(arguments).args(["--dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos")]);
    command
}

/// A run that must find nothing.
fn passes(arguments: &[&str]) {
    let output = chaos(arguments).output().expect("warren-chaos can be started");

    let said = String::from_utf8_lossy(&output.stderr);
    let again = arguments.join(" ");
    assert!(output.status.success(), "{said}\nagain: cargo xtask chaos {again}");
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stdout));
}
