//! How each record looks on the disk. One module per kind.
//!
//! Every record begins with a version byte and a CRC-32 over the record's **key** and all of its
//! other bytes: a record that turns up under another's key is as damaged as one with a flipped
//! bit. Records are stored for good: a version is never changed, another is added, and sample
//! bytes of each stay under `testdata/formats/`.

pub(crate) mod bottom;
pub(crate) mod head;
pub(crate) mod opaque;
pub(crate) mod origin;
mod probe;
mod row;
#[cfg(test)]
mod tests;

pub use probe::probe_records;
pub use row::RowValue;

use bytes::Bytes;
use warren_types::{DecodeError, Reader, Writer};

use crate::{Key, StorageError};

/// Bytes in front of each record but rows: version, checksum.
const SEAL_BYTES: usize = 5;

/// A record of `version` for `key`, with its checksum.
fn seal(key: &Key, version: u8, body: &[u8]) -> Bytes {
    let mut record = Writer::with_capacity(SEAL_BYTES.saturating_add(body.len()));
    record.u8(version);
    record.u32(checksum(key, version, body));
    record.raw(body);
    record.finish()
}

/// The version and the body of a record found under `key`.
fn unseal(key: &Key, record: Bytes) -> Result<(u8, Reader), StorageError> {
    let mut reader = Reader::new(record);
    let version = reader.u8("version").map_err(|error| damaged(key, &error))?;
    let stored = reader.u32("checksum").map_err(|error| damaged(key, &error))?;
    if checksum(key, version, reader.rest()) == stored {
        Ok((version, reader))
    } else {
        Err(checksum_mismatch(key))
    }
}

fn checksum(key: &Key, version: u8, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.bytes().as_ref());
    hasher.update(&[version]);
    hasher.update(body);
    hasher.finalize()
}

fn damaged(key: &Key, error: &DecodeError) -> StorageError {
    StorageError::Damaged { what: key.to_string(), how: error.to_string() }
}

fn checksum_mismatch(key: &Key) -> StorageError {
    let how = String::from("its checksum does not fit");
    StorageError::Damaged { what: key.to_string(), how }
}

fn unknown_version(key: &Key, version: u8) -> StorageError {
    let how = format!("version {version} is not spoken here");
    StorageError::Damaged { what: key.to_string(), how }
}
