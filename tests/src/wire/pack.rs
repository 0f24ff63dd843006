//! Arguments of a method as bytes, both ways.

use crate::wire::MethodId;
use crate::wire::frame::{FRAME_METHOD, Frame};

/// A value in a field table.
#[derive(Clone, Debug, PartialEq)]
pub enum Field {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `s`
    I16(i16),
    /// `I`
    I32(i32),
    /// `l`
    I64(i64),
    /// `T`, seconds
    Timestamp(u64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `S`
    Text(String),
    /// `x`
    Bytes(Vec<u8>),
    /// `A`
    Array(Vec<Field>),
    /// `F`
    Table(Vec<(String, Field)>),
    /// `V`
    Void,
    /// Any type octet with any bytes after it; only ever written.
    Raw(u8, Vec<u8>),
}

impl Field {
    /// A long string.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => out.extend([b't', u8::from(*value)]),
            Self::I8(value) => tagged(out, b'b', &value.to_be_bytes()),
            Self::I16(value) => tagged(out, b's', &value.to_be_bytes()),
            Self::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
            Self::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
            Self::Timestamp(value) => tagged(out, b'T', &value.to_be_bytes()),
            Self::F32(value) => tagged(out, b'f', &value.to_be_bytes()),
            Self::F64(value) => tagged(out, b'd', &value.to_be_bytes()),
            Self::Text(value) => counted(out, b'S', value.as_bytes()),
            Self::Bytes(value) => counted(out, b'x', value),
            Self::Array(values) => {
                let mut inner = Vec::new();
                for value in values {
                    value.write(&mut inner);
                }
                counted(out, b'A', &inner);
            }
            Self::Table(pairs) => counted(out, b'F', &pairs_bytes(pairs)),
            Self::Void => out.push(b'V'),
            Self::Raw(octet, bytes) => tagged(out, *octet, bytes),
        }
    }
}

fn tagged(out: &mut Vec<u8>, octet: u8, bytes: &[u8]) {
    out.push(octet);
    out.extend(bytes);
}

fn counted(out: &mut Vec<u8>, octet: u8, bytes: &[u8]) {
    out.push(octet);
    out.extend(length(bytes).to_be_bytes());
    out.extend(bytes);
}

fn pairs_bytes(pairs: &[(String, Field)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in pairs {
        out.push(u8::try_from(key.len()).expect("keys in tests are short"));
        out.extend(key.as_bytes());
        value.write(&mut out);
    }
    out
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("nothing in a test is 4 GiB long")
}

/// The arguments of one method, being written.
#[derive(Clone, Debug)]
pub struct Pack {
    bytes: Vec<u8>,
}

impl Pack {
    /// Begins the method with this class and number.
    pub fn method((class, method): MethodId) -> Self {
        Self { bytes: Vec::new() }.u16(class).u16(method)
    }

    /// Begins with nothing.
    pub fn empty() -> Self {
        Self { bytes: Vec::new() }
    }

    /// One octet; also a row of bits, lowest first.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.bytes.push(value);
        self
    }

    /// Two octets.
    #[must_use]
    pub fn u16(mut self, value: u16) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// Four octets.
    #[must_use]
    pub fn u32(mut self, value: u32) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// Eight octets.
    #[must_use]
    pub fn u64(mut self, value: u64) -> Self {
        self.bytes.extend(value.to_be_bytes());
        self
    }

    /// A string with a length of one octet.
    ///
    /// # Panics
    ///
    /// If it has more than 255 bytes.
    #[must_use]
    pub fn short(mut self, text: &str) -> Self {
        self.bytes.push(u8::try_from(text.len()).expect("a short string has at most 255 bytes"));
        self.bytes.extend(text.as_bytes());
        self
    }

    /// A string with a length of four octets.
    #[must_use]
    pub fn long(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(length(bytes).to_be_bytes());
        self.bytes.extend(bytes);
        self
    }

    /// A field table.
    #[must_use]
    pub fn table(self, pairs: &[(String, Field)]) -> Self {
        self.long(&pairs_bytes(pairs))
    }

    /// Bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    /// The bytes so far.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// A whole method frame.
    pub fn frame(self, channel: u16) -> Vec<u8> {
        Frame { kind: FRAME_METHOD, channel, payload: self.bytes }.encode()
    }
}

/// Shorthand for the pairs of a table.
pub fn pairs(list: &[(&str, Field)]) -> Vec<(String, Field)> {
    list.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

/// The arguments of one method, being read.
///
/// # Panics
///
/// Every method panics if the bytes end too early: that is a fault of the broker under test.
#[derive(Clone, Debug)]
pub struct Unpack<'a> {
    rest: &'a [u8],
}

impl<'a> Unpack<'a> {
    /// Reads from the start of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) =
            self.rest.split_at_checked(count).expect("the broker sent all arguments");
        self.rest = rest;
        head
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        self.take(N).try_into().expect("take gives as many as asked for")
    }

    /// One octet.
    pub fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.array())
    }

    /// Two octets.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four octets.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Eight octets.
    pub fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// A string with a length of one octet.
    pub fn short(&mut self) -> String {
        let count = usize::from(self.u8());
        String::from_utf8_lossy(self.take(count)).into_owned()
    }

    /// A string with a length of four octets.
    pub fn long(&mut self) -> &'a [u8] {
        let count = usize::try_from(self.u32()).expect("this machine has more than 16 bits");
        self.take(count)
    }

    /// A field table.
    pub fn table(&mut self) -> Vec<(String, Field)> {
        let mut inner = Unpack::new(self.long());
        let mut pairs = Vec::new();
        while !inner.rest.is_empty() {
            let key = inner.short();
            pairs.push((key, inner.field()));
        }
        pairs
    }

    fn field(&mut self) -> Field {
        match self.u8() {
            b't' => Field::Bool(self.u8() != 0),
            b'b' => Field::I8(i8::from_be_bytes(self.array())),
            b's' => Field::I16(i16::from_be_bytes(self.array())),
            b'I' => Field::I32(i32::from_be_bytes(self.array())),
            b'l' => Field::I64(i64::from_be_bytes(self.array())),
            b'T' => Field::Timestamp(self.u64()),
            b'f' => Field::F32(f32::from_be_bytes(self.array())),
            b'd' => Field::F64(f64::from_be_bytes(self.array())),
            b'S' => Field::Text(String::from_utf8_lossy(self.long()).into_owned()),
            b'x' => Field::Bytes(self.long().to_vec()),
            b'A' => {
                let mut inner = Unpack::new(self.long());
                let mut values = Vec::new();
                while !inner.rest.is_empty() {
                    values.push(inner.field());
                }
                Field::Array(values)
            }
            b'F' => Field::Table(self.table()),
            b'V' => Field::Void,
            octet => panic!("the broker sent a field of type {octet:#04x}"),
        }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_survives_the_way_through_its_bytes() {
        let table = pairs(&[
            ("on", Field::Bool(true)),
            ("n", Field::I64(-7)),
            ("list", Field::Array(vec![Field::text("a"), Field::Void, Field::I32(1)])),
            ("inner", Field::Table(pairs(&[("x", Field::Timestamp(9))]))),
        ]);

        let bytes = Pack::empty().table(&table).bytes();

        assert_eq!(Unpack::new(&bytes).table(), table);
    }
}
