//! What the groups of this node answer to other nodes.

use std::sync::Arc;

use futures::StreamExt;
use openraft::errors::RaftError;
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest,
};
use warren_rpc::{
    AppendReply, AppendRequest, Ballot, Caller, Flow, RaftHandler, Refusal, SnapshotBegin,
    SnapshotPart, TransferReply, TransferRequest, VoteReply, VoteRequest,
};
use warren_types::{DecodeError, GroupId, LogIndex};

use crate::codec;
use crate::error::ReadError;
use crate::member::Member;
use crate::node::Groups;
use crate::types::{Types, Vote};
use crate::usurp::OnEnd;

/// Hands what other nodes say to the group it is about.
#[derive(Debug)]
pub struct Handler {
    groups: Arc<Groups>,
}

impl Handler {
    pub(crate) fn new(groups: Arc<Groups>) -> Self {
        Self { groups }
    }

    fn member(&self, group: GroupId) -> Result<Arc<Member>, Refusal> {
        self.groups.member(group).ok_or(Refusal::UnknownGroup { group })
    }
}

impl RaftHandler for Handler {
    fn append(
        &self,
        caller: Caller,
        group: GroupId,
        requests: Flow<AppendRequest>,
    ) -> Result<Flow<Result<AppendReply, Refusal>>, Refusal> {
        let member = self.member(group)?;
        let peers = self.groups.peers().clone();
        let on_end = OnEnd::new(Arc::clone(&member), peers, caller.node);
        // What cannot be read ends the stream; the leader starts another.
        let requests = requests
            .map(move |request| {
                let _ends_with_the_stream = &on_end;
                append_request(request).ok()
            })
            .take_while(|request| std::future::ready(request.is_some()))
            .filter_map(std::future::ready);
        let replies = member.raft.stream_append(requests).map(|reply| match reply {
            Ok(result) => Ok(append_reply(result)),
            Err(fatal) => Err(Refusal::Failed { text: fatal.to_string() }),
        });
        Ok(Box::pin(replies))
    }

    async fn beat(
        &self,
        _caller: Caller,
        group: GroupId,
        request: AppendRequest,
    ) -> Result<AppendReply, Refusal> {
        let member = self.member(group)?;
        let request = append_request(request).map_err(senseless)?;
        let previous = request.prev_log_id;
        let response = member.raft.append_entries(request).await.map_err(failed)?;
        Ok(match response {
            AppendEntriesResponse::Success => {
                AppendReply::Matched(previous.as_ref().map(codec::sent_id))
            }
            AppendEntriesResponse::PartialSuccess(last) => {
                AppendReply::Matched(last.as_ref().map(codec::sent_id))
            }
            AppendEntriesResponse::Conflict => {
                let text = "an append without a previous entry cannot conflict".to_owned();
                let previous = previous.ok_or(Refusal::Failed { text })?;
                AppendReply::Conflict(codec::sent_id(&previous))
            }
            AppendEntriesResponse::HigherVote(vote) => AppendReply::Higher(codec::ballot(&vote)),
        })
    }

    async fn vote(
        &self,
        _caller: Caller,
        group: GroupId,
        request: VoteRequest,
    ) -> Result<VoteReply, Refusal> {
        let member = self.member(group)?;
        if !member.recall.is_whole() {
            return Ok(VoteReply { ballot: member.ballot(), granted: false, last: None });
        }
        let vote = codec::vote(request.ballot);
        let last = request.last.map(codec::received_id);
        let mut asked = openraft::raft::VoteRequest::<Types>::new(vote, last);
        asked.leadership_transfer = request.transfer;
        let response = if request.trial {
            member.raft.pre_vote(asked).await
        } else {
            member.raft.vote(asked).await
        };
        let response = response.map_err(failed)?;
        Ok(VoteReply {
            ballot: codec::ballot(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(codec::sent_id),
        })
    }

    async fn transfer(
        &self,
        _caller: Caller,
        group: GroupId,
        request: TransferRequest,
    ) -> Result<TransferReply, Refusal> {
        let member = self.member(group)?;
        if !member.recall.is_whole() {
            return Ok(TransferReply::Behind(None));
        }
        let from: Vote = codec::vote(request.from);
        let last = request.last.map(codec::received_id);
        let asked = TransferLeaderRequest::<Types>::new(from, request.to.0, last);
        let outcome = member.raft.handle_transfer_leader(asked).await;
        let outcome = outcome.map_err(|fatal| Refusal::Failed { text: fatal.to_string() })?;
        Ok(match outcome {
            Ok(()) => TransferReply::Accepted,
            Err(TransferLeaderError::VoteChanged { actual, .. }) => {
                TransferReply::Changed(codec::ballot(&actual))
            }
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
                TransferReply::Behind(actual.as_ref().map(codec::sent_id))
            }
        })
    }

    async fn read_index(&self, _caller: Caller, group: GroupId) -> Result<LogIndex, Refusal> {
        let member = self.member(group)?;
        member.read_index().await.map_err(|error| match error {
            ReadError::NoLeader => Refusal::NotLeader { group },
            ReadError::Unanswered { .. } | ReadError::Stopped => {
                Refusal::Failed { text: error.to_string() }
            }
        })
    }

    async fn progress(&self, _caller: Caller, group: GroupId) -> Result<LogIndex, Refusal> {
        Ok(self.member(group)?.progress())
    }

    async fn snapshot(
        &self,
        _caller: Caller,
        group: GroupId,
        begin: SnapshotBegin,
        parts: Flow<SnapshotPart>,
    ) -> Result<Ballot, Refusal> {
        self.member(group)?.receive(begin, parts).await
    }
}

fn append_request(request: AppendRequest) -> Result<AppendEntriesRequest<Types>, DecodeError> {
    let entries: Result<Vec<_>, DecodeError> =
        request.entries.into_iter().map(codec::received).collect();
    Ok(AppendEntriesRequest {
        vote: codec::vote(request.ballot),
        prev_log_id: request.previous.map(codec::received_id),
        entries: entries?,
        leader_commit: request.commit.map(codec::received_id),
    })
}

fn append_reply(result: StreamAppendResult<Types>) -> AppendReply {
    match result {
        Ok(last) => AppendReply::Matched(last.as_ref().map(codec::sent_id)),
        Err(StreamAppendError::Conflict(id)) => AppendReply::Conflict(codec::sent_id(&id)),
        Err(StreamAppendError::HigherVote(vote)) => AppendReply::Higher(codec::ballot(&vote)),
    }
}

fn senseless(error: DecodeError) -> Refusal {
    Refusal::Senseless { text: error.to_string() }
}

fn failed(error: RaftError<Types>) -> Refusal {
    Refusal::Failed { text: error.to_string() }
}
