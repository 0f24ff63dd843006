//! `warrenctl`: asks a node over HTTP, and nothing else.
//!
//! Data goes to stdout, all else to stderr. The exit code tells: 0 for yes, 64 for a command line
//! that makes no sense, 69 for a node that cannot be reached or is not well, 70 for an answer
//! that is none.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

mod flags;
mod http;
mod node;

use std::process::ExitCode;

use clap::Parser as _;
use flags::{Flags, Task};
use node::{Failure, Report};

/// A command line that makes no sense (sysexits: EX_USAGE).
const USAGE: u8 = 64;
/// A node that cannot be reached or is not well (sysexits: EX_UNAVAILABLE).
const UNAVAILABLE: u8 = 69;
/// An answer that no node gives (sysexits: EX_SOFTWARE).
const SENSELESS: u8 = 70;

fn main() -> ExitCode {
    let flags = match Flags::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Help and version count as errors for clap; those it prints to stdout.
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            return if error.print().is_ok() { code } else { ExitCode::from(SENSELESS) };
        }
    };
    let outcome = match flags.task {
        Task::Ping => node::ping(&flags.url, flags.timeout()),
        Task::Status => node::status(&flags.url, flags.timeout()),
    };
    finish(&flags, outcome)
}

fn finish(flags: &Flags, outcome: Result<Report, Failure>) -> ExitCode {
    match outcome {
        Ok(report) => {
            println!("{}", report.show(flags.format));
            if report.well { ExitCode::SUCCESS } else { ExitCode::from(UNAVAILABLE) }
        }
        Err(failure) => {
            eprintln!("Error: {failure}");
            ExitCode::from(match failure {
                Failure::Url(_) => USAGE,
                Failure::Unreachable { .. } => UNAVAILABLE,
                Failure::Senseless { .. } => SENSELESS,
            })
        }
    }
}
