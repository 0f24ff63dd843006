//! Has an entry of the catalog made, whoever leads it.

use std::time::Duration;

use bytes::Bytes;
use warren_catalog::{Catalog, Reply};
use warren_consensus::{Group, Peers, ProposeError, ReadError};
use warren_rpc::PeerError;
use warren_types::DecodeError;

/// How long the leader's node may take to have an entry committed. Long, as an entry that is given
/// up and proposed again may be applied twice.
const FORWARD_LIMIT: Duration = Duration::from_secs(5);

/// An entry came to no certain end here. Proposing it again may work.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Unsettled {
    /// Nobody is known to lead the catalog.
    #[error("nobody is known to lead the catalog")]
    NoLeader,
    /// This node leads, and could not have it committed.
    #[error(transparent)]
    Here(#[from] ProposeError),
    /// Another node leads, and did not answer.
    #[error(transparent)]
    There(#[from] PeerError),
    /// It was done, and the local copy does not come to have it.
    #[error(transparent)]
    Unseen(#[from] ReadError),
    /// It was done, and the answer cannot be read.
    #[error("the catalog's answer cannot be read")]
    Answer(#[from] DecodeError),
}

/// Has `payload` committed by the catalog's leader and waits until the local copy has it.
pub(crate) async fn settle(
    group: Group<Catalog>,
    peers: Peers,
    payload: Bytes,
) -> Result<Reply, Unsettled> {
    let leadership = *group.leadership().borrow();
    if leadership.here {
        let (_, reply) = group.propose(payload).await?;
        return Ok(reply);
    }
    let leader = leadership.leader.filter(|leader| *leader != peers.identity().node);
    let leader = leader.ok_or(Unsettled::NoLeader)?;
    let (index, reply) = peers.propose(leader, payload, FORWARD_LIMIT).await?;
    group.wait_applied(index).await?;
    Ok(warren_catalog::reply::decode(reply)?)
}
