//! AMQP field tables: the values, and their bytes on the wire.
//!
//! A [`Table`] keeps the order its sender chose and every key it sent. The bytes are those of
//! AMQP 0-9-1 with RabbitMQ's errata (`s` is a 16-bit integer, `x` a byte array), so the same
//! code serves the wire and the disk.
//!
//! **Invariant:** decoding never recurses deeper than [`MAX_TABLE_DEPTH`], whatever the bytes say.

use bytes::{BufMut, BytesMut};

use crate::Timestamp;

/// Tables and arrays within each other that are accepted. Parsing recurses, and an unbounded
/// nesting of a few bytes a level would overflow the stack before anyone has logged in.
pub const MAX_TABLE_DEPTH: usize = 64;

/// The bytes are no field table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The bytes end within a key or value.
    #[error("field table ends within {what}")]
    Truncated {
        /// Within what.
        what: &'static str,
    },
    /// A type octet that AMQP does not know.
    #[error("unknown field type {octet:#04x}")]
    UnknownType {
        /// The octet.
        octet: u8,
    },
    /// More than [`MAX_TABLE_DEPTH`] tables or arrays within each other.
    #[error("more than {limit} tables or arrays within each other")]
    TooDeep {
        /// How many are accepted.
        limit: usize,
    },
    /// A key that is not UTF-8.
    #[error("field name is not UTF-8")]
    NameNotText,
}

/// One value of a field table.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l` or `L`
    I64(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`
    Decimal {
        /// The power of ten to divide by.
        scale: u8,
        /// The digits.
        value: u32,
    },
    /// `S`: text by habit, bytes by the specification
    LongString(Vec<u8>),
    /// `A`
    Array(Vec<Value>),
    /// `T`, in whole seconds since 1970
    Timestamp(u64),
    /// `F`
    Table(Table),
    /// `V`
    Void,
    /// `x`
    Bytes(Vec<u8>),
}

impl Value {
    /// A long string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::LongString(text.as_bytes().to_vec())
    }

    /// A moment, cut to whole seconds.
    #[must_use]
    pub fn timestamp(at: Timestamp) -> Self {
        Self::Timestamp(at.0.checked_div(1000).unwrap_or_default())
    }

    /// The number, if this is one of the integer types, whatever its width.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::I8(value) => Some(i64::from(*value)),
            Self::U8(value) => Some(i64::from(*value)),
            Self::I16(value) => Some(i64::from(*value)),
            Self::U16(value) => Some(i64::from(*value)),
            Self::I32(value) => Some(i64::from(*value)),
            Self::U32(value) => Some(i64::from(*value)),
            Self::I64(value) => Some(*value),
            Self::Bool(_)
            | Self::F32(_)
            | Self::F64(_)
            | Self::Decimal { .. }
            | Self::LongString(_)
            | Self::Array(_)
            | Self::Timestamp(_)
            | Self::Table(_)
            | Self::Void
            | Self::Bytes(_) => None,
        }
    }

    /// The text, if this is a long string of UTF-8.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The truth, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// RabbitMQ's name of the type, as its error texts have it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Array(_) => "array",
            Self::Timestamp(_) => "timestamp",
            Self::Table(_) => "table",
            Self::Void => "void",
            Self::Bytes(_) => "binary",
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Bool(value) => {
                out.put_u8(b't');
                out.put_u8(u8::from(*value));
            }
            Self::I8(value) => {
                out.put_u8(b'b');
                out.put_i8(*value);
            }
            Self::U8(value) => {
                out.put_u8(b'B');
                out.put_u8(*value);
            }
            Self::I16(value) => {
                out.put_u8(b's');
                out.put_i16(*value);
            }
            Self::U16(value) => {
                out.put_u8(b'u');
                out.put_u16(*value);
            }
            Self::I32(value) => {
                out.put_u8(b'I');
                out.put_i32(*value);
            }
            Self::U32(value) => {
                out.put_u8(b'i');
                out.put_u32(*value);
            }
            Self::I64(value) => {
                out.put_u8(b'l');
                out.put_i64(*value);
            }
            Self::F32(value) => {
                out.put_u8(b'f');
                out.put_f32(*value);
            }
            Self::F64(value) => {
                out.put_u8(b'd');
                out.put_f64(*value);
            }
            Self::Decimal { scale, value } => {
                out.put_u8(b'D');
                out.put_u8(*scale);
                out.put_u32(*value);
            }
            Self::LongString(bytes) => put_long(out, b'S', bytes),
            Self::Bytes(bytes) => put_long(out, b'x', bytes),
            Self::Timestamp(seconds) => {
                out.put_u8(b'T');
                out.put_u64(*seconds);
            }
            Self::Void => out.put_u8(b'V'),
            Self::Array(values) => nested(out, b'A', |out| {
                for value in values {
                    value.encode(out);
                }
            }),
            Self::Table(table) => nested(out, b'F', |out| table.encode(out)),
        }
    }
}

fn put_long(out: &mut BytesMut, octet: u8, bytes: &[u8]) {
    out.put_u8(octet);
    out.put_u32(u32::try_from(bytes.len()).expect("field values are shorter than 4 GiB"));
    out.put_slice(bytes);
}

fn nested(out: &mut BytesMut, octet: u8, write: impl FnOnce(&mut BytesMut)) {
    out.put_u8(octet);
    let mut inner = BytesMut::new();
    write(&mut inner);
    out.put_u32(u32::try_from(inner.len()).expect("field tables are shorter than 4 GiB"));
    out.put_slice(&inner);
}

/// Named values in the order of their sender.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    entries: Vec<(String, Value)>,
}

impl Table {
    /// A table without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`, in place where there was one.
    ///
    /// # Panics
    /// When `name` is longer than 255 bytes, which the wire cannot carry.
    pub fn insert(&mut self, name: &str, value: Value) {
        assert!(name.len() <= 255, "a field name has at most 255 bytes");
        match self.entries.iter_mut().find(|(known, _)| known == name) {
            Some((_, slot)) => *slot = value,
            None => self.entries.push((name.to_owned(), value)),
        }
    }

    /// Puts `name` in front of all others, where RabbitMQ puts what it adds to headers.
    ///
    /// # Panics
    /// When `name` is longer than 255 bytes, which the wire cannot carry.
    pub fn insert_front(&mut self, name: &str, value: Value) {
        assert!(name.len() <= 255, "a field name has at most 255 bytes");
        self.remove(name);
        self.entries.insert(0, (name.to_owned(), value));
    }

    /// Takes `name` out and returns what it held.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.remove(at).1)
    }

    /// What `name` holds; the first one, where a sender wrote it twice.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends the table's bytes, without the length that stands in front of them on the wire.
    pub fn encode(&self, out: &mut BytesMut) {
        for (name, value) in &self.entries {
            out.put_u8(u8::try_from(name.len()).expect("checked when it was inserted"));
            out.put_slice(name.as_bytes());
            value.encode(out);
        }
    }

    /// Reads a table from all of `bytes`, which stand behind its length on the wire.
    ///
    /// # Errors
    /// When the bytes are no table or nest too deep.
    pub fn decode(bytes: &[u8]) -> Result<Self, TableError> {
        let mut rest = bytes;
        decode_table(&mut rest, 1)
    }
}

impl FromIterator<(String, Value)> for Table {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

/// Checks all that [`Table::decode`] checks, and builds nothing.
///
/// # Errors
/// When the bytes are no table or nest too deep.
pub fn check_table(bytes: &[u8]) -> Result<(), TableError> {
    let mut rest = bytes;
    skip_table(&mut rest, 1)
}

fn skip_table(rest: &mut &[u8], depth: usize) -> Result<(), TableError> {
    while !rest.is_empty() {
        let [length] = fixed(rest, "field name")?;
        let name = take(rest, usize::from(length), "field name")?;
        std::str::from_utf8(name).map_err(|_| TableError::NameNotText)?;
        skip_value(rest, depth)?;
    }
    Ok(())
}

fn skip_value(rest: &mut &[u8], depth: usize) -> Result<(), TableError> {
    let [octet] = fixed(rest, "field type")?;
    match octet {
        b'V' => Ok(()),
        b't' => take(rest, 1, "bool").map(drop),
        b'b' | b'B' => take(rest, 1, "byte").map(drop),
        b's' | b'u' => take(rest, 2, "short").map(drop),
        b'I' | b'i' => take(rest, 4, "int").map(drop),
        b'l' | b'L' => take(rest, 8, "long").map(drop),
        b'f' => take(rest, 4, "float").map(drop),
        b'd' => take(rest, 8, "double").map(drop),
        b'D' => take(rest, 5, "decimal").map(drop),
        b'T' => take(rest, 8, "timestamp").map(drop),
        b'S' => long(rest, "long string").map(drop),
        b'x' => long(rest, "byte array").map(drop),
        b'A' => {
            let depth = deeper(depth)?;
            let mut inner = long(rest, "array")?;
            while !inner.is_empty() {
                skip_value(&mut inner, depth)?;
            }
            Ok(())
        }
        b'F' => {
            let depth = deeper(depth)?;
            let mut inner = long(rest, "table")?;
            skip_table(&mut inner, depth)
        }
        octet => Err(TableError::UnknownType { octet }),
    }
}

fn take<'a>(rest: &mut &'a [u8], count: usize, what: &'static str) -> Result<&'a [u8], TableError> {
    let (head, tail) = rest.split_at_checked(count).ok_or(TableError::Truncated { what })?;
    *rest = tail;
    Ok(head)
}

fn fixed<const N: usize>(rest: &mut &[u8], what: &'static str) -> Result<[u8; N], TableError> {
    let head = take(rest, N, what)?;
    head.try_into().map_err(|_| TableError::Truncated { what })
}

fn long<'a>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], TableError> {
    let count = u32::from_be_bytes(fixed(rest, what)?);
    take(rest, usize::try_from(count).unwrap_or(usize::MAX), what)
}

fn deeper(depth: usize) -> Result<usize, TableError> {
    let depth = depth.saturating_add(1);
    if depth > MAX_TABLE_DEPTH {
        return Err(TableError::TooDeep { limit: MAX_TABLE_DEPTH });
    }
    Ok(depth)
}

fn decode_table(rest: &mut &[u8], depth: usize) -> Result<Table, TableError> {
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let [length] = fixed(rest, "field name")?;
        let name = take(rest, usize::from(length), "field name")?;
        let name = std::str::from_utf8(name).map_err(|_| TableError::NameNotText)?;
        entries.push((name.to_owned(), decode_value(rest, depth)?));
    }
    Ok(Table { entries })
}

fn decode_value(rest: &mut &[u8], depth: usize) -> Result<Value, TableError> {
    let [octet] = fixed(rest, "field type")?;
    Ok(match octet {
        b't' => Value::Bool(fixed::<1>(rest, "bool")? != [0]),
        b'b' => Value::I8(i8::from_be_bytes(fixed(rest, "byte")?)),
        b'B' => Value::U8(u8::from_be_bytes(fixed(rest, "byte")?)),
        b's' => Value::I16(i16::from_be_bytes(fixed(rest, "short")?)),
        b'u' => Value::U16(u16::from_be_bytes(fixed(rest, "short")?)),
        b'I' => Value::I32(i32::from_be_bytes(fixed(rest, "int")?)),
        b'i' => Value::U32(u32::from_be_bytes(fixed(rest, "int")?)),
        b'l' | b'L' => Value::I64(i64::from_be_bytes(fixed(rest, "long")?)),
        b'f' => Value::F32(f32::from_be_bytes(fixed(rest, "float")?)),
        b'd' => Value::F64(f64::from_be_bytes(fixed(rest, "double")?)),
        b'D' => {
            let [scale] = fixed(rest, "decimal")?;
            Value::Decimal { scale, value: u32::from_be_bytes(fixed(rest, "decimal")?) }
        }
        b'S' => Value::LongString(long(rest, "long string")?.to_vec()),
        b'x' => Value::Bytes(long(rest, "byte array")?.to_vec()),
        b'T' => Value::Timestamp(u64::from_be_bytes(fixed(rest, "timestamp")?)),
        b'V' => Value::Void,
        b'A' => {
            let depth = deeper(depth)?;
            let mut inner = long(rest, "array")?;
            let mut values = Vec::new();
            while !inner.is_empty() {
                values.push(decode_value(&mut inner, depth)?);
            }
            Value::Array(values)
        }
        b'F' => {
            let depth = deeper(depth)?;
            let mut inner = long(rest, "table")?;
            Value::Table(decode_table(&mut inner, depth)?)
        }
        octet => return Err(TableError::UnknownType { octet }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every_type() -> Table {
        let mut inner = Table::new();
        inner.insert("deep", Value::Void);
        let mut table = Table::new();
        table.insert("zeta", Value::Bool(true));
        table.insert("b", Value::I8(-1));
        table.insert("B", Value::U8(255));
        table.insert("s", Value::I16(-300));
        table.insert("u", Value::U16(60_000));
        table.insert("I", Value::I32(-70_000));
        table.insert("i", Value::U32(4_000_000_000));
        table.insert("l", Value::I64(i64::MIN));
        table.insert("f", Value::F32(0.5));
        table.insert("d", Value::F64(0.25));
        table.insert("D", Value::Decimal { scale: 2, value: 314 });
        table.insert("S", Value::text("grüße"));
        table.insert("T", Value::Timestamp(1_700_000_000));
        table.insert("x", Value::Bytes(vec![0, 255]));
        table.insert("A", Value::Array(vec![Value::I32(1), Value::text("two")]));
        table.insert("alpha", Value::Table(inner));
        table
    }

    fn nested_arrays(levels: usize) -> Vec<u8> {
        let mut value = Value::Array(vec![]);
        for _ in 1..levels {
            value = Value::Array(vec![value]);
        }
        let mut table = Table::new();
        table.insert("a", value);
        let mut out = BytesMut::new();
        table.encode(&mut out);
        out.to_vec()
    }

    #[test]
    fn every_type_survives_the_wire_in_its_place() {
        let table = every_type();
        let mut out = BytesMut::new();
        table.encode(&mut out);

        let back = Table::decode(&out);

        assert_eq!(back, Ok(table));
    }

    #[test]
    fn nesting_is_accepted_up_to_the_limit_and_refused_beyond_it() {
        let fits = nested_arrays(MAX_TABLE_DEPTH - 1);
        let beyond = nested_arrays(MAX_TABLE_DEPTH);

        assert!(check_table(&fits).is_ok());
        assert_eq!(check_table(&beyond), Err(TableError::TooDeep { limit: MAX_TABLE_DEPTH }));
    }

    #[test]
    fn every_prefix_of_a_table_is_read_or_refused_without_panic() {
        let mut out = BytesMut::new();
        every_type().encode(&mut out);

        let accepted = (0..out.len()).filter(|end| check_table(&out[..*end]).is_ok()).count();
        let decoded = (0..out.len()).filter(|end| Table::decode(&out[..*end]).is_ok()).count();

        // A prefix is a table exactly where an entry ends: before the first, and behind each but the last.
        assert_eq!(accepted, every_type().len());
        assert_eq!(decoded, accepted);
    }

    #[test]
    fn an_unknown_type_octet_is_refused() {
        assert_eq!(check_table(&[1, b'k', b'?']), Err(TableError::UnknownType { octet: b'?' }));
    }

    #[test]
    fn a_name_that_is_not_text_is_refused() {
        assert_eq!(check_table(&[1, 0xFF, b'V']), Err(TableError::NameNotText));
    }

    #[test]
    fn inserting_again_replaces_in_place() {
        let mut table = Table::new();
        table.insert("a", Value::I32(1));
        table.insert("b", Value::I32(2));

        table.insert("a", Value::I32(3));

        let names: Vec<_> = table.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(table.value("a"), Some(&Value::I32(3)));
    }
}
