//! `cargo xtask fuzz`: looks for inputs that a decoder cannot bear.
//!
//! Our crates are built with counters in every branch, and libFuzzer changes inputs after what each
//! reaches. New ones that reach something stay in the build directory; one that a target cannot bear is
//! kept beside them and its path is said. Copied into `tests/fuzz/corpus/TARGET`, it is a test from then
//! on.
//!
//! Libraries are those of every other build: compiling RocksDB once more would take longer than most
//! searches. So this program stands in front of the compiler of our own crates meanwhile
//! (`RUSTC_WORKSPACE_WRAPPER`) and adds the flags, and cargo keeps what comes of it apart.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::cargo::{self, Cargo};
use crate::{Outcome, workspace};

/// Seconds for each target, unless it is said how many.
const SECONDS: u32 = 60;

/// Seconds after which one input counts as a hang.
const HANG_SECONDS: u32 = 10;

/// The longest input. Beyond it there is little that shorter ones do not reach.
const INPUT_BYTES: u32 = 16 * 1024;

/// Memory, MiB, that no target needs.
const MEMORY_MIB: u32 = 1024;

/// Set for the compiler's sake: count what is reached.
const GUIDE: &str = "WARREN_FUZZ_GUIDE";

/// Set for the program's sake: which target.
const TARGET: &str = "WARREN_FUZZ_TARGET";

/// What has a crate count what it reaches, and miss no sum that is too large.
const COUNTED: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Coverflow-checks=on",
];

/// Fuzzes the targets that are named, or all.
pub(crate) fn fuzz(options: &[String]) -> Outcome {
    let (seconds, mut names) = read(options)?;
    let root = workspace::root()?;
    let corpus = root.join("tests/fuzz/corpus");
    if names.is_empty() {
        names = folders(&corpus)?;
    }
    build()?;
    let programs = workspace::programs()?;
    let (program, results) = (programs.join("examples/guided"), programs.join("fuzz"));
    for name in names {
        let (seeds, found) = (corpus.join(&name), results.join("corpus").join(&name));
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        eprintln!("xtask: {name}, {seconds} s");
        let mut command = Command::new(&program);
        command.args([&found, &seeds]).env(TARGET, &name);
        command.arg(format!("-artifact_prefix={}/{name}-", results.display()));
        command.args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={HANG_SECONDS}"),
            format!("-max_len={INPUT_BYTES}"),
            format!("-rss_limit_mb={MEMORY_MIB}"),
            "-print_final_stats=1".to_owned(),
        ]);
        cargo::finish(&mut command, &name)?;
    }
    Ok(())
}

/// Selects an example, so that features are united as for tests.
fn build() -> Outcome {
    let front = env::current_exe().map_err(|error| format!("no path to xtask: {error}"))?;
    let words = ["build", "--workspace", "--example", "guided", "--features", "warren-fuzz/guided"];
    let cargo = Cargo::ready()?;
    let mut command = cargo.command(&words);
    command.env("RUSTC_WORKSPACE_WRAPPER", front).env(GUIDE, "1");
    cargo::finish(&mut command, "cargo build")
}

/// Compiles, if it is cargo that started this program in place of the compiler.
pub(crate) fn as_compiler() -> Option<ExitCode> {
    env::var_os(GUIDE)?;
    let words: Vec<String> = env::args().skip(1).collect();
    let (compiler, words) = words.split_first()?;
    let mut command = Command::new(compiler);
    command.args(words);
    if is_counted(words) {
        command.args(COUNTED);
    }
    Some(cargo::exit_code(&mut command))
}

/// Whether these words compile a part of the program, and not one that runs while it is built.
fn is_counted(words: &[String]) -> bool {
    let name = words.iter().skip_while(|word| *word != "--crate-name").nth(1);
    name.is_some_and(|name| name != "___" && !name.starts_with("build_script"))
}

/// For how long, and what.
fn read(options: &[String]) -> Result<(u32, Vec<String>), String> {
    let (mut seconds, mut names) = (SECONDS, Vec::new());
    let mut words = options.iter();
    while let Some(word) = words.next() {
        if word != "--seconds" {
            names.push(word.clone());
            continue;
        }
        let number = words.next().and_then(|word| word.parse().ok());
        seconds = number.ok_or("--seconds needs a number")?;
    }
    Ok((seconds, names))
}

fn folders(corpus: &Path) -> Result<Vec<String>, String> {
    let unreadable = |error| format!("{}: {error}", corpus.display());
    let entries = fs::read_dir(corpus).map_err(unreadable)?;
    let mut names: Vec<String> = entries
        .map(|entry| Ok(entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, String>>()?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Result<(u32, Vec<String>), String> {
        read(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_time_and_targets_may_be_named() {
        assert_eq!(words(&[]), Ok((SECONDS, Vec::new())));
        assert_eq!(words(&["rows", "--seconds", "5"]), Ok((5, vec!["rows".to_owned()])));
        assert!(words(&["--seconds", "long"]).is_err());
    }

    #[test]
    fn what_runs_while_the_program_is_built_is_not_counted() {
        let is_counted =
            |text: &str| is_counted(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());

        assert!(is_counted("--crate-name warren_amqp --edition=2024 lib.rs"));
        assert!(!is_counted("--crate-name build_script_build build.rs"));
        assert!(!is_counted("- --crate-name ___ --print=file-names"));
        assert!(!is_counted("-vV"));
    }
}
