//! Names within paths and headers.

use std::fmt::Write as _;

/// `text` as a part of a path or query: letters, digits and `.-~_` stay as they are.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let letter = char::from(byte);
        if letter.is_ascii_alphanumeric() || ".-~_".contains(letter) {
            escaped.push(letter);
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string succeeds");
        }
    }
    escaped
}

/// `name` as the name of a file that no shell and no header takes for something else.
pub(crate) fn file_name(name: &str) -> String {
    let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "._-@".contains(*letter);
    name.chars().filter(is_plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_a_path_is_escaped() {
        assert_eq!(escape("a.#/ %~_-Zü"), "a.%23%2F%20%25~_-Z%C3%BC");
    }
}
