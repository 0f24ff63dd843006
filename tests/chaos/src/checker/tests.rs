//! Every planted fault is found, and named by its invariant; where nothing was planted, nothing is.

mod planted;
mod scene;
mod scripts;
mod table;

use super::*;
use crate::history::Line;
use scene::Scene;

/// What is found in a history, by invariant, each once.
fn found(lines: Vec<Line>) -> Vec<&'static str> {
    invariants(&verdict(lines))
}

fn verdict(lines: Vec<Line>) -> Verdict {
    check(&History::Memory(lines), &Readings::default())
}

fn invariants(verdict: &Verdict) -> Vec<&'static str> {
    let mut names: Vec<_> =
        verdict.violations.iter().map(|violation| violation.invariant).collect();
    names.sort_unstable();
    names.dedup();
    names
}
