//! The other nodes, by id, and the connections to them.
//!
//! A node's address may change at any time ([`Peers::set_address`]); calls go to where the node is
//! at that moment. Connections are made when first needed, each with a connection of its own per
//! [`Purpose`], and are made again when the next call finds them broken.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};
use warren_types::{GroupId, NodeId};

use crate::client::RaftPeer;
use crate::dialer::Dialer;
use crate::error::PeerError;
use crate::identity::Identity;

/// How long a connection attempt may take.
const CONNECT_LIMIT: Duration = Duration::from_millis(1000);
/// How often a silent connection is asked whether it lives.
pub(crate) const PING_INTERVAL: Duration = Duration::from_millis(2000);
/// How long the answer may take before the connection is given up.
pub(crate) const PING_LIMIT: Duration = Duration::from_millis(4000);
/// What one stream may send ahead: several full appends, so that a round trip does not stop it.
pub(crate) const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
/// What all streams of one connection together may send ahead.
pub(crate) const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// The largest message that is read. An append carries at least one entry whatever its size, and a
/// batch at least one item.
pub const MESSAGE_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// What a connection is for. Each has its own, so that none waits behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs of life, votes, small questions.
    Control,
    /// Entries.
    Entries,
    /// Snapshots.
    Snapshot,
    /// What clients ask of queues elsewhere, and the bodies that they get.
    FrontEnd,
    /// What operators want to see, which may be much, and is in nobody's way.
    Survey,
}

/// The other nodes. Cheap to clone; all clones share the addresses and connections.
#[derive(Clone, Debug)]
pub struct Peers {
    identity: Arc<OnceLock<Identity>>,
    dialer: Dialer,
    links: Arc<RwLock<HashMap<NodeId, Arc<Link>>>>,
}

/// One node at one address.
#[derive(Debug)]
struct Link {
    address: String,
    /// Whether the address was set and not only suggested.
    certain: bool,
    control: OnceLock<Channel>,
    entries: OnceLock<Channel>,
    snapshot: OnceLock<Channel>,
    front_end: OnceLock<Channel>,
    survey: OnceLock<Channel>,
}

impl Peers {
    /// Nobody yet. `identity` is who calls.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self::with_dialer(identity, Dialer::tcp())
    }

    /// Nobody yet, to be reached with `dialer`. `identity` is who calls.
    #[must_use]
    pub fn with_dialer(identity: Identity, dialer: Dialer) -> Self {
        let peers = Self::unknown_with_dialer(dialer);
        peers.set_identity(identity);
        peers
    }

    /// Nobody yet, and who calls is not known either: only [`Peers::hello`] and [`Peers::join`] are
    /// of use before [`Peers::set_identity`].
    #[must_use]
    pub fn new_unknown() -> Self {
        Self::unknown_with_dialer(Dialer::tcp())
    }

    /// As [`Peers::new_unknown`], with `dialer`.
    #[must_use]
    pub fn unknown_with_dialer(dialer: Dialer) -> Self {
        Self { identity: Arc::default(), dialer, links: Arc::default() }
    }

    /// From here on, `identity` is who calls.
    ///
    /// # Panics
    /// When it is called a second time: nobody changes who it is.
    pub fn set_identity(&self, identity: Identity) {
        self.identity.set(identity).expect("a node is given one identity");
    }

    /// Who calls.
    ///
    /// # Panics
    /// Before it is known.
    #[must_use]
    pub fn identity(&self) -> Identity {
        *self.identity.get().expect("calls between nodes begin when the identity is known")
    }

    /// From here on, `node` is at `address` (host:port). An unchanged address keeps its
    /// connections.
    pub fn set_address(&self, node: NodeId, address: &str) {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if links.get(&node).is_none_or(|link| link.address != address || !link.certain) {
            links.insert(node, Arc::new(Link::new(address, true)));
        }
    }

    /// As [`Peers::set_address`], where nobody has set an address: `node` was there once.
    pub fn suggest_address(&self, node: NodeId, address: &str) {
        let unknown = |link: Option<&Arc<Link>>| {
            link.is_none_or(|link| !link.certain && link.address != address)
        };
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        if !unknown(links.get(&node)) {
            return;
        }
        drop(links);
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        if unknown(links.get(&node)) {
            links.insert(node, Arc::new(Link::new(address, false)));
        }
    }

    /// `node` is not called any more.
    pub fn forget(&self, node: NodeId) {
        self.links.write().unwrap_or_else(PoisonError::into_inner).remove(&node);
    }

    /// Where `node` is.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<String> {
        self.link(node).map(|link| link.address.clone())
    }

    /// The replica of `group` on `node`.
    #[must_use]
    pub fn raft(&self, node: NodeId, group: GroupId) -> RaftPeer {
        RaftPeer::new(self.clone(), node, group)
    }

    /// A connection to `node`; made by the first call over it.
    pub(crate) fn channel(&self, node: NodeId, purpose: Purpose) -> Result<Channel, PeerError> {
        let link = self.link(node).ok_or(PeerError::NoAddress { node })?;
        let slot = match purpose {
            Purpose::Control => &link.control,
            Purpose::Entries => &link.entries,
            Purpose::Snapshot => &link.snapshot,
            Purpose::FrontEnd => &link.front_end,
            Purpose::Survey => &link.survey,
        };
        if let Some(channel) = slot.get() {
            return Ok(channel.clone());
        }
        let endpoint = endpoint(&link.address).ok_or(PeerError::NoAddress { node })?;
        Ok(slot.get_or_init(|| self.dialer.channel(&endpoint, &link.address)).clone())
    }

    /// A connection to whoever listens at `address`, for as long as it is held.
    pub(crate) fn anyone(&self, address: &str) -> Result<Channel, PeerError> {
        let endpoint = endpoint(address).ok_or(PeerError::NoAddress { node: NodeId(0) })?;
        Ok(self.dialer.channel(&endpoint, address))
    }

    fn link(&self, node: NodeId) -> Option<Arc<Link>> {
        self.links.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }
}

impl Link {
    fn new(address: &str, certain: bool) -> Self {
        Self {
            address: address.to_owned(),
            certain,
            control: OnceLock::new(),
            entries: OnceLock::new(),
            snapshot: OnceLock::new(),
            front_end: OnceLock::new(),
            survey: OnceLock::new(),
        }
    }
}

fn endpoint(address: &str) -> Option<Endpoint> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_LIMIT)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_LIMIT)
        .keep_alive_while_idle(true);
    Some(endpoint)
}
