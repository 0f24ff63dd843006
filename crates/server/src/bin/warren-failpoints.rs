//! `warren-failpoints`: the program `warren`, with the places where a test rig can break it.

#[path = "../main.rs"]
mod program;

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main()
}
