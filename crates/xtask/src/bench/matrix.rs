//! The same kinds of work for three nodes of ours and for a peer, in turn.

use std::process::Stdio;

use super::machine::Machine;
use crate::{Outcome, cargo, failover};

/// What asks for it, where nobody is named to compare with.
const WORD: &str = "matrix";

/// What asks for it, and names whom to compare with.
const AGAINST: &str = "--against";

/// Whether the command line asks for this.
pub(super) fn is_asked_for(options: &[String]) -> bool {
    options.iter().any(|word| word == WORD || word == AGAINST)
}

/// Has `warren-measure` do it; the options are its own.
pub(super) fn bench(options: &[String]) -> Outcome {
    let options: Vec<&String> = options.iter().filter(|word| *word != WORD).collect();
    if !options.iter().any(|word| *word == "--json") {
        for (name, value) in Machine::look().facts() {
            println!("- {name}: {value}");
        }
        println!();
    }
    let mut command = failover::measuring()?;
    command.arg(WORD).args(options).stderr(Stdio::inherit());
    cargo::finish(&mut command, "warren-measure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_or_the_word_asks_for_the_matrix() {
        let asked = |line: &str| {
            is_asked_for(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
        };

        assert!(asked("matrix --rounds 1") && asked("--against amqp://127.0.0.1:1 100B"));
        assert!(!asked("one-queue --seconds 3") && !asked(""));
    }
}
