//! What `warren-measure` does by itself: the same kinds of work for three nodes of ours and for a
//! peer, in turn; and what many queues, messages, bindings and connections cost, what a long stream
//! does, and messages that wait for their time.

use std::process::Stdio;

use super::machine::Machine;
use crate::{Outcome, cargo, failover};

/// What asks for the kinds of work, where nobody is named to compare with.
const MATRIX: &str = "matrix";

/// What asks for the cost of many, a stream's pace, and how late scheduled messages come.
const ALONE: [&str; 3] = ["scale", "streams", "scheduled"];

/// What asks for the kinds of work, and names whom to compare with.
const AGAINST: &str = "--against";

/// Which of these the command line asks for.
pub(super) fn asked_for(options: &[String]) -> Option<&'static str> {
    let has = |word: &str| options.iter().any(|option| option == word);
    if let Some(task) = ALONE.into_iter().find(|task| has(task)) {
        return Some(task);
    }
    (has(MATRIX) || has(AGAINST)).then_some(MATRIX)
}

/// Has `warren-measure` do it; the options are its own.
pub(super) fn bench(task: &str, options: &[String]) -> Outcome {
    let options: Vec<&String> = options.iter().filter(|word| *word != task).collect();
    if !options.iter().any(|word| *word == "--json") {
        for (name, value) in Machine::look().facts() {
            println!("- {name}: {value}");
        }
        println!();
    }
    let mut command = failover::measuring()?;
    command.arg(task).args(options).stderr(Stdio::inherit());
    cargo::finish(&mut command, "warren-measure")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_or_a_word_asks_for_what_is_measured_in_one_go() {
        let asked = |line: &str| {
            asked_for(&line.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>())
        };

        assert_eq!(asked("matrix --rounds 1"), Some(MATRIX));
        assert_eq!(asked("--against amqp://127.0.0.1:1 100B"), Some(MATRIX));
        assert_eq!(asked("scale --queues 100"), Some("scale"));
        assert_eq!(asked("scheduled --spare"), Some("scheduled"));
        assert_eq!((asked("one-queue --seconds 3"), asked("")), (None, None));
    }
}
