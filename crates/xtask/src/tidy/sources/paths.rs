//! The paths that a source names.

use super::Line;

/// Every path in the code outside tests, with its line; `use` trees are written out.
pub(super) fn named(lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    // A `use` that is not closed yet: the line it began in, and its text so far.
    let mut open: Option<(usize, String)> = None;
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.test) {
        let code = line.code.trim();
        if open.is_none() && use_tree(code).is_some() {
            open = Some((index + 1, String::new()));
        }
        match &mut open {
            Some((start, text)) => {
                text.push_str(code);
                if code.ends_with(';') {
                    let tree = use_tree(text).unwrap_or_default().trim_end_matches(';');
                    write_out("", tree, *start, &mut found);
                    open = None;
                }
            }
            None => found.extend(in_code(code).map(|path| (index + 1, path))),
        }
    }
    found
}

/// Whether `path` names what is banned, or something in it: `std::fs::File` names `std::fs`,
/// and so does `fs::std::fs`, but `fs` alone or `my_std::fs` does not.
pub(super) fn names(path: &str, banned: &str) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let banned: Vec<&str> = banned.split("::").collect();
    parts.windows(banned.len()).any(|window| window == banned)
}

fn use_tree(code: &str) -> Option<&str> {
    let code = code.strip_prefix("pub").map_or(code, |rest| match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        None => rest,
    });
    code.trim_start().strip_prefix("use ")
}

/// `std::{fs, io::{self, Read}}` names `std::fs`, `std::io` and `std::io::Read`.
fn write_out(prefix: &str, tree: &str, line: usize, found: &mut Vec<(usize, String)>) {
    let tree = tree.trim();
    if let Some((head, rest)) = tree.split_once('{') {
        let inner = rest.strip_suffix('}').unwrap_or(rest);
        for branch in branches(inner) {
            write_out(&format!("{prefix}{}", head.trim()), branch, line, found);
        }
        return;
    }
    let name = tree.split(" as ").next().unwrap_or(tree).trim();
    let path = match name {
        "" => return,
        "self" => prefix.trim_end_matches("::").to_owned(),
        name => format!("{prefix}{name}"),
    };
    found.push((line, path));
}

/// Splits at the commas that stand in no inner braces.
fn branches(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let mut start = 0;
    let mut found = Vec::new();
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                found.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(text.get(start..));
    found
}

/// Runs of names joined by `::`.
fn in_code(code: &str) -> impl Iterator<Item = String> {
    let joined = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    code.split(move |letter: char| !joined(letter))
        .map(|run| run.trim_matches(':').to_owned())
        // A single name is a variable or a field; what it stands for was imported by its path.
        .filter(|run| run.contains("::") || run.starts_with(char::is_uppercase))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::lines;

    fn paths(source: &str) -> Vec<String> {
        named(&lines::read(source)).into_iter().map(|(_, path)| path).collect()
    }

    #[test]
    fn use_trees_are_written_out() {
        let source = "use std::{\n  fs,\n  io::{self, Read as R},\n};\npub(crate) use a::b;";

        assert_eq!(paths(source), ["std::fs", "std::io", "std::io::Read", "a::b"]);
    }

    #[test]
    fn only_whole_names_are_taken_for_a_banned_path() {
        assert!(names("std::fs::File", "std::fs"));
        assert!(names("::std::fs", "std::fs"));
        assert!(!names("std::fsx", "std::fs"));
        assert!(!names("my_rand::x", "rand"));
    }
}
