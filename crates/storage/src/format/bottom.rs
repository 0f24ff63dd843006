//! The lowest row that may exist: below it, sweeps have left nothing.

use bytes::Bytes;
use warren_types::{DecodeError, GroupId, LogIndex, Reader, Writer};

use super::{damaged, seal, unknown_version, unseal};
use crate::{Key, StorageError};

const VERSION: u8 = 1;

/// The record of `group`'s lowest row.
pub(crate) fn encode(group: GroupId, bottom: LogIndex) -> Bytes {
    let mut body = Writer::new();
    body.u64(bottom.0);
    seal(&Key::Bottom(group), VERSION, &body.finish())
}

/// What [`encode`] wrote.
pub(crate) fn decode(group: GroupId, record: Bytes) -> Result<LogIndex, StorageError> {
    let key = Key::Bottom(group);
    match unseal(&key, record)? {
        (VERSION, reader) => read(reader).map_err(|error| damaged(&key, &error)),
        (version, _) => Err(unknown_version(&key, version)),
    }
}

fn read(mut reader: Reader) -> Result<LogIndex, DecodeError> {
    let bottom = LogIndex(reader.u64("index")?);
    reader.finish()?;
    Ok(bottom)
}
