//! A Rust source, line by line, with code and comments told apart.
//!
//! Strings are emptied, so that nothing in them is taken for code, and every line knows
//! whether it belongs to tests.
//!
//! **Not here:** a parser. What a macro makes of its input is not seen.

/// One line of a source.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// The code, with empty strings.
    pub(super) code: String,
    /// The comments' text.
    pub(super) comment: String,
    /// Whether only tests are compiled from it.
    pub(super) test: bool,
}

/// Where the reader stands between two characters.
enum Place {
    Code,
    LineComment,
    /// Block comments nest: the depth.
    BlockComment(usize),
    Text,
    /// A raw string: how many `#` end it.
    RawText(usize),
}

/// Tells a source's code from its comments and its tests.
pub(super) fn read(source: &str) -> Vec<Line> {
    let mut lines = split(source);
    mark_tests(&mut lines);
    lines
}

fn split(source: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut place = Place::Code;
    for text in source.lines() {
        let mut line = Line::default();
        place = split_line(text, place, &mut line);
        lines.push(line);
    }
    lines
}

fn split_line(text: &str, mut place: Place, line: &mut Line) -> Place {
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let (next, length) = match place {
            Place::Code => in_code(rest, letter, line),
            Place::LineComment => {
                line.comment.push_str(rest);
                (Place::LineComment, rest.len())
            }
            Place::BlockComment(depth) => in_block_comment(rest, letter, depth, line),
            Place::Text => match letter {
                '\\' => (Place::Text, 1 + rest.chars().nth(1).map_or(0, char::len_utf8)),
                '"' => {
                    line.code.push('"');
                    (Place::Code, 1)
                }
                _ => (Place::Text, letter.len_utf8()),
            },
            Place::RawText(hashes) => {
                let end = format!("\"{}", "#".repeat(hashes));
                if rest.starts_with(&end) {
                    line.code.push('"');
                    (Place::Code, end.len())
                } else {
                    (Place::RawText(hashes), letter.len_utf8())
                }
            }
        };
        place = next;
        rest = rest.get(length..).unwrap_or_default();
    }
    if matches!(place, Place::LineComment) { Place::Code } else { place }
}

fn in_code(rest: &str, letter: char, line: &mut Line) -> (Place, usize) {
    if rest.starts_with("//") {
        return (Place::LineComment, 2);
    }
    if rest.starts_with("/*") {
        return (Place::BlockComment(1), 2);
    }
    if let Some(hashes) = raw_text_start(rest, &line.code) {
        line.code.push('"');
        return (Place::RawText(hashes), hashes + 2);
    }
    if letter == '\'' {
        let length = character_length(rest);
        line.code.push('\'');
        return (Place::Code, length);
    }
    line.code.push(letter);
    let place = if letter == '"' { Place::Text } else { Place::Code };
    (place, letter.len_utf8())
}

fn in_block_comment(rest: &str, letter: char, depth: usize, line: &mut Line) -> (Place, usize) {
    if rest.starts_with("/*") {
        return (Place::BlockComment(depth + 1), 2);
    }
    if rest.starts_with("*/") {
        let place = if depth == 1 { Place::Code } else { Place::BlockComment(depth - 1) };
        return (place, 2);
    }
    line.comment.push(letter);
    (Place::BlockComment(depth), letter.len_utf8())
}

/// How many `#` the raw string has that starts here, if one does.
fn raw_text_start(rest: &str, before: &str) -> Option<usize> {
    let after = rest.strip_prefix('r')?;
    let word = before.trim_end_matches(['b', 'c']);
    let glued =
        |text: &str| text.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    if glued(word) || before.len() > word.len() + 1 {
        return None;
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    after.get(hashes..)?.starts_with('"').then_some(hashes)
}

/// The length of a character literal; of a lifetime, that of its quote alone.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            let escaped = letters.next().map_or(rest.len(), |(at, letter)| at + letter.len_utf8());
            let tail = rest.get(escaped..).unwrap_or_default();
            tail.find('\'').map_or(rest.len(), |at| escaped + at + 1)
        }
        Some(_) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Marks what stands under `#[cfg(test)]`, from the attribute to the end of its item.
fn mark_tests(lines: &mut [Line]) {
    let mut depth: Option<usize> = None;
    let mut waiting = false;
    for line in lines {
        let code = line.code.clone();
        let mut text = code.as_str();
        if depth.is_none() && !waiting {
            let Some(at) = test_attribute(&code) else { continue };
            text = code.get(at..).unwrap_or_default();
            waiting = true;
        }
        line.test = true;
        for letter in text.chars() {
            match (letter, depth) {
                ('{', None) if waiting => (depth, waiting) = (Some(1), false),
                (';', None) => waiting = false,
                ('{', Some(open)) => depth = Some(open + 1),
                ('}', Some(1)) => depth = None,
                ('}', Some(open)) => depth = Some(open - 1),
                _ => {}
            }
        }
    }
}

/// Where the text after an attribute begins that leaves its item to tests.
fn test_attribute(code: &str) -> Option<usize> {
    let starts = ["#[cfg(test)]", "#[cfg(all(test", "#[cfg(any(test"];
    starts.iter().find_map(|start| code.find(start).map(|at| at + start.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> Vec<String> {
        read(source).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let source = "a(\"x // y\"); // b\nc /* d /* e */ f */ g\nlet h = r#\"i \" j\"#; k";

        assert_eq!(code(source), ["a(\"\"); ", "c  g", "let h = \"\"; k"]);
        assert_eq!(read(source).first().unwrap().comment, " b");
    }

    #[test]
    fn a_lifetime_opens_no_character_and_a_quote_in_one_opens_no_string() {
        let source = "fn f<'a>(x: &'a str) { g('\"', '\\'', '\\u{7f}'); } // h";

        assert_eq!(code(source), ["fn f<'a>(x: &'a str) { g(', ', '); } "]);
    }

    #[test]
    fn strings_go_on_over_lines() {
        let source = "a(\"b\n c // d\n\"); e";

        assert_eq!(code(source), ["a(\"", "", "\"); e"]);
    }

    #[test]
    fn tests_end_where_their_item_ends() {
        let source = "a();\n#[cfg(test)]\nmod tests {\n  b();\n}\nc();\n#[cfg(test)]\nmod d;\ne();";

        let tests: Vec<bool> = read(source).iter().map(|line| line.test).collect();

        assert_eq!(tests, [false, true, true, true, true, false, true, true, false]);
    }
}
