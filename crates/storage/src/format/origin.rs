//! Where a group's log begins.

use bytes::Bytes;
use warren_types::{DecodeError, GroupId, LogIndex, NodeId, Reader, Term, Writer};

use super::{damaged, seal, unknown_version, unseal};
use crate::{Key, LogId, StorageError};

const VERSION: u8 = 1;

/// What stands before the first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing was ever purged; this is the first row.
    Begins(LogIndex),
    /// Everything up to and including this row was purged.
    Purged(LogId),
}

impl Origin {
    /// The first row above it.
    pub(crate) fn first(&self) -> LogIndex {
        match self {
            Self::Begins(index) => *index,
            Self::Purged(floor) => floor.index.next(),
        }
    }

    /// The row up to which was purged.
    pub(crate) fn floor(&self) -> Option<LogId> {
        match self {
            Self::Begins(_) => None,
            Self::Purged(floor) => Some(*floor),
        }
    }
}

/// The record of `group`'s origin.
pub(crate) fn encode(group: GroupId, origin: &Origin) -> Bytes {
    let mut body = Writer::new();
    match origin {
        Origin::Begins(index) => {
            body.u8(0);
            body.u64(index.0);
        }
        Origin::Purged(floor) => {
            body.u8(1);
            body.u64(floor.index.0);
            body.u64(floor.term.0);
            body.u64(floor.leader.0);
        }
    }
    seal(&Key::Origin(group), VERSION, &body.finish())
}

/// What [`encode`] wrote.
pub(crate) fn decode(group: GroupId, record: Bytes) -> Result<Origin, StorageError> {
    let key = Key::Origin(group);
    match unseal(&key, record)? {
        (VERSION, reader) => read(reader).map_err(|error| damaged(&key, &error)),
        (version, _) => Err(unknown_version(&key, version)),
    }
}

fn read(mut reader: Reader) -> Result<Origin, DecodeError> {
    let origin = match reader.u8("origin")? {
        0 => Origin::Begins(LogIndex(reader.u64("index")?)),
        1 => Origin::Purged(LogId {
            index: LogIndex(reader.u64("index")?),
            term: Term(reader.u64("term")?),
            leader: NodeId(reader.u64("leader")?),
        }),
        value => return Err(DecodeError::Unknown { what: "origin", value: u64::from(value) }),
    };
    reader.finish()?;
    Ok(origin)
}
