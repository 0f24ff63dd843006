//! `cargo xtask fuzz`: looks for inputs that a decoder cannot bear.
//!
//! The targets of `tests/fuzz` are built with counters in every branch, and libFuzzer (which bolero
//! brings along) changes inputs after what each reaches. New ones that reach something stay in the
//! build directory; one that a target cannot bear is kept beside them and its path is said. Copied
//! into `tests/fuzz/corpus/TARGET`, it is a test from then on.

use std::fs;
use std::path::Path;

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

/// What has a build count what it reaches, and bolero hand over to libFuzzer.
const GUIDED: [&str; 9] = [
    "--cfg=fuzzing",
    "--cfg=fuzzing_libfuzzer",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cdebug-assertions=on",
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
    let cargo = Cargo::bare()?;
    let host = host(&cargo)?;
    let target_dir = workspace::programs()?.join("fuzz");
    // The target is named so that build scripts and macros are built without counters.
    let words = ["build", "--package", "warren-fuzz", "--bins", "--release", "--target", &host];
    let mut command = cargo.command(&words);
    command.env("CARGO_TARGET_DIR", &target_dir).env("CARGO_ENCODED_RUSTFLAGS", flags());
    cargo::finish(&mut command, "cargo build")?;
    let program = target_dir.join(&host).join("release/warren-fuzz");
    for name in names {
        let (seeds, found) = (corpus.join(&name), target_dir.join("corpus").join(&name));
        fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
        eprintln!("xtask: {name}, {seconds} s");
        let arguments = format!(
            "{} {} -artifact_prefix={}/bad- -max_total_time={seconds} -timeout={HANG_SECONDS} \
             -max_len={INPUT_BYTES} -rss_limit_mb={MEMORY_MIB} -print_final_stats=1",
            found.display(),
            seeds.display(),
            target_dir.display(),
        );
        let mut command = std::process::Command::new(&program);
        command.arg(&name).env("BOLERO_LIBFUZZER_ARGS", arguments);
        cargo::finish(&mut command, &name)?;
    }
    Ok(())
}

fn flags() -> String {
    GUIDED.join("\u{1f}")
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

/// What this machine is to the compiler.
fn host(cargo: &Cargo) -> Result<String, String> {
    let output = cargo.command(&["-vV"]).output().map_err(|error| format!("cargo: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "cargo does not say which machine this is".to_owned())
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
}
