//! The byte format of everything that warren itself stores: little building blocks.
//!
//! Fixed-width integers are big-endian. Byte strings carry a u32 length, short ones a u8 length.
//! A [`Reader`] never panics and never allocates by a length it has not checked against what
//! is there, so it may be shown bytes from a damaged disk.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The bytes do not hold what was asked of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end before the value does.
    #[error("{what} needs {needed} bytes and {left} are left")]
    Truncated {
        /// The value that was asked for.
        what: &'static str,
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that there are.
        left: usize,
    },
    /// A value that the format has no meaning for.
    #[error("{what} has the value {value}, which means nothing")]
    Unknown {
        /// The value that was asked for.
        what: &'static str,
        /// What was found.
        value: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    NotText {
        /// The value that was asked for.
        what: &'static str,
    },
    /// Bytes behind the end of the value.
    #[error("{count} bytes too many")]
    Trailing {
        /// How many.
        count: usize,
    },
    /// A table within, see [`crate::TableError`].
    #[error("field table")]
    Table(#[from] crate::TableError),
}

/// Takes values off the front of some bytes; slices share the bytes' memory.
#[derive(Clone, Debug)]
pub struct Reader {
    bytes: Bytes,
}

impl Reader {
    /// Reads `bytes` from the start.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes }
    }

    fn need(&self, what: &'static str, needed: usize) -> Result<(), DecodeError> {
        let left = self.bytes.len();
        if left < needed { Err(DecodeError::Truncated { what, needed, left }) } else { Ok(()) }
    }

    /// One byte.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.need(what, 1)?;
        Ok(self.bytes.get_u8())
    }

    /// A byte that must be 0 or 1.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Unknown { what, value: u64::from(value) }),
        }
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.need(what, 2)?;
        Ok(self.bytes.get_u16())
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.need(what, 4)?;
        Ok(self.bytes.get_u32())
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.need(what, 8)?;
        Ok(self.bytes.get_u64())
    }

    /// Eight bytes, big-endian, two's complement.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, DecodeError> {
        self.need(what, 8)?;
        Ok(self.bytes.get_i64())
    }

    /// The next `count` bytes, sharing memory.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<Bytes, DecodeError> {
        self.need(what, count)?;
        Ok(self.bytes.split_to(count))
    }

    /// Bytes behind a u32 length.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn bytes(&mut self, what: &'static str) -> Result<Bytes, DecodeError> {
        let count = usize::try_from(self.u32(what)?).unwrap_or(usize::MAX);
        self.take(what, count)
    }

    /// Bytes behind a u8 length.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn short_bytes(&mut self, what: &'static str) -> Result<Bytes, DecodeError> {
        let count = usize::from(self.u8(what)?);
        self.take(what, count)
    }

    /// Text behind a u32 length.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn text(&mut self, what: &'static str) -> Result<String, DecodeError> {
        let bytes = self.bytes(what)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| DecodeError::NotText { what })
    }

    /// A value that may be missing: a byte 0, or a byte 1 and the value.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn option<T>(
        &mut self,
        what: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.bool(what)? { read(self).map(Some) } else { Ok(None) }
    }

    /// A u32 count, then that many values. Memory grows with what is there, not with the count.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn list<T>(
        &mut self,
        what: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32(what)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }

    /// A field table behind its u32 length, see [`crate::Table`].
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn table(&mut self, what: &'static str) -> Result<crate::Table, DecodeError> {
        let bytes = self.bytes(what)?;
        Ok(crate::Table::decode(&bytes)?)
    }

    /// What is left.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Accepts the end of the bytes and nothing else.
    ///
    /// # Errors
    /// When the bytes are not such a value.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() {
            0 => Ok(()),
            count => Err(DecodeError::Trailing { count }),
        }
    }
}

/// Puts values at the end of some bytes, as [`Reader`] takes them off.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: BytesMut,
}

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty writer with room for `bytes` bytes.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: BytesMut::with_capacity(bytes) }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.put_u8(value);
    }

    /// A byte 0 or 1.
    pub fn bool(&mut self, value: bool) {
        self.bytes.put_u8(u8::from(value));
    }

    /// Two bytes, big-endian.
    pub fn u16(&mut self, value: u16) {
        self.bytes.put_u16(value);
    }

    /// Four bytes, big-endian.
    pub fn u32(&mut self, value: u32) {
        self.bytes.put_u32(value);
    }

    /// Eight bytes, big-endian.
    pub fn u64(&mut self, value: u64) {
        self.bytes.put_u64(value);
    }

    /// Eight bytes, big-endian, two's complement.
    pub fn i64(&mut self, value: i64) {
        self.bytes.put_i64(value);
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.put_slice(value);
    }

    /// Bytes behind a u32 length.
    ///
    /// # Panics
    /// From 4 GiB on; what is stored is bounded far below that.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).expect("stored values are shorter than 4 GiB"));
        self.raw(value);
    }

    /// Bytes behind a u8 length.
    ///
    /// # Panics
    /// Over 255 bytes; AMQP's short strings are not longer.
    pub fn short_bytes(&mut self, value: &[u8]) {
        self.u8(u8::try_from(value.len()).expect("short strings have at most 255 bytes"));
        self.raw(value);
    }

    /// Text behind a u32 length.
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// A byte 0, or a byte 1 and the value.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A u32 count, then the values.
    ///
    /// # Panics
    /// From 2^32 values on; what is stored is bounded far below that.
    pub fn list<I>(&mut self, values: I, mut write: impl FnMut(&mut Self, I::Item))
    where
        I: IntoIterator,
        I::IntoIter: ExactSizeIterator,
    {
        let values = values.into_iter();
        self.u32(u32::try_from(values.len()).expect("stored lists are shorter than 2^32"));
        for value in values {
            write(self, value);
        }
    }

    /// A field table behind its u32 length.
    pub fn table(&mut self, value: &crate::Table) {
        let at = self.bytes.len();
        self.u32(0);
        value.encode(&mut self.bytes);
        let length = self.bytes.len().saturating_sub(at).saturating_sub(4);
        let length = u32::try_from(length).expect("stored values are shorter than 4 GiB");
        if let Some(slot) = self.bytes.get_mut(at..at.saturating_add(4)) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
    }

    /// How many bytes there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes, for those who patch or share them.
    #[must_use]
    pub fn into_bytes_mut(self) -> BytesMut {
        self.bytes
    }

    /// The bytes, finished.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.bytes.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_writer_writes_a_reader_reads() {
        let mut writer = Writer::new();
        writer.u8(7);
        writer.bool(true);
        writer.u16(600);
        writer.u32(70_000);
        writer.u64(u64::MAX);
        writer.i64(-5);
        writer.bytes(b"body");
        writer.short_bytes(b"key");
        writer.text("grüße");
        writer.option(Some(3_u64), Writer::u64);
        writer.option(None::<u64>, Writer::u64);
        writer.list([1_u16, 2, 3], Writer::u16);

        let mut reader = Reader::new(writer.finish());

        assert_eq!(reader.u8("a"), Ok(7));
        assert_eq!(reader.bool("b"), Ok(true));
        assert_eq!(reader.u16("c"), Ok(600));
        assert_eq!(reader.u32("d"), Ok(70_000));
        assert_eq!(reader.u64("e"), Ok(u64::MAX));
        assert_eq!(reader.i64("f"), Ok(-5));
        assert_eq!(reader.bytes("g"), Ok(Bytes::from_static(b"body")));
        assert_eq!(reader.short_bytes("h"), Ok(Bytes::from_static(b"key")));
        assert_eq!(reader.text("i").as_deref(), Ok("grüße"));
        assert_eq!(reader.option("j", |r| r.u64("j")), Ok(Some(3)));
        assert_eq!(reader.option("k", |r| r.u64("k")), Ok(None));
        assert_eq!(reader.list("l", |r| r.u16("l")), Ok(vec![1, 2, 3]));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn a_length_beyond_the_end_is_an_error_and_not_an_allocation() {
        let mut reader = Reader::new(Bytes::from_static(&[0xFF, 0xFF, 0xFF, 0xFF, 1]));

        let outcome = reader.bytes("body");

        let needed = 0xFFFF_FFFF;
        assert_eq!(outcome, Err(DecodeError::Truncated { what: "body", needed, left: 1 }));
    }

    #[test]
    fn bytes_behind_the_end_are_an_error() {
        let reader = Reader::new(Bytes::from_static(&[1, 2]));

        assert_eq!(reader.finish(), Err(DecodeError::Trailing { count: 2 }));
    }
}
