//! What is kept and sent of consensus, as any bytes, for those who look for bytes that cannot be borne.

use bytes::Bytes;
use warren_storage::{Row, RowKind};
use warren_types::{LogIndex, NodeId, Term};

use crate::codec;

/// Reads `bytes` as a vote, a hint how far is committed, what a snapshot stands for, and a membership
/// in an entry of the log.
///
/// # Panics
/// When what can be read would be read otherwise once it was written.
pub fn records(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok((vote, given_up)) = codec::read_vote(bytes.clone()) {
        let written = codec::write_vote(&vote, given_up);
        assert_eq!(codec::read_vote(written), Ok((vote, given_up)));
    }
    if let Ok(id) = codec::read_committed(bytes.clone()) {
        assert_eq!(codec::read_committed(codec::write_committed(id.as_ref())), Ok(id));
    }
    if let Ok(meta) = codec::read_meta(bytes.clone()) {
        assert_eq!(codec::read_meta(codec::write_meta(&meta)), Ok(meta));
    }
    let (index, term, leader) = (LogIndex(7), Term(3), NodeId(1));
    let row = Row { index, term, leader, kind: RowKind::Membership, payload: bytes };
    if let Ok(entry) = codec::entry(row) {
        assert_eq!(codec::received(codec::sent(entry.clone())), Ok(entry));
    }
}
