//! A token that was found good: whose it is, what it allows, and until when.

use crate::authority::Question;
use crate::scopes::Scopes;

/// A token that was found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub(crate) user: String,
    pub(crate) scopes: Scopes,
    pub(crate) expires_s: Option<u64>,
}

impl Token {
    /// The user's name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The user's tags, sorted.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        self.scopes.tags()
    }

    /// From when on it is good no more, seconds since 1970; none where it has no end.
    #[must_use]
    pub fn expires_s(&self) -> Option<u64> {
        self.expires_s
    }

    /// Whether it allows what is asked.
    #[must_use]
    pub fn allows(&self, question: &Question<'_>) -> bool {
        self.scopes.allow(question)
    }
}
