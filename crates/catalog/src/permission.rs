//! Who may do what: regular expressions per user and virtual host.
//!
//! Expressions are searched for, not anchored, as in RabbitMQ, and the empty one means nothing.
//! A compiled expression is a cache: it is made from the text whenever that is set or restored,
//! and is no part of what is compared, stored or digested.

use std::borrow::Cow;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use crate::Name;

/// Bytes that one compiled expression may take: a refusal instead of a node out of memory.
const COMPILED_LIMIT_BYTES: usize = 256 * 1024;

/// Levels of brackets within each other; parsing recurses.
const NESTING_LIMIT: u32 = 64;

/// An expression that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid regular expression '{pattern}': {reason}")]
pub struct PatternError {
    /// The text.
    pub pattern: Name,
    /// What is wrong with it.
    pub reason: String,
}

/// A regular expression and its compiled form.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Name,
    compiled: Compiled,
}

#[derive(Clone, Debug)]
enum Compiled {
    /// Matches the empty name alone.
    Nothing,
    Everything,
    Search(Regex),
    /// The text does not compile, which is refused when it is set; so no name matches.
    Broken,
}

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// When the text is no expression or compiles to too much.
    pub fn new(text: Name) -> Result<Self, PatternError> {
        let compiled = match &*text {
            "" => Compiled::Nothing,
            ".*" => Compiled::Everything,
            other => Compiled::Search(compile(other).map_err(|error| PatternError {
                pattern: text.clone(),
                reason: error.to_string(),
            })?),
        };
        Ok(Self { text, compiled })
    }

    /// A stored expression, which compiled when it was set.
    pub(crate) fn restored(text: Name) -> Self {
        Self::new(text.clone()).unwrap_or(Self { text, compiled: Compiled::Broken })
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &Name {
        &self.text
    }

    /// Whether it is found in `name`.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match &self.compiled {
            Compiled::Nothing => name.is_empty(),
            Compiled::Everything => true,
            Compiled::Search(regex) => regex.is_match(name),
            Compiled::Broken => false,
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    let text = with_literal_braces(text);
    RegexBuilder::new(&text).size_limit(COMPILED_LIMIT_BYTES).nest_limit(NESTING_LIMIT).build()
}

/// `text` with each brace that begins no repetition taken for itself, as in PCRE. Names of
/// variables in topic permissions are written so.
fn with_literal_braces(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => {
                out.push(letter);
                let escaped = rest.next();
                out.extend(escaped);
                // Such as \p{Greek} and \x{7F}: braces of their own meaning.
                if matches!(escaped, Some('p' | 'P' | 'x' | 'u' | 'U' | 'b'))
                    && rest.as_str().starts_with('{')
                {
                    out.extend(rest.next());
                }
            }
            '{' if !begins_repetition(rest.as_str()) => out.push_str("\\{"),
            _ => out.push(letter),
        }
    }
    out
}

/// Whether `rest`, behind an opening brace, goes on as `3}`, `3,}` or `3,5}`.
fn begins_repetition(rest: &str) -> bool {
    let Some((inside, _)) = rest.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let is_number = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    !least.is_empty() && is_number(least) && is_number(most)
}

/// What somebody wants to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Declare or delete.
    Configure,
    /// Publish to, or bind into.
    Write,
    /// Consume from, or bind from.
    Read,
}

impl Access {
    /// The word that RabbitMQ's error texts use.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        }
    }
}

/// What one user may do in one virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// Names that may be declared and deleted.
    pub configure: Pattern,
    /// Names that may be written to.
    pub write: Pattern,
    /// Names that may be read from.
    pub read: Pattern,
}

impl Permission {
    /// Whether `access` to `name` is granted.
    #[must_use]
    pub fn allows(&self, access: Access, name: &str) -> bool {
        match access {
            Access::Configure => self.configure.matches(name),
            Access::Write => self.write.matches(name),
            Access::Read => self.read.matches(name),
        }
    }
}

/// What is done with a topic exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicAccess {
    /// Publish.
    Write,
    /// Bind.
    Read,
}

/// Which routing keys one user may use on one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPermission {
    /// Keys that may be published with.
    pub write: Pattern,
    /// Keys that may be bound with.
    pub read: Pattern,
}

/// What `{…}` stands for in topic permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicVariables<'a> {
    /// `{username}`
    pub username: &'a str,
    /// `{vhost}`
    pub vhost: &'a str,
    /// `{client_id}`
    pub client_id: Option<&'a str>,
}

/// A topic permission with its variables filled in, for one channel to keep.
#[derive(Clone, Debug)]
pub struct TopicCheck {
    /// None where nothing is set, which allows all.
    pattern: Option<Arc<Pattern>>,
}

impl TopicCheck {
    pub(crate) fn all() -> Self {
        Self { pattern: None }
    }

    pub(crate) fn new(pattern: &Pattern, variables: TopicVariables<'_>) -> Self {
        let pattern = match fill_in(&pattern.text, variables) {
            Cow::Borrowed(_) => pattern.clone(),
            Cow::Owned(text) => Pattern::restored(text.into()),
        };
        Self { pattern: Some(Arc::new(pattern)) }
    }

    /// Whether every key is allowed.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.pattern.is_none()
    }

    /// Whether `routing_key` is allowed. A key that is not text never matches an expression.
    #[must_use]
    pub fn allows(&self, routing_key: &[u8]) -> bool {
        match &self.pattern {
            None => true,
            Some(pattern) => std::str::from_utf8(routing_key).is_ok_and(|key| pattern.matches(key)),
        }
    }
}

fn fill_in<'a>(text: &'a str, variables: TopicVariables<'_>) -> Cow<'a, str> {
    let known = [
        ("{username}", Some(variables.username)),
        ("{vhost}", Some(variables.vhost)),
        ("{client_id}", variables.client_id),
    ];
    let mut filled = Cow::Borrowed(text);
    for (variable, value) in known {
        if let Some(value) = value.filter(|_| filled.contains(variable)) {
            filled = Cow::Owned(filled.replace(variable, &regex::escape(value)));
        }
    }
    filled
}

#[cfg(test)]
mod tests;
