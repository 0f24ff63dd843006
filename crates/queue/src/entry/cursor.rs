//! Takes values off borrowed bytes, and knows how far it has come.

use warren_types::{BootId, DecodeError, NodeId, SessionId};

/// A place in some bytes. Unlike `warren_types::Reader` it borrows, counts, and costs nothing to copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// Stands at `at`, which may lie behind the end.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bytes before this place.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Whether nothing is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next `count` bytes.
    #[inline]
    pub(super) fn take(
        &mut self,
        what: &'static str,
        count: usize,
    ) -> Result<&'a [u8], DecodeError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(taken) = rest.get(..count) else {
            return Err(DecodeError::Truncated { what, needed: count, left: rest.len() });
        };
        self.at += count;
        Ok(taken)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], DecodeError> {
        let taken = self.take(what, N)?;
        Ok(taken.try_into().expect("so many bytes were taken"))
    }

    #[inline]
    pub(super) fn u8(&mut self, what: &'static str) -> Result<u8, DecodeError> {
        self.fixed(what).map(u8::from_be_bytes)
    }

    #[inline]
    pub(super) fn u16(&mut self, what: &'static str) -> Result<u16, DecodeError> {
        self.fixed(what).map(u16::from_be_bytes)
    }

    #[inline]
    pub(super) fn u32(&mut self, what: &'static str) -> Result<u32, DecodeError> {
        self.fixed(what).map(u32::from_be_bytes)
    }

    #[inline]
    pub(super) fn u64(&mut self, what: &'static str) -> Result<u64, DecodeError> {
        self.fixed(what).map(u64::from_be_bytes)
    }

    pub(super) fn i32(&mut self, what: &'static str) -> Result<i32, DecodeError> {
        self.fixed(what).map(i32::from_be_bytes)
    }

    pub(super) fn bool(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Unknown { what, value: u64::from(value) }),
        }
    }

    /// A byte of which only the bits of `known` may be set.
    #[inline]
    pub(super) fn flags(&mut self, what: &'static str, known: u8) -> Result<u8, DecodeError> {
        let value = self.u8(what)?;
        if value & !known != 0 {
            return Err(DecodeError::Unknown { what, value: u64::from(value) });
        }
        Ok(value)
    }

    /// Bytes behind a u32 length.
    #[inline]
    pub(super) fn long(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.u32(what)?;
        self.take(what, usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Bytes behind a u8 length.
    #[inline]
    pub(super) fn short(&mut self, what: &'static str) -> Result<&'a [u8], DecodeError> {
        let count = self.u8(what)?;
        self.take(what, usize::from(count))
    }

    /// `count` values of eight bytes.
    pub(super) fn eights(
        &mut self,
        what: &'static str,
        count: usize,
    ) -> Result<&'a [u8], DecodeError> {
        self.take(what, count.saturating_mul(8))
    }

    pub(super) fn session(&mut self) -> Result<SessionId, DecodeError> {
        Ok(SessionId { node: NodeId(self.u64("node")?), boot: BootId(self.u64("boot")?) })
    }
}

/// Consecutive big-endian u64s.
pub(super) fn u64s(bytes: &[u8]) -> impl Iterator<Item = u64> + Clone {
    bytes
        .chunks_exact(8)
        .map(|eight| u64::from_be_bytes(eight.try_into().expect("chunks of eight")))
}
