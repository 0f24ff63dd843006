//! The bytes of a method's arguments, taken one by one.

use std::fmt;
use std::ops::Range;

use warren_types::{Table, TableError};

use crate::{Bound, ConnectionError, MethodId, ReplyCode};

/// What one argument looks like. Consecutive bits share an octet and are one [`Field::Bits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Two bytes.
    Short,
    /// Four bytes.
    Long,
    /// Eight bytes.
    LongLong,
    /// Text behind an octet with its length.
    ShortString,
    /// Bytes behind four bytes with their length.
    LongString,
    /// Up to eight bits in one octet.
    Bits,
    /// A field table behind four bytes with its length.
    Table,
}

/// Why arguments or properties cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgumentError {
    #[error("its bytes end too early")]
    Truncated,
    #[error("{count} bytes too many")]
    Trailing { count: usize },
    #[error("a short string is not UTF-8")]
    NotText,
    #[error("a property beyond those of class basic")]
    UnknownProperty,
    #[error("{0}")]
    Table(#[from] TableError),
}

impl ArgumentError {
    /// What the client hears of a method's arguments.
    pub(crate) fn in_method(self, method: MethodId) -> ConnectionError {
        match self {
            // Like RabbitMQ, blame the method on channel 0 only.
            Self::NotText if method.class == MethodId::CONNECTION_CLOSE.class => {
                not_text(method).at(method)
            }
            Self::NotText => not_text(method),
            Self::Table(TableError::TooDeep { .. }) => {
                undecodable(method, self).at(method).beyond(Bound::TableDepth)
            }
            Self::Truncated | Self::Trailing { .. } | Self::UnknownProperty | Self::Table(_) => {
                undecodable(method, self).at(method)
            }
        }
    }

    /// What the client hears of a content header's properties.
    pub(crate) fn in_header(self) -> ConnectionError {
        let what = "content header";
        match self {
            Self::NotText => not_text(what).at(MethodId::BASIC_PUBLISH),
            Self::Table(TableError::TooDeep { .. }) => {
                undecodable(what, self).beyond(Bound::TableDepth)
            }
            Self::Truncated | Self::Trailing { .. } | Self::UnknownProperty | Self::Table(_) => {
                undecodable(what, self)
            }
        }
    }
}

/// The error for bytes that are not laid out as they should be.
pub(crate) fn undecodable(what: impl fmt::Display, why: impl fmt::Display) -> ConnectionError {
    ConnectionError::new(ReplyCode::FrameError, format_args!("cannot decode {what}: {why}"))
}

fn not_text(what: impl fmt::Display) -> ConnectionError {
    ConnectionError::new(ReplyCode::FrameError, "Malformed UTF-8 in shortstr").with_note(what)
}

/// Takes arguments off the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arguments<'a> {
    rest: &'a [u8],
}

impl<'a> Arguments<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ArgumentError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(ArgumentError::Truncated)?;
        self.rest = tail;
        Ok(head)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], ArgumentError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or(ArgumentError::Truncated)?;
        self.rest = tail;
        Ok(*head)
    }

    pub(crate) fn octet(&mut self) -> Result<u8, ArgumentError> {
        self.fixed().map(u8::from_be_bytes)
    }

    pub(crate) fn short(&mut self) -> Result<u16, ArgumentError> {
        self.fixed().map(u16::from_be_bytes)
    }

    pub(crate) fn long(&mut self) -> Result<u32, ArgumentError> {
        self.fixed().map(u32::from_be_bytes)
    }

    pub(crate) fn long_long(&mut self) -> Result<u64, ArgumentError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// The bytes of a short string, checked to be UTF-8.
    pub(crate) fn short_string(&mut self) -> Result<&'a str, ArgumentError> {
        let length = usize::from(self.octet()?);
        std::str::from_utf8(self.take(length)?).map_err(|_| ArgumentError::NotText)
    }

    /// What stands behind a length of four bytes: a long string, or the inside of a table.
    pub(crate) fn long_string(&mut self) -> Result<&'a [u8], ArgumentError> {
        let length = self.long()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn finish(self) -> Result<(), ArgumentError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(ArgumentError::Trailing { count }),
        }
    }
}

/// A field table within arguments: where its bytes stand, its length in front not
/// among them, and what they say.
#[derive(Debug)]
pub(crate) struct FoundTable {
    pub(crate) range: Range<usize>,
    pub(crate) table: Table,
}

/// Accepts arguments that are laid out as `layout` says and nothing else; returns the table
/// among them, decoded. No method has two.
pub(crate) fn check_arguments(
    layout: &[Field],
    bytes: &[u8],
) -> Result<Option<FoundTable>, ArgumentError> {
    let mut arguments = Arguments::new(bytes);
    let mut found = None;
    for field in layout {
        match field {
            Field::Bits => drop(arguments.octet()?),
            Field::Short => drop(arguments.short()?),
            Field::Long => drop(arguments.long()?),
            Field::LongLong => drop(arguments.long_long()?),
            Field::ShortString => drop(arguments.short_string()?),
            Field::LongString => drop(arguments.long_string()?),
            Field::Table => {
                let inside = arguments.long_string()?;
                let end = bytes.len().saturating_sub(arguments.left());
                let range = end.saturating_sub(inside.len())..end;
                found = Some(FoundTable { range, table: Table::decode(inside)? });
            }
        }
    }
    arguments.finish()?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_accepted_only_in_whole() {
        let layout = [Field::Short, Field::ShortString, Field::Bits];
        let bytes = [0, 0, 2, b'o', b'k', 1];

        assert!(check_arguments(&layout, &bytes).is_ok_and(|found| found.is_none()));
        for end in 0..bytes.len() {
            let outcome = check_arguments(&layout, &bytes[..end]).map(drop);
            assert_eq!(outcome, Err(ArgumentError::Truncated), "{end} bytes");
        }
        let longer = [0, 0, 2, b'o', b'k', 1, 7];
        let outcome = check_arguments(&layout, &longer).map(drop);
        assert_eq!(outcome, Err(ArgumentError::Trailing { count: 1 }));
    }

    #[test]
    fn a_table_is_found_where_it_stands() {
        let layout = [Field::Short, Field::Table, Field::Bits];
        let bytes = [0, 0, 0, 0, 0, 3, 1, b'k', b'V', 9];

        let found = check_arguments(&layout, &bytes).expect("well-formed").expect("a table");

        assert_eq!(found.range, 6..9);
        assert_eq!(found.table.len(), 1);
    }
}
