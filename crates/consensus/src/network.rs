//! openraft's way to the other replicas of a group.
//!
//! Entries go over one stream per replica, signs of life and votes are calls of their own over
//! another connection, and a snapshot is sent with the bodies that the receiver lacks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use futures::{Stream, StreamExt, stream};
use openraft::errors::{
    NetworkError, RPCError, ReplicationClosed, StreamingError, Timeout, Unreachable,
};
use openraft::impls::BasicNode;
use openraft::network::{
    Backoff, NetBackoff, NetSnapshot, NetStreamAppend, NetTransferLeader, NetVote, RPCOption,
    RaftNetworkFactory,
};
use openraft::raft::{
    AppendEntriesRequest, SnapshotResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::type_config::alias::SnapshotOf;
use openraft::{OptionalSend, RPCTypes};
use warren_rpc::{
    AppendReply, AppendRequest, PeerError, Peers, RaftPeer, SnapshotBegin, SnapshotPart,
    TransferReply, TransferRequest,
};
use warren_storage::{GroupStore, StorageError};
use warren_types::{GroupId, LogIndex, NodeId};

use crate::apply::{Pages, Shared};
use crate::aside;
use crate::codec;
use crate::transfers::Transfers;
use crate::types::{LogId, Types, Vote};

/// The least time that setting up a stream gets, however short the heartbeat: it may include a
/// new connection.
const SETUP_LIMIT: Duration = Duration::from_millis(1000);
/// How long there may be nothing to say before a stream is set up all the same; also the pause
/// between attempts to do so.
const SILENCE: Duration = Duration::from_millis(500);
/// How long the receiver of a snapshot may take to say what it has.
const PROGRESS_LIMIT: Duration = Duration::from_millis(5000);
/// Bytes of rows in one part of a snapshot.
const PART_BYTES: usize = 1024 * 1024;
/// Rows in one part of a snapshot; some rows are tiny.
const PART_ROWS: usize = 1024;

type Boxed<'s, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 's>>;
type Replies<'s> = std::pin::Pin<
    Box<dyn Stream<Item = Result<StreamAppendResult<Types>, RPCError<Types>>> + Send + 's>,
>;

/// Makes connections for one group.
pub(crate) struct Network {
    group: GroupId,
    node: NodeId,
    peers: Peers,
    shared: Shared,
    transfers: Arc<Transfers>,
}

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Anything,
    Heartbeats,
}

/// The way to one other replica.
pub(crate) struct Link {
    peer: RaftPeer,
    from: NodeId,
    shared: Shared,
    transfers: Arc<Transfers>,
    used_for: Use,
}

impl Network {
    pub(crate) fn new(
        group: GroupId,
        node: NodeId,
        peers: Peers,
        shared: Shared,
        transfers: Arc<Transfers>,
    ) -> Self {
        Self { group, node, peers, shared, transfers }
    }

    fn link(&self, target: u64, at: &BasicNode, used_for: Use) -> Link {
        let target = NodeId(target);
        // The membership's address is as old as the membership; whoever knows better wins.
        self.peers.suggest_address(target, &at.addr);
        let peer = self.peers.raft(target, self.group);
        let (shared, transfers) = (self.shared.clone(), Arc::clone(&self.transfers));
        Link { peer, from: self.node, shared, transfers, used_for }
    }
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Link {
        self.link(target, node, Use::Anything)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &BasicNode) -> Link {
        self.link(target, node, Use::Heartbeats)
    }
}

impl Link {
    async fn beat(
        &self,
        request: AppendEntriesRequest<Types>,
        limit: Duration,
    ) -> Result<StreamAppendResult<Types>, RPCError<Types>> {
        let reply = self.peer.beat(append_request(request), limit).await;
        reply.map(append_result).map_err(|error| self.failed(RPCTypes::AppendEntries, error))
    }

    async fn ask_vote(
        &self,
        request: VoteRequest<Types>,
        trial: bool,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        let request = warren_rpc::VoteRequest {
            ballot: codec::ballot(&request.vote),
            last: request.last_log_id.as_ref().map(codec::sent_id),
            transfer: request.leadership_transfer,
            trial,
        };
        let reply = self.peer.vote(request, option.soft_ttl()).await;
        let reply = reply.map_err(|error| self.failed(RPCTypes::Vote, error))?;
        let last = reply.last.map(codec::received_id);
        Ok(VoteResponse::new(codec::vote(reply.ballot), last, reply.granted))
    }

    fn failed(&self, action: RPCTypes, error: PeerError) -> RPCError<Types> {
        match error {
            PeerError::TimedOut { node, limit_ms } => RPCError::Timeout(Timeout {
                action,
                id: self.from.0,
                target: node.0,
                timeout: Duration::from_millis(u64::try_from(limit_ms).unwrap_or(u64::MAX)),
            }),
            PeerError::NotHere { .. } | PeerError::NotLeader { .. } => {
                RPCError::Network(NetworkError::new(&error))
            }
            PeerError::NoAddress { .. }
            | PeerError::Gone { .. }
            | PeerError::Unreachable { .. }
            | PeerError::Unavailable { .. }
            | PeerError::Stranger { .. }
            | PeerError::UnknownGroup { .. }
            | PeerError::Failed { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        }
    }
}

impl NetBackoff<Types> for Link {
    fn backoff(&self) -> Option<Backoff> {
        None
    }
}

impl NetStreamAppend<Types> for Link {
    fn stream_append<'s, S>(
        &'s mut self,
        mut input: S,
        option: RPCOption,
    ) -> Boxed<'s, Result<Replies<'s>, RPCError<Types>>>
    where
        S: Stream<Item = AppendEntriesRequest<Types>> + OptionalSend + Unpin + 'static,
    {
        let link = &*self;
        Box::pin(async move {
            if link.used_for == Use::Heartbeats {
                let replies = stream::unfold(input, move |mut input| {
                    let limit = option.soft_ttl();
                    async move {
                        let request = input.next().await?;
                        Some((link.beat(request, limit).await, input))
                    }
                });
                let replies: Replies<'s> = Box::pin(replies);
                return Ok(replies);
            }
            // The first request is waited for, as openraft's own pauses between attempts are in it.
            // But the follower learns by the end of the stream that this process is gone: it
            // gets one even if there is nothing to say.
            let first = match tokio::time::timeout(SILENCE, input.next()).await {
                Ok(Some(first)) => Some(first),
                Ok(None) => {
                    let none: Replies<'s> = Box::pin(stream::empty());
                    return Ok(none);
                }
                Err(_) => None,
            };
            let requests = stream::iter(first).chain(input).map(append_request);
            let limit = option.soft_ttl().max(SETUP_LIMIT);
            let replies = link.peer.append(requests, limit).await;
            let replies = replies.map_err(|error| link.failed(RPCTypes::AppendEntries, error))?;
            let replies: Replies<'s> = Box::pin(replies.map(move |reply| match reply {
                Ok(reply) => Ok(append_result(reply)),
                Err(error) => Err(link.failed(RPCTypes::AppendEntries, error)),
            }));
            Ok(replies)
        })
    }
}

impl NetVote<Types> for Link {
    async fn vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(rpc, false, option).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<Types>,
        option: RPCOption,
    ) -> Result<VoteResponse<Types>, RPCError<Types>> {
        self.ask_vote(rpc, true, option).await
    }
}

impl NetTransferLeader<Types> for Link {
    async fn transfer_leader(
        &mut self,
        req: TransferLeaderRequest<Types>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<Types>, RPCError<Types>> {
        let request = TransferRequest {
            from: codec::ballot(req.from_leader()),
            to: NodeId(*req.to_node_id()),
            last: req.last_log_id().map(codec::sent_id),
        };
        let reply = self.peer.transfer(request, option.soft_ttl()).await;
        let reply = reply.map_err(|error| self.failed(RPCTypes::TransferLeader, error))?;
        Ok(match reply {
            TransferReply::Accepted => Ok(()),
            TransferReply::Changed(ballot) => Err(TransferLeaderError::VoteChanged {
                expected: *req.from_leader(),
                actual: codec::vote(ballot),
            }),
            TransferReply::Behind(last) => Err(TransferLeaderError::LogNotFlushed {
                expected: req.last_log_id().copied(),
                actual: last.map(codec::received_id),
            }),
        })
    }
}

impl NetSnapshot<Types> for Link {
    type SnapshotData = Pages;

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Pages>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<Types>, StreamingError<Types>> {
        let sending = pin!(self.send_snapshot(vote, snapshot));
        match select(sending, pin!(cancel)).await {
            Either::Left((sent, _)) => match sent {
                Ok(vote) => Ok(SnapshotResponse::new(vote)),
                Err(error) => Err(self.failed(RPCTypes::InstallSnapshot, error).into()),
            },
            Either::Right((closed, _)) => Err(closed.into()),
        }
    }
}

impl Link {
    /// Sends a snapshot, and before it the rows that the state refers to and the receiver cannot
    /// have, as they stand behind what it has applied.
    ///
    /// Which rows those are is asked of the present state, which is ahead of the snapshot: what
    /// it does not refer to is settled by entries that the receiver gets after the snapshot.
    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<Types, Pages>,
    ) -> Result<Vote, PeerError> {
        let _one_of_some = self.transfers.send().await;
        let upto = codec::index_of(snapshot.meta.last_log_id.as_ref());
        let has = self.peer.progress(PROGRESS_LIMIT).await?;
        let _what_follows = self.shared.holds.behind(upto);
        let driver = self.shared.driver.clone();
        let node = self.peer.node();
        let broke = |_| PeerError::Failed { node, text: "listing live rows panicked".to_owned() };
        let inline = self.shared.store.is_inline();
        let live = aside::run(inline, move || driver.live_rows(upto)).await;
        let mut live = live.map_err(broke)?;
        live.retain(|row| *row > has);
        tracing::info!(node = %node, rows = live.len(), has = %has, upto = %upto, "sending a snapshot");
        let begin =
            SnapshotBegin { ballot: codec::ballot(&vote), meta: codec::write_meta(&snapshot.meta) };
        let parts = SnapshotParts {
            store: self.shared.store.clone(),
            live,
            next: 0,
            sent_rows: 0,
            sent_pages: 0,
            pages: snapshot.snapshot.pages.into_iter(),
            ended: false,
        };
        let transfers = Arc::clone(&self.transfers);
        let parts = stream::unfold((parts, transfers), |(mut parts, transfers)| async move {
            let part = parts.next().await?;
            transfers.spend(part_bytes(&part)).await;
            Some((part, (parts, transfers)))
        });
        Ok(codec::vote(self.peer.snapshot(begin, parts).await?))
    }
}

/// The parts of a snapshot, read as they are sent.
struct SnapshotParts {
    store: GroupStore,
    live: Vec<LogIndex>,
    /// The next of `live`.
    next: usize,
    sent_rows: u64,
    sent_pages: u64,
    pages: std::vec::IntoIter<Bytes>,
    ended: bool,
}

impl SnapshotParts {
    async fn next(&mut self) -> Option<SnapshotPart> {
        while self.next < self.live.len() {
            let rows = self.read_rows().await?;
            if !rows.is_empty() {
                let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                self.sent_rows = self.sent_rows.saturating_add(count);
                return Some(SnapshotPart::Rows(rows));
            }
        }
        if let Some(page) = self.pages.next() {
            self.sent_pages = self.sent_pages.saturating_add(1);
            return Some(SnapshotPart::Page(page));
        }
        if std::mem::replace(&mut self.ended, true) {
            return None;
        }
        Some(SnapshotPart::End { rows: self.sent_rows, pages: self.sent_pages })
    }

    /// Some of the rows that are left. Without an end to the parts, the receiver knows that
    /// something broke here.
    async fn read_rows(&mut self) -> Option<Vec<warren_rpc::Entry>> {
        let upto = self.next.saturating_add(PART_ROWS).min(self.live.len());
        let wanted: Vec<LogIndex> = self.live.get(self.next..upto)?.to_vec();
        let store = self.store.clone();
        let reading = aside::run(store.is_inline(), move || read_some(&store, &wanted)).await;
        match reading {
            Ok(Ok((looked_at, rows))) => {
                self.next = self.next.saturating_add(looked_at);
                Some(rows)
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "a snapshot cannot be sent");
                self.ended = true;
                None
            }
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be sent");
                self.ended = true;
                None
            }
        }
    }
}

fn part_bytes(part: &SnapshotPart) -> usize {
    match part {
        SnapshotPart::Rows(rows) => {
            rows.iter().map(|row| row.payload.len()).fold(0, usize::saturating_add)
        }
        SnapshotPart::Page(page) => page.len(),
        SnapshotPart::End { .. } => 0,
    }
}

/// Reads rows until there are enough bytes for one part, and says how many it looked at. Rows
/// that were settled and swept meanwhile are left out.
fn read_some(
    store: &GroupStore,
    wanted: &[LogIndex],
) -> Result<(usize, Vec<warren_rpc::Entry>), StorageError> {
    let (mut rows, mut bytes, mut looked_at) = (Vec::new(), 0_usize, 0_usize);
    for index in wanted {
        looked_at = looked_at.saturating_add(1);
        let Some(row) = store.row(*index)? else { continue };
        bytes = bytes.saturating_add(row.payload.len());
        rows.push(codec::sent_row(row));
        if bytes >= PART_BYTES {
            break;
        }
    }
    Ok((looked_at, rows))
}

fn append_request(request: AppendEntriesRequest<Types>) -> AppendRequest {
    AppendRequest {
        ballot: codec::ballot(&request.vote),
        previous: request.prev_log_id.as_ref().map(codec::sent_id),
        commit: request.leader_commit.as_ref().map(codec::sent_id),
        entries: request.entries.into_iter().map(codec::sent).collect(),
    }
}

fn append_result(reply: AppendReply) -> StreamAppendResult<Types> {
    match reply {
        AppendReply::Matched(last) => Ok(last.map(codec::received_id)),
        AppendReply::Conflict(id) => {
            let id: LogId = codec::received_id(id);
            Err(StreamAppendError::Conflict(id))
        }
        AppendReply::Higher(ballot) => Err(StreamAppendError::HigherVote(codec::vote(ballot))),
    }
}
