//! The fast way to a new leader, when the old one's process is gone.
//!
//! Voters refuse votes until the leader's lease ends, so that nobody disturbs a leader that merely
//! cannot be heard for a moment. But a machine that refuses connections says that the process no
//! longer exists: then the leadership is treated as handed over, as if the leader had asked
//! for it. Reads never rely on the lease, so this costs no safety, and at worst an election.
//!
//! Who has the longest log goes first. Were a shorter one to go first, its candidate would fail
//! and keep its vote, which the better one then could not overcome before the next timeout.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use openraft::async_runtime::WatchReceiver as _;
use openraft::raft::TransferLeaderRequest;
use tokio::runtime::Handle;
use warren_rpc::{PeerError, Peers, VoteRequest};
use warren_types::NodeId;

use crate::codec;
use crate::member::{Member, pause};
use crate::types::{LogId, Vote};

/// How often the leader is tried. Streams end for other reasons too, so this is often all.
const TRIES: u32 = 5;
/// Between two tries; doubled each time.
const TRY_PAUSE: Duration = Duration::from_millis(10);
/// How long a try may take. A leader that is silent is not gone.
const TRY_LIMIT: Duration = Duration::from_millis(200);
/// How long standing for election may take, which includes waiting for this node's own disk.
const STAND_LIMIT: Duration = Duration::from_millis(500);
/// How long another voter may take to say how long its log is.
const ASK_LIMIT: Duration = Duration::from_millis(200);
/// By how much each further voter waits, so that the best goes first.
const RANK_PAUSE: Duration = Duration::from_millis(40);
/// Between two rounds; doubled each time.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// Rounds before it is left to the election timeout.
const ROUNDS: u32 = 4;

/// Looks after the leader when it is dropped: it goes with the stream of the leader's entries,
/// which may end, or be dropped with entries in it.
pub(crate) struct OnEnd {
    member: Arc<Member>,
    peers: Peers,
    leader: NodeId,
}

impl OnEnd {
    pub(crate) fn new(member: Arc<Member>, peers: Peers, leader: NodeId) -> Self {
        #[cfg(test)]
        member.streams.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Self { member, peers, leader }
    }
}

impl Drop for OnEnd {
    fn drop(&mut self) {
        #[cfg(test)]
        self.member.streams.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
        if !self.member.life.running() {
            return;
        }
        let looking = run(Arc::clone(&self.member), self.peers.clone(), self.leader);
        if let Ok(runtime) = Handle::try_current() {
            self.member.keep(runtime.spawn(looking));
        }
    }
}

/// The entries of `leader` have stopped coming: finds out whether its process is gone, and if so
/// stands for election.
async fn run(member: Arc<Member>, peers: Peers, leader: NodeId) {
    if !member.recall.is_whole()
        || member.leadership.borrow().leader != Some(leader)
        || !is_gone(&member, &peers, leader).await
    {
        return;
    }
    for round in 0..ROUNDS {
        let Some(better) = better(&member, &peers, leader).await else { return };
        if !pause(&member.stop, RANK_PAUSE.saturating_mul(better)).await {
            return;
        }
        let vote = member.raft.metrics().borrow_watched().vote;
        if vote.committed && vote.leader_id.node_id != leader.0 {
            return;
        }
        // In the first round, a vote for somebody else means that somebody else stands.
        if vote.committed || round > 0 {
            stand(&member, vote).await;
        }
        if !pause(&member.stop, ROUND_PAUSE.saturating_mul(1 << round)).await {
            return;
        }
    }
}

/// Stands for election. That the vote is still the same is checked again when it is handled.
async fn stand(member: &Member, vote: Vote) {
    tracing::info!(group = %member.id, "the leader's process is gone, standing for election");
    let request = TransferLeaderRequest::new(vote, member.node.0, None);
    let handling = member.raft.handle_transfer_leader(request);
    match tokio::time::timeout(STAND_LIMIT, handling).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(error))) => tracing::debug!(group = %member.id, %error, "did not stand"),
        Ok(Err(error)) => tracing::debug!(group = %member.id, %error, "did not stand"),
        Err(error) => tracing::debug!(group = %member.id, %error, "did not stand"),
    }
}

async fn is_gone(member: &Member, peers: &Peers, leader: NodeId) -> bool {
    let peer = peers.raft(leader, member.id);
    for attempt in 0..TRIES {
        match peer.progress(TRY_LIMIT).await {
            // A process that does not run the group does not lead it: it has just been started.
            Err(
                PeerError::Gone { .. }
                | PeerError::UnknownGroup { .. }
                | PeerError::Unavailable { .. },
            ) => return true,
            // A dying process may still answer, or have its connections open, for a moment.
            Ok(_)
            | Err(
                PeerError::Unreachable { .. }
                | PeerError::TimedOut { .. }
                | PeerError::NotHere { .. }
                | PeerError::NotLeader { .. }
                | PeerError::Failed { .. },
            ) => {}
            Err(PeerError::NoAddress { .. } | PeerError::Stranger { .. }) => return false,
        }
        if !pause(&member.stop, TRY_PAUSE.saturating_mul(1 << attempt)).await {
            return false;
        }
    }
    false
}

/// How many of the other voters have a longer log, or one as long and a higher id. None if this
/// node has no vote.
async fn better(member: &Member, peers: &Peers, leader: NodeId) -> Option<u32> {
    let (vote, voters) = {
        let metrics = member.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters: Vec<u64> = metrics.membership_config.membership().voter_ids().collect();
        (metrics.vote, voters)
    };
    if !voters.contains(&member.node.0) {
        return None;
    }
    let last = member.shared.store.bounds().last.map(codec::log_id);
    // A vote that is only tried, and that nobody would give, brings the voter's last entry.
    let request = VoteRequest {
        ballot: codec::ballot(&vote),
        last: last.as_ref().map(codec::sent_id),
        transfer: false,
        trial: true,
    };
    let others = voters.into_iter().filter(|voter| *voter != member.node.0 && *voter != leader.0);
    let answers = join_all(others.map(|voter| {
        let peer = peers.raft(NodeId(voter), member.id);
        async move { (voter, peer.vote(request, ASK_LIMIT).await) }
    }));
    let is_better = |(voter, answer): &(u64, Result<warren_rpc::VoteReply, PeerError>)| {
        let Ok(reply) = answer else { return false };
        let theirs: Option<LogId> = reply.last.map(codec::received_id);
        (theirs, *voter) > (last, member.node.0)
    };
    u32::try_from(answers.await.iter().filter(|answer| is_better(answer)).count()).ok()
}
