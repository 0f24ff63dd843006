//! Findings that a comment expects.

use super::super::Finding;
use super::Line;

/// How an expectation begins; the rule and a closing parenthesis follow.
const START: &str = "tidy: expect(";

/// A comment that expects a finding.
struct Expectation {
    /// Where it stands.
    at: usize,
    /// The line that it speaks of: its own, or the next one with code.
    of: usize,
    rule: String,
    has_reason: bool,
    met: bool,
}

/// Takes out the findings that are expected, and adds one for each expectation that nothing met.
pub(super) fn settle(path: &str, lines: &[Line], findings: Vec<Finding>) -> Vec<Finding> {
    let mut expectations = expectations(lines);
    let mut rest: Vec<Finding> = Vec::new();
    for finding in findings {
        let expected = expectations
            .iter_mut()
            .find(|expectation| expectation.of == finding.line && expectation.rule == finding.rule);
        match expected {
            Some(expectation) => expectation.met = true,
            None => rest.push(finding),
        }
    }
    for expectation in &expectations {
        let text = match (expectation.met, expectation.has_reason) {
            (true, true) => continue,
            (true, false) => "an expectation has a reason".to_owned(),
            (false, _) => format!("nothing here breaks the rule '{}'", expectation.rule),
        };
        rest.push(Finding { path: path.to_owned(), line: expectation.at, rule: "expect", text });
    }
    rest
}

fn expectations(lines: &[Line]) -> Vec<Expectation> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((_, rest)) = line.comment.split_once(START) else { continue };
        let Some((rule, reason)) = rest.split_once(')') else { continue };
        let next = lines.iter().skip(index).position(|line| !line.code.trim().is_empty());
        found.push(Expectation {
            at: index + 1,
            of: index + 1 + next.unwrap_or(0),
            rule: rule.to_owned(),
            has_reason: !reason.trim().is_empty(),
            met: false,
        });
    }
    found
}
