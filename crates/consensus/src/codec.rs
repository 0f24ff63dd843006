//! What is kept and sent, in our own formats; openraft's types are never written down.
//!
//! openraft counts entries from 0, everything else here from 1, so that 0 can mean "none".

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use openraft::impls::{BasicNode, EntryPayload};
use warren_rpc::{Ballot, EntryId, EntryKind};
use warren_storage::{Row, RowKind};
use warren_types::{DecodeError, LogIndex, NodeId, Reader, Term, Writer};

use crate::types::{
    Command, Entry, Leader, LogId, Membership, SnapshotMeta, StoredMembership, Vote,
};

/// The version of every stored value here; the first byte of each.
const VERSION: u8 = 1;

/// Our count of openraft's `index`.
pub(crate) fn index(index: u64) -> LogIndex {
    LogIndex(index).next()
}

/// openraft's count of our `index`, which is not 0.
pub(crate) fn raft_index(index: LogIndex) -> u64 {
    index.0.saturating_sub(1)
}

/// Our index of what may not be there.
pub(crate) fn index_of(id: Option<&LogId>) -> LogIndex {
    id.map_or(LogIndex(0), |id| index(id.index))
}

pub(crate) fn log_id(id: warren_storage::LogId) -> LogId {
    LogId::new(Leader { term: id.term.0, node_id: id.leader.0 }, raft_index(id.index))
}

pub(crate) fn stored_id(id: &LogId) -> warren_storage::LogId {
    warren_storage::LogId {
        index: index(id.index),
        term: Term(id.leader_id.term),
        leader: NodeId(id.leader_id.node_id),
    }
}

pub(crate) fn sent_id(id: &LogId) -> EntryId {
    EntryId {
        term: Term(id.leader_id.term),
        leader: NodeId(id.leader_id.node_id),
        index: index(id.index),
    }
}

pub(crate) fn received_id(id: EntryId) -> LogId {
    LogId::new(Leader { term: id.term.0, node_id: id.leader.0 }, raft_index(id.index))
}

pub(crate) fn ballot(vote: &Vote) -> Ballot {
    Ballot {
        term: Term(vote.leader_id.term),
        node: NodeId(vote.leader_id.node_id),
        committed: vote.committed,
    }
}

pub(crate) fn vote(ballot: Ballot) -> Vote {
    let leader_id = Leader { term: ballot.term.0, node_id: ballot.node.0 };
    Vote { leader_id, committed: ballot.committed }
}

/// What an entry is and says, apart from its name.
fn content(payload: EntryPayload<Command, u64, BasicNode>) -> (RowKind, Bytes) {
    match payload {
        EntryPayload::Blank => (RowKind::Blank, Bytes::new()),
        EntryPayload::Normal(Command(bytes)) => (RowKind::Command, bytes),
        EntryPayload::Membership(membership) => {
            let mut writer = Writer::new();
            writer.u8(VERSION);
            write_membership(&mut writer, &membership);
            (RowKind::Membership, writer.finish())
        }
    }
}

fn payload(
    kind: RowKind,
    bytes: Bytes,
) -> Result<EntryPayload<Command, u64, BasicNode>, DecodeError> {
    Ok(match kind {
        RowKind::Blank => EntryPayload::Blank,
        RowKind::Command => EntryPayload::Normal(Command(bytes)),
        RowKind::Membership => {
            let mut reader = Reader::new(bytes);
            version(&mut reader)?;
            let membership = read_membership(&mut reader)?;
            reader.finish()?;
            EntryPayload::Membership(membership)
        }
    })
}

pub(crate) fn row(entry: Entry) -> Row {
    let warren_storage::LogId { index, term, leader } = stored_id(&entry.log_id);
    let (kind, payload) = content(entry.payload);
    Row { index, term, leader, kind, payload }
}

pub(crate) fn entry(row: Row) -> Result<Entry, DecodeError> {
    Ok(Entry { log_id: log_id(row.id()), payload: payload(row.kind, row.payload)? })
}

pub(crate) fn sent(entry: Entry) -> warren_rpc::Entry {
    let id = sent_id(&entry.log_id);
    let (kind, payload) = content(entry.payload);
    warren_rpc::Entry { id, kind: sent_kind(kind), payload }
}

pub(crate) fn received(entry: warren_rpc::Entry) -> Result<Entry, DecodeError> {
    let log_id = received_id(entry.id);
    Ok(Entry { log_id, payload: payload(received_kind(entry.kind), entry.payload)? })
}

pub(crate) fn sent_row(row: Row) -> warren_rpc::Entry {
    let id = EntryId { term: row.term, leader: row.leader, index: row.index };
    warren_rpc::Entry { id, kind: sent_kind(row.kind), payload: row.payload }
}

pub(crate) fn received_row(entry: warren_rpc::Entry) -> Row {
    let EntryId { term, leader, index } = entry.id;
    Row { index, term, leader, kind: received_kind(entry.kind), payload: entry.payload }
}

fn sent_kind(kind: RowKind) -> EntryKind {
    match kind {
        RowKind::Blank => EntryKind::Blank,
        RowKind::Command => EntryKind::Command,
        RowKind::Membership => EntryKind::Membership,
    }
}

fn received_kind(kind: EntryKind) -> RowKind {
    match kind {
        EntryKind::Blank => RowKind::Blank,
        EntryKind::Command => RowKind::Command,
        EntryKind::Membership => RowKind::Membership,
    }
}

/// The vote of a replica that never heard of a candidate.
pub(crate) fn no_vote() -> Vote {
    Vote { leader_id: Leader { term: 0, node_id: 0 }, committed: false }
}

/// A vote, and how long the log was that the replica gave up when it left the group.
pub(crate) fn write_vote(vote: &Vote, given_up: Option<LogIndex>) -> Bytes {
    let mut writer = Writer::with_capacity(26);
    writer.u8(VERSION);
    writer.u64(vote.leader_id.term);
    writer.u64(vote.leader_id.node_id);
    writer.bool(vote.committed);
    if let Some(last) = given_up {
        writer.u64(last.0);
    }
    writer.finish()
}

pub(crate) fn read_vote(bytes: Bytes) -> Result<(Vote, Option<LogIndex>), DecodeError> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let leader_id = read_leader(&mut reader)?;
    let committed = reader.bool("a vote's commitment")?;
    let given_up = match reader.is_empty() {
        true => None,
        false => Some(LogIndex(reader.u64("the log that was given up")?)),
    };
    reader.finish()?;
    Ok((Vote { leader_id, committed }, given_up))
}

pub(crate) fn write_committed(id: Option<&LogId>) -> Bytes {
    let mut writer = Writer::with_capacity(26);
    writer.u8(VERSION);
    writer.option(id, write_log_id);
    writer.finish()
}

pub(crate) fn read_committed(bytes: Bytes) -> Result<Option<LogId>, DecodeError> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let id = reader.option("the committed entry", read_log_id)?;
    reader.finish()?;
    Ok(id)
}

pub(crate) fn write_meta(meta: &SnapshotMeta) -> Bytes {
    let mut writer = Writer::new();
    writer.u8(VERSION);
    writer.option(meta.last_log_id.as_ref(), write_log_id);
    writer.option(meta.last_membership.log_id().as_ref(), write_log_id);
    write_membership(&mut writer, meta.last_membership.membership());
    writer.finish()
}

pub(crate) fn read_meta(bytes: Bytes) -> Result<SnapshotMeta, DecodeError> {
    let mut reader = Reader::new(bytes);
    version(&mut reader)?;
    let last_log_id = reader.option("a snapshot's last entry", read_log_id)?;
    let membership_id = reader.option("a membership's entry", read_log_id)?;
    let membership = read_membership(&mut reader)?;
    reader.finish()?;
    let last_membership = StoredMembership::new(membership_id, membership);
    Ok(SnapshotMeta { last_log_id, last_membership })
}

fn version(reader: &mut Reader) -> Result<(), DecodeError> {
    match reader.u8("a version")? {
        VERSION => Ok(()),
        other => Err(DecodeError::Unknown { what: "a version", value: u64::from(other) }),
    }
}

fn write_log_id(writer: &mut Writer, id: &LogId) {
    writer.u64(id.leader_id.term);
    writer.u64(id.leader_id.node_id);
    writer.u64(index(id.index).0);
}

fn read_log_id(reader: &mut Reader) -> Result<LogId, DecodeError> {
    let leader = read_leader(reader)?;
    match reader.u64("an index")? {
        0 => Err(DecodeError::Unknown { what: "an index", value: 0 }),
        count => Ok(LogId::new(leader, raft_index(LogIndex(count)))),
    }
}

fn read_leader(reader: &mut Reader) -> Result<Leader, DecodeError> {
    let term = reader.u64("a term")?;
    let node_id = reader.u64("a leader")?;
    Ok(Leader { term, node_id })
}

fn write_membership(writer: &mut Writer, membership: &Membership) {
    writer.list(membership.get_joint_config(), |writer, voters| {
        writer.list(voters, |writer, node| writer.u64(*node));
    });
    let nodes: Vec<(&u64, &BasicNode)> = membership.nodes().collect();
    writer.list(nodes, |writer, (node, at)| {
        writer.u64(*node);
        writer.text(&at.addr);
    });
}

fn read_membership(reader: &mut Reader) -> Result<Membership, DecodeError> {
    let configs = reader.list("voters", |reader| {
        let voters = reader.list("voters", |reader| reader.u64("a voter"))?;
        Ok(voters.into_iter().collect::<BTreeSet<u64>>())
    })?;
    let nodes = reader.list("nodes", |reader| {
        Ok((reader.u64("a node")?, BasicNode { addr: reader.text("an address")? }))
    })?;
    let nodes: BTreeMap<u64, BasicNode> = nodes.into_iter().collect();
    // An empty membership is what a group has before it was made, and what `new` refuses.
    if configs.is_empty() && nodes.is_empty() {
        return Ok(Membership::default());
    }
    let senseless = DecodeError::Unknown { what: "a membership", value: 0 };
    Membership::new(configs, nodes).map_err(|_| senseless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(term: u64, node: u64, index: u64) -> LogId {
        LogId::new(Leader { term, node_id: node }, index)
    }

    fn membership() -> Membership {
        let node = |addr: &str| BasicNode { addr: addr.to_owned() };
        let configs = vec![BTreeSet::from([1, 2, 3]), BTreeSet::from([1, 2, 4])];
        let nodes = [1, 2, 3, 4, 9].map(|n| (n, node(&format!("10.0.0.{n}:25672"))));
        Membership::new(configs, BTreeMap::from(nodes)).expect("voters have addresses")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let entries = [
            EntryPayload::Blank,
            EntryPayload::Normal(Command(Bytes::from_static(b"do it"))),
            EntryPayload::Membership(membership()),
        ];
        for payload in entries {
            let before = Entry { log_id: id(3, 2, 0), payload };

            let stored = entry(row(before.clone())).expect("its own format");
            let over_the_wire = received(sent(before.clone())).expect("its own format");

            assert_eq!(stored, before);
            assert_eq!(over_the_wire, before);
        }
        for committed in [true, false] {
            let before = Vote { leader_id: Leader { term: 7, node_id: 3 }, committed };
            for given_up in [None, Some(LogIndex(7))] {
                assert_eq!(read_vote(write_vote(&before, given_up)), Ok((before, given_up)));
            }
        }
        for before in [None, Some(id(1, 2, 3))] {
            assert_eq!(read_committed(write_committed(before.as_ref())), Ok(before));
        }
        for stored in
            [StoredMembership::default(), StoredMembership::new(Some(id(1, 1, 0)), membership())]
        {
            let before = SnapshotMeta { last_log_id: Some(id(2, 1, 99)), last_membership: stored };
            assert_eq!(read_meta(write_meta(&before)), Ok(before));
        }
    }

    #[test]
    fn released_formats_stay_readable() {
        let vote = Bytes::from_static(b"\x01\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x03\x01");
        let committed =
            Bytes::from_static(b"\x01\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x64");

        let expected = Vote { leader_id: Leader { term: 7, node_id: 3 }, committed: true };
        assert_eq!(read_vote(vote), Ok((expected, None)));
        assert_eq!(read_committed(committed), Ok(Some(id(2, 1, 99))));
    }

    #[test]
    fn damaged_bytes_are_an_error() {
        let meta = write_meta(&SnapshotMeta {
            last_log_id: Some(id(2, 1, 99)),
            last_membership: StoredMembership::new(Some(id(1, 1, 0)), membership()),
        });

        for length in 0..meta.len() {
            assert!(read_meta(meta.slice(..length)).is_err(), "cut to {length}");
        }
        assert!(read_vote(Bytes::from_static(b"\x09")).is_err());
    }
}
