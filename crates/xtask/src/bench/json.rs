//! As much of JSON as reading a result and writing it again takes.

use std::fmt;

/// A JSON value. Numbers stay text: they are shown, not reckoned with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// A number, `true`, `false` or `null`, as it was written.
    Bare(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value; none where the text is no JSON.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut reader = Reader { rest: text };
        let value = reader.value(0)?;
        reader.skip_spaces();
        reader.rest.is_empty().then_some(value)
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn number(number: impl fmt::Display) -> Self {
        Self::Bare(number.to_string())
    }

    /// What stands at a path such as `confirm_ms.p99`.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| match value {
            Self::Object(fields) => fields.iter().find(|(key, _)| key == name).map(|(_, at)| at),
            Self::List(values) => name.parse().ok().and_then(|at: usize| values.get(at)),
            Self::Bare(_) | Self::Text(_) => None,
        })
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bare(word) => f.write_str(word),
            Self::Text(text) => write_text(f, text),
            Self::List(values) => {
                f.write_str("[")?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Self::Object(fields) => {
                f.write_str("{")?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "," })?;
                    write_text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for letter in text.chars() {
        match letter {
            '"' | '\\' => write!(f, "\\{letter}")?,
            letter if letter.is_control() => write!(f, "\\u{:04x}", u32::from(letter))?,
            letter => write!(f, "{letter}")?,
        }
    }
    f.write_str("\"")
}

/// Values within values; results have three levels.
const MAX_DEPTH: usize = 32;

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_spaces();
        match self.rest.chars().next()? {
            '{' => self.fields(depth).map(Json::Object),
            '[' => self.values(depth).map(Json::List),
            '"' => self.string().map(Json::Text),
            _ => self.bare().map(Json::Bare),
        }
    }

    fn fields(&mut self, depth: usize) -> Option<Vec<(String, Json)>> {
        let mut fields = Vec::new();
        self.take('{')?;
        if self.take('}').is_some() {
            return Some(fields);
        }
        loop {
            self.skip_spaces();
            let name = self.string()?;
            self.take(':')?;
            fields.push((name, self.value(depth + 1)?));
            if self.take(',').is_none() {
                self.take('}')?;
                return Some(fields);
            }
        }
    }

    fn values(&mut self, depth: usize) -> Option<Vec<Json>> {
        let mut values = Vec::new();
        self.take('[')?;
        if self.take(']').is_some() {
            return Some(values);
        }
        loop {
            values.push(self.value(depth + 1)?);
            if self.take(',').is_none() {
                self.take(']')?;
                return Some(values);
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        let mut letters = self.rest.strip_prefix('"')?.chars();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => text.push(escaped(&mut letters)?),
                letter => text.push(letter),
            }
        }
        self.rest = letters.as_str();
        Some(text)
    }

    fn bare(&mut self) -> Option<String> {
        let end = self.rest.find(|letter: char| !is_bare(letter)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        let known = matches!(word, "true" | "false" | "null") || word.parse::<f64>().is_ok();
        known.then(|| word.to_owned())
    }

    fn take(&mut self, letter: char) -> Option<()> {
        self.skip_spaces();
        self.rest = self.rest.strip_prefix(letter)?;
        Some(())
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }
}

fn is_bare(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')
}

fn escaped(letters: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match letters.next()? {
        'n' => '\n',
        't' => '\t',
        'r' => '\r',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'u' => {
            let digits: String = letters.by_ref().take(4).collect();
            char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
        }
        letter => letter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let text =
            "{\"a\":1.5,\"b\":[true,null,\"x \\\"y\\\"\"],\"c\":{\"d\":-2e3},\"e\":{},\"f\":[]}";

        let value = Json::read(&format!(" {text} ")).unwrap();

        assert_eq!(value.to_string(), text);
        assert_eq!(value.at("c.d"), Some(&Json::number("-2e3")));
        assert_eq!(value.at("c.e"), None);
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = "[".repeat(100);
        for text in ["", "{", "{\"a\"}", "[1,]", "nothing", "1 2", "\"open", deep.as_str()] {
            assert_eq!(Json::read(text), None, "{text}");
        }
    }
}
