//! Identity, vote, committed hint, snapshot page: bytes of others, sealed.

use bytes::Bytes;

use super::{seal, unknown_version, unseal};
use crate::{Key, StorageError};

const VERSION: u8 = 1;

/// The record that keeps `bytes` under `key`.
pub(crate) fn encode(key: &Key, bytes: &[u8]) -> Bytes {
    seal(key, VERSION, bytes)
}

/// The bytes kept in `record`, which was found under `key`.
pub(crate) fn decode(key: &Key, record: Bytes) -> Result<Bytes, StorageError> {
    match unseal(key, record)? {
        (VERSION, reader) => Ok(reader.rest().clone()),
        (version, _) => Err(unknown_version(key, version)),
    }
}
