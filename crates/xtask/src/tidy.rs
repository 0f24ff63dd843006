//! `cargo xtask tidy`: the rules of the house that no other tool knows.
//!
//! Reads the repository's manifests and sources as text, in a second and without a build:
//! arrows between crates, third-party crates behind their walls, what pure code may not
//! touch, how files begin and how long they get, what comments may not say. Every rule's
//! reason stands beside it and is printed with each finding.
//!
//! A finding that is right to be there is expected in a comment beside it: `tidy: expect`,
//! the rule's name in parentheses, then the reason. An expectation that nothing meets is a
//! finding itself.
//!
//! **Not here:** what clippy, rustfmt and cargo-deny check.

mod files;
mod lines;
mod manifest;
mod sources;
mod walls;

use std::fmt;
use std::path::Path;

use crate::{Outcome, workspace};
use files::Files;

/// One place that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    line: usize,
    rule: &'static str,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{}]", self.path, self.line, self.text, self.rule)
    }
}

/// Checks the repository and prints what it finds.
pub(crate) fn tidy(options: &[String]) -> Outcome {
    if let Some(option) = options.first() {
        return Err(format!("tidy takes no options, so not '{option}'"));
    }
    let findings = findings(&workspace::root()?)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => Err("tidy found 1 place".to_owned()),
        number => Err(format!("tidy found {number} places")),
    }
}

fn findings(root: &Path) -> Result<Vec<Finding>, String> {
    let files = Files::read(root)?;
    let mut findings = manifest::check(&files);
    findings.extend(sources::check(&files));
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests;
