//! A shard's state as pages of bytes, and back.
//!
//! ```text
//! page      u16 version (3) | u32 page number | records, each whole
//! record    u8 kind | fields
//! order     head | nodes, each with its kept answers and uploads | tombstones
//!           | queues, each with its turns, waiting runs by level or a stream's segments and what it
//!             has been given, delayed, scheduled and dead
//!             runs, those kept for clients, what is not to come again, and consumers with what
//!             they hold
//!           | letters | rows | end
//! ```
//!
//! The order is the same on every replica, so equal states have equal bytes, and the
//! [`Digest`] is taken over them. What follows from the rest is not written: counts, who can take
//! something, and the references to each row.

mod appended;
mod read;
mod write;

use bytes::Bytes;
use warren_machine::Digest;

use crate::shard::Shard;

/// The version of the pages that are written.
const VERSION: u16 = 3;

/// A page is full when it has so many bytes: large enough that pages are few, small enough that
/// one in memory is nothing.
const PAGE_BYTES: usize = 1 << 20;

/// The first byte of each record.
mod kind {
    pub(super) const HEAD: u8 = 1;
    pub(super) const NODE: u8 = 2;
    pub(super) const UPLOAD: u8 = 3;
    pub(super) const TOMBSTONE: u8 = 4;
    pub(super) const QUEUE: u8 = 5;
    pub(super) const TURN: u8 = 6;
    pub(super) const RETURNED: u8 = 7;
    pub(super) const FRESH: u8 = 8;
    pub(super) const CONSUMER: u8 = 9;
    pub(super) const HELD: u8 = 10;
    pub(super) const ROW: u8 = 11;
    pub(super) const END: u8 = 12;
    pub(super) const DELAYED: u8 = 13;
    pub(super) const DEAD: u8 = 14;
    pub(super) const KEPT: u8 = 15;
    pub(super) const LETTER: u8 = 16;
    pub(super) const SCHEDULED: u8 = 17;
    pub(super) const RECENT: u8 = 18;
    pub(super) const LAPSED: u8 = 20;
    pub(super) const CLAIM: u8 = 21;
    pub(super) const RESERVED: u8 = 22;
    pub(super) const STREAM: u8 = 23;
    pub(super) const SEGMENTS: u8 = 24;
    pub(super) const APPENDED: u8 = 25;
}

/// The byte of each standing of a consumer.
mod standing {
    pub(super) const REGISTERED: u8 = 0;
    pub(super) const CANCELLED: u8 = 1;
    pub(super) const HOLDER: u8 = 2;
    pub(super) const PICKER: u8 = 3;
}

/// The byte of each reason why a queue has ended.
mod reason {
    pub(super) const UNUSED: u8 = 0;
    pub(super) const DELETED: u8 = 1;
    pub(super) const EXPIRED: u8 = 2;
}

/// The byte of each reason why a message has died.
mod death {
    pub(super) const REJECTED: u8 = 0;
    pub(super) const EXPIRED: u8 = 1;
    pub(super) const MAX_LENGTH: u8 = 2;
    pub(super) const DELIVERY_LIMIT: u8 = 3;
}

impl Shard {
    /// See [`warren_machine::Machine::digest`].
    pub(crate) fn fingerprint(&self) -> Digest {
        Digest(self.write_snapshot().iter().fold(0xCBF2_9CE4_8422_2325, mix))
    }
}

/// Stirs `bytes` into `hash`. Written out here, because it must be the same in every release.
fn mix(mut hash: u64, bytes: &Bytes) -> u64 {
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_be_bytes(word.try_into().expect("chunks of eight"));
        hash = stir(hash ^ word);
    }
    for byte in words.remainder() {
        hash = stir(hash ^ u64::from(*byte));
    }
    stir(hash ^ u64::try_from(bytes.len()).unwrap_or(u64::MAX))
}

fn stir(hash: u64) -> u64 {
    let hash = hash.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ (hash >> 29)
}
