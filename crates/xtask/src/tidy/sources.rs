//! What the sources say: heads, lengths, names, comments, and what pure code touches.

mod expect;
mod paths;

use std::collections::BTreeSet;

use super::Finding;
use super::files::{Files, crate_of};
use super::lines::{self, Line};
use super::walls::{AMBIENT, LOOKUP_FILE, ORDER_REASON, ORDERED, PURE, WALKS};

/// Lines that a file may have without its tests: more than one noun or verb is in a longer one.
const FILE_LINES: usize = 800;

/// Words that say when a comment was written instead of what holds.
const HISTORY: [&str; 3] = ["for now", "no longer", "as requested"];

/// Marks of unfinished work; the first is allowed with the number of an issue.
const MARKS: [&str; 4] = ["TODO", "FIXME", "XXX", "HACK"];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 5] = ["utils", "helpers", "common", "misc", "manager"];

/// A source, read.
struct Source<'a> {
    path: &'a str,
    krate: &'a str,
    lines: Vec<Line>,
    /// Whether the whole file is compiled for tests alone.
    test: bool,
}

pub(super) fn check(files: &Files) -> Vec<Finding> {
    let test_files = test_files(files);
    let mut findings = Vec::new();
    for (path, content) in files.sources() {
        let test = is_test_file(path) || test_files.iter().any(|start| path.starts_with(start));
        let source = Source { path, krate: crate_of(path), lines: lines::read(content), test };
        let found = source.findings();
        findings.extend(expect::settle(path, &source.lines, found));
    }
    findings
}

impl Source<'_> {
    fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.check_file(&mut findings);
        for (index, line) in self.lines.iter().enumerate() {
            self.check_comment(index + 1, &line.comment, &mut findings);
            self.check_attributes(index + 1, &line.code, &mut findings);
        }
        if PURE.contains(&self.krate) && !self.test {
            self.check_ambient(&mut findings);
        }
        if ORDERED.contains(&self.krate) && !self.test {
            self.check_order(&mut findings);
        }
        findings
    }

    fn add(&self, findings: &mut Vec<Finding>, line: usize, rule: &'static str, text: String) {
        findings.push(Finding { path: self.path.to_owned(), line, rule, text });
    }

    fn check_file(&self, findings: &mut Vec<Finding>) {
        let name = self.path.rsplit('/').next().unwrap_or(self.path);
        let stem = name.trim_end_matches(".rs");
        if name == "mod.rs" {
            let text = "queue.rs beside queue/, never mod.rs: many tabs of one name".to_owned();
            self.add(findings, 1, "mod-file", text);
        }
        if self.path.split('/').chain([stem]).any(|part| EMPTY_NAMES.contains(&part)) {
            let text = "a name says what is inside; this one fits anything".to_owned();
            self.add(findings, 1, "empty-name", text);
        }
        let first =
            self.lines.iter().find(|line| !(line.code.is_empty() && line.comment.is_empty()));
        let has_head =
            first.is_some_and(|line| line.code.is_empty() && line.comment.starts_with('!'));
        if self.path.contains("/src/") && !self.test && !has_head {
            let text =
                "no head: //! says what it is, what always holds, what is not here".to_owned();
            self.add(findings, 1, "head", text);
        }
        let length = self.lines.iter().filter(|line| !line.test).count();
        if !self.test && length > FILE_LINES {
            let text = format!("{length} lines without tests, more than {FILE_LINES}");
            self.add(findings, 1, "length", text);
        }
    }

    fn check_comment(&self, line: usize, comment: &str, findings: &mut Vec<Finding>) {
        let small = comment.to_lowercase();
        for words in HISTORY.iter().filter(|words| has_word(&small, words)) {
            let text = format!("\"{words}\": a comment speaks of the code as it stands");
            self.add(findings, line, "history", text);
        }
        for mark in MARKS.iter().filter(|mark| has_word(comment, mark)) {
            if !(*mark == "TODO" && has_issue(comment)) {
                let text = format!("{mark} without an issue: write TODO(#number)");
                self.add(findings, line, "unfinished", text);
            }
        }
    }

    fn check_attributes(&self, line: usize, code: &str, findings: &mut Vec<Finding>) {
        if code.contains("#[ignore") {
            let text = "an ignored test checks nothing: repair it or remove it".to_owned();
            self.add(findings, line, "ignored", text);
        }
        // What several test programs share is unused in some of them, so tests may allow.
        if !self.test && (code.contains("#[allow(") || code.contains("#![allow(")) {
            let text = "#[expect(lint, reason)] complains once it has become needless".to_owned();
            self.add(findings, line, "allow", text);
        }
        if code.contains("#[expect(") || code.contains("#![expect(") {
            let rest = self.lines.iter().skip(line - 1).map(|line| line.code.as_str());
            if !attribute(rest).contains("reason") {
                let text = "a silenced lint has a reason".to_owned();
                self.add(findings, line, "reason", text);
            }
        }
    }

    fn check_ambient(&self, findings: &mut Vec<Finding>) {
        for (line, path) in paths::named(&self.lines) {
            let found = AMBIENT.iter().find(|ambient| paths::names(&path, ambient.path));
            if let Some(ambient) = found {
                let text = format!("{path} in a pure crate: {}", ambient.reason);
                self.add(findings, line, "ambient", text);
            }
        }
    }

    fn check_order(&self, findings: &mut Vec<Finding>) {
        let is_lookup = self.path.ends_with(&format!("/{LOOKUP_FILE}"));
        for (index, line) in self.lines.iter().enumerate().filter(|(_, line)| !line.test) {
            for word in words(&line.code) {
                let is_map = word.ends_with("HashMap") || word.ends_with("HashSet");
                if is_map && !is_lookup {
                    let text = format!("{word}: {ORDER_REASON}");
                    self.add(findings, index + 1, "order", text);
                }
                if is_lookup && (WALKS.contains(&word) || word == "IntoIterator") {
                    let text = format!("{word} walks a hash map: {ORDER_REASON}");
                    self.add(findings, index + 1, "order", text);
                }
            }
        }
    }
}

fn is_test_file(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    // Everything in package warren-tests, a crate's tests/, benches/ and examples/, which measure
    // and show, and src/…/tests.rs.
    parts.iter().any(|part| matches!(*part, "tests" | "benches" | "examples" | "tests.rs"))
}

/// The beginnings of paths of modules that are declared under `#[cfg(test)]`.
fn test_files(files: &Files) -> BTreeSet<String> {
    let mut starts = BTreeSet::new();
    for (path, content) in files.sources() {
        let stem = path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => folder,
            _ => stem,
        };
        for line in lines::read(content).iter().filter(|line| line.test) {
            let Some(rest) = line.code.split("mod ").nth(1) else { continue };
            if let Some(name) = rest.strip_suffix(';') {
                starts.insert(format!("{folder}/{name}.rs"));
                starts.insert(format!("{folder}/{name}/"));
            }
        }
    }
    starts
}

/// An attribute from its first line to the one that closes it.
fn attribute<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        if text.matches('[').count() <= text.matches(']').count() {
            break;
        }
    }
    text
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .filter(|word| !word.is_empty())
}

/// Whether `words` stand in `text` as whole words.
fn has_word(text: &str, words: &str) -> bool {
    let joins = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric());
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|text| text.chars().next());
        !joins(before) && !joins(after)
    })
}

fn has_issue(comment: &str) -> bool {
    let issue = comment.split("TODO(#").nth(1);
    issue.is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_digit()))
}
