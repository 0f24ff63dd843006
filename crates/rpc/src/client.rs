//! Calls to other nodes.
//!
//! A [`Call`] is what all of them have in common: whom they are to, what they say about the
//! caller, and how what goes wrong is told.

mod cluster;
mod frontend;
mod raft;

use std::future::Future;
use std::time::Duration;

use tonic::{Request, Response, Status};
use warren_types::{GroupId, NodeId};

pub use raft::RaftPeer;

use crate::error::PeerError;
use crate::identity::Stamp;
use crate::peers::Peers;
use crate::wire::Senseless;

/// Whom a call is to, and what it is about.
#[derive(Clone, Debug)]
struct Call {
    /// 0 if only its address is known.
    node: NodeId,
    about: Option<GroupId>,
    /// None in calls that need no identity.
    stamp: Option<Stamp>,
}

impl Call {
    /// To a node of the same cluster.
    fn within_cluster(peers: &Peers, node: NodeId, about: Option<GroupId>) -> Self {
        Self { node, about, stamp: Some(Stamp::new(peers.identity(), node, about)) }
    }

    /// To whoever is at some address.
    fn to_anyone() -> Self {
        Self { node: NodeId(0), about: None, stamp: None }
    }

    fn stamped<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(stamp) = &self.stamp {
            stamp.put(&mut request);
        }
        request
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, PeerError> {
        self.response_within(limit, call).await.map(Response::into_inner)
    }

    async fn response_within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, PeerError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(status)) => Err(self.failed(&status)),
            Err(_) => Err(self.timed_out(limit)),
        }
    }

    fn failed(&self, status: &Status) -> PeerError {
        PeerError::from_status(self.node, self.about, status)
    }

    fn timed_out(&self, limit: Duration) -> PeerError {
        PeerError::TimedOut { node: self.node, limit_ms: limit.as_millis() }
    }

    fn senseless(&self, error: Senseless) -> PeerError {
        PeerError::Failed { node: self.node, text: error.to_string() }
    }
}
