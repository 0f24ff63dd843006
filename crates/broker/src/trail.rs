//! What the broker remembers of a message's way, beside what its consumers see of it.
//!
//! Clients may write any header, `x-death` included: what the headers say of a message's deaths is
//! true only if the broker wrote it. Keys of blind copies (BCC) must not be seen, but the dead are
//! sent to them as well. And the CC header stays when a message is readdressed, where it is history.
//! So these facts are kept beside the headers, in the message's record.
//!
//! **Always holds:** a message as most are has no trail, in no bytes. Trails are stored in the log: a
//! bit keeps its meaning, and bits without one are passed over.
//!
//! ```text
//! trail     u8 flags | keys of blind copies: u32 + key each
//! ```

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The broker wrote the deaths in the headers.
const HAS_DIED: u8 = 1;

/// The message goes under its routing key alone, whatever its CC header says.
const READDRESSED: u8 = 1 << 1;

/// The broker made the message itself: an event, a copy, a line of its log.
const IS_OWN: u8 = 1 << 2;

/// A message's trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trail {
    /// The broker wrote the deaths in the headers.
    pub(crate) has_died: bool,
    /// The message goes under its routing key alone, whatever its CC header says.
    pub(crate) readdressed: bool,
    /// The broker made the message itself: an event, a copy, a line of its log. Copies of such
    /// ones would have no end.
    pub(crate) is_own: bool,
    /// The keys of blind copies.
    pub(crate) hidden_keys: Vec<Vec<u8>>,
}

impl Trail {
    /// The trail that a message's record has. Never fails: what makes no sense is passed over.
    pub(crate) fn decode(mut bytes: &[u8]) -> Self {
        let Ok(flags) = bytes.try_get_u8() else { return Self::default() };
        let mut hidden_keys = Vec::new();
        while let Ok(length) = bytes.try_get_u32() {
            let key =
                usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
            let Some((key, rest)) = key else { break };
            hidden_keys.push(key.to_vec());
            bytes = rest;
        }
        Self {
            has_died: flags & HAS_DIED != 0,
            readdressed: flags & READDRESSED != 0,
            is_own: flags & IS_OWN != 0,
            hidden_keys,
        }
    }

    /// The bytes for a message's record.
    pub(crate) fn encode(&self) -> Bytes {
        if *self == Self::default() {
            return Bytes::new();
        }
        let mut flags = if self.has_died { HAS_DIED } else { 0 };
        if self.readdressed {
            flags |= READDRESSED;
        }
        if self.is_own {
            flags |= IS_OWN;
        }
        let mut out = BytesMut::new();
        out.put_u8(flags);
        for key in &self.hidden_keys {
            out.put_u32(u32::try_from(key.len()).expect("headers are shorter than 4 GiB"));
            out.put_slice(key);
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> [(Trail, &'static [u8]); 5] {
        let hidden = vec![b"key".to_vec(), Vec::new()];
        [
            (Trail::default(), b""),
            (Trail { has_died: true, ..Trail::default() }, &[1]),
            (Trail { has_died: true, readdressed: true, ..Trail::default() }, &[3]),
            (Trail { has_died: true, is_own: true, ..Trail::default() }, &[5]),
            (
                Trail { hidden_keys: hidden, ..Trail::default() },
                &[0, 0, 0, 0, 3, b'k', b'e', b'y', 0, 0, 0, 0],
            ),
        ]
    }

    #[test]
    fn a_trail_is_read_as_it_was_written_for_ever() {
        for (trail, bytes) in samples() {
            assert_eq!(trail.encode(), bytes);
            assert_eq!(Trail::decode(bytes), trail);
        }
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        let died = Trail { has_died: true, ..Trail::default() };

        assert_eq!(Trail::decode(&[0xf1]), died);
        assert_eq!(Trail::decode(&[1, 0, 0]), died);
        assert_eq!(Trail::decode(&[1, 0xff, 0xff, 0xff, 0xff, 7]), died);
    }
}
