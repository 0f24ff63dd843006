//! Who speaks to whom, said with every call and checked before anything else.
//!
//! A node that was wiped, restored from an old backup or moved to another cluster may turn up
//! under an address that others still call. What it says must not reach a group's state.

use std::fmt;
use std::str::FromStr;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Status};
use warren_types::{BootId, GroupId, NodeId};

/// Carries cluster, incarnation, sender, its boot, and receiver.
const PEER: &str = "warren-peer";
/// Carries the group that is spoken of.
const GROUP: &str = "warren-group";

/// One cluster, drawn by chance when it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// How often the cluster was recovered by force. Those left behind by a recovery must not
/// speak to those that went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// Who this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// The incarnation of the cluster that it belongs to.
    pub incarnation: Incarnation,
    /// Its id, never used by another.
    pub node: NodeId,
    /// This start of its process.
    pub boot: BootId,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The node.
    pub node: NodeId,
    /// The start of its process.
    pub boot: BootId,
}

/// What a checked call was about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addressed {
    pub(crate) caller: Caller,
    pub(crate) group: GroupId,
}

/// The metadata of calls from one node to another about one group.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    peer: MetadataValue<Ascii>,
    group: MetadataValue<Ascii>,
}

impl Stamp {
    pub(crate) fn new(from: Identity, to: NodeId, group: GroupId) -> Self {
        let Identity { cluster, incarnation, node, boot } = from;
        let peer = format!("{cluster}.{}.{node}.{boot}.{to}", incarnation.0);
        let ascii = "digits and dots are ASCII";
        Self { peer: peer.parse().expect(ascii), group: group.to_string().parse().expect(ascii) }
    }

    pub(crate) fn put<T>(&self, request: &mut Request<T>) {
        request.metadata_mut().insert(PEER, self.peer.clone());
        request.metadata_mut().insert(GROUP, self.group.clone());
    }
}

impl Identity {
    /// Finds out who calls about what, and refuses whom this node does not know.
    pub(crate) fn check(&self, metadata: &MetadataMap) -> Result<Addressed, Box<Status>> {
        let said = text(metadata, PEER)?;
        let mut parts = said.split('.');
        let cluster = parts.next().and_then(|hex| u128::from_str_radix(hex, 16).ok());
        let mut number = || parts.next().and_then(|part| u64::from_str(part).ok());
        let numbers = (number(), number(), number(), number());
        let (Some(cluster), (Some(incarnation), Some(node), Some(boot), Some(to))) =
            (cluster, numbers)
        else {
            return Err(stranger(format!("'{said}' names no peer")));
        };
        if ClusterId(cluster) != self.cluster {
            return Err(stranger(format!("this is cluster {}", self.cluster)));
        }
        if Incarnation(incarnation) != self.incarnation {
            return Err(stranger(format!("this is incarnation {}", self.incarnation.0)));
        }
        if NodeId(to) != self.node {
            return Err(stranger(format!("this is node {}", self.node)));
        }
        let group = text(metadata, GROUP)?;
        let Ok(group) = u32::from_str(group) else {
            return Err(Box::new(Status::invalid_argument(format!("'{group}' names no group"))));
        };
        let caller = Caller { node: NodeId(node), boot: BootId(boot) };
        Ok(Addressed { caller, group: GroupId(group) })
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Result<&'a str, Box<Status>> {
    metadata
        .get(key)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| stranger(format!("{key} is missing")))
}

fn stranger(text: String) -> Box<Status> {
    Box::new(Status::permission_denied(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(cluster: u128, incarnation: u64, node: u64) -> Identity {
        Identity {
            cluster: ClusterId(cluster),
            incarnation: Incarnation(incarnation),
            node: NodeId(node),
            boot: BootId(7),
        }
    }

    fn ask(from: Identity, to: u64, receiver: Identity) -> Result<Addressed, Box<Status>> {
        let mut request = Request::new(());
        Stamp::new(from, NodeId(to), GroupId(3)).put(&mut request);
        receiver.check(request.metadata())
    }

    #[test]
    fn a_call_within_the_cluster_says_who_calls_about_what() {
        let outcome = ask(identity(9, 1, 1), 2, identity(9, 1, 2));

        let addressed = outcome.expect("same cluster, right node");
        assert_eq!(addressed.caller, Caller { node: NodeId(1), boot: BootId(7) });
        assert_eq!(addressed.group, GroupId(3));
    }

    #[test]
    fn another_cluster_incarnation_or_receiver_is_refused() {
        let here = identity(9, 1, 2);

        let other_cluster = ask(identity(8, 1, 1), 2, here);
        let other_incarnation = ask(identity(9, 2, 1), 2, here);
        let other_receiver = ask(identity(9, 1, 1), 5, here);
        let nobody = here.check(&MetadataMap::new());

        for outcome in [other_cluster, other_incarnation, other_receiver, nobody] {
            let status = outcome.expect_err("strangers are refused");
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
        }
    }
}
