//! What nodes of different builds may write while they are updated one after the other.
//!
//! Each start says which version its node speaks ([`SPEAKS`]). Once every node of the cluster speaks a
//! later one, whoever notices raises the catalog's version to it, once and for good; a node that speaks
//! less does not start from then on. Until then leaders write entries of the version agreed, and what
//! it does not know ([`Feature`]) is refused to whoever asks for it.
//!
//! **Always holds:** no entry, and so no snapshot, has anything in it that a node of the cluster does
//! not understand.

use warren_amqp::ReplyCode;
use warren_catalog::{
    CONSUMER_TIMEOUT_ACTION, Catalog, Command as Change, DeclareQueue, ExchangeKind, QueueKind,
};
use warren_queue::MACHINE_VERSION;

use crate::directory::Directory;
use crate::failure::Failure;

/// The version of catalog commands and of shards that this build speaks.
pub(crate) const SPEAKS: u16 = MACHINE_VERSION;

/// The least that any build speaks that may share a cluster with this one, whatever it says.
const LEAST: u16 = 5;

/// What not every build knows that may share a cluster with this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Consumers that lose a message and not their channel when they take too long.
    Leases,
    /// What a lost connection held is kept for the one that takes its place.
    Continuity,
    /// Messages in the middle of a queue that are taken away or moved.
    Handling,
    /// The exchange that keeps what came last.
    RecentHistory,
    /// Queues that are read and not emptied.
    Streams,
}

/// Something has to wait until all nodes are updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} need every node of the cluster to run this version")]
pub struct NotYet {
    what: &'static str,
}

impl From<NotYet> for Failure {
    fn from(error: NotYet) -> Self {
        Self::new(ReplyCode::NotImplemented, error)
    }
}

impl Feature {
    /// The version that brought it.
    const fn since(self) -> u16 {
        match self {
            Self::Leases | Self::Continuity | Self::Handling | Self::RecentHistory => 6,
            Self::Streams => 7,
        }
    }

    /// What has to be known where the catalog is changed in this way.
    pub(crate) fn asked_for(catalog: &Catalog, change: &Change) -> Option<Self> {
        let (feature, is_asked) = match change {
            Change::DeclareExchange(declare) => {
                let delayed = declare.arguments.value("x-delayed-type");
                let kinds = [Some(&*declare.kind), delayed.and_then(|kind| kind.as_text())];
                let kind = ExchangeKind::RecentHistory.as_str();
                (Self::RecentHistory, kinds.contains(&Some(kind)))
            }
            Change::DeclareQueue(declare) if is_new_stream(catalog, declare) => {
                (Self::Streams, true)
            }
            Change::DeclareQueue(declare) => {
                let action = declare.arguments.value("x-consumer-timeout-action");
                (Self::Leases, action.is_some())
            }
            Change::PutPolicy(policy) => {
                (Self::Leases, policy.definition.contains("\"consumer-timeout-action\""))
            }
            Change::PutGlobalParameter { name, .. } => {
                (Self::Leases, **name == *CONSUMER_TIMEOUT_ACTION)
            }
            _ => return None,
        };
        is_asked.then_some(feature)
    }

    const fn what(self) -> &'static str {
        match self {
            Self::Leases => "leases",
            Self::Continuity => "sessions that outlive their connections",
            Self::Handling => "moving and deleting single messages",
            Self::RecentHistory => "exchanges of type x-recent-history",
            Self::Streams => "streams",
        }
    }
}

/// Whether a declaration would make a stream, by its own words or by those of its virtual host.
fn is_new_stream(catalog: &Catalog, declare: &DeclareQueue) -> bool {
    let DeclareQueue { vhost, queue, arguments, durable, auto_delete, exclusive, .. } = declare;
    let asked = arguments.value("x-queue-type").and_then(|kind| kind.as_text());
    let default = catalog.vhost(vhost).and_then(|vhost| vhost.meta.default_queue_type);
    let default = default.filter(|_| *durable && !auto_delete && exclusive.is_none());
    let kind = asked.map_or(default, QueueKind::parse);
    kind == Some(QueueKind::Stream) && catalog.queue(vhost, queue).is_none()
}

impl Directory {
    /// The version that entries are written in.
    pub(crate) fn agreed(&self) -> u16 {
        self.look(|catalog| catalog.version()).clamp(LEAST, SPEAKS)
    }

    /// Whether every node knows it.
    pub(crate) fn knows(&self, feature: Feature) -> bool {
        self.agreed() >= feature.since()
    }

    /// For one who is to use it.
    ///
    /// # Errors
    /// As long as a node does not know it.
    pub(crate) fn require(&self, feature: Feature) -> Result<(), NotYet> {
        if self.knows(feature) { Ok(()) } else { Err(NotYet { what: feature.what() }) }
    }

    /// Raises the version to what all nodes speak, if that is more.
    pub(crate) async fn agree(&self) {
        let spoken = self.look(|catalog| {
            let least = catalog.nodes().map(|node| node.speaks).min()?.min(SPEAKS);
            (least > catalog.version()).then_some(least)
        });
        let Some(version) = spoken else { return };
        match self.change(Change::RaiseVersion { version }).await {
            Ok(_) => tracing::info!(version, "all nodes speak this version"),
            // Another node was quicker, or one has started anew meanwhile.
            Err(error) => tracing::debug!(version, %error, "the version stays as it is"),
        }
    }
}

#[cfg(test)]
mod tests {
    use warren_catalog::{Batch, Placement, VhostMeta};
    use warren_machine::{Entry, Machine};
    use warren_types::{GroupId, LogIndex, Table, Term, Timestamp, Value};

    use super::*;
    use crate::directory::name;

    /// A declaration in a virtual host of which queues are streams by default.
    fn declare(queue: &str, kind: Option<&str>, durable: bool) -> Change {
        let kind = kind.map(|kind| ("x-queue-type".to_owned(), Value::text(kind)));
        Change::DeclareQueue(DeclareQueue {
            vhost: name("v"),
            queue: name(queue),
            server_named: false,
            durable,
            auto_delete: false,
            exclusive: None,
            arguments: kind.into_iter().collect::<Table>(),
            placement: Placement::Shard(GroupId(1)),
            user: name("guest"),
        })
    }

    #[test]
    fn a_stream_is_asked_for_by_its_type_or_its_virtual_hosts_unless_it_is_there() {
        let streams = Some(QueueKind::Stream);
        let meta = VhostMeta { default_queue_type: streams, ..VhostMeta::default() };
        let vhost = Change::PutVhost { vhost: name("v"), meta };
        let mut catalog = Catalog::new();
        let shard = Change::PutShard { group: GroupId(1), replicas: vec![] };
        let commands = vec![vhost, shard, declare("there", Some("stream"), true)];
        let payload = Batch { time: Timestamp(1), commands }.encode();
        let entry = Entry { index: LogIndex(1), term: Term(1), payload };
        assert!(catalog.apply(&entry).reply.iter().all(Result::is_ok));
        let asked = |change: Change| Feature::asked_for(&catalog, &change);

        assert_eq!(asked(declare("q", Some("stream"), true)), Some(Feature::Streams));
        assert_eq!(asked(declare("q", None, true)), Some(Feature::Streams));
        assert_eq!(asked(declare("q", None, false)), None, "that is a classic queue");
        assert_eq!(asked(declare("q", Some("quorum"), true)), None);
        assert_eq!(asked(declare("there", Some("stream"), true)), None);
    }
}
