//! Any bytes as records.

use bytes::Bytes;
use warren_types::GroupId;

use super::{RowValue, bottom, head, opaque, origin, row, seal};
use crate::{Key, StorageError};

/// One key for each kind of record.
const KEYS: [Key; 9] = Key::samples(GroupId(3));

/// Reads `bytes` as each kind of record, as they are, and as version and body of one whose checksum
/// fits.
///
/// # Panics
/// When a record that can be read would be written otherwise.
pub fn probe_records(bytes: &[u8]) {
    let whole = Bytes::copy_from_slice(bytes);
    for key in &KEYS {
        drop(rewritten(key, whole.clone()));
    }
    let Some((version, body)) = bytes.split_first() else { return };
    for key in &KEYS {
        let record = match *key {
            Key::Row(group, index) | Key::Adopted(group, index) => {
                row::seal(group, index, *version, body)
            }
            Key::Identity
            | Key::Vote(_)
            | Key::Committed(_)
            | Key::Origin(_)
            | Key::Bottom(_)
            | Key::Head(_)
            | Key::Page(..) => seal(key, *version, body),
        };
        if let Ok(again) = rewritten(key, record.clone()) {
            assert_eq!(again, record, "{key} is written otherwise than it was read");
        }
    }
}

/// What is written of what is read in `record`.
fn rewritten(key: &Key, record: Bytes) -> Result<Bytes, StorageError> {
    Ok(match *key {
        Key::Row(group, index) | Key::Adopted(group, index) => {
            let row = RowValue::decode(group, index, record)?;
            let mut bytes = Vec::new();
            RowValue::encode(group, &row).write(&mut bytes);
            bytes.into()
        }
        Key::Identity | Key::Vote(_) | Key::Committed(_) | Key::Page(..) => {
            opaque::encode(key, &opaque::decode(key, record)?)
        }
        Key::Origin(group) => origin::encode(group, &origin::decode(group, record)?),
        Key::Bottom(group) => bottom::encode(group, bottom::decode(group, record)?),
        Key::Head(group) => head::encode(group, &head::decode(group, record)?),
    })
}
