//! Which pages make a group's snapshot. Writing it is what makes the pages a snapshot.

use bytes::Bytes;
use warren_types::{DecodeError, GroupId, Reader, Writer};

use super::{damaged, seal, unknown_version, unseal};
use crate::{Key, StorageError};

const VERSION: u8 = 1;

/// A whole snapshot, but for its pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its number; pages of others are leftovers.
    pub(crate) number: u64,
    /// How many pages it has.
    pub(crate) pages: u32,
    /// Whatever the caller keeps with it.
    pub(crate) meta: Bytes,
}

/// The record of `group`'s snapshot.
pub(crate) fn encode(group: GroupId, head: &Head) -> Bytes {
    let mut body = Writer::new();
    body.u64(head.number);
    body.u32(head.pages);
    body.bytes(&head.meta);
    seal(&Key::Head(group), VERSION, &body.finish())
}

/// What [`encode`] wrote.
pub(crate) fn decode(group: GroupId, record: Bytes) -> Result<Head, StorageError> {
    let key = Key::Head(group);
    match unseal(&key, record)? {
        (VERSION, reader) => read(reader).map_err(|error| damaged(&key, &error)),
        (version, _) => Err(unknown_version(&key, version)),
    }
}

fn read(mut reader: Reader) -> Result<Head, DecodeError> {
    let number = reader.u64("number")?;
    let pages = reader.u32("pages")?;
    let meta = reader.bytes("meta")?;
    reader.finish()?;
    Ok(Head { number, pages, meta })
}
