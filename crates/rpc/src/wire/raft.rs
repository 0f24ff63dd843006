//! The messages between replicas, to and from bytes.

use warren_types::{LogIndex, NodeId, Term};

use super::Senseless;
use super::generated::raft as wire;
use crate::raft::{
    AppendReply, AppendRequest, Ballot, Entry, EntryId, EntryKind, SnapshotBegin, SnapshotPart,
    TransferReply, TransferRequest, VoteReply, VoteRequest,
};

impl From<Ballot> for wire::Ballot {
    fn from(ballot: Ballot) -> Self {
        Self { term: ballot.term.0, node: ballot.node.0, committed: ballot.committed }
    }
}

impl From<wire::Ballot> for Ballot {
    fn from(ballot: wire::Ballot) -> Self {
        Self { term: Term(ballot.term), node: NodeId(ballot.node), committed: ballot.committed }
    }
}

impl From<EntryId> for wire::EntryId {
    fn from(id: EntryId) -> Self {
        Self { term: id.term.0, leader: id.leader.0, index: id.index.0 }
    }
}

impl TryFrom<wire::EntryId> for EntryId {
    type Error = Senseless;

    fn try_from(id: wire::EntryId) -> Result<Self, Senseless> {
        if id.index == 0 {
            return Err(Senseless("an entry's index"));
        }
        Ok(Self { term: Term(id.term), leader: NodeId(id.leader), index: LogIndex(id.index) })
    }
}

impl From<Entry> for wire::Entry {
    fn from(entry: Entry) -> Self {
        let kind = match entry.kind {
            EntryKind::Blank => wire::EntryKind::Blank,
            EntryKind::Command => wire::EntryKind::Command,
            EntryKind::Membership => wire::EntryKind::Membership,
        };
        Self { id: Some(entry.id.into()), kind: kind.into(), payload: entry.payload }
    }
}

impl TryFrom<wire::Entry> for Entry {
    type Error = Senseless;

    fn try_from(entry: wire::Entry) -> Result<Self, Senseless> {
        let kind = match entry.kind() {
            wire::EntryKind::Unspecified => return Err(Senseless("an entry's kind")),
            wire::EntryKind::Blank => EntryKind::Blank,
            wire::EntryKind::Command => EntryKind::Command,
            wire::EntryKind::Membership => EntryKind::Membership,
        };
        let id = entry.id.ok_or(Senseless("an entry's id"))?.try_into()?;
        Ok(Self { id, kind, payload: entry.payload })
    }
}

impl From<AppendRequest> for wire::AppendRequest {
    fn from(request: AppendRequest) -> Self {
        Self {
            ballot: Some(request.ballot.into()),
            previous: request.previous.map(Into::into),
            commit: request.commit.map(Into::into),
            entries: request.entries.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<wire::AppendRequest> for AppendRequest {
    type Error = Senseless;

    fn try_from(request: wire::AppendRequest) -> Result<Self, Senseless> {
        let entries: Result<Vec<Entry>, Senseless> =
            request.entries.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            ballot: ballot(request.ballot)?,
            previous: request.previous.map(TryInto::try_into).transpose()?,
            commit: request.commit.map(TryInto::try_into).transpose()?,
            entries: entries?,
        })
    }
}

impl From<AppendReply> for wire::AppendReply {
    fn from(reply: AppendReply) -> Self {
        use wire::append_reply::Outcome;
        let outcome = match reply {
            AppendReply::Matched(last) => Outcome::Matched(matched(last)),
            AppendReply::Conflict(id) => Outcome::Conflict(id.into()),
            AppendReply::Higher(ballot) => Outcome::Higher(ballot.into()),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<wire::AppendReply> for AppendReply {
    type Error = Senseless;

    fn try_from(reply: wire::AppendReply) -> Result<Self, Senseless> {
        use wire::append_reply::Outcome;
        Ok(match reply.outcome.ok_or(Senseless("an append's outcome"))? {
            Outcome::Matched(last) => Self::Matched(last.last.map(TryInto::try_into).transpose()?),
            Outcome::Conflict(id) => Self::Conflict(id.try_into()?),
            Outcome::Higher(ballot) => Self::Higher(ballot.into()),
        })
    }
}

impl From<VoteRequest> for wire::VoteRequest {
    fn from(request: VoteRequest) -> Self {
        Self {
            ballot: Some(request.ballot.into()),
            last: request.last.map(Into::into),
            transfer: request.transfer,
            trial: request.trial,
        }
    }
}

impl TryFrom<wire::VoteRequest> for VoteRequest {
    type Error = Senseless;

    fn try_from(request: wire::VoteRequest) -> Result<Self, Senseless> {
        Ok(Self {
            ballot: ballot(request.ballot)?,
            last: request.last.map(TryInto::try_into).transpose()?,
            transfer: request.transfer,
            trial: request.trial,
        })
    }
}

impl From<VoteReply> for wire::VoteReply {
    fn from(reply: VoteReply) -> Self {
        Self {
            ballot: Some(reply.ballot.into()),
            granted: reply.granted,
            last: reply.last.map(Into::into),
        }
    }
}

impl TryFrom<wire::VoteReply> for VoteReply {
    type Error = Senseless;

    fn try_from(reply: wire::VoteReply) -> Result<Self, Senseless> {
        Ok(Self {
            ballot: ballot(reply.ballot)?,
            granted: reply.granted,
            last: reply.last.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<TransferRequest> for wire::TransferRequest {
    fn from(request: TransferRequest) -> Self {
        Self {
            from: Some(request.from.into()),
            to: request.to.0,
            last: request.last.map(Into::into),
        }
    }
}

impl TryFrom<wire::TransferRequest> for TransferRequest {
    type Error = Senseless;

    fn try_from(request: wire::TransferRequest) -> Result<Self, Senseless> {
        Ok(Self {
            from: ballot(request.from)?,
            to: NodeId(request.to),
            last: request.last.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<TransferReply> for wire::TransferReply {
    fn from(reply: TransferReply) -> Self {
        use wire::transfer_reply::Outcome;
        let outcome = match reply {
            TransferReply::Accepted => Outcome::Accepted(wire::TransferAccepted {}),
            TransferReply::Changed(ballot) => Outcome::Changed(ballot.into()),
            TransferReply::Behind(last) => Outcome::Behind(matched(last)),
        };
        Self { outcome: Some(outcome) }
    }
}

impl TryFrom<wire::TransferReply> for TransferReply {
    type Error = Senseless;

    fn try_from(reply: wire::TransferReply) -> Result<Self, Senseless> {
        use wire::transfer_reply::Outcome;
        Ok(match reply.outcome.ok_or(Senseless("a transfer's outcome"))? {
            Outcome::Accepted(wire::TransferAccepted {}) => Self::Accepted,
            Outcome::Changed(ballot) => Self::Changed(ballot.into()),
            Outcome::Behind(last) => Self::Behind(last.last.map(TryInto::try_into).transpose()?),
        })
    }
}

impl From<SnapshotBegin> for wire::SnapshotPart {
    fn from(begin: SnapshotBegin) -> Self {
        use wire::snapshot_part::Part;
        let ballot = Some(begin.ballot.into());
        Self { part: Some(Part::Begin(wire::SnapshotBegin { ballot, meta: begin.meta })) }
    }
}

impl From<SnapshotPart> for wire::SnapshotPart {
    fn from(part: SnapshotPart) -> Self {
        use wire::snapshot_part::Part;
        let part = match part {
            SnapshotPart::Rows(rows) => {
                Part::Rows(wire::SnapshotRows { rows: rows.into_iter().map(Into::into).collect() })
            }
            SnapshotPart::Page(page) => Part::Page(page),
            SnapshotPart::End { rows, pages } => Part::End(wire::SnapshotEnd { rows, pages }),
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<wire::SnapshotPart> for SnapshotBegin {
    type Error = Senseless;

    fn try_from(part: wire::SnapshotPart) -> Result<Self, Senseless> {
        match part.part {
            Some(wire::snapshot_part::Part::Begin(begin)) => {
                Ok(Self { ballot: ballot(begin.ballot)?, meta: begin.meta })
            }
            _ => Err(Senseless("a snapshot's beginning")),
        }
    }
}

impl TryFrom<wire::SnapshotPart> for SnapshotPart {
    type Error = Senseless;

    fn try_from(part: wire::SnapshotPart) -> Result<Self, Senseless> {
        use wire::snapshot_part::Part;
        Ok(match part.part.ok_or(Senseless("a snapshot's part"))? {
            Part::Begin(_) => return Err(Senseless("a snapshot's second beginning")),
            Part::Rows(rows) => {
                let rows: Result<Vec<Entry>, Senseless> =
                    rows.rows.into_iter().map(TryInto::try_into).collect();
                Self::Rows(rows?)
            }
            Part::Page(page) => Self::Page(page),
            Part::End(end) => Self::End { rows: end.rows, pages: end.pages },
        })
    }
}

fn ballot(ballot: Option<wire::Ballot>) -> Result<Ballot, Senseless> {
    ballot.map(Into::into).ok_or(Senseless("a ballot"))
}

fn matched(last: Option<EntryId>) -> wire::Matched {
    wire::Matched { last: last.map(Into::into) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::sent;

    fn id(index: u64) -> EntryId {
        EntryId { term: Term(3), leader: NodeId(2), index: LogIndex(index) }
    }

    const BALLOT: Ballot = Ballot { term: Term(3), node: NodeId(2), committed: true };

    #[test]
    fn requests_and_replies_arrive_as_they_were_sent() {
        let entry = |index, kind| Entry { id: id(index), kind, payload: Bytes::from_static(b"x") };
        let entries = vec![
            entry(5, EntryKind::Blank),
            entry(6, EntryKind::Command),
            entry(7, EntryKind::Membership),
        ];
        let append = AppendRequest {
            ballot: BALLOT,
            previous: Some(id(4)),
            commit: None,
            entries: entries.clone(),
        };
        assert_eq!(sent::<wire::AppendRequest>(append.clone()).try_into(), Ok(append));
        let replies = [
            AppendReply::Matched(None),
            AppendReply::Matched(Some(id(7))),
            AppendReply::Conflict(id(4)),
            AppendReply::Higher(BALLOT),
        ];
        for reply in replies {
            assert_eq!(sent::<wire::AppendReply>(reply).try_into(), Ok(reply));
        }
        let vote = VoteRequest { ballot: BALLOT, last: Some(id(9)), transfer: true, trial: false };
        assert_eq!(sent::<wire::VoteRequest>(vote).try_into(), Ok(vote));
        let reply = VoteReply { ballot: BALLOT, granted: true, last: None };
        assert_eq!(sent::<wire::VoteReply>(reply).try_into(), Ok(reply));
        let transfer = TransferRequest { from: BALLOT, to: NodeId(3), last: Some(id(9)) };
        assert_eq!(sent::<wire::TransferRequest>(transfer).try_into(), Ok(transfer));
        let replies =
            [TransferReply::Accepted, TransferReply::Changed(BALLOT), TransferReply::Behind(None)];
        for reply in replies {
            assert_eq!(sent::<wire::TransferReply>(reply).try_into(), Ok(reply));
        }
        let begin = SnapshotBegin { ballot: BALLOT, meta: Bytes::from_static(b"meta") };
        assert_eq!(sent::<wire::SnapshotPart>(begin.clone()).try_into(), Ok(begin));
        let parts = [
            SnapshotPart::Rows(entries),
            SnapshotPart::Page(Bytes::from_static(b"page")),
            SnapshotPart::End { rows: 3, pages: 1 },
        ];
        for part in parts {
            assert_eq!(sent::<wire::SnapshotPart>(part.clone()).try_into(), Ok(part));
        }
    }

    #[test]
    fn what_lacks_something_is_refused() {
        let nothing = wire::AppendRequest::default();
        assert_eq!(AppendRequest::try_from(nothing), Err(Senseless("a ballot")));
        let nowhere =
            wire::Entry { id: Some(wire::EntryId::default()), kind: 2, ..Default::default() };
        assert_eq!(Entry::try_from(nowhere), Err(Senseless("an entry's index")));
        let what = wire::Entry { id: Some(id(1).into()), kind: 77, ..Default::default() };
        assert_eq!(Entry::try_from(what), Err(Senseless("an entry's kind")));
        let part = wire::SnapshotPart::default();
        assert_eq!(SnapshotPart::try_from(part), Err(Senseless("a snapshot's part")));
    }
}
