//! From a call to an entry: what is submitted in order is proposed in order.
//!
//! Submitting neither waits nor fails: it puts the entry into the group's backlog and gives a
//! future. One task per group empties the backlog into openraft, which merges what waits into
//! one append.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;
use tokio::sync::{mpsc, oneshot};
use warren_types::{LogIndex, NodeId};

use crate::codec;
use crate::error::ProposeError;
use crate::member::Member;
use crate::types::{Command, Types, Waiter};

/// Proposals that are taken from the backlog at once.
const TAKE: usize = 256;

/// One entry on its way into the log.
pub(crate) struct Proposal {
    payload: Bytes,
    waiter: Waiter<ClientWriteResult<Types>>,
}

/// What becomes of one submitted entry. Dropping it changes nothing about the entry.
#[must_use = "the outcome of a submitted entry is only heard by waiting for it"]
pub struct Submitted<R> {
    state: State,
    reply: PhantomData<fn() -> R>,
}

enum State {
    Refused(ProposeError),
    Waiting(oneshot::Receiver<ClientWriteResult<Types>>),
}

impl<R> Submitted<R> {
    pub(crate) fn refused(error: ProposeError) -> Self {
        Self { state: State::Refused(error), reply: PhantomData }
    }

    /// A future, and the proposal that it waits for.
    pub(crate) fn waiting(payload: Bytes) -> (Self, Proposal) {
        let (tx, rx) = oneshot::channel();
        let proposal = Proposal { payload, waiter: Waiter(tx) };
        (Self { state: State::Waiting(rx), reply: PhantomData }, proposal)
    }
}

impl<R: 'static> Future for Submitted<R> {
    type Output = Result<(LogIndex, R), ProposeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(*error)),
            State::Waiting(outcome) => Pin::new(outcome).poll(cx).map(|outcome| match outcome {
                Ok(outcome) => result(outcome),
                // Dropped without an answer: the core ended with the entry somewhere in it.
                Err(_) => Err(ProposeError::MaybeDone),
            }),
        }
    }
}

impl<R> std::fmt::Debug for Submitted<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Submitted")
    }
}

fn result<R: 'static>(outcome: ClientWriteResult<Types>) -> Result<(LogIndex, R), ProposeError> {
    match outcome {
        Ok(response) => {
            let index = codec::index(response.log_id.index);
            let reply = response.data.take();
            Ok((index, reply.expect("the group's machine made the reply to the group's entry")))
        }
        Err(ClientWriteError::ForwardToLeader(forward)) => {
            Err(ProposeError::NotLeader { leader: forward.leader_id.map(NodeId) })
        }
        Err(ClientWriteError::LogEntryDiscarded(_)) => Err(ProposeError::MaybeDone),
        Err(
            ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_),
        ) => {
            unreachable!("a command changes no membership and has no precondition")
        }
    }
}

/// Empties the backlog of one group until the group ends.
pub(crate) async fn run(
    member: std::sync::Arc<Member>,
    mut backlog: mpsc::UnboundedReceiver<Proposal>,
) {
    let mut taken = Vec::with_capacity(TAKE);
    loop {
        let count = tokio::select! {
            () = member.stop.cancelled() => return,
            count = backlog.recv_many(&mut taken, TAKE) => count,
        };
        if count == 0 {
            return;
        }
        for Proposal { payload, waiter } in taken.drain(..) {
            // An error means that the core has ended; the waiter hears of it by being dropped.
            drop(member.raft.client_write_ff(Command(payload), Some(waiter)).await);
        }
    }
}
