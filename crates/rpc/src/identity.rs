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
/// Carries the boot of whoever answers, where it matters.
const BOOT: &str = "warren-boot";

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

/// The metadata of calls from one node to another, about one group if they are about one.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    peer: MetadataValue<Ascii>,
    group: Option<MetadataValue<Ascii>>,
}

impl Stamp {
    pub(crate) fn new(from: Identity, to: NodeId, group: Option<GroupId>) -> Self {
        let Identity { cluster, incarnation, node, boot } = from;
        let peer = format!("{cluster}.{}.{node}.{boot}.{to}", incarnation.0);
        Self { peer: ascii(&peer), group: group.map(|group| ascii(&group.to_string())) }
    }

    pub(crate) fn put<T>(&self, request: &mut Request<T>) {
        request.metadata_mut().insert(PEER, self.peer.clone());
        if let Some(group) = &self.group {
            request.metadata_mut().insert(GROUP, group.clone());
        }
    }
}

/// Which group a call is about.
pub(crate) fn group(metadata: &MetadataMap) -> Result<GroupId, Box<Status>> {
    let said = text(metadata, GROUP).unwrap_or_default();
    let senseless = |_| Box::new(Status::invalid_argument(format!("'{said}' names no group")));
    said.parse().map(GroupId).map_err(senseless)
}

/// Says who answers.
pub(crate) fn put_boot(metadata: &mut MetadataMap, boot: BootId) {
    metadata.insert(BOOT, ascii(&boot.to_string()));
}

/// Who has answered.
pub(crate) fn boot(metadata: &MetadataMap) -> Option<BootId> {
    text(metadata, BOOT)?.parse().ok().map(BootId)
}

impl Identity {
    /// Finds out who calls, and refuses whom this node does not know.
    pub(crate) fn check(&self, metadata: &MetadataMap) -> Result<Caller, Box<Status>> {
        let missing = || stranger(format!("{PEER} is missing"));
        let said = text(metadata, PEER).ok_or_else(missing)?;
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
        Ok(Caller { node: NodeId(node), boot: BootId(boot) })
    }
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key).and_then(|value| value.to_str().ok())
}

fn ascii(text: &str) -> MetadataValue<Ascii> {
    text.parse().expect("digits and dots are ASCII")
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

    /// What `from` says to `to`.
    fn said(from: Identity, to: u64, about: Option<GroupId>) -> MetadataMap {
        let mut request = Request::new(());
        Stamp::new(from, NodeId(to), about).put(&mut request);
        request.metadata().clone()
    }

    #[test]
    fn a_call_within_the_cluster_says_who_calls_about_what() {
        let metadata = said(identity(9, 1, 1), 2, Some(GroupId(3)));

        let caller = identity(9, 1, 2).check(&metadata).expect("same cluster, right node");
        assert_eq!(caller, Caller { node: NodeId(1), boot: BootId(7) });
        assert_eq!(group(&metadata).expect("it is about a group"), GroupId(3));
    }

    #[test]
    fn a_call_about_no_group_names_none() {
        let metadata = said(identity(9, 1, 1), 2, None);

        assert!(metadata.get(GROUP).is_none());
        let status = group(&metadata).expect_err("none is named");
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn another_cluster_incarnation_or_receiver_is_refused() {
        let here = identity(9, 1, 2);

        let other_cluster = said(identity(8, 1, 1), 2, None);
        let other_incarnation = said(identity(9, 2, 1), 2, None);
        let other_receiver = said(identity(9, 1, 1), 5, None);
        let nobody = MetadataMap::new();

        for metadata in [other_cluster, other_incarnation, other_receiver, nobody] {
            let status = here.check(&metadata).expect_err("strangers are refused");
            assert_eq!(status.code(), tonic::Code::PermissionDenied);
        }
    }
}
