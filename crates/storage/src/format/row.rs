//! A row of the log, or an adopted one: version, checksum, kind, term, leader, payload.
//!
//! The checksum covers group and index as well, and is the same for a row of the log and an
//! adopted one.

use bytes::Bytes;
use warren_types::{DecodeError, GroupId, LogIndex, NodeId, Reader, Term};

use super::{checksum_mismatch, damaged, unknown_version};
use crate::keys::row_key;
use crate::{Key, Row, RowKind, StorageError};

const VERSION: u8 = 1;

/// Bytes in front of the payload: version 1, checksum 4, kind 1, term 8, leader 8.
const HEAD_BYTES: usize = 22;

/// Those of them that come behind the checksum.
const FIELD_BYTES: usize = 17;

/// A row as it is stored, in two parts, so that making one copies no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowValue {
    head: [u8; HEAD_BYTES],
    payload: Bytes,
}

impl RowValue {
    /// `row` of `group`, with its checksum.
    pub(crate) fn encode(group: GroupId, row: &Row) -> Self {
        let kind = match row.kind {
            RowKind::Blank => 0,
            RowKind::Command => 1,
            RowKind::Membership => 2,
        };
        let mut fields = [0; FIELD_BYTES];
        let (first, rest) = fields.split_at_mut(1);
        first.copy_from_slice(&[kind]);
        let (term, leader) = rest.split_at_mut(8);
        term.copy_from_slice(&row.term.0.to_be_bytes());
        leader.copy_from_slice(&row.leader.0.to_be_bytes());

        let sum = checksum(group, row.index, &fields, &row.payload);
        let mut head = [0; HEAD_BYTES];
        let (version, rest) = head.split_at_mut(1);
        version.copy_from_slice(&[VERSION]);
        let (slot, rest) = rest.split_at_mut(4);
        slot.copy_from_slice(&sum.to_be_bytes());
        rest.copy_from_slice(&fields);
        Self { head, payload: row.payload.clone() }
    }

    /// The row that was stored as `record` under `group` and `index`.
    pub(crate) fn decode(
        group: GroupId,
        index: LogIndex,
        record: Bytes,
    ) -> Result<Row, StorageError> {
        let key = Key::Row(group, index);
        let mut reader = Reader::new(record);
        let version = reader.u8("version").map_err(|error| damaged(&key, &error))?;
        if version != VERSION {
            return Err(unknown_version(&key, version));
        }
        let stored = reader.u32("checksum").map_err(|error| damaged(&key, &error))?;
        let fields = reader.take("head", FIELD_BYTES).map_err(|error| damaged(&key, &error))?;
        if checksum(group, index, &fields, reader.rest()) != stored {
            return Err(checksum_mismatch(&key));
        }
        let payload = reader.rest().clone();
        read(index, fields, payload).map_err(|error| damaged(&key, &error))
    }

    /// Puts the record's bytes behind `bytes`.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.head);
        bytes.extend_from_slice(&self.payload);
    }

    /// How many bytes the record has.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a record is never empty")]
    pub fn len(&self) -> usize {
        HEAD_BYTES.saturating_add(self.payload.len())
    }
}

/// The record of `version` whose fields and payload `body` is, with its checksum.
pub(super) fn seal(group: GroupId, index: LogIndex, version: u8, body: &[u8]) -> Bytes {
    let (fields, payload) = body.split_at(body.len().min(FIELD_BYTES));
    let sum = checksum(group, index, fields, payload).to_be_bytes();
    [&[version], sum.as_slice(), body].concat().into()
}

fn read(index: LogIndex, fields: Bytes, payload: Bytes) -> Result<Row, DecodeError> {
    let mut reader = Reader::new(fields);
    let kind = match reader.u8("kind")? {
        0 => RowKind::Blank,
        1 => RowKind::Command,
        2 => RowKind::Membership,
        value => return Err(DecodeError::Unknown { what: "kind", value: u64::from(value) }),
    };
    let term = Term(reader.u64("term")?);
    let leader = NodeId(reader.u64("leader")?);
    Ok(Row { index, term, leader, kind, payload })
}

fn checksum(group: GroupId, index: LogIndex, fields: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&row_key(group, index));
    hasher.update(fields);
    hasher.update(payload);
    hasher.finalize()
}
