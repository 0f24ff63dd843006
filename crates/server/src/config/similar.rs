//! Guesses which key was meant.

use super::section::Key;

/// Differing letters up to which two keys are taken for the same one misspelt.
const MISSPELT_LETTERS: usize = 2;

/// The key that `path` was probably meant to be: the same name elsewhere, or nearly the same name.
pub(crate) fn similar(path: &str, keys: &[Key]) -> Option<String> {
    let name = last_part(path);
    let elsewhere = keys.iter().find(|key| last_part(&key.path) == name);
    let nearest = || {
        keys.iter()
            .map(|key| (distance(path, &key.path), key))
            .filter(|(letters, _)| *letters <= MISSPELT_LETTERS)
            .min_by_key(|(letters, _)| *letters)
            .map(|(_, key)| key)
    };
    elsewhere.or_else(nearest).map(|key| key.path.clone())
}

fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Letters to add, drop or replace to make `left` into `right` (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (number, letter) in left.chars().enumerate() {
        let mut next = vec![number + 1];
        let mut before = number + 1;
        for ((other, above), diagonal) in right.iter().zip(row.iter().skip(1)).zip(&row) {
            let replaced = diagonal + usize::from(letter != *other);
            before = replaced.min(above + 1).min(before + 1);
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
